//! OCI image layouts (image-spec `image-layout.md`), in a folder or in a tar file.

use std::path::Path;

use granary_oci::{Descriptor, MAX_MANIFEST_BYTES};
use serde::Deserialize;

use super::archive::Archive;
use super::store::{Folder, Store};
use super::{Content, Problem, Selector, graph};

/// Name of the file that says that this is a layout.
pub(super) const MARKER: &str = "oci-layout";

/// Name of the file that lists what is in it.
pub(super) const INDEX: &str = "index.json";

/// The tag; by some tools the whole name.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The whole name, beside the tag, where containerd's code wrote the layout (buildx, `docker save`).
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Images that a message lists.
const MAX_LISTED: usize = 20;

/// Reads `oci:DIR`.
pub(super) fn load_directory(path: &Path, select: &Selector) -> Result<Content, Problem> {
    load(&Folder::open(path)?, select)
}

/// Reads `oci-archive:FILE`.
pub(super) fn load_archive(path: &Path, select: &Selector, scratch: &Path) -> Result<Content, Problem> {
    load(&Archive::open(path, scratch)?, select)
}

/// Reads the selected image of a layout, wherever it is kept.
pub(super) fn load(store: &dyn Store, select: &Selector) -> Result<Content, Problem> {
    let marker: Marker = read_json(store, MARKER)?;
    if marker.image_layout_version != "1.0.0" {
        return Err(Problem::LayoutVersion { version: marker.image_layout_version });
    }
    let index: Index = read_json(store, INDEX)?;
    let images = index.manifests.iter().map(|image| Named { names: names_of(image), image });
    let top = choose(&images.collect::<Vec<_>>(), select, |image| &image.digest)?;
    graph::collect(store, top)
}

/// Reads one of the format's own small files.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(
    store: &dyn Store,
    entry: &'static str,
) -> Result<T, Problem> {
    let bytes = store.find(entry)?.read(entry, MAX_MANIFEST_BYTES as u64)?;
    serde_json::from_slice(&bytes).map_err(|source| Problem::Json { entry: entry.to_owned(), source })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

fn names_of(image: &Descriptor) -> Vec<&str> {
    let annotations = image.annotations.iter();
    annotations
        .flat_map(|map| [map.get(CONTAINERD_NAME), map.get(REF_NAME)])
        .flatten()
        .map(String::as_str)
        .collect()
}

/// An image and what it may be called in the setting.
pub(super) struct Named<'store, Image> {
    pub(super) names: Vec<&'store str>,
    pub(super) image: &'store Image,
}

/// Finds the image that the setting means. One image under several names is one image: `identity` says
/// what makes it so.
pub(super) fn choose<'store, Image, Identity: PartialEq + std::fmt::Display>(
    images: &[Named<'store, Image>],
    select: &Selector,
    identity: impl Fn(&Image) -> &Identity,
) -> Result<&'store Image, Problem> {
    if images.is_empty() {
        return Err(Problem::Empty { what: "image" });
    }
    let exact = |named: &&Named<Image>| match select {
        Selector::Only => true,
        Selector::Name(name) => named.names.contains(&name.as_str()),
        Selector::Digest(digest) => identity(named.image).to_string() == digest.as_str(),
    };
    let mut matching: Vec<_> = images.iter().filter(exact).collect();
    // `1.0` for `registry/app:1.0`, `app:1.0` for the same.
    if let Selector::Name(name) = select
        && matching.is_empty()
    {
        let ends =
            |full: &&str| full.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with([':', '/']));
        matching = images.iter().filter(|named| named.names.iter().any(ends)).collect();
    }
    let available = || {
        let listed = images.iter().take(MAX_LISTED).map(|named| match named.names.first() {
            Some(name) => format!("`{name}`"),
            None => format!("`{}`", identity(named.image)),
        });
        let more = if images.len() > MAX_LISTED { ", …" } else { "" };
        listed.collect::<Vec<_>>().join(", ") + more
    };
    match matching.split_first() {
        None => {
            let wanted = select.to_string().trim_start_matches([':', '@']).to_owned();
            Err(Problem::NoSuchImage { wanted, available: available() })
        }
        Some((first, rest)) => {
            match rest.iter().all(|other| identity(other.image) == identity(first.image)) {
                true => Ok(first.image),
                false => Err(Problem::Ambiguous { available: available() }),
            }
        }
    }
}
