//! How the bytes of a source are read, checked, and read again from the middle.
//!
//! # Design
//! A blob is hashed over its whole length in the order of its bytes, whatever became of the upload: hash
//! states are kept along the way, and reading that begins again in the middle begins at such a state. What is
//! read twice has to be the same both times, which is compared at the place that the first reading had
//! reached. So no upload is completed whose content this side has not seen whole, also where it comes from a
//! registry that is not ours.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use granary_net::StatusCode;
use granary_oci::{Descriptor, Digest, Digester, Repository};
use tokio::sync::mpsc;

use super::SourceError;
use crate::client::Registry;
use crate::error::RegistryError;

/// Bytes per read: a quarter of the CPU time of 64 KiB reads, and more brings nothing.
pub(super) const PIECE_BYTES: usize = 256 * 1024;

/// Bytes between two kept hash states: as many are read again at most before content goes on. A state has a
/// hundred bytes, so those of 10 GiB have 280 KB.
const MARK_BYTES: u64 = 4 * 1024 * 1024;

/// How far one blob has been read, with hash states on the way.
#[derive(Clone, Default)]
pub(crate) struct Trail(Arc<Mutex<Marks>>);

#[derive(Default)]
struct Marks {
    kept: Vec<(u64, Digester)>,
    latest: Option<(u64, Digester)>,
    whole: bool,
}

impl Trail {
    /// How many bytes have been read, the last of them perhaps not sent.
    pub(crate) fn length(&self) -> u64 {
        self.marks().latest.as_ref().map_or(0, |(length, _)| *length)
    }

    /// Whether a registry may have the first `at` of `size` bytes: never more than was read, and all of them
    /// only when the whole was found to be right, for the last piece is held back until then.
    pub(crate) fn allows(&self, at: u64, size: u64) -> bool {
        at <= self.length() && (at < size || self.marks().whole)
    }

    fn note(&self, length: u64, digester: &Digester) {
        let mut marks = self.marks();
        if marks.latest.as_ref().is_none_or(|(before, _)| *before < length) {
            marks.latest = Some((length, digester.clone()));
            let last_kept = marks.kept.last().map_or(0, |(at, _)| *at);
            if length >= last_kept + MARK_BYTES {
                marks.kept.push((length, digester.clone()));
            }
        }
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts and hashes what goes by.
pub(super) struct Check {
    expected: Digest,
    expected_size: u64,
    digester: Digester,
    /// Where the next byte stands in the blob.
    position: u64,
    /// Where an earlier reading had come to, and what the content up to there hashes to.
    seen: Option<(u64, Digest)>,
    trail: Trail,
}

impl Check {
    /// A check that begins at the last kept place at or before `from`.
    pub(super) fn new(descriptor: &Descriptor, from: u64, trail: &Trail) -> Self {
        let marks = trail.marks();
        let kept = marks.kept.iter().rev().find(|(at, _)| *at <= from).cloned();
        let (position, digester) = kept.unwrap_or_else(|| (0, descriptor.digest.digester()));
        let seen = marks.latest.as_ref().map(|(at, digester)| (*at, digester.clone().finish()));
        Check {
            expected: descriptor.digest.clone(),
            expected_size: descriptor.size,
            digester,
            position,
            seen: seen.filter(|(at, _)| *at > position),
            trail: trail.clone(),
        }
    }

    /// Takes a piece in. Stops at once when there is more than announced.
    fn take(&mut self, piece: &[u8]) -> Result<(), SourceError> {
        let end = self.position + piece.len() as u64;
        if end > self.expected_size {
            return Err(SourceError::Size { expected: self.expected_size, actual: end });
        }
        let mut rest = piece;
        if let Some((at, digest)) = self.seen.take_if(|(at, _)| *at <= end) {
            let known = usize::try_from(at - self.position).unwrap_or(usize::MAX).min(piece.len());
            self.digester.update(&piece[..known]);
            if self.digester.clone().finish() != digest {
                return Err(SourceError::Changed { expected: self.expected.clone() });
            }
            rest = &piece[known..];
        }
        self.digester.update(rest);
        self.position = end;
        self.trail.note(end, &self.digester);
        Ok(())
    }

    /// Takes the last piece in and compares.
    pub(super) fn finish(&mut self, last: &[u8]) -> Result<(), SourceError> {
        self.take(last)?;
        if self.position != self.expected_size {
            return Err(SourceError::Size { expected: self.expected_size, actual: self.position });
        }
        let actual = self.digester.clone().finish();
        match actual == self.expected {
            true => {
                self.trail.marks().whole = true;
                Ok(())
            }
            false => Err(SourceError::Lies { expected: self.expected.clone(), actual }),
        }
    }
}

/// Where pieces go; those before `from` were sent already, and are only checked.
pub(super) struct Outlet {
    pub(super) sender: mpsc::Sender<Result<Bytes, SourceError>>,
    pub(super) from: u64,
}

impl Outlet {
    /// The part of a piece that is still to be sent, if any.
    fn wanted(&self, piece_begins: u64, mut piece: Bytes) -> Option<Bytes> {
        let known = self.from.saturating_sub(piece_begins).min(piece.len() as u64);
        let wanted = piece.split_off(usize::try_from(known).unwrap_or(usize::MAX));
        (!wanted.is_empty()).then_some(wanted)
    }
}

/// What is in memory is checked in one go.
pub(super) async fn read_bytes(bytes: Bytes, mut check: Check, outlet: Outlet) {
    let begin = usize::try_from(check.position).unwrap_or(usize::MAX).min(bytes.len());
    let rest = bytes.slice(begin..);
    let piece = check.finish(&rest).map(|()| rest);
    // The upload may have ended without wanting the content.
    match piece {
        Ok(piece) => {
            if let Some(wanted) = outlet.wanted(begin as u64, piece) {
                let _ = outlet.sender.send(Ok(wanted)).await;
            }
        }
        Err(error) => drop(outlet.sender.send(Err(error)).await),
    }
}

pub(super) fn read_file(path: &Path, offset: u64, mut check: Check, outlet: &Outlet) {
    let fail = |source| SourceError::Read { path: path.to_owned(), source };
    let mut read = || -> Result<(), SourceError> {
        let mut file = File::open(path).map_err(fail)?;
        file.seek(SeekFrom::Start(offset + check.position)).map_err(fail)?;
        let mut left = check.expected_size - check.position;
        if left == 0 {
            check.finish(&[])?;
        }
        while left > 0 {
            let mut piece = vec![0; left.min(PIECE_BYTES as u64) as usize];
            match file.read_exact(&mut piece) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    let actual = file.metadata().map_err(fail)?.len().saturating_sub(offset);
                    return Err(SourceError::Size { expected: check.expected_size, actual });
                }
                Err(error) => return Err(fail(error)),
            }
            let begins = check.position;
            left -= piece.len() as u64;
            match left {
                0 => check.finish(&piece)?,
                _ => check.take(&piece)?,
            }
            if let Some(wanted) = outlet.wanted(begins, piece.into())
                && outlet.sender.blocking_send(Ok(wanted)).is_err()
            {
                // Nobody listens any more: the upload ended without wanting the rest.
                return Ok(());
            }
        }
        Ok(())
    };
    if let Err(error) = read() {
        let _ = outlet.sender.blocking_send(Err(error));
    }
}

pub(super) async fn read_remote(
    registry: &Registry,
    repository: &Repository,
    descriptor: &Descriptor,
    mut check: Check,
    outlet: &Outlet,
) -> Result<(), SourceError> {
    let remote = |source| SourceError::Remote { source: Box::new(source) };
    let (mut response, mut unwanted) = match check.position {
        0 => (registry.open_blob(repository, descriptor, None).await.map_err(remote)?, 0),
        from => match registry.open_blob(repository, descriptor, Some(from)).await {
            Ok(response) => {
                let begins = response.status() == StatusCode::PARTIAL_CONTENT;
                (response, if begins { 0 } else { from })
            }
            // No parts are given out there: from the beginning then, for nothing.
            Err(RegistryError::Status { .. } | RegistryError::Protocol { .. }) => {
                (registry.open_blob(repository, descriptor, None).await.map_err(remote)?, from)
            }
            Err(error) => return Err(remote(error)),
        },
    };
    let mut held = Bytes::new();
    while let Some(mut piece) =
        response.chunk().await.map_err(|source| SourceError::Broken { source: Box::new(source) })?
    {
        let known = unwanted.min(piece.len() as u64);
        unwanted -= known;
        let piece = piece.split_off(usize::try_from(known).unwrap_or(usize::MAX));
        if piece.is_empty() {
            continue;
        }
        if !held.is_empty() {
            let begins = check.position;
            check.take(&held)?;
            if let Some(wanted) = outlet.wanted(begins, held)
                && outlet.sender.send(Ok(wanted)).await.is_err()
            {
                return Ok(());
            }
        }
        held = piece;
    }
    let begins = check.position;
    check.finish(&held)?;
    if let Some(wanted) = outlet.wanted(begins, held) {
        let _ = outlet.sender.send(Ok(wanted)).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|number| (number % 251) as u8).collect()
    }

    #[test]
    fn reading_goes_on_at_a_kept_state_and_must_be_the_same_as_before() {
        let content = bytes(10_000_000);
        let descriptor = Descriptor::of("x", &content);
        let trail = Trail::default();
        let mut first = Check::new(&descriptor, 0, &trail);
        for piece in content[..9_500_000].chunks(PIECE_BYTES) {
            first.take(piece).unwrap();
        }
        assert_eq!(trail.length(), 9_500_000);
        let size = descriptor.size;
        assert!(trail.allows(9_500_000, size) && !trail.allows(9_500_001, size));
        // The states lie at the ends of pieces.
        let state = 8_388_608;
        let mut again = Check::new(&descriptor, 9_000_000, &trail);
        assert_eq!(again.position, state);
        again.finish(&content[state as usize..]).unwrap();
        assert!(trail.allows(size, size) && !trail.allows(size + 1, size));

        let mut other = content.clone();
        other[9_100_000] ^= 1;
        let mut changed = Check::new(&descriptor, 9_000_000, &trail);
        changed.seen = Some((9_500_000, Digest::of(&content[..9_500_000])));
        let error = changed.take(&other[state as usize..]).unwrap_err();
        assert!(matches!(error, SourceError::Changed { .. }), "{error}");

        let trail = Trail::default();
        Check::new(&descriptor, 0, &trail).finish(&other).unwrap_err();
        assert_eq!(trail.length(), size);
        assert!(!trail.allows(size, size), "all of it was read, and is something else");
    }

    #[test]
    fn what_was_sent_is_not_sent_again() {
        let (sender, _receiver) = mpsc::channel(1);
        let outlet = Outlet { sender, from: 10 };
        let piece = || Bytes::from_static(b"01234567");
        assert_eq!(outlet.wanted(0, piece()), None);
        assert_eq!(outlet.wanted(8, piece()).unwrap(), "234567");
        assert_eq!(outlet.wanted(10, piece()).unwrap(), "01234567");
        assert_eq!(outlet.wanted(16, piece()).unwrap(), "01234567");
    }
}
