//! Finds, ends and reaps what a command leaves behind, without privileges.
//!
//! Refuses to signal anything but direct children of this process: their numbers cannot be given to
//! somebody else before we reap them, so a signal never hits a stranger.
//!
//! # Design
//! A process group is not enough: `setsid`, `set -m` and every daemon leave it. So this process makes
//! itself a *subreaper* (`prctl(2)`): whatever loses its parent below us becomes our direct child, as it
//! does anyway below PID 1. Whoever ends the direct children again and again therefore ends the whole
//! tree. The command itself is left to Tokio, which must see its exit status; all others are reaped here,
//! one by one and never by "any child".
//!
//! What gets away: a process of another user (a set-UID program), one started by a daemon on request (a
//! container engine, systemd), everything when `/proc` is not mounted, in which case only the command's own
//! process group is ended. If this process is itself killed with SIGKILL, its descendants live on unless it
//! was PID 1.

use std::collections::HashSet;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpgid, kill_process, kill_process_group, waitid,
    waitpid,
};

/// Makes orphans below this process its children. Needs no privilege; where the kernel has no such call
/// (before Linux 3.4), orphans go to PID 1 as they always did.
pub(super) fn adopt_orphans() {
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// The direct children of this process that a command left behind.
pub(super) struct Orphans {
    /// Children that were there before the command: not ours to end.
    strangers: HashSet<Pid>,
    /// The command.
    command: Pid,
    /// Processes that were asked to end, so that each is asked once.
    asked: HashSet<Pid>,
    /// The command was reaped: its number may belong to somebody else now.
    command_is_gone: bool,
}

impl Orphans {
    /// `strangers` are the children that were there before the command was started.
    pub(super) fn of(command: Pid, strangers: HashSet<Pid>) -> Self {
        Orphans { strangers, command, asked: HashSet::new(), command_is_gone: false }
    }

    /// To be called once the exit status of the command has been read.
    pub(super) fn command_is_gone(&mut self) {
        self.command_is_gone = true;
    }

    /// Reaps those that have ended. Returns those that live.
    pub(super) fn reap(&self) -> HashSet<Pid> {
        let mut living = HashSet::new();
        loop {
            living.clear();
            let mut reaped = false;
            for child in children() {
                if self.strangers.contains(&child) || (child == self.command && !self.command_is_gone) {
                    continue;
                }
                match waitpid(Some(child), WaitOptions::NOHANG) {
                    Ok(None) => {
                        living.insert(child);
                    }
                    Ok(Some(_)) | Err(_) => reaped = true,
                }
            }
            // The children of one that has just ended may not have been ours yet when they were listed.
            if !reaped {
                return living;
            }
        }
    }

    /// Asks all that live, and have not been asked yet, to end. Returns how many live.
    pub(super) fn ask(&mut self) -> usize {
        let living = self.reap();
        if !self.command_is_gone && self.asked.insert(self.command) {
            signal(self.command, Signal::TERM);
        }
        for &child in &living {
            if self.asked.insert(child) {
                signal(child, Signal::TERM);
            }
        }
        living.len()
    }

    /// Ends all that live. Returns how many lived.
    pub(super) fn kill(&self) -> usize {
        let living = self.reap();
        if !self.command_is_gone {
            signal(self.command, Signal::KILL);
        }
        for &child in &living {
            signal(child, Signal::KILL);
        }
        living.len()
    }

    /// Whether the command has ended; looks without reaping it.
    pub(super) fn command_has_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.command_is_gone || !matches!(waitid(WaitId::Pid(self.command), look), Ok(None))
    }

    /// How many processes other than the command were asked to end.
    pub(super) fn asked(&self) -> usize {
        self.asked.iter().filter(|&&child| child != self.command).count()
    }
}

/// Signals a direct child that is not reaped yet, with the group that it leads. Errors mean that it has
/// ended, or belongs to another user; both show when it is looked for again.
fn signal(child: Pid, signal: Signal) {
    let _ = kill_process(child, signal);
    if getpgid(Some(child)) == Ok(child) {
        let _ = kill_process_group(child, signal);
    }
}

/// The direct children of this process, those that have ended and are not reaped included.
pub(super) fn children() -> HashSet<Pid> {
    let this = rustix::process::getpid().as_raw_nonzero().get();
    // `/proc/<pid>/task/*/children` would be cheaper; the kernel may be built without it.
    let Ok(processes) = std::fs::read_dir("/proc") else { return HashSet::new() };
    processes
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|process| {
            // It may have ended since it was listed.
            std::fs::read(format!("/proc/{process}/stat")).is_ok_and(|stat| parent(&stat) == Some(this))
        })
        .filter_map(Pid::from_raw)
        .collect()
}

/// The parent in a line of `/proc/<pid>/stat` (`proc_pid_stat(5)`): `pid (name) state parent …`, where the
/// name is the program's own choice and may hold blanks and parentheses.
fn parent(stat: &[u8]) -> Option<i32> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    std::str::from_utf8(&stat[name_end + 1..]).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parent;

    #[test]
    fn a_name_cannot_forge_the_parent() {
        let table: [(&[u8], Option<i32>); 4] = [
            (b"7 (sh) S 1 7 7 0 -1", Some(1)),
            (b"7 (a) S 99 (b) R 1 7 7", Some(1)),
            (b"7 (\xff) Z 42 7", Some(42)),
            (b"", None),
        ];
        for (stat, expected) in table {
            assert_eq!(parent(stat), expected, "{stat:?}");
        }
    }
}
