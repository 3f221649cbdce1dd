//! What is known to be there is not looked for, and a registry that lost it is helped.

use bytes::Bytes;
use granary_oci::{ArtifactManifest, Descriptor, EMPTY_JSON, empty_descriptor};
use granary_registry::{BlobOutcome, BlobSource, Class, CopyOptions, PlanOptions, PushOptions};
use granary_testkit::image::ImageBuilder;
use granary_testkit::registry::{Action, Fault, Options, Registry as Server};

use crate::support::{anonymous, app, blob, by_tag, content, log, raw, repository};

fn empty() -> (Descriptor, BlobSource) {
    (empty_descriptor(), BlobSource::Bytes(Bytes::from_static(EMPTY_JSON)))
}

#[tokio::test]
async fn nothing_is_asked_for_twice() {
    let server = Server::start(Options::default());
    let registry = anonymous(&server);
    let ((pushed, source), options) = (blob(b"layer"), PushOptions::default());
    let (found, _) = blob(b"there");
    server.put_blob("acme/app", b"there".as_slice());
    registry.push_blob(&app(), &pushed, &source, &options).await.unwrap();
    registry.push_blob(&app(), &found, &source, &options).await.unwrap();
    server.clear_log();
    for descriptor in [&pushed, &found] {
        let outcome = registry.push_blob(&app(), descriptor, &source, &options).await.unwrap();
        assert_eq!(outcome, BlobOutcome::Present);
    }
    assert_eq!(log(&server), Vec::<String>::new());
    registry.push_blob(&repository("acme/other"), &pushed, &source, &options).await.unwrap();
    assert_eq!(server.count(|r| r.method == "HEAD" && r.path.contains("/other/")), 1, "another repository");
}

#[tokio::test]
async fn what_a_manifest_names_is_there() {
    let server = Server::start(Options::default());
    let set = ArtifactManifest::new("application/vnd.example.set").build();
    server.put_blob("acme/app", EMPTY_JSON);
    server.put_manifest("acme/app", &["set"], set.media_type(), set.bytes().to_vec());
    let ((descriptor, source), options) = (empty(), PushOptions::default());
    // Read by one client, written by another.
    let reader = anonymous(&server);
    reader.manifest(&app(), &by_tag("set")).await.unwrap().unwrap();
    let writer = anonymous(&server);
    writer.put_manifest(&app(), &by_tag("again"), &set).await.unwrap();
    server.clear_log();
    for registry in [reader, writer] {
        let outcome = registry.push_blob(&app(), &descriptor, &source, &options).await.unwrap();
        assert_eq!(outcome, BlobOutcome::Present);
    }
    assert_eq!(log(&server), Vec::<String>::new());
}

#[tokio::test]
async fn a_registry_without_the_empty_blob_gets_it() {
    let server = Server::start(Options::default());
    let set = ArtifactManifest::new("application/vnd.example.set").build();
    // The set is there and its `{}` is not.
    server.put_manifest("acme/app", &["set"], set.media_type(), set.bytes().to_vec());
    let registry = anonymous(&server);
    registry.manifest(&app(), &by_tag("set")).await.unwrap().unwrap();
    let (descriptor, source) = empty();
    registry.push_blob(&app(), &descriptor, &source, &PushOptions::default()).await.unwrap();
    let evidence =
        ArtifactManifest::new("application/vnd.example.evidence").with_subject(&set.descriptor()).build();
    registry.attach(&app(), &set.descriptor(), &evidence).await.unwrap();
    assert_eq!(server.blob("acme/app", descriptor.digest.as_str()).unwrap(), EMPTY_JSON);
    assert_eq!(server.referrers("acme/app", set.digest().as_str()).len(), 1);
    assert_eq!(server.count(|r| r.method == "PUT" && r.path.contains("/manifests/")), 2);
}

#[tokio::test]
async fn layers_that_a_registry_lost_are_sent_after_all() {
    let server = Server::start(Options::default());
    let image = ImageBuilder::new("linux/amd64").random_layer(1, 3000).random_layer(2, 3000).build();
    let first = raw(&image);
    server.put_manifest("acme/app", &["1.0.0"], first.media_type(), first.bytes().to_vec());
    let registry = anonymous(&server);
    registry.manifest(&app(), &by_tag("1.0.0")).await.unwrap().unwrap();
    let options = PlanOptions { top_absent: true, ..PlanOptions::default() };
    registry.push_content(&app(), &content(&image), options).await.unwrap();
    for blob in image.blobs() {
        assert_eq!(server.blob("acme/app", &blob.digest).unwrap(), blob.bytes);
    }
}

#[tokio::test]
async fn a_missing_blob_that_nobody_has_is_the_registrys_error() {
    let server = Server::start(Options::default());
    let registry = anonymous(&server);
    let layer = Descriptor::of("application/json", b"never pushed");
    let manifest = ArtifactManifest::new("application/vnd.example").with_layers(vec![layer.clone()]).build();
    let error = registry.put_manifest(&app(), &by_tag("x"), &manifest).await.unwrap_err();
    assert_eq!(error.class(), Class::Refused);
    assert!(error.to_string().contains("MANIFEST_BLOB_UNKNOWN"), "{error}");
    assert_eq!(server.requests().len(), 2, "no vain second try: {:#?}", log(&server));
}

/// A registry that answers 201 to a mount that it does not do is not asked for another.
#[tokio::test]
async fn mounts_in_words_only_are_sent_after_all() {
    let server = Server::start(Options::default());
    let image = (0..6)
        .fold(ImageBuilder::new("linux/amd64"), |builder, layer| builder.random_layer(layer, 3000))
        .build();
    server.put_image("acme/src", &["1"], &image);
    let headers = vec![("Location".to_owned(), "/v2/acme/app/blobs/x".to_owned())];
    let mounted = Action::Status { code: 201, headers, body: "-".to_owned() };
    server.fault(Fault::on("POST", "mount=", mounted).times(usize::MAX));
    let registry = anonymous(&server);
    let content = registry
        .read_content(&repository("acme/src"), &image.digest().parse().unwrap(), &CopyOptions::default())
        .await
        .unwrap();
    let options = PlanOptions { fresh_repository: true, ..PlanOptions::default() };
    registry.push_content(&app(), &content, options).await.unwrap();
    for blob in image.blobs() {
        assert_eq!(server.blob("acme/app", &blob.digest).unwrap(), blob.bytes);
    }
    let mounts = server.count(|r| r.query.contains("mount="));
    assert_eq!(mounts, image.blobs().len(), "{:#?}", log(&server));
}
