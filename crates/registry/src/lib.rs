//! OCI registry client.

mod blob_source;

pub use blob_source::BlobSource;
