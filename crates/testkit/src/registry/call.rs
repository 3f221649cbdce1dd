//! What a handler is given, and the headers that answers have in common.

use bytes::Bytes;
use hyper::HeaderMap;

use super::auth::Access;
use super::options::Options;
use super::reply::Reply;
use super::route::Query;

/// A request with everything that a handler may look at.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    pub(crate) query: Query,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) access: Access,
    pub(crate) options: &'a Options,
    pub(crate) base_url: &'a str,
}

impl Call<'_> {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn not_allowed(&self) -> Reply {
        Reply::error(405, "UNSUPPORTED", "the operation is unsupported")
    }

    pub(crate) fn content_digest(&self, reply: Reply, digest: &str) -> Reply {
        if self.options.content_digest { reply.header("Docker-Content-Digest", digest) } else { reply }
    }

    pub(crate) fn created(&self, path: &str, digest: &str) -> Reply {
        let reply = self.content_digest(Reply::new(201), digest);
        if self.options.created_location { reply.header("Location", path) } else { reply }
    }
}
