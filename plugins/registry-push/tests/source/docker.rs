//! `docker-archive:`, old and new.

use std::fs;
use std::io::Read;
use std::path::Path;

use granary_oci::{Digest, media_type};
use granary_testkit::image::{Damage, Form, Image, ImageBuilder, tar_of};
use registry_push::source::Problem;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::{assert_is, blobs_of, bytes_of, content, problem, reason};

fn image() -> Image {
    ImageBuilder::new("linux/amd64").file("app/run", b"#!/bin/sh\n").random_layer(5, 90_000).build()
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

#[test]
fn an_archive_with_a_layout_inside_keeps_the_builds_digest() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.tar");
    image().write_archive(&file, Form::DockerArchive, "acme/app:1.0");
    assert_is(&content("docker-archive", &file, ""), &image());
}

#[test]
fn an_old_archive_becomes_a_manifest_over_the_same_config() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.tar");
    image().write_archive(&file, Form::LegacyDockerArchive, "registry.example.test/acme/app:1.0");
    let first = content("docker-archive", &file, ":1.0");
    let image = image();
    let config = &image.blobs()[0];
    let blobs = blobs_of(&first);
    assert_eq!(blobs[&config.digest], config.bytes);

    let manifest = first.manifests[0].parse().unwrap();
    assert_eq!(manifest.config.as_ref().unwrap().media_type, media_type::OCI_CONFIG);
    let diff_ids: Vec<String> = manifest
        .layers
        .iter()
        .map(|layer| {
            assert_eq!(layer.media_type, media_type::OCI_LAYER_GZIP);
            let packed = &blobs[layer.digest.as_str()];
            assert_eq!(packed[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
            Digest::of(&unpacked(packed)).to_string()
        })
        .collect();
    let document: Value = serde_json::from_slice(&config.bytes).unwrap();
    assert_eq!(json!(diff_ids), document["rootfs"]["diff_ids"]);

    // Again, elsewhere, under another name of the file and packed: the same artifact.
    let again = folder.path().join("again.tar.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &fs::read(&file).unwrap()).unwrap();
    fs::write(&again, encoder.finish().unwrap()).unwrap();
    let second = content("docker-archive", &again, ":acme/app:1.0");
    assert_eq!(second.top, first.top);
    assert_eq!(second.manifests, first.manifests);
    assert_eq!(blobs_of(&second), blobs);
}

#[test]
fn damage_has_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.tar");
    let check = |damage, expected: &dyn Fn(&Problem) -> bool| {
        image().write_damaged_archive(&file, Form::LegacyDockerArchive, "acme/app:1.0", damage);
        let error = problem("docker-archive", &file, "");
        assert!(expected(error.problem()), "{damage:?}: {error:?}");
        assert!(!error.is_setting(), "{damage:?}");
    };
    let diff_id = Digest::of(&tar_of(&[("random-5", &granary_testkit::image::random_bytes(5, 90_000))]));
    check(Damage::LyingLayer, &|problem| {
        matches!(problem, Problem::Digest { entry, expected, .. }
            if entry.ends_with("/layer.tar") && *expected == diff_id)
    });
    check(
        Damage::MissingBlob,
        &|problem| matches!(problem, Problem::Missing { entry } if entry.ends_with("/layer.tar")),
    );
    check(Damage::Truncated, &|problem| matches!(problem, Problem::Truncated { .. }));
    check(Damage::HugeSize, &|problem| matches!(problem, Problem::Truncated { .. }));
    check(Damage::SymlinkEscape, &|problem| matches!(problem, Problem::EntryName { .. }));
    check(Damage::ParentPath, &|problem| matches!(problem, Problem::EntryName { .. }));
    check(Damage::AbsolutePath, &|problem| matches!(problem, Problem::EntryName { .. }));
    check(
        Damage::BrokenJson,
        &|problem| matches!(problem, Problem::Json { entry, .. } if entry == "manifest.json"),
    );
    image().write_archive(&file, Form::OciArchive, "1.0");
    assert_is(&content("docker-archive", &file, ""), &image());
    fs::write(&file, tar_of(&[("x", b"x")])).unwrap();
    assert_eq!(reason(&problem("docker-archive", &file, "")), "`manifest.json` is missing");
}

enum Item<'bytes> {
    File(&'bytes str, &'bytes [u8]),
    Link(&'bytes str, &'bytes str),
}

fn write(file: &Path, items: &[Item]) {
    let mut builder = Builder::new(Vec::new());
    for item in items {
        let mut header = Header::new_ustar();
        header.set_mode(0o644);
        match item {
            Item::File(name, bytes) => {
                header.set_size(bytes.len() as u64);
                builder.append_data(&mut header, name, *bytes).unwrap();
            }
            Item::Link(name, target) => {
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                builder.append_link(&mut header, name, target).unwrap();
            }
        }
    }
    fs::write(file, builder.into_inner().unwrap()).unwrap();
}

#[test]
fn linked_repeated_and_compressed_layers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.tar");
    let plain = tar_of(&[("a", b"content")]);
    let other = tar_of(&[("b", b"other")]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, &other).unwrap();
    let packed = encoder.finish().unwrap();
    let ids = [&plain, &other, &plain].map(|layer| Digest::of(layer).to_string());
    let config = json!({"rootfs": {"type": "layers", "diff_ids": ids}}).to_string();
    let list = |layers: Value| json!([{"Config": "c.json", "RepoTags": null, "Layers": layers}]).to_string();
    let three = list(json!(["one/layer.tar", "two.tar", "three/layer.tar"]));
    write(
        &file,
        &[
            Item::Link("one/layer.tar", "../plain.tar"),
            Item::Link("three/layer.tar", "../one/layer.tar"),
            Item::File("plain.tar", &plain),
            Item::File("two.tar", &packed),
            Item::File("c.json", config.as_bytes()),
            Item::File("manifest.json", three.as_bytes()),
        ],
    );
    let content = content("docker-archive", &file, "");
    let manifest = content.manifests[0].parse().unwrap();
    assert_eq!(manifest.layers[0], manifest.layers[2]);
    assert_eq!(manifest.layers[1].digest, Digest::of(&packed), "compressed already: taken as it is");
    assert_eq!(content.blobs.len(), 3, "config and two layers");
    let first = &content.blobs[1];
    assert_eq!(unpacked(&bytes_of(&first.0, &first.1)), plain);
    assert_eq!(blobs_of(&content).len(), 3);

    let two = list(json!(["one/layer.tar", "two.tar"]));
    let table: [(&[Item], &str); 4] = [
        (
            &[Item::File("manifest.json", two.as_bytes()), Item::File("c.json", config.as_bytes())],
            "`c.json` names 3 layers where `manifest.json` lists 2",
        ),
        (
            &[
                Item::File("manifest.json", three.as_bytes()),
                Item::File("c.json", config.as_bytes()),
                Item::Link("one/layer.tar", "../three/layer.tar"),
                Item::Link("three/layer.tar", "../one/layer.tar"),
            ],
            "`one/layer.tar` is a chain of more than 8 links",
        ),
        (
            &[
                Item::File("manifest.json", three.as_bytes()),
                Item::File("c.json", config.as_bytes()),
                Item::Link("one/layer.tar", "../nowhere"),
            ],
            "`nowhere` is missing",
        ),
        (
            &[Item::File("manifest.json", three.as_bytes()), Item::File("c.json", b"{}")],
            "`c.json` is not valid JSON of its kind: missing field `rootfs` at line 1 column 2",
        ),
    ];
    for (items, expected) in table {
        write(&file, items);
        assert_eq!(reason(&problem("docker-archive", &file, "")), expected);
    }

    // A layer that is gzip in name only.
    let broken = [&packed[..packed.len() - 9], &[0; 9]].concat();
    let items = [
        Item::File("manifest.json", three.as_bytes()),
        Item::File("c.json", config.as_bytes()),
        Item::File("one/layer.tar", &plain),
        Item::File("two.tar", &broken),
        Item::File("three/layer.tar", &plain),
    ];
    write(&file, &items);
    assert!(matches!(problem("docker-archive", &file, "").problem(), Problem::Gzip { .. }));
}

#[test]
fn several_images_need_a_choice() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.tar");
    let config = |label: &str| json!({"label": label, "rootfs": {"diff_ids": []}}).to_string();
    let (one, two) = (config("one"), config("two"));
    let list = json!([
        {"Config": "one.json", "RepoTags": ["acme/app:1.0", "acme/app:latest"], "Layers": []},
        {"Config": "two.json", "RepoTags": ["acme/worker:1.0"], "Layers": []},
    ])
    .to_string();
    write(
        &file,
        &[
            Item::File("manifest.json", list.as_bytes()),
            Item::File("one.json", one.as_bytes()),
            Item::File("two.json", two.as_bytes()),
        ],
    );
    for (selector, config) in [(":latest", &one), (":app:1.0", &one), (":worker:1.0", &two)] {
        assert!(
            blobs_of(&content("docker-archive", &file, selector))
                .values()
                .any(|blob| blob == config.as_bytes())
        );
    }
    for selector in ["", ":1.0"] {
        let error = problem("docker-archive", &file, selector);
        assert_eq!(
            reason(&error),
            "it holds several images; add `:TAG` or `@DIGEST` to the source to choose one of `acme/app:1.0`, `acme/worker:1.0`"
        );
        assert!(error.is_setting());
    }
}
