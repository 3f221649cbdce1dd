//! The settings of [`crate::COMMON`], read.

use std::path::PathBuf;
use std::time::Duration;

use crate::output::Level;
use crate::pem::Pem;
use crate::settings::Reader;

/// More would only hide that a server is down.
const MOST_RETRIES: u64 = 20;

/// What every plugin is told. `Default` is what nobody having set anything gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    /// How much to print.
    pub log_level: Level,
    /// Print the plan and change nothing.
    pub dry_run: bool,
    /// The time the whole step may take.
    pub timeout: Duration,
    /// How often a request is sent again, 0 to 20.
    pub retries: u32,
    /// Further certificate authorities.
    pub ca_cert: Option<Pem>,
    /// Do not check TLS certificates.
    pub skip_verify: bool,
    /// No TLS, also off loopback.
    pub plain_http: bool,
    /// Where to write variables.
    pub env_file: Option<PathBuf>,
    /// Where to write the result, where set.
    pub result_file: Option<PathBuf>,
}

impl Common {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let retries = reader.integer("retries").unwrap_or(0);
        if retries > MOST_RETRIES {
            reader.reject("retries", format!("too many: `{retries}`"), "0 to 20");
        }
        let timeout = reader.duration("timeout");
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            reader.reject("timeout", "no time at all", "a duration above 0s");
        }
        Common {
            log_level: reader.choice("log_level").map_or(Level::Info, Level::from_word),
            dry_run: reader.flag("dry_run"),
            timeout: timeout.unwrap_or_default(),
            retries: u32::try_from(retries).unwrap_or(0),
            ca_cert: reader.pem("ca_cert"),
            skip_verify: reader.flag("skip_verify"),
            plain_http: reader.flag("plain_http"),
            env_file: reader.text("env_file").map(PathBuf::from),
            result_file: reader.text("result_file").map(PathBuf::from),
        }
    }
}

impl Default for Common {
    fn default() -> Self {
        let table = crate::settings::Table::new(&[&crate::COMMON]);
        let raw = crate::settings::Raw::default();
        Common::read(&mut Reader::new(&table, &raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_set_is_careful() {
        assert_eq!(
            Common::default(),
            Common {
                log_level: Level::Info,
                dry_run: false,
                timeout: Duration::from_secs(3600),
                retries: 5,
                ca_cert: None,
                skip_verify: false,
                plain_http: false,
                env_file: None,
                result_file: None,
            }
        );
    }
}
