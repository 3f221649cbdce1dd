//! Lists: tags and referrers, with all the ways in which servers get paging wrong.

use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use super::call::Call;
use super::options::{LastPage, LinkStyle, Referrers};
use super::reply::Reply;
use super::state::{Manifest, State, is_digest, sha256_digest};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(crate) fn tags(call: &Call<'_>, state: &State, name: &str) -> Reply {
    if !matches!(call.method, "GET" | "HEAD") {
        return call.not_allowed();
    }
    let Some(repository) = state.repository(name) else {
        return Reply::error(404, "NAME_UNKNOWN", "repository name not known to registry");
    };
    let options = call.options;
    let mut tags: Vec<&str> = repository.tags.keys().map(String::as_str).collect();
    if options.ignore_n {
        // Reproducible, and in no order that a reader could take for one.
        tags.sort_by_key(|tag| sha256_digest(tag.as_bytes()));
        // A repository whose tags are all gone lists `null`, which is what an empty Go slice becomes.
        let tags = if tags.is_empty() { Value::Null } else { json!(tags) };
        return Reply::json(200, &json!({"name": name, "tags": tags}));
    }
    let wanted = match call.query.get("n").map(str::parse::<usize>) {
        Some(Err(_)) => return Reply::error(400, "PAGINATION_NUMBER_INVALID", "n is not a number"),
        Some(Ok(n)) => Some(n),
        None => None,
    };
    let size = wanted.unwrap_or(usize::MAX).min(options.page_size.unwrap_or(usize::MAX));
    let last = call.query.get("last").unwrap_or_default();
    let rest = tags.iter().filter(|tag| **tag > last);
    let page: Vec<&str> = rest.clone().take(size).copied().collect();
    let more = rest.count() > page.len();
    let reply = Reply::json(200, &json!({"name": name, "tags": page}));
    let path = format!("/v2/{name}/tags/list");
    let next = |last: &str| {
        let last: String = byte_serialize(last.as_bytes()).collect();
        let n = wanted.map(|n| format!("n={n}&")).unwrap_or_default();
        format!("{path}?{n}last={last}")
    };
    let end = page.last().copied().unwrap_or(last);
    match (more, options.last_page) {
        // `n=0` is a page that never gets anywhere; the spec wants it empty and without a link.
        (true, _) if size > 0 => reply.header("Link", link(call, &next(end))),
        (false, LastPage::LinkToEmpty) => reply.header("Link", link(call, &next(end))),
        (false, LastPage::LinkToItself) => reply.header("Link", link(call, &next(last))),
        _ => reply,
    }
}

fn link(call: &Call<'_>, path: &str) -> String {
    match call.options.link_style {
        LinkStyle::Path => format!("<{path}>; rel=\"next\""),
        LinkStyle::Absolute => format!("<{}{path}>; rel=\"next\"", call.base_url),
        LinkStyle::Unquoted => format!("<{path}>; rel=next"),
    }
}

/// distribution-spec "Listing Referrers": an index of descriptors, empty where nothing refers or nothing
/// exists.
pub(crate) fn referrers(call: &Call<'_>, state: &State, name: &str, subject: &str) -> Reply {
    if call.options.referrers == Referrers::Off {
        return Reply::no_route();
    }
    if !matches!(call.method, "GET" | "HEAD") {
        return call.not_allowed();
    }
    if !is_digest(subject) {
        return Reply::error(400, "DIGEST_INVALID", "not a digest");
    }
    let filter = call.query.get("artifactType").filter(|_| call.options.referrers != Referrers::Unfiltered);
    let last = call.query.get("last").unwrap_or_default();
    let all = state.referrers(name, subject);
    let mut found: Vec<Value> = all
        .iter()
        .filter(|(digest, _)| *digest > last)
        .map(|(digest, manifest)| descriptor(digest, manifest))
        .filter(|descriptor| filter.is_none_or(|wanted| descriptor["artifactType"] == wanted))
        .collect();
    let size = call.options.referrers_page.unwrap_or(usize::MAX);
    let more = found.len() > size;
    found.truncate(size);
    let end = found.last().and_then(|d| d["digest"].as_str()).unwrap_or_default().to_owned();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": found});
    let mut reply = Reply::new(200).body(INDEX, index.to_string().into());
    if filter.is_some() {
        reply = reply.header("OCI-Filters-Applied", "artifactType");
    }
    if more {
        let kept = call.query.get("artifactType").map(|wanted| {
            let wanted: String = byte_serialize(wanted.as_bytes()).collect();
            format!("artifactType={wanted}&")
        });
        let path = format!("/v2/{name}/referrers/{subject}?{}last={end}", kept.unwrap_or_default());
        reply = reply.header("Link", link(call, &path));
    }
    reply
}

/// Pulls `artifactType` (else the config's media type) and all annotations up into the descriptor, as the
/// spec demands.
fn descriptor(digest: &str, manifest: &Manifest) -> Value {
    let document = manifest.document();
    let mut descriptor =
        json!({"mediaType": manifest.media_type, "digest": digest, "size": manifest.bytes.len()});
    let own = document["artifactType"].as_str().filter(|own| !own.is_empty());
    if let Some(artifact_type) = own.or(document["config"]["mediaType"].as_str()) {
        descriptor["artifactType"] = json!(artifact_type);
    }
    if let Some(annotations) = document.get("annotations") {
        descriptor["annotations"] = annotations.clone();
    }
    descriptor
}
