//! Pushes and pulls, and what is refused on the way.

use granary_testkit::image::{INDEX, Image, ImageBuilder, MANIFEST};
use granary_testkit::registry::{Location, Options, Registry, sha256_digest};

use crate::client::{ask, get};

fn image() -> Image {
    ImageBuilder::new("linux/amd64").random_layer(1, 5000).build()
}

fn push_blob(registry: &Registry, repository: &str, bytes: &[u8]) -> u16 {
    let opened = ask(registry, "POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"");
    assert_eq!(opened.status, 202);
    let target = format!("{}&digest={}", opened.header("location"), sha256_digest(bytes));
    ask(registry, "PUT", &target, &[], bytes).status
}

fn put_manifest(registry: &Registry, path: &str, media_type: &str, bytes: &[u8]) -> crate::client::Answer {
    ask(registry, "PUT", path, &[("content-type", media_type)], bytes)
}

/// Claims lapse by the registry's clock, and a test cannot wait for an hour.
#[test]
fn the_clock_can_be_moved() {
    let registry = Registry::start(Options::default());
    let told = || {
        let date = get(&registry, "/v2/").header("date").to_owned();
        jiff::fmt::rfc2822::parse(&date).unwrap().timestamp()
    };
    let begun = told();
    registry.move_clock(3600);
    registry.move_clock(-60);
    let ahead = told().duration_since(begun).as_secs();
    assert!((3540..3600).contains(&ahead), "{ahead}");
}

#[test]
fn what_is_pushed_is_pulled_byte_for_byte() {
    let registry = Registry::start(Options::default());
    let image = image();
    for blob in image.blobs() {
        assert_eq!(push_blob(&registry, "team/deep/app", &blob.bytes), 201);
    }
    let put = put_manifest(&registry, "/v2/team/deep/app/manifests/1.2.3", MANIFEST, image.bytes());
    assert_eq!((put.status, put.header("docker-content-digest")), (201, image.digest()));
    for reference in ["1.2.3", image.digest()] {
        let got = get(&registry, &format!("/v2/team/deep/app/manifests/{reference}"));
        assert_eq!((got.status, got.header("content-type")), (200, MANIFEST));
        assert_eq!(got.body, image.bytes()[..]);
        assert!(!got.header("date").is_empty(), "claims live by the registry's clock");
    }
    let head = ask(&registry, "HEAD", "/v2/team/deep/app/manifests/1.2.3", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), image.bytes().len().to_string());
    let layer = &image.blobs()[1];
    let blob = format!("/v2/team/deep/app/blobs/{}", layer.digest);
    assert_eq!(get(&registry, &blob).body, layer.bytes);
    let part = ask(&registry, "GET", &blob, &[("range", "bytes=10-19")], b"");
    assert_eq!((part.status, &part.body[..]), (206, &layer.bytes[10..20]));
    assert_eq!(registry.tags("team/deep/app")["1.2.3"], image.digest());
}

#[test]
fn a_manifest_is_refused_while_its_blobs_are_missing() {
    let registry = Registry::start(Options::default());
    let image = image();
    registry.put_blob("app", image.blobs()[0].bytes.clone());
    // In another repository it does not count.
    registry.put_blob("other", image.blobs()[1].bytes.clone());
    let put = put_manifest(&registry, "/v2/app/manifests/1.2.3", MANIFEST, image.bytes());
    assert_eq!((put.status, put.code()), (400, "MANIFEST_BLOB_UNKNOWN".to_owned()));
    assert_eq!(put.json()["errors"].as_array().map(Vec::len), Some(1), "only the layer is missing");
    assert_eq!(put.json()["errors"][0]["detail"], image.blobs()[1].digest);
    assert!(registry.tags("app").is_empty());
}

#[test]
fn an_index_is_refused_while_a_child_is_missing() {
    let registry = Registry::start(Options::default());
    let arm = ImageBuilder::new("linux/arm64").random_layer(2, 100).build();
    let index = Image::index(&[image(), arm]);
    registry.put_image("app", &[], &image());
    let put = put_manifest(&registry, "/v2/app/manifests/1.2.3", INDEX, index.bytes());
    assert_eq!((put.status, put.code()), (400, "MANIFEST_UNKNOWN".to_owned()));
    registry.put_image("app", &[], &index);
    let put = put_manifest(&registry, "/v2/app/manifests/1.2.3", INDEX, index.bytes());
    assert_eq!(put.status, 201);
}

#[test]
fn bytes_that_do_not_match_their_digest_are_refused() {
    let registry = Registry::start(Options::default());
    let opened = ask(&registry, "POST", "/v2/app/blobs/uploads/", &[], b"");
    let target = format!("{}&digest={}", opened.header("location"), sha256_digest(b"other"));
    let put = ask(&registry, "PUT", &target, &[], b"bytes");
    assert_eq!((put.status, put.code()), (400, "DIGEST_INVALID".to_owned()));
    let wrong = format!("/v2/app/manifests/{}", sha256_digest(b"other"));
    let put = put_manifest(&registry, &wrong, MANIFEST, br#"{"schemaVersion":2}"#);
    assert_eq!((put.status, put.code()), (400, "DIGEST_INVALID".to_owned()));
    let put = put_manifest(&registry, "/v2/app/manifests/x", INDEX, image().bytes());
    assert_eq!((put.status, put.code()), (400, "MANIFEST_INVALID".to_owned()), "mediaType is another");
}

#[test]
fn chunks_go_in_order_and_through_the_newest_location() {
    let registry = Registry::start(Options { min_chunk: Some(4), ..Options::default() });
    let opened = ask(&registry, "POST", "/v2/app/blobs/uploads/", &[], b"");
    assert_eq!(opened.header("oci-chunk-min-length"), "4");
    let first = opened.header("location").to_owned();
    let patch = |location: &str, range: &str, bytes: &[u8]| {
        ask(&registry, "PATCH", location, &[("content-range", range)], bytes)
    };
    let done = patch(&first, "0-4", b"hello");
    assert_eq!((done.status, done.header("range")), (202, "0-4"));
    assert_eq!(patch(&first, "5-9", b"world").code(), "BLOB_UPLOAD_INVALID", "a stale Location");
    let second = done.header("location").to_owned();
    let gap = patch(&second, "6-10", b"world");
    assert_eq!((gap.status, gap.header("range")), (416, "0-4"));
    let status = get(&registry, &second);
    assert_eq!((status.status, status.header("range")), (204, "0-4"));
    let short = patch(&second, "5-6", b", ");
    assert_eq!(short.status, 202, "it might be the last");
    let third = short.header("location").to_owned();
    assert_eq!(patch(&third, "7-11", b"world").status, 416, "it was not");
    let digest = sha256_digest(b"hello, ");
    let put = ask(&registry, "PUT", &format!("{third}&digest={digest}"), &[], b"");
    assert_eq!(put.status, 201);
    assert_eq!(registry.blob("app", &digest).as_deref(), Some(&b"hello, "[..]));
    assert_eq!(get(&registry, &third).code(), "BLOB_UPLOAD_UNKNOWN", "a finished session is gone");
}

#[test]
fn upload_quirks_are_as_told() {
    let body = b"0123456789";
    let options = Options {
        upload_location: Location::Bare,
        patch_status: 201,
        stuck_range: true,
        max_chunk: Some(5),
        post_digest: false,
        created_location: false,
        content_digest: false,
        ..Options::default()
    };
    let registry = Registry::start(options);
    let target = format!("/v2/app/blobs/uploads/?digest={}", sha256_digest(body));
    let opened = ask(&registry, "POST", &target, &[], body);
    assert_eq!(opened.status, 202, "the body was for nothing");
    let at = |location: &str| format!("/v2/app/blobs/uploads/{location}");
    assert!(!opened.header("location").contains('/'));
    let long = [("content-range", "0-9")];
    assert_eq!(ask(&registry, "PATCH", &at(opened.header("location")), &long, body).status, 416);
    let first = [("content-range", "0-4")];
    let one = ask(&registry, "PATCH", &at(opened.header("location")), &first, &body[..5]);
    let second = [("content-range", "5-9")];
    let two = ask(&registry, "PATCH", &at(one.header("location")), &second, &body[5..]);
    assert_eq!((two.status, two.header("range")), (201, "0-4"), "stuck at the first chunk");
    let put = format!("{}&digest={}", at(two.header("location")), sha256_digest(body));
    let put = ask(&registry, "PUT", &put, &[], b"");
    assert_eq!((put.status, put.header("location"), put.header("docker-content-digest")), (201, "", ""));

    let registry = Registry::start(Options { upload_location: Location::Missing, ..Options::default() });
    let opened = ask(&registry, "POST", "/v2/app/blobs/uploads/", &[], b"");
    assert_eq!((opened.status, opened.header("location")), (202, ""));
    let whole = ask(&registry, "POST", &target, &[], body);
    assert_eq!(whole.status, 201);
}

#[test]
fn mounts_work_where_they_are_on_and_the_source_has_the_blob() {
    for (mounts, held, status) in [(true, true, 201), (false, true, 202), (true, false, 202)] {
        let registry = Registry::start(Options { mounts, ..Options::default() });
        let digest = sha256_digest(b"layer");
        if held {
            registry.put_blob("source", b"layer".as_slice());
        }
        let target = format!("/v2/target/blobs/uploads/?mount={digest}&from=source");
        assert_eq!(ask(&registry, "POST", &target, &[], b"").status, status, "{mounts} {held}");
        assert_eq!(registry.blob("target", &digest).is_some(), status == 201);
    }
}

#[test]
fn many_tags_are_set_at_once_where_the_registry_can() {
    for oci_tag in [true, false] {
        let registry = Registry::start(Options { oci_tag, ..Options::default() });
        let image = image();
        registry.put_image("app", &[], &image);
        let target = format!("/v2/app/manifests/{}?tag=1.2.3&tag=latest", image.digest());
        let put = put_manifest(&registry, &target, MANIFEST, image.bytes());
        assert_eq!(put.status, 201);
        let told: Vec<&str> = put.headers.get("oci-tag").into_iter().flatten().map(String::as_str).collect();
        let tags: Vec<String> = registry.tags("app").into_keys().collect();
        assert_eq!((told, tags.len()), if oci_tag { (vec!["1.2.3", "latest"], 2) } else { (vec![], 0) });
    }
}

#[test]
fn policies_of_servers_are_kept() {
    let options =
        Options { immutable_tags: Some(409), nested_index: false, deletes: false, ..Options::default() };
    let registry = Registry::start(options);
    let (old, new) = (image(), ImageBuilder::new("linux/amd64").random_layer(9, 10).build());
    registry.put_image("app", &["1.2.3"], &old);
    registry.put_image("app", &[], &new);
    let put = |image: &Image| put_manifest(&registry, "/v2/app/manifests/1.2.3", MANIFEST, image.bytes());
    assert_eq!(put(&old).status, 201, "the same digest is no move");
    assert_eq!(put(&new).status, 409);
    assert_eq!(registry.history("app", "1.2.3"), [old.digest()]);
    let inner = Image::index(&[old]);
    registry.put_image("app", &[], &inner);
    let outer = Image::index(&[inner]);
    let put = put_manifest(&registry, "/v2/app/manifests/nested", INDEX, outer.bytes());
    assert_eq!((put.status, put.code()), (400, "MANIFEST_INVALID".to_owned()));
    assert_eq!(ask(&registry, "DELETE", "/v2/app/manifests/1.2.3", &[], b"").status, 405);
}

#[test]
fn what_is_deleted_is_gone_and_stays_in_the_history() {
    let registry = Registry::start(Options::default());
    registry.put_image("app", &["a", "b"], &image());
    assert_eq!(ask(&registry, "DELETE", "/v2/app/manifests/a", &[], b"").status, 202);
    assert_eq!(registry.tags("app").into_keys().collect::<Vec<_>>(), ["b"]);
    let by_digest = format!("/v2/app/manifests/{}", image().digest());
    assert_eq!(ask(&registry, "DELETE", &by_digest, &[], b"").status, 202);
    assert_eq!(get(&registry, "/v2/app/manifests/b").code(), "MANIFEST_UNKNOWN");
    assert_eq!(registry.history("app", "a"), [image().digest()]);
}

#[test]
fn a_blob_behind_another_host_is_fetched_there() {
    let storage = Registry::start(Options::default());
    let options = Options { redirect_blobs: Some(storage.url()), ..Options::default() };
    let registry = Registry::start_sharing(options, &storage);
    let digest = registry.put_blob("app", b"layer".as_slice());
    let got = get(&registry, &format!("/v2/app/blobs/{digest}"));
    assert_eq!(got.status, 307);
    let there = got.header("location").to_owned();
    assert_eq!(get(&storage, &there).body, b"layer");
    assert_eq!(storage.requests()[0].authorization, None);
    let head = ask(&registry, "HEAD", &format!("/v2/app/blobs/{digest}"), &[], b"");
    assert_eq!(head.status, 200);
}

#[test]
fn a_state_can_be_started_from_again_and_again() {
    let first = Registry::start(Options::default());
    first.put_image("app", &["1.2.3"], &image());
    let state = first.clone_state();
    let second = Registry::start_with(Options::default(), state.clone());
    assert_eq!(second.snapshot(), first.snapshot());
    second.put_image("app", &["1.2.4"], &image());
    assert_ne!(second.snapshot(), first.snapshot());
    let third = Registry::start_with(Options::default(), state);
    assert_eq!(third.snapshot(), first.snapshot());
}
