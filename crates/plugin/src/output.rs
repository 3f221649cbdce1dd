//! Everything that a plugin prints goes through here, and through the redactor on the way.
//!
//! What was done goes to standard output, what is said about it (warnings, errors, debug) to standard
//! error; Woodpecker merges both. No colours. A closed pipe is not an error: the work goes on and the
//! exit code still counts.

mod progress;
mod table;

use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use granary_redact::{Redactor, Secret};

pub use progress::{Progress, bytes, rate};
pub use table::Table;

/// Takes away what a longer text has left on the line of a terminal.
const CLEAR_REST: &str = "\u{1b}[K";

/// How many of the things done are kept for the report of a run that was stopped.
const LONGEST_RECORD: usize = 200;

/// How much is printed, each level what is before it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Why the run failed.
    Error,
    /// What was ignored or is likely to go wrong.
    Warn,
    /// What was done.
    Info,
    /// What was found out on the way.
    Debug,
    /// Requests and answers.
    Trace,
}

impl Level {
    /// The level of a `log_level` setting.
    pub(crate) fn from_word(word: &str) -> Self {
        match word {
            "error" => Level::Error,
            "warn" => Level::Warn,
            "debug" => Level::Debug,
            "trace" => Level::Trace,
            _ => Level::Info,
        }
    }
}

/// The printer of one run. Clones print to the same place.
#[derive(Clone)]
pub struct Output(Arc<Mutex<Inner>>);

struct Inner {
    level: Level,
    redactor: Redactor,
    sink: Sink,
    /// Standard output is watched by somebody, so a line may be written over.
    terminal: bool,
    /// A bar stands on the last line of the terminal.
    has_bar: bool,
    done: Vec<String>,
}

enum Sink {
    Process,
    Memory { out: String, err: String },
}

#[derive(Clone, Copy)]
enum Stream {
    Out,
    Err,
}

impl Output {
    /// Prints to this process's standard output and error.
    pub(crate) fn to_process() -> Self {
        Output::new(Sink::Process, Level::Info, std::io::stdout().is_terminal())
    }

    /// Keeps everything, for tests: read it with [`Self::taken`].
    pub fn to_memory(level: Level) -> Self {
        Output::new(Sink::Memory { out: String::new(), err: String::new() }, level, false)
    }

    #[cfg(test)]
    fn to_terminal_memory(level: Level) -> Self {
        Output::new(Sink::Memory { out: String::new(), err: String::new() }, level, true)
    }

    fn new(sink: Sink, level: Level, terminal: bool) -> Self {
        let redactor = Redactor::new();
        let inner = Inner { level, redactor, sink, terminal, has_bar: false, done: Vec::new() };
        Output(Arc::new(Mutex::new(inner)))
    }

    /// What a memory output has got so far, standard output and standard error, and forgets it.
    pub fn taken(&self) -> (String, String) {
        match &mut self.inner().sink {
            Sink::Process => (String::new(), String::new()),
            Sink::Memory { out, err } => (std::mem::take(out), std::mem::take(err)),
        }
    }

    pub(crate) fn set_level(&self, level: Level) {
        self.inner().level = level;
    }

    /// Masks a secret from now on. Secrets among the settings are known already; this is for those that
    /// turn up later, such as exchanged tokens and keys read from a path.
    pub fn add_secret(&self, secret: &Secret) {
        self.inner().redactor.add(secret);
    }

    /// The same for a password, also in the forms it takes together with its user.
    pub fn add_credentials(&self, username: &str, password: &Secret) {
        self.inner().redactor.add_basic(username, password);
    }

    /// `text` with the known secrets masked, for what is written to a file.
    pub fn redacted(&self, text: &str) -> String {
        self.inner().redactor.clean(text)
    }

    /// One thing was done. Kept, so that a run that is stopped can say how far it came.
    pub fn done(&self, what: impl fmt::Display) {
        let what = what.to_string();
        self.info(&what);
        let mut inner = self.inner();
        if inner.done.len() < LONGEST_RECORD {
            let what = inner.redactor.clean(&what);
            inner.done.push(what);
        }
    }

    /// The same with the time it took.
    pub fn done_in(&self, what: impl fmt::Display, took: Duration) {
        self.done(format_args!("{what} ({})", seconds(took)));
    }

    /// Everything reported by [`Self::done`], up to 200 lines.
    pub(crate) fn record(&self) -> Vec<String> {
        self.inner().done.clone()
    }

    /// Says something in passing.
    pub fn info(&self, text: impl fmt::Display) {
        self.line(Level::Info, Stream::Out, "", text);
    }

    /// Something was ignored or looks wrong.
    pub fn warn(&self, text: impl fmt::Display) {
        self.line(Level::Warn, Stream::Err, "warning: ", text);
    }

    /// Why the run failed; the text is a rendered failure.
    pub(crate) fn error(&self, text: impl fmt::Display) {
        self.line(Level::Error, Stream::Err, "", text);
    }

    /// A detail for whoever looks into a problem.
    pub fn debug(&self, text: impl fmt::Display) {
        self.line(Level::Debug, Stream::Err, "debug: ", text);
    }

    /// The finest detail: requests and answers.
    pub fn trace(&self, text: impl fmt::Display) {
        self.line(Level::Trace, Stream::Err, "trace: ", text);
    }

    /// What the run is for, printed at any level: a plan, a status, a help text.
    pub fn print(&self, text: impl fmt::Display) {
        self.line(Level::Error, Stream::Out, "", text);
    }

    /// The closing summary.
    pub fn table(&self, table: &Table) {
        if !table.is_empty() {
            self.info(table.render());
        }
    }

    /// A line of a child's output: secrets masked, colours and all else left as they are.
    pub fn child_line(&self, line: &str) {
        let mut inner = self.inner();
        let line = inner.redactor.clean(line);
        inner.write(Stream::Out, &format!("{line}\n"));
    }

    /// Reports on a transfer of `total` bytes every few seconds.
    pub fn progress(&self, label: impl Into<String>, total: Option<u64>) -> Progress {
        Progress::new(self.clone(), label.into(), total)
    }

    fn has_terminal(&self) -> bool {
        self.inner().terminal
    }

    /// Writes over the last line of the terminal.
    fn show_bar(&self, text: &str) {
        let mut inner = self.inner();
        if Level::Info <= inner.level {
            let text = harmless(&inner.redactor.clean(text));
            inner.has_bar = false;
            inner.write(Stream::Out, &format!("\r{text}{CLEAR_REST}"));
            inner.flush();
            inner.has_bar = true;
        }
    }

    fn hide_bar(&self) {
        let mut inner = self.inner();
        if inner.has_bar {
            inner.write(Stream::Out, "");
            inner.flush();
        }
    }

    /// Prints from the panic hook, where the lock may be held by the very thread that panics.
    pub(crate) fn after_panic(&self, text: &str) {
        if let Ok(mut inner) = self.0.try_lock() {
            let text = harmless(&inner.redactor.clean(text));
            inner.write(Stream::Err, &format!("{text}\n"));
        }
    }

    fn line(&self, level: Level, stream: Stream, prefix: &str, text: impl fmt::Display) {
        let mut inner = self.inner();
        if level <= inner.level {
            let text = harmless(&inner.redactor.clean(&text.to_string()));
            inner.write(stream, &format!("{prefix}{text}\n"));
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing is left half-done by a panic while printing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write(&mut self, stream: Stream, text: &str) {
        if std::mem::take(&mut self.has_bar) {
            self.write(Stream::Out, &format!("\r{CLEAR_REST}"));
            self.flush();
        }
        match (&mut self.sink, stream) {
            (Sink::Memory { out, .. }, Stream::Out) => out.push_str(text),
            (Sink::Memory { err, .. }, Stream::Err) => err.push_str(text),
            // Whoever read the log is gone; that is no reason to stop half-way through a promotion.
            (Sink::Process, Stream::Out) => drop(std::io::stdout().lock().write_all(text.as_bytes())),
            (Sink::Process, Stream::Err) => drop(std::io::stderr().lock().write_all(text.as_bytes())),
        }
    }

    /// Standard output keeps what does not end in a line's end to itself.
    fn flush(&self) {
        if matches!(self.sink, Sink::Process) {
            drop(std::io::stdout().lock().flush());
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Output")
    }
}

/// A text without control characters: a server's error must not move the cursor or fake a line's colour.
fn harmless(text: &str) -> String {
    text.chars()
        .flat_map(|letter| {
            let shown = !letter.is_control() || matches!(letter, '\n' | '\t');
            let escaped = (!shown).then(|| letter.escape_default());
            shown.then_some(letter).into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

/// A time span as people read it in a log: `0.42s`, `12.3s`, `4m05s`.
pub fn seconds(span: Duration) -> String {
    match span.as_secs() {
        0..10 => format!("{:.2}s", span.as_secs_f64()),
        10..60 => format!("{:.1}s", span.as_secs_f64()),
        60..3600 => format!("{}m{:02}s", span.as_secs() / 60, span.as_secs() % 60),
        whole => format!("{}h{:02}m", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_filter_and_secrets_are_masked_at_each() {
        let output = Output::to_memory(Level::Trace);
        output.add_credentials("ci", &Secret::new("hunter2"));
        output.done("pushed with hunter2");
        output.warn("hunter2");
        output.debug("hunter2");
        output.trace("Basic Y2k6aHVudGVyMg==");
        output.child_line("\u{1b}[1mhunter2\u{1b}[0m");
        assert_eq!(
            output.taken(),
            (
                "pushed with ***\n\u{1b}[1m***\u{1b}[0m\n".to_owned(),
                "warning: ***\ndebug: ***\ntrace: Basic ***\n".to_owned()
            )
        );
        assert_eq!(output.record(), ["pushed with ***"]);
        output.set_level(Level::Error);
        output.warn("x");
        output.done("y");
        output.print("z");
        assert_eq!(output.taken(), ("z\n".to_owned(), String::new()));
    }

    #[test]
    fn a_server_cannot_steer_the_terminal() {
        let output = Output::to_memory(Level::Info);
        output.info("denied\r\u{1b}[2Kdone: 1.2.3\nsecond\tline");
        assert_eq!(output.taken().0, "denied\\r\\u{1b}[2Kdone: 1.2.3\nsecond\tline\n");
    }

    #[test]
    fn spans_are_short() {
        for (millis, text) in [(420, "0.42s"), (12_340, "12.3s"), (245_000, "4m05s"), (5_400_000, "1h30m")] {
            assert_eq!(seconds(Duration::from_millis(millis)), text);
        }
    }
}
