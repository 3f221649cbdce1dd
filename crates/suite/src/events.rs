//! Which events may publish and promote.

use granary_plugin::{Ci, Event, Failure, Kind};

/// Refuses to go on where the event is a pull request's, is one that this version does not know, or is
/// missing: what is unknown is denied (DESIGN §4.5, §4.12). Runs by hand have no event.
///
/// # Errors
/// With exit code 10.
pub fn check_event(ci: &Ci, verb: &str) -> Result<(), Failure> {
    let (name, hint) = match &ci.event {
        Some(event) if event.is_pull_request() => {
            (event.name(), "anybody may open a pull request; use `when: event: [push, tag, manual]`")
        }
        Some(Event::Unknown(name)) => {
            (name.as_str(), "this version does not know the event; use `when: event: [push, tag, manual]`")
        }
        None if ci.is_woodpecker() => {
            ("none", "Woodpecker always sets CI_PIPELINE_EVENT; by hand, leave CI unset")
        }
        _ => return Ok(()),
    };
    Err(Failure::new(Kind::Refused, format!("refusing to {verb} on event {name}")).hint(hint).refusing(
        "event",
        name,
        "push, tag, release, manual, deployment or cron",
    ))
}
