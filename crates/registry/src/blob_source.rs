//! Where a blob's bytes come from when it is uploaded.

use std::path::PathBuf;

use bytes::Bytes;

/// Bytes that can be opened again and again: a retried upload starts from the source, never from a
/// buffer that grew with the blob.
#[derive(Clone, Debug)]
pub enum BlobSource {
    /// Already in memory: configurations, evidence.
    Bytes(Bytes),
    /// A stretch of a file: a blob in an OCI layout, or an entry of an archive that is read in place.
    File {
        /// The file.
        path: PathBuf,
        /// Where the blob begins in it, in bytes. Its length is the descriptor's.
        offset: u64,
    },
}
