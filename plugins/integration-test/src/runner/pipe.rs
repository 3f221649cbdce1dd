//! One output stream of a command.

use granary_redact::Redactor;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::lines::{LONGEST_LINE, Lines};

/// A pipe and the unfinished line in it.
pub(super) struct Pipe<'r, R> {
    reader: Option<R>,
    buffer: Box<[u8]>,
    filled: usize,
    /// Something came since the last look.
    busy: bool,
    lines: Lines<'r>,
}

impl<'r, R: AsyncRead + Unpin> Pipe<'r, R> {
    pub(super) fn new(reader: R, redactor: &'r Redactor) -> Self {
        let buffer = vec![0; LONGEST_LINE].into_boxed_slice();
        Pipe { reader: Some(reader), buffer, filled: 0, busy: false, lines: Lines::new(redactor) }
    }

    pub(super) fn is_open(&self) -> bool {
        self.reader.is_some()
    }

    /// Waits for something to show. A pipe that cannot be read is at its end.
    pub(super) async fn read(&mut self) {
        if let Some(reader) = &mut self.reader {
            self.filled = reader.read(&mut self.buffer).await.unwrap_or(0);
        }
    }

    pub(super) fn show(&mut self, out: &mut dyn FnMut(&str)) {
        self.busy = true;
        match self.filled {
            0 => self.reader = None,
            filled => self.lines.feed(&self.buffer[..filled], out),
        }
    }

    pub(super) fn pause(&mut self, out: &mut dyn FnMut(&str)) {
        if !std::mem::take(&mut self.busy) {
            self.lines.pause(out);
        }
    }

    pub(super) fn finish(&mut self, out: &mut dyn FnMut(&str)) {
        self.lines.finish(out);
    }
}
