//! A sign of life for long transfers: a bar where somebody watches a terminal, a line every few seconds
//! where a log is written, nothing at all for what is over in a moment.

use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Output, seconds};

/// In a log: often enough to see that it moves, seldom enough to read it afterwards.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// On a terminal: as often as an eye can follow.
const BAR_EVERY: Duration = Duration::from_millis(200);

/// Transfers that take less are not worth a bar.
const BAR_AFTER: Duration = Duration::from_secs(2);

/// Where nothing moves, somebody who looks at the log begins to wonder whether it hangs.
const STILL_EVERY: Duration = Duration::from_secs(30);

/// Columns of the bar itself.
const BAR_WIDTH: usize = 16;

/// Columns of bar and text: what is wider than the terminal would begin a new line each time.
const MOST_COLUMNS: usize = 79;

/// Counts the bytes of one transfer. Shared by reference between the parts of a transfer.
#[derive(Debug)]
pub struct Progress {
    output: Output,
    label: String,
    /// 0 where it is not known.
    total: AtomicU64,
    done: AtomicU64,
    started: Instant,
    /// When the next sign is due.
    due: Mutex<Instant>,
    /// When bytes last moved, in milliseconds since the start.
    moved: AtomicU64,
    /// How often it was said since then that nothing moves.
    stills: AtomicU32,
    still_every: Duration,
}

impl Progress {
    pub(super) fn new(output: Output, label: String, total: Option<u64>) -> Self {
        let started = Instant::now();
        let first = if output.has_terminal() { BAR_AFTER } else { LINE_EVERY };
        Progress {
            output,
            label,
            total: AtomicU64::new(total.unwrap_or(0)),
            done: AtomicU64::new(0),
            started,
            due: Mutex::new(started + first),
            moved: AtomicU64::new(0),
            stills: AtomicU32::new(0),
            still_every: STILL_EVERY,
        }
    }

    /// Waits for the transfer, and says so every half minute in which nothing moves.
    pub async fn during<T>(&self, transfer: impl Future<Output = T>) -> T {
        let mut transfer = pin!(transfer);
        loop {
            // Often enough for a word in time, and no more than a look at the clock.
            match tokio::time::timeout(self.still_every / 6, &mut transfer).await {
                Ok(done) => return done,
                Err(_) => self.show_still(),
            }
        }
    }

    /// Counts `bytes` more, and shows how far it is where that is due. What is sent again after a failure
    /// must not be counted again.
    pub fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        self.moved.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
        self.stills.store(0, Ordering::Relaxed);
        self.show();
    }

    /// These bytes turned out to have to be sent as well.
    pub fn grow(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// These bytes of the total turned out not to have to be sent.
    pub fn skip(&self, bytes: u64) {
        let less = |total: u64| Some(total.saturating_sub(bytes));
        // Always `Some`, so this cannot fail.
        let _ = self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Goes back to where a transfer starts anew.
    pub fn restart(&self) {
        self.done.store(0, Ordering::Relaxed);
    }

    fn show_still(&self) {
        let quiet =
            self.started.elapsed().saturating_sub(Duration::from_millis(self.moved.load(Ordering::Relaxed)));
        let stills = self.stills.load(Ordering::Relaxed);
        if quiet < self.still_every * (stills + 1) {
            return;
        }
        self.stills.store(stills + 1, Ordering::Relaxed);
        let far = far(self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        self.output.info(format_args!("still {}: {far}, nothing moved for {}", self.label, seconds(quiet)));
    }

    fn show(&self) {
        // Whoever is printing already says enough for this moment.
        let Ok(mut due) = self.due.try_lock() else { return };
        let now = Instant::now();
        if now < *due {
            return;
        }
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        let text = line(&self.label, done, total, now.duration_since(self.started));
        if self.output.has_terminal() {
            *due = now + BAR_EVERY;
            let text = format!("{}{text}", bar(done, total));
            self.output.show_bar(&text.chars().take(MOST_COLUMNS).collect::<String>());
        } else {
            *due = now + LINE_EVERY;
            self.output.info(text);
        }
    }
}

impl Drop for Progress {
    /// Takes the bar away.
    fn drop(&mut self) {
        self.output.hide_bar();
    }
}

fn line(label: &str, done: u64, total: u64, elapsed: Duration) -> String {
    format!("{label}: {}, {}, {}", far(done, total), rate(done, elapsed), seconds(elapsed))
}

/// `12.0 MiB of 30.3 MiB`, the first alone where the end is not known.
fn far(done: u64, total: u64) -> String {
    let of_total = if total > 0 { format!(" of {}", bytes(total)) } else { String::new() };
    format!("{}{of_total}", bytes(done))
}

/// `[####            ]  25% `, nothing where the end is not known.
fn bar(done: u64, total: u64) -> String {
    if total == 0 {
        return String::new();
    }
    let percent = (u128::from(done) * 100 / u128::from(total)).min(100) as usize;
    let filled = percent * BAR_WIDTH / 100;
    format!("[{}{}] {percent:>3}% ", "#".repeat(filled), " ".repeat(BAR_WIDTH - filled))
}

/// A speed: `96.0 MiB/s`.
pub fn rate(count: u64, took: Duration) -> String {
    format!("{}/s", bytes((count as f64 / took.as_secs_f64().max(0.001)) as u64))
}

/// A size in binary units: `12.4 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    UNITS.iter().find(|(size, _)| count >= *size).map_or_else(
        || format!("{count} B"),
        |(size, unit)| format!("{:.1} {unit}", count as f64 / *size as f64),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    impl Progress {
        fn due_now(&self) {
            *self.due.lock().unwrap() = self.started;
        }
    }

    #[test]
    fn a_line_says_how_far_and_how_fast() {
        let ten = Duration::from_secs(10);
        assert_eq!(
            line("pushing acme/app", 512 << 20, 1 << 30, ten),
            "pushing acme/app: 512.0 MiB of 1.0 GiB, 51.2 MiB/s, 10.0s"
        );
        assert_eq!(line("web", 100, 0, ten), "web: 100 B, 10 B/s, 10.0s");
    }

    #[test]
    fn quick_transfers_print_nothing_and_slow_ones_a_line_now_and_then() {
        let output = Output::to_memory(Level::Info);
        let progress = output.progress("web", Some(15));
        progress.add(4);
        assert_eq!(output.taken().0, "");
        progress.skip(5);
        progress.due_now();
        progress.add(1);
        let (shown, _) = output.taken();
        assert!(shown.starts_with("web: 5 B of 10 B, ") && shown.ends_with("s\n"), "{shown:?}");
        progress.add(5);
        drop(progress);
        assert_eq!(output.taken().0, "", "one line in five seconds");
    }

    #[test]
    fn the_total_grows_with_what_has_to_be_sent_after_all() {
        let output = Output::to_memory(Level::Info);
        let progress = output.progress("web", Some(15));
        progress.grow(20);
        progress.due_now();
        progress.add(30);
        let (shown, _) = output.taken();
        assert!(shown.starts_with("web: 30 B of 35 B, "), "{shown:?}");
    }

    /// A source or a registry that stands still prints nothing of its own accord.
    #[tokio::test]
    async fn where_nothing_moves_a_line_says_so_again_and_again_until_it_does() {
        let output = Output::to_memory(Level::Info);
        let mut progress = output.progress("pushing acme/app", Some(15));
        progress.still_every = Duration::from_millis(120);
        progress.add(5);
        progress.during(tokio::time::sleep(Duration::from_millis(60))).await;
        assert_eq!(output.taken().0, "", "not before its time");
        progress.during(tokio::time::sleep(Duration::from_millis(400))).await;
        let (shown, _) = output.taken();
        let lines: Vec<&str> = shown.lines().collect();
        assert!((2..=3).contains(&lines.len()), "{shown}");
        let start = "still pushing acme/app: 5 B of 15 B, nothing moved for 0.";
        assert!(lines.iter().all(|line| line.starts_with(start)), "{shown}");
        progress.add(5);
        progress.during(tokio::time::sleep(Duration::from_millis(60))).await;
        assert_eq!(output.taken().0, "", "it moves again");
    }

    #[test]
    fn a_terminal_gets_a_bar_that_makes_way() {
        let output = Output::to_terminal_memory(Level::Info);
        let progress = output.progress("web", Some(100));
        progress.add(20);
        assert_eq!(output.taken().0, "", "not in the first two seconds");
        progress.due_now();
        progress.add(30);
        let (shown, _) = output.taken();
        assert!(shown.starts_with("\r[########        ]  50% web: 50 B of 100 B, "), "{shown:?}");
        assert!(shown.ends_with("\u{1b}[K"), "{shown:?}");
        output.done("a tag");
        assert_eq!(output.taken().0, "\r\u{1b}[Ka tag\n", "a line takes its place");
        output.info("another");
        assert_eq!(output.taken().0, "another\n");
        progress.due_now();
        progress.add(50);
        assert!(output.taken().0.contains("100% web"));
        drop(progress);
        assert_eq!(output.taken().0, "\r\u{1b}[K", "nothing is left of it");
    }

    #[test]
    fn a_bar_is_nobodys_who_wants_no_lines() {
        let output = Output::to_terminal_memory(Level::Warn);
        let progress = output.progress("web", Some(100));
        progress.due_now();
        progress.add(30);
        drop(progress);
        assert_eq!(output.taken(), (String::new(), String::new()));
    }
}
