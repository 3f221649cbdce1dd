//! Uploads in every way that registries want them, and what happens when they break.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use granary_oci::{Descriptor, Digest};
use granary_registry::{BlobOutcome, BlobSource, Class, PushOptions, Registry};
use granary_testkit::registry::{Action, Fault, Location, Options, Registry as Server};

use crate::support::{anonymous, app, blob, chain, log, mounted_from, noise, repository};

/// A blob in a file, behind some other bytes.
struct Layer {
    _folder: tempfile::TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Layer {
    const OFFSET: u64 = 777;

    fn new(size: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = (folder.path().join("archive"), noise(size));
        let archive = [&vec![b'x'; Self::OFFSET as usize][..], &bytes, b"behind"].concat();
        std::fs::write(&path, archive).unwrap();
        Layer { _folder: folder, path, bytes }
    }

    fn descriptor(&self) -> Descriptor {
        blob(&self.bytes).0
    }

    fn source(&self) -> BlobSource {
        BlobSource::File { path: self.path.clone(), offset: Self::OFFSET }
    }

    async fn push(&self, registry: &Registry) -> Result<BlobOutcome, granary_registry::RegistryError> {
        registry.push_blob(&app(), &self.descriptor(), &self.source(), &PushOptions::default()).await
    }

    fn assert_stored(&self, server: &Server) {
        let stored = server.blob("acme/app", self.descriptor().digest.as_str()).expect("the blob was stored");
        assert_eq!(stored, self.bytes);
    }
}

fn methods(server: &Server) -> String {
    server.requests().iter().map(|request| request.method.clone()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn the_usual_way_is_head_post_put() {
    for size in [0, 10, 64 * 1024, 64 * 1024 + 1, 1_000_000] {
        let server = Server::start(Options::default());
        let layer = Layer::new(size);
        assert_eq!(layer.push(&anonymous(&server)).await.unwrap(), BlobOutcome::Uploaded);
        layer.assert_stored(&server);
        assert_eq!(methods(&server), "HEAD POST PUT", "{size}");
        let put = server.requests().pop().unwrap();
        assert_eq!(put.headers["content-length"], size.to_string());
        assert!(!put.headers.contains_key("transfer-encoding"));
        assert_eq!(server.requests()[1].headers["content-length"], "0", "some proxies answer 411 without");
        server.clear_log();
        assert_eq!(layer.push(&anonymous(&server)).await.unwrap(), BlobOutcome::Present);
        assert_eq!(methods(&server), "HEAD");
    }
}

#[tokio::test]
async fn every_kind_of_location_but_none() {
    for upload_location in [Location::Absolute, Location::Path, Location::Bare] {
        let server = Server::start(Options { upload_location, ..Options::default() });
        let layer = Layer::new(100_000);
        layer.push(&anonymous(&server)).await.unwrap();
        layer.assert_stored(&server);
    }
    let server = Server::start(Options { upload_location: Location::Missing, ..Options::default() });
    let error = Layer::new(100_000).push(&anonymous(&server)).await.unwrap_err();
    assert!(
        error.to_string().ends_with("the registry opened an upload without saying where (no `Location`)")
    );
    assert_eq!(error.class(), Class::Protocol);
}

#[tokio::test]
async fn a_session_on_another_host_gets_no_credentials() {
    let storage = Server::start(Options::default());
    let server = Server::start_sharing(Options::with_basic("ci", "secret-word"), &storage);
    let layer = Layer::new(100_000);
    // A session that the storage host knows.
    let opened = Server::start_sharing(Options::default(), &storage);
    let client = granary_net::Http::new(granary_net::HttpOptions::default()).unwrap();
    let url = format!("{}/v2/acme/app/blobs/uploads/", opened.url()).parse().unwrap();
    let request = granary_net::Request::new(granary_net::Method::POST, url);
    let deadline = granary_net::Deadline::after(std::time::Duration::from_secs(5));
    let answer = client.exchange(&request, 1000, deadline).await.unwrap();
    let path = answer
        .header("location")
        .unwrap()
        .replace(&opened.url(), &format!("http://localhost:{}", storage.port()));
    let headers = vec![("Location".to_owned(), path)];
    server.fault(Fault::on("POST", "/uploads/", Action::Status { code: 202, headers, body: "-".to_owned() }));
    layer.push(&crate::support::with_password(&server, "secret-word")).await.unwrap();
    layer.assert_stored(&storage);
    assert_eq!(storage.requests().len(), 1);
    assert_eq!(storage.requests()[0].authorization, None);
    assert!(!storage.saw_bytes(b"uthorization"));
}

#[tokio::test]
async fn registries_that_want_it_otherwise() {
    let refuse = |server: &Server, code| {
        server.fault(
            Fault::when(|r| r.method == "PUT" && r.headers["content-length"] != "0", Action::status(code))
                .times(usize::MAX),
        );
    };
    for code in [404, 405, 413, 416] {
        let server = Server::start(Options { patch_status: 201, ..Options::default() });
        refuse(&server, code);
        let layer = Layer::new(300_000);
        let registry = anonymous(&server);
        layer.push(&registry).await.unwrap();
        layer.assert_stored(&server);
        assert_eq!(methods(&server), "HEAD POST PUT HEAD DELETE POST PATCH PUT", "{code}");
        server.clear_log();
        Layer::new(400_000).push(&registry).await.unwrap();
        assert_eq!(methods(&server), "HEAD POST PATCH PUT", "what was learnt is kept");
        if code != 413 {
            server.clear_log();
            Layer::new(200_000).push(&registry).await.unwrap();
            assert_eq!(methods(&server), "HEAD POST PATCH PUT", "{code} is not about the size");
        }
    }
}

#[tokio::test]
async fn ranged_chunks_come_last_and_do_not_believe_the_range() {
    let server = Server::start(Options {
        patch_status: 201,
        stuck_range: true,
        min_chunk: Some(6 * 1024 * 1024),
        ..Options::default()
    });
    server.fault(
        Fault::when(|r| r.method == "PUT" && r.headers["content-length"] != "0", Action::status(405))
            .times(usize::MAX),
    );
    let unranged = |r: &granary_testkit::registry::Request| {
        r.method == "PATCH" && !r.headers.contains_key("content-range")
    };
    server.fault(Fault::when(unranged, Action::status(416)).times(usize::MAX));
    let layer = Layer::new(15_000_000);
    layer.push(&anonymous(&server)).await.unwrap();
    layer.assert_stored(&server);
    let ranges: Vec<String> = server
        .requests()
        .iter()
        .filter_map(|request| request.headers.get("content-range").cloned())
        .collect();
    assert_eq!(ranges, ["0-6291455", "6291456-12582911", "12582912-14999999"]);
}

#[tokio::test]
async fn what_breaks_is_done_again_and_what_is_done_is_not() {
    let table = [
        ("503 twice", Fault::on("PUT", "/uploads/", Action::status(503)).times(2), 3),
        ("429", Fault::on("PUT", "/uploads/", Action::too_many_requests(0)), 2),
        ("reset in mid-body", Fault::on("PUT", "/uploads/", Action::ResetRequestAt(100_000)), 2),
        ("reset before", Fault::on("PUT", "/uploads/", Action::ResetBefore), 2),
        ("answer lost", Fault::on("PUT", "/uploads/", Action::ResetAfter), 1),
        ("session refused", Fault::on("POST", "/uploads/", Action::status(503)), 1),
    ];
    for (name, fault, puts) in table {
        let server = Server::start(Options::default());
        server.fault(fault);
        let layer = Layer::new(900_000);
        assert_eq!(layer.push(&anonymous(&server)).await.unwrap(), BlobOutcome::Uploaded, "{name}");
        layer.assert_stored(&server);
        assert_eq!(server.faults_left(), 0, "{name}");
        assert_eq!(server.count(|request| request.method == "PUT"), puts, "{name}: {:#?}", log(&server));
    }
}

#[tokio::test]
async fn a_layer_whose_digest_lies_is_not_completed() {
    for size in [1000, 700_000] {
        let server = Server::start(Options::default());
        let layer = Layer::new(size);
        let lying = Descriptor { digest: Digest::of(b"something else"), ..layer.descriptor() };
        let registry = anonymous(&server);
        let error =
            registry.push_blob(&app(), &lying, &layer.source(), &PushOptions::default()).await.unwrap_err();
        assert_eq!(error.class(), Class::Local);
        let text = chain(&error);
        assert!(text.contains("layer digest lies: the manifest says sha256:"), "{text}");
        assert_eq!(server.blob("acme/app", lying.digest.as_str()), None);
        assert_eq!(server.blob("acme/app", layer.descriptor().digest.as_str()), None);
        let finished = server.count(|r| r.method == "PUT" && r.status.is_some());
        assert_eq!(finished, 0, "{:#?}", log(&server));
        if size > 64 * 1024 {
            assert_eq!(server.count(|r| r.method == "DELETE"), 1, "the session is given up");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_too_short_or_gone_is_named() {
    let server = Server::start(Options::default());
    let layer = Layer::new(100_000);
    let registry = anonymous(&server);
    let longer = Descriptor { size: 200_000, ..layer.descriptor() };
    let error =
        registry.push_blob(&app(), &longer, &layer.source(), &PushOptions::default()).await.unwrap_err();
    assert!(chain(&error).contains("the manifest says 200000 bytes, there are 100006"), "{}", chain(&error));
    std::fs::remove_file(&layer.path).unwrap();
    let error = layer.push(&registry).await.unwrap_err();
    assert!(chain(&error).contains("archive cannot be read"), "{}", chain(&error));
    assert_eq!(error.class(), Class::Local);
}

#[tokio::test]
async fn mounts_are_taken_refused_or_ignored() {
    let bytes = noise(200_000);
    let (descriptor, source) = blob(&bytes);
    let options = mounted_from("acme/base");
    let refused = Action::status(405);
    let table = [
        ("taken", Options::default(), None, BlobOutcome::Mounted, "POST"),
        (
            "202",
            Options { mounts: false, ..Options::default() },
            None,
            BlobOutcome::Uploaded,
            "POST HEAD PUT",
        ),
        ("refused", Options::default(), Some(refused), BlobOutcome::Uploaded, "POST POST HEAD PUT"),
    ];
    for (name, server_options, action, expected, sent) in table {
        let server = Server::start(server_options);
        server.put_blob("acme/base", bytes.clone());
        if let Some(action) = action {
            server.fault(Fault::on("POST", "mount=", action));
        }
        let outcome = anonymous(&server).push_blob(&app(), &descriptor, &source, &options).await.unwrap();
        assert_eq!(outcome, expected, "{name}");
        assert_eq!(methods(&server), sent, "{name}");
        assert_eq!(server.blob("acme/app", descriptor.digest.as_str()).unwrap(), bytes);
    }
}

/// Every release after the first finds most of its layers there: they are not sent again where nothing is mounted.
#[tokio::test]
async fn where_nothing_is_mounted_what_is_there_is_not_sent() {
    let bytes = noise(200_000);
    let (descriptor, source) = blob(&bytes);
    let options = mounted_from("acme/base");
    let server = Server::start(Options { mounts: false, ..Options::default() });
    server.put_blob("acme/base", bytes.clone());
    server.put_blob("acme/app", bytes);
    let outcome = anonymous(&server).push_blob(&app(), &descriptor, &source, &options).await.unwrap();
    assert_eq!((outcome, methods(&server).as_str()), (BlobOutcome::Present, "POST HEAD DELETE"));
}

#[tokio::test]
async fn a_mount_has_the_token_for_both_repositories() {
    let server = Server::start(Options::with_token("ci", "secret-word"));
    let bytes = noise(1000);
    server.put_blob("acme/base", bytes.clone());
    let (descriptor, source) = blob(&bytes);
    let options = mounted_from("acme/base");
    let registry = crate::support::with_password(&server, "secret-word");
    let outcome = registry.push_blob(&app(), &descriptor, &source, &options).await.unwrap();
    assert_eq!(outcome, BlobOutcome::Mounted);
    let token = server.requests().into_iter().find(|request| request.path == "/token").unwrap();
    assert!(
        token
            .query
            .contains("scope=repository%3Aacme%2Fapp%3Apull%2Cpush&scope=repository%3Aacme%2Fbase%3Apull"),
        "{token}"
    );
}

#[tokio::test]
async fn streamed_from_another_registry_and_checked_on_the_way() {
    let (from, to) = (Server::start(Options::default()), Server::start(Options::default()));
    let bytes = noise(700_000);
    from.put_blob("acme/src", bytes.clone());
    let (descriptor, _) = blob(&bytes);
    let source = BlobSource::Remote { registry: anonymous(&from), repository: repository("acme/src") };
    // The connection to the source breaks once on the way.
    from.fault(Fault::on("GET", "/blobs/", Action::ResetResponseAt(300_000)));
    let registry = anonymous(&to);
    registry.push_blob(&app(), &descriptor, &source, &PushOptions::default()).await.unwrap();
    assert_eq!(to.blob("acme/app", descriptor.digest.as_str()).unwrap(), bytes);
    assert_eq!(from.faults_left(), 0);

    let to = Server::start(Options::default());
    from.fault(Fault::on("GET", "/blobs/", Action::Corrupt).times(usize::MAX));
    let error =
        anonymous(&to).push_blob(&app(), &descriptor, &source, &PushOptions::default()).await.unwrap_err();
    assert!(chain(&error).contains("digest lies"), "{}", chain(&error));
    assert_eq!(to.blob("acme/app", descriptor.digest.as_str()), None);
}

#[tokio::test]
async fn progress_ends_at_the_size() {
    let server = Server::start(Options::default());
    let layer = Layer::new(1_000_000);
    let (last, steps) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(0)));
    let (seen, counted) = (last.clone(), steps.clone());
    let progress: granary_registry::Progress = Arc::new(move |bytes| {
        seen.store(bytes, Ordering::SeqCst);
        *counted.lock().unwrap() += 1;
    });
    let options = PushOptions { progress: Some(progress), ..PushOptions::default() };
    anonymous(&server).push_blob(&app(), &layer.descriptor(), &layer.source(), &options).await.unwrap();
    assert_eq!((last.load(Ordering::SeqCst), *steps.lock().unwrap()), (1_000_000, 4));
}

#[tokio::test]
async fn reading_is_bounded_and_checked() {
    let server = Server::start(Options::default());
    let bytes = noise(5000);
    server.put_blob("acme/app", bytes.clone());
    let (descriptor, _) = blob(&bytes);
    let registry = anonymous(&server);
    assert_eq!(registry.blob(&app(), &descriptor, 5000).await.unwrap(), bytes);
    let error = registry.blob(&app(), &descriptor, 4999).await.unwrap_err();
    assert!(error.to_string().ends_with("it has 5000 bytes, more than the 4999 allowed here"), "{error}");
    for (action, expected) in
        [(Action::Corrupt, "asked for sha256:"), (Action::Truncate(10), "expected 5000 bytes, got 10")]
    {
        server.fault(Fault::on("GET", "/blobs/", action));
        let error = registry.blob(&app(), &descriptor, 5000).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    server.fault(Fault::on("GET", "/blobs/", Action::ResetResponseAt(100)));
    assert_eq!(registry.blob(&app(), &descriptor, 5000).await.unwrap(), bytes);
}
