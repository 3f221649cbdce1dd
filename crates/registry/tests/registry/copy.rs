//! Whole images from one repository to another: what comes along, in how many requests, how deep.

use std::time::Duration;

use granary_oci::{
    ArtifactManifest, Descriptor, Digest, EMPTY_JSON, FallbackIndex, RawManifest, empty_descriptor,
    media_type,
};
use granary_registry::{BlobSource, Class, CopyOptions, LeaveOut, PlanOptions, Registry};
use granary_testkit::image::{Image, ImageBuilder};
use granary_testkit::registry::{Action, Fault, Options, Referrers, Registry as Server, Request};

use crate::support::{
    PASSWORD, anonymous, app, by_tag, chain, depth, http, log, options, raw, repository, with_password,
};

const WITH_REFERRERS: CopyOptions = CopyOptions { referrers: true, leave_out: None };

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

/// A manifest about another one, with a blob of its own; found from there in the way that the registry has.
fn attach(server: &Server, repository: &str, subject: &RawManifest, name: &str) -> RawManifest {
    server.put_blob(repository, EMPTY_JSON);
    server.put_blob(repository, name.as_bytes().to_vec());
    let manifest = ArtifactManifest::new("application/vnd.example")
        .with_layers(vec![Descriptor::of("application/json", name.as_bytes())])
        .with_subject(&subject.descriptor())
        .build();
    server.put_manifest(repository, &[], manifest.media_type(), manifest.bytes().to_vec());
    manifest
}

/// Enters referrers in the fallback tag of their subject.
fn enter(server: &Server, repository: &str, subject: &RawManifest, referrers: &[&RawManifest]) {
    let mut index = FallbackIndex::read(subject.digest(), None).unwrap();
    for referrer in referrers {
        index.merge(FallbackIndex::entry(referrer, referrer.parse().unwrap()));
    }
    let (index, tag) = (index.build().unwrap(), FallbackIndex::tag(subject.digest()));
    server.put_manifest(repository, &[tag.as_str()], index.media_type(), index.bytes().to_vec());
}

fn attach_three(server: &Server, repository: &str, image: &Image) -> Vec<RawManifest> {
    let subject = raw(image);
    ["sbom", "tests", "provenance"].map(|name| attach(server, repository, &subject, name)).to_vec()
}

fn index_of(children: &[&RawManifest], subject: Option<&RawManifest>) -> RawManifest {
    let children: Vec<Descriptor> = children.iter().map(|child| child.descriptor()).collect();
    let mut document =
        serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children});
    if let Some(subject) = subject {
        document["subject"] = serde_json::json!(subject.descriptor());
    }
    RawManifest::new(document.to_string().into_bytes(), "").unwrap()
}

async fn copy(source: &Registry, target: &Registry, image: &Image, fresh_repository: bool) {
    let content =
        source.read_content(&repository("acme/src"), &digest(image), &WITH_REFERRERS).await.unwrap();
    let options = PlanOptions { fresh_repository, ..PlanOptions::default() };
    target.push_content(&app(), &content, options).await.unwrap();
}

#[tokio::test]
async fn within_a_registry_in_the_fewest_requests() {
    let server = Server::start(Options::default());
    let image = index();
    server.put_image("acme/src", &["1"], &image);
    let evidence = attach_three(&server, "acme/src", &image);
    copy(&anonymous(&server), &anonymous(&server), &image, true).await;
    // 6 manifests and 6 lists of referrers are read, 12 + 4 blobs mounted, 6 manifests put.
    assert_eq!(server.requests().len(), 6 + 6 + 16 + 6, "{:#?}", log(&server));
    assert_eq!(server.count(|r| r.method == "POST" && r.status == Some(201)), 16, "everything is mounted");
    for manifest in image.manifests() {
        assert_eq!(server.manifest("acme/app", &manifest.digest).unwrap().1, manifest.bytes);
    }
    assert_eq!(server.referrers("acme/app", image.digest()).len(), evidence.len());
}

#[tokio::test]
async fn without_the_referrers_api_the_fallback_tag_costs_one_write() {
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let image = index();
    server.put_image("acme/src", &["1"], &image);
    let evidence = attach_three(&server, "acme/src", &image);
    enter(&server, "acme/src", &raw(&image), &evidence.iter().collect::<Vec<_>>());
    let registry = anonymous(&server);
    copy(&registry, &registry, &image, true).await;
    // As above, a look for the API, and the index of the three: read, written, and read again.
    assert_eq!(server.requests().len(), 6 + 6 + 16 + 6 + 1 + 3, "{:#?}", log(&server));
    let listed = anonymous(&server).referrers(&app(), &digest(&image), None).await.unwrap();
    assert_eq!(listed.len(), 3);
}

#[tokio::test]
async fn within_a_registry_five_round_trips_deep() {
    let latency = Duration::from_millis(300);
    let server = Server::start(Options { latency, ..Options::default() });
    let image = index();
    server.put_image("acme/src", &["1"], &image);
    attach_three(&server, "acme/src", &image);
    let registry = anonymous(&server);
    // Whoever copies has resolved a tag before.
    let top = registry.manifest(&repository("acme/src"), &by_tag("1")).await.unwrap().unwrap();
    server.clear_log();
    copy(&registry, &registry, &image, true).await;
    assert_eq!(depth(&server, latency), 5, "{:#?}", log(&server));
    let to = repository("acme/again");
    server.clear_log();
    let content = registry.read_content_of(&repository("acme/src"), &top, &WITH_REFERRERS).await.unwrap();
    let options = PlanOptions { fresh_repository: true, ..PlanOptions::default() };
    registry.push_content(&to, &content, options).await.unwrap();
    assert_eq!(server.requests().len(), 33, "the top is in hand");
    assert_eq!(server.referrers("acme/again", image.digest()).len(), 3);
    // Without referrers that is a round trip less, too.
    server.clear_log();
    let content =
        registry.read_content_of(&repository("acme/src"), &top, &CopyOptions::default()).await.unwrap();
    registry.push_content(&repository("acme/third"), &content, options).await.unwrap();
    assert_eq!((server.requests().len(), depth(&server, latency)), (2 + 12 + 3, 4), "{:#?}", log(&server));
}

#[tokio::test]
async fn a_cold_client_with_a_login_is_one_round_trip_deeper() {
    let latency = Duration::from_millis(300);
    for (referrers, login) in [(Referrers::On, false), (Referrers::On, true), (Referrers::Off, true)] {
        let server = Server::start(Options { latency, referrers, ..Options::default() });
        let image = index();
        server.put_image("acme/src", &["1"], &image);
        let registry = if login { with_password(&server, PASSWORD) } else { anonymous(&server) };
        copy(&registry, &registry, &image, true).await;
        let asked = server.count(|request| request.path.contains("/referrers/"));
        assert_eq!(asked, if referrers == Referrers::On { 3 } else { 1 }, "a missing API is asked for once");
        assert_eq!(depth(&server, latency), 5 + usize::from(login), "{:#?}", log(&server));
    }
}

#[tokio::test]
async fn across_registries_in_the_fewest_requests() {
    let (from, to) = (Server::start(Options::default()), Server::start(Options::default()));
    let image = index();
    from.put_image("acme/src", &["1"], &image);
    attach_three(&from, "acme/src", &image);
    copy(&anonymous(&from), &anonymous(&to), &image, true).await;
    let blobs = 12 + 4;
    // Everybody knows what `{}` is.
    assert_eq!(from.requests().len(), 6 + 6 + blobs - 1, "{:#?}", log(&from));
    assert_eq!(to.requests().len(), 2 * blobs + 6, "{:#?}", log(&to));
    assert_eq!(to.referrers("acme/app", image.digest()).len(), 3);
    // Where blobs may be there they are looked for, and what is there is not read.
    let other = Server::start(Options::default());
    for blob in image.blobs() {
        other.put_blob("acme/app", blob.bytes.clone());
    }
    from.clear_log();
    copy(&anonymous(&from), &anonymous(&other), &image, false).await;
    assert_eq!(from.requests().len(), 6 + 6 + 3, "{:#?}", log(&from));
    assert_eq!(other.requests().len(), 1 + blobs + 2 * 4 + 6, "{:#?}", log(&other));
}

/// go-containerregistry's registry mounts nothing and answers nobody while it reads an upload: a blob that is
/// read from there after its upload has begun never comes.
#[tokio::test]
async fn without_mounts_a_blob_is_opened_before_it_is_sent_back() {
    let server = Server::start(Options { mounts: false, ..Options::default() });
    let image = (0..6)
        .fold(ImageBuilder::new("linux/amd64"), |builder, layer| {
            builder.random_layer(layer, if layer < 3 { 1_500_000 } else { 500 })
        })
        .build();
    server.put_image("acme/src", &["1"], &image);
    let registry = anonymous(&server);
    copy(&registry, &registry, &image, true).await;
    let requests = server.requests();
    for blob in image.blobs() {
        let read = requests.iter().position(|r| r.method == "GET" && r.path.ends_with(&blob.digest));
        let hex = blob.digest.trim_start_matches("sha256:");
        let sent = requests.iter().position(|r| r.method == "PUT" && r.query.contains(hex));
        assert!(read.unwrap() < sent.unwrap(), "{:#?}", log(&server));
        assert_eq!(server.blob("acme/app", &blob.digest).unwrap(), blob.bytes);
    }
    let looks = |server: &Server| server.count(|r| r.method == "HEAD" && r.path.contains("/blobs/"));
    assert_eq!(looks(&server), 0, "the repository is new");
    // In one that is not, the large ones may be there.
    let server = Server::start(Options { mounts: false, ..Options::default() });
    server.put_image("acme/src", &["1"], &image);
    image.blobs().iter().for_each(|blob| drop(server.put_blob("acme/app", blob.bytes.clone())));
    let registry = anonymous(&server);
    copy(&registry, &registry, &image, false).await;
    let large = image.blobs().iter().filter(|blob| blob.bytes.len() > 100_000).count();
    let sent = server.count(|r| r.method == "PUT" && r.path.contains("/blobs/"));
    assert_eq!((looks(&server), sent), (large, image.blobs().len() - large), "{:#?}", log(&server));
}

#[tokio::test]
async fn what_lies_in_the_repository_itself_is_neither_mounted_nor_looked_for() {
    let server = Server::start(Options::default());
    let image = index();
    server.put_image("acme/app", &["1"], &image);
    let mut content =
        anonymous(&server).read_content(&app(), &digest(&image), &CopyOptions::default()).await.unwrap();
    let top = index_of(&[&content.manifests[0]], None);
    (content.top, content.manifests) = (top.digest().clone(), vec![content.manifests[0].clone(), top]);
    let report = anonymous(&server).push_content(&app(), &content, PlanOptions::default()).await.unwrap();
    assert_eq!((report.blobs_known, report.manifests), (6, 2));
    assert_eq!(server.count(|r| r.path.contains("/blobs/")), 0, "{:#?}", log(&server));
}

#[tokio::test]
async fn small_blobs_do_not_wait_for_streams_and_large_ones_are_whole() {
    let latency = Duration::from_millis(300);
    let (from, to) = (
        Server::start(Options { latency, ..Options::default() }),
        Server::start(Options { latency, ..Options::default() }),
    );
    let builder =
        (0..14).fold(ImageBuilder::new("linux/amd64"), |builder, layer| builder.random_layer(layer, 500));
    let image = (20..26).fold(builder, |builder, layer| builder.random_layer(layer, 300_000)).build();
    from.put_image("acme/src", &["1"], &image);
    copy(&anonymous(&from), &anonymous(&to), &image, true).await;
    assert!(to.peak_concurrency() > 8, "{}", to.peak_concurrency());
    for blob in image.blobs() {
        assert_eq!(to.blob("acme/app", &blob.digest).unwrap(), blob.bytes);
    }
}

#[tokio::test]
async fn everything_that_hangs_on_it_comes_along() {
    for referrers in [Referrers::On, Referrers::Off] {
        let from = Server::start(Options { referrers, ..Options::default() });
        let image = Image::index(&[index(), platform("linux/s390x", 40)]);
        from.put_image("acme/src", &["1"], &image);
        let top = raw(&image);
        let child = RawManifest::new(image.manifests()[0].bytes.to_vec(), "").unwrap();
        let on_child = attach(&from, "acme/src", &child, "on a platform");
        let sbom = attach(&from, "acme/src", &top, "sbom");
        let signature = attach(&from, "acme/src", &sbom, "signature on the sbom");
        let time = attach(&from, "acme/src", &signature, "time stamp on the signature");
        let report = {
            let part = ArtifactManifest::new("application/vnd.example.part").build();
            from.put_manifest("acme/src", &[], part.media_type(), part.bytes().to_vec());
            let report = index_of(&[&part], Some(&top));
            from.put_manifest("acme/src", &[], report.media_type(), report.bytes().to_vec());
            let on_part = attach(&from, "acme/src", &part, "on a part of the report");
            enter(&from, "acme/src", &part, &[&on_part]);
            report
        };
        enter(&from, "acme/src", &child, &[&on_child]);
        enter(&from, "acme/src", &top, &[&sbom, &report]);
        enter(&from, "acme/src", &sbom, &[&signature]);
        enter(&from, "acme/src", &signature, &[&time]);
        for target in [Referrers::On, Referrers::Off] {
            let to = Server::start(Options { referrers: target, ..Options::default() });
            copy(&anonymous(&from), &anonymous(&to), &image, false).await;
            let reader = anonymous(&to);
            let relations = [
                (&child, vec![&on_child]),
                (&top, vec![&sbom, &report]),
                (&sbom, vec![&signature]),
                (&signature, vec![&time]),
            ];
            for (subject, expected) in relations {
                let found = reader.referrers(&app(), subject.digest(), None).await.unwrap();
                assert_eq!(found.len(), expected.len(), "{referrers:?} to {target:?}");
                assert!(expected.iter().all(|raw| found.iter().any(|entry| entry.digest == *raw.digest())));
            }
            let (content, again) = (
                anonymous(&from)
                    .read_content(&repository("acme/src"), top.digest(), &WITH_REFERRERS)
                    .await
                    .unwrap(),
                reader.read_content(&app(), top.digest(), &WITH_REFERRERS).await.unwrap(),
            );
            assert_eq!(content.manifests.len(), 5 + 7);
            assert_eq!(again.manifests.len(), content.manifests.len(), "it can be copied on");
        }
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
    let content =
        source.read_content(&repository("acme/src"), &digest(&image), &WITH_REFERRERS).await.unwrap();
    assert!(content.blobs.iter().all(|(_, source)| matches!(source, BlobSource::Remote { .. })));
    let options = PlanOptions::default();
    let report = target.push_content(&app(), &content, options).await.unwrap();
    assert_eq!((report.blobs_uploaded, report.manifests, report.referrers), (12 + 4, 6, 3));
    let listed = target.referrers(&app(), &digest(&image), None).await.unwrap();
    assert_eq!(listed.len(), 3);
    assert!(evidence.iter().all(|manifest| listed.iter().any(|entry| entry.digest == *manifest.digest())));
    assert_eq!(to.blob("acme/app", empty_descriptor().digest.as_str()).unwrap(), EMPTY_JSON);
    to.clear_log();
    let report = target.push_content(&app(), &content, options).await.unwrap();
    assert_eq!((report.top_present, report.manifests, report.manifests_present), (true, 0, 6));
    assert_eq!(to.requests().len(), 2, "the top and the list: {:#?}", log(&to));
}

#[tokio::test]
async fn a_copy_that_died_before_its_referrers_is_finished() {
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let source = Server::start(Options::default());
    let image = index();
    source.put_image("acme/src", &["1"], &image);
    attach_three(&source, "acme/src", &image);
    let content = anonymous(&source)
        .read_content(&repository("acme/src"), &digest(&image), &WITH_REFERRERS)
        .await
        .unwrap();
    let registry = anonymous(&server);
    server.fault(Fault::on("PUT", "/manifests/sha256-", Action::status(403)));
    registry.push_content(&app(), &content, PlanOptions::default()).await.unwrap_err();
    let report = registry.push_content(&app(), &content, PlanOptions::default()).await.unwrap();
    assert!(report.top_present && report.to_string().contains("added"), "{report}");
    assert_eq!(registry.referrers(&app(), &digest(&image), None).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_list_that_leads_in_a_circle_ends() {
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let image = platform("linux/amd64", 10);
    server.put_image("acme/src", &["1"], &image);
    let top = raw(&image);
    let sbom = attach(&server, "acme/src", &top, "sbom");
    let stray = attach(&server, "acme/src", &sbom, "about the sbom");
    // The image is said to refer to itself and to its SBOM, and something to the image that does not.
    enter(&server, "acme/src", &top, &[&top, &sbom, &stray]);
    enter(&server, "acme/src", &sbom, &[&top, &sbom]);
    let registry = anonymous(&server);
    let content =
        registry.read_content(&repository("acme/src"), top.digest(), &WITH_REFERRERS).await.unwrap();
    let found: Vec<&Digest> = content.manifests.iter().map(RawManifest::digest).collect();
    assert_eq!(found, [top.digest(), sbom.digest()], "what names another subject does not refer to it");
}

#[tokio::test]
async fn what_is_missing_is_named_and_nothing_is_written() {
    let image = index();
    let top = raw(&image);
    let child = image.manifests()[1].digest.clone();
    let parse = |text: &str| -> Digest { text.parse().unwrap() };
    let lost = Descriptor::of(media_type::OCI_MANIFEST, b"lost");
    for (what, digest) in [("lists", parse(&child)), ("referrer of", lost.digest.clone())] {
        let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
        server.put_image("acme/src", &["1"], &image);
        let mut index = FallbackIndex::read(top.digest(), None).unwrap();
        if what == "lists" {
            server.fault(Fault::on(
                "GET",
                &child,
                Action::Status {
                    code: 404,
                    headers: Vec::new(),
                    body: r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.to_owned(),
                },
            ));
        } else {
            index.merge(lost.clone());
        }
        let (index, tag) = (index.build().unwrap(), FallbackIndex::tag(top.digest()));
        server.put_manifest("acme/src", &[tag.as_str()], index.media_type(), index.bytes().to_vec());
        let registry = anonymous(&server);
        let error =
            registry.read_content(&repository("acme/src"), top.digest(), &WITH_REFERRERS).await.unwrap_err();
        assert_eq!(error.class(), Class::NotFound);
        let text = error.to_string();
        assert!([digest.as_str(), what, image.digest()].iter().all(|part| text.contains(part)), "{text}");
        assert_eq!(server.count(Request::is_write), 0);
    }
}

#[tokio::test]
async fn a_manifest_that_is_not_its_digest_is_refused() {
    let server = Server::start(Options::default());
    let image = index();
    server.put_image("acme/src", &["1"], &image);
    server.fault(Fault::on("GET", &format!("/manifests/{}", image.manifests()[0].digest), Action::Corrupt));
    let error = anonymous(&server)
        .read_content(&repository("acme/src"), &digest(&image), &CopyOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Protocol);
    assert!(error.to_string().contains(&format!("asked for {}", image.manifests()[0].digest)), "{error}");
}

#[tokio::test]
async fn a_blob_that_is_not_its_digest_at_the_source_stops_the_copy() {
    for size in [3000, 300_000] {
        let (from, to) = (Server::start(Options::default()), Server::start(Options::default()));
        let image = ImageBuilder::new("linux/amd64").random_layer(1, size).build();
        from.put_image("acme/src", &["1"], &image);
        let layer = image.blobs().iter().max_by_key(|blob| blob.bytes.len()).unwrap().digest.clone();
        from.fault(Fault::on("GET", &layer, Action::Corrupt).times(usize::MAX));
        let content = anonymous(&from)
            .read_content(&repository("acme/src"), &digest(&image), &CopyOptions::default())
            .await
            .unwrap();
        let error = anonymous(&to).push_content(&app(), &content, PlanOptions::default()).await.unwrap_err();
        assert!(chain(&error).contains(&layer), "{}", chain(&error));
        assert!(to.blob("acme/app", &layer).is_none());
        assert_eq!(to.count(|r| r.path.contains("/manifests/") && r.is_write()), 0);
    }
}

#[tokio::test]
async fn two_hundred_children_are_read_with_bounded_concurrency() {
    let latency = Duration::from_millis(2);
    let server = Server::start(Options { latency, ..Options::default() });
    let children: Vec<RawManifest> = (0..200)
        .map(|number| ArtifactManifest::new(&format!("application/vnd.example.{number}")).build())
        .collect();
    server.put_blob("acme/src", EMPTY_JSON);
    for child in &children {
        server.put_manifest("acme/src", &[], child.media_type(), child.bytes().to_vec());
    }
    let top = index_of(&children.iter().collect::<Vec<_>>(), None);
    server.put_manifest("acme/src", &["1"], top.media_type(), top.bytes().to_vec());
    let options = granary_registry::RegistryOptions { concurrency: 5, ..options() };
    let registry = Registry::new(server.host().parse().unwrap(), http(), options);
    let content =
        registry.read_content(&repository("acme/src"), top.digest(), &WITH_REFERRERS).await.unwrap();
    assert_eq!((content.manifests.len(), content.blobs.len()), (201, 1));
    assert_eq!((server.requests().len(), server.peak_concurrency()), (402, 5));
}

#[tokio::test]
async fn an_image_without_end_is_refused() {
    let server = Server::start(Options::default());
    let children: Vec<serde_json::Value> = (0..1001u32)
        .map(|number| serde_json::json!(Descriptor::of(media_type::OCI_MANIFEST, &number.to_le_bytes())))
        .collect();
    let document =
        serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children});
    let top = RawManifest::new(document.to_string().into_bytes(), "").unwrap();
    server.put_manifest("acme/src", &["1"], top.media_type(), top.bytes().to_vec());
    let registry = anonymous(&server);
    let error = registry
        .read_content(&repository("acme/src"), top.digest(), &CopyOptions::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("more than 1000 manifests"), "{error}");
    assert_eq!(server.requests().len(), 1, "it is seen from the index alone");
    // Large manifests are bounded together.
    let filler = "a".repeat(3 << 20);
    let large: Vec<RawManifest> = (0..24)
        .map(|number| {
            let manifest =
                ArtifactManifest::new("application/vnd.example").with_annotation("filler", &filler);
            manifest.with_annotation("number", number.to_string()).build()
        })
        .collect();
    for child in &large {
        server.put_manifest("acme/src", &[], child.media_type(), child.bytes().to_vec());
    }
    let top = index_of(&large.iter().collect::<Vec<_>>(), None);
    server.put_manifest("acme/src", &["2"], top.media_type(), top.bytes().to_vec());
    let error = registry
        .read_content(&repository("acme/src"), top.digest(), &CopyOptions::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("more than 67108864 bytes"), "{error}");
}

/// Plugins run several transfers at once, also on threads of their own.
#[test]
fn transfers_can_be_sent_between_threads() {
    fn is_send(_: &impl Send) {}
    let server = Server::start(Options::default());
    let (registry, app, top) = (anonymous(&server), app(), Digest::of(b"top"));
    let read = registry.read_content(&app, &top, &WITH_REFERRERS);
    is_send(&read);
    let content = granary_registry::Content { manifests: Vec::new(), blobs: Vec::new(), top: top.clone() };
    let options = PlanOptions::default();
    is_send(&registry.push_content(&app, &content, options));
}

/// What a listing says of a referrer is enough to leave it out: it costs no request.
#[tokio::test]
async fn what_is_to_be_left_out_is_not_even_read() {
    for options in [Options::default(), Options { referrers: Referrers::Off, ..Options::default() }] {
        let server = Server::start(options);
        let image = platform("linux/amd64", 1);
        server.put_image("acme/src", &["v"], &image);
        let subject = raw(&image);
        let labelled = |version: &str| {
            let manifest = ArtifactManifest::new("application/vnd.example")
                .with_subject(&subject.descriptor())
                .with_annotation("of", version)
                .build();
            server.put_manifest("acme/src", &[], manifest.media_type(), manifest.bytes().to_vec());
            manifest
        };
        let (first, second) = (labelled("1"), labelled("2"));
        let other = attach(&server, "acme/src", &subject, "sbom");
        enter(&server, "acme/src", &subject, &[&first, &second, &other]);
        let read = async |except: Option<&str>| {
            let leave_out = LeaveOut { annotation: "of", except: except.map(str::to_owned) };
            let options = CopyOptions { referrers: true, leave_out: Some(leave_out) };
            let content =
                anonymous(&server).read_content(&repository("acme/src"), subject.digest(), &options).await;
            let mut read: Vec<Digest> =
                content.unwrap().manifests.iter().map(|raw| raw.digest().clone()).collect();
            read.sort();
            read
        };
        let mut expected = vec![subject.digest().clone(), other.digest().clone()];
        expected.sort();
        assert_eq!(read(None).await, expected);
        let asked = |digest: &Digest| server.count(|request| request.path.ends_with(digest.as_str()));
        assert_eq!((asked(first.digest()), asked(second.digest())), (0, 0));
        expected.push(second.digest().clone());
        expected.sort();
        assert_eq!(read(Some("2")).await, expected);
    }
}
