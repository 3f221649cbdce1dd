//! Registries, proxies and repositories that are not as they should be: the right result or an error that
//! names what is wrong, and never a tag on something incomplete.

use std::time::{Duration, Instant};

use granary_net::{Deadline, Http, HttpOptions};
use granary_oci::{Descriptor, Digest, FallbackIndex, TagOrDigest};
use granary_redact::Secret;
use granary_registry::{
    BlobWay, Class, CopyOptions, Credentials, PushOptions, Registry, RegistryError, RegistryOptions,
};
use granary_testkit::image::ImageBuilder;
use granary_testkit::registry::{Action, Fault, LastPage, LinkStyle, Options, Referrers, Registry as Server};

use crate::support::{
    PASSWORD, USER, anonymous, app, blob, by_tag, chain, http, log, noise, options, raw, repository, tag,
    with_password,
};

const LOGIN_PAGE: &str = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>…</body></html>";

fn web_page(code: u16) -> Action {
    let headers = vec![("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned())];
    Action::Status { code, headers, body: LOGIN_PAGE.to_owned() }
}

fn image() -> granary_testkit::image::Image {
    ImageBuilder::new("linux/amd64").build()
}

/// A client that trusts a server with TLS.
fn over_tls(server: &Server) -> Registry {
    let ca_certificates = vec![server.ca_pem().as_bytes().to_vec()];
    let http = Http::new(HttpOptions { ca_certificates, ..HttpOptions::default() }).unwrap();
    let credentials = Credentials::password(USER, Secret::new(PASSWORD));
    Registry::new(server.host().parse().unwrap(), http, RegistryOptions { credentials, ..options() })
}

fn with_location(code: u16, location: String) -> Action {
    Action::Status { code, headers: vec![("Location".to_owned(), location)], body: "-".to_owned() }
}

#[tokio::test]
async fn an_index_whose_child_is_missing_at_the_source_is_not_pushed() {
    let (from, to) = (Server::start(Options::default()), Server::start(Options::default()));
    let child = image();
    let descriptor =
        Descriptor::new(child.media_type(), child.digest().parse().unwrap(), child.bytes().len() as u64);
    let gone = Descriptor::new(child.media_type(), Digest::of(b"gone"), 4);
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": granary_oci::media_type::OCI_INDEX, "manifests": [descriptor, gone]});
    from.put_image("acme/app", &[], &child);
    let top =
        from.put_manifest("acme/app", &["1.0.0"], granary_oci::media_type::OCI_INDEX, index.to_string());
    let top: Digest = top.parse().unwrap();
    let error = anonymous(&from).read_content(&app(), &top, &CopyOptions::default()).await.unwrap_err();
    assert_eq!(error.class(), Class::NotFound);
    let text = error.to_string();
    assert!(text.contains(gone.digest.as_str()) && text.ends_with("it does not exist"), "{text}");
    assert_eq!(to.requests().len(), 0);
    // And a registry that is handed such an index names what it misses.
    let raw = granary_oci::RawManifest::new(index.to_string().into_bytes(), "").unwrap();
    let error = anonymous(&to).put_manifest(&app(), &by_tag("1.0.0"), &raw).await.unwrap_err();
    assert_eq!(error.class(), Class::Refused, "{}", chain(&error));
    assert_eq!(to.tags("acme/app").len(), 0);
}

#[tokio::test]
async fn content_that_is_not_what_was_asked_for_is_named() {
    let server = Server::start(Options::default());
    let (image, bytes) = (image(), noise(5000));
    server.put_image("acme/app", &["1.0.0"], &image);
    server.put_blob("acme/app", bytes.clone());
    let (digest, registry): (Digest, _) = (image.digest().parse().unwrap(), anonymous(&server));
    let other = Digest::of(b"something else").to_string();
    let table: [(&str, TagOrDigest, Action, &str); 4] = [
        ("manifest by digest", TagOrDigest::from(&digest), Action::Truncate(20), "asked for sha256:"),
        ("manifest by tag", by_tag("1.0.0"), Action::Corrupt, ""),
        ("header on GET", by_tag("1.0.0"), Action::LieDigest(other), "the registry calls it sha256:"),
        (
            "not a digest",
            by_tag("1.0.0"),
            Action::LieDigest("md5:1".to_owned()),
            "the registry calls it md5:1",
        ),
    ];
    for (name, target, action, expected) in table {
        server.fault(Fault::on("GET", "/manifests/", action));
        let error = registry.manifest(&app(), &target).await.unwrap_err();
        assert_eq!(error.class(), Class::Protocol, "{name}");
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
    server.fault(Fault::on("GET", "/blobs/", Action::Corrupt));
    let error = registry.blob(&app(), &blob(&bytes).0, 10_000).await.unwrap_err();
    assert!(error.to_string().contains("asked for sha256:"), "{error}");
}

#[tokio::test]
async fn a_session_is_not_followed_from_https_to_http() {
    let server = Server::start(Options { tls: true, ..Options::with_basic(USER, PASSWORD) });
    let elsewhere = Server::start(Options::default());
    let (descriptor, source) = blob(&noise(100_000));
    let location = format!("http://localhost:{}/v2/acme/app/blobs/uploads/x", elsewhere.port());
    server.fault(Fault::on("POST", "/uploads/", with_location(202, location)));
    let error =
        over_tls(&server).push_blob(&app(), &descriptor, &source, &PushOptions::default()).await.unwrap_err();
    assert_eq!(error.class(), Class::Protocol);
    assert!(error.to_string().ends_with("an unusable address (it leads from https to http)"), "{error}");
    assert_eq!(elsewhere.requests().len(), 0, "neither content nor credentials went there");
    // A registry behind a proxy that does not know of TLS names itself: that is no downgrade.
    let itself = |location: String| location.replace("https://", "http://");
    let opened = Server::start_sharing(Options::default(), &server);
    let request = granary_net::Request::new(
        granary_net::Method::POST,
        format!("{}/v2/acme/app/blobs/uploads/", opened.url()).parse().unwrap(),
    );
    let deadline = Deadline::after(Duration::from_secs(60));
    let answer = http().exchange(&request, 1000, deadline).await.unwrap();
    let location = answer.header("location").unwrap().replace(&opened.url(), &server.url());
    server.fault(Fault::on("POST", "/uploads/", with_location(202, itself(location))));
    over_tls(&server).push_blob(&app(), &descriptor, &source, &PushOptions::default()).await.unwrap();
    assert!(server.blob("acme/app", descriptor.digest.as_str()).is_some());
}

#[tokio::test]
async fn nonsense_for_a_session_is_named() {
    let (descriptor, source) = blob(&noise(100_000));
    for (location, named) in [
        ("ftp://127.0.0.1/x", "(neither http nor https)"),
        ("http://", "(not a URL)"),
        ("file:///etc/passwd", "(not a URL)"),
    ] {
        let server = Server::start(Options::default());
        server.fault(Fault::on("POST", "/uploads/", with_location(202, location.to_owned())));
        let push = anonymous(&server);
        let error = push.push_blob(&app(), &descriptor, &source, &PushOptions::default()).await.unwrap_err();
        assert!(error.to_string().ends_with(named), "{location}: {error}");
        assert_eq!(error.class(), Class::Protocol);
    }
}

#[tokio::test]
async fn a_list_may_name_its_own_host_otherwise_and_no_other_host() {
    let options = Options { tls: true, page_size: Some(1), ..Options::with_basic(USER, PASSWORD) };
    let own =
        ["https://127.0.0.1:PORT", "http://127.0.0.1:PORT", "http://127.0.0.1", "https://127.0.0.1:5000", ""];
    let foreign = ["https://localhost:PORT", "https://127.0.0.2:PORT", "//registry.example.test"];
    for (prefix, is_own) in own.iter().map(|one| (one, true)).chain(foreign.iter().map(|one| (one, false))) {
        let server = Server::start(options.clone());
        server.put_image("acme/app", &["1.0.0", "2.0.0"], &image());
        let link = format!(
            "<{}/v2/acme/app/tags/list?last=1.0.0>; rel=\"next\"",
            prefix.replace("PORT", &server.port().to_string())
        );
        let body = r#"{"tags":["1.0.0"]}"#.to_owned();
        let page = Action::Status { code: 200, headers: vec![("Link".to_owned(), link)], body };
        server.fault(Fault::on("GET", "n=1000", page));
        let tags = over_tls(&server).tags(&app()).await;
        match is_own {
            true => assert_eq!(tags.unwrap().len(), 2, "{prefix}"),
            false => {
                let error = tags.unwrap_err();
                assert!(
                    error.to_string().contains("refusing to follow the list elsewhere"),
                    "{prefix}: {error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn referrers_are_not_followed_to_another_host_either() {
    let server = Server::start(Options::default());
    let elsewhere = Server::start(Options::default());
    let subject = Digest::of(b"subject");
    let link =
        format!("<http://localhost:{}/v2/acme/app/referrers/{subject}?last=x>; rel=next", elsewhere.port());
    let body =
        r#"{"manifests":[{"mediaType":"x","size":1,"digest":"DIGEST"}]}"#.replace("DIGEST", subject.as_str());
    let page = Action::Status { code: 200, headers: vec![("Link".to_owned(), link)], body };
    server.fault(Fault::on("GET", "/referrers/", page));
    let error = anonymous(&server).referrers(&app(), &subject, None).await.unwrap_err();
    assert!(error.to_string().contains("refusing to follow the list elsewhere"), "{error}");
    assert_eq!(elsewhere.requests().len(), 0);
}

/// More often than a request is tried: a registry that says when to come back is not broken.
#[tokio::test]
async fn a_throttled_registry_is_waited_for_within_the_deadline() {
    let server = Server::start(Options::default());
    server.put_image("acme/app", &["1.0.0"], &image());
    let patient = |attempts, seconds| {
        let deadline = Deadline::after(Duration::from_secs(seconds));
        let options = RegistryOptions { attempts, ..RegistryOptions::new(deadline) };
        Registry::new(server.host().parse().unwrap(), http(), options)
    };
    server.fault(Fault::on("GET", "/tags/list", Action::too_many_requests(1)).times(3));
    let began = Instant::now();
    assert_eq!(patient(2, 30).tags(&app()).await.unwrap().len(), 1);
    assert!(began.elapsed() >= Duration::from_secs(3), "as long as the registry asked for");
    assert_eq!(server.requests().len(), 4);

    server.clear_log();
    server.fault(Fault::on("*", "", Action::too_many_requests(2)).times(usize::MAX));
    let error = patient(2, 3).tags(&app()).await.unwrap_err();
    assert_eq!(error.class(), Class::Unavailable);
    assert!(error.to_string().contains("429 Too Many Requests"), "{error}");
    assert!(server.requests().len() <= 2);
    let (descriptor, source) = blob(&noise(100_000));
    let push = PushOptions { way: BlobWay::Upload, ..PushOptions::default() };
    let error = patient(2, 1).push_blob(&app(), &descriptor, &source, &push).await.unwrap_err();
    assert_eq!(error.class(), Class::Unavailable);
}

/// A captive portal, a login page of a proxy, a web server on the registry's port.
#[tokio::test]
async fn something_that_answers_everything_with_a_page_is_no_registry() {
    let page = "is a web page: a login page or a proxy answers in the registry's place";
    for code in [200, 201, 202] {
        let server = Server::start(Options::default());
        server.fault(Fault::on("*", "", web_page(code)).times(usize::MAX));
        let registry = anonymous(&server);
        let (image, subject) = (raw(&image()), Digest::of(b"subject"));
        let (small, large) = (blob(b"small"), blob(&noise(100_000)));
        let mut errors: Vec<(&str, RegistryError)> = vec![
            ("tags", registry.tags(&app()).await.unwrap_err()),
            ("manifest", registry.manifest(&app(), &by_tag("1.0.0")).await.unwrap_err()),
            ("head", registry.head_manifest(&app(), &by_tag("1.0.0")).await.unwrap_err()),
            ("referrers", registry.referrers(&app(), &subject, None).await.unwrap_err()),
            ("blob", registry.blob(&app(), &large.0, 200_000).await.unwrap_err()),
            ("manifest PUT", registry.put_manifest(&app(), &by_tag("1.0.0"), &image).await.unwrap_err()),
        ];
        for (descriptor, source) in [&small, &large] {
            for way in [BlobWay::Find, BlobWay::Upload] {
                let options = PushOptions { way, ..PushOptions::default() };
                errors.push((
                    "push",
                    registry.push_blob(&app(), descriptor, source, &options).await.unwrap_err(),
                ));
            }
        }
        for (name, error) in errors {
            assert_eq!(error.class(), Class::Protocol, "{code} {name}: {}", chain(&error));
            // A manifest PUT answered with 200 is looked up, and that look meets the page.
            let text = chain(&error);
            let named =
                text.contains(page) || (name == "blob" && text.contains("expected 100000 bytes, got"));
            assert!(named || code != 200, "{code} {name}: {text}");
        }
        let tags = [tag("1.0.0"), tag("latest")];
        registry.put_tags(&app(), &image, &tags).await.unwrap_err();
        assert_eq!(server.tags("acme/app").len(), 0);
    }
}

/// Quay's answers without content call themselves HTML and are right.
#[tokio::test]
async fn an_empty_answer_that_calls_itself_a_page_is_none() {
    let server = Server::start(Options::default());
    let (descriptor, source) = blob(b"layer");
    let headers = vec![
        ("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned()),
        ("Docker-Content-Digest".to_owned(), descriptor.digest.to_string()),
    ];
    server.fault(Fault::on("HEAD", "/blobs/", Action::Status { code: 200, headers, body: "-".to_owned() }));
    let outcome = anonymous(&server).push_blob(&app(), &descriptor, &source, &PushOptions::default()).await;
    assert_eq!(outcome.unwrap(), granary_registry::BlobOutcome::Present);
}

#[tokio::test]
async fn a_success_that_is_none_completes_no_upload() {
    for code in [200, 202, 204] {
        let server = Server::start(Options::default());
        let nothing = Action::Status { code, headers: Vec::new(), body: "-".to_owned() };
        server.fault(Fault::on("PUT", "/uploads/", nothing));
        let (descriptor, source) = blob(&noise(100_000));
        let registry = anonymous(&server);
        let error =
            registry.push_blob(&app(), &descriptor, &source, &PushOptions::default()).await.unwrap_err();
        assert_eq!(error.class(), Class::Protocol);
        assert!(error.to_string().contains("instead of 201, and it is not there"), "{code}: {error}");
    }
}

#[tokio::test]
async fn a_201_with_another_digest_is_named() {
    let server = Server::start(Options::default());
    let other = Digest::of(b"other").to_string();
    let (descriptor, source) = blob(&noise(100_000));
    server.fault(Fault::on("PUT", "/uploads/", Action::LieDigest(other.clone())));
    let registry = anonymous(&server);
    let error = registry.push_blob(&app(), &descriptor, &source, &PushOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains(&format!("the registry calls it {other}")), "{error}");
    let image = image();
    for blob in image.blobs() {
        server.put_blob("acme/app", blob.bytes.clone());
    }
    for target in [by_tag("1.0.0"), TagOrDigest::from(&image.digest().parse::<Digest>().unwrap())] {
        server.fault(Fault::on("PUT", "/manifests/", Action::LieDigest(other.clone())));
        let error = registry.put_manifest(&app(), &target, &raw(&image)).await.unwrap_err();
        assert_eq!(error.class(), Class::Protocol);
        assert!(error.to_string().contains(&format!("the registry calls it {other}")), "{error}");
    }
}

#[tokio::test]
async fn gitea_s_links_end() {
    for last_page in [LastPage::LinkToEmpty, LastPage::LinkToItself] {
        for link_style in [LinkStyle::Path, LinkStyle::Absolute, LinkStyle::Unquoted] {
            let server =
                Server::start(Options { last_page, link_style, page_size: Some(2), ..Options::gitea() });
            server.put_image("acme/app", &["1.0.0", "2.0.0", "3.0.0"], &image());
            assert_eq!(anonymous(&server).tags(&app()).await.unwrap().len(), 3);
            assert!(server.requests().len() <= 4, "{:#?}", log(&server));
        }
    }
}

#[tokio::test]
async fn a_fallback_tag_that_is_no_list_is_not_overwritten() {
    let server = Server::start(Options { referrers: Referrers::Off, ..Options::default() });
    let (image, other) = (image(), ImageBuilder::new("linux/arm64").build());
    server.put_image("acme/app", &["1.0.0"], &image);
    server.put_blob("acme/app", granary_oci::EMPTY_JSON);
    let subject = raw(&image).descriptor();
    let name = FallbackIndex::tag(&subject.digest);
    server.put_image("acme/app", &[name.as_str()], &other);
    let evidence = granary_oci::ArtifactManifest::new("application/x").with_subject(&subject).build();
    let error = anonymous(&server).attach(&app(), &subject, &evidence).await.unwrap_err();
    assert!(chain(&error).contains("instead of an index"), "{}", chain(&error));
    assert_eq!(server.tags("acme/app")[name.as_str()], other.digest());
}

#[tokio::test]
async fn two_first_requests_wait_for_the_challenge_and_not_for_each_other_s_token() {
    let latency = Duration::from_millis(300);
    let server = Server::start(Options { latency, ..Options::with_token(USER, PASSWORD) });
    server.put_image("acme/app", &["1.0.0"], &image());
    server.put_image("acme/other", &["1.0.0"], &image());
    let registry = with_password(&server, PASSWORD);
    let (one, two) = (app(), repository("acme/other"));
    let (first, second) = tokio::join!(registry.tags(&one), registry.tags(&two));
    assert_eq!((first.unwrap().len(), second.unwrap().len()), (1, 1));
    assert_eq!(server.requests().len(), 5, "one challenge, two tokens, two answers: {:#?}", log(&server));
    assert_eq!(crate::support::depth(&server, latency), 3, "challenge, token, answer");
    assert_eq!(server.peak_concurrency(), 2);
}
