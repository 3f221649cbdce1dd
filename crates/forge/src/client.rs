//! One repository of one forge, and how it is treated.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use granary_net::header::HeaderValue;
use granary_net::{Deadline, Http, RetryPolicy};
use granary_redact::{Redactor, SafeUrl, Secret};
use url::Url;

use crate::address::{self, SetupError};
use crate::error::Question;
use crate::name::{ForgeKind, RepositoryName};
use crate::observe::{Event, Observer};

/// The longest that one question takes, retries and waiting for a quota included.
const QUESTION_TIME: Duration = Duration::from_secs(300);

/// Who asks.
#[derive(Clone, Debug, Default)]
pub enum Login {
    /// Nobody: enough for public repositories.
    #[default]
    Anonymous,
    /// An access token.
    Token(Secret),
    /// A name with a password or token, as netrc has it.
    Basic {
        /// The name.
        username: String,
        /// The password, or a token in its place.
        password: Secret,
    },
}

impl Login {
    fn shown(&self) -> &'static str {
        match self {
            Login::Anonymous => "none",
            Login::Token(_) => "a token",
            Login::Basic { .. } => "name and password",
        }
    }

    fn header(&self) -> Result<Option<HeaderValue>, SetupError> {
        let text = match self {
            Login::Anonymous => return Ok(None),
            Login::Token(token) => format!("Bearer {}", token.expose().trim()),
            Login::Basic { username, password } => {
                format!("Basic {}", STANDARD.encode(format!("{username}:{}", password.expose())))
            }
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| SetupError::Token)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// How to treat a forge.
#[derive(Clone)]
pub struct ForgeOptions {
    /// Who asks.
    pub login: Login,
    /// Plain HTTP to another machine is allowed.
    pub plain_http: bool,
    /// Tries per request.
    pub retries: RetryPolicy,
    /// The end of everything.
    pub deadline: Deadline,
    /// Knows the secrets that must not be shown should the forge repeat them; the login is added to it.
    pub redactor: Redactor,
    /// Is told of answers and pauses.
    pub observer: Option<Observer>,
}

impl ForgeOptions {
    /// Anonymous, https, the usual patience.
    pub fn new(deadline: Deadline) -> Self {
        ForgeOptions {
            login: Login::Anonymous,
            plain_http: false,
            retries: RetryPolicy::default(),
            deadline,
            redactor: Redactor::new(),
            observer: None,
        }
    }
}

/// One repository of a forge, to be asked about. Cheap to clone.
#[derive(Clone)]
pub struct Forge(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) kind: ForgeKind,
    pub(crate) api: Url,
    pub(crate) repository: RepositoryName,
    pub(crate) http: Http,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) login: &'static str,
    pub(crate) retries: RetryPolicy,
    pub(crate) deadline: Deadline,
    pub(crate) redactor: Redactor,
    pub(crate) observer: Option<Observer>,
    /// Whether it has been seen that this login may read the repository's content.
    pub(crate) readable: AtomicBool,
}

impl Forge {
    /// Nothing is asked yet. `address` is the forge's as people know it (`https://github.com`, a Gitea's
    /// front page, with a path where it has one) or its API's. The login goes to that origin and to no other.
    ///
    /// # Errors
    /// If the address is none, has a login in it, or is plain HTTP to another machine without leave; if the
    /// token cannot be sent.
    pub fn new(
        kind: ForgeKind,
        address: &str,
        repository: RepositoryName,
        http: Http,
        options: ForgeOptions,
    ) -> Result<Self, SetupError> {
        let api = address::api(kind, address, options.plain_http)?;
        let authorization = options.login.header()?;
        let mut redactor = options.redactor;
        match &options.login {
            Login::Anonymous => {}
            Login::Token(token) => redactor.add(token),
            Login::Basic { username, password } => redactor.add_basic(username, password),
        }
        Ok(Forge(Arc::new(Inner {
            kind,
            api,
            repository,
            http,
            authorization,
            login: options.login.shown(),
            retries: options.retries,
            deadline: options.deadline,
            redactor,
            observer: options.observer,
            readable: AtomicBool::new(false),
        })))
    }

    /// Which API is spoken.
    pub fn kind(&self) -> ForgeKind {
        self.0.kind
    }

    /// The repository that is asked about.
    pub fn repository(&self) -> &RepositoryName {
        &self.0.repository
    }

    /// The API's address, fit to be shown.
    pub fn address(&self) -> SafeUrl {
        SafeUrl::new(&self.0.api)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(observer) = &self.0.observer {
            observer(&event());
        }
    }

    /// A question about the repository's content. Its time begins now.
    pub(crate) fn ask(&self, doing: impl Into<String>) -> Ask {
        let needs = match self.kind() {
            ForgeKind::Gitea => "the scope read:repository and the right to read the repository's code",
            ForgeKind::GitHub => "the repository permission contents: read (classic tokens: repo)",
        };
        let question = Question {
            doing: doing.into(),
            repository: self.0.repository.to_string(),
            forge: self.address(),
            needs,
        };
        Ask { question, deadline: Deadline::after(self.0.deadline.remaining().min(QUESTION_TIME)) }
    }
}

impl fmt::Debug for Forge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Forge({} of {:?})", self.0.repository, self.address())
    }
}

/// A question under way, and when it ends.
pub(crate) struct Ask {
    pub(crate) question: Question,
    pub(crate) deadline: Deadline,
}
