//! `dir:`: the bytes of the artifact, and what does not change them.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use granary_oci::Digest;
use registry_push::source::{Content, LocalSource, Problem, Skipped, load};

use crate::{bytes_of, content, problem, provenance, read, reason};

fn put(root: &Path, name: &str, bytes: &[u8], mode: u32) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn tar_of(content: &Content) -> Vec<u8> {
    let (layer, source) = content.blobs.last().unwrap();
    let packed = bytes_of(layer, source);
    assert!(layer.digest.matches(&packed));
    assert_eq!(packed[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], "as Go writes the gzip header");
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(&*packed).read_to_end(&mut tar).unwrap();
    tar
}

/// Name, type, mode and content of every entry, as the `tar` crate reads them.
fn entries(tar: &[u8]) -> Vec<(String, u8, u32, String)> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
        (name, header.entry_type().as_byte(), header.mode().unwrap(), text)
    });
    entries.collect()
}

#[test]
fn the_tar_is_flux_own_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.yaml", b"kind: A\n", 0o664);
    let tar = tar_of(&content("dir", folder.path(), ""));
    let block = |name: &str, mode: &str, size: &str, sum: &str, kind: u8| {
        let mut block = vec![0; 512];
        let mut set = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
        set(0, name);
        set(100, mode);
        set(108, "0000000");
        set(116, "0000000");
        set(124, size);
        set(136, "00000000000");
        set(148, sum);
        set(257, "ustar\x0000");
        set(329, "0000000");
        set(337, "0000000");
        block[156] = kind;
        block
    };
    let expected = [
        block(".", "0000755", "00000000000", "0007414", b'5'),
        block("a.yaml", "0000644", "00000000010", "0010440", b'0'),
        [b"kind: A\n".to_vec(), vec![0; 504]].concat(),
        vec![0; 1024],
    ]
    .concat();
    // The checksums are the reader's business; everything else is compared byte for byte.
    let without_sums = |mut tar: Vec<u8>| {
        for start in [0, 512] {
            tar[start + 148..start + 156].fill(0);
        }
        tar
    };
    assert_eq!(without_sums(tar.clone()), without_sums(expected));
    assert_eq!(entries(&tar).len(), 2, "and the checksums are right, or the reader would stop");
}

#[test]
fn order_modes_and_what_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (name, mode) in [
        ("b.yaml", 0o600),
        ("a/z.yaml", 0o655),
        ("a/run.sh", 0o711),
        ("a.yaml", 0o444),
        ("a-b/x.yaml", 0o644),
        ("B.yaml", 0o644),
        (".sourceignore", 0o644),
        (".github/x.yaml", 0o644),
        // None of these:
        (".git/config", 0o644),
        ("a/.git", 0o644),
        (".granary/registry-push.json", 0o644),
        ("a/.granary/x", 0o644),
        (".gitignore", 0o644),
        ("a/.gitattributes", 0o644),
        (".gitmodules", 0o644),
        ("logo.png", 0o644),
        ("a/b.tar.gz", 0o644),
        ("c.zip/inner.yaml", 0o644),
    ] {
        put(root, name, name.as_bytes(), mode);
    }
    symlink("a.yaml", root.join("link.yaml")).unwrap();
    symlink("/etc", root.join("a/etc")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();

    let loaded = read("dir", root, "").unwrap();
    let entry = |name: &str, kind, mode| {
        let text = if kind == b'0' { name } else { "" };
        (name.to_owned(), kind, mode, text.to_owned())
    };
    assert_eq!(
        entries(&tar_of(&loaded.content)),
        [
            entry(".", b'5', 0o755),
            entry(".github", b'5', 0o755),
            entry(".github/x.yaml", b'0', 0o644),
            entry(".sourceignore", b'0', 0o644),
            entry("B.yaml", b'0', 0o644),
            entry("a", b'5', 0o755),
            entry("a/run.sh", b'0', 0o755),
            entry("a/z.yaml", b'0', 0o644),
            entry("a-b", b'5', 0o755),
            entry("a-b/x.yaml", b'0', 0o644),
            entry("a.yaml", b'0', 0o644),
            entry("b.yaml", b'0', 0o644),
        ]
    );
    let skipped = |path: &str, kind| Skipped { path: PathBuf::from(path), kind };
    assert_eq!(
        loaded.skipped,
        [
            skipped("a/etc", "symbolic link"),
            skipped("link.yaml", "symbolic link"),
            skipped("socket", "special file"),
        ]
    );
}

#[test]
fn the_manifest_is_flux_own_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.yaml", b"kind: A\n", 0o644);
    let content = content("dir", folder.path(), "");
    let (layer, _) = &content.blobs[1];
    let expected = format!(
        concat!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
            r#""config":{{"mediaType":"application/vnd.cncf.flux.config.v1+json","size":115,"#,
            r#""digest":"sha256:5b943e2b943f6c81dbbd4e2eca5121f4fcc39139e3d1219d6d89bd925b77d9fe"}},"#,
            r#""layers":[{{"mediaType":"application/vnd.cncf.flux.content.v1.tar+gzip","size":{},"digest":"{}"}}],"#,
            r#""annotations":{{"org.opencontainers.image.created":"2026-03-04T05:06:07Z","#,
            r#""org.opencontainers.image.revision":"main@sha1:3f2a91c0000000000000000000000000000000aa","#,
            r#""org.opencontainers.image.source":"https://forge.example.test/acme/app"}}}}"#
        ),
        layer.size, layer.digest
    );
    assert_eq!(String::from_utf8_lossy(content.manifests[0].bytes()), expected);
    assert_eq!(content.top, Digest::of(expected.as_bytes()));
}

#[test]
fn equal_trees_are_equal_artifacts() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..40).map(|n| format!("dir-{}/{n}.yaml", n % 7)).collect();
    let build = |root: &Path, names: &mut dyn Iterator<Item = &String>, mode| {
        for name in names {
            put(root, name, name.as_bytes(), mode);
        }
        content("dir", root, "").top
    };
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let first = build(&one, &mut names.iter(), 0o644);
    let second = build(&two, &mut names.iter().rev(), 0o660);
    assert_eq!(first, second, "the order of creation, the umask and the time are not in it");
    put(&two, "dir-0/0.yaml", b"other", 0o644);
    assert_ne!(content("dir", &two, "").top, first);
    fs::write(two.join("dir-0/0.yaml"), "dir-0/0.yaml").unwrap();
    assert_eq!(content("dir", &two, "").top, first);
    fs::create_dir(two.join("empty")).unwrap();
    assert_ne!(content("dir", &two, "").top, first, "folders are entries of their own");
}

#[test]
fn long_and_foreign_names_survive() {
    let folder = tempfile::tempdir().unwrap();
    let deep = vec!["d".repeat(60); 4].join("/");
    let names =
        [format!("{}.yaml", "n".repeat(180)), format!("{deep}/x.yaml"), "grün/straße.yaml".to_owned()];
    for name in &names {
        put(folder.path(), name, b"x", 0o644);
    }
    let tar = tar_of(&content("dir", folder.path(), ""));
    let mut found: Vec<String> =
        entries(&tar).into_iter().filter(|entry| entry.1 == b'0').map(|entry| entry.0).collect();
    found.sort();
    let mut expected = names.to_vec();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn nothing_to_publish_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(reason(&problem("dir", folder.path(), "")), "it holds no file");
    put(folder.path(), "sub/.git/config", b"x", 0o644);
    symlink("x", folder.path().join("link")).unwrap();
    let error = problem("dir", folder.path(), "");
    assert_eq!(reason(&error), "it holds no file");
    assert!(!error.is_setting());
}

#[test]
fn the_runs_own_scratch_folder_is_not_packed() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.yaml", b"x", 0o644);
    let without = content("dir", folder.path(), "").top;
    let scratch = folder.path().join("tmp");
    fs::create_dir(&scratch).unwrap();
    let source = LocalSource::Directory { path: folder.path().to_owned() };
    assert_eq!(load(&source, &scratch, &provenance()).unwrap().content.top, without);
}

#[test]
fn a_scratch_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.yaml", b"x", 0o644);
    let source = LocalSource::Directory { path: folder.path().to_owned() };
    let error = load(&source, &folder.path().join("none"), &provenance()).unwrap_err();
    assert!(matches!(error.problem(), Problem::Scratch { .. }), "{error:?}");
}
