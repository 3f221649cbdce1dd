//! Versions, candidates, release sets, and the rules by which a candidate becomes stable.
//!
//! Pure: no network, no clock, no environment; `now` is an argument. What is decided here can be
//! read, tested and argued about without a registry.

pub mod claim;
mod commit;
mod evidence;
mod numbering;
mod order;
mod pattern;
mod rc_claim;
mod set;
mod tags;
mod version;

pub use commit::{CommitId, ParseCommitError};
pub use evidence::{EvidenceRules, MAX_BUNDLES, Rejection, TestOutcome, TestRun, Verdict, judge};
pub use numbering::{NumberingError, OnTaken, derived_version, next_base};
pub use order::{Standing, standing};
pub use pattern::{MAX_PATTERN_BYTES, NamePattern, ParsePatternError};
pub use rc_claim::{
    MAX_RC_CLAIMS, RC_CLAIM_ARTIFACT_TYPE, RcClaimError, RcClaimName, RcClaimant, RcNext, Sequence,
};
pub use set::{FoundSet, Member, ReleaseSet, SET_ARTIFACT_TYPE, SetError};
pub use tags::{TagKind, VersionTags, reserved};
pub use version::{Bump, Candidate, ParseVersionError, Version};
