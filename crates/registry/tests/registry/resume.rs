//! Uploads that break off: continued where the registry can, begun again where it cannot, never for ever.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use granary_oci::Descriptor;
use granary_registry::{
    BlobOutcome, BlobSource, BlobWay, Class, PushOptions, Registry, RegistryError, RegistryOptions,
};
use granary_testkit::registry::{Action, Auth, Fault, Options, Registry as Server, Request};

use crate::support::{
    PASSWORD, USER, anonymous, app, blob, chain, http, log, noise, options, repository, with_password,
};

const MIB: usize = 1024 * 1024;

/// Large enough to be continued.
const SIZE: usize = 18 * MIB;

/// A large blob in a file.
struct Layer {
    _folder: tempfile::TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    descriptor: Descriptor,
}

impl Layer {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = (folder.path().join("layer"), noise(SIZE));
        std::fs::write(&path, &bytes).unwrap();
        let descriptor = blob(&bytes).0;
        Layer { _folder: folder, path, bytes, descriptor }
    }

    fn source(&self) -> BlobSource {
        BlobSource::File { path: self.path.clone(), offset: 0 }
    }

    async fn push(&self, registry: &Registry) -> Result<BlobOutcome, RegistryError> {
        self.push_from(registry, &self.source()).await
    }

    async fn push_from(
        &self,
        registry: &Registry,
        source: &BlobSource,
    ) -> Result<BlobOutcome, RegistryError> {
        let options = PushOptions { way: BlobWay::Upload, ..PushOptions::default() };
        registry.push_blob(&app(), &self.descriptor, source, &options).await
    }

    fn assert_stored(&self, server: &Server) {
        let stored = server.blob("acme/app", self.descriptor.digest.as_str()).expect("the blob was stored");
        assert!(stored == self.bytes, "other bytes");
    }
}

/// `PUT`, or `PATCH 0-5242879` for a chunk, and so on, of the upload.
fn course(server: &Server) -> Vec<String> {
    let show = |request: &Request| match request.headers.get("content-range") {
        Some(range) => format!("{} {range}", request.method),
        None => request.method.clone(),
    };
    server.requests().iter().filter(|request| request.path != "/token").map(show).collect()
}

fn sent(server: &Server) -> usize {
    server.requests().iter().map(|request| request.body_length).sum()
}

fn is_whole(request: &Request) -> bool {
    request.method == "PUT" && request.headers["content-length"] != "0"
}

fn is_chunk(request: &Request) -> bool {
    request.headers.contains_key("content-range")
}

#[tokio::test]
async fn what_a_session_has_is_not_sent_again() {
    let server = Server::start(Options::default());
    // The whole breaks off at 9 MiB, a chunk in its middle.
    server.fault(Fault::when(is_whole, Action::ResetRequestAt(9 * MIB)));
    server.fault(Fault::when(is_chunk, Action::ResetRequestAt(2 * MIB)));
    let layer = Layer::new();
    assert_eq!(layer.push(&anonymous(&server)).await.unwrap(), BlobOutcome::Uploaded);
    layer.assert_stored(&server);
    assert_eq!(server.faults_left(), 0);
    let (first, second) = (9 * MIB, 11 * MIB);
    let expected = [
        "POST".to_owned(),
        "PUT".to_owned(),
        "HEAD".to_owned(),
        "GET".to_owned(),
        format!("PATCH {}-{}", first, first + 5 * MIB - 1),
        "HEAD".to_owned(),
        "GET".to_owned(),
        // Whatever cut it off may do so again.
        format!("PATCH {}-{}", second, second + 5 * MIB / 2 - 1),
        format!("PATCH {}-{}", second + 5 * MIB / 2, second + 5 * MIB - 1),
        format!("PATCH {}-{}", second + 5 * MIB, SIZE - 1),
        "PUT".to_owned(),
    ];
    assert_eq!(course(&server), expected);
    assert_eq!(sent(&server), SIZE, "each byte arrived once");
}

#[tokio::test]
async fn every_setback_of_a_large_blob_ends_in_chunks_and_each_source_goes_on() {
    let layer = Layer::new();
    let from = Server::start(Options::default());
    from.put_blob("acme/src", layer.bytes.clone());
    let remote = BlobSource::Remote { registry: anonymous(&from), repository: repository("acme/src") };
    let bytes = BlobSource::Bytes(layer.bytes.clone().into());
    for source in [layer.source(), bytes, remote] {
        for action in [Action::ResetRequestAt(7 * MIB), Action::status(502), Action::status(504)] {
            let server = Server::start(Options::default());
            server.fault(Fault::when(is_whole, action));
            server.fault(Fault::when(is_chunk, Action::status(503)).after(1));
            layer.push_from(&anonymous(&server), &source).await.unwrap();
            layer.assert_stored(&server);
            assert_eq!(server.count(|r| r.method == "POST"), 1, "{:#?}", log(&server));
            assert_eq!(server.faults_left(), 0);
        }
    }
    let parts = from.count(|r| r.status == Some(206));
    assert!(parts >= 3, "the rest was asked for, not the whole: {:#?}", log(&from));
}

#[tokio::test]
async fn a_source_that_breaks_or_gives_no_parts_is_read_on() {
    let layer = Layer::new();
    for no_parts in [false, true] {
        let (from, to) = (Server::start(Options::default()), Server::start(Options::default()));
        from.put_blob("acme/src", layer.bytes.clone());
        from.fault(Fault::on("GET", "/blobs/", Action::ResetResponseAt(17 * MIB)));
        if no_parts {
            let ranged = |request: &Request| request.headers.contains_key("range");
            from.fault(Fault::when(ranged, Action::status(416)).times(usize::MAX));
        }
        let source = BlobSource::Remote { registry: anonymous(&from), repository: repository("acme/src") };
        layer.push_from(&anonymous(&to), &source).await.unwrap();
        layer.assert_stored(&to);
        assert_eq!(to.count(|r| r.method == "POST"), 1, "{:#?}", log(&to));
        assert_eq!(from.count(|r| r.status == Some(206)), usize::from(!no_parts), "{:#?}", log(&from));
    }
}

/// Nothing that this side has not seen whole is completed, wherever the parts came from.
#[tokio::test]
async fn a_source_that_changes_between_two_readings_is_not_completed() {
    let layer = Layer::new();
    let (from, to) = (Server::start(Options::default()), Server::start(Options::default()));
    from.put_blob("acme/src", layer.bytes.clone());
    to.fault(Fault::when(is_whole, Action::ResetRequestAt(6 * MIB)));
    let ranged = |request: &Request| request.headers.contains_key("range");
    from.fault(Fault::when(ranged, Action::Corrupt).times(usize::MAX));
    let source = BlobSource::Remote { registry: anonymous(&from), repository: repository("acme/src") };
    let error = layer.push_from(&anonymous(&to), &source).await.unwrap_err();
    assert_eq!(error.class(), Class::Local);
    let text = chain(&error);
    assert!(text.contains("changed while it was read") || text.contains("digest lies"), "{text}");
    assert_eq!(to.count(|r| r.method == "PUT" && r.status == Some(201)), 0);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_costs_a_new_session() {
    let range = |value: &str| Action::Status {
        code: 204,
        headers: vec![("Range".to_owned(), value.to_owned())],
        body: "-".to_owned(),
    };
    // More than was sent, all of it, nothing that can be read, and a session that is gone. Some MiB more
    // than the server read lie in the sockets' buffers when the line breaks, and count as sent: it breaks early.
    let all = format!("0-{}", SIZE - 1);
    let more = range(&format!("0-{}", 17 * MIB - 1));
    for action in
        [more, range("0-99999999"), range(&all), range("5-9"), Action::status(404), Action::status(500)]
    {
        let server = Server::start(Options::default());
        server.fault(Fault::when(is_whole, Action::ResetRequestAt(MIB)));
        server.fault(Fault::on("GET", "/uploads/", action.clone()));
        let layer = Layer::new();
        layer.push(&anonymous(&server)).await.unwrap();
        layer.assert_stored(&server);
        let posts = server.count(|r| r.method == "POST");
        // A 500 is asked again.
        let expected = if matches!(action, Action::Status { code: 500, .. }) { 1 } else { 2 };
        assert_eq!(posts, expected, "{action:?} {:#?}", log(&server));
        let beyond = course(&server).iter().filter(|line| line.starts_with("PATCH 17825792-")).count();
        assert_eq!(beyond, 0, "nobody goes on behind what was sent");
    }
}

/// ECR says the end of the first chunk for ever (aws/containers-roadmap#2831).
#[tokio::test]
async fn a_range_that_never_moves_does_not_loop() {
    let server = Server::start(Options { stuck_range: true, patch_status: 201, ..Options::default() });
    server.fault(Fault::when(is_whole, Action::ResetBefore));
    // The second chunk of every session breaks, after the first has been taken.
    let second =
        |request: &Request| request.headers.get("content-range").is_some_and(|r| r.starts_with("10485760-"));
    server.fault(Fault::when(second, Action::ResetBefore).times(usize::MAX));
    let registry =
        Registry::new(server.host().parse().unwrap(), http(), RegistryOptions { attempts: 3, ..options() });
    let error = Layer::new().push(&registry).await.unwrap_err();
    assert_eq!(error.class(), Class::Unavailable, "{}", chain(&error));
    assert!(server.count(|r| r.method == "POST") <= 3, "{:#?}", log(&server));
    assert!(server.requests().len() < 40, "{}", server.requests().len());

    // What the session says fits, and it refuses to go on there.
    let server = Server::start(Options::default());
    server.fault(Fault::when(is_whole, Action::ResetRequestAt(9 * MIB)).times(usize::MAX));
    server.fault(Fault::when(is_chunk, Action::ResetBefore));
    let code = Action::Status { code: 416, headers: Vec::new(), body: "-".to_owned() };
    server.fault(Fault::when(is_chunk, code).times(usize::MAX));
    let registry =
        Registry::new(server.host().parse().unwrap(), http(), RegistryOptions { attempts: 3, ..options() });
    let error = Layer::new().push(&registry).await.unwrap_err();
    assert!(server.requests().len() < 40, "{:#?}", log(&server));
    assert!(matches!(error.class(), Class::Unavailable | Class::Refused), "{}", chain(&error));
}

#[tokio::test]
async fn the_line_may_break_more_often_than_there_are_tries_as_long_as_it_gets_on() {
    let server = Server::start(Options::default());
    server.fault(Fault::when(is_whole, Action::ResetRequestAt(MIB)));
    for at in [MIB, 2 * MIB, 3 * MIB, 4 * MIB] {
        server.fault(Fault::when(is_chunk, Action::ResetRequestAt(at)).after(1));
    }
    let registry =
        Registry::new(server.host().parse().unwrap(), http(), RegistryOptions { attempts: 3, ..options() });
    let layer = Layer::new();
    layer.push(&registry).await.unwrap();
    layer.assert_stored(&server);
    assert_eq!(server.count(|r| r.method == "POST"), 1, "{:#?}", log(&server));
}

#[tokio::test]
async fn chunks_that_are_too_large_are_halved() {
    for code in [413, 416] {
        let server = Server::start(Options { max_chunk: Some(2 * MIB), ..Options::default() });
        server.fault(Fault::when(is_whole, Action::ResetBefore));
        if code == 413 {
            let large =
                |r: &Request| is_chunk(r) && r.headers["content-length"].parse::<usize>().unwrap() > 2 * MIB;
            server.fault(Fault::when(large, Action::status(413)).times(usize::MAX));
        }
        let (layer, registry) = (Layer::new(), anonymous(&server));
        layer.push(&registry).await.unwrap();
        layer.assert_stored(&server);
        let refused = server.count(|r| is_chunk(r) && r.status.is_some_and(|status| status >= 400));
        assert!(refused <= 3, "5 and 2.5 MiB, once each: {:#?}", log(&server));
        assert_eq!(server.count(|r| r.method == "POST"), 1);
    }
}

/// Whatever a registry makes of chunks, what worked before is tried again.
#[tokio::test]
async fn a_registry_that_cannot_put_chunks_together_gets_the_whole_again() {
    let unsupported = Fault::when(is_chunk, Action::status(405)).times(usize::MAX);
    let forgotten = Fault::when(
        |r| r.method == "PUT" && r.headers["content-length"] == "0",
        Action::Status {
            code: 400,
            headers: Vec::new(),
            body: r#"{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}"#.to_owned(),
        },
    );
    for fault in [unsupported, forgotten] {
        let server = Server::start(Options::default());
        server.fault(Fault::when(is_whole, Action::ResetBefore));
        server.fault(fault);
        let (layer, registry) = (Layer::new(), anonymous(&server));
        layer.push(&registry).await.unwrap();
        layer.assert_stored(&server);
        assert_eq!(server.count(is_whole), 2, "{:#?}", log(&server));
    }
}

/// GHCR commits for longer than its proxy waits, and then has no session any more (jib#4301).
#[tokio::test]
async fn after_a_commit_whose_answer_was_lost_the_blob_is_looked_for_first() {
    let commit = |r: &Request| r.method == "PUT" && r.headers["content-length"] == "0";
    let server = Server::start(Options::default());
    server.fault(Fault::when(is_whole, Action::ResetBefore));
    server.fault(Fault::when(commit, Action::ResetAfter));
    let layer = Layer::new();
    layer.push(&anonymous(&server)).await.unwrap();
    layer.assert_stored(&server);
    assert_eq!(course(&server).last().unwrap(), "HEAD");
    assert_eq!(sent(&server), 2 * SIZE, "the whole that was lost, and its chunks once");
}

fn with_lifetime(lifetime: Duration) -> Server {
    let auth =
        Auth::Token { user: USER.to_owned(), password: PASSWORD.to_owned(), refresh_token: None, lifetime };
    Server::start(Options { auth, ..Options::default() })
}

#[tokio::test]
async fn a_token_that_dies_under_a_chunk_costs_that_chunk_and_no_more() {
    let server = with_lifetime(Duration::from_secs(300));
    server.fault(Fault::when(is_whole, Action::status(502)));
    server.fault(Fault::when(is_chunk, Action::ExpireTokens).after(1));
    let layer = Layer::new();
    layer.push(&with_password(&server, PASSWORD)).await.unwrap();
    layer.assert_stored(&server);
    let chunks: Vec<String> = course(&server).into_iter().filter(|line| line.starts_with("PATCH")).collect();
    assert_eq!(chunks.len(), 5, "four, and one of them twice: {chunks:?}");
    assert_eq!(server.count(|r| r.method == "POST"), 2, "the first is challenged: {:#?}", log(&server));
}

#[tokio::test]
async fn a_token_that_dies_under_the_whole_is_renewed_and_only_what_is_needed_sent_again() {
    // The whole takes longer than any token lives, and this registry looks at the token at the end.
    let server = with_lifetime(Duration::from_secs(300));
    server.fault(Fault::when(is_whole, Action::ExpireTokens).times(usize::MAX));
    let layer = Layer::new();
    layer.push(&with_password(&server, PASSWORD)).await.unwrap();
    layer.assert_stored(&server);
    assert_eq!(server.count(is_whole), 1, "once is enough to know: {:#?}", log(&server));
    let after = course(&server);
    let put = after.iter().position(|line| line == "PUT").unwrap();
    assert_eq!(after[put + 1], "HEAD", "perhaps it is there all the same: {after:?}");
}

#[tokio::test]
async fn a_right_that_is_missing_is_not_asked_for_with_the_whole_content_again_and_again() {
    let server = with_lifetime(Duration::from_secs(60));
    let challenge = Action::Status {
        code: 401,
        headers: vec![(
            "WWW-Authenticate".to_owned(),
            format!("Bearer realm=\"{}/token\",service=\"testkit\"", server.url()),
        )],
        body: "no".to_owned(),
    };
    server.fault(Fault::when(|r| r.method == "PUT" || r.method == "PATCH", challenge).times(usize::MAX));
    let error = Layer::new().push(&with_password(&server, PASSWORD)).await.unwrap_err();
    assert_eq!(error.class(), Class::Auth, "{}", chain(&error));
    assert!(server.count(|r| r.method == "PUT" || r.method == "PATCH") <= 3, "{:#?}", log(&server));
}

/// A token in the second half of its life is good enough for everything but what takes long: the whole, and
/// the commit after chunks, which some registries spend minutes on.
#[tokio::test]
async fn what_takes_long_is_begun_with_a_young_token() {
    let fetched_before = async |refused: Option<fn(&Request) -> bool>| {
        let server = with_lifetime(Duration::from_secs(100));
        if let Some(refused) = refused {
            server.fault(Fault::when(refused, Action::status(405)).times(usize::MAX));
        }
        let registry = with_password(&server, PASSWORD);
        // Whatever is refused is known afterwards.
        Layer::new().push(&registry).await.unwrap();
        server.clear_log();
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(60)).await;
        tokio::time::resume();
        let (descriptor, source) = blob(b"small");
        registry.push_blob(&app(), &descriptor, &source, &PushOptions::default()).await.unwrap();
        assert_eq!(server.count(|r| r.path == "/token"), 0, "{:#?}", log(&server));
        let other = blob(&[7; SIZE]);
        registry.push_blob(&app(), &other.0, &other.1, &PushOptions::default()).await.unwrap();
        let requests = server.requests();
        let fetched = requests.iter().position(|r| r.path == "/token").expect("a new one was fetched");
        let next = &requests[fetched + 1];
        (next.method.clone(), next.headers["content-length"].clone())
    };
    assert_eq!(fetched_before(None).await, ("PUT".to_owned(), SIZE.to_string()));
    let unranged = |r: &Request| is_whole(r) || (r.method == "PATCH" && !is_chunk(r));
    assert_eq!(fetched_before(Some(unranged)).await, ("PUT".to_owned(), "0".to_owned()), "the commit");
}

#[tokio::test]
async fn progress_never_passes_the_size_and_small_blobs_are_begun_again() {
    let server = Server::start(Options::default());
    server.fault(Fault::when(is_whole, Action::ResetRequestAt(9 * MIB)));
    let layer = Layer::new();
    let highest = Arc::new(AtomicU64::new(0));
    let seen = highest.clone();
    let progress: granary_registry::Progress = Arc::new(move |bytes| {
        seen.fetch_max(bytes, Ordering::SeqCst);
    });
    let options = PushOptions { progress: Some(progress), ..PushOptions::default() };
    let registry = anonymous(&server);
    registry.push_blob(&app(), &layer.descriptor, &layer.source(), &options).await.unwrap();
    assert_eq!(highest.load(Ordering::SeqCst), SIZE as u64);

    let server = Server::start(Options::default());
    server.fault(Fault::when(is_whole, Action::ResetRequestAt(MIB)));
    let (descriptor, source) = blob(&noise(2 * MIB));
    anonymous(&server).push_blob(&app(), &descriptor, &source, &PushOptions::default()).await.unwrap();
    assert_eq!(course(&server), ["HEAD", "POST", "PUT", "HEAD", "DELETE", "POST", "PUT"]);
}
