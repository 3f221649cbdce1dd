//! From the settings `registry` and `repo` to the repositories of a release set's members.

use granary_oci::{ParseNameError, RegistryHost, Repository, without_userinfo};
use thiserror::Error;

/// Where the name of a member stands in `repo`.
const PLACEHOLDER: &str = "{name}";

/// The setting `repo`: one repository, or one for each member (`acme/{name}`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryTemplate(String);

/// Why `repo` cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TemplateError {
    /// `host/path`, with another host than the registry's.
    #[error("it names the registry `{found}`, but `{setting}` is `{registry}`")]
    OtherRegistry {
        /// The host in front of the path.
        found: String,
        /// The setting that names the registry.
        setting: &'static str,
        /// What it says.
        registry: RegistryHost,
    },
    /// A tag or digest behind the path.
    #[error("it ends in a tag or digest; the plugin chooses those")]
    Tagged,
    /// Not a repository.
    #[error(transparent)]
    Name(#[from] ParseNameError),
    /// Several members, one repository.
    #[error("there are several images, and it has no `{{name}}` that would tell their repositories apart")]
    OneForSeveral,
}

impl RepositoryTemplate {
    /// Reads `repo`; `host/path`, as buildx takes it, is accepted where the host is `registry`.
    ///
    /// # Errors
    /// If it is for another registry, has a tag, or is no repository.
    pub fn parse(text: &str, registry: &RegistryHost) -> Result<Self, TemplateError> {
        Self::parse_for(text, registry, "registry")
    }

    /// The same where another `setting` than `registry` names the registry.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_for(
        text: &str,
        registry: &RegistryHost,
        setting: &'static str,
    ) -> Result<Self, TemplateError> {
        let path = match text.split_once('/') {
            Some((host, path)) if host.eq_ignore_ascii_case(registry.as_str()) => path,
            // A first part with a dot or colon is a host in every reference that Docker reads.
            Some((host, _)) if host.contains([':']) || (host.contains('.') && host != registry.as_str()) => {
                return Err(TemplateError::OtherRegistry {
                    found: without_userinfo(host),
                    setting,
                    registry: registry.clone(),
                });
            }
            _ => text,
        };
        if path.contains([':', '@']) {
            return Err(TemplateError::Tagged);
        }
        path.replace(PLACEHOLDER, "name").parse::<Repository>()?;
        Ok(RepositoryTemplate(path.to_owned()))
    }

    /// Whether members lie in repositories of their own.
    pub fn is_per_member(&self) -> bool {
        self.0.contains(PLACEHOLDER)
    }

    /// The last part of the path, without characters that the name of a member cannot have.
    pub fn last_part(&self) -> String {
        let last = self.0.rsplit('/').next().unwrap_or_default();
        last.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
    }

    /// The repository of a member.
    ///
    /// # Errors
    /// If the name makes something of it that is no repository.
    pub fn repository(&self, name: &str) -> Result<Repository, ParseNameError> {
        self.0.replace(PLACEHOLDER, name).parse()
    }

    /// The repositories of several members, in order.
    ///
    /// # Errors
    /// If they would all lie in one.
    pub fn repositories(&self, names: &[String]) -> Result<Vec<Repository>, TemplateError> {
        if names.len() > 1 && !self.is_per_member() {
            return Err(TemplateError::OneForSeveral);
        }
        names.iter().map(|name| Ok(self.repository(name)?)).collect()
    }
}

impl std::fmt::Display for RepositoryTemplate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RepositoryTemplate, TemplateError> {
        RepositoryTemplate::parse(text, &"registry.example.test:5000".parse().unwrap())
    }

    #[test]
    fn plain_and_with_host_and_per_member() {
        assert_eq!(parse("acme/app").unwrap().repository("x").unwrap().as_str(), "acme/app");
        assert_eq!(
            parse("registry.example.test:5000/acme/app").unwrap().repository("x").unwrap().as_str(),
            "acme/app"
        );
        let names = ["app".to_owned(), "web".to_owned()];
        let each = parse("acme/{name}").unwrap().repositories(&names).unwrap();
        assert_eq!(each.iter().map(Repository::as_str).collect::<Vec<_>>(), ["acme/app", "acme/web"]);
        assert_eq!(parse("acme/app").unwrap().repositories(&names), Err(TemplateError::OneForSeveral));
    }

    #[test]
    fn other_hosts_tags_and_nonsense() {
        assert!(matches!(parse("ghcr.io/acme/app"), Err(TemplateError::OtherRegistry { .. })));
        assert!(matches!(parse("registry.example.test/acme/app"), Err(TemplateError::OtherRegistry { .. })));
        assert_eq!(parse("acme/app:1.0"), Err(TemplateError::Tagged));
        assert!(matches!(parse("Acme/app"), Err(TemplateError::Name(_))));
        assert!(matches!(parse("acme/{nam}"), Err(TemplateError::Name(_))));
    }
}
