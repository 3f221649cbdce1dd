//! A sign of life for long transfers: a line every few seconds, since a log has no cursor.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Output, seconds};

/// Often enough to see that it moves, seldom enough to read the log afterwards.
const EVERY: Duration = Duration::from_secs(5);

/// Counts the bytes of one transfer. Shared by reference between the parts of a transfer.
#[derive(Debug)]
pub struct Progress {
    output: Output,
    label: String,
    total: Option<u64>,
    done: AtomicU64,
    started: Instant,
    printed: Mutex<Instant>,
}

impl Progress {
    pub(super) fn new(output: Output, label: String, total: Option<u64>) -> Self {
        let started = Instant::now();
        Progress { output, label, total, done: AtomicU64::new(0), started, printed: Mutex::new(started) }
    }

    /// Counts `bytes` more; prints where the last line is five seconds old.
    pub fn add(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // Whoever is printing already says enough for this moment.
        let Ok(mut printed) = self.printed.try_lock() else { return };
        if printed.elapsed() >= EVERY {
            *printed = Instant::now();
            self.output.info(line(&self.label, done, self.total, self.started.elapsed()));
        }
    }

    /// Goes back to where a transfer starts anew.
    pub fn restart(&self) {
        self.done.store(0, Ordering::Relaxed);
    }
}

fn line(label: &str, done: u64, total: Option<u64>, elapsed: Duration) -> String {
    let speed = (done as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
    let of_total = total.filter(|&total| total > 0).map_or_else(String::new, |total| {
        format!(" of {} ({}%)", bytes(total), (u128::from(done) * 100 / u128::from(total)).min(100))
    });
    format!("{label}: {}{of_total}, {}/s, {}", bytes(done), bytes(speed), seconds(elapsed))
}

/// A size in binary units.
fn bytes(count: u64) -> String {
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

    #[test]
    fn a_line_says_how_far_and_how_fast() {
        let ten = Duration::from_secs(10);
        assert_eq!(
            line("web", 512 << 20, Some(1 << 30), ten),
            "web: 512.0 MiB of 1.0 GiB (50%), 51.2 MiB/s, 10.0s"
        );
        assert_eq!(line("web", 100, None, ten), "web: 100 B, 10 B/s, 10.0s");
        assert_eq!(line("web", 5, Some(0), ten), "web: 5 B, 0 B/s, 10.0s");
    }

    #[test]
    fn quick_transfers_print_nothing_and_slow_ones_a_line() {
        let output = Output::to_memory(Level::Info);
        let progress = output.progress("web", Some(10));
        progress.add(4);
        assert_eq!(output.taken().0, "");
        *progress.printed.lock().unwrap() -= EVERY;
        progress.add(1);
        assert!(output.taken().0.starts_with("web: 5 B of 10 B (50%), "));
    }
}
