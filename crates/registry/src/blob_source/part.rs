//! A stretch of a blob as a request body: a ranged chunk.
//!
//! # Design
//! Chunks follow each other in one reading of the source, which each hands on to the next: nothing is read
//! twice as long as all goes well, and no chunk is held in memory, however large the registry wants them.
//! Where a chunk has to be sent again the source is opened again.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use granary_net::{Body, BodyStream};
use granary_oci::Descriptor;

use super::{BlobSource, Pieces, SENT_AT_ONCE, SourceError, Trail};

/// The bytes of a blob from one place on, this many.
pub(crate) struct Part<'a> {
    pub(crate) source: &'a BlobSource,
    pub(crate) descriptor: &'a Descriptor,
    pub(crate) trail: &'a Trail,
    pub(crate) from: u64,
    pub(crate) length: u64,
}

/// The reading that a part goes on in, and the one that it leaves behind.
#[derive(Default)]
struct Readings {
    before: Option<Pieces>,
    after: Option<Pieces>,
}

/// Where a part leaves its reading when all of it has been handed over.
pub(crate) struct Left(Arc<Mutex<Readings>>);

impl Left {
    /// The reading, behind the part.
    pub(crate) fn take(&self) -> Option<Pieces> {
        lock(&self.0).after.take()
    }
}

impl Part<'_> {
    /// The body; it reads on in `pieces`, which stand at the part's beginning.
    pub(crate) fn body(&self, pieces: Pieces) -> (Body, Left) {
        let readings = Arc::new(Mutex::new(Readings { before: Some(pieces), after: None }));
        let (source, descriptor, trail) = (self.source.clone(), self.descriptor.clone(), self.trail.clone());
        let (from, length, shared) = (self.from, self.length, readings.clone());
        let open = move || -> BodyStream {
            let before = lock(&shared).before.take();
            let pieces = before.unwrap_or_else(|| source.open(&descriptor, from, &trail));
            stream(pieces, length, shared.clone())
        };
        (Body::Stream { length, open: Arc::new(open) }, Left(readings))
    }
}

fn stream(pieces: Pieces, length: u64, readings: Arc<Mutex<Readings>>) -> BodyStream {
    let state = (Some(pieces), length, readings);
    Box::pin(futures_util::stream::unfold(state, |(pieces, mut left, readings)| async move {
        // With the last byte the reading is handed on, so there is none at the end.
        let mut pieces = pieces?;
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(SENT_AT_ONCE);
        let piece = match pieces.next_up_to(wanted).await.unwrap_or(Err(SourceError::Stopped)) {
            Ok(piece) => piece,
            Err(error) => return Some((Err(io::Error::other(error)), (None, left, readings))),
        };
        left -= piece.len() as u64;
        let mut going_on = Some(pieces);
        if left == 0 {
            lock(&readings).after = going_on.take();
        }
        Some((Ok(piece), (going_on, left, readings)))
    }))
}

fn lock(readings: &Mutex<Readings>) -> MutexGuard<'_, Readings> {
    readings.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    async fn read(body: &Body) -> Vec<u8> {
        let Body::Stream { length, open } = body else { panic!("held in memory") };
        let mut stream = open();
        let mut content = Vec::new();
        while let Some(piece) = stream.next().await {
            let piece = piece.unwrap();
            assert!(piece.len() <= SENT_AT_ONCE, "a slow line would not be seen to move: {}", piece.len());
            content.extend_from_slice(&piece);
        }
        assert_eq!(content.len() as u64, *length);
        content
    }

    #[tokio::test]
    async fn parts_follow_each_other_in_one_reading_and_can_be_read_again() {
        let content: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
        let descriptor = Descriptor::of("x", &content);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blob");
        std::fs::write(&path, &content).unwrap();
        for source in [BlobSource::Bytes(content.clone().into()), BlobSource::File { path, offset: 0 }] {
            let trail = Trail::default();
            let part =
                |from, length| Part { source: &source, descriptor: &descriptor, trail: &trail, from, length };
            let (body, left) = part(0, 1_000_001).body(source.open(&descriptor, 0, &trail));
            assert!(left.take().is_none(), "nothing has been read yet");
            assert_eq!(read(&body).await, content[..1_000_001]);
            let (body, after) = part(1_000_001, 1_999_999).body(left.take().unwrap());
            assert_eq!(read(&body).await, content[1_000_001..]);
            assert!(trail.allows(descriptor.size, descriptor.size));
            assert_eq!(read(&body).await, content[1_000_001..], "again");
            assert!(after.take().is_some());
        }
    }
}
