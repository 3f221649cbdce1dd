//! Runs a program and measures it: wall clock, peak memory, processor time.
//!
//! The peak is `VmHWM`, looked at every two milliseconds while the program runs. `ru_maxrss` would be exact, but counts what the
//! parent had mapped before `exec`, and the parent holds test images. It only ever grows, so all that can be missed is growth in
//! the last two milliseconds.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

/// Between two looks at a program's memory.
const LOOK: Duration = Duration::from_millis(2);
/// No single program of the benchmark comes near.
const LIMIT: Duration = Duration::from_secs(60);
/// `USER_HZ`, the same on every Linux that Rust's standard library knows.
const TICKS_PER_SECOND: u64 = 100;
/// Of what a program said when it failed.
const LONGEST_COMPLAINT: usize = 2000;

/// What a program used.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// When it was about to be started.
    pub started: Instant,
    /// From there to its end.
    pub wall: Duration,
    /// Most memory at once, in KiB.
    pub peak_kib: u64,
    /// Processor time, with that of the children that it waited for; whole hundredths of a second.
    pub cpu: Duration,
}

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It is not there, or may not be run.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It could not be watched.
    #[error("cannot watch {program}")]
    Watch {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It failed, or took longer than any should.
    #[error("{program} ended with {how}: {said}")]
    Failed {
        /// The program.
        program: String,
        /// Exit status or signal.
        how: String,
        /// The end of its standard error and output.
        said: String,
    },
}

/// Runs a program to its end, without standard input.
///
/// # Errors
/// Where it cannot be started, fails, or does not end within a minute.
pub fn measure(command: &mut Command) -> Result<Usage, ProcessError> {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().display().to_string();
    let watch = |source: io::Error| ProcessError::Watch { program: program.clone(), source };
    let mut said = tempfile::tempfile().map_err(watch)?;
    let handle = |file: &File| file.try_clone().map(Stdio::from).map_err(watch);
    command.stdin(Stdio::null()).stdout(handle(&said)?).stderr(handle(&said)?);
    let started = Instant::now();
    let child = command.spawn();
    let mut child = child.map_err(|source| ProcessError::Start { program: program.clone(), source })?;
    let pid = Pid::from_child(&child);
    let ended = AtomicBool::new(false);
    let (waited, wall, peak_kib) = std::thread::scope(|scope| {
        let sampler = scope.spawn(|| sample(pid, started, &ended));
        // The zombie is kept: its processor time is read below.
        let waited = rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let wall = started.elapsed();
        ended.store(true, Ordering::Relaxed);
        (waited, wall, sampler.join().unwrap_or(0))
    });
    let cpu = cpu(pid);
    let status = child.wait().map_err(watch)?;
    waited.map_err(|errno| watch(errno.into()))?;
    if !status.success() {
        return Err(ProcessError::Failed { program, how: status.to_string(), said: complaint(&mut said) });
    }
    Ok(Usage { started, wall, peak_kib, cpu })
}

/// Runs a program that is not measured, and returns what it said.
///
/// # Errors
/// As [`measure`], without the limit.
pub fn said_by(command: &mut Command) -> Result<String, ProcessError> {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().display().to_string();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| ProcessError::Start { program: program.clone(), source })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        let (how, said) = (output.status.to_string(), text(&output.stderr));
        return Err(ProcessError::Failed { program, how, said });
    }
    // crane and openssl print versions to either.
    let said = text(&output.stdout);
    Ok(if said.is_empty() { text(&output.stderr) } else { said })
}

fn sample(pid: Pid, started: Instant, ended: &AtomicBool) -> u64 {
    let status = format!("/proc/{}/status", pid.as_raw_nonzero());
    let mut peak = 0;
    while !ended.load(Ordering::Relaxed) {
        if let Some(now) = std::fs::read_to_string(&status).ok().as_deref().and_then(high_water_mark) {
            peak = peak.max(now);
        }
        if started.elapsed() > LIMIT {
            // Its parent still waits for it, so the number is still its own.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(LOOK);
    }
    peak
}

/// `VmHWM:     1234 kB`; gone from a process that has ended.
fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Own and waited-for children's time, from `/proc/<pid>/stat`.
fn cpu(pid: Pid) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    Duration::from_millis(ticks(&text).unwrap_or(0) * 1000 / TICKS_PER_SECOND)
}

fn ticks(stat: &str) -> Option<u64> {
    // The name may hold blanks and brackets; utime, stime, cutime, cstime are the 12th to 15th field after it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum()
}

fn complaint(said: &mut File) -> String {
    let mut bytes = Vec::new();
    let read = said.rewind().and_then(|()| said.read_to_end(&mut bytes));
    if read.is_err() {
        return "its output cannot be read".to_owned();
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    let cut = text.char_indices().rev().nth(LONGEST_COMPLAINT).map_or(0, |(at, _)| at);
    text[cut..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_measured() {
        let mut shell = Command::new("sh");
        // A variable of 30 MB, then a pause in which it is seen.
        shell.args(["-c", "x=$(head -c 30000000 /dev/zero | tr '\\0' x); sleep 0.1; : ${#x}"]);
        let usage = measure(&mut shell).unwrap();
        assert!(usage.peak_kib > 29_000, "{usage:?}");
        assert!(usage.wall >= Duration::from_millis(100), "{usage:?}");
        let small = measure(Command::new("sleep").arg("0.05")).unwrap();
        assert!(small.peak_kib > 0 && small.peak_kib < 20_000, "{small:?}");
    }

    #[test]
    fn failure_is_told_with_what_was_said() {
        let error = measure(Command::new("sh").args(["-c", "echo no such tag >&2; exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "sh ended with exit status: 3: no such tag");
        let error = measure(&mut Command::new("granary-no-such-program")).unwrap_err();
        assert_eq!(error.to_string(), "cannot start granary-no-such-program");
    }

    #[test]
    fn proc_is_understood() {
        assert_eq!(high_water_mark("VmPeak:\t 9 kB\nVmHWM:\t    1234 kB\n"), Some(1234));
        assert_eq!(high_water_mark("Name:\tzombie\n"), None);
        let stat = "7 (a (b) c) Z 1 7 7 0 -1 4194560 100 0 0 0 11 12 13 14 20 0 1 0";
        assert_eq!(ticks(stat), Some(50));
    }
}
