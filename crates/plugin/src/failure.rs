//! How a run ends badly: one type, one table of exit codes, one way to print.
//!
//! Libraries have their own errors; a plugin maps each of them to a [`Failure`] once, at its edge. Nothing
//! here decides whether something failed.

use std::error::Error;
use std::fmt;

/// Why a run ended badly. Each kind is one exit code; this is the table of DESIGN §6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A bug of ours.
    Unexpected,
    /// Settings that cannot be used.
    Settings,
    /// A gate or the policy said no.
    Refused,
    /// Somebody else has the version, or the place.
    Conflict,
    /// A server did not answer, or the step's own time ran out while it waited.
    Unavailable,
    /// The tests failed or did not run.
    Tests,
    /// There is no acceptable evidence.
    Evidence,
    /// A gate could not be decided, which is a no.
    Undecidable,
    /// A test that must fail passed.
    NegativeControl,
    /// Something waits longer than it may (`status`).
    Stuck,
    /// Credentials are wrong or not enough.
    Unauthorized,
    /// The remote understood and said no: a hook, a protection, a quota.
    RemoteRefused,
    /// A file, an archive or an answer that cannot be read.
    BadInput,
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl Kind {
    /// Every kind, in order of exit codes.
    pub const ALL: [Kind; 15] = [
        Kind::Unexpected,
        Kind::Settings,
        Kind::Refused,
        Kind::Conflict,
        Kind::Unavailable,
        Kind::Tests,
        Kind::Evidence,
        Kind::Undecidable,
        Kind::NegativeControl,
        Kind::Stuck,
        Kind::Unauthorized,
        Kind::RemoteRefused,
        Kind::BadInput,
        Kind::Interrupted,
        Kind::Terminated,
    ];

    /// The exit code and what `--help` says about it.
    const fn entry(self) -> (u8, &'static str) {
        match self {
            Kind::Unexpected => (1, "unexpected: a bug"),
            Kind::Settings => (2, "bad settings"),
            Kind::Refused => (10, "refused by a gate or by policy"),
            Kind::Conflict => (11, "conflict: version taken, superseded by newer, push race lost for good"),
            Kind::Unavailable => (12, "remote unavailable after retries, or `timeout` reached"),
            Kind::Tests => (13, "the tests failed or did not run"),
            Kind::Evidence => (14, "evidence missing or not acceptable"),
            Kind::Undecidable => (15, "a gate could not be decided"),
            Kind::NegativeControl => (16, "the negative control passed: the gate is broken"),
            Kind::Stuck => (17, "stuck longer than allowed"),
            Kind::Unauthorized => (18, "authentication or permission refused"),
            Kind::RemoteRefused => (19, "the remote refused the write (hook, protection, quota)"),
            Kind::BadInput => (20, "bad input data (archive, YAML, results, key)"),
            Kind::Interrupted => (130, "stopped by SIGINT"),
            Kind::Terminated => (143, "stopped by SIGTERM"),
        }
    }

    /// The exit code.
    pub const fn code(self) -> u8 {
        self.entry().0
    }

    /// What the exit code means, as `--help` prints it.
    pub const fn meaning(self) -> &'static str {
        self.entry().1
    }

    /// Whether this is a decision (`refused` in the result file) rather than an accident (`failed`):
    /// 10, 11 and 14 to 16.
    pub const fn is_refusal(self) -> bool {
        matches!(self.code(), 10 | 11 | 14..=16)
    }
}

/// What a refusal was about, for the result file: the rule, what was found, what would have been needed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Refusal {
    /// The rule that said no, by a stable name.
    pub rule: String,
    /// What was found.
    pub found: String,
    /// What would have been accepted.
    pub needed: String,
}

/// The end of a run that did not succeed. Boxed inside: it travels through every `?` of a plugin.
#[derive(Debug)]
pub struct Failure(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hints: Vec<String>,
    refusal: Option<Refusal>,
}

impl Failure {
    /// A failure with a message that is a lower-case fragment without a full stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Failure(Box::new(Inner {
            kind,
            message: message.into(),
            source: None,
            hints: Vec::new(),
            refusal: None,
        }))
    }

    /// Names the error that led here; it is printed with all of its own causes, so the message must not
    /// repeat it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds something that the reader can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// Adds the record of a refusal to the result file.
    #[must_use]
    pub fn refusing(
        mut self,
        rule: impl Into<String>,
        found: impl Into<String>,
        needed: impl Into<String>,
    ) -> Self {
        self.0.refusal = Some(Refusal { rule: rule.into(), found: found.into(), needed: needed.into() });
        self
    }

    /// Why, and with which exit code.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The record for the result file. A refusal that left none gets its message as what was found.
    pub fn refusal(&self) -> Option<Refusal> {
        let bare = || Refusal {
            rule: self.0.kind.meaning().to_owned(),
            found: self.0.message.clone(),
            needed: self.0.hints.join("; "),
        };
        self.0.kind.is_refusal().then(|| self.0.refusal.clone().unwrap_or_else(bare))
    }

    /// What the log shows: the message, numbered causes, then hints.
    pub fn render(&self) -> String {
        let mut lines = vec![format!("error: {}", self.0.message)];
        let causes = chain(self).skip(1).enumerate();
        lines.extend(causes.map(|(index, cause)| format!("  cause {}: {cause}", index + 1)));
        lines.extend(self.0.hints.iter().map(|hint| format!("hint: {hint}")));
        lines.join("\n")
    }
}

/// An error with all of its causes, on one line.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    chain(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open config.json")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_codes_are_those_of_the_contract() {
        let codes: Vec<u8> = Kind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes, [1, 2, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 130, 143]);
        let refusals: Vec<u8> =
            Kind::ALL.iter().filter(|kind| kind.is_refusal()).map(|kind| kind.code()).collect();
        assert_eq!(refusals, [10, 11, 14, 15, 16]);
    }

    #[test]
    fn the_chain_is_numbered_and_hints_come_last() {
        let failure = Failure::new(Kind::Conflict, "refusing to move 1.2.3")
            .caused_by(Outer(std::io::Error::other("denied")))
            .hint("use another version")
            .hint("or none");
        assert_eq!(
            failure.render(),
            "error: refusing to move 1.2.3\n  cause 1: cannot open config.json\n  cause 2: denied\n\
             hint: use another version\nhint: or none"
        );
        assert_eq!(with_causes(&failure), "refusing to move 1.2.3: cannot open config.json: denied");
    }

    #[test]
    fn only_refusals_leave_a_record_and_each_leaves_one() {
        assert_eq!(Failure::new(Kind::Unavailable, "x").refusing("a", "b", "c").refusal(), None);
        let bare = Failure::new(Kind::Evidence, "no evidence for sha256:ab").hint("run the tests").refusal();
        assert_eq!(
            bare,
            Some(Refusal {
                rule: "evidence missing or not acceptable".to_owned(),
                found: "no evidence for sha256:ab".to_owned(),
                needed: "run the tests".to_owned()
            })
        );
    }
}
