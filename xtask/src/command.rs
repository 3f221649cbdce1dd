//! Children of xtask: shown before they run, without standard input, and an error when they fail.

use std::ffi::OsStr;
use std::process::{Command, ExitStatus, Stdio};

/// Why a child did not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// It is not there, or may not be run.
    #[error("cannot start `{command}`")]
    Start {
        /// The command line.
        command: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It failed; what it had to say is above.
    #[error("`{command}` failed: {status}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
}

/// Shows the command line and runs it, its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<(), CommandError> {
    println!("$ {}", shown(command));
    let status = command.stdin(Stdio::null()).status().map_err(|source| start_error(command, source))?;
    check(command, status)
}

/// Runs silently and returns standard output; standard error goes where ours goes.
pub(crate) fn read(command: &mut Command) -> Result<String, CommandError> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|source| start_error(command, source))?;
    check(command, output.status)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn start_error(command: &Command, source: std::io::Error) -> CommandError {
    CommandError::Start { command: shown(command), source }
}

fn check(command: &Command, status: ExitStatus) -> Result<(), CommandError> {
    match status.success() {
        true => Ok(()),
        false => Err(CommandError::Failed { command: shown(command), status }),
    }
}

/// The command line as one could type it, with the variables that were set for it.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let variables = variables.map(|(name, value)| format!("{}={}", name.display(), quoted(value)));
    let name = std::iter::once(quoted(program.file_name().unwrap_or(program.as_os_str())));
    variables.chain(name).chain(command.get_args().map(quoted)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+.,/:@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_could_be_typed() {
        let mut command = Command::new("/opt/bin/cargo");
        command.args(["doc", "--no-deps", "it's", ""]).env("RUSTDOCFLAGS", "-D warnings").env_remove("HOME");
        assert_eq!(shown(&command), r"RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'it'\''s' ''");
    }

    #[test]
    fn failures_name_the_command() {
        let failed = run(Command::new("sh").args(["-c", "exit 7"])).unwrap_err();
        assert_eq!(failed.to_string(), "`sh -c 'exit 7'` failed: exit status: 7");
        let missing = read(&mut Command::new("granary-no-such-program")).unwrap_err();
        assert_eq!(missing.to_string(), "cannot start `granary-no-such-program`");
        assert_eq!(read(Command::new("echo").arg("x")).unwrap(), "x\n");
    }
}
