//! The smallest HTTP client that shows everything: one connection per request, the raw answer, errors as they are.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use granary_testkit::registry::Registry;

/// An answer; `cut` where fewer bytes came than `Content-Length` said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    pub(crate) body: Vec<u8>,
    pub(crate) cut: bool,
}

impl Answer {
    /// The one value of a header, empty where it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|values| values.first()).map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// The code of the first error in the envelope.
    pub(crate) fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().expect("an error envelope").to_owned()
    }
}

/// Sends a request; `target` may be absolute, as a `Location` is.
pub(crate) fn send(
    registry: &Registry,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let target = target.strip_prefix(&registry.url()).unwrap_or(target);
    let mut stream = TcpStream::connect(registry.host())?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut head = format!(
        "{method} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n",
        registry.host(),
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(body)?;
    let mut raw = Vec::new();
    let ended = stream.read_to_end(&mut raw);
    let Some(split) = raw.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Err(ended.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()));
    };
    let text = String::from_utf8_lossy(&raw[..split]).into_owned();
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let mut answer_headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        answer_headers.entry(name.to_ascii_lowercase()).or_default().push(value.to_owned());
    }
    let body = raw[split + 4..].to_vec();
    let announced = answer_headers.get("content-length").map_or(0, |v| v[0].parse().expect("a number"));
    let cut = method != "HEAD" && body.len() < announced;
    assert!(cut || ended.is_ok(), "reset after a whole answer: {ended:?}");
    Ok(Answer { status: status.parse().expect("a number"), headers: answer_headers, body, cut })
}

/// Sends a request that is answered.
pub(crate) fn ask(
    registry: &Registry,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    send(registry, method, target, headers, body).expect("an answer")
}

pub(crate) fn get(registry: &Registry, target: &str) -> Answer {
    ask(registry, "GET", target, &[], b"")
}
