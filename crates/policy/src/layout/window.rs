//! Windows and days.

use super::{DATE, DURATION, LINE, MAX_NAMES, MOMENT, TIME, WORD, ZONE, form};
use crate::shape::{Field, Record, Shape};

/// Most entries of one list of corrected days.
const MAX_DAYS: usize = 500;

/// `mon`, `mon-fri`
const DAY: Shape = Shape::Text(form(
    "a weekday or a range of them like mon-fri",
    Some("^(mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?$"),
));

/// A window.
pub(crate) static WINDOW: Record = Record {
    name: "window",
    fields: &[
        Field::new("name", Shape::Text(LINE), "What messages and records call it."),
        Field::new(
            "effect",
            Shape::Word(&["allow", "deny"]),
            "Deny wins; where there are allows, one of them must be on.",
        )
        .needed(),
        Field::new(
            "days",
            Shape::List { of: &DAY, least: 1, most: 7 },
            "On which days it begins; whole days without `from` and `to`.",
        ),
        Field::new("from", Shape::Text(TIME), "When it begins; the instant itself is inside."),
        Field::new("to", Shape::Text(TIME), "When it ends; the instant itself is outside."),
        Field::new("crosses_midnight", Shape::Flag, "Whether `to` is on the next day. Default: false."),
        Field::new("start", Shape::Text(MOMENT), "The beginning of a window that comes once."),
        Field::new("end", Shape::Text(MOMENT), "Its end."),
        Field::new("calendar", Shape::Word(&["us-equities"]), "A calendar whose sessions make the window."),
        Field::new(
            "session",
            Shape::Word(&["regular", "extended", "custom"]),
            "Which hours of the calendar's sessions. Default: regular.",
        ),
        Field::new("open", Shape::Text(TIME), "When a custom session begins."),
        Field::new("close", Shape::Text(TIME), "When a custom session ends, on days without an early close."),
        Field::new(
            "when",
            Shape::Word(&["in_session", "out_of_session"]),
            "Whether the window is on during sessions or between them.",
        ),
        Field::new("zone", Shape::Text(ZONE), "The zone of its times. Default: the policy's."),
        Field::new(
            "guard_before",
            Shape::Text(DURATION),
            "How long before an allow ends or a deny begins nothing may start any more. Default: 15m.",
        ),
        Field::new(
            "guard_after",
            Shape::Text(DURATION),
            "How long after an allow begins or a deny ends nothing may start yet. Default: 0s.",
        ),
        Field::new("reason", Shape::Text(LINE), "Why; shown to whoever it stops."),
    ],
    reserved: &[],
};

/// Days that a calendar has wrong.
pub(crate) static OVERRIDES: Record = Record {
    name: "overrides",
    fields: &[
        Field::new(
            "calendar",
            Shape::Word(&["us-equities"]),
            "Which calendar; needed only in a file of its own.",
        ),
        Field::new("version", Shape::Text(WORD), "Changes with the entries; is in every record.").needed(),
        Field::new(
            "closed",
            Shape::List { of: &Shape::Map(&DAY_ENTRY), least: 0, most: MAX_DAYS },
            "Days without trading.",
        ),
        Field::new(
            "early_close",
            Shape::List { of: &Shape::Map(&DAY_ENTRY), least: 0, most: MAX_DAYS },
            "Sessions that end early, at `close`.",
        ),
        Field::new(
            "open",
            Shape::List { of: &Shape::Map(&DAY_ENTRY), least: 0, most: MAX_DAYS },
            "Days with an ordinary session that the calendar has as something else.",
        ),
    ],
    reserved: &[],
};

static DAY_ENTRY: Record = Record {
    name: "day",
    fields: &[
        Field::new("date", Shape::Text(DATE), "The day.").needed(),
        Field::new("reason", Shape::Text(LINE), "What was announced.").needed(),
        Field::new("close", Shape::Text(TIME), "When an early close is."),
    ],
    reserved: &[],
};

/// Most windows of one stage.
pub(crate) const MAX_WINDOWS: usize = 50;

const _: () = assert!(MAX_WINDOWS <= MAX_NAMES, "a stage's windows are fewer than a list may have names");
