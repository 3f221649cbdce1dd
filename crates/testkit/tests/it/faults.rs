//! Each fault does what it says, to the requests that it names and no others.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use granary_testkit::image::{ImageBuilder, MANIFEST};
use granary_testkit::registry::{Action, Fault, Options, Registry, When, sha256_digest};

use crate::client::{ask, get, send};

const BODY: &[u8] = b"0123456789";

/// A registry with one blob, and the path to it.
fn with_blob() -> (Registry, String) {
    let registry = Registry::start(Options::default());
    let digest = registry.put_blob("app", BODY);
    (registry, format!("/v2/app/blobs/{digest}"))
}

fn reset(registry: &Registry, method: &str, target: &str, body: &[u8]) {
    let error = send(registry, method, target, &[("content-type", MANIFEST)], body);
    let kind = error.expect_err("no answer").kind();
    assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind:?}");
}

#[test]
fn statuses_come_in_the_order_of_the_script() {
    let (registry, path) = with_blob();
    registry.fault(Fault::on("GET", "/blobs/", Action::status(503)).times(2));
    registry.fault(Fault::on("*", "/blobs/", Action::too_many_requests(7)).after(1));
    assert_eq!(registry.faults_left(), 3);
    let answers: Vec<_> = (0..5).map(|_| get(&registry, &path)).collect();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [503, 503, 200, 429, 200]);
    assert_eq!(answers[3].header("retry-after"), "7");
    assert_eq!(answers[3].code(), "TOOMANYREQUESTS");
    assert_eq!(registry.faults_left(), 0);
    assert_eq!(registry.count(|request| request.status == Some(503)), 2);
}

#[test]
fn a_fault_strikes_only_what_it_names() {
    let (registry, path) = with_blob();
    registry.fault(Fault::when(|request| request.headers.contains_key("x-mark"), Action::status(500)));
    assert_eq!(get(&registry, &path).status, 200);
    assert_eq!(ask(&registry, "GET", &path, &[("x-mark", "1")], b"").status, 500);
    let custom = Action::Status {
        code: 502,
        headers: vec![("x-proxy".to_owned(), "1".to_owned())],
        body: "<html>bad gateway</html>".to_owned(),
    };
    registry.fault(Fault::on("HEAD", "/blobs/", Action::status(500)));
    registry.fault(Fault::on("GET", "/blobs/", custom));
    let answer = get(&registry, &path);
    assert_eq!((answer.status, answer.header("x-proxy")), (502, "1"));
    assert_eq!(answer.body, b"<html>bad gateway</html>");
    assert_eq!(registry.faults_left(), 1);
    registry.clear_faults();
    assert_eq!(registry.faults_left(), 0);
}

#[test]
fn a_reset_before_leaves_no_trace_and_one_after_does() {
    let image = ImageBuilder::new("linux/amd64").build();
    for (action, tags) in [(Action::ResetBefore, 0), (Action::ResetAfter, 1)] {
        let registry = Registry::start(Options::default());
        registry.put_image("app", &[], &image);
        registry.fault(Fault::on("PUT", "/manifests/1.2.3", action));
        reset(&registry, "PUT", "/v2/app/manifests/1.2.3", image.bytes());
        assert_eq!(registry.tags("app").len(), tags);
        let log = registry.requests();
        assert_eq!((log.len(), log[0].status, log[0].body_length), (1, None, image.bytes().len()));
        assert_eq!(log[0].to_string(), "PUT /v2/app/manifests/1.2.3 -");
    }
}

#[test]
fn a_reset_in_the_answer_lets_the_first_bytes_through() {
    let (registry, path) = with_blob();
    for keep in [0, 4] {
        registry.fault(Fault::on("GET", "/blobs/", Action::ResetResponseAt(keep)));
        let answer = get(&registry, &path);
        assert!(answer.cut);
        assert_eq!(
            (answer.status, answer.header("content-length"), &*answer.body),
            (200, "10", &BODY[..keep])
        );
    }
}

#[test]
fn a_reset_in_the_request_keeps_what_had_come() {
    let registry = Registry::start(Options::default());
    let opened = ask(&registry, "POST", "/v2/app/blobs/uploads/", &[], b"");
    registry.fault(Fault::on("PATCH", "/uploads/", Action::ResetRequestAt(4)));
    reset(&registry, "PATCH", opened.header("location").strip_prefix(&registry.url()).expect("ours"), BODY);
    let status = get(&registry, opened.header("location"));
    assert_eq!((status.status, status.header("range")), (204, "0-3"), "the session can be resumed");
    let rest = [("content-range", "4-9")];
    let patched = ask(&registry, "PATCH", status.header("location"), &rest, &BODY[4..]);
    let put = format!("{}&digest={}", patched.header("location"), sha256_digest(BODY));
    assert_eq!(ask(&registry, "PUT", &put, &[], b"").status, 201);

    registry.fault(Fault::on("PUT", "/manifests/", Action::ResetRequestAt(1_000_000)));
    reset(&registry, "PUT", "/v2/app/manifests/x", b"{}");
}

#[test]
fn bodies_lie() {
    let (registry, path) = with_blob();
    registry.fault(Fault::on("GET", "/blobs/", Action::Corrupt));
    registry.fault(Fault::on("GET", "/blobs/", Action::Truncate(3)));
    registry.fault(Fault::on("GET", "/blobs/", Action::LieDigest(sha256_digest(b"else"))));
    assert_eq!(get(&registry, &path).body, b"1123456789");
    let short = get(&registry, &path);
    assert_eq!((short.status, &*short.body, short.cut), (200, &b"012"[..], false));
    let lie = get(&registry, &path);
    assert_eq!((lie.header("docker-content-digest"), &*lie.body), (sha256_digest(b"else").as_str(), BODY));
    assert_eq!(get(&registry, &path).body, BODY);
}

#[test]
fn answers_come_late_or_never() {
    let (registry, path) = with_blob();
    registry.fault(Fault::on("GET", "/blobs/", Action::Delay(Duration::from_millis(120))));
    let before = Instant::now();
    assert_eq!(get(&registry, &path).status, 200);
    assert!(before.elapsed() >= Duration::from_millis(120));

    registry.fault(Fault::on("GET", "/v2/", Action::Hang));
    let mut hanging = std::net::TcpStream::connect(registry.host()).expect("it listens");
    hanging.set_read_timeout(Some(Duration::from_millis(200))).expect("a time-out");
    std::io::Write::write_all(&mut hanging, b"GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n").expect("it reads");
    let silence = std::io::Read::read(&mut hanging, &mut [0]).expect_err("no answer, and no end");
    assert_eq!(silence.kind(), ErrorKind::WouldBlock);
    assert_eq!(get(&registry, &path).status, 200, "others are served meanwhile");
    assert_eq!(registry.peak_concurrency(), 2);
}

#[test]
fn latency_is_added_to_each_request_but_not_one_after_the_other() {
    let registry = Registry::start(Options { latency: Duration::from_millis(400), ..Options::default() });
    let before = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| get(&registry, "/v2/"));
        }
    });
    let took = before.elapsed();
    assert!((400..2000).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn a_kill_strikes_exactly_the_kth_request() {
    let image = ImageBuilder::new("linux/amd64").build();
    for (when, tags) in [(When::Before, 1), (When::After, 2)] {
        let registry = Registry::start(Options::default());
        registry.put_image("app", &[], &image);
        let dead = Arc::new(AtomicBool::new(false));
        let deed = Arc::clone(&dead);
        registry.kill_at(2, when, move || deed.store(true, Ordering::Relaxed));
        let put = |tag: &str| {
            let path = format!("/v2/app/manifests/{tag}");
            send(&registry, "PUT", &path, &[("content-type", MANIFEST)], image.bytes())
        };
        assert_eq!(put("first").expect("an answer").status, 201);
        assert!(!dead.load(Ordering::Relaxed) && registry.kill_pending());
        put("second").expect_err("no answer for the dead");
        assert!(dead.load(Ordering::Relaxed) && !registry.kill_pending());
        assert_eq!(registry.tags("app").len(), tags, "{when:?}");
        assert_eq!(put("third").expect("an answer").status, 201, "only one request kills");
    }
}

#[tokio::test]
async fn it_runs_beside_an_async_test() {
    let registry = Registry::start(Options::default());
    let stream = tokio::net::TcpStream::connect(registry.host()).await;
    assert!(stream.is_ok());
}

#[test]
fn dropping_it_ends_requests_that_hang() {
    let registry = Registry::start(Options::default());
    registry.fault(Fault::on("GET", "/v2/", Action::Hang));
    let mut stream = std::net::TcpStream::connect(registry.host()).expect("it listens");
    std::io::Write::write_all(&mut stream, b"GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n").expect("it reads");
    while registry.requests().is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let address = registry.host();
    drop(registry);
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
}
