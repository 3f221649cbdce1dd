//! What sets Gitea's registry apart, as the plugins rely on it: where a release of Gitea answers otherwise, this says so first.

use std::collections::BTreeSet;

use e2e::gitea::{Gitea, OWNER};
use e2e::registry::Registry as _;
use e2e::server;
use granary_testkit::image::MANIFEST;

use crate::scene::ask;

/// Without blobs, which Gitea would want to see first.
const NOTHING: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;

fn has_header(answer: &str, name: &str, wanted: &str) -> bool {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .any(|(found, value)| found.eq_ignore_ascii_case(name) && value.contains(wanted))
}

#[test]
fn its_challenge_names_no_repository_and_its_locations_no_host() {
    let gitea = Gitea::start();
    let asked = server::ask(&gitea.host(), "GET", &format!("/v2/{OWNER}/app/tags/list"), &[], b"").unwrap();
    assert!(asked.starts_with("HTTP/1.0 401 "), "{asked}");
    let realm = format!(r#"realm="http://{}/v2/token""#, gitea.host());
    for part in ["Bearer ", realm.as_str(), r#"service="container_registry""#, r#"scope="*""#] {
        assert!(has_header(&asked, "WWW-Authenticate", part), "{part}: {asked}");
    }

    let unknown = ask(&gitea, "GET", &format!("{OWNER}/app/tags/list"), &[], b"");
    assert!(unknown.contains(" 404 ") && unknown.contains("NAME_UNKNOWN"), "{unknown}");
    let unknown = ask(&gitea, "HEAD", &format!("{OWNER}/app/manifests/1.0.0"), &[], b"");
    assert!(unknown.contains(" 404 "), "{unknown}");
    let referrers = format!("{OWNER}/app/referrers/sha256:{}", "0".repeat(64));
    assert!(ask(&gitea, "GET", &referrers, &[], b"").contains(" 404 "));

    let upload = ask(&gitea, "POST", &format!("{OWNER}/app/blobs/uploads/"), &[], b"");
    assert!(upload.contains(" 202 ") && has_header(&upload, "Location", "/v2/"), "{upload}");
    assert!(!has_header(&upload, "Location", "http"), "{upload}");
}

#[test]
fn its_tag_list_is_current_and_its_link_never_ends() {
    let gitea = Gitea::start();
    let empty = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let upload = ask(&gitea, "POST", &format!("{OWNER}/app/blobs/uploads/?digest={empty}"), &[], b"{}");
    assert!(upload.contains(" 201 "), "{upload}");
    let mut written = BTreeSet::new();
    for number in 0..20 {
        let tag = format!("claim-{number}");
        let target = format!("{OWNER}/app/manifests/{tag}");
        let put = ask(&gitea, "PUT", &target, &[("Content-Type", MANIFEST)], NOTHING.as_bytes());
        assert!(put.contains(" 201 "), "{put}");
        written.insert(tag);
        // Claims stand on this: what was written is in the next list.
        let list = ask(&gitea, "GET", &format!("{OWNER}/app/tags/list?n=1000"), &[], b"");
        let body = list.split("\r\n\r\n").nth(1).unwrap();
        let listed: serde_json::Value = serde_json::from_str(body).unwrap();
        let listed = listed["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned());
        assert_eq!(listed.collect::<BTreeSet<_>>(), written);
        assert!(has_header(&list, "Link", r#"rel="next""#), "on the last page too: {list}");
    }
    let last = written.last().unwrap();
    let list = ask(&gitea, "GET", &format!("{OWNER}/app/tags/list?n=1000&last={last}"), &[], b"");
    assert!(list.contains(r#""tags":[]"#) || list.contains(r#""tags":null"#), "{list}");
}
