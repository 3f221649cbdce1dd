//! What was attached is found, and stays found.

use std::time::Duration;

use granary_oci::{ArtifactManifest, Descriptor, EMPTY_JSON, FallbackIndex, RawManifest};
use granary_registry::Class;
use granary_testkit::image::ImageBuilder;
use granary_testkit::registry::{Action, Fault, LinkStyle, Options, Referrers, Registry as Server};

use crate::support::{anonymous, app, by_tag, chain, raw};

const TYPE: &str = "application/vnd.example.evidence";

fn subject(server: &Server) -> Descriptor {
    let image = ImageBuilder::new("linux/amd64").build();
    server.put_image("acme/app", &["1.0.0"], &image);
    server.put_blob("acme/app", EMPTY_JSON);
    raw(&image).descriptor()
}

fn evidence(subject: &Descriptor, number: usize) -> RawManifest {
    ArtifactManifest::new(TYPE).with_subject(subject).with_annotation("number", number.to_string()).build()
}

#[tokio::test]
async fn through_the_api() {
    for referrers in [Referrers::On, Referrers::Unfiltered] {
        for link_style in [LinkStyle::Path, LinkStyle::Absolute] {
            let server = Server::start(Options {
                referrers,
                referrers_page: Some(2),
                link_style,
                ..Options::default()
            });
            let (subject, registry) = (subject(&server), anonymous(&server));
            for number in 0..5 {
                registry.attach(&app(), &subject, &evidence(&subject, number)).await.unwrap();
            }
            let other = ArtifactManifest::new("application/other").with_subject(&subject).build();
            registry.attach(&app(), &subject, &other).await.unwrap();
            assert_eq!(server.requests().len(), 6, "one request each, the registry keeps the list");
            assert_eq!(registry.referrers(&app(), &subject.digest, Some(TYPE)).await.unwrap().len(), 5);
            assert_eq!(registry.referrers(&app(), &subject.digest, None).await.unwrap().len(), 6);
            assert_eq!(server.tags("acme/app").len(), 1, "no fallback tag");
        }
    }
}

#[tokio::test]
async fn through_the_fallback_tag() {
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let (subject, registry) = (subject(&server), anonymous(&server));
    assert_eq!(registry.referrers(&app(), &subject.digest, None).await.unwrap(), []);
    assert_eq!(registry.referrers(&app(), &subject.digest, None).await.unwrap(), []);
    assert_eq!(server.count(|r| r.path.contains("/referrers/")), 1, "a missing API is asked for once");
    for number in 0..3 {
        registry.attach(&app(), &subject, &evidence(&subject, number)).await.unwrap();
    }
    let found = registry.referrers(&app(), &subject.digest, Some(TYPE)).await.unwrap();
    let numbers: Vec<String> =
        found.iter().map(|entry| entry.annotations.as_ref().unwrap()["number"].clone()).collect();
    assert_eq!(numbers, ["0", "1", "2"]);
    let (_, index) = server.manifest("acme/app", FallbackIndex::tag(&subject.digest).as_str()).unwrap();
    assert!(String::from_utf8_lossy(&index).contains(r#""artifactType":"application/vnd.example.evidence""#));
    server.clear_log();
    registry.attach(&app(), &subject, &evidence(&subject, 1)).await.unwrap();
    assert_eq!(server.requests().len(), 2, "already there: the manifest and a look");
}

#[tokio::test]
async fn eight_writers_at_once_lose_nothing() {
    for round in 0..3 {
        let server = Server::start(Options {
            referrers: Referrers::Off,
            latency: Duration::from_millis(3),
            ..Options::default()
        });
        let subject = subject(&server);
        // Separate clients: nothing in this process keeps them apart.
        let attachments = (0..8).map(|number| {
            let (registry, subject) = (anonymous(&server), subject.clone());
            async move { registry.attach(&app(), &subject, &evidence(&subject, number)).await }
        });
        futures_util::future::try_join_all(attachments).await.unwrap();
        let found = anonymous(&server).referrers(&app(), &subject.digest, None).await.unwrap();
        assert_eq!(found.len(), 8, "round {round}");
    }
}

/// Another writer that read before us writes after us, so his index lacks what others had put there. Ours may be in
/// it all the same: what we saw is put back, though it is not ours and nobody else would notice.
#[tokio::test]
async fn what_another_writer_drops_is_put_back() {
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let subject = subject(&server);
    let (theirs, ours, late) = (evidence(&subject, 0), evidence(&subject, 1), evidence(&subject, 2));
    let entry = |manifest: &RawManifest| FallbackIndex::entry(manifest, &manifest.parse().unwrap());
    let index = |manifests: &[&RawManifest]| {
        let mut index = FallbackIndex::read(&subject.digest, None).unwrap();
        manifests.iter().for_each(|manifest| index.merge(entry(manifest)));
        index.build().unwrap()
    };
    for manifest in [&theirs, &late] {
        server.put_manifest("acme/app", &[], manifest.media_type(), manifest.bytes().to_vec());
    }
    let tag = FallbackIndex::tag(&subject.digest);
    let writer = Server::start_sharing(Options::default(), &server);
    let write = {
        let tag = tag.clone();
        move |index: &RawManifest| {
            writer.put_manifest("acme/app", &[tag.as_str()], index.media_type(), index.bytes().to_vec());
        }
    };
    write(&index(&[&theirs]));
    // Just before our second look `theirs` is gone, just before the third `late`, which we saw only once.
    let overwrites = [None, Some(index(&[&ours, &late])), Some(index(&[&theirs, &ours])), None];
    let mut looks = overwrites.into_iter();
    let path = format!("/manifests/{tag}");
    let overwrite = move |request: &granary_testkit::registry::Request| {
        let is_look = request.method == "GET" && request.path.ends_with(&path);
        if let Some(overwrite) = is_look.then(|| looks.next().flatten()).flatten() {
            write(&overwrite);
        }
        false
    };
    let overwrite = std::sync::Mutex::new(overwrite);
    let matching = move |request: &granary_testkit::registry::Request| overwrite.lock().unwrap()(request);
    server.fault(Fault::when(matching, Action::Delay(Duration::ZERO)));

    anonymous(&server).attach(&app(), &subject, &ours).await.unwrap();
    let found = anonymous(&server).referrers(&app(), &subject.digest, None).await.unwrap();
    let mut found: Vec<String> =
        found.into_iter().map(|entry| entry.annotations.unwrap()["number"].clone()).collect();
    found.sort();
    assert_eq!(found, ["0", "1", "2"]);
    let written = server.history("acme/app", tag.as_str()).len();
    assert_eq!(written, 6, "theirs, ours, and two overwrites, each mended by one write");
}

#[tokio::test]
async fn subjects_do_not_wait_for_each_other() {
    let server = Server::start(Options {
        referrers: Referrers::Off,
        latency: Duration::from_millis(60),
        ..Options::default()
    });
    let first = subject(&server);
    let image = ImageBuilder::new("linux/arm64").build();
    server.put_image("acme/app", &["2.0.0"], &image);
    let second = raw(&image).descriptor();
    let (registry, repository) = (anonymous(&server), app());
    registry.tags(&repository).await.unwrap();
    server.clear_log();
    let (on_first, on_second) = (evidence(&first, 1), evidence(&second, 2));
    tokio::try_join!(
        registry.attach(&repository, &first, &on_first),
        registry.attach(&repository, &second, &on_second)
    )
    .unwrap();
    let index = |method: &str, number: usize| {
        let requests = server.requests();
        let mut found = requests
            .iter()
            .enumerate()
            .filter(|(_, request)| request.method == method && request.path.contains("/manifests/sha256-"));
        found.nth(number).unwrap().0
    };
    assert!(
        index("GET", 1) < index("PUT", 0),
        "both indexes are read before one is written: {:#?}",
        server.requests()
    );
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_not_empty() {
    for referrers in [Referrers::On, Referrers::Off] {
        let server = Server::start(Options { referrers, ..Options::default() });
        let subject = subject(&server);
        for (code, class) in [(403, Class::Auth), (400, Class::Protocol), (405, Class::Protocol)] {
            let part = if referrers == Referrers::On { "/referrers/" } else { "/manifests/sha256-" };
            server.fault(Fault::on("GET", part, Action::status(code)));
            let registry = anonymous(&server);
            let error = registry.referrers(&app(), &subject.digest, None).await.unwrap_err();
            assert_eq!(error.class(), class, "{code}: {error}");
        }
        assert_eq!(server.faults_left(), 0);
    }
}

#[tokio::test]
async fn a_failed_look_at_the_index_writes_nothing() {
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let subject = subject(&server);
    anonymous(&server).attach(&app(), &subject, &evidence(&subject, 0)).await.unwrap();
    server.fault(Fault::on("GET", "/manifests/sha256-", Action::status(403)));
    anonymous(&server).attach(&app(), &subject, &evidence(&subject, 1)).await.unwrap_err();
    let found = anonymous(&server).referrers(&app(), &subject.digest, None).await.unwrap();
    assert_eq!(found.len(), 1, "the first is still listed");
}

#[tokio::test]
async fn a_registry_that_confuses_tag_and_digest_is_named() {
    let server = Server::start(Options { referrers: Referrers::Off, dash_tags: true, ..Options::default() });
    let subject = subject(&server);
    let error = anonymous(&server).attach(&app(), &subject, &evidence(&subject, 0)).await.unwrap_err();
    assert!(
        chain(&error).contains("with the subject itself, so it cannot hold referrers"),
        "{}",
        chain(&error)
    );
}

#[tokio::test]
async fn what_refers_to_something_else_is_not_attached() {
    let server = Server::start(Options::default());
    let subject = subject(&server);
    let stray = ArtifactManifest::new(TYPE).build();
    let error = anonymous(&server).attach(&app(), &subject, &stray).await.unwrap_err();
    assert_eq!(error.class(), Class::Local);
    assert_eq!(server.requests().len(), 0);
    let unused = by_tag("1.0.0");
    assert!(anonymous(&server).head_manifest(&app(), &unused).await.unwrap().is_some());
}
