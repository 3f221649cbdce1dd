//! Settings: one static table per plugin says what there is; everything else reads that table.
//!
//! # Design
//! No clap derive. The table has to serve four readers at once: the environment, the flags, `--help` and
//! the table in `docs.md`; and it has to do what a derive cannot: kebab, snake, singular and plural
//! spellings of one name, `--password-file` instead of `--password`, where a value came from, `only`, a
//! nearest name for a typo, and *all* bad settings in one go instead of the first.
//!
//! The way of a value: [`Table`] (what exists) → [`Raw`] (what was given, by whom) → [`Reader`] (what it
//! means). None of them touches the process environment or a file.

mod groups;
mod raw;
mod reader;
mod table;
mod value;

pub use groups::{COMMON, REGISTRY};
pub use raw::{Flag, Origin, Raw};
pub use reader::{Reader, SettingError, SettingErrors};
pub use table::Table;
pub use value::ValueError;

/// What a setting's text has to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Any text.
    Text,
    /// Yes or no.
    Bool,
    /// A time span with units.
    Duration,
    /// A whole number, 0 or more.
    Integer,
    /// Several texts.
    List,
    /// Names with values.
    Map,
    /// A list, or a map where the items have names.
    ListOrMap,
    /// A list of maps, or what else YAML makes JSON of.
    Json,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// A version, which YAML likes to take for a number.
    Version,
    /// A commit, which YAML likes to take for a number too.
    Commit,
    /// A command line; no shell runs it.
    Command,
    /// A key or certificate.
    Pem,
}

impl Form {
    /// What is accepted, for error messages and docs.
    pub fn accepted(self) -> String {
        match self {
            Form::Text => "a text".to_owned(),
            Form::Bool => "true or false (also yes/no, 1/0)".to_owned(),
            Form::Duration => "a duration such as 90s, 30m, 1h30m or 7d".to_owned(),
            Form::Integer => "a whole number".to_owned(),
            Form::List => "a comma-separated or JSON list".to_owned(),
            Form::Map => "a map, as JSON or as name=value,name=value".to_owned(),
            Form::ListOrMap => "a comma-separated or JSON list, or a map (JSON or name=value)".to_owned(),
            Form::Json => "a YAML list of maps, or JSON".to_owned(),
            Form::Choice(words) => format!("one of {}", words.join(", ")),
            Form::Version => "a version in quotes, such as \"1.2.3\"".to_owned(),
            Form::Commit => "7 to 40 hex digits, in quotes".to_owned(),
            Form::Command => "one string, or a JSON list of words as text".to_owned(),
            Form::Pem => "PEM text, or the path of a PEM file".to_owned(),
        }
    }

    /// Whether the singular and the plural of the name mean the same.
    const fn is_plural(self) -> bool {
        matches!(self, Form::List | Form::Map | Form::ListOrMap | Form::Json)
    }

    /// Whether a wrong value may be shown: only forms that are too short and closed to hold a secret.
    const fn may_be_shown(self) -> bool {
        matches!(
            self,
            Form::Bool | Form::Duration | Form::Integer | Form::Choice(_) | Form::Version | Form::Commit
        )
    }
}

/// What a setting is when nobody sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// Nothing.
    None,
    /// This text, read as if it had been set. So what is documented is what happens.
    Value(&'static str),
    /// Something that takes words to say; the plugin works it out.
    Told(&'static str),
}

/// One setting: `PLUGIN_<NAME>`, `--<name>`, one row of the docs.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// In snake case.
    pub name: &'static str,
    /// Other names that mean the same; singular, plural and kebab case need no mention.
    pub aliases: &'static [&'static str],
    /// What its text has to look like.
    pub form: Form,
    /// What it is when it is not set.
    pub fallback: Fallback,
    /// Meaning, for `--help` and docs; Markdown code spans only.
    pub help: &'static str,
    /// Never shown, never a plain flag.
    pub secret: bool,
    /// Weakens a check: where there is a policy, it does not count on restarted pipelines unless the
    /// policy names it (DESIGN §4.11).
    pub loosens: bool,
    /// Fixed as a name but not built yet, and what to do instead: setting it is an error, not a no-op.
    pub not_yet: Option<&'static str>,
}

impl Setting {
    /// A setting without a default.
    pub const fn new(name: &'static str, form: Form, help: &'static str) -> Self {
        Setting {
            name,
            aliases: &[],
            form,
            fallback: Fallback::None,
            help,
            secret: false,
            loosens: false,
            not_yet: None,
        }
    }

    /// A name that is reserved: refused until it does something. `instead` says what to do, or is empty.
    pub const fn not_yet(name: &'static str, instead: &'static str) -> Self {
        Setting { not_yet: Some(instead), ..Setting::new(name, Form::Text, "") }
    }

    /// Gives it a default that is read like a set value.
    pub const fn default(self, value: &'static str) -> Self {
        Setting { fallback: Fallback::Value(value), ..self }
    }

    /// Describes a default that the plugin works out.
    pub const fn default_told(self, words: &'static str) -> Self {
        Setting { fallback: Fallback::Told(words), ..self }
    }

    /// Gives it other names.
    pub const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Setting { aliases, ..self }
    }

    /// Makes it a secret.
    pub const fn secret(self) -> Self {
        Setting { secret: true, ..self }
    }

    /// Marks it as weakening a check.
    pub const fn loosening(self) -> Self {
        Setting { loosens: true, ..self }
    }
}

/// Settings that belong together, under one heading.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// The heading in `--help`.
    pub title: &'static str,
    /// In the order of the docs.
    pub settings: &'static [Setting],
}
