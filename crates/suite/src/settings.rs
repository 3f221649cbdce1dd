//! The settings that every user of a registry shares, as one value.

use granary_oci::{RegistryHost, Repository};
use granary_plugin::{Ci, Failure, Kind, Reader, StepResult};
use granary_redact::Secret;

use crate::repositories::RepositoryTemplate;

/// `registry`, `repo`, `username`, `password`, `lead`, `verify`.
#[derive(Clone, Debug)]
pub struct RegistrySettings {
    /// The registry.
    pub host: RegistryHost,
    /// The repositories of the members.
    pub repo: RepositoryTemplate,
    /// The name of the lead.
    pub lead: Option<String>,
    /// Who we are there, where settings say it.
    pub credentials: Option<(String, Secret)>,
    /// Whether each tag is looked at after it was written.
    pub verify: bool,
}

impl RegistrySettings {
    /// Reads them; what is wrong is left with the reader.
    pub fn resolve(reader: &mut Reader<'_>, ci: &Ci) -> Option<Self> {
        let host = match reader.is_set("registry") {
            true => reader.parse::<RegistryHost>("registry"),
            false => reader.require("registry", None),
        };
        let text = reader.text("repo").or_else(|| ci.repo.as_ref().map(|repo| repo.to_lowercase()));
        let text = reader.require("repo", text);
        let repo = text.and_then(|text| template(reader, "repo", &text, "registry", host.as_ref()?));
        let lead = reader.text("lead");
        let credentials = credentials(reader, "username", "password");
        let verify = reader.flag("verify");
        Some(RegistrySettings { host: host?, repo: repo?, lead, credentials, verify })
    }

    /// The lead's repository, in which the records lie: named by settings or by the step before.
    ///
    /// # Errors
    /// With exit code 2, where members have repositories of their own and nobody says which leads.
    pub fn lead_repository(&self, previous: Option<&StepResult>) -> Result<Repository, Failure> {
        self.lead_in(&self.repo, "repo", previous)
    }

    /// The lead's repository as the template of another setting names it.
    ///
    /// # Errors
    /// As [`Self::lead_repository`].
    pub(crate) fn lead_in(
        &self,
        template: &RepositoryTemplate,
        setting: &str,
        previous: Option<&StepResult>,
    ) -> Result<Repository, Failure> {
        let lead = self.lead.as_deref().or_else(|| previous.and_then(|result| result.lead.as_deref()));
        let name = match (lead, template.is_per_member()) {
            (Some(lead), _) => lead,
            (None, false) => "",
            (None, true) => {
                return Err(Failure::new(
                    Kind::Settings,
                    format!(
                        "`lead` is required: `{setting}` contains {{name}}, and no step before names the lead"
                    ),
                )
                .hint("set `lead` to the name of the image that registry-push lists first"));
            }
        };
        template.repository(name).map_err(|error| {
            Failure::new(Kind::Settings, format!("`lead` cannot be `{name}`")).caused_by(error)
        })
    }
}

/// A user and his password, both or neither.
pub(crate) fn credentials(
    reader: &mut Reader<'_>,
    username: &str,
    password: &str,
) -> Option<(String, Secret)> {
    match (reader.text(username), reader.secret(password)) {
        (Some(user), Some(secret)) => Some((user, secret)),
        (None, None) => None,
        (Some(_), None) => incomplete(reader, password, username),
        (None, Some(_)) => incomplete(reader, username, password),
    }
}

fn incomplete<T>(reader: &mut Reader<'_>, missing: &str, given: &str) -> Option<T> {
    let reason = format!("`{given}` is set and this is not");
    reader.reject(missing, reason, "both, or neither where an auth file has them");
    None
}

/// The repositories that the setting `name` gives, below the registry that the setting `registry` names.
pub(crate) fn template(
    reader: &mut Reader<'_>,
    name: &str,
    text: &str,
    registry: &'static str,
    host: &RegistryHost,
) -> Option<RepositoryTemplate> {
    const ACCEPTED: &str = "a repository below the registry such as `acme/app`, or `acme/{name}` in quotes";
    RepositoryTemplate::parse_for(text, host, registry)
        .map_err(|error| reader.reject(name, error.to_string(), ACCEPTED))
        .ok()
}
