//! A forge that is down, slow, broken, or not the forge: an error each time, never an answer.

use std::time::Duration;

use granary_forge::{At, Class, Forge, ForgeError, ForgeKind, ForgeOptions, Login, ObjectId, Problem};
use granary_net::{Deadline, Http, HttpOptions};
use granary_redact::Secret;

use crate::scripted::{Scripted, TOKEN};

const BRANCH: &str = "/api/v1/repos/ci/app/branches/main";
const HEAD: &str = "54ab425bb850301107c04101e875f34626d2fccb";
const BLOB: &str = "b82551848c644f63b8517a7bdf8be9a992e6f4da";
const FLAGS: &str = "stat=false&verification=false&files=false";

fn branch_json() -> String {
    format!(r#"{{"name":"main","commit":{{"id":"{HEAD}"}},"protected":false}}"#)
}

async fn error(scripted: &Scripted) -> ForgeError {
    scripted.forge(ForgeKind::Gitea).branch("main").await.unwrap_err()
}

/// The answers around one file, with this tree and this blob.
fn file(scripted: &Scripted, tree: &str, blob: &str) {
    let below = "/api/v1/repos/ci/app/git";
    let commit = format!(r#"{{"sha":"{HEAD}","parents":[],"commit":{{"message":"x"}}}}"#);
    scripted.json(&format!("{below}/commits/{HEAD}?{FLAGS}"), &commit);
    scripted.json(&format!("{below}/trees/{HEAD}?page=1"), tree);
    scripted.json(&format!("{below}/blobs/{BLOB}"), blob);
}

async fn read(scripted: &Scripted) -> Result<Option<granary_forge::File>, ForgeError> {
    let at = At::Commit(HEAD.parse::<ObjectId>().unwrap());
    scripted.forge(ForgeKind::Gitea).file("promotion.yaml", &at).await
}

fn tree(entries: &str, truncated: bool) -> String {
    format!(r#"{{"sha":"{HEAD}","tree":[{entries}],"truncated":{truncated}}}"#)
}

fn entry() -> String {
    format!(r#"{{"path":"promotion.yaml","mode":"100644","type":"blob","size":11,"sha":"{BLOB}"}}"#)
}

fn problem(error: ForgeError) -> Problem {
    match error {
        ForgeError::Protocol { problem, .. } => *problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn down() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let http = Http::new(HttpOptions::default()).unwrap();
    let mut options = ForgeOptions::new(Deadline::after(Duration::from_secs(5)));
    options.login = Login::Basic { username: "ci".to_owned(), password: Secret::new(TOKEN) };
    options.retries.attempts = 2;
    let forge = Forge::new(ForgeKind::Gitea, &url, "ci/app".parse().unwrap(), http, options).unwrap();
    let error = forge.branch("main").await.unwrap_err();
    assert_eq!(error.class(), Class::Unavailable);
    assert_eq!(
        error.to_string(),
        format!("reading branch main of ci/app at {url}/api/v1/: no usable answer")
    );
    assert!(!format!("{error:?}").contains(TOKEN));
}

#[test]
fn a_login_that_cannot_be_sent_is_not_left_out() {
    let mut options = ForgeOptions::new(Deadline::after(Duration::from_secs(5)));
    options.login = Login::Token(Secret::new("hunter2\nhunter2"));
    let http = Http::new(HttpOptions::default()).unwrap();
    let repository = "ci/app".parse().unwrap();
    let error = Forge::new(ForgeKind::Gitea, "https://forge.test", repository, http, options).unwrap_err();
    assert_eq!(error.to_string(), "the forge's token has characters in it that no token has (a line break?)");
}

#[tokio::test]
async fn silent() {
    let scripted = Scripted::start().await;
    scripted.raw(BRANCH, "");
    let impatient = scripted.patient(ForgeKind::Gitea, "ci/app", 2, Duration::from_millis(100));
    let error = impatient.branch("main").await.unwrap_err();
    assert_eq!(error.class(), Class::Unavailable, "{error:?}");
    assert_eq!(scripted.asked().len(), 2);
}

#[tokio::test]
async fn server_errors_are_tried_again_and_then_told() {
    let scripted = Scripted::start().await;
    scripted.on(BRANCH, 502, &[], "").on(BRANCH, 500, &[], "").json(BRANCH, &branch_json());
    assert!(scripted.forge(ForgeKind::Gitea).branch("main").await.unwrap().is_some());
    assert_eq!(scripted.asked().len(), 3);

    let scripted = Scripted::start().await;
    scripted.on(BRANCH, 500, &[], format!(r#"{{"message":"panic with {TOKEN}"}}"#));
    let error = error(&scripted).await;
    assert_eq!(error.class(), Class::Unavailable);
    assert!(error.to_string().ends_with("answered 500 Internal Server Error: panic with ***"), "{error}");
    assert_eq!(scripted.asked().len(), 3);
}

#[tokio::test]
async fn pages_for_people_are_no_answers() {
    for status in [200, 404] {
        let scripted = Scripted::start().await;
        scripted.on(
            BRANCH,
            status,
            &[("Content-Type", "text/html")],
            "\n<!DOCTYPE html><title>Sign in</title>",
        );
        assert!(matches!(problem(error(&scripted).await), Problem::WebPage { .. }), "{status}");
    }
    // A route that the API does not have is not a branch that does not exist.
    let scripted = Scripted::start().await;
    scripted.on(BRANCH, 404, &[("Content-Type", "text/plain")], "404 page not found\n");
    assert!(matches!(error(&scripted).await, ForgeError::Status { .. }));
}

#[tokio::test]
async fn other_json_is_no_answer() {
    let other = branch_json().replace(r#""main""#, r#""other""#);
    let short = branch_json().replace(HEAD, "54ab425");
    for body in ["{}", "[]", "null", "", "\"main\"", "{\"name\":\"main\"", &other, &short] {
        let scripted = Scripted::start().await;
        scripted.json(BRANCH, body);
        let error = error(&scripted).await;
        assert_eq!(error.class(), Class::Protocol, "{body}: {error:?}");
    }
}

#[tokio::test]
async fn a_protection_that_is_not_told_is_unknown() {
    let scripted = Scripted::start().await;
    scripted.json(BRANCH, &branch_json().replace(r#","protected":false"#, ""));
    let branch = scripted.forge(ForgeKind::Gitea).branch("main").await.unwrap().unwrap();
    assert!(matches!(branch.protection, granary_forge::Protection::Unknown { .. }));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let scripted = Scripted::start().await;
    scripted.raw(BRANCH, format!("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}", branch_json()));
    let error = error(&scripted).await;
    assert_eq!(error.class(), Class::Unavailable, "{error:?}");
    assert_eq!(scripted.asked().len(), 3);
}

#[tokio::test]
async fn answers_are_bounded() {
    let scripted = Scripted::start().await;
    scripted.raw(BRANCH, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{");
    assert_eq!(error(&scripted).await.class(), Class::Protocol);
    assert_eq!(scripted.asked().len(), 1);
}

#[tokio::test]
async fn nobody_else_is_asked() {
    let elsewhere = Scripted::start().await;
    elsewhere.json(BRANCH, &branch_json());
    let host = elsewhere.url.trim_start_matches("http:");
    let targets = [
        format!("{}{BRANCH}", elsewhere.url),
        format!("{host}{BRANCH}"),
        "/user/login".to_owned(),
        "http://[".to_owned(),
    ];
    for target in targets {
        let scripted = Scripted::start().await;
        scripted.on(BRANCH, 302, &[("Location", &target)], "");
        assert!(matches!(problem(error(&scripted).await), Problem::Redirect { .. }), "{target}");
    }
    assert!(elsewhere.asked().is_empty(), "not even without the login");
}

#[tokio::test]
async fn a_renamed_repository_is_followed_within_the_api_and_seen() {
    let scripted = Scripted::start().await;
    scripted.on("/api/v1/repos/ci/app", 301, &[("Location", "/api/v1/repos/ci/new")], "");
    scripted.json("/api/v1/repos/ci/new", r#"{"full_name":"ci/new","default_branch":"main"}"#);
    let error = scripted.forge(ForgeKind::Gitea).default_branch().await.unwrap_err();
    assert!(error.to_string().ends_with("asked about ci/app, the forge answered about ci/new"), "{error}");
    let scripted = Scripted::start().await;
    scripted.on(BRANCH, 302, &[("Location", BRANCH)], "");
    assert!(matches!(problem(self::error(&scripted).await), Problem::Endless { .. }));
    assert_eq!(scripted.asked().len(), 4);
}

#[tokio::test]
async fn another_blob_than_was_asked_for() {
    let blob = |content: &str| format!(r#"{{"sha":"{BLOB}","encoding":"base64","content":"{content}"}}"#);
    let good = blob("dmVyc2lvbjog\\nMQo=\\n");
    let scripted = Scripted::start().await;
    file(&scripted, &tree(&entry(), false), &good);
    assert_eq!(read(&scripted).await.unwrap().unwrap().bytes, b"version: 1\n");
    let table = [
        // `version: 2`
        (blob("dmVyc2lvbjogMgo="), "hashes to"),
        (blob("dmVyc2lvbjogMQ"), "not base64"),
        (good.replace("base64", "utf-8"), "not base64"),
        (good.replace(BLOB, HEAD), "answered about blob 54ab425"),
        (r#"{"message":"no"}"#.to_owned(), "not what this question has"),
    ];
    for (blob, expected) in table {
        let scripted = Scripted::start().await;
        file(&scripted, &tree(&entry(), false), &blob);
        let error = read(&scripted).await.unwrap_err();
        assert_eq!(error.class(), Class::Protocol);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_file_is_absent_only_from_a_whole_list() {
    let other = entry().replace("promotion.yaml", "other");
    let second = format!("/api/v1/repos/ci/app/git/trees/{HEAD}?page=2");
    let scripted = Scripted::start().await;
    file(&scripted, &tree(&entry(), false).replacen(HEAD, BLOB, 1), "{}");
    assert!(matches!(problem(read(&scripted).await.unwrap_err()), Problem::Another { .. }));
    let scripted = Scripted::start().await;
    file(&scripted, &tree(&other, true), "{}");
    scripted.json(&second, &tree(&other, false));
    assert_eq!(read(&scripted).await.unwrap(), None);
    let scripted = Scripted::start().await;
    file(&scripted, &tree(&other, true), "{}");
    scripted.json(&second, &tree("", true));
    assert_eq!(problem(read(&scripted).await.unwrap_err()), Problem::Truncated);
    let scripted = Scripted::start().await;
    for page in 1..=20 {
        scripted.json(&format!("/api/v1/repos/ci/app/git/trees/{HEAD}?page={page}"), &tree(&other, true));
    }
    file(&scripted, &tree(&other, true), "{}");
    assert_eq!(problem(read(&scripted).await.unwrap_err()), Problem::Endless { bound: 20 });
}
