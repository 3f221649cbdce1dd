//! What kind of registry to be: every switch names a behaviour that some real server has.
//!
//! The default is a registry that follows distribution-spec 1.1 to the letter, without authentication. Each
//! field that departs from it says who does so, so that a test can name its reason.
//! [`Options::docker_registry_2_8`] and
//! [`Options::gitea`] are two servers as they were observed.

use std::time::Duration;

/// Who may do what.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// Everybody may do everything.
    #[default]
    None,
    /// `Authorization: Basic`; the challenge names no token server.
    Basic {
        /// The one user.
        user: String,
        /// Its password.
        password: String,
    },
    /// Bearer tokens from `/token` on this server: GET, and POST as OAuth2 (`password`, `refresh_token`).
    /// Tokens are opaque, hold exactly the scopes that were asked for and granted, and expire.
    Token {
        /// The one user.
        user: String,
        /// Its password.
        password: String,
        /// Accepted by the `refresh_token` grant, as an `identitytoken` of a Docker auth file would be.
        refresh_token: Option<String>,
        /// How long a token lives; announced in whole seconds as `expires_in`, enforced exactly.
        lifetime: Duration,
    },
}

/// How the referrers API answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Referrers {
    /// It exists, and filters by `artifactType`.
    #[default]
    On,
    /// It exists and ignores `artifactType`: no `OCI-Filters-Applied`, every referrer is listed.
    Unfiltered,
    /// It exists, and pushes are not answered with `OCI-Subject` (go-containerregistry's server).
    Silent,
    /// 404, and no `OCI-Subject` on pushes (Distribution 2 and 3, Gitea): clients keep the fallback tag.
    Off,
}

/// What the `Location` of an upload session looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Location {
    /// `http://host/v2/…` (Distribution).
    #[default]
    Absolute,
    /// `/v2/…` (Gitea, Distribution with `relativeurls`).
    Path,
    /// Relative to the request, no slash in front: legal by RFC 9110 §10.2.2, and a trap for string joins.
    Bare,
    /// None at all: the session cannot be used.
    Missing,
}

/// What the last page of a tag list says about a next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastPage {
    /// Nothing.
    #[default]
    NoLink,
    /// A `Link` to a page that is empty and carries the same `Link` (Gitea).
    LinkToEmpty,
    /// A `Link` to itself: whoever follows it blindly never ends.
    LinkToItself,
}

/// How the next page is written in `Link`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkStyle {
    /// `</v2/…>; rel="next"`.
    #[default]
    Path,
    /// `<http://host/v2/…>; rel="next"`.
    Absolute,
    /// `</v2/…>; rel=next`, unquoted (olareg).
    Unquoted,
}

/// The behaviour of one [`Registry`](super::Registry). Fixed once it is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who may do what.
    pub auth: Auth,
    /// Pulls need no credentials, pushes do.
    pub anonymous_pull: bool,
    /// Repositories in which the user may only pull. Basic answers 403; a token lacks `push` and using it is
    /// a 401 again, so a client that answers each 401 with a new token would never end.
    pub read_only: Vec<String>,
    /// Sent as the challenge's `scope` in place of the true one (Gitea: `*`).
    pub challenge_scope: Option<String>,
    /// Sent as the challenge's `realm` in place of our own `/token`.
    pub token_realm: Option<String>,
    /// Where tokens come from, as far as the challenge's `realm` says: `/token`, or `/v2/token` (Gitea). Both
    /// work.
    pub token_path: &'static str,
    /// Sent as the challenge's `service` (Gitea, GitLab: `container_registry`).
    pub token_service: &'static str,

    /// The referrers API.
    pub referrers: Referrers,
    /// Entries on a page of referrers; `None` is no paging.
    pub referrers_page: Option<usize>,
    /// Cross-repository mounts work; else such a POST opens a session, 202 (go-containerregistry's server).
    pub mounts: bool,
    /// `PUT …/manifests/<digest>?tag=a&tag=b` sets the tags and says so in `OCI-Tag`; else the query is
    /// ignored with 201.
    pub oci_tag: bool,
    /// `POST …/uploads/?digest=` stores the blob; else the body is thrown away and a session opened, 202
    /// (Distribution).
    pub post_digest: bool,
    /// Delete requests work, else 405.
    pub deletes: bool,

    /// Most tags on a page whatever `n` says, and the page size without `n`; `None` is as `n` says, or
    /// everything.
    pub page_size: Option<usize>,
    /// The tag list ignores `n` and is not sorted (docker-registry 2.8).
    pub ignore_n: bool,
    /// What the last page of tags links to.
    pub last_page: LastPage,
    /// How `Link` is written.
    pub link_style: LinkStyle,

    /// `Location` of upload sessions.
    pub upload_location: Location,
    /// 201 answers carry a `Location` (ECR: not on manifests).
    pub created_location: bool,
    /// `Docker-Content-Digest` is sent.
    pub content_digest: bool,
    /// Status of a PATCH that worked (ECR: 201).
    pub patch_status: u16,
    /// `Range` of an upload stays at the first chunk (ECR).
    pub stuck_range: bool,
    /// Smallest ranged chunk but for the last, in bytes; announced as `OCI-Chunk-Min-Length` (ECR: 5 MiB).
    pub min_chunk: Option<usize>,
    /// Largest ranged chunk in bytes, else 416 (GHCR: 4 MiB).
    pub max_chunk: Option<usize>,

    /// PUT of an existing tag with another digest ends with this status.
    pub immutable_tags: Option<u16>,
    /// An index may list an index (Gitea: 400 `MANIFEST_INVALID`).
    pub nested_index: bool,
    /// A tag `sha256-<hex>` that does not exist resolves to the manifest of that digest (GitLab).
    pub dash_tags: bool,
    /// Blob GETs are answered 307 to this base URL, with a signature in the query, as object storage is used.
    pub redirect_blobs: Option<String>,

    /// Every answer says `Docker-Distribution-Api-Version: registry/2.0` (Distribution 2), not only `GET
    /// /v2/` and 401.
    pub api_version: bool,
    /// Waits this long before it handles each request.
    pub latency: Duration,
    /// HTTPS, with a certificate of a CA made for this registry: see
    /// [`Registry::ca_pem`](super::Registry::ca_pem).
    pub tls: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            auth: Auth::None,
            anonymous_pull: false,
            read_only: Vec::new(),
            challenge_scope: None,
            token_realm: None,
            token_path: "/token",
            token_service: "testkit",
            referrers: Referrers::On,
            referrers_page: None,
            mounts: true,
            oci_tag: true,
            post_digest: true,
            deletes: true,
            page_size: None,
            ignore_n: false,
            last_page: LastPage::NoLink,
            link_style: LinkStyle::Path,
            upload_location: Location::Absolute,
            created_location: true,
            content_digest: true,
            patch_status: 202,
            stuck_range: false,
            min_chunk: None,
            max_chunk: None,
            immutable_tags: None,
            nested_index: true,
            dash_tags: false,
            redirect_blobs: None,
            api_version: false,
            latency: Duration::ZERO,
            tls: false,
        }
    }
}

impl Options {
    /// Token authentication with a lifetime of five minutes and no refresh token.
    #[must_use]
    pub fn with_token(user: &str, password: &str) -> Self {
        let auth = Auth::Token {
            user: user.to_owned(),
            password: password.to_owned(),
            refresh_token: None,
            lifetime: Duration::from_secs(300),
        };
        Self { auth, ..Self::default() }
    }

    /// Basic authentication.
    #[must_use]
    pub fn with_basic(user: &str, password: &str) -> Self {
        let auth = Auth::Basic { user: user.to_owned(), password: password.to_owned() };
        Self { auth, ..Self::default() }
    }

    /// Debian's docker-registry 2.8.2, as observed: no referrers, no `OCI-Tag`, all tags at once and
    /// unsorted, its version on every answer.
    #[must_use]
    pub fn docker_registry_2_8() -> Self {
        Self {
            referrers: Referrers::Off,
            oci_tag: false,
            post_digest: false,
            ignore_n: true,
            deletes: false,
            api_version: true,
            ..Self::default()
        }
    }

    /// Gitea 1.26, as observed: a challenge that does not name the repository, relative `Location`, a next
    /// page after the last, no nested index.
    #[must_use]
    pub fn gitea() -> Self {
        Self {
            challenge_scope: Some("*".to_owned()),
            token_path: "/v2/token",
            token_service: "container_registry",
            referrers: Referrers::Off,
            oci_tag: false,
            last_page: LastPage::LinkToEmpty,
            upload_location: Location::Path,
            nested_index: false,
            ..Self::default()
        }
    }
}
