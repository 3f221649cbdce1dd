//! The layout of `promotion.yaml`, version 1.

use crate::reader::Reader;
use crate::shape::{Field, Form, NAME, NAME_PATTERN, Record, Shape};
use crate::yaml::Node;

mod analysis;
mod stage;
mod window;

pub(crate) use stage::STAGE;
pub(crate) use window::OVERRIDES;

/// Most stages.
pub(crate) const MAX_STAGES: usize = 30;
/// Most analyses, and as many health checks.
pub(crate) const MAX_CHECKS: usize = 50;
/// Most keys of one list.
pub(crate) const MAX_KEYS: usize = 50;
/// Most names in one list.
pub(crate) const MAX_NAMES: usize = 200;

/// The policy.
pub(crate) static POLICY: Record = Record {
    name: "policy",
    fields: &[
        Field::new("version", Shape::Whole { least: 1, most: 1 }, "The version of this layout: 1.").needed(),
        Field::new(
            "zone",
            Shape::Text(ZONE),
            "The IANA zone of windows that name none, and of messages. Its data is built in.",
        )
        .needed(),
        Field::new("calendars", Shape::Map(&CALENDARS), "What is added to built-in calendars."),
        Field::new("freeze", Shape::Map(&FREEZE), "The file that stops the line."),
        Field::new("evidence", Shape::Map(&EVIDENCE), "What is asked of evidence, at every stage."),
        Field::new(
            "analysis",
            Shape::Names { of: &Shape::Map(&analysis::ANALYSIS), most: MAX_CHECKS },
            "Analyses by name, for stages to ask for.",
        ),
        Field::new(
            "health",
            Shape::Names { of: &Shape::Map(&HEALTH), most: MAX_CHECKS },
            "Health checks by name, for stages to ask for.",
        ),
        Field::new(
            "stages",
            Shape::Names { of: &Shape::Map(&STAGE), most: MAX_STAGES },
            "The stages. One that is not here is closed. Writing X.Y.Z is the stage `stable`.",
        )
        .needed(),
    ],
    reserved: &[
        ("audit", "where the chain of decisions is kept"),
        ("rollback", "what going back may do, and to what"),
        ("notify", "who hears of decisions"),
    ],
};

static CALENDARS: Record = Record {
    name: "calendars",
    fields: &[Field::new(
        "us-equities",
        Shape::Map(&CALENDAR),
        "The New York Stock Exchange and Nasdaq, built in up to the last year that the exchange has announced.",
    )],
    reserved: &[],
};

static CALENDAR: Record = Record {
    name: "calendar",
    fields: &[Field::new(
        "overrides",
        Shape::MapOrFile(&OVERRIDES),
        "Days that the exchange announced after our release: here, or the path of a file at the same commit.",
    )
    .needed()],
    reserved: &[],
};

static FREEZE: Record = Record {
    name: "freeze",
    fields: &[Field::new(
        "file",
        Shape::Text(PATH),
        "While this file is there at the head of the policy's branch, nothing is promoted. Default: FREEZE.",
    )
    .needed()],
    reserved: &[],
};

/// What is asked of evidence; a stage's own has the same keys.
pub(crate) static EVIDENCE: Record = Record {
    name: "evidence",
    fields: &[
        Field::new(
            "required_tests",
            Shape::List { of: &Shape::Text(TEST), least: 0, most: MAX_NAMES },
            "Tests that must have passed in at least one environment; `*` and `?` are wildcards.",
        ),
        Field::new(
            "environments",
            Shape::List { of: &Shape::Text(WORD), least: 0, most: MAX_NAMES },
            "Environments whose tests must have spoken.",
        ),
        Field::new("max_age", Shape::Text(DURATION), "The oldest test run that counts. Default: 7d."),
        Field::new("allow_warned", Shape::Flag, "Whether WARNED is good enough. Default: false."),
        Field::new(
            "trusted_keys",
            Shape::List { of: &Shape::Map(&KEY), least: 1, most: MAX_KEYS },
            "The keys whose evidence counts.",
        ),
    ],
    reserved: &[],
};

pub(crate) static KEY: Record = Record {
    name: "key",
    fields: &[
        Field::new("name", Shape::Text(WORD), "As messages and records call it.").needed(),
        Field::new(
            "key",
            Shape::Text(PEM),
            "A P-256 public key in PEM, or the path of a .pub or .pem file at the same commit.",
        )
        .needed(),
        Field::new(
            "environments",
            Shape::List { of: &Shape::Text(WORD), least: 1, most: MAX_NAMES },
            "Environments that it may sign for; all where left out.",
        ),
        Field::new("not_before", Shape::Text(TIMESTAMP), "Evidence finished before this does not count."),
        Field::new(
            "not_after",
            Shape::Text(TIMESTAMP),
            "Evidence finished at this time or later does not count.",
        ),
    ],
    reserved: &[],
};

static HEALTH: Record = Record {
    name: "health",
    fields: &[
        Field::new("url", Shape::Text(URL), "What is asked, by GET. No redirect is followed.").needed(),
        Field::new(
            "status",
            Shape::Whole { least: 100, most: 599 },
            "The status that is healthy. Default: 200.",
        ),
        Field::new("json", Shape::Map(&HEALTH_JSON), "What the body must say besides."),
        Field::new(
            "timeout",
            Shape::Text(DURATION),
            "How long the answer may take, at most 60s. Default: 10s.",
        ),
    ],
    reserved: &[],
};

static HEALTH_JSON: Record = Record {
    name: "health_json",
    fields: &[
        Field::new("path", Shape::Text(POINTER), "Where the field is, as a JSON pointer.").needed(),
        Field::new("equals", Shape::Scalar, "What it must be, kind and value.").needed(),
    ],
    reserved: &[],
};

/// Reports whatever in a file has not its layout.
pub(crate) fn check(record: &'static Record, reader: &mut Reader, root: &Node) {
    Shape::Map(record).check(reader, "", root);
}

const fn form(says: &'static str, pattern: Option<&'static str>) -> Form {
    Form { says, pattern, free: false, one_line: true }
}

pub(crate) const ZONE: Form = form("an IANA zone like America/New_York", Some("^[A-Za-z0-9_+/-]+$"));
pub(crate) const NAMED: Form = form(NAME, Some(NAME_PATTERN));
pub(crate) const WORD: Form = form("a name", None);
pub(crate) const TEST: Form = form("the name of a test, `*` and `?` are wildcards", None);
pub(crate) const PATH: Form =
    form("a path from the repository's root like policy/FREEZE", Some("^[^/\\\\].*$"));
pub(crate) const DURATION: Form =
    form("a duration like 90s, 15m, 1h30m or 7d", Some("^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"));
pub(crate) const GO_DURATION: Form =
    form("a duration like 30s, 5m or 1h30m", Some("^[-+]?([0-9.]+[a-zµμ]+)+$|^[-+]?0$"));
pub(crate) const TIME: Form = form("a time like 09:30", Some("^([01][0-9]|2[0-3]):[0-5][0-9]$"));
pub(crate) const DATE: Form = form("a date like 2029-01-09", Some("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"));
pub(crate) const MOMENT: Form = form(
    "a moment like 2026-12-24T12:00",
    Some("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?$"),
);
pub(crate) const TIMESTAMP: Form =
    form("a time like 2027-01-31T00:00:00Z", Some("^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ].+$"));
pub(crate) const URL: Form =
    form("a URL like https://app.example.com/health", Some("^[Hh][Tt][Tt][Pp][Ss]?://.+$"));
pub(crate) const POINTER: Form = form("a JSON pointer like /status/phase", Some("^/"));
pub(crate) const PEM: Form =
    Form { says: "a public key in PEM, or the path of a file", pattern: None, free: true, one_line: false };
pub(crate) const SSH_KEY: Form = Form {
    says: "an SSH public key like ssh-ed25519 AAAA…",
    pattern: Some("^\\s*(ssh-ed25519|ecdsa-sha2-nistp256)\\s"),
    free: true,
    one_line: false,
};
pub(crate) const PROSE: Form = Form { says: "a text", pattern: None, free: true, one_line: false };
pub(crate) const LINE: Form = Form { says: "a text", pattern: None, free: true, one_line: true };
