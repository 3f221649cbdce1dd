//! What can go wrong with a question, and which kind of trouble it is.

use std::fmt;
use std::time::Duration;

use granary_net::{HttpError, StatusCode};
use granary_redact::SafeUrl;
use thiserror::Error;

use crate::file::NotContent;
use crate::said::Said;

/// What was being asked, for people: `reading branch main of acme/app at https://forge.test/api/v1/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// In the present participle, with its object.
    pub doing: String,
    /// The repository.
    pub repository: String,
    /// The API.
    pub forge: SafeUrl,
    /// The right that a login needs for it, in the forge's own words.
    pub needs: &'static str,
}

impl fmt::Display for Question {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {} at {}", self.doing, self.repository, self.forge)
    }
}

/// The kind of trouble, from which a plugin takes its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// No answer, or "not now", after all retries.
    Unavailable,
    /// Not authenticated, not permitted, or not even told whether the repository exists.
    Auth,
    /// The forge does not keep to its API, or what it says does not fit together.
    Protocol,
    /// There is an answer, and nobody could use it: a symbolic link, a file that is too large.
    Content,
    /// A name that no forge can be asked about.
    Argument,
}

/// Why a question has no answer. "There is none" is an answer, and never an error.
#[derive(Debug, Error)]
pub enum ForgeError {
    /// No answer, after all retries.
    #[error("{question}: no usable answer")]
    Unreachable {
        /// What was asked.
        question: Box<Question>,
        /// Why.
        #[source]
        source: Box<HttpError>,
    },
    /// The quota of requests is used up for longer than is waited.
    #[error("{question}: the forge's rate limit is used up{}", again(.wait))]
    RateLimited {
        /// What was asked.
        question: Box<Question>,
        /// How long it will last, if the forge says so.
        wait: Option<Duration>,
    },
    /// 401: the login is not accepted.
    #[error("{question}: the forge does not accept the login ({login}){said}")]
    Unauthorized {
        /// What was asked.
        question: Box<Question>,
        /// How we logged in.
        login: &'static str,
        /// The forge's reason.
        said: Box<Said>,
    },
    /// 403: the login lacks a right.
    #[error("{question}: the login ({login}) lacks a right; this needs {needs}{said}")]
    Forbidden {
        /// What was asked.
        question: Box<Question>,
        /// How we logged in.
        login: &'static str,
        /// What it lacks.
        needs: String,
        /// The forge's reason.
        said: Box<Said>,
    },
    /// 404 for the repository itself: forges say that too where a login may not know of it.
    #[error(
        "{question}: there is no such repository, or the login ({login}) may not see it; this needs {needs}"
    )]
    Hidden {
        /// What was asked.
        question: Box<Question>,
        /// How we logged in.
        login: &'static str,
        /// What it lacks, if it is there.
        needs: &'static str,
    },
    /// Another status than any that this question has.
    #[error("{question}: the forge answered {status}{said}")]
    Status {
        /// What was asked.
        question: Box<Question>,
        /// The status.
        status: StatusCode,
        /// The forge's reason.
        said: Box<Said>,
    },
    /// The answer cannot be used.
    #[error("{question}: {problem}")]
    Protocol {
        /// What was asked.
        question: Box<Question>,
        /// What is wrong with the answer.
        problem: Box<Problem>,
    },
    /// It is there, and it is not a file that anybody could go by.
    #[error("{question}: {problem}")]
    Content {
        /// What was asked.
        question: Box<Question>,
        /// What it is instead.
        problem: NotContent,
    },
    /// Not a branch, tag, path or abbreviation.
    #[error("{what} `{text}` is not one that a forge can be asked about")]
    Argument {
        /// `branch`, `tag`, `path`, `abbreviation`.
        what: &'static str,
        /// What was given.
        text: String,
    },
}

/// What is wrong with an answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// A login page, a proxy's page, a captive portal.
    #[error("a web page came instead of an answer ({status}); is this the forge's address?")]
    WebPage {
        /// Its status.
        status: StatusCode,
    },
    /// Not the JSON that belongs to the question.
    #[error("the answer is not what this question has ({reason})")]
    Json {
        /// What the parser said, shortened and redacted.
        reason: String,
    },
    /// A redirect to another origin, or out of the API.
    #[error("refusing the redirect to {to}: the login and the question are for this forge only")]
    Redirect {
        /// Where it leads.
        to: SafeUrl,
    },
    /// The answer is about something else than was asked.
    #[error("asked about {asked}, the forge answered about {answered}")]
    Another {
        /// What was asked about.
        asked: String,
        /// What the answer is about.
        answered: String,
    },
    /// The content is not what its id says.
    #[error("the content that came hashes to {found}, not to {wanted}")]
    Hash {
        /// The id that was asked for.
        wanted: String,
        /// The id of what came.
        found: String,
    },
    /// Something that must exist for the question to have an answer is not there.
    #[error("the forge has no {what}")]
    Vanished {
        /// What is missing.
        what: String,
    },
    /// A list that does not end within its bound.
    #[error("the list does not end within {bound} pages")]
    Endless {
        /// The bound.
        bound: usize,
    },
    /// A list that the forge has cut.
    #[error("the forge gave only a part of the list")]
    Truncated,
    /// A tag that leads to a file or folder, or through too many tags.
    #[error("the tag leads to no commit: {reason}")]
    NoCommit {
        /// Where it leads.
        reason: String,
    },
}

impl ForgeError {
    /// The kind of trouble.
    pub fn class(&self) -> Class {
        match self {
            ForgeError::Unreachable { source, .. } => match **source {
                HttpError::Redirect { .. } | HttpError::TooLarge { .. } => Class::Protocol,
                _ => Class::Unavailable,
            },
            ForgeError::RateLimited { .. } => Class::Unavailable,
            ForgeError::Unauthorized { .. } | ForgeError::Forbidden { .. } | ForgeError::Hidden { .. } => {
                Class::Auth
            }
            ForgeError::Status { status, .. } if status.is_server_error() => Class::Unavailable,
            ForgeError::Status { .. } | ForgeError::Protocol { .. } => Class::Protocol,
            ForgeError::Content { .. } => Class::Content,
            ForgeError::Argument { .. } => Class::Argument,
        }
    }
}

impl Question {
    /// The error for an answer that cannot be used.
    pub(crate) fn problem(&self, problem: Problem) -> ForgeError {
        ForgeError::Protocol { question: Box::new(self.clone()), problem: Box::new(problem) }
    }

    /// The error for an answer about something else.
    pub(crate) fn another(&self, asked: impl fmt::Display, answered: impl fmt::Display) -> ForgeError {
        // What a server sends in the place of a name is not repeated whole.
        let answered: String = answered.to_string().chars().filter(|c| !c.is_control()).take(80).collect();
        self.problem(Problem::Another { asked: asked.to_string(), answered })
    }
}

fn again(wait: &Option<Duration>) -> String {
    wait.map_or_else(String::new, |wait| format!(" for another {} s", wait.as_secs()))
}
