//! Whole images: how many requests, in which order, and again.

use granary_oci::{ArtifactManifest, Descriptor, Digest, EMPTY_JSON, RawManifest, empty_descriptor};
use granary_registry::{BlobSource, CopyOptions, TransferOptions, TransferReport};
use granary_testkit::image::{Image, ImageBuilder};
use granary_testkit::registry::{Action, Fault, Options, Referrers, Registry as Server};

use crate::support::{PASSWORD, USER, anonymous, app, content, log, repository, with_password};

fn platform(name: &str, seed: u64) -> Image {
    let builder = ImageBuilder::new(name);
    (0..5).fold(builder, |builder, layer| builder.random_layer(seed + layer, 3000)).build()
}

fn index() -> Image {
    Image::index(&[platform("linux/amd64", 10), platform("linux/arm64", 20)])
}

fn digest(image: &Image) -> Digest {
    image.digest().parse().unwrap()
}

/// Three pieces of evidence about the image, each with a blob of its own.
fn attach_three(server: &Server, repository: &str, image: &Image) -> Vec<RawManifest> {
    let raw = crate::support::raw(image);
    server.put_blob(repository, EMPTY_JSON);
    let build = |number: u8| {
        let blob = vec![number; 500];
        server.put_blob(repository, blob.clone());
        let manifest = ArtifactManifest::new("application/vnd.example")
            .with_layers(vec![Descriptor::of("application/json", &blob)])
            .with_subject(&raw.descriptor())
            .build();
        server.put_manifest(repository, &[], manifest.media_type(), manifest.bytes().to_vec());
        manifest
    };
    (0..3).map(build).collect()
}

#[tokio::test]
async fn a_cold_push_and_the_same_again() {
    let server = Server::start(Options::with_token(USER, PASSWORD));
    let (image, registry) = (index(), with_password(&server, PASSWORD));
    let content = content(&image);
    let report = registry.push_content(&app(), &content, &TransferOptions::default()).await.unwrap();
    assert_eq!((report.blobs_uploaded, report.manifests), (12, 3));
    assert_eq!(server.count(|request| request.path == "/token"), 1, "{:#?}", log(&server));
    // 1 HEAD for the top, HEAD + POST + PUT for each blob, 3 manifests; 1 challenge and 1 token.
    assert_eq!(server.requests().len(), 1 + 3 * 12 + 3 + 2);
    assert_eq!(server.tags("acme/app").len(), 0, "nothing is tagged");
    server.clear_log();
    let report = registry.push_content(&app(), &content, &TransferOptions::default()).await.unwrap();
    assert_eq!(report, TransferReport { top_present: true, ..TransferReport::default() });
    assert_eq!(server.requests().len(), 1, "{:#?}", log(&server));
}

#[tokio::test]
async fn a_fresh_repository_is_not_searched() {
    let server = Server::start(Options::default());
    let options = TransferOptions { fresh_repository: true, ..TransferOptions::default() };
    anonymous(&server).push_content(&app(), &content(&index()), &options).await.unwrap();
    assert_eq!(server.requests().len(), 2 * 12 + 3);
}

#[tokio::test]
async fn children_come_before_their_index_and_nothing_is_tagged_when_something_fails() {
    let server = Server::start(Options::default());
    let image = index();
    server.fault(Fault::on("PUT", "/blobs/uploads/", Action::status(403)).after(7).times(usize::MAX));
    anonymous(&server).push_content(&app(), &content(&image), &TransferOptions::default()).await.unwrap_err();
    assert_eq!(server.count(|request| request.path.contains("/manifests/") && request.is_write()), 0);
    server.clear_faults();
    server.clear_log();
    anonymous(&server).push_content(&app(), &content(&image), &TransferOptions::default()).await.unwrap();
    let written: Vec<String> = server
        .requests()
        .iter()
        .filter(|r| r.path.contains("/manifests/") && r.is_write())
        .map(|r| r.path.clone())
        .collect();
    assert_eq!(written.len(), 3);
    assert!(written[2].ends_with(image.digest()), "the index comes last");
}

#[tokio::test]
async fn copied_within_a_registry_with_referrers() {
    for (referrers, most) in [(Referrers::On, 31), (Referrers::Off, 60)] {
        let server = Server::start(Options { referrers, ..Options::default() });
        let image = index();
        server.put_image("acme/candidates", &["1.0.0-rc.1"], &image);
        let evidence = if referrers == Referrers::On {
            attach_three(&server, "acme/candidates", &image)
        } else {
            Vec::new()
        };
        let registry = anonymous(&server);
        let from = repository("acme/candidates");
        let content =
            registry.read_content(&from, &digest(&image), &CopyOptions { referrers: true }).await.unwrap();
        let options = TransferOptions { fresh_repository: true, ..TransferOptions::default() };
        let report = registry.push_content(&app(), &content, &options).await.unwrap();
        assert_eq!(report.blobs_uploaded, 0, "everything is mounted");
        assert!(server.requests().len() <= most, "{} {:#?}", server.requests().len(), log(&server));
        for manifest in image.manifests() {
            assert_eq!(server.manifest("acme/app", &manifest.digest).unwrap().1, manifest.bytes);
        }
        assert_eq!(server.referrers("acme/app", image.digest()).len(), evidence.len());
    }
}

#[tokio::test]
async fn copied_to_another_registry_and_again() {
    let (from, to) = (
        Server::start(Options::default()),
        Server::start(Options { referrers: Referrers::Off, ..Options::default() }),
    );
    let image = index();
    from.put_image("acme/src", &["1"], &image);
    let evidence = attach_three(&from, "acme/src", &image);
    let (source, target) = (anonymous(&from), anonymous(&to));
    let read = CopyOptions { referrers: true };
    let content = source.read_content(&repository("acme/src"), &digest(&image), &read).await.unwrap();
    assert!(content.blobs.iter().all(|(_, source)| matches!(source, BlobSource::Remote { .. })));
    let options = TransferOptions::default();
    let report = target.push_content(&app(), &content, &options).await.unwrap();
    assert_eq!((report.blobs_uploaded, report.manifests), (12 + 4, 6));
    let listed = target.referrers(&app(), &digest(&image), None).await.unwrap();
    assert_eq!(listed.len(), 3);
    assert!(evidence.iter().all(|manifest| listed.iter().any(|entry| entry.digest == *manifest.digest())));
    assert_eq!(to.blob("acme/app", empty_descriptor().digest.as_str()).unwrap(), EMPTY_JSON);
    to.clear_log();
    let report = target.push_content(&app(), &content, &options).await.unwrap();
    assert_eq!((report.top_present, report.manifests), (true, 0));
    assert_eq!(to.requests().len(), 2, "the top and the list: {:#?}", log(&to));
}

#[tokio::test]
async fn a_copy_that_died_before_its_referrers_is_finished() {
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let source = Server::start(Options::default());
    let image = index();
    source.put_image("acme/src", &["1"], &image);
    attach_three(&source, "acme/src", &image);
    let read = CopyOptions { referrers: true };
    let content =
        anonymous(&source).read_content(&repository("acme/src"), &digest(&image), &read).await.unwrap();
    let registry = anonymous(&server);
    server.fault(Fault::on("PUT", "/manifests/sha256-", Action::status(403)));
    registry.push_content(&app(), &content, &TransferOptions::default()).await.unwrap_err();
    registry.push_content(&app(), &content, &TransferOptions::default()).await.unwrap();
    assert_eq!(registry.referrers(&app(), &digest(&image), None).await.unwrap().len(), 3);
}

#[tokio::test]
async fn the_limit_on_requests_holds() {
    let server =
        Server::start(Options { latency: std::time::Duration::from_millis(5), ..Options::default() });
    let options = granary_registry::RegistryOptions { concurrency: 3, ..crate::support::options() };
    let registry =
        granary_registry::Registry::new(server.host().parse().unwrap(), crate::support::http(), options);
    registry.push_content(&app(), &content(&index()), &TransferOptions::default()).await.unwrap();
    assert_eq!(server.peak_concurrency(), 3);
}

#[tokio::test]
async fn the_limit_on_requests_is_the_only_one() {
    let latency = std::time::Duration::from_millis(100);
    let server = Server::start(Options { latency, ..Options::default() });
    let options = granary_registry::RegistryOptions { concurrency: 30, ..crate::support::options() };
    let registry =
        granary_registry::Registry::new(server.host().parse().unwrap(), crate::support::http(), options);
    let builder = ImageBuilder::new("linux/amd64");
    let image = (0..40).fold(builder, |builder, layer| builder.random_layer(layer, 100)).build();
    registry.push_content(&app(), &content(&image), &TransferOptions::default()).await.unwrap();
    let peak = server.peak_concurrency();
    assert!((17..=30).contains(&peak), "more than by default, and never more than allowed: {peak}");
}

#[tokio::test]
async fn a_top_that_the_caller_did_not_find_is_not_looked_for_again() {
    let server = Server::start(Options::default());
    let image = index();
    let options = TransferOptions { top_absent: true, ..TransferOptions::default() };
    anonymous(&server).push_content(&app(), &content(&image), &options).await.unwrap();
    assert_eq!(server.count(|r| r.method == "HEAD" && r.path.contains("/manifests/")), 0);
    assert_eq!(server.count(|r| r.method == "HEAD" && r.path.contains("/blobs/")), 12, "blobs may be there");
}
