//! The env file: `KEY=value` lines that a later step can source.

use super::Facts;
use crate::failure::{Failure, Kind};

/// Two names that would be the same variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{first}` and `{second}` would both be {variable} in the env file")]
pub struct NameCollision {
    /// The one that was there first.
    pub first: String,
    /// The other.
    pub second: String,
    /// What both would be called.
    pub variable: String,
}

impl From<NameCollision> for Failure {
    fn from(collision: NameCollision) -> Self {
        Failure::new(Kind::Settings, collision.to_string()).hint("rename one of the two in `names`")
    }
}

/// The variables `DIGEST_<NAME>` of these names, in order. A plugin asks for them while it plans, before
/// anything is written.
///
/// # Errors
/// [`NameCollision`] where two names give the same variable.
pub fn digest_variables<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>, NameCollision> {
    let mut seen: Vec<(&str, String)> = Vec::new();
    for name in names {
        let letter =
            |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
        let variable = format!("DIGEST_{}", name.chars().map(letter).collect::<String>());
        if let Some((first, _)) = seen.iter().find(|(_, earlier)| *earlier == variable) {
            return Err(NameCollision { first: (*first).to_owned(), second: name.to_owned(), variable });
        }
        seen.push((name, variable));
    }
    Ok(seen.into_iter().map(|(_, variable)| variable).collect())
}

/// The text of the env file.
///
/// # Errors
/// [`NameCollision`], where the plugin did not ask before.
pub(crate) fn variables(facts: &Facts) -> Result<String, NameCollision> {
    let lead = facts.lead();
    let mut lines = Vec::new();
    let mut line = |name: &str, value: Option<String>| {
        lines.extend(value.map(|value| format!("{name}={value}\n")));
    };
    line("VERSION", facts.version.clone());
    line("CANDIDATE", facts.candidate.clone());
    line("DIGEST", lead.map(|lead| lead.digest.clone()));
    line("IMAGE", lead.map(|lead| format!("{}@{}", lead.repository, lead.digest)));
    let names = digest_variables(facts.artifacts.iter().map(|member| member.name.as_str()))?;
    for (name, member) in names.iter().zip(&facts.artifacts) {
        line(name, Some(member.digest.clone()));
    }
    Ok(lines.concat())
}

#[cfg(test)]
mod tests {
    use super::super::Artifact;
    use super::*;

    fn member(name: &str, digest: &str) -> Artifact {
        Artifact {
            name: name.to_owned(),
            repository: format!("registry.test/acme/{name}"),
            digest: digest.to_owned(),
            tags: Vec::new(),
        }
    }

    #[test]
    fn the_lead_stands_for_the_set_and_each_member_has_a_line() {
        let facts = Facts {
            version: Some("1.2.3".to_owned()),
            artifacts: vec![member("market-data", "sha256:aa"), member("web", "sha256:bb")],
            lead: Some("web".to_owned()),
            ..Facts::default()
        };
        assert_eq!(
            variables(&facts).unwrap(),
            "VERSION=1.2.3\nDIGEST=sha256:bb\nIMAGE=registry.test/acme/web@sha256:bb\n\
             DIGEST_MARKET_DATA=sha256:aa\nDIGEST_WEB=sha256:bb\n"
        );
        assert_eq!(variables(&Facts::default()).unwrap(), "");
    }

    #[test]
    fn names_that_become_one_variable_are_refused() {
        let collision = digest_variables(["a-b", "c", "a.b"]).unwrap_err();
        assert_eq!(collision.to_string(), "`a-b` and `a.b` would both be DIGEST_A_B in the env file");
    }
}
