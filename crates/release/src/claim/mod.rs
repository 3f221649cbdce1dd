//! Claims: how one promoter alone gets a version from a store that cannot compare and swap (DESIGN §9).
//!
//! Registries answer two writers of one tag with "created", both. What they do have is a list: whoever
//! writes its intent *before* it lists is seen by everybody who lists later, so of two the later one
//! sees the earlier and gives way. [`Claiming`] is that protocol as a state machine. It asks for
//! requests and is told their answers; it has no clock and refuses to guess where an answer is missing.
//! `tests/claims.rs` explores it exhaustively. promote drives it; nobody else writes claims.
//!
//! # The rule, where DESIGN leaves room
//!
//! - **Taken** is a version with `X.Y.Z` or `set-X.Y.Z`. The set says whose it is before anybody sees
//!   it, so a newer candidate that has written its set supersedes like a stable one: its claim is
//!   settled and no longer read, and for a moment nothing else would tell that it is there.
//! - **The highest stable** cannot be the last word on order when it was *given*: 2.0.0 for an old
//!   commit says nothing about 1.0.7, which a newer one has. From a given version the look goes on to
//!   the next lower one, down to the first derived; its claim says which it is, and is the only
//!   settled claim that is read. Where retention has taken that claim, the version passes as derived.
//! - **Own claims** are those of the same set: two runs of one set share the claim's tag, and the later
//!   one overwrites what the earlier wrote. A second listing cannot tell them from each other, so a
//!   run that has moved to a higher version and one that stays could both publish. Hence a third
//!   listing, after `set-X.Y.Z` and before the first `X.Y.Z`: the one that moves claims and then looks
//!   for the set, the one that stays writes the set and then looks for claims, and one sees the other.
//! - **Another live claim for our own commit** ends a run where both are derived. A Git tag's version
//!   stands beside the derived one (a commit may have both), and `git push --follow-tags` starts both
//!   pipelines at once, so given and derived ones of one set do not stop each other. They share the claim's
//!   tag where they want the same version, and the later one's kind is what is read; hence any live claim of
//!   *another* set of the commit ends a derived run.
//! - **A version that was put there by hand**, with the given version's bytes, is claimed like a free one:
//!   another set may share those bytes, and differ in another member.
//! - **A rerun that cannot keep its earlier run's version** ends with 11 until that run's claim has
//!   lapsed: nothing tells a killed run from one that is about to publish.
//! - **Lapsed claims** do not stop a given version, whatever their kind, and those of given versions
//!   do not push derived ones up. Lapsed derived ones do: they are known by their tag alone.
//! - **Claims of other branches** count for numbers only. Two candidates of one branch that have no
//!   order numbers, or equal ones, cannot be told apart: undecidable, as with stable versions.
//! - **Thirty minutes** run from a run's first claim, however often it moves.

mod machine;
mod manifest;
mod name;
mod view;

#[cfg(test)]
mod tests;

pub use machine::{ClaimConflict, Claimant, Claiming, MAX_CLAIMS, Next, Reads, Wanted};
pub use manifest::{CLAIM_ARTIFACT_TYPE, CLAIM_LIFETIME, CLAIM_WRITES, Claim, ClaimError, ClaimKind};
pub use name::ClaimName;
