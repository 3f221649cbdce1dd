//! What `lint` has to say.

use jiff::Timestamp;

use crate::sample::{EXAMPLE, hold, read};

/// The findings of a policy, as seen from November 2026.
fn findings(text: &str) -> Vec<String> {
    let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a timestamp");
    let policy = read(text).unwrap_or_else(|errors| panic!("{errors:#?}"));
    policy.lint(now).iter().map(|finding| finding.to_string().replacen("promotion.yaml:", "", 1)).collect()
}

#[test]
fn what_may_not_be_meant_is_told_with_its_place() {
    hold("odd.txt", findings);
}

#[test]
fn the_example_is_odd_only_where_it_means_to_be() {
    let found = findings(EXAMPLE);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("`office hours` allows what `end of the year` denies"), "{found:?}");
    let text = EXAMPLE.replace("[integration, staging]", "[integration, prod]");
    let found = findings(&text);
    assert!(
        found.iter().any(|line| line.ends_with("`prod` is asked for, and no trusted key may sign for it")),
        "{found:?}"
    );
}
