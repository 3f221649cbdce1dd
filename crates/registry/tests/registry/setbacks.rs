//! Uploads that meet the same trouble again and again: bounded in sessions and requests, honest about them.

use std::sync::atomic::{AtomicUsize, Ordering};

use granary_registry::{BlobSource, BlobWay, PushOptions, Registry, RegistryOptions};
use granary_testkit::registry::{Action, Fault, Options, Registry as Server, Request};

use crate::support::{anonymous, app, blob, http, log, mounted_from, noise, options, repository};

const MIB: usize = 1024 * 1024;

fn is_whole(request: &Request) -> bool {
    request.method == "PUT" && request.headers["content-length"] != "0"
}

fn is_commit(request: &Request) -> bool {
    request.method == "PUT" && request.headers["content-length"] == "0"
}

fn is_chunk(request: &Request) -> bool {
    request.headers.contains_key("content-range")
}

fn length(request: &Request) -> usize {
    request.headers.get("content-length").map_or(0, |text| text.parse().unwrap())
}

fn begins_at(request: &Request, at: usize) -> bool {
    request.headers.get("content-range").is_some_and(|range| range.starts_with(&format!("{at}-")))
}

fn with_attempts(server: &Server, attempts: u32) -> Registry {
    Registry::new(server.host().parse().unwrap(), http(), RegistryOptions { attempts, ..options() })
}

fn absent() -> PushOptions {
    PushOptions { way: BlobWay::Upload, ..PushOptions::default() }
}

fn forgotten(code: &str) -> Action {
    let body = format!(r#"{{"errors":[{{"code":"{code}","message":"no"}}]}}"#);
    Action::Status { code: 404, headers: Vec::new(), body }
}

/// A session that is thrown away has got nobody any further, however much it had taken.
#[tokio::test]
async fn sessions_are_counted_whatever_they_had_taken() {
    for size in [6 * MIB, 18 * MIB] {
        for refusal in [Action::status(503), forgotten("BLOB_UPLOAD_UNKNOWN")] {
            let server = Server::start(Options::default());
            server.fault(Fault::when(is_whole, Action::status(405)).times(usize::MAX));
            server.fault(Fault::when(is_commit, refusal).times(usize::MAX));
            let (descriptor, source) = blob(&noise(size));
            with_attempts(&server, 3).push_blob(&app(), &descriptor, &source, &absent()).await.unwrap_err();
            let sent = server.count(|r| r.method == "PATCH" && !is_chunk(r));
            assert!(sent <= 3, "{size}: {:#?}", log(&server));
            assert!(server.count(|r| r.method == "POST") <= 4, "{size}: {:#?}", log(&server));
            assert!(server.requests().len() < 40, "{size}: {:#?}", log(&server));
        }
    }
}

/// Each session takes a chunk more than the one before, and is gone: that is no way to get on.
#[tokio::test]
async fn sessions_that_are_lost_further_on_each_time_come_to_an_end() {
    let server = Server::start(Options::default());
    server.fault(Fault::when(is_whole, Action::status(502)).times(usize::MAX));
    server.fault(Fault::on("GET", "/uploads/", forgotten("BLOB_UPLOAD_UNKNOWN")).times(usize::MAX));
    for chunk in 1..60 {
        let number = AtomicUsize::new(0);
        let at_its_turn = move |r: &Request| {
            is_chunk(r) && begins_at(r, chunk * 5 * MIB) && number.fetch_add(1, Ordering::SeqCst) == 0
        };
        server.fault(Fault::when(at_its_turn, Action::status(503)));
    }
    let (descriptor, source) = blob(&noise(40 * MIB));
    with_attempts(&server, 3).push_blob(&app(), &descriptor, &source, &absent()).await.unwrap_err();
    assert_eq!(server.count(|r| r.method == "POST"), 3, "{:#?}", log(&server));
}

/// What is no use any more is not left at the registry.
#[tokio::test]
async fn sessions_that_came_to_nothing_are_given_up() {
    for action in [Action::status(405), Action::status(503)] {
        let server = Server::start(Options::default());
        server.fault(Fault::when(is_whole, action));
        let (descriptor, source) = blob(&noise(MIB));
        anonymous(&server).push_blob(&app(), &descriptor, &source, &absent()).await.unwrap();
        let deleted = server.count(|r| r.method == "DELETE" && r.status == Some(204));
        assert_eq!(deleted, 1, "{:#?}", log(&server));
    }
}

/// ECR's `Range` stays at the first chunk: what 202s have confirmed is not sent again.
#[tokio::test]
async fn a_range_that_says_less_than_was_confirmed_is_not_believed() {
    let server = Server::start(Options { stuck_range: true, patch_status: 201, ..Options::default() });
    server.fault(Fault::when(is_whole, Action::ResetBefore));
    server.fault(Fault::when(|r| begins_at(r, 10 * MIB), Action::status(503)));
    let (descriptor, source) = blob(&noise(18 * MIB));
    anonymous(&server).push_blob(&app(), &descriptor, &source, &absent()).await.unwrap();
    assert!(server.blob("acme/app", descriptor.digest.as_str()).is_some());
    assert_eq!(server.count(|r| r.method == "POST"), 1, "{:#?}", log(&server));
    let taken = |at| server.count(|r| begins_at(r, at) && r.status == Some(201));
    assert_eq!((taken(0), taken(5 * MIB), taken(10 * MIB)), (1, 1, 1));
    assert_eq!(server.faults_left(), 0);

    // Where that was wrong, it begins anew.
    let server = Server::start(Options::default());
    server.fault(Fault::when(is_whole, Action::ResetBefore));
    server.fault(Fault::when(|r| begins_at(r, 5 * MIB), Action::status(503)));
    let headers = vec![("Range".to_owned(), "0-0".to_owned())];
    let less = Action::Status { code: 204, headers, body: "-".to_owned() };
    server.fault(Fault::on("GET", "/uploads/", less).after(1));
    server.fault(Fault::when(|r| begins_at(r, 5 * MIB), Action::status(416)));
    anonymous(&server).push_blob(&app(), &descriptor, &source, &absent()).await.unwrap();
    assert_eq!(server.count(|r| r.method == "POST"), 2, "{:#?}", log(&server));
    assert_eq!(server.faults_left(), 0);
}

/// A proxy that cuts every body off at some length.
#[tokio::test]
async fn chunks_that_break_are_halved() {
    let server = Server::start(Options::default());
    server.fault(Fault::when(|r| length(r) > 3 * MIB, Action::ResetBefore).times(usize::MAX));
    let (descriptor, source) = blob(&noise(18 * MIB));
    with_attempts(&server, 3).push_blob(&app(), &descriptor, &source, &absent()).await.unwrap();
    assert!(server.blob("acme/app", descriptor.digest.as_str()).is_some());
    let cut = server.count(|r| length(r) > 3 * MIB);
    assert_eq!(cut, 2, "the whole and one chunk: {:#?}", log(&server));

    let server = Server::start(Options { min_chunk: Some(5 * MIB), ..Options::default() });
    server.fault(Fault::when(is_whole, Action::ResetBefore));
    server.fault(Fault::when(is_chunk, Action::ResetBefore));
    anonymous(&server).push_blob(&app(), &descriptor, &source, &absent()).await.unwrap();
    let short = server.count(|r| is_chunk(r) && length(r) < 5 * MIB);
    assert_eq!(short, 1, "but the last, none is smaller than the registry takes: {:#?}", log(&server));
}

#[tokio::test]
async fn what_is_too_large_says_nothing_about_smaller_blobs() {
    let server = Server::start(Options::default());
    server.fault(Fault::when(|r| is_whole(r) && length(r) > 2 * MIB, Action::status(413)).times(usize::MAX));
    let registry = anonymous(&server);
    let ways = |server: &Server| {
        let sent = server.requests().into_iter().filter(|r| matches!(r.method.as_str(), "PUT" | "PATCH"));
        sent.map(|r| r.method).collect::<Vec<_>>()
    };
    for (size, expected) in [(4, vec!["PUT", "PATCH", "PUT"]), (1, vec!["PUT"]), (5, vec!["PATCH", "PUT"])] {
        server.clear_log();
        let (descriptor, source) = blob(&noise(size * MIB));
        registry.push_blob(&app(), &descriptor, &source, &absent()).await.unwrap();
        assert_eq!(ways(&server), expected, "{size} MiB");
    }
}

/// A registry that is busy has not said that it mounts nothing.
#[tokio::test]
async fn a_mount_that_is_throttled_is_asked_for_again_and_not_uploaded() {
    let push = async |fault: Fault| {
        let server = Server::start(Options::default());
        let bytes = noise(100_000);
        server.put_blob("acme/src", bytes.clone());
        server.fault(fault);
        let source = BlobSource::Remote { registry: anonymous(&server), repository: repository("acme/src") };
        let options = mounted_from("acme/src");
        let pushed =
            with_attempts(&server, 2).push_blob(&app(), &blob(&bytes).0, &source, &options).await.map(drop);
        (pushed, server.count(|r| r.method == "PUT"), server.count(|r| r.method == "POST"))
    };
    let (pushed, puts, posts) = push(Fault::on("POST", "mount=", Action::too_many_requests(1))).await;
    pushed.unwrap();
    assert_eq!((puts, posts), (0, 2));
    let for_ever = Fault::on("POST", "mount=", Action::status(429)).times(usize::MAX);
    let (pushed, puts, posts) = push(for_ever).await;
    pushed.unwrap_err();
    assert_eq!((puts, posts), (0, 2));
}

/// A commit that its registry is at still, when we look for the first time.
#[tokio::test]
async fn after_the_pause_the_blob_is_looked_for_once_more() {
    let server = Server::start(Options::default());
    let (descriptor, source) = blob(&noise(18 * MIB));
    // All of it is confirmed: one PATCH took it, and the answer to the commit is lost.
    server.fault(Fault::when(is_whole, Action::status(405)));
    server.fault(Fault::when(is_commit, Action::ResetAfter));
    server.fault(Fault::on("HEAD", "/blobs/", forgotten("BLOB_UNKNOWN")).times(2));
    anonymous(&server).push_blob(&app(), &descriptor, &source, &absent()).await.unwrap();
    let asked = server.count(|r| r.method == "GET" && r.path.contains("/uploads/"));
    assert_eq!((server.faults_left(), asked), (0, 0), "the second look finds it: {:#?}", log(&server));
    assert_eq!(server.count(|r| r.method == "HEAD"), 3);
}
