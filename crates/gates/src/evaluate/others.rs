//! What is not for time to decide: persons, and what others have measured.

use std::collections::BTreeSet;

use crate::facts::{Approval, Fact, Facts};
use crate::rules::{Approvals, StageRules};
use crate::verdict::{Decision, Reason, Rule};

/// Counts persons; one who asks and approves is one too few. Who asks matters only where it tips the balance.
pub(super) fn approvals(rule: &Approvals, facts: &Facts) -> Reason {
    let needed = rule.at_least.get();
    let of: BTreeSet<String> = rule.of.iter().map(|login| person(login)).collect();
    let (decision, found) = match (&facts.approvals, &facts.requester) {
        (Fact::Unknown(why), _) => (Decision::Undecidable, format!("approvals are not known: {why}")),
        (Fact::Known(approvals), Fact::Known(requester)) if !requester.trim().is_empty() => {
            let mut persons = persons(approvals, &of);
            persons.remove(&person(requester));
            let decision = if persons.len() >= needed { Decision::Allow } else { Decision::Deny };
            (decision, format!("approved by {}", listed(&persons)))
        }
        // One of those who approve may be the one who asks.
        (Fact::Known(approvals), requester) => {
            let persons = persons(approvals, &of);
            let why = match requester {
                Fact::Unknown(why) => why,
                Fact::Known(_) => "the name is empty",
            };
            let decision = match persons.len() {
                count if count > needed => Decision::Allow,
                count if count == needed => Decision::Undecidable,
                _ => Decision::Deny,
            };
            (decision, format!("approved by {}; who asks is not known: {why}", listed(&persons)))
        }
    };
    let whose = if of.is_empty() { String::new() } else { format!(" of {}", listed(&of)) };
    let needed = format!("approval by {needed}{whose}, not counting who asks");
    Reason { rule: Rule::Approvals, name: "approvals".to_owned(), decision, found, needed }
}

/// Every outcome that was given, and every one that the rules ask for and nobody gave.
pub(super) fn outcomes(stage: &StageRules, facts: &Facts) -> Vec<Reason> {
    let reason = |name: &str, decision, found: &str| Reason {
        rule: Rule::Analysis,
        name: name.to_owned(),
        decision,
        found: found.to_owned(),
        needed: "an analysis that lets it pass".to_owned(),
    };
    let given = facts.outcomes.iter();
    let missing = stage.outcomes.iter().filter(|name| !given.clone().any(|outcome| outcome.name == **name));
    let missing = missing.map(|name| reason(name, Decision::Undecidable, "no outcome"));
    given.clone().map(|one| reason(&one.name, one.decision, &one.reason)).chain(missing).collect()
}

/// A login as forges compare it.
fn person(login: &str) -> String {
    login.trim().to_lowercase()
}

/// Those whose approval counts, each once.
fn persons(approvals: &[Approval], of: &BTreeSet<String>) -> BTreeSet<String> {
    let persons = approvals.iter().map(|approval| person(&approval.by));
    persons.filter(|login| !login.is_empty() && (of.is_empty() || of.contains(login))).collect()
}

fn listed(persons: &BTreeSet<String>) -> String {
    match persons.is_empty() {
        true => "nobody".to_owned(),
        false => persons.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    }
}
