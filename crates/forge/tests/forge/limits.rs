//! Quotas and lists that go on.

use std::time::Duration;

use granary_forge::{Class, ForgeError, ForgeKind, Problem, Protection, Rules, Who};

use crate::scripted::Scripted;

const BRANCH: &str = "/api/v3/repos/ci/app/branches/main";
const RULES: &str = "/api/v3/repos/ci/app/rules/branches/main?per_page=100";
const ANSWER: &str =
    r#"{"name":"main","commit":{"sha":"54ab425bb850301107c04101e875f34626d2fccb"},"protected":false}"#;

#[tokio::test]
async fn a_short_wait_is_waited() {
    let scripted = Scripted::start().await;
    scripted.on(BRANCH, 429, &[("Retry-After", "0")], "").json(BRANCH, ANSWER).json(RULES, "[]");
    let branch = scripted.forge(ForgeKind::GitHub).branch("main").await.unwrap().unwrap();
    assert_eq!(branch.protection, Protection::Unprotected);
}

#[tokio::test]
async fn a_long_one_is_an_error_at_once_and_not_a_lack_of_rights() {
    let headers: [(&str, &str); 3] = [
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", "1795248000"),
        ("Date", "Sat, 21 Nov 2026 07:00:00 GMT"),
    ];
    let scripted = Scripted::start().await;
    scripted.on(BRANCH, 403, &headers, r#"{"message":"API rate limit exceeded"}"#);
    let error = scripted.forge(ForgeKind::GitHub).branch("main").await.unwrap_err();
    assert_eq!(error.class(), Class::Unavailable);
    let ForgeError::RateLimited { wait, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*wait, Some(Duration::from_secs(3601)));
    assert_eq!(scripted.asked().len(), 1);
    // Within the time of a question, and still more than anybody waits.
    let scripted = Scripted::start().await;
    scripted.on(BRANCH, 429, &[("Retry-After", "200")], "");
    let error = scripted.forge(ForgeKind::GitHub).branch("main").await.unwrap_err();
    assert!(error.to_string().ends_with("rate limit is used up for another 200 s"), "{error}");
    assert_eq!(scripted.asked().len(), 1, "at once");
}

#[tokio::test]
async fn lists_go_on_at_the_same_forge_only() {
    let second = "/api/v3/repositories/1/rules/branches/main?page=2";
    let scripted = Scripted::start().await;
    let next = format!("<{}{second}>; rel=\"next\"", scripted.url);
    scripted.json(BRANCH, ANSWER);
    scripted.on(RULES, 200, &[("Link", &next)], r#"[{"type":"deletion"}]"#);
    scripted.json(second, r#"[{"type":"non_fast_forward"}]"#);
    let branch = scripted.forge(ForgeKind::GitHub).branch("main").await.unwrap().unwrap();
    let Protection::Protected(Rules::Known(rules)) = branch.protection else { panic!("{branch:?}") };
    assert_eq!((rules.push, rules.force_push), (Who::Writers, Who::Nobody));

    let elsewhere = Scripted::start().await;
    let scripted = Scripted::start().await;
    let next = format!("<{}{second}>; rel=\"next\"", elsewhere.url);
    scripted.json(BRANCH, ANSWER).on(RULES, 200, &[("Link", &next)], r#"[{"type":"deletion"}]"#);
    let error = scripted.forge(ForgeKind::GitHub).branch("main").await.unwrap_err();
    assert!(
        matches!(error, ForgeError::Protocol { problem, .. } if matches!(*problem, Problem::Redirect { .. }))
    );
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_list_without_end_is_an_error() {
    let scripted = Scripted::start().await;
    let next = format!("<{RULES}>; rel=\"next\"");
    scripted.json(BRANCH, ANSWER).on(RULES, 200, &[("Link", &next)], r#"[{"type":"deletion"}]"#);
    let error = scripted.forge(ForgeKind::GitHub).branch("main").await.unwrap_err();
    assert!(error.to_string().ends_with("the list does not end within 20 pages"), "{error}");
    assert_eq!(scripted.asked().len(), 21);
}
