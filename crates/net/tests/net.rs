//! The client against sockets: time-outs, bounds, redirects, proxies, certificates.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use granary_net::header::{AUTHORIZATION, HeaderValue};
use granary_net::{
    Body, BodyStream, Deadline, Http, HttpError, HttpOptions, HttpSetupError, Method, Proxies, Request,
    RetryPolicy, Verdict,
};
use granary_redact::Secret;
use granary_testkit::registry::{Action, Fault, Options, Registry};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn get(url: impl AsRef<str>) -> Request {
    Request::new(Method::GET, url.as_ref().parse().unwrap())
}

fn client(options: HttpOptions) -> Http {
    Http::new(options).unwrap()
}

/// Answers every connection with `answer`, and tells what was asked.
async fn server(answer: impl Into<String>) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, answer) = (format!("http://{}", listener.local_addr().unwrap()), answer.into());
    let (told, heads) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            told.send(head(&mut stream).await).unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, heads)
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

#[tokio::test]
async fn a_redirect_to_another_port_gets_no_credentials() {
    let (storage, mut asked_there) = server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let (origin, mut asked_here) =
        server(format!("HTTP/1.1 307 X\r\nLocation: {storage}/x?sig=1\r\nContent-Length: 0\r\n\r\n")).await;
    let request =
        get(format!("{origin}/blob")).with_header(AUTHORIZATION, HeaderValue::from_static("Basic eDp5"));
    let answer = client(HttpOptions::default()).exchange(&request, 10, soon()).await.unwrap();
    assert_eq!(
        (answer.body, answer.url.as_str()),
        (Bytes::from("hi"), format!("{storage}/x?sig=1").as_str())
    );
    let (here, there) = (asked_here.recv().await.unwrap(), asked_there.recv().await.unwrap());
    assert!(here.contains("authorization: basic edp5"), "{here}");
    assert!(!there.contains("authorization"), "{there}");
    assert!(there.contains("accept-encoding: identity\r\n"), "{there}");
}

#[tokio::test]
async fn redirects_end() {
    let (origin, mut asked) =
        server("HTTP/1.1 302 X\r\nLocation: /again\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
    let error = client(HttpOptions::default()).exchange(&get(&origin), 10, soon()).await.unwrap_err();
    assert!(error.to_string().ends_with("refusing the redirect: more than 5 in a row"), "{error}");
    assert_eq!(error.verdict(), Verdict::Fatal);
    asked.close();
    let mut count = 0;
    while asked.recv().await.is_some() {
        count += 1;
    }
    assert_eq!(count, 6);
}

#[tokio::test]
async fn bodies_are_bounded_announced_or_not() {
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n6\r\n012345\r\n0\r\n\r\n";
    for answer in ["HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n012345012345", chunked] {
        let (url, _asked) = server(answer).await;
        let http = client(HttpOptions::default());
        assert_eq!(http.exchange(&get(&url), 12, soon()).await.unwrap().body.len(), 12);
        let error = http.exchange(&get(&url), 11, soon()).await.unwrap_err();
        assert!(matches!(error, HttpError::TooLarge { limit: 11, .. }), "{error}");
    }
}

fn slow_body(pieces: usize, pause: Duration) -> Body {
    let open = move || -> BodyStream {
        Box::pin(futures_util::stream::unfold(pieces, move |left| async move {
            let left = left.checked_sub(1)?;
            tokio::time::sleep(pause).await;
            Some((Ok(Bytes::from_static(b"x")), left))
        }))
    };
    Body::Stream { length: pieces as u64, open: Arc::new(open) }
}

#[tokio::test]
async fn a_slow_upload_is_not_silence_and_silence_is() {
    let registry = Registry::start(Options::default());
    let http = client(HttpOptions { idle_timeout: Duration::from_millis(300), ..HttpOptions::default() });
    let url = format!("{}/v2/a/blobs/uploads/", registry.url());
    // One second in total, three times the time-out.
    let upload =
        Request::new(Method::POST, url.parse().unwrap()).with_body(slow_body(10, Duration::from_millis(100)));
    assert_eq!(http.exchange(&upload, 1000, soon()).await.unwrap().status, 202);
    assert_eq!(registry.requests()[0].body_length, 10);
    registry.fault(Fault::on("GET", "/v2/", Action::Hang));
    let began = Instant::now();
    let error = http.exchange(&get(format!("{}/v2/", registry.url())), 10, soon()).await.unwrap_err();
    assert!(matches!(error, HttpError::Idle { .. }), "{error}");
    assert_eq!(error.verdict(), Verdict::Retry);
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn the_deadline_ends_everything() {
    let registry = Registry::start(Options::default());
    registry.fault(Fault::on("GET", "/v2/", Action::Hang).times(usize::MAX));
    let http = client(HttpOptions::default());
    let deadline = Deadline::after(Duration::from_millis(200));
    let began = Instant::now();
    let request = get(format!("{}/v2/", registry.url()));
    let error = http.fetch(&request, 10, RetryPolicy::default(), deadline, |_, _| {}).await.unwrap_err();
    assert!(matches!(error, HttpError::Deadline { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_source_that_fails_is_not_the_networks_fault() {
    let registry = Registry::start(Options::default());
    let open = || -> BodyStream {
        Box::pin(futures_util::stream::iter([
            Ok(Bytes::from_static(b"begin")),
            Err(std::io::Error::other("the layer lies")),
        ]))
    };
    let url = format!("{}/v2/a/blobs/uploads/", registry.url());
    let request = Request::new(Method::POST, url.parse().unwrap())
        .with_body(Body::Stream { length: 10, open: Arc::new(open) });
    let error = client(HttpOptions::default()).exchange(&request, 10, soon()).await.unwrap_err();
    let HttpError::Source { source, .. } = error else { panic!("{error}") };
    assert_eq!(source.to_string(), "the layer lies");
}

#[tokio::test]
async fn passing_trouble_is_tried_again_and_counted() {
    let registry = Registry::start(Options::default());
    let http = client(HttpOptions::default());
    let request = get(format!("{}/v2/", registry.url()));
    registry.fault(Fault::on("GET", "/v2/", Action::status(503)).times(2));
    registry.fault(Fault::on("GET", "/v2/", Action::ResetBefore));
    let told = Mutex::new(Vec::new());
    let note = |result: &Result<granary_net::Answer, HttpError>, _pause| {
        told.lock().unwrap().push(result.as_ref().map_or(0, |answer| answer.status.as_u16()));
    };
    let answer = http.fetch(&request, 100, RetryPolicy::with_attempts(4), soon(), note).await.unwrap();
    assert_eq!((answer.status.as_u16(), registry.requests().len()), (200, 4));
    assert_eq!(*told.lock().unwrap(), [503, 503, 0], "whoever waits can be told why");
    registry.fault(Fault::on("GET", "/v2/", Action::status(503)).times(usize::MAX));
    let answer = http.fetch(&request, 1000, RetryPolicy::with_attempts(2), soon(), |_, _| {}).await.unwrap();
    assert_eq!((answer.status.as_u16(), registry.requests().len()), (503, 6));
}

#[tokio::test]
async fn certificates() {
    let registry = Registry::start(Options { tls: true, ..Options::default() });
    let request = get(format!("{}/v2/", registry.url()));
    let ca = registry.ca_pem().as_bytes().to_vec();
    let trusting = HttpOptions { ca_certificates: vec![ca.clone()], ..HttpOptions::default() };
    let blind = HttpOptions { skip_verify: true, ..HttpOptions::default() };
    let folder = std::env::temp_dir().join(format!("granary-net-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("ca.pem");
    std::fs::write(&file, &ca).unwrap();
    let by_file = HttpOptions { ssl_cert_file: Some(file), ..HttpOptions::default() };
    for options in [trusting, blind, by_file] {
        assert_eq!(client(options).exchange(&request, 100, soon()).await.unwrap().status, 200);
    }
    std::fs::remove_dir_all(&folder).unwrap();
    // Another authority, so that the test does not depend on the system having any.
    let other = Registry::start(Options { tls: true, ..Options::default() });
    let ca_certificates = vec![other.ca_pem().as_bytes().to_vec()];
    let stranger = client(HttpOptions { ca_certificates, ..HttpOptions::default() });
    let error = stranger.exchange(&request, 100, soon()).await.unwrap_err();
    assert!(matches!(error, HttpError::Tls { .. }), "{error}");
    assert_eq!(error.verdict(), Verdict::Fatal, "time will not make it trusted");
}

#[tokio::test]
async fn plain_http_never_looks_for_certificates() {
    let registry = Registry::start(Options::default());
    let missing = std::path::PathBuf::from("/nowhere/ca.pem");
    let http = client(HttpOptions { ssl_cert_file: Some(missing), ..HttpOptions::default() });
    let plain = get(format!("{}/v2/", registry.url()));
    assert_eq!(http.exchange(&plain, 100, soon()).await.unwrap().status, 200);
    let error = http.exchange(&get("https://127.0.0.1:1/"), 100, soon()).await.unwrap_err();
    let HttpError::Setup { source: HttpSetupError::CertificateStore { path, .. }, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(path, std::path::Path::new("/nowhere/ca.pem"));
}

#[test]
fn what_is_no_certificate_is_found_at_once() {
    let table = [
        ("", "CA certificate 1 is not a PEM certificate: it has no `BEGIN CERTIFICATE` block"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "CA certificate 1 is not a PEM certificate: ",
        ),
    ];
    for (pem, expected) in table {
        let ca_certificates = vec![pem.as_bytes().to_vec()];
        let error = Http::new(HttpOptions { ca_certificates, ..HttpOptions::default() }).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn proxies_are_used_but_for_this_machine_and_what_is_listed() {
    let (proxy, mut asked) =
        server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    let with_password = proxy.replace("http://", "http://me:hunter2@");
    let proxies = Proxies {
        http: Some(Secret::new(with_password)),
        https: None,
        no_proxy: Some("direct.example.test".to_owned()),
    };
    let options = HttpOptions { proxies, connect_timeout: Duration::from_secs(2), ..HttpOptions::default() };
    let http = client(options);
    http.exchange(&get("http://registry.example.test/v2/"), 10, soon()).await.unwrap();
    let head = asked.recv().await.unwrap();
    assert!(head.starts_with("get http://registry.example.test/v2/ http/1.1"), "{head}");
    assert!(head.contains("proxy-authorization: basic bwu6ahvudgvymg=="), "{head}");
    let registry = Registry::start(Options::default());
    http.exchange(&get(format!("{}/v2/", registry.url())), 100, soon()).await.unwrap();
    assert_eq!(registry.requests().len(), 1);
    http.exchange(&get("http://direct.example.test/"), 10, soon()).await.unwrap_err();
    assert!(asked.try_recv().is_err(), "neither went through the proxy");
}

#[test]
fn a_proxy_that_is_no_url_is_not_shown() {
    let proxies = Proxies { https: Some(Secret::new("http://me:hunter2@:x:y")), ..Proxies::default() };
    let error = Http::new(HttpOptions { proxies, ..HttpOptions::default() }).unwrap_err();
    assert_eq!(error.to_string(), "the https proxy is not a URL");
}

#[tokio::test]
async fn errors_show_no_query_secrets() {
    let error = client(HttpOptions::default())
        .exchange(&get("http://127.0.0.1:1/v2/x?_state=hunter2&n=5"), 10, soon())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "GET http://127.0.0.1:1/v2/x?_state=***&n=5: no connection");
    assert_eq!(error.verdict(), Verdict::Retry);
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

/// A proxy with a limit on bodies answers early and hangs up with most of the body unread. The answer is
/// what the operator needs to see, not the broken pipe.
#[tokio::test]
async fn an_early_refusal_is_an_answer() {
    for attempt in 0..20 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/upload", listener.local_addr().unwrap());
        let answering = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            head(&mut stream).await;
            let answer =
                "HTTP/1.1 413 Request Entity Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let size = 50_000_000;
        let open = move || -> BodyStream {
            let piece = Bytes::from(vec![0; 100_000]);
            Box::pin(futures_util::stream::iter((0..size / 100_000).map(move |_| Ok(piece.clone()))))
        };
        let request = Request::new(Method::PUT, url.parse().unwrap())
            .with_body(Body::Stream { length: size as u64, open: Arc::new(open) });
        let answer = client(HttpOptions::default()).exchange(&request, 100, soon()).await;
        answering.await.unwrap();
        match answer {
            Ok(answer) => assert_eq!(answer.status, 413),
            Err(error) => panic!("{attempt}: {error:?}"),
        }
    }
}
