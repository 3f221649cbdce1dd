//! Cuts what a command writes into lines, with secrets taken out.
//!
//! Pure, in constant memory. Refuses to hand out a text before a secret that begins in it can be seen
//! whole: reads end anywhere, and half a secret is not masked.

use granary_redact::Redactor;

/// Longest piece of a line that is handed out. Woodpecker itself cuts lines at 1 MiB.
pub const LONGEST_LINE: usize = 64 * 1024;

/// What stands behind a piece whose line goes on in the next one.
pub const CUT_MARK: &str = " […]";

/// How much of an unfinished line stays back when a piece is cut off: no shorter than the longest secret,
/// which is an RSA key in base64 (about 5 KiB).
const HELD_BACK: usize = 16 * 1024;

/// The unfinished line of one stream.
///
/// # Design
/// A carriage return ends a line just as a line feed does, so a progress bar becomes lines and nothing is
/// lost; `\r\n` is one ending, also when a read splits it, and what is empty before a lone `\r` is dropped.
pub(super) struct Lines<'r> {
    redactor: &'r Redactor,
    unfinished: Vec<u8>,
    /// The last byte was a `\r` that has already ended a line.
    ended_by_return: bool,
}

impl<'r> Lines<'r> {
    pub(super) fn new(redactor: &'r Redactor) -> Self {
        Lines { redactor, unfinished: Vec::new(), ended_by_return: false }
    }

    /// Takes what was read and hands out every line that it ends.
    pub(super) fn feed(&mut self, mut bytes: &[u8], out: &mut dyn FnMut(&str)) {
        while let Some(at) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.append(&bytes[..at], out);
            let is_return = bytes[at] == b'\r';
            bytes = &bytes[at + 1..];
            if self.unfinished.is_empty() {
                // A `\r` on its own goes back over nothing; a `\n` behind one that ended a line is half of `\r\n`.
                if !is_return && !self.ended_by_return {
                    out("");
                }
                self.ended_by_return = false;
            } else {
                self.finish(out);
                self.ended_by_return = is_return;
            }
        }
        if !bytes.is_empty() {
            self.ended_by_return = false;
            self.append(bytes, out);
        }
    }

    /// Hands out what there is of a line that does not go on for now, up to its last blank: a secret holds
    /// none, so none is cut in two. (One made of several words can be; it is masked as long as the command
    /// writes it in one go.)
    pub(super) fn pause(&mut self, out: &mut dyn FnMut(&str)) {
        let blank = self.unfinished.iter().rposition(u8::is_ascii_whitespace);
        if let Some(at) = blank {
            let rest = self.unfinished.split_off(at + 1);
            self.finish(out);
            self.unfinished = rest;
        }
    }

    /// Hands out the rest at the end of the stream.
    pub(super) fn finish(&mut self, out: &mut dyn FnMut(&str)) {
        if !self.unfinished.is_empty() {
            let cleaned = self.redactor.clean(&String::from_utf8_lossy(&self.unfinished));
            self.unfinished.clear();
            let last = all_but_last(&cleaned, out);
            out(last);
        }
    }

    fn append(&mut self, mut bytes: &[u8], out: &mut dyn FnMut(&str)) {
        const ENOUGH: usize = LONGEST_LINE + HELD_BACK;
        while self.unfinished.len() + bytes.len() > ENOUGH {
            let (now, later) = bytes.split_at(ENOUGH - self.unfinished.len());
            self.unfinished.extend_from_slice(now);
            bytes = later;
            self.cut(out);
        }
        self.unfinished.extend_from_slice(bytes);
    }

    /// Hands out the beginning of a line that is too long. What stays was masked already as far as it could
    /// be seen; the beginning of a secret at its very end is still there, and meets its rest.
    fn cut(&mut self, out: &mut dyn FnMut(&str)) {
        let whole = self.unfinished.len() - broken_character(&self.unfinished);
        let broken = self.unfinished.split_off(whole);
        let cleaned = self.redactor.clean(&String::from_utf8_lossy(&self.unfinished));
        // Masking shortens: what is left may be too little to cut. A byte that is no text becomes a character
        // of three, so it may also be more than one piece.
        let (shown, held_back) =
            cleaned.split_at(cleaned.floor_char_boundary(cleaned.len().saturating_sub(HELD_BACK)));
        let last = all_but_last(shown, out);
        if !last.is_empty() {
            out(&format!("{last}{CUT_MARK}"));
        }
        self.unfinished = held_back.as_bytes().to_vec();
        self.unfinished.extend_from_slice(&broken);
    }
}

/// Hands out pieces of `text`, marked, up to the last one, which it returns.
fn all_but_last<'t>(text: &'t str, out: &mut dyn FnMut(&str)) -> &'t str {
    let mut rest = text;
    while rest.len() > LONGEST_LINE {
        let (piece, later) = rest.split_at(rest.floor_char_boundary(LONGEST_LINE));
        out(&format!("{piece}{CUT_MARK}"));
        rest = later;
    }
    rest
}

/// How many bytes at the end begin a character whose rest has not come yet.
fn broken_character(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    let Some(start) = tail.iter().rposition(|byte| byte & 0b1100_0000 != 0b1000_0000) else { return 0 };
    let length = match tail[start] {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => 1,
    };
    let there = tail.len() - start;
    if there < length { there } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use granary_redact::Secret;

    fn lines_of(chunks: &[&[u8]]) -> Vec<String> {
        let mut redactor = Redactor::new();
        redactor.add(&Secret::new("hunter2-hunter2"));
        let mut lines = Lines::new(&redactor);
        let mut seen = Vec::new();
        for chunk in chunks {
            lines.feed(chunk, &mut |line| seen.push(line.to_owned()));
        }
        lines.finish(&mut |line| seen.push(line.to_owned()));
        seen
    }

    #[test]
    fn lines_end_where_a_terminal_ends_them() {
        let table: [(&[&[u8]], &[&str]); 12] = [
            (&[b"a\nb\n"], &["a", "b"]),
            (&[b"a\n\nb"], &["a", "", "b"]),
            (&[b"a", b"b\nc"], &["ab", "c"]),
            (&[b"a\r\nb\r\n"], &["a", "b"]),
            (&[b"a\r", b"\nb"], &["a", "b"]),
            (&[b"a\n\r\nb"], &["a", "", "b"]),
            (&[b"a\r\n\nb"], &["a", "", "b"]),
            (&[b"\r10%\r20%\r100%\ndone"], &["10%", "20%", "100%", "done"]),
            (&[b"\n"], &[""]),
            (&[b""], &[]),
            (&[b"\xff\xfe\n"], &["\u{fffd}\u{fffd}"]),
            (&[b"\xc3", b"\xbc\n"], &["ü"]),
        ];
        for (chunks, expected) in table {
            assert_eq!(lines_of(chunks), expected, "{chunks:?}");
        }
    }

    #[test]
    fn a_secret_is_masked_wherever_the_reads_end() {
        let text = b"x hunter2-hunter2 y\n";
        for at in 0..text.len() {
            assert_eq!(lines_of(&[&text[..at], &text[at..]]), ["x *** y"], "{at}");
        }
    }

    #[test]
    fn a_secret_is_masked_wherever_a_long_line_is_cut() {
        let secret = "hunter2-hunter2";
        for edge in [LONGEST_LINE, HELD_BACK, LONGEST_LINE + HELD_BACK, 2 * LONGEST_LINE] {
            for before in (edge - secret.len() - 2)..(edge + 2) {
                let text = format!("{}{secret}{}\n", "x".repeat(before), "y".repeat(3 * LONGEST_LINE));
                let lines = lines_of(&[text.as_bytes()]);
                let joined: String = lines.iter().map(|line| line.trim_end_matches(CUT_MARK)).collect();
                assert!(!joined.contains("hunter2"), "{before}");
                assert_eq!(joined, text.trim_end().replace(secret, "***"), "{before}");
                assert!(lines.iter().all(|line| line.len() <= LONGEST_LINE + CUT_MARK.len()), "{before}");
            }
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_marked() {
        let text = "ü€😀".repeat(20_000);
        // Chunks that end within characters.
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(1001).collect();
        let lines = lines_of(&chunks);
        assert_eq!(lines.iter().map(|line| line.trim_end_matches(CUT_MARK)).collect::<String>(), text);
        let (last, cut) = lines.split_last().unwrap();
        assert!(
            cut.len() >= 2 && cut.iter().all(|line| line.ends_with(CUT_MARK)) && !last.ends_with(CUT_MARK)
        );
    }

    /// Any bytes, in reads of any size: nothing is lost, and no piece is longer than it may be.
    #[test]
    fn bytes_that_are_no_text_come_out_whole() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut texts = vec![
            b"\xe9a".repeat(90_000),
            b"\xff".repeat(300_000),
            b"\xe2\x82".repeat(150_000),
            b"\xf0\x9f\x98".repeat(100_000),
            b"\x80".repeat(300_000),
        ];
        // Bytes from few to all values, so that there are lines of every length.
        for few in [4, 16, 64, 256, 256, 256] {
            let letters: Vec<u8> = (0..few).map(|_| (random() % 256) as u8).collect();
            let byte = |number: u64| match number % 40_000 {
                0 => b'\n',
                number => letters[number as usize % letters.len()],
            };
            texts.push((0..400_000).map(|_| byte(random() >> 8)).filter(|&byte| byte != b'\r').collect());
        }
        for text in texts {
            let whole = String::from_utf8_lossy(&text);
            for longest_read in [1, 7, 4096, 100_000, 1_000_000] {
                let (mut chunks, mut rest) = (Vec::new(), text.as_slice());
                while !rest.is_empty() {
                    let length = 1 + usize::try_from(random() % longest_read).unwrap();
                    let (chunk, later) = rest.split_at(length.min(rest.len()));
                    chunks.push(chunk);
                    rest = later;
                }
                let mut joined = String::new();
                for line in lines_of(&chunks) {
                    assert!(line.len() <= LONGEST_LINE + CUT_MARK.len());
                    match line.strip_suffix(CUT_MARK) {
                        Some(piece) => joined.push_str(piece),
                        None => joined.extend([line.as_str(), "\n"]),
                    }
                }
                assert!(joined.strip_suffix('\n') == Some(whole.trim_end_matches('\n')), "{longest_read}");
            }
        }
    }

    #[test]
    fn a_line_of_nothing_but_secrets_does_not_grow() {
        let lines = lines_of(&["hunter2-hunter2".repeat(100_000).as_bytes()]);
        let joined: String = lines.iter().map(|line| line.trim_end_matches(CUT_MARK)).collect();
        assert_eq!(joined, "*".repeat(300_000));
    }

    #[test]
    fn a_line_without_end_takes_constant_memory() {
        let redactor = Redactor::new();
        let mut lines = Lines::new(&redactor);
        let mut shown = 0;
        for _ in 0..200 {
            lines.feed(&[b'x'; LONGEST_LINE], &mut |line| shown += line.trim_end_matches(CUT_MARK).len());
            assert!(lines.unfinished.capacity() <= 2 * (LONGEST_LINE + HELD_BACK));
        }
        assert!(shown >= 199 * LONGEST_LINE - HELD_BACK, "{shown}");
    }

    #[test]
    fn a_pause_shows_what_cannot_be_half_a_secret() {
        let mut redactor = Redactor::new();
        redactor.add(&Secret::new("hunter2-hunter2"));
        let mut lines = Lines::new(&redactor);
        let mut seen = Vec::new();
        lines.feed(b"waiting for hunter2-", &mut |line| seen.push(line.to_owned()));
        lines.pause(&mut |line| seen.push(line.to_owned()));
        assert_eq!(seen, ["waiting for "]);
        lines.pause(&mut |line| seen.push(line.to_owned()));
        lines.feed(b"hunter2 now\n", &mut |line| seen.push(line.to_owned()));
        assert_eq!(seen, ["waiting for ", "*** now"]);
    }
}
