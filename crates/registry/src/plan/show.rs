//! A plan as a person reads it.

use std::fmt;

use granary_oci::media_type;

use super::{BlobWay, PlannedBlob, PlannedManifest, TransferPlan};

/// A number of bytes, shown in binary units: `12.4 MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteCount(pub u64);

impl fmt::Display for ByteCount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match UNITS.iter().find(|(size, _)| self.0 >= *size) {
            Some((size, unit)) => write!(formatter, "{:.1} {unit}", self.0 as f64 / *size as f64),
            None => write!(formatter, "{} B", self.0),
        }
    }
}

/// `1 blob`, `2 blobs`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

impl TransferPlan {
    /// The plan line by line: what goes where, each blob, then the manifests with the round in which each
    /// is put. Digests are short but for the top's.
    pub fn lines(&self) -> Vec<String> {
        let place = format!("{}/{}@{}", self.host, self.repository, self.top);
        let mut lines = vec![format!("{place}: {}", self.summary())];
        lines.extend(self.blobs.iter().map(blob_line));
        for (round, manifests) in self.rounds.iter().enumerate() {
            lines.extend(manifests.iter().map(|manifest| manifest_line(round + 1, manifest)));
        }
        lines
    }

    fn summary(&self) -> String {
        if self.is_empty() {
            return "there already, nothing to do".to_owned();
        }
        let mut parts = Vec::new();
        if self.top_present {
            parts.push("there already".to_owned());
        }
        parts.push(format!("{} to put", counted(self.rounds.iter().map(Vec::len).sum(), "manifest")));
        for what in ["to mount", "to look for, else send", "to send", "known to be there"] {
            let sizes: Vec<u64> = self
                .blobs
                .iter()
                .filter(|blob| named(&blob.way) == what)
                .map(|blob| blob.descriptor.size)
                .collect();
            if !sizes.is_empty() {
                let bytes = ByteCount(sizes.iter().sum());
                parts.push(format!("{} {what} ({bytes})", counted(sizes.len(), "blob")));
            }
        }
        parts.join(", ")
    }
}

fn named(way: &BlobWay) -> &'static str {
    match way {
        BlobWay::Known => "known to be there",
        BlobWay::Mount { .. } => "to mount",
        BlobWay::Find => "to look for, else send",
        BlobWay::Upload => "to send",
    }
}

fn blob_line(blob: &PlannedBlob) -> String {
    let what = format!("{} {}", blob.descriptor.digest.short(), ByteCount(blob.descriptor.size));
    match &blob.way {
        BlobWay::Known => format!("  keep blob {what}"),
        BlobWay::Mount { from, .. } => format!("  mount blob {what} from {from}"),
        BlobWay::Find => format!("  send blob {what}, unless it is there"),
        BlobWay::Upload => format!("  send blob {what}"),
    }
}

fn manifest_line(round: usize, manifest: &PlannedManifest) -> String {
    let kind = if media_type::is_index(manifest.raw.media_type()) { "index" } else { "manifest" };
    let digest = manifest.raw.digest().short();
    match &manifest.subject {
        Some(subject) => {
            let kind = manifest.entry.artifact_type.as_deref().unwrap_or(kind);
            format!("  {round}. put {digest}, {kind} that refers to {}", subject.digest.short())
        }
        None => format!("  {round}. put {kind} {digest}"),
    }
}

impl fmt::Display for TransferPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.lines().join("\n"))
    }
}
