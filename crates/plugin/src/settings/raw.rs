//! What was given, by whom: the environment and the flags, sorted by setting and not yet understood.
//!
//! Refuses what no reading could put right: two spellings of one name with a value each, names outside
//! `only`, names that are not built yet, `insecure`.

use std::collections::BTreeMap;

use granary_redact::Secret;

use super::reader::SettingError;
use super::table::{Table, snake};
use super::value::{self, did_you_mean};
use super::{Form, Setting};
use crate::environment::Env;
use crate::network;
use crate::pem::Pem;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A variable of this name: written in YAML, or brought in by whoever restarted the pipeline.
    Environment(String),
    /// A flag, by hand.
    Flag(String),
}

impl Origin {
    /// The name as the user wrote it.
    pub fn name(&self) -> &str {
        match self {
            Origin::Environment(name) | Origin::Flag(name) => name,
        }
    }
}

/// One flag as it was given, the content of its file in place of the path where it named one.
pub struct Flag {
    /// The setting's name in any spelling.
    pub setting: String,
    /// As typed, with dashes, for messages.
    pub shown: String,
    /// More than one only for lists that were given several times.
    pub values: Vec<String>,
}

/// The texts given for one setting.
pub(super) struct Given {
    pub(super) origin: Origin,
    pub(super) values: Vec<String>,
}

/// Everything that was given. Has no `Debug`: it holds secrets.
#[derive(Default)]
pub struct Raw {
    pub(super) given: BTreeMap<&'static str, Given>,
    pub(super) errors: Vec<SettingError>,
    warnings: Vec<String>,
    only: Option<Vec<String>>,
}

impl Raw {
    /// Sorts environment and flags by setting. Flags win.
    pub fn read(table: &Table, env: &Env, flags: Vec<Flag>) -> Raw {
        let mut raw = Raw::default();
        let unknown = raw.take_environment(table, env);
        let present: Vec<(&'static str, String)> =
            raw.given.iter().map(|(name, given)| (*name, given.origin.name().to_owned())).collect();
        for flag in flags {
            raw.take_flag(table, flag);
        }
        raw.read_only(table);
        let limited = raw.only.is_some();
        for variable in unknown {
            raw.report_unknown(table, &variable, limited);
        }
        raw.enforce_only(&present);
        for setting in table.settings() {
            if let (Some(instead), Some(given)) = (setting.not_yet, raw.given.get(setting.name)) {
                let reason = format!("{} is not built yet and would have no effect", given.origin.name());
                let accepted = match instead {
                    "" => "not set".to_owned(),
                    instead => format!("not set ({instead})"),
                };
                raw.errors.push(SettingError::new(setting.name, reason, accepted));
            }
        }
        raw
    }

    /// The same for tests: settings by their names in lower case, as YAML has them.
    pub fn from_pairs(table: &Table, pairs: &[(&str, &str)]) -> Raw {
        let variable = |name: &str| format!("PLUGIN_{}", name.to_ascii_uppercase());
        Raw::read(
            table,
            &Env::from_pairs(pairs.iter().map(|(name, value)| (variable(name), value))),
            Vec::new(),
        )
    }

    /// What the user should know although it is no error.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The names in `only`, in lower case, `None` where it is not set.
    pub fn only(&self) -> Option<&[String]> {
        self.only.as_deref()
    }

    /// Every secret that was given, also in settings that turn out to be wrong. Of a secret map each value,
    /// except numbers and yes/no: masking every `1` in a log says more than it hides. The path of a key is none.
    pub fn secrets(&self, table: &Table) -> Vec<Secret> {
        let mut secrets = Vec::new();
        for setting in table.settings().filter(|setting| setting.secret) {
            for text in self.given.get(setting.name).into_iter().flat_map(|given| &given.values) {
                if setting.form == Form::Pem && Pem::is_plain_path(text) {
                    continue;
                }
                secrets.push(Secret::new(text));
                if setting.form == Form::Map {
                    let values = value::map(text).unwrap_or_default().into_iter().map(|(_, value)| value);
                    let telling = values
                        .filter(|value| value::boolean(value).is_err() && value.parse::<u32>().is_err());
                    secrets.extend(telling.map(Secret::new));
                }
            }
        }
        secrets
    }

    /// Each password with the user name that goes with it: `x_password` with `x_username`.
    pub fn credentials(&self, table: &Table) -> Vec<(String, Secret)> {
        let pair = |setting: &Setting| {
            let user = format!("{}username", setting.name.strip_suffix("password")?);
            let user = self.given.get(user.as_str())?.values.first()?;
            let password = self.given.get(setting.name)?.values.first()?;
            Some((user.clone(), Secret::new(password)))
        };
        table.settings().filter(|setting| setting.secret).filter_map(pair).collect()
    }

    /// Takes every `PLUGIN_*` that has a value; returns the names that mean nothing.
    fn take_environment(&mut self, table: &Table, env: &Env) -> Vec<String> {
        let mut unknown = Vec::new();
        for (name, value) in env.iter() {
            let Some(variable) = name.to_str().filter(|name| name.starts_with("PLUGIN_")) else { continue };
            if value.is_empty() {
                continue;
            }
            let Some(setting) = variable.strip_prefix("PLUGIN_").and_then(|rest| table.find(rest)) else {
                unknown.push(variable.to_owned());
                continue;
            };
            let origin = Origin::Environment(variable.to_owned());
            match value.to_str() {
                Some(text) => self.insert(setting, Given { origin, values: vec![text.to_owned()] }),
                None => {
                    self.errors.push(SettingError::new(setting.name, "not UTF-8", setting.form.accepted()));
                }
            }
        }
        unknown
    }

    fn insert(&mut self, setting: &'static Setting, given: Given) {
        match self.given.get(setting.name) {
            Some(earlier) => {
                let reason = format!("set twice, as {} and {}", earlier.origin.name(), given.origin.name());
                self.errors.push(SettingError::new(setting.name, reason, "one of the two"));
            }
            None => {
                self.given.insert(setting.name, given);
            }
        }
    }

    fn take_flag(&mut self, table: &Table, flag: Flag) {
        let Some(setting) = table.find(&flag.setting) else { return };
        let values: Vec<String> = flag.values.into_iter().filter(|value| !value.is_empty()).collect();
        if values.is_empty() {
            return;
        }
        if let Some(Given { origin: Origin::Environment(_), .. }) = self.given.get(setting.name) {
            self.given.remove(setting.name);
        }
        self.insert(setting, Given { origin: Origin::Flag(flag.shown), values });
    }

    /// Understands `only` itself; an entry that names nothing would let a typo pass for protection.
    fn read_only(&mut self, table: &Table) {
        let Some(given) = self.given.get("only") else { return };
        let mut names = Vec::new();
        let accepted =
            "names of settings, or of HTTP_PROXY, HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE, SSL_CERT_DIR";
        let entries: Result<Vec<Vec<String>>, _> =
            given.values.iter().map(|text| value::list(text)).collect();
        match entries {
            Ok(entries) => {
                for entry in entries.into_iter().flatten() {
                    let name = snake(&entry);
                    let name = name.strip_prefix("plugin_").unwrap_or(&name);
                    if let Some(setting) = table.find(name) {
                        names.push(setting.name.to_owned());
                    } else if network::VARIABLES.iter().any(|variable| variable.eq_ignore_ascii_case(name)) {
                        names.push(name.to_owned());
                    } else {
                        let reason =
                            format!("there is no setting {name}{}", did_you_mean(table.nearest(name)));
                        self.errors.push(SettingError::new("only", reason, accepted));
                    }
                }
            }
            Err(error) => self.errors.push(SettingError::new("only", error.to_string(), accepted)),
        }
        self.only = Some(names);
    }

    fn enforce_only(&mut self, present: &[(&'static str, String)]) {
        let Some(only) = &self.only else { return };
        for (name, variable) in present {
            if *name != "only" && !only.iter().any(|allowed| allowed == name) {
                self.errors.push(outside_only(name, variable));
            }
        }
    }

    fn report_unknown(&mut self, table: &Table, variable: &str, limited: bool) {
        let name = snake(variable.strip_prefix("PLUGIN_").unwrap_or(variable));
        if name == "insecure" {
            self.errors.push(SettingError::new(
                "insecure",
                "could mean either of two things",
                "skip_verify (TLS without checking certificates) or plain_http (no TLS)",
            ));
        } else if limited {
            self.errors.push(outside_only(&name, variable));
        } else {
            let nearest = did_you_mean(table.nearest(&name));
            self.warnings.push(format!("{variable} is ignored: there is no such setting{nearest}"));
        }
    }
}

fn outside_only(name: &str, variable: &str) -> SettingError {
    let reason = format!("{variable} is in the environment, but `only` does not name it");
    SettingError::new(name, reason, "in `only` where the step uses it, else not set")
}

#[cfg(test)]
mod tests;
