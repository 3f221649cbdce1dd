//! Who may override time and approvals of a stage, and how. Evidence is never overridden.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::error::Problem;
use crate::health::duration;
use crate::reader::Reader;
use crate::ssh::SshKey;
use crate::yaml::{Node, shown};

/// How many characters a reason must have where the policy does not say: more than "hotfix".
pub const DEFAULT_REASON_MIN: usize = 10;

/// How long a request holds at most, and where the policy does not say.
pub const MAX_REQUEST_AGE: Duration = Duration::from_secs(60 * 60);

/// Whether there is a way around the gates of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakGlassMode {
    /// None.
    #[default]
    Never,
    /// A request overrides; without one the gates decide.
    Allowed,
    /// Nothing passes without a request.
    Required,
}

/// The rules of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakGlass {
    /// Whether there is a way.
    pub mode: BreakGlassMode,
    /// How many characters a reason must have.
    pub reason_min: usize,
    /// Whether a request must name a ticket.
    pub ticket: bool,
    /// How long a request holds.
    pub max_age: Duration,
    /// How many persons must have signed it.
    pub signatures: usize,
    /// Who may sign. Several entries of one name are several keys of one person, who signs once.
    pub signers: Vec<Signer>,
}

/// A key of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The person.
    pub name: String,
    /// The key; it is in the list once.
    pub key: SshKey,
}

impl Default for BreakGlass {
    fn default() -> Self {
        BreakGlass {
            mode: BreakGlassMode::Never,
            reason_min: DEFAULT_REASON_MIN,
            ticket: true,
            max_age: MAX_REQUEST_AGE,
            signatures: 1,
            signers: Vec::new(),
        }
    }
}

/// `None` where it is wrong.
pub(crate) fn read(reader: &mut Reader, node: Option<&Node>, path: &str) -> Option<BreakGlass> {
    let Some(node) = node else { return Some(BreakGlass::default()) };
    let mode = node.get("mode").and_then(Node::text).and_then(|word| match word {
        "never" => Some(BreakGlassMode::Never),
        "allowed" => Some(BreakGlassMode::Allowed),
        "required" => Some(BreakGlassMode::Required),
        _ => None,
    });
    let count = |key: &str, default: usize| match node.get(key) {
        Some(value) => value.whole().and_then(|number| usize::try_from(number).ok()),
        None => Some(default),
    };
    let (reason_min, signatures) = (count("reason_min", DEFAULT_REASON_MIN), count("signatures", 1));
    let ticket = match node.get("ticket").map(Node::text) {
        Some(Some("optional")) => Some(false),
        Some(Some("required")) | None => Some(true),
        Some(_) => None,
    };
    let max_age = duration(reader, node, path, "max_age", MAX_REQUEST_AGE, "60m");
    let signers = signers(reader, node, &format!("{path}.keys"));
    let (mode, signatures) = (mode?, signatures?);
    if mode != BreakGlassMode::Never {
        enough(reader, node, path, signatures, &signers);
    }
    Some(BreakGlass {
        mode,
        reason_min: reason_min?,
        ticket: ticket?,
        max_age: max_age?.unwrap_or(MAX_REQUEST_AGE),
        signatures,
        signers,
    })
}

/// That nobody signs has to be written down; that too few can is a mistake.
fn enough(reader: &mut Reader, node: &Node, path: &str, signatures: usize, signers: &[Signer]) {
    let persons: BTreeSet<&str> = signers.iter().map(|signer| signer.name.as_str()).collect();
    if signatures <= persons.len() {
        return;
    }
    match (node.get("keys"), node.get("signatures")) {
        (None, _) => {
            let needed = "keys of those who may sign, or `signatures: 0` where nobody has to".to_owned();
            reader.lacking(node.place, &format!("{path}.keys"), Problem::Missing { needed });
        }
        (Some(keys), given) => {
            let problem = Problem::TooFewPersons {
                signatures: i64::try_from(signatures).unwrap_or(i64::MAX),
                persons: persons.len(),
            };
            let place = given.map_or(keys.place, |given| given.place);
            // Keys that cannot be read were reported, and may be the missing ones.
            if keys.items().len() == signers.len() {
                reader.lacking(place, &format!("{path}.signatures"), problem);
            }
        }
    }
}

fn signers(reader: &mut Reader, node: &Node, path: &str) -> Vec<Signer> {
    let mut found: Vec<Signer> = Vec::new();
    for (index, entry) in node.get("keys").into_iter().flat_map(Node::items).enumerate() {
        let (Some(name), Some(key)) = (entry.get("name").and_then(Node::text), entry.get("key")) else {
            continue;
        };
        let Some(line) = key.text() else { continue };
        let at = format!("{path}[{index}].key");
        match SshKey::parse(line) {
            Err(reason) => reader.at(key.place, &at, Problem::SshKey { found: reason }),
            Ok(parsed) => match found.iter().find(|other| other.key == parsed) {
                Some(other) => {
                    let (name, path) = (shown(&parsed.fingerprint()), format!("the key of {}", other.name));
                    reader.at(key.place, &at, Problem::Taken { name, path });
                }
                None => found.push(Signer { name: name.to_owned(), key: parsed }),
            },
        }
    }
    found
}
