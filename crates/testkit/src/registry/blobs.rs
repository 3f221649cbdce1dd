//! Blobs and upload sessions.
//!
//! A session's `Location` carries an opaque `_state` that is good for one request: a client that keeps using
//! the first `Location` it saw is refused, as by Distribution.

use bytes::Bytes;

use super::call::Call;
use super::options::Location;
use super::reply::Reply;
use super::state::{State, Upload, is_digest, sha256_digest};

pub(crate) fn blob(call: &Call<'_>, state: &mut State, name: &str, digest: &str) -> Reply {
    if !is_digest(digest) {
        return Reply::error(400, "DIGEST_INVALID", "not a digest");
    }
    let unknown = || Reply::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
    match call.method {
        "GET" | "HEAD" => {
            let Some(bytes) = state.blob(name, digest).cloned() else { return unknown() };
            match &call.options.redirect_blobs {
                Some(base) if call.method == "GET" => {
                    let signed = &sha256_digest(digest.as_bytes())["sha256:".len()..];
                    let target = format!("{base}/v2/{name}/blobs/{digest}?signature={signed}");
                    Reply::new(307).header("Location", target)
                }
                _ => content(call, digest, bytes),
            }
        }
        "DELETE" if call.options.deletes => {
            let removed = state.repositories.get_mut(name).is_some_and(|r| r.blobs.remove(digest));
            if removed { Reply::new(202) } else { unknown() }
        }
        _ => call.not_allowed(),
    }
}

fn content(call: &Call<'_>, digest: &str, bytes: Bytes) -> Reply {
    let size = bytes.len();
    let reply = |status| call.content_digest(Reply::new(status), digest).header("Accept-Ranges", "bytes");
    let media_type = "application/octet-stream";
    // RFC 9110 §14.2: a Range that cannot be read is ignored.
    let range = call.header("range").and_then(|value| {
        let (start, end) = value.strip_prefix("bytes=")?.split_once('-')?;
        let start: usize = start.parse().ok()?;
        let end = if end.is_empty() { usize::MAX } else { end.parse().ok()? };
        (start <= end).then_some((start, end))
    });
    match range {
        Some((start, _)) if start >= size => Reply::error(416, "RANGE_INVALID", "range lies beyond the blob")
            .header("Content-Range", format!("bytes */{size}")),
        Some((start, end)) => {
            let end = end.min(size - 1);
            reply(206)
                .header("Content-Range", format!("bytes {start}-{end}/{size}"))
                .body(media_type, bytes.slice(start..=end))
        }
        None => reply(200).body(media_type, bytes),
    }
}

/// `POST …/blobs/uploads/`: a mount, a whole blob, or a new session.
pub(crate) fn open(call: &Call<'_>, state: &mut State, name: &str) -> Reply {
    if call.method != "POST" {
        return call.not_allowed();
    }
    if let (Some(digest), Some(from)) = (call.query.get("mount"), call.query.get("from")) {
        let may = call.options.mounts && call.access.allows(from, "pull");
        if may && state.blob(from, digest).is_some() {
            state.link_blob(name, digest);
            return call.created(&format!("/v2/{name}/blobs/{digest}"), digest);
        }
    } else if let Some(digest) = call.query.get("digest").filter(|_| call.options.post_digest) {
        return store(call, state, name, digest, call.body.clone());
    }
    state.uploads_opened += 1;
    // A number would do, but clients must treat it as opaque, and it must not repeat.
    let seed = format!("{name} {}", state.uploads_opened);
    let id = sha256_digest(seed.as_bytes())["sha256:".len()..][..32].to_owned();
    let upload = Upload { repository: name.to_owned(), ..Upload::default() };
    let mut reply = progress(call, 202, &id, &upload);
    if let Some(min) = call.options.min_chunk {
        reply = reply.header("OCI-Chunk-Min-Length", min.to_string());
    }
    state.uploads.insert(id, upload);
    reply
}

/// `…/blobs/uploads/<id>`: PATCH, PUT, GET (status), DELETE.
pub(crate) fn session(call: &Call<'_>, state: &mut State, name: &str, id: &str) -> Reply {
    let Some(upload) = state.uploads.get_mut(id).filter(|upload| upload.repository == name) else {
        return Reply::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
    };
    let stale = || call.query.get("_state") != Some(&upload.turn.to_string());
    match call.method {
        "GET" => progress(call, 204, id, upload),
        "DELETE" => {
            state.uploads.remove(id);
            Reply::new(204)
        }
        "PATCH" | "PUT" if stale() => {
            Reply::error(400, "BLOB_UPLOAD_INVALID", "not the Location of the last answer")
        }
        "PATCH" => match append(call, upload, id) {
            Ok(()) => progress(call, call.options.patch_status, id, upload),
            Err(refusal) => *refusal,
        },
        "PUT" => {
            let Some(digest) = call.query.get("digest") else {
                return Reply::error(400, "DIGEST_INVALID", "no digest");
            };
            // The last chunk may be short, so the minimum is only asked of those before it.
            if let Err(refusal) = append(call, upload, id) {
                return *refusal;
            }
            let data = Bytes::from(std::mem::take(&mut upload.data));
            state.uploads.remove(id);
            store(call, state, name, digest, data)
        }
        _ => call.not_allowed(),
    }
}

/// Keeps what arrived of a request body that broke off, as a server that streams to disk does.
pub(crate) fn keep_partial(state: &mut State, name: &str, id: &str, bytes: &[u8]) {
    if let Some(upload) = state.uploads.get_mut(id).filter(|upload| upload.repository == name) {
        upload.data.extend_from_slice(bytes);
        upload.turn += 1;
    }
}

fn append(call: &Call<'_>, upload: &mut Upload, id: &str) -> Result<(), Box<Reply>> {
    let length = call.body.len();
    if let Some(range) = call.header("content-range") {
        let parsed = range.trim_start_matches("bytes ").split_once('-');
        let parsed = parsed.and_then(|(start, end)| {
            Some((start.parse::<usize>().ok()?, end.split('/').next()?.parse::<usize>().ok()?))
        });
        let too_long = call.options.max_chunk.is_some_and(|max| length > max);
        match parsed {
            Some((start, _)) if start != upload.data.len() || upload.short_chunk || too_long => {
                return Err(Box::new(progress(call, 416, id, upload)));
            }
            Some((start, end)) if (end + 1).checked_sub(start) == Some(length) => {}
            _ => {
                let error = Reply::error(400, "SIZE_INVALID", "Content-Range and body length differ");
                return Err(Box::new(error));
            }
        }
        upload.short_chunk = call.options.min_chunk.is_some_and(|min| length < min);
    }
    upload.data.extend_from_slice(&call.body);
    upload.first_chunk.get_or_insert(upload.data.len());
    upload.turn += 1;
    Ok(())
}

fn store(call: &Call<'_>, state: &mut State, name: &str, digest: &str, bytes: Bytes) -> Reply {
    if sha256_digest(&bytes) != digest {
        return Reply::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
    }
    state.store_blob(name, bytes);
    call.created(&format!("/v2/{name}/blobs/{digest}"), digest)
}

fn progress(call: &Call<'_>, status: u16, id: &str, upload: &Upload) -> Reply {
    let seen = match upload.first_chunk {
        Some(first) if call.options.stuck_range => first,
        _ => upload.data.len(),
    };
    let tail = format!("{id}?_state={}", upload.turn);
    let path = format!("/v2/{}/blobs/uploads/{tail}", upload.repository);
    let reply = Reply::new(status)
        .header("Range", format!("0-{}", seen.saturating_sub(1)))
        .header("Docker-Upload-UUID", id);
    match call.options.upload_location {
        Location::Absolute => reply.header("Location", format!("{}{path}", call.base_url)),
        Location::Path => reply.header("Location", path),
        Location::Bare => reply.header("Location", tail),
        Location::Missing => reply,
    }
}
