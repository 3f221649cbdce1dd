//! A client for a scripted registry, and release sets to put there.

use std::time::Duration;

use granary_net::{Deadline, Http, HttpOptions};
use granary_oci::{Digest, Repository, media_type};
use granary_plugin::Failure;
use granary_registry::{Registry, RegistryOptions};
use granary_release::{Candidate, CommitId, FoundSet, Member, ReleaseSet};
use granary_testkit::registry::Registry as Server;

pub(crate) const APP: &str = "acme/app";

pub(crate) fn client(server: &Server) -> Registry {
    let http = Http::new(HttpOptions::default()).unwrap();
    let options = RegistryOptions::new(Deadline::after(Duration::from_secs(30)));
    Registry::new(server.host().parse().unwrap(), http, options)
}

pub(crate) fn app() -> Repository {
    APP.parse().unwrap()
}

/// The commit whose id is this digit, forty times.
pub(crate) fn commit(digit: char) -> CommitId {
    digit.to_string().repeat(40).parse().unwrap()
}

/// A set of a commit with one member, whose bytes are `content`.
pub(crate) fn set(commit: &CommitId, content: &str, replaces: Option<&FoundSet>) -> FoundSet {
    let candidate: Candidate = "0.1.0-rc.1".parse().unwrap();
    FoundSet::new(ReleaseSet {
        commit: commit.clone(),
        branch: Some("main".to_owned()),
        candidate,
        order: Some(1),
        pipeline_url: None,
        created: "2026-11-21T06:30:00Z".parse().unwrap(),
        members: vec![Member {
            name: "app".to_owned(),
            repository: app(),
            digest: Digest::of(member(content).as_bytes()),
            media_type: media_type::OCI_INDEX.to_owned(),
            size: member(content).len() as u64,
        }],
        replaces: replaces.map(|found| found.digest.clone()),
    })
}

/// The member's own manifest: an empty index that is different for each content.
pub(crate) fn member(content: &str) -> String {
    let annotations = format!(r#"{{"content":"{content}"}}"#);
    let media_type = media_type::OCI_INDEX;
    format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","manifests":[],"annotations":{annotations}}}"#)
}

pub(crate) fn put(server: &Server, found: &FoundSet, tags: &[&str]) {
    let manifest = found.manifest();
    server.put_manifest(APP, tags, manifest.media_type(), manifest.bytes().to_vec());
}

/// Exit code and message.
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> (u8, String) {
    let failure = outcome.unwrap_err();
    (failure.kind().code(), failure.to_string())
}
