//! A forge that gives written answers to exactly the questions that it knows, and keeps what it was asked.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use granary_forge::{Forge, ForgeKind, ForgeOptions, Login};
use granary_net::{Deadline, Http, HttpOptions, RetryPolicy};
use granary_redact::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A token that must not be seen anywhere.
pub(crate) const TOKEN: &str = "hunter2-hunter2";

/// One request: its head in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
}

#[derive(Default)]
struct State {
    /// Whole answers, head and body, by path with query. The last one stays.
    answers: HashMap<String, Vec<Vec<u8>>>,
    asked: Vec<Asked>,
}

/// The scripted forge. It ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Scripted {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl Scripted {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let served = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, served.clone()));
            }
        });
        Scripted { url, state }
    }

    /// With every answer of `tests/data/<folder>`: the first line of each file is the path, the rest the answer.
    pub(crate) async fn recorded(folder: &str) -> Self {
        let forge = Scripted::start().await;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder);
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let (path, answer) = text.split_once('\n').unwrap();
            let (head, body) = answer.split_once("\n\n").unwrap();
            let (status, headers) = head.split_once('\n').unwrap_or((head, ""));
            let headers: Vec<(&str, &str)> =
                headers.lines().filter_map(|line| line.split_once(": ")).collect();
            forge.on(path, status.parse().unwrap(), &headers, body);
        }
        forge
    }

    /// Adds an answer; several to one path are given one after the other.
    pub(crate) fn on(
        &self,
        path: &str,
        status: u16,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> &Self {
        let body = body.as_ref();
        let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.raw(path, [head.as_bytes(), b"\r\n", body].concat())
    }

    /// Adds JSON with 200.
    pub(crate) fn json(&self, path: &str, body: &str) -> &Self {
        self.on(path, 200, &[("Content-Type", "application/json")], body)
    }

    /// Adds bytes as they go over the wire, after which the connection is closed.
    pub(crate) fn raw(&self, path: &str, answer: impl Into<Vec<u8>>) -> &Self {
        self.state.lock().unwrap().answers.entry(path.to_owned()).or_default().push(answer.into());
        self
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    /// A client for `ci/app` there, which gives up after three tries and does not wait long in between.
    pub(crate) fn forge(&self, kind: ForgeKind) -> Forge {
        self.client(kind, "ci/app", 3)
    }

    pub(crate) fn client(&self, kind: ForgeKind, repository: &str, attempts: u32) -> Forge {
        self.patient(kind, repository, attempts, Duration::from_secs(10))
    }

    /// A client that bears silence for so long.
    pub(crate) fn patient(&self, kind: ForgeKind, repository: &str, attempts: u32, idle: Duration) -> Forge {
        let http = Http::new(HttpOptions { idle_timeout: idle, ..HttpOptions::default() });
        let mut options = ForgeOptions::new(Deadline::after(Duration::from_secs(600)));
        options.login = Login::Token(Secret::new(TOKEN));
        options.retries = RetryPolicy {
            attempts,
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(2),
        };
        Forge::new(kind, &self.url, repository.parse().unwrap(), http.unwrap(), options).unwrap()
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let answer = {
        let mut state = state.lock().unwrap();
        state.asked.push(Asked { head: head.to_ascii_lowercase() });
        match state.answers.get_mut(&path) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
            // A status that nothing expects, so that a question nobody wrote an answer to fails its test.
            None => format!("HTTP/1.1 418 X\r\nContent-Length: {}\r\n\r\n{path}", path.len()).into_bytes(),
        }
    };
    if answer.is_empty() {
        // Silence.
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    // One answer per connection: some of them are cut off.
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}
