//! Plans over tables of content, and over content that nobody would think of.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use granary_net::{Deadline, Http, HttpOptions};
use granary_oci::{
    ArtifactManifest, Descriptor, Digest, EMPTY_JSON, RawManifest, empty_descriptor, media_type,
};
use proptest::prelude::*;

use super::*;
use crate::client::{Registry, RegistryOptions};
use crate::content::Content;

fn artifact(name: &str, subject: Option<&RawManifest>) -> RawManifest {
    let manifest = ArtifactManifest::new(name);
    match subject {
        Some(subject) => manifest.with_subject(&subject.descriptor()).build(),
        None => manifest.build(),
    }
}

fn with_layers(layers: &[Descriptor]) -> RawManifest {
    ArtifactManifest::new("application/vnd.example").with_layers(layers.to_vec()).build()
}

fn index(children: &[&RawManifest]) -> RawManifest {
    index_of(children, None, "")
}

fn index_of(children: &[&RawManifest], subject: Option<&RawManifest>, name: &str) -> RawManifest {
    let children: Vec<Descriptor> = children.iter().map(|child| child.descriptor()).collect();
    let mut document = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children, "annotations": {"name": name},
    });
    if let Some(subject) = subject {
        document["subject"] = serde_json::json!(subject.descriptor());
    }
    RawManifest::new(document.to_string().into_bytes(), "").unwrap()
}

fn content(manifests: &[&RawManifest], top: &RawManifest) -> Content {
    let empty = (empty_descriptor(), BlobSource::Bytes(Bytes::from_static(EMPTY_JSON)));
    let manifests = manifests.iter().map(|raw| (*raw).clone()).collect();
    Content { manifests, blobs: vec![empty], top: top.digest().clone() }
}

fn facts() -> TransferFacts {
    TransferFacts::new("registry.test".parse().unwrap(), "acme/app".parse().unwrap())
}

/// Digests by round, in order.
fn rounds(plan: &TransferPlan) -> Vec<Vec<Digest>> {
    let digests = |round: &Vec<PlannedManifest>| round.iter().map(|one| one.raw.digest().clone()).collect();
    plan.rounds().iter().map(digests).collect()
}

fn digests(manifests: &[&[&RawManifest]]) -> Vec<Vec<Digest>> {
    manifests.iter().map(|round| round.iter().map(|raw| raw.digest().clone()).collect()).collect()
}

fn remote(host: &str, repository: &str) -> BlobSource {
    let http = Http::new(HttpOptions::default()).unwrap();
    let options = RegistryOptions::new(Deadline::after(std::time::Duration::from_secs(1)));
    let registry = Registry::new(host.parse().unwrap(), http, options);
    BlobSource::Remote { registry, repository: repository.parse().unwrap() }
}

#[test]
fn rounds_by_what_is_known_of_referrers() {
    let (a, b) = (artifact("a", None), artifact("b", None));
    let top = index(&[&a, &b]);
    let sbom = artifact("sbom", Some(&top));
    let signature = artifact("signature", Some(&sbom));
    let on_child = artifact("on child", Some(&a));
    let content = content(&[&a, &b, &top, &sbom, &signature, &on_child], &top);
    let plan = TransferPlan::new(&content, &facts()).unwrap();
    let expected = digests(&[&[&a, &b], &[&top, &on_child], &[&sbom], &[&signature]]);
    assert_eq!(rounds(&plan), expected, "with a fallback tag subjects come first");
    let with_api = TransferFacts { referrers_api: true, ..facts() };
    let plan = TransferPlan::new(&content, &with_api).unwrap();
    let expected = digests(&[&[&a, &b, &on_child], &[&top, &sbom, &signature]]);
    assert_eq!(rounds(&plan), expected, "with the API they go along");
    assert_eq!(plan.blobs().len(), 1, "the same blob is sent once");
}

#[test]
fn what_is_there_is_left_out() {
    let (a, other) = (artifact("a", None), artifact("other", None));
    let top = index(&[&a]);
    let listed = index_of(&[&other], Some(&top), "listed");
    let missing = artifact("missing", Some(&top));
    let content = content(&[&a, &top, &other, &listed, &missing], &top);
    let all = |plan: &TransferPlan| (plan.present().len(), rounds(plan));
    let mut known = TransferFacts { top_present: true, ..facts() };
    let plan = TransferPlan::new(&content, &known).unwrap();
    assert_eq!(all(&plan), (2, digests(&[&[&other], &[&listed, &missing]])));
    known.listed = HashSet::from([listed.digest().clone()]);
    let plan = TransferPlan::new(&content, &known).unwrap();
    assert_eq!(all(&plan), (4, digests(&[&[&missing]])), "a listed index brings its children");
    known.listed.insert(missing.digest().clone());
    let plan = TransferPlan::new(&content, &known).unwrap();
    assert!(plan.is_empty() && plan.blobs().is_empty());
}

#[test]
fn ways_of_blobs() {
    let (here, there) = ("registry.test", "other.test");
    let layer = |size: usize| Descriptor::of("application/octet-stream", &vec![7; size]);
    let sources = [
        (layer(5), remote(here, "acme/base"), Some("mount")),
        (layer(6), remote(here, "acme/app"), Some("known")),
        (layer(4), remote(there, "acme/base"), None),
        (layer(9), BlobSource::Bytes(Bytes::from(vec![7; 9])), None),
        (layer(3), remote(here, "acme/base"), Some("known")),
    ];
    let layers: Vec<Descriptor> = sources.iter().map(|(layer, ..)| layer.clone()).collect();
    let manifest = with_layers(&layers);
    let empty = (empty_descriptor(), remote(there, "acme/base"));
    let blobs = sources.iter().map(|(layer, source, _)| (layer.clone(), source.clone())).chain([empty]);
    let content =
        Content { manifests: vec![manifest.clone()], blobs: blobs.collect(), top: manifest.digest().clone() };
    for (fresh, otherwise) in [(false, "find"), (true, "upload")] {
        let known_blobs = HashSet::from([layer(3).digest]);
        let facts = TransferFacts { known_blobs, fresh, ..facts() };
        let ways = |facts: &TransferFacts| -> Vec<(u64, &str)> {
            let name = |way: &BlobWay| match way {
                BlobWay::Known => "known",
                BlobWay::Mount { .. } => "mount",
                BlobWay::Find => "find",
                BlobWay::Upload => "upload",
            };
            let plan = TransferPlan::new(&content, facts).unwrap();
            plan.blobs().iter().map(|blob| (blob.descriptor.size, name(&blob.way))).collect()
        };
        let mut expected: Vec<(u64, &str)> =
            sources.iter().map(|(layer, _, way)| (layer.size, way.unwrap_or(otherwise))).collect();
        expected.push((2, otherwise));
        expected.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
        assert_eq!(ways(&facts), expected, "the largest first");
        let refused = TransferFacts { mounts: false, ..facts };
        assert!(ways(&refused).contains(&(5, otherwise)), "mounts were refused before");
    }
    let plan = TransferPlan::new(&content, &facts()).unwrap();
    let source = |size: u64| &plan.blobs().iter().find(|blob| blob.descriptor.size == size).unwrap().source;
    assert!(
        matches!(source(2), BlobSource::Bytes(bytes) if *bytes == EMPTY_JSON),
        "nobody is asked for {{}}"
    );
    assert!(matches!(source(4), BlobSource::Remote { .. }));
    assert_eq!(plan.bytes_to_send(), 4 + 9 + 2);
    assert_eq!(plan.mounts_from(), ["acme/base".parse::<Repository>().unwrap()]);
}

#[test]
fn content_that_lies_about_itself_is_read_from_its_place() {
    let lying = Descriptor { data: Some("bm90IHRoaXM=".to_owned()), ..Descriptor::of("a/b", b"that") };
    let truthful = Descriptor { data: Some("dGhpcw==".to_owned()), ..Descriptor::of("a/b", b"this") };
    let manifest = with_layers(&[lying.clone(), truthful.clone(), empty_descriptor()]);
    let blobs = [lying.clone(), truthful, empty_descriptor()].map(|blob| (blob, remote("other.test", "a/b")));
    let content =
        Content { manifests: vec![manifest.clone()], blobs: blobs.to_vec(), top: manifest.digest().clone() };
    let plan = TransferPlan::new(&content, &facts()).unwrap();
    for blob in plan.blobs() {
        let is_remote = matches!(blob.source, BlobSource::Remote { .. });
        assert_eq!(is_remote, blob.descriptor.digest == lying.digest, "{:?}", blob.descriptor);
    }
}

#[test]
fn incomplete_content_is_named() {
    let (a, b) = (artifact("a", None), artifact("b", None));
    let index = index(&[&a, &b]);
    let without_blob = Content { blobs: Vec::new(), ..content(&[&a], &a) };
    let late =
        format!("index {} lists manifest {}, which does not come before it", index.digest(), b.digest());
    let no_blob = format!(
        "manifest {} names blob {}, which the content does not hold",
        a.digest(),
        empty_descriptor().digest
    );
    let table = [
        (content(&[&a], &b), format!("the content does not hold its own top manifest {}", b.digest())),
        (content(&[&a, &index, &b], &index), late),
        (without_blob, no_blob),
    ];
    for (content, expected) in &table {
        assert_eq!(TransferPlan::new(content, &facts()).unwrap_err().to_string(), *expected);
    }
}

#[test]
fn a_nested_index_is_named_where_it_is_refused() {
    let a = artifact("a", None);
    let inner = index(&[&a]);
    let outer = index(&[&a, &inner]);
    let nested = content(&[&a, &inner, &outer], &outer);
    assert_eq!(nested.nested_index(), Some((outer.digest().clone(), inner.digest().clone())));
    assert_eq!(content(&[&a, &inner], &inner).nested_index(), None);
    assert!(TransferPlan::new(&nested, &facts()).is_ok());
    let refusing = TransferFacts { refuses_nested_indexes: true, ..facts() };
    let message = TransferPlan::new(&nested, &refusing).unwrap_err().to_string();
    let names = format!(
        "index {} lists another index, {}, and registry.test refuses",
        outer.digest(),
        inner.digest()
    );
    assert!(message.starts_with(&names), "{message}");
    assert!(TransferPlan::new(&content(&[&a, &inner], &inner), &refusing).is_ok());
    // Nothing of it is sent, so nothing is refused.
    let present = TransferFacts { top_present: true, ..refusing };
    assert!(TransferPlan::new(&nested, &present).unwrap().is_empty());
}

#[test]
fn a_plan_for_people() {
    let layer = Descriptor::of("application/octet-stream", &vec![7; 13 << 20]);
    let image = with_layers(std::slice::from_ref(&layer));
    let top = index(&[&image]);
    let signature = artifact("application/vnd.example.signature", Some(&top));
    let mut content = content(&[&image, &top, &signature], &top);
    content.blobs.push((layer.clone(), remote("registry.test", "acme/base")));
    let plan = TransferPlan::new(&content, &facts()).unwrap();
    let short = |raw: &RawManifest| raw.digest().short().to_owned();
    let expected = [
        format!(
            "registry.test/acme/app@{}: 3 manifests to put, 1 blob to mount (13.0 MiB), 1 blob to look for, else \
             send (2 B)",
            top.digest()
        ),
        format!("  mount blob {} 13.0 MiB from acme/base", layer.digest.short()),
        format!("  send blob {} 2 B, unless it is there", empty_descriptor().digest.short()),
        format!("  1. put manifest {}", short(&image)),
        format!("  2. put index {}", short(&top)),
        format!(
            "  3. put {}, application/vnd.example.signature that refers to {}",
            short(&signature),
            short(&top)
        ),
    ];
    assert_eq!(plan.to_string(), expected.join("\n"));
    let mut done = TransferFacts { top_present: true, ..facts() };
    done.listed.insert(signature.digest().clone());
    let plan = TransferPlan::new(&content, &done).unwrap();
    assert_eq!(
        plan.lines(),
        [format!("registry.test/acme/app@{}: there already, nothing to do", top.digest())]
    );
}

/// What one generated manifest names among those before it; the numbers are taken modulo what there is.
#[derive(Clone, Debug)]
struct Shape {
    children: Vec<usize>,
    subject: Option<usize>,
    layers: Vec<u8>,
}

fn shapes() -> impl Strategy<Value = Vec<Shape>> {
    let shape = (
        proptest::collection::vec(0usize..64, 0..4),
        proptest::option::of(0usize..64),
        proptest::collection::vec(1u8..12, 1..4),
    );
    let shape = shape.prop_map(|(children, subject, layers)| Shape { children, subject, layers });
    proptest::collection::vec(shape, 1..24)
}

fn build(shapes: &[Shape]) -> Vec<RawManifest> {
    let mut built: Vec<RawManifest> = Vec::new();
    for (number, shape) in shapes.iter().enumerate() {
        let earlier = |place: &usize| &built[place % built.len()];
        let subject = shape.subject.as_ref().filter(|_| number > 0).map(earlier);
        let children: Vec<&RawManifest> = match number {
            0 => Vec::new(),
            _ => shape.children.iter().map(earlier).collect(),
        };
        let raw = match children.is_empty() {
            false => index_of(&children, subject, &number.to_string()),
            true => {
                let layers =
                    shape.layers.iter().map(|layer| Descriptor::of("a/b", &vec![0; usize::from(*layer)]));
                let manifest = ArtifactManifest::new(&format!("type/{number}")).with_layers(layers.collect());
                match subject {
                    Some(subject) => manifest.with_subject(&subject.descriptor()).build(),
                    None => manifest.build(),
                }
            }
        };
        built.push(raw);
    }
    built
}

proptest! {
    #[test]
    fn order_holds_for_any_content(
        shapes in shapes(),
        top in 0usize..64,
        referrers_api: bool,
        top_present: bool,
        listed in proptest::collection::vec(0usize..64, 0..3),
    ) {
        let built = build(&shapes);
        let blobs = (1u8..12).map(|size| {
            let bytes = vec![0; usize::from(size)];
            (Descriptor::of("a/b", &bytes), BlobSource::Bytes(bytes.into()))
        });
        let blobs = blobs.chain([(empty_descriptor(), BlobSource::Bytes(Bytes::from_static(EMPTY_JSON)))]).collect();
        let top = built[top % built.len()].digest().clone();
        let content = Content { manifests: built.clone(), blobs, top: top.clone() };
        let listed = listed.iter().map(|place| built[place % built.len()].digest().clone()).collect();
        let facts = TransferFacts { referrers_api, top_present, listed, ..facts() };
        let plan = TransferPlan::new(&content, &facts).unwrap();

        let mut round: HashMap<Digest, usize> = HashMap::new();
        for (number, manifests) in plan.rounds().iter().enumerate() {
            prop_assert!(!manifests.is_empty());
            for manifest in manifests {
                prop_assert!(round.insert(manifest.raw.digest().clone(), number).is_none(), "put once");
            }
        }
        let present: HashSet<&Digest> = plan.present().iter().collect();
        prop_assert!(present.contains(&top) || !top_present);
        prop_assert!(facts.listed.iter().all(|listed| present.contains(listed)));
        let mut named: HashSet<Digest> = HashSet::new();
        for raw in &built {
            let manifest = raw.parse().unwrap();
            let Some(own) = round.get(raw.digest()) else {
                prop_assert!(present.contains(raw.digest()), "put or there");
                continue;
            };
            prop_assert!(!present.contains(raw.digest()));
            named.extend(manifest.blobs().map(|blob| blob.digest.clone()));
            for child in &manifest.manifests {
                let before = round.get(&child.digest).is_none_or(|child| child < own);
                prop_assert!(before, "children strictly before the index");
            }
            if let Some(subject) = manifest.subject.as_ref().and_then(|subject| round.get(&subject.digest)) {
                prop_assert!(subject <= own, "never before the subject");
                prop_assert!(referrers_api || subject < own, "strictly after it with a fallback tag");
            }
        }
        let sent: Vec<&Digest> = plan.blobs().iter().map(|blob| &blob.descriptor.digest).collect();
        prop_assert_eq!(sent.iter().copied().collect::<HashSet<_>>(), named.iter().collect::<HashSet<_>>());
        prop_assert_eq!(sent.len(), named.len(), "each blob once");
        prop_assert!(plan.blobs().is_sorted_by(|one, next| one.descriptor.size >= next.descriptor.size));
    }
}
