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

#[cfg(test)]
mod tests {
    use granary_plugin::Env;

    use super::*;

    #[test]
    fn what_is_not_known_to_be_allowed_is_denied() {
        // CI, CI_PIPELINE_EVENT, what is refused
        let table = [
            ("woodpecker", "push", None),
            ("woodpecker", "tag", None),
            ("woodpecker", "release", None),
            ("woodpecker", "manual", None),
            ("woodpecker", "deployment", None),
            ("woodpecker", "cron", None),
            ("woodpecker", "pull_request", Some("pull_request")),
            ("woodpecker", "pull_request_closed", Some("pull_request_closed")),
            ("woodpecker", "pull_request_metadata", Some("pull_request_metadata")),
            ("woodpecker", "pull_request_of_tomorrow", Some("pull_request_of_tomorrow")),
            ("woodpecker", "Push", Some("Push")),
            ("woodpecker", "", Some("none")),
            ("", "", None),
            ("", "pull_request", Some("pull_request")),
            ("", "whatever", Some("whatever")),
        ];
        for (system, event, refused) in table {
            let (ci, _) = Ci::read(&Env::from_pairs([("CI", system), ("CI_PIPELINE_EVENT", event)]));
            let outcome = check_event(&ci, "publish").map_err(|failure| {
                assert_eq!(failure.kind().code(), 10, "{event}");
                let refusal = failure.refusal().unwrap();
                assert_eq!(refusal.rule, "event");
                assert_eq!(failure.to_string(), format!("refusing to publish on event {}", refusal.found));
                refusal.found
            });
            assert_eq!(outcome.err().as_deref(), refused, "CI={system} CI_PIPELINE_EVENT={event}");
        }
    }
}
