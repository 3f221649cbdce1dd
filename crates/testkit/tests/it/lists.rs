//! Tag lists and referrers.

use granary_testkit::image::{ImageBuilder, MANIFEST};
use granary_testkit::registry::{LastPage, LinkStyle, Options, Referrers, Registry};
use serde_json::json;

use crate::client::{ask, get};

fn with_tags(options: Options, count: usize) -> Registry {
    let registry = Registry::start(options);
    let names: Vec<String> = (0..count).map(|n| format!("0.0.{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    registry.put_image("app", &names, &ImageBuilder::new("linux/amd64").build());
    registry
}

/// `</v2/…>; rel=…` → `/v2/…`
fn link_target(link: &str) -> Option<String> {
    Some(link.strip_prefix('<')?.split_once('>')?.0.to_owned())
}

/// Follows links as long as pages bring tags, at most `pages` of them. Returns the tags and the pages read.
fn read_all(registry: &Registry, first: &str, pages: usize) -> (Vec<String>, usize) {
    let (mut tags, mut target, mut read) = (Vec::new(), Some(first.to_owned()), 0);
    while let Some(path) = target.take().filter(|_| read < pages) {
        let page = get(registry, &path);
        read += 1;
        let page_tags = page.json()["tags"].as_array().cloned().unwrap_or_default();
        tags.extend(page_tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)));
        target = link_target(page.header("link")).filter(|_| !page_tags.is_empty());
    }
    (tags, read)
}

#[test]
fn pages_are_cut_by_n_and_by_the_server() {
    for (options, query, pages) in [
        (Options::default(), "", 1),
        (Options::default(), "?n=3", 3),
        (Options { page_size: Some(2), ..Options::default() }, "?n=1000", 4),
        (Options { page_size: Some(2), ..Options::default() }, "", 4),
        (Options { link_style: LinkStyle::Absolute, ..Options::default() }, "?n=7", 1),
        (Options { link_style: LinkStyle::Absolute, ..Options::default() }, "?n=6", 2),
        (Options { last_page: LastPage::LinkToEmpty, ..Options::default() }, "?n=3", 4),
    ] {
        let registry = with_tags(options.clone(), 7);
        let (tags, read) = read_all(&registry, &format!("/v2/app/tags/list{query}"), 20);
        let sorted: Vec<String> = registry.tags("app").into_keys().collect();
        assert_eq!((tags, read), (sorted, pages), "{query} {options:?}");
    }
}

#[test]
fn a_link_that_loops_never_ends() {
    let registry = with_tags(Options { last_page: LastPage::LinkToItself, ..Options::default() }, 7);
    let (tags, read) = read_all(&registry, "/v2/app/tags/list?n=4", 9);
    assert_eq!((read, tags.len()), (9, 4 + 8 * 3));
}

#[test]
fn an_old_server_ignores_n_and_does_not_sort() {
    let registry = with_tags(Options::docker_registry_2_8(), 50);
    let (tags, read) = read_all(&registry, "/v2/app/tags/list?n=3", 9);
    assert_eq!((tags.len(), read), (50, 1));
    assert!(!tags.is_sorted());
}

#[test]
fn an_unquoted_relation_is_sent_where_asked_for() {
    let registry = with_tags(Options { link_style: LinkStyle::Unquoted, ..Options::default() }, 2);
    let link = get(&registry, "/v2/app/tags/list?n=1").header("link").to_owned();
    assert_eq!(link, "</v2/app/tags/list?n=1&last=0.0.000>; rel=next");
}

#[test]
fn an_unknown_repository_has_no_list() {
    let registry = Registry::start(Options::default());
    registry.put_blob("blobs/only", b"x".as_slice());
    for name in ["none", "blobs/only"] {
        let list = get(&registry, &format!("/v2/{name}/tags/list"));
        assert_eq!((list.status, list.code()), (404, "NAME_UNKNOWN".to_owned()));
    }
}

#[test]
fn referrers_are_listed_filtered_and_paged() {
    let subject = ImageBuilder::new("linux/amd64").build();
    let attach = |registry: &Registry, artifact_type: &str, n: usize| {
        let config = registry.put_blob("app", b"{}".as_slice());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact_type,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
            "layers": [], "subject": {"mediaType": MANIFEST, "digest": subject.digest(), "size": 1},
            "annotations": {"n": n.to_string()},
        });
        let digest = granary_testkit::registry::sha256_digest(manifest.to_string().as_bytes());
        let path = format!("/v2/app/manifests/{digest}");
        ask(registry, "PUT", &path, &[("content-type", MANIFEST)], manifest.to_string().as_bytes())
    };
    let path = format!("/v2/app/referrers/{}", subject.digest());

    let registry = Registry::start(Options { referrers_page: Some(2), ..Options::default() });
    assert_eq!(get(&registry, &path).json()["manifests"], json!([]), "the subject need not exist");
    for n in 0..3 {
        let put = attach(&registry, "application/a", n);
        assert_eq!((put.status, put.header("oci-subject")), (201, subject.digest()));
    }
    attach(&registry, "application/b", 0);
    let filtered = get(&registry, &format!("{path}?artifactType=application%2Fa"));
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    let first = &filtered.json()["manifests"];
    assert_eq!(first.as_array().map(Vec::len), Some(2));
    assert_eq!(first[0]["artifactType"], "application/a");
    assert!(first[0]["annotations"]["n"].is_string(), "annotations are pulled up");
    let next = get(&registry, &link_target(filtered.header("link")).expect("a second page"));
    assert_eq!(next.json()["manifests"].as_array().map(Vec::len), Some(1));
    assert_eq!(next.header("link"), "");
    assert_eq!(registry.snapshot()["app"].referrers[subject.digest()].len(), 4);

    let registry = Registry::start(Options { referrers: Referrers::Unfiltered, ..Options::default() });
    attach(&registry, "application/b", 0);
    let all = get(&registry, &format!("{path}?artifactType=application%2Fa"));
    assert_eq!(all.header("oci-filters-applied"), "");
    assert_eq!(all.json()["manifests"].as_array().map(Vec::len), Some(1));

    let registry = Registry::start(Options { referrers: Referrers::Off, ..Options::default() });
    assert_eq!(attach(&registry, "application/a", 0).header("oci-subject"), "");
    assert_eq!(get(&registry, &path).status, 404);
}

#[test]
fn a_dashed_tag_finds_the_subject_where_asked_for() {
    for (dash_tags, status) in [(true, 200), (false, 404)] {
        let registry = Registry::start(Options { dash_tags, ..Options::default() });
        let image = ImageBuilder::new("linux/amd64").build();
        registry.put_image("app", &[], &image);
        let path = format!("/v2/app/manifests/{}", image.digest().replace(':', "-"));
        assert_eq!(get(&registry, &path).status, status);
    }
}
