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

/// Another writer that read before us writes after us, so his index lacks what others had put there. Ours may
/// be in it all the same: what we saw is put back, though it is not ours and nobody else would notice.
#[tokio::test]
async fn what_another_writer_drops_is_put_back() {
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let subject = subject(&server);
    let (theirs, ours, late) = (evidence(&subject, 0), evidence(&subject, 1), evidence(&subject, 2));
    let entry = |manifest: &RawManifest| FallbackIndex::entry(manifest, manifest.parse().unwrap());
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
        latency: Duration::from_millis(200),
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

/// GitLab takes the fallback tag for the digest. Where it takes the tag all the same when it is written, all
/// is well.
#[tokio::test]
async fn a_tag_that_leads_to_the_subject_is_an_empty_list_and_may_be_written() {
    let server = Server::start(Options { referrers: Referrers::Off, dash_tags: true, ..Options::default() });
    let subject = subject(&server);
    assert_eq!(anonymous(&server).referrers(&app(), &subject.digest, None).await.unwrap(), []);
    for number in 0..2 {
        anonymous(&server).attach(&app(), &subject, &evidence(&subject, number)).await.unwrap();
    }
    assert_eq!(anonymous(&server).referrers(&app(), &subject.digest, None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_tag_that_cannot_hold_the_list_is_named_and_nobodys_tag_is_overwritten() {
    let named = "with the subject itself, so it cannot hold referrers";
    let taken_for_a_digest = Action::Status {
        code: 400,
        headers: Vec::new(),
        body: r#"{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}"#.to_owned(),
    };
    let taken_and_hidden = Action::Status { code: 201, headers: Vec::new(), body: "-".to_owned() };
    for action in [taken_for_a_digest, taken_and_hidden] {
        let options = Options { referrers: Referrers::Off, dash_tags: true, ..Options::default() };
        let server = Server::start(options);
        let subject = subject(&server);
        server.fault(Fault::on("PUT", "/manifests/sha256-", action));
        let error = anonymous(&server).attach(&app(), &subject, &evidence(&subject, 0)).await.unwrap_err();
        assert!(chain(&error).contains(named), "{}", chain(&error));
    }
    // Somebody has tagged the subject so: that is no list, and his.
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let subject = subject(&server);
    let (media_type, bytes) = server.manifest("acme/app", subject.digest.as_str()).unwrap();
    let tag = FallbackIndex::tag(&subject.digest);
    server.put_manifest("acme/app", &[tag.as_str()], &media_type, bytes);
    let error = anonymous(&server).attach(&app(), &subject, &evidence(&subject, 0)).await.unwrap_err();
    assert!(chain(&error).contains(named), "{}", chain(&error));
    assert_eq!(server.tags("acme/app")[tag.as_str()], subject.digest.as_str());
}

/// What go-containerregistry and cosign have left behind on registries without the API (cosign#4641).
#[tokio::test]
async fn entries_that_others_wrote_wrong_are_mended_when_we_write() {
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let subject = subject(&server);
    let theirs: Vec<RawManifest> = (0..3).map(|number| evidence(&subject, number)).collect();
    let stray = ArtifactManifest::new(TYPE).with_annotation("of", "another subject").build();
    for manifest in theirs.iter().chain([&stray]) {
        server.put_manifest("acme/app", &[], manifest.media_type(), manifest.bytes().to_vec());
    }
    let bare = |manifest: &RawManifest, kind: Option<&str>| Descriptor {
        artifact_type: kind.map(str::to_owned),
        ..manifest.descriptor()
    };
    let entries = [
        bare(&theirs[0], Some("application/vnd.oci.empty.v1+json")),
        bare(&theirs[1], Some(TYPE)),
        FallbackIndex::entry(&theirs[2], theirs[2].parse().unwrap()),
        bare(&stray, None),
    ];
    let mut index = FallbackIndex::empty(&subject.digest);
    entries.iter().for_each(|entry| index.merge(entry.clone()));
    let built = index.build().unwrap();
    let tag = FallbackIndex::tag(&subject.digest);
    server.put_manifest("acme/app", &[tag.as_str()], built.media_type(), built.bytes().to_vec());

    let registry = anonymous(&server);
    registry.attach(&app(), &subject, &evidence(&subject, 9)).await.unwrap();
    let found = registry.referrers(&app(), &subject.digest, None).await.unwrap();
    assert_eq!(found.len(), 5);
    for (position, manifest) in theirs.iter().enumerate() {
        assert_eq!(found[position], FallbackIndex::entry(manifest, manifest.parse().unwrap()));
    }
    assert_eq!(found[3], entries[3], "not ours to say what it is");
    assert_eq!(server.count(|r| r.method == "GET" && r.path.contains("/manifests/sha256:")), 3);
    server.clear_log();
    registry.attach(&app(), &subject, &evidence(&subject, 10)).await.unwrap();
    let looked = server.count(|r| r.method == "GET" && r.path.contains("/manifests/sha256:"));
    assert_eq!(looked, 0, "what was looked into once is known");
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_left_as_it_is() {
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let subject = subject(&server);
    let theirs = evidence(&subject, 0);
    server.put_manifest("acme/app", &[], theirs.media_type(), theirs.bytes().to_vec());
    let mut index = FallbackIndex::empty(&subject.digest);
    index.merge(theirs.descriptor());
    let (built, tag) = (index.build().unwrap(), FallbackIndex::tag(&subject.digest));
    server.put_manifest("acme/app", &[tag.as_str()], built.media_type(), built.bytes().to_vec());
    server.fault(Fault::on("GET", "/manifests/sha256:", Action::status(403)).times(usize::MAX));
    let registry = anonymous(&server);
    registry.attach(&app(), &subject, &evidence(&subject, 1)).await.unwrap();
    let found = registry.referrers(&app(), &subject.digest, None).await.unwrap();
    assert_eq!((found.len(), &found[0]), (2, &theirs.descriptor()));
}

#[tokio::test]
async fn a_write_that_may_have_arrived_is_not_repeated_over_what_others_wrote_meanwhile() {
    for action in [Action::status(503), Action::ResetAfter, Action::ResetBefore, Action::too_many_requests(1)]
    {
        let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
        let subject = subject(&server);
        server.fault(Fault::on("PUT", "/manifests/sha256-", action));
        let registry = anonymous(&server);
        registry.attach(&app(), &subject, &evidence(&subject, 0)).await.unwrap();
        let sent: Vec<String> = server
            .requests()
            .iter()
            .filter(|request| request.path.contains("/manifests/sha256-"))
            .map(|request| request.method.clone())
            .collect();
        let again = sent.windows(2).any(|pair| pair == ["PUT", "PUT"]);
        assert!(!again, "read again before each write: {sent:?}");
        assert_eq!(registry.referrers(&app(), &subject.digest, None).await.unwrap().len(), 1);
    }
}

/// As 32 processes, then as 32 tasks of one process: nothing is lost, and it ends in reasonable time.
#[tokio::test]
async fn thirty_two_writers_at_once_lose_nothing() {
    for latency in [0, 5] {
        let options = Options {
            referrers: Referrers::Off,
            latency: Duration::from_millis(latency),
            ..Options::default()
        };
        let server = Server::start(options);
        let subject = subject(&server);
        let attachments = (0..32).map(|number| {
            let (registry, subject) = (anonymous(&server), subject.clone());
            async move { registry.attach(&app(), &subject, &evidence(&subject, number)).await }
        });
        futures_util::future::try_join_all(attachments).await.unwrap();
        let found = anonymous(&server).referrers(&app(), &subject.digest, None).await.unwrap();
        assert_eq!(found.len(), 32, "{latency} ms");
    }
}

/// go-containerregistry's server lists each referrer under the type of its configuration, which for artifacts
/// is the empty one.
#[tokio::test]
async fn what_is_listed_without_its_type_may_be_what_is_wanted() {
    let server = Server::start(Options::default());
    let (image, of_type) = (subject(&server), |kind: &str, number: usize| {
        let mut entry = evidence(&subject(&server), number).descriptor();
        entry.artifact_type = (!kind.is_empty()).then(|| kind.to_owned());
        entry
    });
    let empty = "application/vnd.oci.empty.v1+json";
    let listed = [
        of_type(empty, 1),
        of_type("", 2),
        of_type("application/wanted", 3),
        of_type("application/other", 4),
    ];
    let body = serde_json::json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": listed});
    let headers = vec![("Content-Type".to_owned(), "application/vnd.oci.image.index.v1+json".to_owned())];
    let answer = Action::Status { code: 200, headers, body: body.to_string() };
    server.fault(Fault::on("GET", "/referrers/", answer));
    let found =
        anonymous(&server).referrers(&app(), &image.digest, Some("application/wanted")).await.unwrap();
    let found: Vec<_> = found.iter().map(|entry| entry.digest.clone()).collect();
    assert_eq!(found, listed[..3].iter().map(|entry| entry.digest.clone()).collect::<Vec<_>>());
}

#[tokio::test]
async fn thirty_two_tasks_of_one_client_write_together() {
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let (subject, registry, repository) = (subject(&server), anonymous(&server), app());
    let manifests: Vec<RawManifest> = (0..32).map(|number| evidence(&subject, number)).collect();
    let attachments = manifests.iter().map(|manifest| registry.attach(&repository, &subject, manifest));
    futures_util::future::try_join_all(attachments).await.unwrap();
    assert_eq!(registry.referrers(&app(), &subject.digest, None).await.unwrap().len(), 32);
    let writes = server.count(|r| r.method == "PUT" && r.path.contains("/manifests/sha256-"));
    assert!(writes <= 3, "{writes} writes of the index");
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

fn writes_index(server: &Server) -> usize {
    server.count(|r| r.method == "PUT" && r.path.contains("/manifests/sha256-"))
}

/// Two that attach the same at once, in one process: what one fails at the other has not done.
#[tokio::test]
async fn whoever_is_told_that_it_is_listed_finds_it_listed() {
    for refusals in [1, 2] {
        let options =
            Options { referrers: Referrers::Off, latency: Duration::from_millis(20), ..Options::default() };
        let server = Server::start(options);
        let (subject, registry, repository) = (subject(&server), anonymous(&server), app());
        let manifest = evidence(&subject, 1);
        server.fault(Fault::on("PUT", "/manifests/sha256-", Action::status(403)).times(refusals));
        let attach = || registry.attach(&repository, &subject, &manifest);
        let (one, other) = tokio::join!(attach(), attach());
        let good = [&one, &other].iter().filter(|result| result.is_ok()).count();
        assert_eq!((good, writes_index(&server)), (2 - refusals, 2), "each has tried for himself");
        let listed = anonymous(&server).referrers(&app(), &subject.digest, None).await.unwrap();
        assert_eq!(listed.len(), 2 - refusals);
    }
}

/// go-containerregistry's server lists what it was given and does not say so when it takes it.
#[tokio::test]
async fn a_registry_that_lists_silently_gets_no_index() {
    let server = Server::start(Options { referrers: Referrers::Silent, ..Options::default() });
    let (subject, registry) = (subject(&server), anonymous(&server));
    registry.referrers(&app(), &subject.digest, None).await.unwrap();
    server.clear_log();
    registry.attach(&app(), &subject, &evidence(&subject, 1)).await.unwrap();
    assert_eq!(
        server.requests().len(),
        2,
        "the manifest, and whether it is listed: {:#?}",
        server.requests()
    );
    assert_eq!(registry.referrers(&app(), &subject.digest, None).await.unwrap().len(), 1);
    assert_eq!(server.tags("acme/app").len(), 1, "no fallback tag");
    // One that has the API and does not list it all the same gets the index.
    let nothing =
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let headers = vec![("Content-Type".to_owned(), "application/vnd.oci.image.index.v1+json".to_owned())];
    let answer = Action::Status { code: 200, headers, body: nothing.to_owned() };
    server.fault(Fault::on("GET", "/referrers/", answer));
    registry.attach(&app(), &subject, &evidence(&subject, 2)).await.unwrap();
    assert_eq!(writes_index(&server), 1);
}

#[tokio::test]
async fn a_later_page_that_is_not_there_is_an_error() {
    let server = Server::start(Options { referrers_page: Some(2), ..Options::default() });
    let (subject, registry) = (subject(&server), anonymous(&server));
    for number in 0..5 {
        registry.attach(&app(), &subject, &evidence(&subject, number)).await.unwrap();
    }
    server.fault(Fault::on("GET", "/referrers/", Action::status(404)).after(1));
    registry.referrers(&app(), &subject.digest, None).await.unwrap_err();
    assert_eq!(registry.referrers(&app(), &subject.digest, None).await.unwrap().len(), 5);
}

/// Runs `deed` before each reading of a subject's index is answered.
fn before_each_look(
    server: &Server,
    subject: &Descriptor,
    mut deed: impl FnMut(usize) + Send + 'static,
) -> std::sync::Arc<std::sync::atomic::AtomicUsize> {
    let path = format!("/manifests/{}", FallbackIndex::tag(&subject.digest));
    let looks: std::sync::Arc<std::sync::atomic::AtomicUsize> = std::sync::Arc::default();
    let counted = looks.clone();
    let matching = move |request: &granary_testkit::registry::Request| {
        if request.method == "GET" && request.path.ends_with(&path) {
            deed(counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        }
        false
    };
    let matching = std::sync::Mutex::new(matching);
    let matching = move |request: &granary_testkit::registry::Request| matching.lock().unwrap()(request);
    server.fault(Fault::when(matching, Action::Delay(Duration::ZERO)));
    looks
}

#[tokio::test]
async fn a_writer_who_never_lets_go_is_an_error() {
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let subject = subject(&server);
    let writer = Server::start_sharing(Options::default(), &server);
    let (tag, of) = (FallbackIndex::tag(&subject.digest), subject.clone());
    before_each_look(&server, &subject, move |_| {
        let empty = FallbackIndex::empty(&of.digest).build().unwrap();
        writer.put_manifest("acme/app", &[tag.as_str()], empty.media_type(), empty.bytes().to_vec());
    });
    let error = anonymous(&server).attach(&app(), &subject, &evidence(&subject, 1)).await.unwrap_err();
    assert!(matches!(error, granary_registry::RegistryError::Contended { .. }), "{}", chain(&error));
    assert!(writes_index(&server) < 30, "{}", writes_index(&server));
}

/// Whoever has seen another one write looks twice: that one may have read before us what it writes after us.
#[tokio::test]
async fn where_others_write_the_list_is_looked_at_twice() {
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let subject = subject(&server);
    let (ours, theirs) = (evidence(&subject, 1), evidence(&subject, 2));
    server.put_manifest("acme/app", &[], theirs.media_type(), theirs.bytes().to_vec());
    let writer = Server::start_sharing(Options::default(), &server);
    let tag = FallbackIndex::tag(&subject.digest);
    let index = |manifests: &[&RawManifest]| {
        let mut index = FallbackIndex::empty(&subject.digest);
        manifests.iter().for_each(|raw| index.merge(FallbackIndex::entry(raw, raw.parse().unwrap())));
        index.build().unwrap()
    };
    // Theirs comes beside ours before our second look; before the third they write what they had read without
    // ours.
    let (both, alone) = (index(&[&ours, &theirs]), index(&[&theirs]));
    let looks = before_each_look(&server, &subject, move |look| {
        let index = match look {
            1 => &both,
            2 => &alone,
            _ => return,
        };
        writer.put_manifest("acme/app", &[tag.as_str()], index.media_type(), index.bytes().to_vec());
    });
    anonymous(&server).attach(&app(), &subject, &ours).await.unwrap();
    assert!(looks.load(std::sync::atomic::Ordering::SeqCst) >= 4);
    assert_eq!(anonymous(&server).referrers(&app(), &subject.digest, None).await.unwrap().len(), 2);
}

/// Looking into the entries of others takes a while, and what is written meanwhile is not written over.
#[tokio::test]
async fn what_others_write_while_we_look_into_entries_is_kept() {
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let subject = subject(&server);
    let (ours, bare, late) = (evidence(&subject, 1), evidence(&subject, 2), evidence(&subject, 3));
    for manifest in [&bare, &late] {
        server.put_manifest("acme/app", &[], manifest.media_type(), manifest.bytes().to_vec());
    }
    let tag = FallbackIndex::tag(&subject.digest);
    let mut index = FallbackIndex::empty(&subject.digest);
    index.merge(bare.descriptor());
    let before = index.build().unwrap();
    server.put_manifest("acme/app", &[tag.as_str()], before.media_type(), before.bytes().to_vec());
    index.merge(FallbackIndex::entry(&late, late.parse().unwrap()));
    let after = index.build().unwrap();
    let writer = Server::start_sharing(Options::default(), &server);
    let reads_entry = format!("/manifests/{}", bare.digest());
    let write = move |request: &granary_testkit::registry::Request| {
        if request.method == "GET" && request.path.ends_with(&reads_entry) {
            writer.put_manifest("acme/app", &[tag.as_str()], after.media_type(), after.bytes().to_vec());
        }
        false
    };
    server.fault(Fault::when(write, Action::Delay(Duration::ZERO)));
    anonymous(&server).attach(&app(), &subject, &ours).await.unwrap();
    let listed = anonymous(&server).referrers(&app(), &subject.digest, None).await.unwrap();
    assert_eq!(listed.len(), 3);
}

/// What others wrote means something to them.
#[tokio::test]
async fn an_index_is_written_again_with_all_that_others_wrote() {
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let subject = subject(&server);
    let theirs = evidence(&subject, 0);
    server.put_manifest("acme/app", &[], theirs.media_type(), theirs.bytes().to_vec());
    let mut entry = serde_json::json!(FallbackIndex::entry(&theirs, theirs.parse().unwrap()));
    entry["urls"] = serde_json::json!(["https://example.test/evidence"]);
    let document = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry],
        "annotations": {"org.example.by": "somebody"},
    });
    let tag = FallbackIndex::tag(&subject.digest);
    let media_type = "application/vnd.oci.image.index.v1+json";
    server.put_manifest("acme/app", &[tag.as_str()], media_type, document.to_string().into_bytes());
    anonymous(&server).attach(&app(), &subject, &evidence(&subject, 1)).await.unwrap();
    let written: serde_json::Value =
        serde_json::from_slice(&server.manifest("acme/app", tag.as_str()).unwrap().1).unwrap();
    assert_eq!(written["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(written["manifests"][0], entry);
    assert_eq!(written["annotations"], document["annotations"]);
}
