//! Layer bytes: tar, gzip, noise.

use std::io::Write as _;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

/// A tar of these files, mode 0755, owner and time 0.
#[must_use]
pub fn tar_of(files: &[(&str, &[u8])]) -> Bytes {
    let mut tar = Vec::new();
    for (path, bytes) in files {
        append(&mut tar, path, EntryType::Regular, "", bytes, bytes.len() as u64);
    }
    finish(tar)
}

/// Appends one entry, whatever its path and declared size say: the tar crate's own writer refuses what tests need.
pub(super) fn append(tar: &mut Vec<u8>, path: &str, kind: EntryType, target: &str, bytes: &[u8], size: u64) {
    let mut header = Header::new_ustar();
    let name = &mut header.as_old_mut().name;
    assert!(path.len() <= name.len(), "{path} is too long for a plain tar header");
    name[..path.len()].copy_from_slice(path.as_bytes());
    let link = &mut header.as_old_mut().linkname;
    assert!(target.len() <= link.len(), "{target} is too long for a plain tar header");
    link[..target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    tar.extend_from_slice(header.as_bytes());
    tar.extend_from_slice(bytes);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

/// Two zero blocks end a tar.
pub(super) fn finish(mut tar: Vec<u8>) -> Bytes {
    tar.resize(tar.len() + 1024, 0);
    Bytes::from(tar)
}

pub(super) fn gzip(plain: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let written = encoder.write_all(plain).and_then(|()| encoder.finish());
    Bytes::from(written.expect("writing to memory cannot fail"))
}

/// `size` bytes that do not compress, the same for the same seed.
#[must_use]
pub fn random_bytes(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 32);
    let mut counter = 0_u64;
    while bytes.len() < size {
        let block = Sha256::new().chain_update(seed.to_be_bytes()).chain_update(counter.to_be_bytes());
        bytes.extend_from_slice(&block.finalize());
        counter += 1;
    }
    bytes.truncate(size);
    bytes
}
