//! Settings that weaken a check, and which of them a stage lets count in restarted and deployed pipelines.

use std::collections::BTreeSet;

use crate::error::Problem;
use crate::evidence::distinct;
use crate::known::Known;
use crate::reader::Reader;
use crate::yaml::{Node, shown};

/// The settings that a policy may let count although the pipeline was restarted or deployed with parameters
/// that are not in its YAML.
pub const LOOSENING: [&str; 14] = [
    "allow_older",
    "allow_warned",
    "branches",
    "break_glass",
    "break_glass_expires",
    "break_glass_reason",
    "break_glass_reason_from",
    "break_glass_ticket",
    "negative_control",
    "plain_http",
    "promoter_keys",
    "request_file",
    "skip_verify",
    "trusted_keys",
];

/// Those that are used before there is a policy.
const ABOVE: [&str; 4] = ["forge_url", "only", "policy", "policy_ref"];

pub(crate) fn read(reader: &mut Reader, list: Option<&Node>, path: &str) -> BTreeSet<&'static str> {
    let Some(list) = list else { return BTreeSet::new() };
    distinct(reader, list, path, str::to_owned);
    let mut allowed = BTreeSet::new();
    for (index, item) in list.items().iter().enumerate() {
        let Some(name) = item.text() else { continue };
        let at = format!("{path}[{index}]");
        match LOOSENING.iter().find(|known| **known == name) {
            Some(known) => {
                allowed.insert(*known);
            }
            None if ABOVE.contains(&name) => {
                reader.at(item.place, &at, Problem::AboveThePolicy { name: name.to_owned() });
            }
            None => {
                let known = Known::to_writer_of(name, LOOSENING);
                reader.at(item.place, &at, Problem::NotThere { name: shown(name), known });
            }
        }
    }
    allowed
}
