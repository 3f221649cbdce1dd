//! What a registry's answers have shown of what it can do, so that nothing is tried twice in vain.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::upload::{LearntChunk, TooLarge};

/// What the registry turned out to be able to do.
#[derive(Default)]
pub(crate) struct Learnt {
    pub(crate) referrers_api: Fact,
    pub(crate) oci_tag: Fact,
    pub(crate) refuses_nested_indexes: Fact,
    /// Index into the ways of uploading; grows when one is refused.
    pub(crate) upload_method: AtomicU8,
    /// The sizes that are too large to be sent whole.
    pub(crate) too_large: TooLarge,
    /// The size of ranged chunks that is not refused.
    pub(crate) chunk_bytes: LearntChunk,
}

/// Yes, no, or not known yet.
#[derive(Default)]
pub(crate) struct Fact(AtomicU8);

impl Fact {
    pub(crate) fn get(&self) -> Option<bool> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            known => Some(known == 2),
        }
    }

    pub(crate) fn set(&self, value: bool) {
        self.0.store(if value { 2 } else { 1 }, Ordering::Relaxed);
    }
}
