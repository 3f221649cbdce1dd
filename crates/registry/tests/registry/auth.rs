//! Who is told what, how often, and what is never said.

use std::time::Duration;

use granary_net::{Http, HttpOptions};
use granary_redact::Secret;
use granary_registry::{BlobOutcome, Class, Credentials, Registry, RegistryOptions};
use granary_testkit::image::ImageBuilder;
use granary_testkit::registry::{Action, Auth, Fault, Options, Registry as Server};

use crate::support::{
    PASSWORD, USER, anonymous, app, blob, by_tag, chain, http, mounted_from, noise, options, raw, repository,
    with_password,
};

fn token_requests(server: &Server) -> usize {
    server.count(|request| request.path == "/token")
}

#[tokio::test]
async fn a_wrong_password_ends_with_the_servers_own_reason() {
    let table = [Options::with_basic(USER, PASSWORD), Options::with_token(USER, PASSWORD)];
    for options in table {
        let server = Server::start(options);
        let error = with_password(&server, "hunter2-wrong").tags(&app()).await.unwrap_err();
        assert_eq!(error.class(), Class::Auth);
        let text = chain(&error);
        assert!(text.contains("the credentials of `ci` were refused with 401 Unauthorized"), "{text}");
        assert!(text.contains("wrong user name or password"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(server.requests().len() <= 2, "{:?}", server.requests());
    }
}

#[tokio::test]
async fn no_credentials_is_said_so() {
    let server = Server::start(Options::with_basic(USER, PASSWORD));
    let error = anonymous(&server).tags(&app()).await.unwrap_err();
    assert_eq!(error.class(), Class::Auth);
    assert!(chain(&error).contains("asks for credentials and none are given for it"), "{}", chain(&error));
    let server = Server::start(Options::with_token(USER, PASSWORD));
    let error = anonymous(&server).tags(&app()).await.unwrap_err();
    assert_eq!(error.class(), Class::Auth);
    assert!(chain(&error).contains("no credentials given"), "{}", chain(&error));
}

#[tokio::test]
async fn basic_needs_no_extra_request_and_nothing_pings() {
    let server = Server::start(Options::with_basic(USER, PASSWORD));
    let image = ImageBuilder::new("linux/amd64").build();
    server.put_image("acme/app", &["1.0.0"], &image);
    let registry = with_password(&server, PASSWORD);
    registry.tags(&app()).await.unwrap();
    registry.manifest(&app(), &by_tag("1.0.0")).await.unwrap().unwrap();
    assert_eq!(server.requests().len(), 2);
    assert_eq!(server.count(|request| request.path == "/v2/"), 0);
}

#[tokio::test]
async fn one_token_for_a_whole_push_also_from_many_tasks() {
    let server = Server::start(Options::with_token(USER, PASSWORD));
    let registry = with_password(&server, PASSWORD);
    let blobs: Vec<_> = (0..12u8).map(|number| blob(&[number; 100])).collect();
    let (repository, options) = (app(), granary_registry::PushOptions::default());
    let pushes = blobs
        .iter()
        .map(|(descriptor, source)| registry.push_blob(&repository, descriptor, source, &options));
    futures_util::future::try_join_all(pushes).await.unwrap();
    assert_eq!(token_requests(&server), 1);
    assert_eq!(server.count(|request| request.status == Some(401)), 1, "only the very first is challenged");
    assert_eq!(server.count(|request| request.path == "/v2/"), 0);
}

#[tokio::test]
async fn a_known_realm_is_asked_before_the_request() {
    let server = Server::start(Options::with_token(USER, PASSWORD));
    server.put_image("acme/app", &["1.0.0"], &ImageBuilder::new("linux/amd64").build());
    server.put_image("acme/other", &["1.0.0"], &ImageBuilder::new("linux/amd64").build());
    let registry = with_password(&server, PASSWORD);
    registry.tags(&app()).await.unwrap();
    registry.tags(&repository("acme/other")).await.unwrap();
    assert_eq!(token_requests(&server), 2);
    assert_eq!(server.count(|request| request.status == Some(401)), 1);
}

#[tokio::test]
async fn a_token_that_dies_in_mid_push_is_replaced() {
    let server = Server::start(Options::with_token(USER, PASSWORD));
    let registry = with_password(&server, PASSWORD);
    let small = blob(b"first");
    let options = granary_registry::PushOptions::default();
    registry.push_blob(&app(), &small.0, &small.1, &options).await.unwrap();
    server.expire_tokens();
    server.clear_log();
    let bytes = noise(300_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    std::fs::write(&path, &bytes).unwrap();
    let (large, _) = blob(&bytes);
    let source = granary_registry::BlobSource::File { path, offset: 0 };
    // Dies once before the upload and once more between opening the session and sending the content.
    let seen = std::sync::atomic::AtomicBool::new(false);
    let challenge = Action::Status {
        code: 401,
        headers: vec![(
            "WWW-Authenticate".to_owned(),
            format!("Bearer realm=\"{}/token\",service=\"testkit\",error=\"invalid_token\"", server.url()),
        )],
        body: "expired".to_owned(),
    };
    server.fault(Fault::when(
        move |request| request.method == "PUT" && !seen.swap(true, std::sync::atomic::Ordering::SeqCst),
        challenge,
    ));
    registry.push_blob(&app(), &large, &source, &options).await.unwrap();
    assert_eq!(server.blob("acme/app", large.digest.as_str()).unwrap(), bytes);
    assert_eq!(server.count(|request| request.method == "PUT"), 2, "the content was sent again, once");
}

#[tokio::test]
async fn permission_that_is_missing_is_not_asked_for_again_and_again() {
    let options = Options { read_only: vec!["acme/app".to_owned()], ..Options::with_token(USER, PASSWORD) };
    let server = Server::start(options);
    let registry = with_password(&server, PASSWORD);
    let image = raw(&ImageBuilder::new("linux/amd64").build());
    let error = registry.put_manifest(&app(), &by_tag("1.0.0"), &image).await.unwrap_err();
    assert_eq!(error.class(), Class::Auth);
    assert!(chain(&error).contains("no permission for repository:acme/app:pull,push"), "{}", chain(&error));
    assert!(server.requests().len() <= 4, "{:?}", server.requests());
}

#[tokio::test]
async fn an_identity_token_is_exchanged() {
    let auth = Auth::Token {
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        refresh_token: Some("refresh-me".to_owned()),
        lifetime: Duration::from_secs(300),
    };
    let server = Server::start(Options { auth, ..Options::default() });
    server.put_image("acme/app", &["1.0.0"], &ImageBuilder::new("linux/amd64").build());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.json");
    std::fs::write(&path, format!(r#"{{"auths":{{"{}":{{"identitytoken":"refresh-me"}}}}}}"#, server.host()))
        .unwrap();
    let credentials = Credentials::from_files(&[path], None).unwrap();
    let registry =
        Registry::new(server.host().parse().unwrap(), http(), RegistryOptions { credentials, ..options() });
    assert_eq!(registry.tags(&app()).await.unwrap().len(), 1);
    assert_eq!(server.count(|request| request.method == "POST" && request.path == "/token"), 1);
}

#[tokio::test]
async fn passwords_do_not_travel_in_the_clear() {
    let credentials = Credentials::password(USER, Secret::new(PASSWORD));
    let options = RegistryOptions { credentials, plain_http: true, attempts: 1, ..options() };
    let registry = Registry::new("registry.example.test:5000".parse().unwrap(), http(), options);
    let error = registry.tags(&app()).await.unwrap_err();
    assert_eq!(error.class(), Class::Auth);
    assert!(
        chain(&error).contains("refusing to send credentials to registry.example.test:5000 over plain HTTP")
    );
}

#[tokio::test]
async fn a_token_server_that_is_not_to_be_trusted_gets_nothing() {
    let options = Options {
        token_realm: Some("http://auth.example.test/token".to_owned()),
        ..Options::with_token(USER, PASSWORD)
    };
    let server = Server::start(options);
    let error = with_password(&server, PASSWORD).tags(&app()).await.unwrap_err();
    assert!(
        chain(&error).contains(
            "refusing to ask http://auth.example.test/token for a token: it is reached over plain HTTP"
        ),
        "{}",
        chain(&error)
    );
}

#[tokio::test]
async fn a_storage_host_learns_no_password() {
    let storage = Server::start(Options::default());
    let bytes = noise(5000);
    storage.put_blob("acme/app", bytes.clone());
    let options = Options {
        redirect_blobs: Some(format!("http://localhost:{}", storage.port())),
        ..Options::with_basic(USER, PASSWORD)
    };
    let server = Server::start_sharing(options, &storage);
    let (descriptor, _) = blob(&bytes);
    let read = with_password(&server, PASSWORD).blob(&app(), &descriptor, 10_000).await.unwrap();
    assert_eq!(read, bytes);
    assert_eq!(storage.requests().len(), 1);
    assert_eq!(storage.requests()[0].authorization, None);
    assert_eq!(server.requests()[0].authorization.as_deref(), Some("basic"));
}

#[tokio::test]
async fn a_token_server_may_be_slow_to_wake_up() {
    let server = Server::start(Options::with_token(USER, PASSWORD));
    server.put_image("acme/app", &["1.0.0"], &ImageBuilder::new("linux/amd64").build());
    server.fault(Fault::on("GET", "/token", Action::status(503)).times(2));
    assert_eq!(with_password(&server, PASSWORD).tags(&app()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_local_registry_with_tls_needs_no_setting() {
    let server = Server::start(Options { tls: true, ..Options::with_basic(USER, PASSWORD) });
    server.put_image("acme/app", &["1.0.0"], &ImageBuilder::new("linux/amd64").build());
    let ca_certificates = vec![server.ca_pem().as_bytes().to_vec()];
    let http = Http::new(HttpOptions { ca_certificates, ..HttpOptions::default() }).unwrap();
    let credentials = Credentials::password(USER, Secret::new(PASSWORD));
    let registry =
        Registry::new(server.host().parse().unwrap(), http, RegistryOptions { credentials, ..options() });
    assert_eq!(registry.tags(&app()).await.unwrap().len(), 1);
    assert_eq!(registry.tags(&app()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn only_what_the_challenge_teaches_is_waited_for() {
    let latency = Duration::from_millis(300);
    let server = Server::start(Options { latency, ..Options::with_token(USER, PASSWORD) });
    server.put_image("acme/app", &["1.0.0"], &ImageBuilder::new("linux/amd64").build());
    let registry = with_password(&server, PASSWORD);
    let (repository, target) = (app(), by_tag("1.0.0"));
    let (tags, manifest) = tokio::join!(registry.tags(&repository), registry.manifest(&repository, &target));
    assert_eq!((tags.unwrap().len(), manifest.unwrap().is_some()), (1, true));
    assert_eq!(server.requests().len(), 4, "one challenge, one token, two answers");
    assert_eq!(server.peak_concurrency(), 2, "list and manifest were asked for at once");
}

#[tokio::test]
async fn a_token_server_that_refuses_the_source_of_a_mount_costs_an_upload() {
    let server = Server::start(Options::with_token(USER, PASSWORD));
    let two_scopes =
        |r: &granary_testkit::registry::Request| r.path == "/token" && r.query.matches("scope=").count() > 1;
    server.fault(Fault::when(two_scopes, Action::status(403)).times(usize::MAX));
    let registry = with_password(&server, PASSWORD);
    let options = mounted_from("acme/base");
    for bytes in [b"first", b"other"] {
        server.put_blob("acme/base", bytes.as_slice());
        let (descriptor, source) = blob(bytes);
        let outcome = registry.push_blob(&app(), &descriptor, &source, &options).await.unwrap();
        assert_eq!(outcome, BlobOutcome::Uploaded);
        assert_eq!(server.blob("acme/app", descriptor.digest.as_str()).unwrap(), bytes.as_slice());
    }
    assert_eq!(server.count(|r| r.path == "/token" && r.status == Some(403)), 1, "asked for once");
}

#[tokio::test]
async fn a_registry_that_wants_a_right_to_the_source_of_a_mount_costs_an_upload() {
    let server = Server::start(Options::with_token(USER, PASSWORD));
    let challenge = Action::Status {
        code: 401,
        headers: vec![(
            "WWW-Authenticate".to_owned(),
            format!(
                "Bearer realm=\"{}/token\",service=\"testkit\",scope=\"repository:acme/base:pull\"",
                server.url()
            ),
        )],
        body: String::new(),
    };
    server.fault(Fault::on("POST", "mount=", challenge).times(usize::MAX));
    let registry = with_password(&server, PASSWORD);
    let options = mounted_from("acme/base");
    let (descriptor, source) = blob(b"layer");
    let outcome = registry.push_blob(&app(), &descriptor, &source, &options).await.unwrap();
    assert_eq!(outcome, BlobOutcome::Uploaded);
}

#[tokio::test]
async fn a_challenge_that_names_too_much_is_cut_down_to_what_is_needed() {
    let challenge_scope = Some("registry:catalog:* repository:acme/app:pull".to_owned());
    let server = Server::start(Options { challenge_scope, ..Options::with_token(USER, PASSWORD) });
    server.put_image("acme/app", &["1.0.0"], &ImageBuilder::new("linux/amd64").build());
    let two_scopes =
        |r: &granary_testkit::registry::Request| r.path == "/token" && r.query.matches("scope=").count() > 1;
    server.fault(Fault::when(two_scopes, Action::status(403)).times(usize::MAX));
    assert_eq!(with_password(&server, PASSWORD).tags(&app()).await.unwrap().len(), 1);
    assert_eq!(server.count(|r| r.query.contains("push")), 0, "reading needs no right to write");
}

/// A 401 behind a redirect is another server's: its challenge is none of ours, and its realm gets no
/// password.
#[tokio::test]
async fn a_challenge_behind_a_redirect_is_not_answered() {
    let storage = Server::start(Options::with_token(USER, PASSWORD));
    let options = Options { redirect_blobs: Some(storage.url()), ..Options::with_basic(USER, PASSWORD) };
    let server = Server::start(options);
    let (descriptor, _) = crate::support::blob(b"layer");
    for server in [&server, &storage] {
        server.put_blob("acme/app", b"layer".as_slice());
    }
    let registry = with_password(&server, PASSWORD);
    registry.tags(&app()).await.unwrap();
    registry.blob(&app(), &descriptor, 1000).await.unwrap_err();
    assert_eq!(storage.count(|r| r.path == "/token"), 0, "{:#?}", storage.requests());
    assert!(storage.requests().len() == 1 && !storage.saw_bytes(b"uthorization"));
    // Nor is anything forgotten that is known of our own.
    server.clear_log();
    registry.tags(&app()).await.unwrap();
    assert_eq!(server.requests().len(), 1);
}
