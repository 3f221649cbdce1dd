//! Where a message of HTTP/1.1 ends: RFC 9112 §6, as far as registries and their clients use it.

/// Longer than any head of client or registry.
pub(crate) const LONGEST_HEAD: usize = 64 * 1024;

/// How many bytes of the buffer are a complete head with its empty line.
pub(crate) fn head_end(buffer: &[u8]) -> Option<usize> {
    buffer.windows(4).position(|four| four == b"\r\n\r\n").map(|position| position + 4)
}

/// The parts of a head that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The words of the first line: method, target, version; or version, status, reason.
    pub(crate) words: [String; 3],
    length: Option<u64>,
    chunked: bool,
}

impl Head {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n");
        let mut words = lines.next().unwrap_or_default().splitn(3, ' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        let mut head = Self { words: [word(), word(), word()], length: None, chunked: false };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                head.length = value.trim().parse().ok();
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.chunked = value.to_ascii_lowercase().contains("chunked");
            }
        }
        head
    }

    /// The body of this request.
    pub(crate) fn request_body(&self) -> Body {
        match (self.chunked, self.length) {
            (true, _) => Body::Chunked(Chunks::default()),
            (false, length) => Body::Length(length.unwrap_or(0)),
        }
    }

    /// The status of this answer.
    pub(crate) fn status(&self) -> Option<u16> {
        self.words[1].parse().ok()
    }

    /// The body of this answer to a request with `method`.
    pub(crate) fn answer_body(&self, method: &str) -> Body {
        if method == "HEAD" || matches!(self.status(), Some(100..=199 | 204 | 304)) {
            return Body::Length(0);
        }
        match (self.chunked, self.length) {
            (true, _) => Body::Chunked(Chunks::default()),
            (false, Some(length)) => Body::Length(length),
            (false, None) => Body::UntilClose,
        }
    }
}

/// What is still to come of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks, an empty one at the end.
    Chunked(Chunks),
    /// Everything until the connection is closed.
    UntilClose,
}

impl Body {
    /// How many of these bytes belong to it, and whether it is complete with them.
    pub(crate) fn accept(&mut self, bytes: &[u8]) -> (usize, bool) {
        match self {
            Self::Length(left) => {
                let count = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= count as u64;
                (count, *left == 0)
            }
            Self::Chunked(chunks) => chunks.accept(bytes),
            Self::UntilClose => (bytes.len(), false),
        }
    }
}

/// Follows the marks between chunks without touching anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunks {
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// In the line with the size; its digits so far, and whether an extension has begun.
    Size { size: u64, extension: bool },
    /// In a chunk, with its line end.
    Data { left: u64 },
    /// After the empty chunk: a trailer, until an empty line.
    Trailer { line: usize },
}

impl Default for State {
    fn default() -> Self {
        Self::Size { size: 0, extension: false }
    }
}

impl Chunks {
    fn accept(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while at < bytes.len() {
            match &mut self.state {
                State::Data { left } => {
                    let count =
                        usize::try_from(*left).map_or(bytes.len() - at, |left| left.min(bytes.len() - at));
                    *left -= count as u64;
                    at += count;
                    if *left == 0 {
                        self.state = State::default();
                    }
                }
                State::Size { size, extension } => {
                    match (bytes[at], char::from(bytes[at]).to_digit(16)) {
                        (b'\n', _) => {
                            let data = State::Data { left: size.saturating_add(2) };
                            self.state = if *size == 0 { State::Trailer { line: 0 } } else { data };
                        }
                        (_, Some(digit)) if !*extension => {
                            *size = size.saturating_mul(16).saturating_add(u64::from(digit));
                        }
                        (b'\r', _) => {}
                        _ => *extension = true,
                    }
                    at += 1;
                }
                State::Trailer { line } => {
                    let byte = bytes[at];
                    at += 1;
                    match byte {
                        b'\n' if *line == 0 => return (at, true),
                        b'\n' => *line = 0,
                        b'\r' => {}
                        _ => *line += 1,
                    }
                }
            }
        }
        (at, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_how_long_the_body_is() {
        let request = Head::parse(
            b"PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        assert_eq!(request.words[..2], ["PATCH", "/v2/a/blobs/uploads/1"]);
        assert_eq!(request.request_body(), Body::Chunked(Chunks::default()));
        assert_eq!(Head::parse(b"GET / HTTP/1.1\r\n\r\n").request_body(), Body::Length(0));
        let put = Head::parse(b"PUT / HTTP/1.1\r\ncontent-length:  12\r\n\r\n");
        assert_eq!(put.request_body(), Body::Length(12));
        let answer = Head::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
        assert_eq!(answer.status(), Some(200));
        assert_eq!(answer.answer_body("GET"), Body::Length(7));
        assert_eq!(answer.answer_body("HEAD"), Body::Length(0), "a length without a body");
        assert_eq!(Head::parse(b"HTTP/1.1 204 No Content\r\n\r\n").answer_body("DELETE"), Body::Length(0));
        assert_eq!(Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").answer_body("GET"), Body::UntilClose);
        assert_eq!(head_end(b"HTTP/1.1 200 OK\r\n\r\nbody"), Some(19));
        assert_eq!(head_end(b"HTTP/1.1 200 OK\r\n"), None);
    }

    #[test]
    fn chunked_bodies_end_where_they_end_however_they_arrive() {
        let body = b"5;name=value\r\nhello\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nTrailer: x\r\n\r\nGET / HTTP/1.1";
        let end = body.len() - "GET / HTTP/1.1".len();
        for piece in [1, 2, 3, 7, 16, body.len()] {
            let mut chunks = Body::Chunked(Chunks::default());
            let (mut taken, mut done) = (0, false);
            for part in body.chunks(piece) {
                let (count, complete) = chunks.accept(part);
                taken += count;
                if complete {
                    done = true;
                    break;
                }
                assert_eq!(count, part.len(), "everything before the end belongs to the body");
            }
            assert_eq!((taken, done), (end, true), "in pieces of {piece}");
        }
        assert_eq!(Body::Chunked(Chunks::default()).accept(b"0\r\n\r\nmore"), (5, true));
    }

    #[test]
    fn lengths_are_counted_down() {
        let mut body = Body::Length(5);
        assert_eq!(body.accept(b"abc"), (3, false));
        assert_eq!(body.accept(b"defg"), (2, true));
        assert_eq!(Body::Length(0).accept(b"next"), (0, true));
    }
}
