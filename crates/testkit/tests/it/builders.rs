//! Images, archives and Git repositories, read back by programs that nobody here wrote.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use granary_testkit::git::Repository;
use granary_testkit::image::{Damage, Form, Image, ImageBuilder, random_bytes};
use granary_testkit::registry::sha256_digest;

fn image() -> Image {
    ImageBuilder::new("linux/amd64")
        .file("app/run", b"#!/bin/sh\n")
        .random_layer(3, 20_000)
        .annotation("org.example.key", "value")
        .label("version", "1")
        .build()
}

/// Path → bytes of a tar that can be read to its end.
fn read_tar(bytes: &[u8]) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(bytes).entries()? {
        let mut entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.insert(path, content);
    }
    Ok(files)
}

fn archive(form: Form, damage: Option<Damage>) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("image.tar");
    match damage {
        None => image().write_archive(&file, form, "app:1"),
        Some(damage) => image().write_damaged_archive(&file, form, "app:1", damage),
    }
    fs::read(file).expect("the archive")
}

#[test]
fn the_same_arguments_give_the_same_bytes() {
    assert_eq!(image(), image());
    assert_eq!(
        sha256_digest(&random_bytes(1, 100)),
        "sha256:50e8b229fbcafeeedf47dbd1c6a3d132e0028580f7762da02045761431841cc2",
        "whoever changes this changes every recorded digest"
    );
    assert_ne!(random_bytes(1, 100), random_bytes(2, 100));
    for form in [Form::OciArchive, Form::DockerArchive, Form::LegacyDockerArchive] {
        assert_eq!(archive(form, None), archive(form, None));
    }
}

#[test]
fn a_layout_names_its_top_and_holds_all_of_it() {
    let arm = ImageBuilder::new("linux/arm64").file("app/run", b"#!/bin/sh\n").uncompressed().build();
    let index = Image::index(&[image(), arm]);
    let folder = tempfile::tempdir().expect("a folder");
    index.write_layout(folder.path(), "1.2.3");
    let listed: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("index.json")).expect("index.json"))
            .expect("JSON");
    assert_eq!(listed["manifests"][0]["digest"], index.digest());
    assert_eq!(listed["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "1.2.3");
    let blobs = fs::read_dir(folder.path().join("blobs/sha256")).expect("blobs");
    let mut count = 0;
    for blob in blobs {
        let blob = blob.expect("a blob").path();
        let name = blob.file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(sha256_digest(&fs::read(&blob).expect("bytes")), format!("sha256:{name}"));
        count += 1;
    }
    assert_eq!(count, 3 + 5, "3 manifests, 2 configs, 3 layers");
}

#[test]
fn skopeo_reads_every_form() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    image().write_layout(&file("layout"), "1");
    image().write_archive(&file("oci.tar"), Form::OciArchive, "1");
    image().write_archive(&file("docker.tar"), Form::DockerArchive, "app:1");
    image().write_archive(&file("legacy.tar"), Form::LegacyDockerArchive, "app:1");
    let inspect = |source: String| {
        let output = Command::new("skopeo").args(["inspect", "--config", &source]).output();
        let output = output.expect("skopeo is missing: apt-get install skopeo");
        assert!(output.status.success(), "{source}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    };
    for (transport, name) in [
        ("oci", "layout:1"),
        ("oci-archive", "oci.tar:1"),
        ("docker-archive", "docker.tar"),
        ("docker-archive", "legacy.tar"),
    ] {
        let config = inspect(format!("{transport}:{}", file(name).display()));
        assert_eq!(config["architecture"], "amd64", "{name}");
        assert_eq!(config["config"]["Labels"]["version"], "1", "{name}");
        assert_eq!(config["rootfs"]["diff_ids"].as_array().map(Vec::len), Some(2), "{name}");
    }
}

#[test]
fn each_archive_has_its_one_defect() {
    for form in [Form::OciArchive, Form::DockerArchive, Form::LegacyDockerArchive] {
        let whole = read_tar(&archive(form, None)).expect("a whole archive");
        let harmed = |damage| read_tar(&archive(form, Some(damage)));
        harmed(Damage::Truncated).expect_err("it ends too early");
        harmed(Damage::HugeSize).expect_err("8 EiB are not there");
        let extra = |damage| {
            let files = harmed(damage).expect("readable");
            let new: Vec<String> = files.keys().filter(|path| !whole.contains_key(*path)).cloned().collect();
            assert_eq!(files.len(), whole.len() + 1);
            new
        };
        assert_eq!(extra(Damage::ParentPath), ["../escaped"]);
        assert_eq!(extra(Damage::AbsolutePath), ["/tmp/granary-escaped"]);
        assert_eq!(harmed(Damage::MissingBlob).expect("readable").len(), whole.len() - 1);
        for damage in [Damage::LyingLayer, Damage::SymlinkEscape] {
            let files = harmed(damage).expect("readable");
            let changed: Vec<&String> = whole.keys().filter(|path| whole[*path] != files[*path]).collect();
            assert_eq!(changed.len(), 1, "{form:?} {damage:?}");
            assert!(whole[changed[0]].len() > 20_000, "{form:?} {damage:?}: the largest");
        }
        let broken = harmed(Damage::BrokenJson).expect("readable");
        let json = if form == Form::OciArchive { "index.json" } else { "manifest.json" };
        serde_json::from_slice::<serde_json::Value>(&broken[json]).expect_err("not JSON");
    }
}

#[test]
fn damaged_layouts_have_theirs() {
    let largest = |folder: &Path| {
        let blobs = fs::read_dir(folder.join("blobs/sha256")).expect("blobs");
        blobs
            .map(|blob| blob.expect("a blob").path())
            .max_by_key(|path| fs::metadata(path).map_or(0, |m| m.len()))
    };
    let written = |damage: Damage| {
        let folder = tempfile::tempdir().expect("a folder");
        image().write_damaged_layout(folder.path(), "1", damage);
        folder
    };
    let folder = written(Damage::LyingLayer);
    let path = largest(folder.path()).expect("a blob");
    let digest = sha256_digest(&fs::read(&path).expect("bytes"));
    assert!(!digest.ends_with(&*path.file_name().expect("a name").to_string_lossy()));
    let folder = written(Damage::SymlinkEscape);
    let blobs = fs::read_dir(folder.path().join("blobs/sha256")).expect("blobs");
    assert_eq!(blobs.filter(|blob| blob.as_ref().is_ok_and(|b| b.path().is_symlink())).count(), 1);
    let folder = written(Damage::Truncated);
    let size = fs::metadata(largest(folder.path()).expect("a blob")).expect("metadata").len();
    assert!((10_000..11_000).contains(&size), "half of it: {size}");
    let folder = written(Damage::MissingBlob);
    let size = fs::metadata(largest(folder.path()).expect("a blob")).expect("metadata").len();
    assert!(size < 2_000, "the large one is gone: {size}");
}

#[test]
fn git_ids_are_the_same_on_every_run() {
    let build = || {
        let mut repository = Repository::new();
        let first = repository.commit("a.txt", "one\n", "first");
        let tag_object = repository.annotated_tag("v1.0.0", "release");
        repository.switch("side");
        let second = repository.commit("dir/b.txt", "two\n", "second");
        repository.tag("v1.0.1");
        repository.switch("main");
        (repository, first, tag_object, second)
    };
    let (repository, first, tag_object, second) = build();
    let again = build();
    assert_eq!((&first, &tag_object, &second), (&again.1, &again.2, &again.3));
    assert_eq!(repository.git(&["cat-file", "-t", &tag_object]), "tag");
    assert_eq!(repository.rev_parse("v1.0.0^{commit}"), first);
    assert_eq!(repository.rev_parse("v1.0.1"), second, "a lightweight tag is the commit");
    assert_eq!(repository.git(&["rev-parse", "HEAD"]), first);

    let loose = repository.path().join(".git/objects").join(&first[..2]).join(&first[2..]);
    assert!(loose.exists());
    repository.pack();
    assert!(!loose.exists());
    assert_eq!(repository.rev_parse("v1.0.0^{commit}"), first);
}
