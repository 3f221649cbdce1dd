//! Stages, and how their gates may be overridden.

use super::window::{MAX_WINDOWS, WINDOW};
use super::{DURATION, EVIDENCE, KEY, MAX_KEYS, MAX_NAMES, NAMED, SSH_KEY, WORD};
use crate::shape::{Field, Record, Shape};

/// Most rules about shortest times in one stage.
const MAX_SOAK: usize = 10;

/// One stage.
pub(crate) static STAGE: Record = Record {
    name: "stage",
    fields: &[
        Field::new(
            "windows",
            Shape::List { of: &Shape::Map(&WINDOW), least: 0, most: MAX_WINDOWS },
            "When it may be written. Left out or empty: at any time.",
        ),
        Field::new("freeze", Shape::Flag, "Whether it stops when the line is stopped. Default: true."),
        Field::new(
            "soak",
            Shape::List { of: &Shape::Map(&SOAK), least: 0, most: MAX_SOAK },
            "How long things must have been as they are.",
        ),
        Field::new("approvals", Shape::Map(&APPROVALS), "Who must approve."),
        Field::new(
            "analysis",
            Shape::List { of: &Shape::Text(NAMED), least: 0, most: MAX_NAMES },
            "Names of analyses that must have succeeded.",
        ),
        Field::new(
            "health",
            Shape::List { of: &Shape::Text(NAMED), least: 0, most: MAX_NAMES },
            "Names of health checks that must have succeeded.",
        ),
        Field::new(
            "evidence",
            Shape::Map(&EVIDENCE),
            "What is asked of evidence here. Each key that is here replaces the policy's.",
        ),
        Field::new("break_glass", Shape::Map(&BREAK_GLASS), "Who may override time and approvals, and how."),
        Field::new(
            "allow",
            Shape::List { of: &Shape::Text(WORD), least: 0, most: MAX_NAMES },
            "Settings that weaken a check and count even in restarted and deployed pipelines.",
        ),
        Field::new(
            "promoter_keys",
            Shape::List { of: &Shape::Map(&KEY), least: 1, most: MAX_KEYS },
            "The keys whose promotion summaries count.",
        ),
    ],
    reserved: &[
        ("after", "the stage that comes before it"),
        ("updates", "what a promotion to it changes"),
        ("rollback", "what going back may do, and to what"),
        ("notify", "who hears of decisions"),
    ],
};

static SOAK: Record = Record {
    name: "soak",
    fields: &[
        Field::new(
            "since",
            Shape::Text(NAMED),
            "`published` (the candidate was), `tested` (the newest of its tests ended), or a stage of this file \
             (it was let in there).",
        )
        .needed(),
        Field::new("at_least", Shape::Text(DURATION), "How long ago that must be.").needed(),
    ],
    reserved: &[],
};

static APPROVALS: Record = Record {
    name: "approvals",
    fields: &[
        Field::new(
            "at_least",
            Shape::Whole { least: 1, most: 20 },
            "How many persons, without the one who asks.",
        )
        .needed(),
        Field::new(
            "of",
            Shape::List { of: &Shape::Text(WORD), least: 1, most: MAX_NAMES },
            "Logins whose approval counts; anybody's where left out.",
        ),
    ],
    reserved: &[],
};

static BREAK_GLASS: Record = Record {
    name: "break_glass",
    fields: &[
        Field::new(
            "mode",
            Shape::Word(&["never", "allowed", "required"]),
            "`never`; `allowed`: a request overrides, without one the gates decide; `required`: nothing passes \
             without a request.",
        )
        .needed(),
        Field::new(
            "reason_min",
            Shape::Whole { least: 1, most: 500 },
            "How many characters a reason must have. Default: 10.",
        ),
        Field::new(
            "ticket",
            Shape::Word(&["required", "optional"]),
            "Whether a request must name a ticket. Default: required.",
        ),
        Field::new("max_age", Shape::Text(DURATION), "How long a request holds, at most 60m. Default: 60m."),
        Field::new(
            "signatures",
            Shape::Whole { least: 0, most: 2 },
            "How many persons must have signed a request. Default: 1.",
        ),
        Field::new(
            "keys",
            Shape::List { of: &Shape::Map(&SIGNER), least: 1, most: MAX_KEYS },
            "Who may sign requests. Entries of one name are keys of one person.",
        ),
    ],
    reserved: &[],
};

static SIGNER: Record = Record {
    name: "signer",
    fields: &[
        Field::new("name", Shape::Text(WORD), "The person.").needed(),
        Field::new("key", Shape::Text(SSH_KEY), "One line of an id_ed25519.pub.").needed(),
    ],
    reserved: &[],
};
