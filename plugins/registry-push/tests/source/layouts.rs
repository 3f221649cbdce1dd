//! `oci:` and `oci-archive:`.

use std::fs;
use std::io::Write;
use std::path::Path;

use granary_oci::{Digest, RawManifest, media_type};
use granary_testkit::image::{Damage, Form, Image, ImageBuilder};
use registry_push::source::Problem;
use serde_json::{Value, json};

use crate::{assert_is, content, problem, reason};

fn image(seed: u64) -> Image {
    ImageBuilder::new("linux/amd64").file("app/run", b"#!/bin/sh\n").random_layer(seed, 5000).build()
}

fn both() -> Image {
    let arm = ImageBuilder::new("linux/arm64").file("app/run", b"#!/bin/sh\n").random_layer(9, 700).build();
    Image::index(&[image(1), arm])
}

#[test]
fn every_shape_is_read_from_both_forms() {
    let nested = Image::index(&[both(), image(2)]);
    let repeated = Image::index(&[image(1), image(1)]);
    let empty = ImageBuilder::new("linux/amd64").build();
    for image in [image(1), both(), nested, repeated, empty] {
        let folder = tempfile::tempdir().unwrap();
        image.write_layout(folder.path(), "1.0");
        assert_is(&content("oci", folder.path(), ""), &image);
        assert_is(&content("oci", folder.path(), ":1.0"), &image);
        assert_is(&content("oci", folder.path(), &format!("@{}", image.digest())), &image);

        let file = folder.path().join("image.tar");
        image.write_archive(&file, Form::OciArchive, "1.0");
        assert_is(&content("oci-archive", &file, ""), &image);
    }
}

#[test]
fn a_compressed_archive_is_the_same_image() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.tar");
    both().write_archive(&file, Form::OciArchive, "1.0");
    let packed = folder.path().join("image.tar.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&fs::read(&file).unwrap()).unwrap();
    let packed_bytes = encoder.finish().unwrap();
    fs::write(&packed, &packed_bytes).unwrap();
    assert_is(&content("oci-archive", &packed, ":1.0"), &both());

    fs::write(&packed, &packed_bytes[..packed_bytes.len() - 5]).unwrap();
    let error = problem("oci-archive", &packed, "");
    assert!(matches!(error.problem(), Problem::Gzip { .. }), "{error:?}");
    assert!(!error.is_setting());
}

#[test]
fn damage_has_a_name() {
    let image = image(3);
    let layer = image.blobs().iter().max_by_key(|blob| blob.bytes.len()).unwrap();
    let entry = format!("blobs/sha256/{}", layer.digest.trim_start_matches("sha256:"));
    let size = layer.bytes.len();
    let folder_table = [
        (Damage::Truncated, format!("`{entry}` has {} bytes where its descriptor says {size}", size / 2)),
        (Damage::MissingBlob, format!("`{entry}` is missing")),
        (Damage::SymlinkEscape, format!("`{entry}` leads out of the layout, to `/etc/passwd`")),
        (
            Damage::BrokenJson,
            "`index.json` is not valid JSON of its kind: EOF while parsing a list at line 1 column 15"
                .to_owned(),
        ),
    ];
    for (damage, expected) in folder_table {
        // Three levels down `../../../../../../etc/passwd` reaches the root from any temp folder.
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        image.write_damaged_layout(folder.path(), "1.0", damage);
        let error = problem("oci", folder.path(), "");
        assert_eq!(reason(&error), expected, "{damage:?}");
        assert!(!error.is_setting(), "{damage:?}");
    }
    let archive_table = [
        (Damage::MissingBlob, format!("`{entry}` is missing")),
        (
            Damage::SymlinkEscape,
            "refusing the entry name `../../../../../../etc/passwd`: it leaves the archive".to_owned(),
        ),
        (Damage::ParentPath, "refusing the entry name `../escaped`: it leaves the archive".to_owned()),
        (Damage::AbsolutePath, "refusing the entry name `/tmp/granary-escaped`: it is absolute".to_owned()),
        (
            Damage::BrokenJson,
            "`index.json` is not valid JSON of its kind: EOF while parsing a list at line 1 column 15"
                .to_owned(),
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.tar");
    for (damage, expected) in archive_table {
        image.write_damaged_archive(&file, Form::OciArchive, "1.0", damage);
        let error = problem("oci-archive", &file, "");
        assert_eq!(reason(&error), expected, "{damage:?}");
        assert!(!error.is_setting(), "{damage:?}");
    }
    for damage in [Damage::Truncated, Damage::HugeSize] {
        image.write_damaged_archive(&file, Form::OciArchive, "1.0", damage);
        let error = problem("oci-archive", &file, "");
        let Problem::Truncated { part, found, .. } = error.problem() else { panic!("{error:?}") };
        assert_eq!((part, *found), (&format!("`{entry}`"), fs::metadata(&file).unwrap().len()), "{damage:?}");
    }
}

#[test]
fn several_images_need_a_choice() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (image(1), image(2));
    one.write_layout(folder.path(), "1.0");
    two.write_layout(folder.path(), "acme/app:2.0");
    // The second call has replaced the list; one that names both, the second twice.
    let list = |names: &[(&Image, &str)]| {
        let entries: Vec<Value> = names
            .iter()
            .map(|(image, name)| {
                json!({"mediaType": image.media_type(), "digest": image.digest(), "size": image.bytes().len(),
                       "annotations": {"org.opencontainers.image.ref.name": name}})
            })
            .collect();
        let index = json!({"schemaVersion": 2, "manifests": entries}).to_string();
        fs::write(folder.path().join("index.json"), index).unwrap();
    };
    list(&[(&one, "1.0"), (&two, "acme/app:2.0"), (&two, "latest")]);
    let error = problem("oci", folder.path(), "");
    assert_eq!(
        reason(&error),
        "it holds several images; add `:TAG` or `@DIGEST` to the source to choose one of `1.0`, `acme/app:2.0`, `latest`"
    );
    assert!(error.is_setting());
    let error = problem("oci", folder.path(), ":3.0");
    assert_eq!(reason(&error), "it holds no image `3.0`; there is `1.0`, `acme/app:2.0`, `latest`");
    assert!(error.is_setting());
    for (selector, expected) in [
        (":1.0".to_owned(), &one),
        (":2.0".to_owned(), &two),
        (":app:2.0".to_owned(), &two),
        (":acme/app:2.0".to_owned(), &two),
        (":latest".to_owned(), &two),
        (format!("@{}", one.digest()), &one),
    ] {
        assert_is(&content("oci", folder.path(), &selector), expected);
    }
    // The end of a name counts only from a `:` or `/` on.
    assert!(matches!(problem("oci", folder.path(), ":.0").problem(), Problem::NoSuchImage { .. }));
    // One image under two names is no choice to make; two under one name are.
    list(&[(&two, "a"), (&two, "b")]);
    assert_is(&content("oci", folder.path(), ""), &two);
    list(&[(&one, "a"), (&two, "a")]);
    assert!(matches!(problem("oci", folder.path(), ":a").problem(), Problem::Ambiguous { .. }));
    list(&[]);
    assert_eq!(reason(&problem("oci", folder.path(), "")), "it holds no image");
}

/// Writes a layout by hand: `blobs`, and an index that names the last one as `media_type`.
fn write(folder: &Path, blobs: &[&[u8]], media_type: &str, digest: Option<&str>) {
    fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    for blob in blobs {
        fs::write(folder.join("blobs/sha256").join(Digest::of(blob).hex()), blob).unwrap();
    }
    let last = blobs.last().unwrap();
    let own = Digest::of(last).to_string();
    let top = json!({"mediaType": media_type, "digest": digest.unwrap_or(&own), "size": last.len()});
    fs::write(folder.join("index.json"), json!({"manifests": [top]}).to_string()).unwrap();
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes).as_str(), "size": bytes.len()})
}

fn index_of(children: &[Value]) -> Vec<u8> {
    json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children})
        .to_string()
        .into_bytes()
}

#[test]
fn depth_and_number_of_manifests_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut blobs = vec![index_of(&[])];
    for level in 2..=5 {
        let top = index_of(&[descriptor(media_type::OCI_INDEX, blobs.last().unwrap())]);
        blobs.push(top);
        let borrowed: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
        write(folder.path(), &borrowed, media_type::OCI_INDEX, None);
        match level {
            5 => {
                let error = problem("oci", folder.path(), "");
                assert_eq!(reason(&error), "it holds more than 4 levels of indexes");
            }
            _ => assert_eq!(content("oci", folder.path(), "").manifests.len(), level),
        }
    }

    for (children, fits) in [(999, true), (1000, false)] {
        let mut blobs: Vec<Vec<u8>> =
            (0..children).map(|n| format!(r#"{{"manifests":[],"n":{n}}}"#).into_bytes()).collect();
        let listed: Vec<Value> = blobs.iter().map(|blob| descriptor(media_type::OCI_INDEX, blob)).collect();
        blobs.push(index_of(&listed));
        let borrowed: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
        write(folder.path(), &borrowed, media_type::OCI_INDEX, None);
        match fits {
            true => assert_eq!(content("oci", folder.path(), "").manifests.len(), children + 1),
            false => {
                assert_eq!(reason(&problem("oci", folder.path(), "")), "it holds more than 1000 manifests");
            }
        }
    }
}

#[test]
fn manifests_that_lie_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = b"{}";
    let manifest = |size: usize| {
        let mut config = descriptor(media_type::OCI_CONFIG, config);
        config["size"] = json!(size);
        json!({"schemaVersion": 2, "config": config, "layers": []}).to_string().into_bytes()
    };
    write(folder.path(), &[config, &manifest(3)], media_type::OCI_MANIFEST, None);
    let entry = format!("blobs/sha256/{}", Digest::of(config).hex());
    assert_eq!(
        reason(&problem("oci", folder.path(), "")),
        format!("`{entry}` has 2 bytes where its descriptor says 3")
    );

    // Other bytes of the same length under the same name.
    let good = manifest(2);
    write(folder.path(), &[config, &good], media_type::OCI_MANIFEST, None);
    assert_eq!(content("oci", folder.path(), "").manifests[0].bytes(), good);
    let path = folder.path().join("blobs/sha256").join(Digest::of(&good).hex());
    let bad = good.iter().map(|&byte| if byte == b':' { b' ' } else { byte }).collect::<Vec<_>>();
    fs::write(&path, &bad).unwrap();
    let error = problem("oci", folder.path(), "");
    let Problem::Digest { found, expected, .. } = error.problem() else { panic!("{error:?}") };
    assert_eq!((found, expected), (&Digest::of(&bad), &Digest::of(&good)));

    // A manifest delivered as an index (CVE-2021-41190), and one that no registry would name so.
    let typed =
        json!({"mediaType": media_type::OCI_MANIFEST, "config": descriptor("c", config), "layers": []})
            .to_string()
            .into_bytes();
    write(folder.path(), &[config, &typed], media_type::OCI_INDEX, None);
    assert!(matches!(problem("oci", folder.path(), "").problem(), Problem::Manifest { .. }));
    let long = format!("sha512:{}", "0".repeat(128));
    write(folder.path(), &[config, &typed], media_type::OCI_MANIFEST, Some(&long));
    assert!(matches!(problem("oci", folder.path(), "").problem(), Problem::Algorithm { .. }));
    // A digest that is a path cannot even be read.
    write(folder.path(), &[config, &typed], media_type::OCI_MANIFEST, Some("sha256:../../../etc/passwd"));
    assert!(matches!(problem("oci", folder.path(), "").problem(), Problem::Json { .. }));
}

#[test]
fn a_digest_that_is_both_layer_and_manifest_is_both() {
    let folder = tempfile::tempdir().unwrap();
    let inner = br#"{"manifests":[]}"#;
    let artifact = json!({"config": descriptor("c", b"{}"), "layers": [descriptor("l", inner)]})
        .to_string()
        .into_bytes();
    let top = index_of(&[
        descriptor(media_type::OCI_MANIFEST, &artifact),
        descriptor(media_type::OCI_INDEX, inner),
    ]);
    write(folder.path(), &[b"{}", inner, &artifact, &top], media_type::OCI_INDEX, None);
    let content = content("oci", folder.path(), "");
    let manifests: Vec<&[u8]> = content.manifests.iter().map(RawManifest::bytes).collect();
    assert_eq!(manifests, [&artifact[..], inner, &top]);
    let blobs: Vec<_> = content.blobs.iter().map(|(blob, _)| blob.digest.clone()).collect();
    assert_eq!(blobs, [Digest::of(b"{}"), Digest::of(inner)]);
}

#[test]
fn layouts_of_other_versions_and_odd_blobs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(1);
    image.write_layout(folder.path(), "1.0");
    fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert_eq!(
        reason(&problem("oci", folder.path(), "")),
        "`oci-layout` has version `2.0.0`, expected `1.0.0`"
    );
    fs::remove_file(folder.path().join("oci-layout")).unwrap();
    assert_eq!(reason(&problem("oci", folder.path(), "")), "`oci-layout` is missing");

    image.write_layout(folder.path(), "1.0");
    let layer = folder.path().join("blobs/sha256").join(&image.blobs()[1].digest[7..]);
    // A link inside is what some deduplicating tools leave; one to a folder is nothing to read.
    fs::rename(&layer, folder.path().join("kept")).unwrap();
    std::os::unix::fs::symlink("../../kept", &layer).unwrap();
    assert_is(&content("oci", folder.path(), ""), &image);
    fs::remove_file(&layer).unwrap();
    fs::create_dir(&layer).unwrap();
    assert!(matches!(problem("oci", folder.path(), "").problem(), Problem::NotAFile { .. }));
}
