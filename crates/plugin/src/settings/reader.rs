//! Reads settings by type and collects everything that is wrong with them.
//!
//! Every method answers `None` (or the form's empty value) both for *not set* and for *wrong*: a plugin's
//! `resolve` reads everything, and [`Reader::finish`] tells whether it may go on.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use granary_redact::Secret;

use super::raw::{Given, Origin, Raw};
use super::table::{Table, nearest};
use super::value::{self, ValueError};
use super::{Fallback, Setting};
use crate::failure::{Failure, Kind};
use crate::pem::Pem;

/// Wrong values that are shown at all are shown up to this length.
const LONGEST_SHOWN: usize = 40;

/// One setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError {
    /// The setting.
    pub name: String,
    /// What is wrong; never shows a value that might be or hold a secret.
    pub reason: String,
    /// What would be accepted.
    pub accepted: String,
}

impl SettingError {
    pub(super) fn new(
        name: impl Into<String>,
        reason: impl Into<String>,
        accepted: impl Into<String>,
    ) -> Self {
        SettingError { name: name.into(), reason: reason.into(), accepted: accepted.into() }
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}; accepted: {}", self.name, self.reason, self.accepted)
    }
}

/// All settings that cannot be used, one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingErrors(pub Vec<SettingError>);

impl fmt::Display for SettingErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(formatter, "1 bad setting")?,
            count => write!(formatter, "{count} bad settings")?,
        }
        self.0.iter().try_for_each(|error| write!(formatter, "\n  {error}"))
    }
}

impl std::error::Error for SettingErrors {}

impl From<SettingErrors> for Failure {
    fn from(errors: SettingErrors) -> Self {
        Failure::new(Kind::Settings, errors.to_string()).hint("`--help` lists every setting")
    }
}

/// Reads the settings of one run.
pub struct Reader<'a> {
    table: &'a Table,
    raw: &'a Raw,
    errors: Vec<SettingError>,
}

impl<'a> Reader<'a> {
    /// A reader that already knows what `raw` refused.
    pub fn new(table: &'a Table, raw: &'a Raw) -> Self {
        Reader { table, raw, errors: raw.errors.clone() }
    }

    /// A text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.single(name, value::text)
    }

    /// Yes or no; `false` where nothing says otherwise.
    pub fn flag(&mut self, name: &str) -> bool {
        self.single(name, value::boolean).unwrap_or(false)
    }

    /// A time span.
    pub fn duration(&mut self, name: &str) -> Option<Duration> {
        self.single(name, value::duration)
    }

    /// A whole number.
    pub fn integer(&mut self, name: &str) -> Option<u64> {
        self.single(name, value::integer)
    }

    /// One of the words in the table. A wrong one that is nearly one of them is told so.
    pub fn choice(&mut self, name: &str) -> Option<&'static str> {
        let super::Form::Choice(words) = self.setting(name).form else {
            unreachable!("{name} is not a choice in the table")
        };
        let word = |text: &str| {
            let known = words.iter().copied().find(|word| *word == text.trim());
            known.ok_or_else(|| ValueError::Choice(nearest(text.trim(), words.iter().copied())))
        };
        self.single(name, word)
    }

    /// A text that is a version of some kind, and not what YAML made of one.
    pub fn version_like(&mut self, name: &str) -> Option<String> {
        self.single(name, value::version_like)
    }

    /// 7 to 40 hex digits, in lower case.
    pub fn commit_like(&mut self, name: &str) -> Option<String> {
        self.single(name, value::commit_like)
    }

    /// A command line as words.
    pub fn command(&mut self, name: &str) -> Option<Vec<String>> {
        self.single(name, value::command)
    }

    /// Several texts; of a flag that was given several times, all.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        self.several(name, value::list)
    }

    /// Names with values, in order.
    pub fn map(&mut self, name: &str) -> Vec<(String, String)> {
        self.several(name, value::map)
    }

    /// Items, with names where they have some, in order.
    pub fn list_or_map(&mut self, name: &str) -> Vec<(Option<String>, String)> {
        self.several(name, value::list_or_map)
    }

    /// JSON of the shape of `T`. What `T` says about a wrong shape is not shown: it may quote the value.
    pub fn json<T: serde::de::DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        self.single(name, |text| serde_json::from_str(text).map_err(|error| value::broken(&error)))
    }

    /// A key or certificate.
    pub fn pem(&mut self, name: &str) -> Option<Pem> {
        self.single(name, |text| Ok::<_, ValueError>(Pem::from_value(text)))
    }

    /// A secret text, without the line's end that files and `echo` leave in many a secret store.
    pub fn secret(&mut self, name: &str) -> Option<Secret> {
        self.single(name, |text| Ok::<_, ValueError>(Secret::new(text.trim_end_matches(['\r', '\n']))))
    }

    /// Anything that can be parsed from a text. Its error becomes the reason, so it must not repeat the
    /// value where that could hold a secret.
    pub fn parse<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        text.trim().parse().map_err(|error: T::Err| self.reject_form(name, &error.to_string())).ok()
    }

    /// Adds an error of the plugin's own.
    pub fn reject(&mut self, name: &str, reason: impl Into<String>, accepted: impl Into<String>) {
        self.errors.push(SettingError::new(name, reason, accepted));
    }

    /// Rejects each of these settings that somebody set: what has no effect is not swallowed, whoever set it
    /// meant something.
    pub fn refuse(&mut self, names: &[&str], reason: &str, accepted: &str) {
        for name in names {
            if self.is_set(name) {
                self.reject(name, reason, accepted);
            }
        }
    }

    /// Complains where a setting is not there; says nothing where it is there but wrong.
    pub fn require<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.errors.iter().any(|error| error.name == name) {
            let setting = self.setting(name);
            let flag = self.table.flag(setting).map_or_else(String::new, |flag| format!(" or --{flag}"));
            let reason = format!("required, set PLUGIN_{}{flag}", name.to_ascii_uppercase());
            self.reject(name, reason, setting.form.accepted());
        }
        value
    }

    /// Whether somebody set it.
    pub fn is_set(&self, name: &str) -> bool {
        self.raw.given.contains_key(self.setting(name).name)
    }

    /// Who set it, and under which name.
    pub fn origin(&self, name: &str) -> Option<&'a Origin> {
        self.raw.given.get(self.setting(name).name).map(|given| &given.origin)
    }

    /// The settings that weaken a check and came by the environment: on a restarted or deployed pipeline
    /// they count only where the policy names them (DESIGN §4.11).
    pub fn loosened(&self) -> Vec<&'static str> {
        let by_environment =
            |setting: &&Setting| matches!(self.origin(setting.name), Some(Origin::Environment(_)));
        self.table
            .settings()
            .filter(|setting| setting.loosens)
            .filter(by_environment)
            .map(|setting| setting.name)
            .collect()
    }

    /// What `resolve` made of the settings, if nothing was wrong.
    ///
    /// # Errors
    /// Every error at once.
    ///
    /// # Panics
    /// Where `resolve` gave nothing although nothing was wrong: a bug of the plugin.
    pub fn finish<T>(self, settings: Option<T>) -> Result<T, SettingErrors> {
        match settings {
            Some(settings) if self.errors.is_empty() => Ok(settings),
            None if self.errors.is_empty() => panic!("resolve refused the settings without saying why"),
            _ => Err(SettingErrors(self.errors)),
        }
    }

    fn setting(&self, name: &str) -> &'static Setting {
        let found = self.table.settings().find(|setting| setting.name == name);
        found.unwrap_or_else(|| panic!("{name} is not in the settings table"))
    }

    fn given(&self, setting: &Setting) -> Option<&'a Given> {
        // A name that is not built yet was refused already.
        self.raw.given.get(setting.name).filter(|_| setting.not_yet.is_none())
    }

    /// The one text of a setting, or its default, understood.
    fn single<T>(&mut self, name: &str, read: impl Fn(&str) -> Result<T, ValueError>) -> Option<T> {
        let setting = self.setting(name);
        let text = match (self.given(setting), setting.fallback) {
            (Some(given), _) => given.values.first().map_or("", String::as_str),
            (None, Fallback::Value(text)) => text,
            (None, _) => return None,
        };
        read(text).map_err(|error| self.wrong(setting, text, &error)).ok()
    }

    /// All texts of a setting, or its default, understood and put together.
    fn several<T>(&mut self, name: &str, read: impl Fn(&str) -> Result<Vec<T>, ValueError>) -> Vec<T> {
        let setting = self.setting(name);
        let texts: Vec<&str> = match (self.given(setting), setting.fallback) {
            (Some(given), _) => given.values.iter().map(String::as_str).collect(),
            (None, Fallback::Value(text)) => vec![text],
            (None, _) => return Vec::new(),
        };
        let mut all = Vec::new();
        for text in texts {
            match read(text) {
                Ok(items) => all.extend(items),
                Err(error) => self.wrong(setting, text, &error),
            }
        }
        all
    }

    fn wrong(&mut self, setting: &Setting, text: &str, error: &ValueError) {
        let short = text.len() <= LONGEST_SHOWN && !text.contains(char::is_control);
        let reason = match !setting.secret && setting.form.may_be_shown() && short {
            true => format!("{error}: `{text}`"),
            false => error.to_string(),
        };
        self.reject(setting.name, reason, setting.form.accepted());
    }

    fn reject_form(&mut self, name: &str, reason: &str) {
        let accepted = self.setting(name).form.accepted();
        self.reject(name, reason, accepted);
    }
}

#[cfg(test)]
mod tests;
