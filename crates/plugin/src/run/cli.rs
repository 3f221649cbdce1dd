//! The command line, made of the settings table: flags for runs by hand, `--help`, `--version`.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};

use super::Plugin;
use crate::docs;
use crate::failure::Kind;
use crate::file::{LONGEST_FILE, read_bounded};
use crate::settings::{Fallback, Flag, Form, Setting, Table};

/// The hidden flag that prints the table for `docs.md`.
const MARKDOWN: &str = "settings-markdown";
/// The settings that by hand may be a subcommand; a plugin has one of them at most.
const SUBCOMMANDS: [&str; 2] = ["action", "mode"];
/// The id of the subcommand's argument: the setting has a flag as well.
const SUBCOMMAND: &str = "SUBCOMMAND";

/// What the command line asks for.
pub(super) enum Asked {
    /// Print this and be done.
    Print(String),
    /// It cannot be understood, and why.
    Wrong(String),
    /// Run with these flags.
    Run(Vec<Given>),
}

/// A flag before its file is read.
pub(super) struct Given {
    flag: Flag,
    from_file: bool,
}

/// A secret's file that could not be read.
pub(super) struct Unreadable {
    pub(super) setting: String,
    pub(super) reason: String,
}

/// Understands the command line.
pub(super) fn parse<P: Plugin>(table: &Table, arguments: &[OsString]) -> Asked {
    let matches = match command::<P>(table).try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => return Asked::Wrong(explain(table, &error)),
        Err(error) => return Asked::Print(error.render().to_string()),
    };
    if matches.get_flag(MARKDOWN) {
        return Asked::Print(docs::render(table));
    }
    let mut given = Vec::new();
    for setting in table.settings() {
        let Some(flag) = table.flag(setting) else { continue };
        if let Some(values) = matches.get_many::<String>(setting.name) {
            let flag = Flag {
                setting: setting.name.to_owned(),
                shown: format!("--{flag}"),
                values: values.cloned().collect(),
            };
            given.push(Given { flag, from_file: setting.secret });
        }
    }
    if let Some(setting) = subcommand(table)
        && let Some(word) = matches.get_one::<String>(SUBCOMMAND)
    {
        let flag =
            Flag { setting: setting.name.to_owned(), shown: format!("`{word}`"), values: vec![word.clone()] };
        given.push(Given { flag, from_file: false });
    }
    Asked::Run(given)
}

/// clap's message, which does not know why a password has no flag.
fn explain(table: &Table, error: &clap::Error) -> String {
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else {
        return error.render().to_string();
    };
    match table.find(given.trim_start_matches('-')).filter(|setting| setting.secret) {
        None => error.render().to_string(),
        Some(setting) => {
            let name = setting.name.to_ascii_uppercase();
            let file = table.flag(setting).map_or_else(String::new, |flag| format!(", or use --{flag}"));
            format!(
                "error: {given} is a secret, and arguments are visible to every process\n\
                 hint: set PLUGIN_{name} in the environment{file}"
            )
        }
    }
}

/// Puts the content of files in the place of their paths.
pub(super) fn read_files(given: Vec<Given>) -> (Vec<Flag>, Vec<Unreadable>) {
    let mut flags = Vec::new();
    let mut unreadable = Vec::new();
    let mut standard_input_taken = false;
    for Given { mut flag, from_file } in given {
        if from_file {
            let path = flag.values.first().cloned().unwrap_or_default();
            let text = match path == "-" && standard_input_taken {
                true => Err("standard input can be read only once".to_owned()),
                false => read_secret(&path),
            };
            standard_input_taken |= path == "-";
            match text {
                Ok(text) => flag.values = vec![text],
                Err(reason) => {
                    unreadable.push(Unreadable { setting: flag.setting, reason });
                    continue;
                }
            }
        }
        flags.push(flag);
    }
    (flags, unreadable)
}

/// The content of a file, or of standard input for `-`, without the line's end that editors and `echo` add.
fn read_secret(path: &str) -> Result<String, String> {
    let text = match path {
        "-" => {
            let mut text = String::new();
            let read = std::io::stdin().lock().take(LONGEST_FILE + 1).read_to_string(&mut text);
            read.map(|_| (text.len() as u64 <= LONGEST_FILE).then_some(text))
        }
        path => read_bounded(&PathBuf::from(path)),
    };
    let shown = if path == "-" { "standard input" } else { path };
    let text = text.map_err(|error| format!("cannot read {shown}: {error}"))?;
    let text = text.ok_or_else(|| format!("{shown} is larger than any secret"))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    match text.is_empty() {
        true => Err(format!("{shown} is empty")),
        false => Ok(text.to_owned()),
    }
}

/// The setting that a bare word on the command line means.
fn subcommand(table: &Table) -> Option<&'static Setting> {
    table
        .settings()
        .find(|setting| SUBCOMMANDS.contains(&setting.name) && matches!(setting.form, Form::Choice(_)))
}

fn command<P: Plugin>(table: &Table) -> Command {
    let mut command = Command::new(P::NAME)
        .about(P::ABOUT)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(after_help::<P>())
        .arg(Arg::new(MARKDOWN).long(MARKDOWN).action(ArgAction::SetTrue).hide(true));
    if let Some(Setting { name, form: Form::Choice(words), help, .. }) = subcommand(table) {
        let help = format!("{help} One of {}", words.join(", "));
        command = command.arg(Arg::new(SUBCOMMAND).index(1).value_name(name.to_ascii_uppercase()).help(help));
    }
    for group in table.groups() {
        for setting in group.settings {
            if let Some(flag) = table.flag(setting) {
                command = command.arg(argument(table, group.title, setting, &flag));
            }
        }
    }
    command
}

fn argument(table: &Table, heading: &'static str, setting: &Setting, flag: &str) -> Arg {
    let file = if setting.secret { "_file" } else { "" };
    let mut aliases = vec![format!("{}{file}", setting.name)];
    for name in table.other_spellings(setting) {
        aliases.push(format!("{name}{file}").replace('_', "-"));
        aliases.push(format!("{name}{file}"));
    }
    aliases.dedup();
    aliases.retain(|alias| alias != flag);
    let argument = Arg::new(setting.name)
        .long(flag.to_owned())
        .aliases(aliases)
        .help(help(table, setting))
        .help_heading(heading)
        .hide(setting.not_yet.is_some())
        .value_name(value_name(setting));
    match setting.form {
        _ if setting.secret => argument.action(ArgAction::Set),
        Form::Bool => {
            argument.action(ArgAction::Set).num_args(0..=1).require_equals(true).default_missing_value("true")
        }
        Form::List | Form::Map | Form::ListOrMap => argument.action(ArgAction::Append),
        _ => argument.action(ArgAction::Set),
    }
}

fn value_name(setting: &Setting) -> &'static str {
    match setting.form {
        _ if setting.secret => "PATH",
        Form::Bool => "true|false",
        Form::Duration => "DURATION",
        Form::Integer => "NUMBER",
        Form::List => "LIST",
        Form::Map => "MAP",
        Form::ListOrMap => "LIST|MAP",
        Form::Json => "JSON",
        Form::Choice(_) => "WORD",
        Form::Version => "VERSION",
        Form::Commit => "COMMIT",
        Form::Command => "COMMAND",
        Form::Pem => "PEM|PATH",
        Form::Text => "TEXT",
    }
}

fn help(table: &Table, setting: &Setting) -> String {
    let default = match setting.fallback {
        Fallback::None => String::new(),
        Fallback::Value(value) => format!(" [default: {value}]"),
        Fallback::Told(words) => format!(" [default: {words}]"),
    };
    let secret = if setting.secret { " A file, or - for standard input." } else { "" };
    let mut variables = vec![setting.name.to_owned()];
    variables.extend(table.told_spellings(setting));
    let variables: Vec<String> =
        variables.iter().map(|name| format!("PLUGIN_{}", name.to_ascii_uppercase())).collect();
    let accepted = docs::accepted(setting);
    format!("{}{accepted}{secret} [env: {}]{default}", setting.help, variables.join(", "))
}

fn after_help<P: Plugin>() -> String {
    let environment_only: Vec<String> = Table::new(P::GROUPS)
        .settings()
        .filter(|setting| setting.not_yet.is_none() && Table::new(P::GROUPS).flag(setting).is_none())
        .map(|setting| format!("  PLUGIN_{}  {}\n", setting.name.to_ascii_uppercase(), setting.help))
        .collect();
    let environment_only = match environment_only.is_empty() {
        true => String::new(),
        false => format!("Only in the environment:\n{}\n", environment_only.concat()),
    };
    let codes: Vec<String> =
        Kind::ALL.iter().map(|kind| format!("  {:3}  {}\n", kind.code(), kind.meaning())).collect();
    let examples: Vec<String> = P::EXAMPLES
        .iter()
        .map(|example| format!("  # {}\n  {}\n", example.purpose, example.command))
        .collect();
    format!(
        "{environment_only}Exit codes:\n    0  done, unchanged, planned, deferred or skipped\n{}\nExamples:\n{}",
        codes.concat(),
        examples.concat()
    )
}
