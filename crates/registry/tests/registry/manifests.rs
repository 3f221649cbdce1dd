//! Bytes in, the same bytes out.

use granary_oci::{Digest, RawManifest, TagOrDigest, media_type};
use granary_registry::{Class, PutOutcome, Registry, RegistryError, RegistryOptions};
use granary_testkit::image::{Image, ImageBuilder};
use granary_testkit::registry::{Action, Fault, Options, Registry as Server};

use crate::support::{anonymous, app, by_tag, chain, http, log, options, raw, tag};

fn image() -> Image {
    ImageBuilder::new("linux/amd64").file("a", b"content").build()
}

#[tokio::test]
async fn two_tags_cost_two_requests_where_the_registry_can_and_three_elsewhere() {
    for (options, expected) in
        [(Options::default(), 2), (Options { oci_tag: false, ..Options::default() }, 3)]
    {
        let supported = options.oci_tag;
        let server = Server::start(options);
        let image = image();
        server.put_image("acme/app", &["1.0.0"], &image);
        let registry = anonymous(&server);
        if !supported {
            // What old registries send with every answer: nobody tries for tags by query there.
            let headers = vec![
                ("Docker-Distribution-Api-Version".to_owned(), "registry/2.0".to_owned()),
                ("Docker-Content-Digest".to_owned(), image.digest().to_owned()),
            ];
            let body = String::from_utf8(image.bytes().to_vec()).unwrap();
            server.fault(Fault::on("GET", "/manifests/", Action::Status { code: 200, headers, body }));
        }
        let manifest = registry.manifest(&app(), &by_tag("1.0.0")).await.unwrap().unwrap();
        registry.put_tags(&app(), &manifest, &[tag("a"), tag("b")]).await.unwrap();
        assert_eq!(server.tags("acme/app")["a"], image.digest());
        assert_eq!(server.tags("acme/app")["b"], image.digest());
        assert_eq!(server.requests().len(), expected, "{:#?}", log(&server));
    }
}

#[tokio::test]
async fn a_registry_that_ignores_the_query_is_asked_once_only() {
    let server = Server::start(Options { oci_tag: false, ..Options::default() });
    server.put_image("acme/app", &[], &image());
    let registry = anonymous(&server);
    registry.put_tags(&app(), &raw(&image()), &[tag("a"), tag("b")]).await.unwrap();
    registry.put_tags(&app(), &raw(&image()), &[tag("c"), tag("d")]).await.unwrap();
    assert_eq!(server.tags("acme/app").len(), 4);
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn bytes_survive() {
    let server = Server::start(Options::default());
    let image = image();
    server.put_image("acme/app", &["1.0.0"], &image);
    // An odd one: no media type inside, spaces, an unknown field.
    let odd = "{ \"schemaVersion\": 2,\n \"x\": 1, \"manifests\": [] }";
    let odd = RawManifest::new(odd.as_bytes().to_vec(), media_type::OCI_INDEX).unwrap();
    let registry = anonymous(&server);
    registry.put_manifest(&app(), &by_tag("odd"), &odd).await.unwrap();
    let (kind, stored) = server.manifest("acme/app", "odd").unwrap();
    assert_eq!((kind.as_str(), &stored[..]), (media_type::OCI_INDEX, odd.bytes()));
    let read = registry.manifest(&app(), &by_tag("odd")).await.unwrap().unwrap();
    assert_eq!(read, odd);
    let head = registry.head_manifest(&app(), &by_tag("1.0.0")).await.unwrap().unwrap();
    assert_eq!(head, raw(&image).descriptor());
}

#[tokio::test]
async fn absence_is_only_what_the_registry_calls_so() {
    let server = Server::start(Options::default());
    let registry = anonymous(&server);
    assert_eq!(registry.manifest(&app(), &by_tag("1.0.0")).await.unwrap(), None);
    assert_eq!(registry.head_manifest(&app(), &by_tag("1.0.0")).await.unwrap(), None);
    let page =
        Action::Status { code: 404, headers: Vec::new(), body: "<html>no such site</html>".to_owned() };
    server.fault(Fault::on("GET", "/manifests/", page));
    let error = registry.manifest(&app(), &by_tag("1.0.0")).await.unwrap_err();
    assert_eq!(error.class(), Class::NotFound);
}

#[tokio::test]
async fn lies_about_digests_are_named() {
    let server = Server::start(Options::default());
    let image = image();
    server.put_image("acme/app", &["1.0.0"], &image);
    let registry = anonymous(&server);
    let other = Digest::of(b"other").to_string();
    let by_digest = TagOrDigest::Digest(image.digest().parse().unwrap());
    let table = [
        (Action::LieDigest(other.clone()), by_tag("1.0.0"), "the registry calls it sha256:"),
        (Action::LieDigest("nonsense".to_owned()), by_tag("1.0.0"), "the registry calls it nonsense"),
        (Action::Corrupt, by_digest.clone(), "asked for sha256:"),
        (Action::Corrupt, by_tag("1.0.0"), "the registry calls it sha256:"),
        (Action::Truncate(20), by_digest, "asked for sha256:"),
    ];
    for (action, target, expected) in table {
        server.fault(Fault::on("GET", "/manifests/", action.clone()));
        let error = registry.manifest(&app(), &target).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{action:?}: {}", chain(&error));
        assert_eq!(error.class(), Class::Protocol);
    }
    server.fault(Fault::on("PUT", "/manifests/", Action::LieDigest(other)));
    let error = registry.put_manifest(&app(), &by_tag("2.0.0"), &raw(&image)).await.unwrap_err();
    assert!(error.to_string().contains("the registry calls it sha256:"), "{error}");
}

#[tokio::test]
async fn a_head_without_a_digest_is_followed_by_a_get() {
    let server = Server::start(Options { content_digest: false, ..Options::default() });
    let image = image();
    server.put_image("acme/app", &["1.0.0"], &image);
    let head = anonymous(&server).head_manifest(&app(), &by_tag("1.0.0")).await.unwrap().unwrap();
    assert_eq!(head.digest.as_str(), image.digest());
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_lost_answer_to_a_put_is_no_harm() {
    for immutable_tags in [None, Some(409)] {
        let server = Server::start(Options { immutable_tags, created_location: false, ..Options::default() });
        let image = image();
        server.put_image("acme/app", &[], &image);
        server.fault(Fault::on("PUT", "/manifests/1.0.0", Action::ResetAfter));
        let outcome = anonymous(&server).put_manifest(&app(), &by_tag("1.0.0"), &raw(&image)).await.unwrap();
        assert_eq!(outcome, PutOutcome::default());
        assert_eq!(server.history("acme/app", "1.0.0"), [image.digest()]);
    }
}

#[tokio::test]
async fn an_immutable_tag_is_fine_if_it_is_ours_and_refused_if_not() {
    for status in [400, 403, 405, 409, 412] {
        let server = Server::start(Options { immutable_tags: Some(status), ..Options::default() });
        let (ours, other) = (image(), ImageBuilder::new("linux/arm64").build());
        server.put_image("acme/app", &["1.0.0"], &ours);
        server.put_image("acme/app", &["2.0.0"], &other);
        // Refuses even what changes nothing, as Artifactory does.
        server.fault(Fault::on("PUT", "/manifests/1.0.0", Action::status(status)));
        let registry = anonymous(&server);
        registry.put_manifest(&app(), &by_tag("1.0.0"), &raw(&ours)).await.unwrap();
        let error = registry.put_manifest(&app(), &by_tag("2.0.0"), &raw(&ours)).await.unwrap_err();
        assert_eq!(error.class(), Class::Refused, "{status}: {error}");
        assert_eq!(server.tags("acme/app")["2.0.0"], other.digest());
    }
}

#[tokio::test]
async fn the_registrys_clock_is_known() {
    let server = Server::start(Options::default());
    let registry = Registry::new(server.host().parse().unwrap(), http(), RegistryOptions { ..options() });
    assert_eq!(registry.server_time(), None);
    registry.tags(&app()).await.unwrap();
    let there = registry.server_time().unwrap();
    assert!(jiff::Timestamp::now().duration_since(there).abs().as_secs() < 5);
}

/// A proxy that says "fine" to everything has stored nothing.
#[tokio::test]
async fn a_success_that_is_none_is_an_error() {
    for code in [200, 202] {
        let server = Server::start(Options::default());
        let action = Action::Status { code, headers: Vec::new(), body: "<html>welcome</html>".to_owned() };
        server.fault(Fault::on("PUT", "/manifests/", action).times(usize::MAX));
        let manifest = granary_oci::RawManifest::new(br#"{"manifests":[]}"#.to_vec(), "").unwrap();
        let target = granary_oci::TagOrDigest::from("1.0.0".parse::<granary_oci::Tag>().unwrap());
        let error = anonymous(&server).put_manifest(&app(), &target, &manifest).await.unwrap_err();
        assert!(error.to_string().contains("instead of 201"), "{error}");
    }
}

/// A client that looks after its tags.
fn verifying(server: &Server) -> Registry {
    let options = RegistryOptions { verify: true, ..options() };
    Registry::new(server.host().parse().unwrap(), http(), options)
}

/// What Harbor says to the second of two that create a tag at once: 201, and the tag stays where it is
/// (harbor#23118).
fn taken_and_ignored(manifest: &RawManifest) -> Action {
    let headers = vec![("Docker-Content-Digest".to_owned(), manifest.digest().to_string())];
    Action::Status { code: 201, headers, body: "-".to_owned() }
}

#[tokio::test]
async fn a_tag_is_looked_after_where_that_is_asked_for() {
    let (image, theirs) = (image(), ImageBuilder::new("linux/arm64").build());
    let manifest = raw(&image);
    let server = Server::start(Options { oci_tag: false, ..Options::default() });
    server.put_image("acme/app", &[], &image);
    verifying(&server).put_manifest(&app(), &by_tag("1.0.0"), &manifest).await.unwrap();
    let methods = |server: &Server| server.requests().iter().map(|r| r.method.clone()).collect::<Vec<_>>();
    assert_eq!(methods(&server), ["PUT", "HEAD"]);
    server.clear_log();
    let by_digest = TagOrDigest::from(manifest.digest());
    verifying(&server).put_manifest(&app(), &by_digest, &manifest).await.unwrap();
    anonymous(&server).put_manifest(&app(), &by_tag("1.0.0"), &manifest).await.unwrap();
    assert_eq!(
        methods(&server),
        ["PUT", "PUT"],
        "digests speak for themselves, and nobody asked for the tag"
    );

    server.clear_log();
    server.fault(Fault::on("PUT", "/manifests/2.0.0", taken_and_ignored(&manifest)));
    verifying(&server).put_manifest(&app(), &by_tag("2.0.0"), &manifest).await.unwrap();
    assert_eq!(server.tags("acme/app")["2.0.0"], image.digest());
    assert_eq!(methods(&server), ["PUT", "HEAD", "PUT", "HEAD"]);

    server.put_image("acme/app", &["3.0.0"], &theirs);
    server.fault(Fault::on("PUT", "/manifests/3.0.0", taken_and_ignored(&manifest)));
    let error = verifying(&server).put_manifest(&app(), &by_tag("3.0.0"), &manifest).await.unwrap_err();
    assert_eq!(error.class(), Class::Refused);
    assert!(error.to_string().contains(&format!("it names {} all the same", theirs.digest())), "{error}");
    assert_eq!(
        server.tags("acme/app")["3.0.0"],
        theirs.digest(),
        "what somebody else wrote is not taken from him"
    );
}

#[tokio::test]
async fn tags_in_bulk_are_looked_after_too() {
    let image = image();
    let server = Server::start(Options::default());
    server.put_image("acme/app", &[], &image);
    verifying(&server).put_tags(&app(), &raw(&image), &[tag("a"), tag("b"), tag("c")]).await.unwrap();
    assert_eq!(server.count(|r| r.method == "PUT"), 1);
    assert_eq!(server.count(|r| r.method == "HEAD"), 3);
}

#[tokio::test]
async fn what_a_bulk_answer_leaves_out_is_set_one_by_one() {
    let image = image();
    let manifest = raw(&image);
    let partial = |value: &str| {
        let digest = ("Docker-Content-Digest".to_owned(), manifest.digest().to_string());
        let headers = vec![digest, ("OCI-Tag".to_owned(), value.to_owned())];
        Action::Status { code: 201, headers, body: "-".to_owned() }
    };
    // Tags that nobody asked for are nobody's business, and what is no tag says nothing.
    for (answer, puts) in [("a", 3), ("a, b", 2), ("a,b,c", 1), ("z", 4), ("..", 4), ("", 4)] {
        let server = Server::start(Options::default());
        server.put_image("acme/app", &["a", "b"], &image);
        server.put_image("acme/app", &["c"], &image);
        server.fault(Fault::on("PUT", "?tag=", partial(answer)));
        let tags = [tag("a"), tag("b"), tag("c")];
        anonymous(&server).put_tags(&app(), &manifest, &tags).await.unwrap();
        assert_eq!(server.count(|r| r.method == "PUT"), puts, "{answer}");
    }
}

#[tokio::test]
async fn equal_tags_on_a_registry_that_moves_none_are_a_success_and_others_are_named() {
    let (image, theirs) = (image(), ImageBuilder::new("linux/arm64").build());
    for (oci_tag, code) in [(true, 409), (false, 400), (true, 412), (false, 403)] {
        let server = Server::start(Options { immutable_tags: Some(code), oci_tag, ..Options::default() });
        server.put_image("acme/app", &["a"], &image);
        server.put_image("acme/app", &["b"], &theirs);
        let registry = anonymous(&server);
        registry.put_tags(&app(), &raw(&image), &[tag("a"), tag("c")]).await.unwrap();
        let tags = [tag("d"), tag("b"), tag("a")];
        let error = registry.put_tags(&app(), &raw(&image), &tags).await.unwrap_err();
        assert!(error.to_string().ends_with("not all tags were written (written: d, a; not: b)"), "{error}");
        assert!(chain(&error).contains("tag b exists and is immutable"), "{}", chain(&error));
        assert_eq!(server.tags("acme/app")["d"], image.digest());
        assert_eq!(server.history("acme/app", "b"), [theirs.digest()]);
        let RegistryError::Tags { written, missing, .. } = &error else { panic!("{error:?}") };
        assert_eq!((written.as_slice(), missing.as_slice()), (&[tag("d"), tag("a")][..], &[tag("b")][..]));
    }
}

#[tokio::test]
async fn a_registry_that_goes_away_while_it_tags_says_what_is_not_known() {
    let image = image();
    let server = Server::start(Options::default());
    server.put_image("acme/app", &[], &image);
    server.fault(Fault::on("PUT", "/manifests/", Action::status(503)).times(usize::MAX));
    let options = RegistryOptions { attempts: 2, ..options() };
    let registry = Registry::new(server.host().parse().unwrap(), http(), options);
    let error = registry.put_tags(&app(), &raw(&image), &[tag("a"), tag("b")]).await.unwrap_err();
    assert_eq!(error.class(), Class::Unavailable);
    assert!(error.to_string().ends_with("(written: none; not: a, b)"), "{error}");
    assert_eq!(server.requests().len(), 2, "one request for both, twice");
    let error = registry.put_tags(&app(), &raw(&image), &[tag("a")]).await.unwrap_err();
    assert!(error.to_string().starts_with("pushing manifest"), "{error}");
}
