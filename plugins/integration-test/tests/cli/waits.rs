//! `wait_for`: services that are not there yet.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use granary_testkit::process::Signal;
use granary_testkit::registry::{Options, Registry};

use crate::support::{Stage, key, leaving, results, wait_until};

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A service that answers each request with the next of these status lines, the last again and again.
fn service(answers: &'static [&'static str]) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let status = answers[number.min(answers.len() - 1)];
            answer(&mut connection.unwrap(), status);
        }
    });
    (port, asked)
}

fn answer(connection: &mut TcpStream, status: &str) {
    let mut request = [0; 2048];
    let _ = connection.read(&mut request);
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = connection.write_all(text.as_bytes());
}

fn passing() -> Stage {
    Stage::new().tests(&format!("touch ran\n{}", leaving(&results(&["login=passed"]), 0)))
}

#[test]
fn tests_start_when_everything_answers() {
    let late = free_port();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(1200));
        let listener = TcpListener::bind(("127.0.0.1", late)).unwrap();
        thread::sleep(Duration::from_secs(60));
        drop(listener);
    });
    let (http, asked) =
        service(&["503 Service Unavailable", "404 Not Found", "302 Found\r\nLocation: http://127.0.0.1:1/"]);
    let stage = passing().set("wait_for", &format!("tcp://127.0.0.1:{late},http://127.0.0.1:{http}/health"));
    let finished = stage.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(finished.stdout.contains(&format!("tcp://127.0.0.1:{late} is ready (")), "{finished}");
    assert!(finished.stdout.contains(&format!("http://127.0.0.1:{http}/health is ready (")), "{finished}");
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    let order = finished.stdout.find("is ready").unwrap() < finished.stdout.find("running sh").unwrap();
    assert!(order && stage.has("ran"), "{finished}");
}

#[test]
fn what_never_comes_is_named_with_its_reason() {
    let (closed, (http, _)) = (free_port(), service(&["503 Service Unavailable"]));
    let (ready, _) = service(&["204 No Content"]);
    let endpoints = format!(
        "tcp://127.0.0.1:{closed},http://127.0.0.1:{http}/,http://127.0.0.1:{ready}/,tcp://no-such-host.invalid:80"
    );
    let stage = passing()
        .set("wait_for", &endpoints)
        .set("wait_timeout", "1s")
        .set("signing_key", &key().to_pem())
        .set("teardown", "sh teardown.sh");
    stage.write("teardown.sh", "touch torn-down");
    let finished = stage.output();
    assert_eq!(finished.code, Some(13), "{finished}");
    let error = finished.stderr.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(
        error.starts_with("error: 3 of 4 services in `wait_for` were not ready after 1.00s: "),
        "{error}"
    );
    for said in [
        format!("tcp://127.0.0.1:{closed}: Connection refused"),
        format!("http://127.0.0.1:{http}/: 503 Service Unavailable"),
        "tcp://no-such-host.invalid:80: ".to_owned(),
    ] {
        assert!(error.contains(&said), "{said} {error}");
    }
    assert!(!error.contains(&format!("127.0.0.1:{ready}/")), "{error}");
    // An earlier step may have started what the teardown ends.
    assert!(!stage.has("ran") && stage.has("torn-down"));
    assert_eq!(stage.evidence_count(), 2, "FAILED, so that no older PASSED stands for this");
    assert!(stage.run_record().1.contains(r#""ended": "not-ready""#));
}

#[test]
fn waiting_is_part_of_the_steps_time_and_ends_with_a_stop() {
    let stage = passing().set("wait_for", &format!("tcp://127.0.0.1:{}", free_port())).set("timeout", "2s");
    let finished = stage.output();
    assert_eq!(finished.code, Some(13), "{finished}");
    assert!(finished.stderr.contains("were not ready after 1."), "{finished}");

    let stage = stage.set("timeout", "1h").set("teardown", "sh teardown.sh");
    stage.write("teardown.sh", "touch torn-down");
    let running = stage.run.spawn();
    wait_until("it waits", || running.stdout().contains("testing "));
    thread::sleep(Duration::from_millis(300));
    running.signal(Signal::TERM);
    let finished = running.wait();
    assert_eq!(finished.code, Some(143), "{finished}");
    assert!(!stage.has("ran") && stage.has("torn-down"), "{finished}");
}

#[test]
fn a_service_is_asked_as_everything_is_asked() {
    let secure = Registry::start(Options { tls: true, ..Options::default() });
    let url = format!("https://{}/v2/", secure.host());
    let stage = || passing().set("wait_for", &url).set("wait_timeout", "2s");
    let finished = stage().output();
    assert_eq!(finished.code, Some(13), "{finished}");
    assert!(finished.stderr.contains("certificate"), "{finished}");
    let trusted = stage().set("ca_cert", secure.ca_pem()).output();
    assert_eq!(trusted.code, Some(0), "{trusted}");

    // Loopback never by a proxy, everything else but `no_proxy` always.
    let (plain, _) = service(&["200 OK"]);
    let (proxy, asked) = service(&["502 Bad Gateway", "200 OK"]);
    let through = |stage: Stage| Stage {
        run: stage.run.clone().env("http_proxy", &format!("http://127.0.0.1:{proxy}")),
        ..stage
    };
    let local = through(passing().set("wait_for", &format!("http://127.0.0.1:{plain}/"))).output();
    assert_eq!((local.code, asked.load(Ordering::SeqCst)), (Some(0), 0), "{local}");
    let far = through(passing().set("wait_for", "http://app.invalid/health")).output();
    assert_eq!((far.code, asked.load(Ordering::SeqCst)), (Some(0), 2), "{far}");
}

#[test]
fn a_dry_run_says_what_it_would_wait_for_and_waits_for_nothing() {
    let stage =
        passing().set("wait_for", "tcp://db.invalid:5432,http://app.invalid/health").set("attempts", "2");
    let finished = stage.set("dry_run", "true").output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let said = "  wait for tcp://db.invalid:5432, http://app.invalid/health, at most 2m00s\n  at most 2 attempts\n  run sh";
    assert!(finished.stdout.contains(said), "{finished}");
}
