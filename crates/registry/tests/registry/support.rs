//! Clients for a scripted registry, and content to push.

use std::time::Duration;

use bytes::Bytes;
use granary_net::{Deadline, Http, HttpOptions};
use granary_oci::{Descriptor, Digest, RawManifest, Repository, Tag, TagOrDigest};
use granary_redact::Secret;
use granary_registry::{BlobSource, BlobWay, Content, Credentials, PushOptions, Registry, RegistryOptions};
use granary_testkit::image::Image;
use granary_testkit::registry::Registry as Server;

pub(crate) const USER: &str = "ci";
pub(crate) const PASSWORD: &str = "correct-horse-battery";

/// With patience for a machine that has other things to do: whoever tests what runs out brings bounds of its
/// own.
pub(crate) fn http() -> Http {
    Http::new(HttpOptions { idle_timeout: Duration::from_secs(60), ..HttpOptions::default() }).unwrap()
}

pub(crate) fn options() -> RegistryOptions {
    RegistryOptions::new(Deadline::after(Duration::from_secs(300)))
}

pub(crate) fn anonymous(server: &Server) -> Registry {
    Registry::new(server.host().parse().unwrap(), http(), options())
}

pub(crate) fn with_password(server: &Server, password: &str) -> Registry {
    let credentials = Credentials::password(USER, Secret::new(password));
    Registry::new(server.host().parse().unwrap(), http(), RegistryOptions { credentials, ..options() })
}

pub(crate) fn app() -> Repository {
    repository("acme/app")
}

pub(crate) fn repository(name: &str) -> Repository {
    name.parse().unwrap()
}

pub(crate) fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

pub(crate) fn by_tag(name: &str) -> TagOrDigest {
    TagOrDigest::Tag(tag(name))
}

pub(crate) fn raw(image: &Image) -> RawManifest {
    RawManifest::new(image.bytes().to_vec(), image.media_type()).unwrap()
}

pub(crate) fn blob(bytes: &[u8]) -> (Descriptor, BlobSource) {
    let descriptor = Descriptor::of("application/octet-stream", bytes);
    (descriptor, BlobSource::Bytes(Bytes::copy_from_slice(bytes)))
}

pub(crate) fn mounted_from(name: &str) -> PushOptions {
    let way = BlobWay::Mount { from: repository(name), absent: false };
    PushOptions { way, ..PushOptions::default() }
}

/// Bytes that are different at every place.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..size).map(|_| next()).collect()
}

pub(crate) fn content(image: &Image) -> Content {
    let manifests = image
        .manifests()
        .iter()
        .map(|manifest| RawManifest::new(manifest.bytes.to_vec(), &manifest.media_type).unwrap())
        .collect();
    let blobs = image
        .blobs()
        .iter()
        .map(|blob| {
            let digest: Digest = blob.digest.parse().unwrap();
            let descriptor = Descriptor::new(&blob.media_type, digest, blob.bytes.len() as u64);
            (descriptor, BlobSource::Bytes(blob.bytes.clone()))
        })
        .collect();
    Content { manifests, blobs, top: image.digest().parse().unwrap() }
}

/// The requests so far, `METHOD /path status`, in order of arrival.
pub(crate) fn log(server: &Server) -> Vec<String> {
    server.requests().iter().map(ToString::to_string).collect()
}

/// An error with all its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(" | ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// How many round trips deep the requests so far were, at a registry that waits this long with each
/// answer: the longest row of requests of which each began after the one before was answered.
pub(crate) fn depth(server: &Server, latency: Duration) -> usize {
    let mut begins: Vec<Duration> = server.requests().iter().map(|request| request.at).collect();
    begins.sort();
    let mut depth = 0;
    let mut answered = Duration::ZERO;
    for at in begins {
        if at >= answered {
            depth += 1;
            answered = at + latency;
        }
    }
    depth
}
