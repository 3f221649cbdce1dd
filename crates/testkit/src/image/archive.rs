//! The forms in which a build leaves an image behind, whole and damaged.
//!
//! Each form is a list of entries first; damage is done to that list, and then it becomes a folder or a tar. So a damaged
//! archive is right in everything but its one defect.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};
use tar::EntryType;

use super::{Content, Image, layer};

/// How an image lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A tar of an OCI layout (`buildah push oci-archive:`, `buildx --output type=oci`).
    OciArchive,
    /// `docker save` since Docker 25: `manifest.json` beside an OCI layout, paths `blobs/sha256/<hex>`.
    DockerArchive,
    /// `docker save` before: `manifest.json`, `<hex>.json`, `<id>/layer.tar`, `repositories`.
    LegacyDockerArchive,
}

/// One defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The file ends in the middle of its largest entry; in a folder that file is cut in half.
    Truncated,
    /// The largest blob holds other bytes of the same length than its digest (legacy: its `diff_id`) says.
    LyingLayer,
    /// The largest blob is not there.
    MissingBlob,
    /// The largest blob is a symbolic link that leads out.
    SymlinkEscape,
    /// Archives: an entry `../escaped` comes first.
    ParentPath,
    /// Archives: an entry `/tmp/granary-escaped` comes first.
    AbsolutePath,
    /// Archives: the largest entry declares 8 EiB.
    HugeSize,
    /// `index.json` and `manifest.json` are not JSON.
    BrokenJson,
}

#[derive(Clone, Debug)]
struct Entry {
    path: String,
    bytes: Bytes,
    link: Option<&'static str>,
    declared: Option<u64>,
}

impl Entry {
    fn new(path: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self { path: path.into(), bytes: bytes.into(), link: None, declared: None }
    }
}

impl Image {
    /// Writes an OCI layout; `index.json` names the top as `tag`.
    ///
    /// # Panics
    /// Where the folder cannot be written.
    pub fn write_layout(&self, folder: &Path, tag: &str) {
        write_folder(folder, self.layout(tag));
    }

    /// Writes an OCI layout with a defect.
    ///
    /// # Panics
    /// Where the folder cannot be written, or the defect is one of archives.
    pub fn write_damaged_layout(&self, folder: &Path, tag: &str, damage: Damage) {
        let mut entries = self.layout(tag);
        harm(&mut entries, damage);
        if damage == Damage::Truncated {
            let largest = largest(&mut entries);
            largest.bytes.truncate(largest.bytes.len() / 2);
        }
        write_folder(folder, entries);
    }

    /// Writes an archive. `name` is the tag (OCI) or the `repository:tag` (Docker).
    ///
    /// # Panics
    /// Where the file cannot be written, or an index is to become a legacy docker-archive.
    pub fn write_archive(&self, file: &Path, form: Form, name: &str) {
        write_file(file, &pack(&self.entries(form, name), None));
    }

    /// Writes an archive with a defect.
    ///
    /// # Panics
    /// As [`Image::write_archive`].
    pub fn write_damaged_archive(&self, file: &Path, form: Form, name: &str, damage: Damage) {
        let mut entries = self.entries(form, name);
        harm(&mut entries, damage);
        let cut = (damage == Damage::Truncated).then(|| largest(&mut entries).path.clone());
        write_file(file, &pack(&entries, cut.as_deref()));
    }

    fn entries(&self, form: Form, name: &str) -> Vec<Entry> {
        match form {
            Form::OciArchive => self.layout(name),
            Form::DockerArchive => self.docker(name),
            Form::LegacyDockerArchive => self.legacy_docker(name),
        }
    }

    fn layout(&self, tag: &str) -> Vec<Entry> {
        let mut top = self.top().descriptor();
        top["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        let index = json!({"schemaVersion": 2, "mediaType": super::INDEX, "manifests": [top]});
        let mut entries = vec![
            Entry::new("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#),
            Entry::new("index.json", index.to_string()),
        ];
        let contents = self.blobs.iter().chain(&self.manifests);
        entries.extend(contents.map(|content| Entry::new(blob_path(&content.digest), content.bytes.clone())));
        entries
    }

    /// The image's config and layer contents, the latter in order and repeated where they repeat.
    fn parts(&self) -> (&Content, Vec<&Content>) {
        assert!(self.platform.is_some(), "a docker-archive holds an image, not an index");
        let manifest: Value = serde_json::from_slice(self.bytes()).expect("invariant: made by us");
        let find = |descriptor: &Value| {
            let found = self.blobs.iter().find(|blob| descriptor["digest"] == blob.digest.as_str());
            found.expect("invariant: an image has its blobs")
        };
        let layers = manifest["layers"].as_array().into_iter().flatten().map(find).collect();
        (find(&manifest["config"]), layers)
    }

    fn docker(&self, name: &str) -> Vec<Entry> {
        let (config, layers) = self.parts();
        let layers: Vec<String> = layers.iter().map(|layer| blob_path(&layer.digest)).collect();
        let config = blob_path(&config.digest);
        let list = json!([{"Config": config, "RepoTags": [name], "Layers": layers}]);
        let mut entries = self.layout(name.rsplit(':').next().unwrap_or(name));
        entries.push(Entry::new("manifest.json", list.to_string()));
        entries
    }

    fn legacy_docker(&self, name: &str) -> Vec<Entry> {
        let (config, _) = self.parts();
        let config_path = format!("{}.json", hex_of(&config.digest));
        let mut entries = vec![Entry::new(config_path.as_str(), config.bytes.clone())];
        let mut layers = Vec::new();
        for (position, plain) in self.plain_layers.iter().enumerate() {
            // Docker's layer ids are chain hashes; readers must take them from the list, so any unique id will do.
            let id = crate::registry::sha256_digest(format!("layer {position}").as_bytes());
            let path = format!("{}/layer.tar", hex_of(&id));
            entries.push(Entry::new(path.as_str(), plain.clone()));
            layers.push(path);
        }
        let list = json!([{"Config": config_path, "RepoTags": [name], "Layers": layers}]);
        entries.push(Entry::new("manifest.json", list.to_string()));
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
        let last = layers.last().and_then(|path| path.split('/').next()).unwrap_or_default();
        let mut tags = serde_json::Map::new();
        tags.insert(tag.to_owned(), json!(last));
        let mut repositories = serde_json::Map::new();
        repositories.insert(repository.to_owned(), Value::Object(tags));
        entries.push(Entry::new("repositories", Value::Object(repositories).to_string()));
        entries
    }
}

fn hex_of(digest: &str) -> &str {
    digest.trim_start_matches("sha256:")
}

fn blob_path(digest: &str) -> String {
    format!("blobs/sha256/{}", hex_of(digest))
}

fn largest(entries: &mut [Entry]) -> &mut Entry {
    let found = entries.iter_mut().max_by_key(|entry| entry.bytes.len());
    found.expect("invariant: every form has entries")
}

fn harm(entries: &mut Vec<Entry>, damage: Damage) {
    match damage {
        // A cut is made where the bytes are written.
        Damage::Truncated => {}
        Damage::LyingLayer => {
            let largest = largest(entries);
            let mut bytes = largest.bytes.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            largest.bytes = Bytes::from(bytes);
        }
        Damage::MissingBlob => {
            let path = largest(entries).path.clone();
            entries.retain(|entry| entry.path != path);
        }
        Damage::SymlinkEscape => largest(entries).link = Some("../../../../../../etc/passwd"),
        Damage::ParentPath => entries.insert(0, Entry::new("../escaped", "escaped")),
        Damage::AbsolutePath => entries.insert(0, Entry::new("/tmp/granary-escaped", "escaped")),
        Damage::HugeSize => largest(entries).declared = Some(1 << 63),
        Damage::BrokenJson => {
            for entry in entries.iter_mut().filter(|e| matches!(&*e.path, "index.json" | "manifest.json")) {
                entry.bytes = Bytes::from_static(b"{\"manifests\": [");
            }
        }
    }
}

/// A tar of the entries; it ends in the middle of the entry at `cut_in`.
fn pack(entries: &[Entry], cut_in: Option<&str>) -> Vec<u8> {
    let mut tar = Vec::new();
    for entry in entries {
        let start = tar.len();
        let declared = entry.declared.unwrap_or(entry.bytes.len() as u64);
        match entry.link {
            Some(target) => layer::append(&mut tar, &entry.path, EntryType::Symlink, target, b"", 0),
            None => layer::append(&mut tar, &entry.path, EntryType::Regular, "", &entry.bytes, declared),
        }
        if cut_in == Some(entry.path.as_str()) {
            tar.truncate(start + 512 + entry.bytes.len() / 2);
            return tar;
        }
    }
    layer::finish(tar).into()
}

fn write_file(file: &Path, bytes: &[u8]) {
    fs::write(file, bytes).unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
}

fn write_folder(folder: &Path, entries: Vec<Entry>) {
    for entry in entries {
        let plain = !entry.path.starts_with(['.', '/']) && entry.declared.is_none();
        assert!(plain, "a folder cannot hold the entry {}: this damage is one of archives", entry.path);
        let file = folder.join(&entry.path);
        let parent = file.parent().expect("invariant: below `folder`");
        fs::create_dir_all(parent)
            .unwrap_or_else(|error| panic!("cannot create {}: {error}", parent.display()));
        match entry.link {
            Some(target) => std::os::unix::fs::symlink(target, &file)
                .unwrap_or_else(|error| panic!("cannot link {}: {error}", file.display())),
            None => write_file(&file, &entry.bytes),
        }
    }
}
