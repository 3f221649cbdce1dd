//! The tar reader: every way in which an archive can be broken or hostile.

use std::fs;
use std::path::Path;

use granary_testkit::image::{Form, Image, ImageBuilder};
use registry_push::source::Problem;
use tar::{EntryType, Header};

use crate::{assert_is, bytes_of, content, problem, read};

fn image() -> Image {
    ImageBuilder::new("linux/amd64").file("app/run", b"#!/bin/sh\n").random_layer(4, 1500).build()
}

/// A header block as given, without the checks of the crate's own writer.
fn header(kind: EntryType, name: &str, link: &str, size: u64) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn entry(kind: EntryType, name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut block = header(kind, name, "", bytes.len() as u64);
    block.extend(bytes);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

/// The whole archive with `blocks` in front of everything else.
fn with_front(file: &Path, blocks: &[u8]) {
    image().write_archive(file, Form::OciArchive, "1.0");
    let rest = fs::read(file).unwrap();
    fs::write(file, [blocks, &rest].concat()).unwrap();
}

#[test]
fn cut_anywhere_it_is_an_error_or_the_same_image() {
    let folder = tempfile::tempdir().unwrap();
    let (file, cut) = (folder.path().join("whole.tar"), folder.path().join("cut.tar"));
    for (form, scheme) in [
        (Form::OciArchive, "oci-archive"),
        (Form::DockerArchive, "docker-archive"),
        (Form::LegacyDockerArchive, "docker-archive"),
    ] {
        image().write_archive(&file, form, "acme/app:1.0");
        let bytes = fs::read(&file).unwrap();
        let whole = content(scheme, &file, "");
        let lengths = (0..bytes.len()).step_by(97).chain((0..bytes.len()).step_by(512));
        for length in lengths.chain([bytes.len() - 1, bytes.len() - 511]) {
            fs::write(&cut, &bytes[..length]).unwrap();
            match read(scheme, &cut, "") {
                Ok(loaded) => {
                    // Only the second of the two end blocks can go without harm.
                    assert!(length >= bytes.len() - 512, "{form:?} at {length}");
                    assert_eq!(loaded.content.top, whole.top, "{form:?} at {length}");
                    let bytes = |content: &registry_push::source::Content| {
                        content.blobs.iter().map(|(blob, from)| bytes_of(blob, from)).collect::<Vec<_>>()
                    };
                    assert_eq!(bytes(&loaded.content), bytes(&whole), "{form:?} at {length}");
                }
                Err(error) => {
                    assert!(length < bytes.len() - 512, "{form:?} at {length}");
                    assert!(!error.is_setting(), "{form:?} at {length}: {error:?}");
                    assert!(
                        matches!(error.problem(), Problem::Truncated { .. }),
                        "{form:?} at {length}: {error:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_flipped_byte_is_never_a_panic_and_never_another_image() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flipped.tar");
    image().write_archive(&file, Form::OciArchive, "1.0");
    let bytes = fs::read(&file).unwrap();
    for at in (0..bytes.len()).step_by(41) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x55;
        fs::write(&file, &flipped).unwrap();
        if let Ok(loaded) = read("oci-archive", &file, "") {
            assert_eq!(loaded.content.top.as_str(), image().digest(), "at {at}");
        }
    }
}

#[test]
fn long_names_and_sizes_in_metadata_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.tar");
    let long = format!("{}/file", "d".repeat(200));
    let record = format!("{} path={long}\n", long.len() + 10);
    let front = [
        entry(EntryType::XGlobalHeader, "pax_global_header", b"13 comment=x\n"),
        entry(EntryType::XHeader, "PaxHeaders.0/x", record.as_bytes()),
        entry(EntryType::Regular, "shortened", b"pax"),
        // The size of the header is 0, as for layers over 8 GiB; the record says 700.
        entry(EntryType::XHeader, "PaxHeaders.0/y", b"12 size=700\n"),
        header(EntryType::Regular, "sized", "", 0),
        vec![0xff; 1024],
        entry(EntryType::GNULongName, "././@LongLink", format!("{}\0", "e".repeat(150)).as_bytes()),
        entry(EntryType::Regular, "shortened", b"gnu"),
        header(EntryType::Directory, "blobs/", "", 0),
        header(EntryType::Directory, "./blobs/", "", 0),
    ];
    with_front(&file, &front.concat());
    assert_is(&content("oci-archive", &file, ""), &image());
}

#[test]
fn what_readers_may_disagree_on_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.tar");
    let mut wrong_sum = entry(EntryType::Regular, "x", b"x");
    wrong_sum[150] ^= 1;
    let huge_record = vec![b'x'; 65 * 1024];
    let table: [(&str, Vec<u8>, &str); 13] = [
        ("checksum", wrong_sum, "the block at byte 0 is no tar header: its checksum is wrong"),
        (
            "not a tar",
            b"PK\x03\x04".repeat(128),
            "the block at byte 0 is no tar header: its checksum is wrong",
        ),
        (
            "index.json twice",
            entry(EntryType::Regular, "./index.json", b"{}"),
            "`index.json` occurs twice in the archive",
        ),
        (
            "a folder that is a file later",
            header(EntryType::Directory, "index.json/", "", 0),
            "`index.json` occurs twice in the archive",
        ),
        (
            "link with content",
            [header(EntryType::Symlink, "x", "y", 512), vec![0; 512]].concat(),
            "the block at byte 0 is no tar header: a folder or link with content",
        ),
        (
            "old folder with content",
            entry(EntryType::Regular, "x/", b"x"),
            "the block at byte 0 is no tar header: a folder or link with content",
        ),
        (
            "device",
            header(EntryType::Char, "x", "", 0),
            "the block at byte 0 is no tar header: neither file, folder nor link",
        ),
        (
            "fifo",
            header(EntryType::Fifo, "x", "", 0),
            "the block at byte 0 is no tar header: neither file, folder nor link",
        ),
        (
            "sparse",
            entry(EntryType::GNUSparse, "x", b"x"),
            "the block at byte 0 is no tar header: sparse files are not read",
        ),
        (
            "sparse by record",
            entry(EntryType::XHeader, "x", b"22 GNU.sparse.major=1\n"),
            "the block at byte 0 is no tar header: sparse files are not read",
        ),
        (
            "endless metadata",
            entry(EntryType::GNULongName, "x", &huge_record),
            "the metadata at byte 0 is larger than the 65536 bytes that are read",
        ),
        (
            "`..` in a record",
            [entry(EntryType::XHeader, "x", b"13 path=../a\n"), entry(EntryType::Regular, "a", b"x")]
                .concat(),
            "refusing the entry name `../a`: it leaves the archive",
        ),
        (
            "broken record",
            entry(EntryType::XHeader, "x", b"99 path=a\n"),
            "the block at byte 0 is no tar header: its PAX records are broken",
        ),
    ];
    for (name, front, expected) in table {
        with_front(&file, &front);
        let error = problem("oci-archive", &file, "");
        assert_eq!(crate::reason(&error), expected, "{name}");
        assert!(!error.is_setting(), "{name}");
    }
}

#[test]
fn the_number_of_entries_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.tar");
    with_front(&file, &header(EntryType::Directory, "blobs", "", 0).repeat(100_000));
    assert_eq!(
        crate::reason(&problem("oci-archive", &file, "")),
        "it holds more than 100000 archive entries"
    );
}
