//! Answers that are not what the protocol, or what was asked for, makes of them.

use granary_net::StatusCode;
use granary_oci::Digest;
use granary_redact::SafeUrl;
use thiserror::Error;

/// How an answer breaks the protocol.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ProtocolProblem {
    /// `Docker-Content-Digest` is not the digest of the content.
    #[error("the registry calls it {claimed}, the content is {actual}")]
    DigestClaim {
        /// The header.
        claimed: String,
        /// What the bytes hash to.
        actual: Digest,
    },
    /// Content that was asked for by digest is other content.
    #[error("asked for {asked}, got {actual}")]
    WrongContent {
        /// The digest that was asked for.
        asked: Digest,
        /// What the bytes hash to.
        actual: Digest,
    },
    /// Content of another size than its descriptor says.
    #[error("expected {expected} bytes, got {actual}")]
    WrongSize {
        /// From the descriptor.
        expected: u64,
        /// What came.
        actual: u64,
    },
    /// A descriptor asks for more than the caller allows.
    #[error("it has {size} bytes, more than the {limit} allowed here")]
    TooLarge {
        /// From the descriptor.
        size: u64,
        /// The caller's bound.
        limit: u64,
    },
    /// An upload session without an address.
    #[error("the registry opened an upload without saying where (no `Location`)")]
    NoLocation,
    /// An upload session at an unusable address.
    #[error("the registry opened an upload at an unusable address ({0})")]
    BadLocation(&'static str),
    /// A list that is not JSON of the right shape.
    #[error("the answer is not {expected}: {reason}")]
    Document {
        /// What it should be.
        expected: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// A write that was answered with a success that is none.
    #[error("the registry answered {status} instead of 201, and it is not there")]
    NotStored {
        /// The status.
        status: StatusCode,
    },
    /// A tag that was written and names something else.
    #[error(
        "the registry took the tag, and it names {found} all the same: somebody else writes it, or it cannot be moved"
    )]
    TagElsewhere {
        /// The digest that it names, or "nothing".
        found: String,
    },
    /// Something that is no registry answers.
    #[error("the answer ({status}) is a web page: a login page or a proxy answers in the registry's place")]
    WebPage {
        /// The status.
        status: StatusCode,
    },
    /// A list that is continued on another host, or as another list.
    #[error("refusing to follow the list elsewhere, {url}")]
    ForeignLink {
        /// Where it leads.
        url: SafeUrl,
    },
    /// A list that does not end.
    #[error("the list has more than {limit} pages")]
    TooManyPages {
        /// The bound.
        limit: usize,
    },
    /// An image with its referrers that does not end.
    #[error("it has more than {limit} manifests with everything that refers to it")]
    TooManyManifests {
        /// The bound.
        limit: usize,
    },
    /// The same, in bytes.
    #[error("its manifests have more than {limit} bytes with everything that refers to it")]
    LargeManifests {
        /// The bound.
        limit: usize,
    },
    /// A referrer without a subject was to be attached, or with another one.
    #[error("the manifest to attach does not name {subject} as its subject")]
    NotAReferrer {
        /// The subject it was to be attached to.
        subject: Digest,
    },
}
