//! Whole images: how many requests, in which order, and again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use granary_oci::{Descriptor, Digest, RawManifest};
use granary_registry::{
    BlobFate, BlobSource, Class, Content, PlanError, PlanOptions, TransferError, TransferListener,
    TransferReport,
};
use granary_testkit::image::{Image, ImageBuilder};
use granary_testkit::registry::{Action, Auth, Fault, Options, Registry as Server, Request};

use crate::support::{PASSWORD, USER, anonymous, app, content, log, raw, repository, with_password};

fn platform(name: &str, seed: u64) -> Image {
    let builder = ImageBuilder::new(name);
    (0..5).fold(builder, |builder, layer| builder.random_layer(seed + layer, 3000)).build()
}

fn index() -> Image {
    Image::index(&[platform("linux/amd64", 10), platform("linux/arm64", 20)])
}

#[tokio::test]
async fn a_cold_push_and_the_same_again() {
    let server = Server::start(Options::with_token(USER, PASSWORD));
    let (image, registry) = (index(), with_password(&server, PASSWORD));
    let content = content(&image);
    let report = registry.push_content(&app(), &content, PlanOptions::default()).await.unwrap();
    assert_eq!((report.blobs_uploaded, report.manifests), (12, 3));
    assert_eq!(server.count(|request| request.path == "/token"), 1, "{:#?}", log(&server));
    // 1 HEAD for the top, HEAD + POST + PUT for each blob, 3 manifests; 1 challenge and 1 token.
    assert_eq!(server.requests().len(), 1 + 3 * 12 + 3 + 2);
    assert_eq!(server.tags("acme/app").len(), 0, "nothing is tagged");
    server.clear_log();
    let report = registry.push_content(&app(), &content, PlanOptions::default()).await.unwrap();
    assert_eq!(
        report,
        TransferReport { top_present: true, manifests_present: 3, ..TransferReport::default() }
    );
    assert_eq!(report.to_string(), "there already");
    assert_eq!(server.requests().len(), 1, "{:#?}", log(&server));
}

#[tokio::test]
async fn a_fresh_repository_is_not_searched() {
    let server = Server::start(Options::default());
    let options = PlanOptions { fresh_repository: true, ..PlanOptions::default() };
    anonymous(&server).push_content(&app(), &content(&index()), options).await.unwrap();
    assert_eq!(server.requests().len(), 2 * 12 + 3);
}

#[tokio::test]
async fn children_come_before_their_index_and_nothing_is_tagged_when_something_fails() {
    let server = Server::start(Options::default());
    let image = index();
    server.fault(Fault::on("PUT", "/blobs/uploads/", Action::status(403)).after(7).times(usize::MAX));
    anonymous(&server).push_content(&app(), &content(&image), PlanOptions::default()).await.unwrap_err();
    assert_eq!(server.count(|request| request.path.contains("/manifests/") && request.is_write()), 0);
    server.clear_faults();
    server.clear_log();
    anonymous(&server).push_content(&app(), &content(&image), PlanOptions::default()).await.unwrap();
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
async fn the_limit_on_requests_holds() {
    let server =
        Server::start(Options { latency: std::time::Duration::from_millis(5), ..Options::default() });
    let options = granary_registry::RegistryOptions { concurrency: 3, ..crate::support::options() };
    let registry =
        granary_registry::Registry::new(server.host().parse().unwrap(), crate::support::http(), options);
    registry.push_content(&app(), &content(&index()), PlanOptions::default()).await.unwrap();
    assert_eq!(server.peak_concurrency(), 3);
}

#[tokio::test]
async fn the_limit_on_requests_is_the_only_one() {
    let latency = std::time::Duration::from_millis(400);
    let server = Server::start(Options { latency, ..Options::default() });
    let options = granary_registry::RegistryOptions { concurrency: 30, ..crate::support::options() };
    let registry =
        granary_registry::Registry::new(server.host().parse().unwrap(), crate::support::http(), options);
    let builder = ImageBuilder::new("linux/amd64");
    let image = (0..40).fold(builder, |builder, layer| builder.random_layer(layer, 100)).build();
    registry.push_content(&app(), &content(&image), PlanOptions::default()).await.unwrap();
    let peak = server.peak_concurrency();
    assert!((17..=30).contains(&peak), "more than by default, and never more than allowed: {peak}");
}

#[tokio::test]
async fn a_top_that_the_caller_did_not_find_is_not_looked_for_again() {
    let server = Server::start(Options::default());
    let image = index();
    let options = PlanOptions { top_absent: true, ..PlanOptions::default() };
    anonymous(&server).push_content(&app(), &content(&image), options).await.unwrap();
    assert_eq!(server.count(|r| r.method == "HEAD" && r.path.contains("/manifests/")), 0);
    assert_eq!(server.count(|r| r.method == "HEAD" && r.path.contains("/blobs/")), 12, "blobs may be there");
}

#[tokio::test]
async fn a_plan_reads_only_and_is_good_for_the_transfer() {
    let server = Server::start(Options::with_token(USER, PASSWORD));
    let (registry, content) = (with_password(&server, PASSWORD), content(&index()));
    let options = PlanOptions::default();
    let plan = registry.plan_transfer(&app(), &content, options).await.unwrap();
    assert_eq!(server.count(Request::is_write), 0);
    let asked = server.requests().into_iter().find(|request| request.path == "/token").unwrap();
    assert!(!asked.query.contains("push"), "nobody asks for more than a dry run needs: {}", asked.query);
    assert_eq!(plan.lines().len(), 1 + 12 + 3);
    let listener = TransferListener::default();
    let elsewhere = registry.execute(&repository("acme/other"), &plan, &listener).await.unwrap_err();
    assert!(matches!(elsewhere, TransferError::Plan(PlanError::OtherTarget { .. })), "{elsewhere}");
    assert_eq!(server.count(Request::is_write), 0);
    let report = registry.execute(&app(), &plan, &listener).await.unwrap();
    assert_eq!((report.blobs_uploaded, report.manifests), (12, 3));
    let plan = registry.plan_transfer(&app(), &content, options).await.unwrap();
    assert!(plan.is_empty() && plan.top_present());
}

#[tokio::test]
async fn the_report_says_what_was_skipped_and_why() {
    let server = Server::start(Options::default());
    let blobs: Vec<Vec<u8>> = (1..=5u8).map(|number| vec![number; 100_000 * usize::from(number)]).collect();
    let layers: Vec<Descriptor> = blobs.iter().map(|blob| Descriptor::of("a/b", blob)).collect();
    let manifest =
        granary_oci::ArtifactManifest::new("application/vnd.example").with_layers(layers.clone()).build();
    server.put_blob("acme/base", blobs[0].clone());
    server.put_blob("acme/app", blobs[1].clone());
    server.put_blob("acme/app", blobs[2].clone());
    let registry = anonymous(&server);
    let in_base = BlobSource::Remote { registry: registry.clone(), repository: repository("acme/base") };
    let in_memory = |bytes: &[u8]| BlobSource::Bytes(bytes.to_vec().into());
    let mut sources: Vec<(Descriptor, BlobSource)> =
        layers.iter().zip(&blobs).map(|(layer, blob)| (layer.clone(), in_memory(blob))).collect();
    sources[0].1 = in_base;
    sources.push((granary_oci::empty_descriptor(), in_memory(granary_oci::EMPTY_JSON)));
    // A look makes it known.
    registry
        .push_blob(&app(), &layers[1], &sources[1].1, &granary_registry::PushOptions::default())
        .await
        .unwrap();
    let content =
        Content { manifests: vec![manifest.clone()], blobs: sources, top: manifest.digest().clone() };
    let fates: Arc<Mutex<Vec<(u64, BlobFate)>>> = Arc::default();
    let told: Arc<Mutex<BTreeMap<Digest, u64>>> = Arc::default();
    let listener = TransferListener {
        settled: Some(Arc::new({
            let fates = fates.clone();
            move |blob, fate| fates.lock().unwrap().push((blob.size, fate.clone()))
        })),
        progress: Some(Arc::new({
            let told = told.clone();
            move |digest, more| *told.lock().unwrap().entry(digest.clone()).or_default() += more
        })),
    };
    // The largest is sent twice, and counts once.
    server.fault(Fault::on("PUT", "/blobs/uploads/", Action::ResetRequestAt(300_000)));
    let plan = registry.plan_transfer(&app(), &content, PlanOptions::default()).await.unwrap();
    let report = registry.execute(&app(), &plan, &listener).await.unwrap();
    assert_eq!(report.to_string(), "3 blobs sent (878.9 KiB), 1 mounted from acme/base, 2 there already");
    assert_eq!((report.blobs_known, report.blobs_present, report.bytes_present), (1, 2, 500_000));
    assert_eq!((report.bytes_uploaded, report.bytes_mounted), (900_002, 100_000));
    let mut fates = fates.lock().unwrap().clone();
    fates.sort_by_key(|(size, _)| *size);
    let from = repository("acme/base");
    let expected = [
        (2, BlobFate::Uploaded),
        (100_000, BlobFate::Mounted { from }),
        (200_000, BlobFate::Known),
        (300_000, BlobFate::Found),
        (400_000, BlobFate::Uploaded),
        (500_000, BlobFate::Uploaded),
    ];
    assert_eq!(fates, expected);
    let told: Vec<u64> = told.lock().unwrap().values().copied().collect();
    assert_eq!(told.iter().sum::<u64>(), 900_002, "{told:?}");
}

#[tokio::test]
async fn what_was_begun_of_a_round_is_finished() {
    let server = Server::start(Options::default());
    let image = Image::index(&[platform("linux/amd64", 10), platform("linux/arm64", 20)]);
    let child = image.manifests()[1].digest.clone();
    server.fault(Fault::on("PUT", &child, Action::Delay(Duration::from_millis(300))));
    server.fault(Fault::on("PUT", &image.manifests()[0].digest, Action::status(403)));
    let refused =
        anonymous(&server).push_content(&app(), &content(&image), PlanOptions::default()).await.unwrap_err();
    assert!(refused.to_string().contains("403"), "{refused}");
    let put = |part: &str| server.requests().into_iter().find(|r| r.method == "PUT" && r.path.contains(part));
    assert_eq!(put(&child).unwrap().status, Some(201), "it has its answer");
    assert!(put(image.digest()).is_none(), "the index is not begun");
}

fn nested() -> (Image, Content) {
    let inner = index();
    let outer = Image::index(&[inner, platform("linux/s390x", 30)]);
    let content = content(&outer);
    (outer, content)
}

#[tokio::test]
async fn a_nested_index_is_refused_before_anything_is_written() {
    let (image, content) = nested();
    let (outer, inner) = content.nested_index().unwrap();
    assert_eq!(outer.as_str(), image.digest());
    let with_token = Options::with_token(USER, PASSWORD).auth;
    // Gitea takes Basic without a challenge, so one is asked for.
    for auth in [with_token, Options::with_basic(USER, PASSWORD).auth] {
        for fresh_repository in [false, true] {
            let is_basic = matches!(auth, Auth::Basic { .. });
            let server = Server::start(Options { auth: auth.clone(), ..Options::gitea() });
            if is_basic {
                let challenge = r#"Bearer realm="/v2/token",service="container_registry",scope="*""#;
                let headers = vec![("WWW-Authenticate".to_owned(), challenge.to_owned())];
                let bare = |r: &Request| r.path == "/v2/" && r.authorization.is_none();
                server.fault(Fault::when(bare, Action::Status { code: 401, headers, body: String::new() }));
            }
            let registry = with_password(&server, PASSWORD);
            let options = PlanOptions { fresh_repository, ..PlanOptions::default() };
            let error = registry.push_content(&app(), &content, options).await.unwrap_err();
            let expected = format!(
                "index {outer} lists another index, {inner}, and {} refuses an index inside an index: list the \
                 platform manifests in one flat index, or use another registry",
                server.host()
            );
            assert_eq!(error.to_string(), expected);
            assert_eq!(server.count(Request::is_write), 0, "{:#?}", log(&server));
            assert_eq!(registry.refuses_nested_indexes(), Some(true));
            let early = registry.check_nested_indexes(&app(), &content).await.unwrap_err();
            assert_eq!(early.to_string(), expected);
            let flat = crate::support::content(&index());
            registry.check_nested_indexes(&app(), &flat).await.unwrap();
            registry.push_content(&app(), &flat, options).await.unwrap();
        }
    }
}

#[tokio::test]
async fn other_registries_take_nested_indexes() {
    let (image, content) = nested();
    for options in
        [Options::default(), Options::with_token(USER, PASSWORD), Options::with_basic(USER, PASSWORD)]
    {
        let server = Server::start(options);
        let registry = with_password(&server, PASSWORD);
        registry.push_content(&app(), &content, PlanOptions::default()).await.unwrap();
        for manifest in image.manifests() {
            assert_eq!(server.manifest("acme/app", &manifest.digest).unwrap().1, manifest.bytes);
        }
        assert_eq!(registry.refuses_nested_indexes(), Some(false));
    }
}

/// Gitea tells nobody without a name anything but 401, so a registry that answers such people is another one.
#[tokio::test]
async fn a_registry_that_answers_everybody_is_not_asked_who_it_is() {
    let (image, content) = nested();
    let server = Server::start(Options::default());
    anonymous(&server).push_content(&app(), &content, PlanOptions::default()).await.unwrap();
    let looked = server.count(|r| r.method == "HEAD" && r.path.ends_with(image.digest()));
    assert_eq!((looked, server.count(|r| r.path == "/v2/")), (1, 0), "{:#?}", log(&server));
    // With a login it has to be asked, and the top is looked for once all the same.
    let server = Server::start(Options::default());
    with_password(&server, PASSWORD).push_content(&app(), &content, PlanOptions::default()).await.unwrap();
    let looked = server.count(|r| r.method == "HEAD" && r.path.ends_with(image.digest()));
    assert_eq!((looked, server.count(|r| r.path == "/v2/")), (1, 1), "{:#?}", log(&server));
}

/// Once a manifest of a round has failed, none is begun any more.
#[tokio::test]
async fn a_round_does_not_go_on_after_a_failure() {
    let server =
        Server::start(Options { latency: std::time::Duration::from_millis(20), ..Options::default() });
    let platforms: Vec<Image> =
        (0..12).map(|number| ImageBuilder::new("linux/amd64").random_layer(number, 100).build()).collect();
    let image = Image::index(&platforms);
    server.fault(Fault::on("PUT", "/manifests/", Action::status(403)));
    let options = granary_registry::RegistryOptions { concurrency: 2, ..crate::support::options() };
    let registry =
        granary_registry::Registry::new(server.host().parse().unwrap(), crate::support::http(), options);
    let fresh = PlanOptions { fresh_repository: true, ..PlanOptions::default() };
    registry.push_content(&app(), &crate::support::content(&image), fresh).await.unwrap_err();
    let begun = server.count(|r| r.method == "PUT" && r.path.contains("/manifests/"));
    assert!(begun <= 3, "{:#?}", log(&server));
}

#[tokio::test]
async fn a_registry_that_wants_the_subject_first_gets_it_first() {
    let server = Server::start(Options::default());
    let image = index();
    let mut content = content(&image);
    let top = raw(&image);
    let on = |subject: &RawManifest, name: &str| {
        granary_oci::ArtifactManifest::new(name).with_subject(&subject.descriptor()).build()
    };
    let sbom = on(&top, "application/vnd.example.sbom");
    let signature = on(&sbom, "application/vnd.example.signature");
    content.manifests.extend([sbom.clone(), signature.clone()]);
    let empty = BlobSource::Bytes(granary_oci::EMPTY_JSON.into());
    content.blobs.push((granary_oci::empty_descriptor(), empty));
    let registry = anonymous(&server);
    // Shows that the registry keeps the lists itself.
    registry.referrers(&app(), top.digest(), None).await.unwrap();
    for manifest in [&sbom, &signature] {
        server.fault(Fault::on("PUT", manifest.digest().as_str(), Action::status(404)));
    }
    let report = registry.push_content(&app(), &content, PlanOptions::default()).await.unwrap();
    assert_eq!((report.manifests, report.referrers), (5, 2));
    assert_eq!(server.referrers("acme/app", image.digest()), [sbom.digest().to_string()]);
    assert_eq!(server.referrers("acme/app", sbom.digest().as_str()), [signature.digest().to_string()]);
    // Refused for good is refused.
    let server = Server::start(Options::default());
    let registry = anonymous(&server);
    registry.referrers(&app(), top.digest(), None).await.unwrap();
    server.fault(Fault::on("PUT", sbom.digest().as_str(), Action::status(404)).times(2));
    let error = registry.push_content(&app(), &content, PlanOptions::default()).await.unwrap_err();
    let TransferError::Registry(error) = error else { panic!("{error}") };
    assert_eq!(error.class(), Class::Refused);
}
