//! What a transfer did, and what it did not have to do.

use std::collections::BTreeSet;
use std::fmt;

use granary_oci::Repository;

use super::BlobFate;
use crate::plan::{ByteCount, TransferPlan, counted};

/// What was done. `Display` says it on one line: `3 blobs sent (12.4 MiB), 5 mounted from acme/base,
/// 2 there already`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransferReport {
    /// The top was there already, and with it everything below it: nothing of that was looked at.
    pub top_present: bool,
    /// Blobs that were there: known from a manifest or an earlier transfer, or found by a look.
    pub blobs_present: usize,
    /// Those of them that were known without a request.
    pub blobs_known: usize,
    /// Bytes of the blobs that were there.
    pub bytes_present: u64,
    /// Blobs mounted from another repository.
    pub blobs_mounted: usize,
    /// Their bytes.
    pub bytes_mounted: u64,
    /// The repositories that they were mounted from.
    pub mounted_from: BTreeSet<Repository>,
    /// Blobs sent.
    pub blobs_uploaded: usize,
    /// Their bytes.
    pub bytes_uploaded: u64,
    /// Manifests sent.
    pub manifests: usize,
    /// Those of them that refer to another one.
    pub referrers: usize,
    /// Manifests that were there: below the top, or listed as referrers of their subjects.
    pub manifests_present: usize,
}

impl TransferReport {
    pub(super) fn begin(plan: &TransferPlan) -> Self {
        TransferReport {
            top_present: plan.top_present(),
            manifests_present: plan.present().len(),
            ..TransferReport::default()
        }
    }

    pub(super) fn count(&mut self, fate: &BlobFate, size: u64) {
        match fate {
            BlobFate::Known | BlobFate::Found => {
                self.blobs_present += 1;
                self.bytes_present += size;
                self.blobs_known += usize::from(*fate == BlobFate::Known);
            }
            BlobFate::Mounted { from } => {
                self.blobs_mounted += 1;
                self.bytes_mounted += size;
                self.mounted_from.insert(from.clone());
            }
            BlobFate::Uploaded => {
                self.blobs_uploaded += 1;
                self.bytes_uploaded += size;
            }
        }
    }
}

impl fmt::Display for TransferReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.top_present {
            parts.push("there already".to_owned());
            if self.manifests > 0 {
                parts.push(format!("{} added", counted(self.manifests, "referrer")));
            }
        }
        if self.blobs_uploaded > 0 {
            let bytes = ByteCount(self.bytes_uploaded);
            parts.push(format!("{} sent ({bytes})", counted(self.blobs_uploaded, "blob")));
        }
        if self.blobs_mounted > 0 {
            let from: Vec<&str> = self.mounted_from.iter().map(Repository::as_str).collect();
            parts.push(format!("{} mounted from {}", self.blobs_mounted, from.join(", ")));
        }
        if self.blobs_present > 0 {
            parts.push(format!("{} there already", self.blobs_present));
        }
        if parts.is_empty() {
            parts.push(counted(self.manifests, "manifest") + " sent");
        }
        formatter.write_str(&parts.join(", "))
    }
}
