//! Files in the run's scratch folder, and gzip into them with constant memory.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use granary_oci::{Digest, Digester};
use tempfile::NamedTempFile;

use super::Problem;

/// The first bytes of gzip data (RFC 1952, 2.3.1).
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bytes read or written at a time.
pub(super) const BUFFER_BYTES: usize = 256 * 1024;

/// Most that one archive or layer is unpacked to, in bytes. Far above real images; it stops a small
/// file that unpacks without end from filling the disk or the day.
pub(super) const MAX_UNPACKED_BYTES: u64 = 64 * 1024 * 1024 * 1024;

/// A file that is deleted unless it is kept.
pub(super) struct ScratchFile {
    file: NamedTempFile,
}

impl ScratchFile {
    pub(super) fn create(folder: &Path, prefix: &str, suffix: &str) -> Result<Self, Problem> {
        let file = tempfile::Builder::new()
            .prefix(prefix)
            .suffix(suffix)
            .tempfile_in(folder)
            .map_err(|source| Problem::Scratch { path: folder.to_owned(), source })?;
        Ok(ScratchFile { file })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.file
            .as_file_mut()
            .write_all(bytes)
            .map_err(|source| Problem::Scratch { path: self.file.path().to_owned(), source })
    }

    /// Leaves the file in the scratch folder, which the run deletes as a whole.
    pub(super) fn keep(self) -> Result<PathBuf, Problem> {
        let path = self.file.path().to_owned();
        match self.file.keep() {
            Ok((_, path)) => Ok(path),
            Err(error) => Err(Problem::Scratch { path, source: error.error }),
        }
    }
}

/// A compressed file and what it is called.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub(super) path: PathBuf,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// Gzip into a scratch file. The header says nothing of time, name or host (as Go's writer does:
/// level 6, mtime 0, OS 255), so that equal content is an equal blob.
pub(super) struct Packer {
    /// Deflate is called with large pieces: a call for each 512-byte tar header would cost more than
    /// the header's compression.
    encoder: BufWriter<GzEncoder<Hashed<File>>>,
    file: ScratchFile,
}

impl Packer {
    pub(super) fn create(scratch: &Path) -> Result<Self, Problem> {
        let file = ScratchFile::create(scratch, "layer-", ".tar.gz")?;
        let writer = file
            .file
            .reopen()
            .map_err(|source| Problem::Scratch { path: file.file.path().to_owned(), source })?;
        let hashed = Hashed { inner: writer, digester: Digester::sha256(), size: 0 };
        let encoder = GzBuilder::new().mtime(0).operating_system(255).write(hashed, Compression::new(6));
        Ok(Packer { encoder: BufWriter::with_capacity(BUFFER_BYTES, encoder), file })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.encoder
            .write_all(bytes)
            .map_err(|source| Problem::Scratch { path: self.file.file.path().to_owned(), source })
    }

    pub(super) fn finish(self) -> Result<Packed, Problem> {
        let Packer { encoder, file } = self;
        let hashed = encoder
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(GzEncoder::finish)
            .map_err(|source| Problem::Scratch { path: file.file.path().to_owned(), source })?;
        Ok(Packed { path: file.keep()?, digest: hashed.digester.finish(), size: hashed.size })
    }
}

/// Hashes and counts what passes, in either direction.
pub(super) struct Hashed<Inner> {
    inner: Inner,
    digester: Digester,
    size: u64,
}

impl<Inner> Hashed<Inner> {
    pub(super) fn new(inner: Inner) -> Self {
        Hashed { inner, digester: Digester::sha256(), size: 0 }
    }

    pub(super) fn finish(self) -> (Digest, u64) {
        (self.digester.finish(), self.size)
    }

    fn take_in(&mut self, bytes: &[u8]) {
        self.digester.update(bytes);
        self.size += bytes.len() as u64;
    }
}

impl<Inner: Write> Write for Hashed<Inner> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.take_in(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<Inner: io::Read> io::Read for Hashed<Inner> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.take_in(&buffer[..count]);
        Ok(count)
    }
}
