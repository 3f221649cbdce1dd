//! Sources on disk: what is read from them, and what is refused. Only the public interface is used.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

mod archives;
mod docker;
mod flux;
mod layouts;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use granary_oci::{Descriptor, RawManifest};
use granary_registry::BlobSource;
use granary_testkit::image::Image;
use registry_push::source::{Content, Loaded, Problem, Provenance, SourceError, SourceSpec, load};

fn provenance() -> Provenance {
    Provenance {
        source_url: "https://forge.example.test/acme/app".to_owned(),
        revision: "main@sha1:3f2a91c0000000000000000000000000000000aa".to_owned(),
        created: "2026-03-04T05:06:07Z".to_owned(),
    }
}

/// Reads `scheme:path` + `selector`, with a scratch folder of its own that is left to the system.
fn read(scheme: &str, path: &Path, selector: &str) -> Result<Loaded, SourceError> {
    let scratch = tempfile::tempdir().unwrap().keep();
    let text = format!("{scheme}:{}{selector}", path.display());
    let SourceSpec::Local(source) = text.parse().unwrap() else { panic!("{text} is not local") };
    load(&source, &scratch, &provenance())
}

fn content(scheme: &str, path: &Path, selector: &str) -> Content {
    read(scheme, path, selector).unwrap_or_else(|error| panic!("{}", chain(&error))).content
}

fn problem(scheme: &str, path: &Path, selector: &str) -> SourceError {
    match read(scheme, path, selector) {
        Ok(loaded) => panic!("{scheme}:{} was read: {:?}", path.display(), loaded.content),
        Err(error) => error,
    }
}

/// What a user would see: the message and its causes.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The bytes that an upload would send.
fn bytes_of(descriptor: &Descriptor, source: &BlobSource) -> Vec<u8> {
    match source {
        BlobSource::Bytes(bytes) => bytes.to_vec(),
        BlobSource::File { path, offset } => {
            let mut file = File::open(path).unwrap();
            file.seek(SeekFrom::Start(*offset)).unwrap();
            let mut bytes = Vec::new();
            file.take(descriptor.size).read_to_end(&mut bytes).unwrap();
            bytes
        }
        BlobSource::Remote { .. } => panic!("a source on disk has no remote blobs"),
    }
}

/// Every blob by digest; each is what its digest says.
fn blobs_of(content: &Content) -> BTreeMap<String, Vec<u8>> {
    let mut blobs = BTreeMap::new();
    for (descriptor, source) in &content.blobs {
        let bytes = bytes_of(descriptor, source);
        assert!(descriptor.digest.matches(&bytes), "{}", descriptor.digest);
        assert_eq!(blobs.insert(descriptor.digest.to_string(), bytes), None, "a blob occurs once");
    }
    blobs
}

/// The content is exactly the image: same manifests in the same order, same blobs.
fn assert_is(content: &Content, image: &Image) {
    let manifests: Vec<&[u8]> = content.manifests.iter().map(RawManifest::bytes).collect();
    let expected: Vec<&[u8]> = image.manifests().iter().map(|manifest| &*manifest.bytes).collect();
    assert_eq!(manifests, expected);
    assert_eq!(content.top.as_str(), image.digest());
    let expected = image.blobs().iter().map(|blob| (blob.digest.clone(), blob.bytes.to_vec()));
    assert_eq!(blobs_of(content), expected.collect());
}

/// What is said of a problem, without the source's name in front, which is checked.
fn reason(error: &SourceError) -> String {
    let text = chain(error);
    let (source, reason) = text.split_once("`: ").unwrap();
    assert!(source.starts_with("cannot read source `"), "{text}");
    reason.to_owned()
}

#[test]
fn a_path_that_is_not_there_is_the_settings_fault() {
    let folder = tempfile::tempdir().unwrap();
    for scheme in ["oci", "oci-archive", "docker-archive", "dir"] {
        let error = problem(scheme, &folder.path().join("none"), "");
        assert!(error.is_setting(), "{scheme}");
        assert!(matches!(error.problem(), Problem::Absent { .. }), "{scheme}");
    }
    // A folder where a file is needed, and the reverse.
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for (scheme, path) in
        [("oci", &*file), ("dir", &file), ("oci-archive", folder.path()), ("docker-archive", folder.path())]
    {
        let error = problem(scheme, path, "");
        assert!(error.is_setting(), "{scheme}");
        assert!(matches!(error.problem(), Problem::NotA { .. }), "{scheme}");
    }
}
