//! Manifests: GET, HEAD, PUT, DELETE by tag and by digest.
//!
//! A manifest is refused while something it names is missing in the same repository, blobs and children
//! alike; only its `subject` may come later (distribution-spec "Pushing Manifests").

use serde_json::{Value, json};

use super::call::Call;
use super::options::Referrers;
use super::reply::Reply;
use super::route::is_tag;
use super::state::{State, is_digest, sha256_digest};

const INDEX_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

/// What Distribution takes at most.
const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;

pub(crate) fn handle(call: &Call<'_>, state: &mut State, name: &str, reference: &str) -> Reply {
    match call.method {
        "GET" | "HEAD" => get(call, state, name, reference),
        "PUT" => put(call, state, name, reference),
        "DELETE" => delete(call, state, name, reference),
        _ => call.not_allowed(),
    }
}

fn unknown() -> Reply {
    Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown to registry")
}

fn invalid(message: &str) -> Reply {
    Reply::error(400, "MANIFEST_INVALID", message)
}

fn get(call: &Call<'_>, state: &State, name: &str, reference: &str) -> Reply {
    let dashed = reference.strip_prefix("sha256-").map(|hex| format!("sha256:{hex}"));
    let found = state.resolve(name, reference).or_else(|| {
        let dashed = dashed.as_deref().filter(|_| call.options.dash_tags)?;
        state.resolve(name, dashed)
    });
    let Some((digest, manifest)) = found else { return unknown() };
    let reply = Reply::new(200).body(&manifest.media_type, manifest.bytes.clone());
    call.content_digest(reply, digest).header("ETag", format!("\"{digest}\""))
}

fn put(call: &Call<'_>, state: &mut State, name: &str, reference: &str) -> Reply {
    let options = call.options;
    if call.body.len() > MAX_MANIFEST_BYTES {
        return Reply::error(413, "MANIFEST_INVALID", "manifest larger than 4 MiB");
    }
    let Some(media_type) = call.header("content-type") else { return invalid("no Content-Type") };
    let Ok(document) = serde_json::from_slice::<Value>(&call.body) else { return invalid("not JSON") };
    if document["schemaVersion"] != 2 {
        return invalid("schemaVersion is not 2");
    }
    if document["mediaType"].as_str().is_some_and(|own| own != media_type) {
        return invalid("mediaType differs from Content-Type");
    }
    let digest = sha256_digest(&call.body);
    let tags = if reference.contains(':') {
        if reference != digest {
            return Reply::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
        }
        if options.oci_tag { call.query.all("tag") } else { Vec::new() }
    } else {
        vec![reference.to_owned()]
    };
    if let Some(bad) = tags.iter().find(|tag| !is_tag(tag)) {
        return Reply::error(400, "TAG_INVALID", &format!("{bad} is not a tag"));
    }
    let missing = missing(state, name, &document);
    if !missing.is_empty() {
        return Reply::errors(400, &missing);
    }
    let children = document["manifests"].as_array().map_or(&[][..], Vec::as_slice);
    let nested = |child: &Value| child["mediaType"].as_str().is_some_and(|t| INDEX_TYPES.contains(&t));
    if !options.nested_index && children.iter().any(nested) {
        return invalid("an index in an index is not supported");
    }
    let held = |tag: &&String| {
        state.repositories.get(name).and_then(|r| r.tags.get(*tag)).is_some_and(|old| *old != digest)
    };
    if let (Some(status), Some(tag)) = (options.immutable_tags, tags.iter().find(held)) {
        return Reply::error(status, "TAG_INVALID", &format!("tag {tag} exists and is immutable"));
    }
    state.store_manifest(name, &tags, media_type, call.body.clone());
    let mut reply = call.created(&format!("/v2/{name}/manifests/{digest}"), &digest);
    if options.oci_tag && reference.contains(':') {
        for tag in &tags {
            reply = reply.header("OCI-Tag", tag.as_str());
        }
    }
    match document["subject"]["digest"].as_str() {
        Some(subject) if !matches!(options.referrers, Referrers::Off | Referrers::Silent) => {
            reply.header("OCI-Subject", subject)
        }
        _ => reply,
    }
}

/// One error for each blob or child that the repository does not have; `detail` names it, as Distribution
/// does.
fn missing(state: &State, name: &str, document: &Value) -> Vec<Value> {
    let listed = |field: &str| document[field].as_array().cloned().unwrap_or_default();
    let blobs = document.get("config").cloned().into_iter().chain(listed("layers"));
    // Layers with `urls` live elsewhere and need not be here.
    let local = blobs.filter(|blob| blob["urls"].as_array().is_none_or(Vec::is_empty));
    let error = |code: &str, what: &str, descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        json!({"code": code, "message": format!("{what} unknown to registry"), "detail": digest})
    };
    let has_blob = |d: &Value| d["digest"].as_str().is_some_and(|digest| state.blob(name, digest).is_some());
    let has_child =
        |d: &Value| d["digest"].as_str().is_some_and(|digest| state.resolve(name, digest).is_some());
    let mut errors: Vec<Value> =
        local.filter(|d| !has_blob(d)).map(|d| error("MANIFEST_BLOB_UNKNOWN", "blob", &d)).collect();
    let children = listed("manifests").into_iter().filter(|d| !has_child(d));
    errors.extend(children.map(|d| error("MANIFEST_UNKNOWN", "manifest", &d)));
    errors
}

fn delete(call: &Call<'_>, state: &mut State, name: &str, reference: &str) -> Reply {
    if !call.options.deletes {
        return call.not_allowed();
    }
    let Some(repository) = state.repositories.get_mut(name) else { return unknown() };
    let removed = if is_digest(reference) {
        repository.tags.retain(|_, digest| digest != reference);
        repository.manifests.remove(reference).is_some()
    } else {
        repository.tags.remove(reference).is_some()
    };
    if removed { Reply::new(202) } else { unknown() }
}
