//! The settings that every user of a registry shares, as one value.

use granary_oci::{RegistryHost, Repository};
use granary_plugin::{Ci, Failure, Kind, Reader, StepResult};
use granary_redact::Secret;

use crate::repositories::RepositoryTemplate;

/// `registry`, `repo`, `username`, `password`, `lead`.
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
}

impl RegistrySettings {
    /// Reads them; what is wrong is left with the reader.
    pub fn resolve(reader: &mut Reader<'_>, ci: &Ci) -> Option<Self> {
        let host = match reader.is_set("registry") {
            true => reader.parse::<RegistryHost>("registry"),
            false => reader.require("registry", None),
        };
        let repo = repository(reader, ci, host.as_ref());
        let lead = reader.text("lead");
        let credentials = match (reader.text("username"), reader.secret("password")) {
            (Some(username), Some(password)) => Some((username, password)),
            (None, None) => None,
            (Some(_), None) => reader_incomplete(reader, "password", "`username` is set and this is not"),
            (None, Some(_)) => reader_incomplete(reader, "username", "`password` is set and this is not"),
        };
        Some(RegistrySettings { host: host?, repo: repo?, lead, credentials })
    }

    /// The lead's repository, in which the records lie: named by settings or by the step before.
    ///
    /// # Errors
    /// With exit code 2, where members have repositories of their own and nobody says which leads.
    pub fn lead_repository(&self, previous: Option<&StepResult>) -> Result<Repository, Failure> {
        let lead = self.lead.as_deref().or_else(|| previous.and_then(|result| result.lead.as_deref()));
        let name = match (lead, self.repo.is_per_member()) {
            (Some(lead), _) => lead,
            (None, false) => "",
            (None, true) => {
                return Err(Failure::new(
                    Kind::Settings,
                    "`lead` is required: `repo` contains {name}, and no step before names the lead",
                )
                .hint("set `lead` to the name of the image that registry-push lists first"));
            }
        };
        self.repo.repository(name).map_err(|error| {
            Failure::new(Kind::Settings, format!("`lead` cannot be `{name}`")).caused_by(error)
        })
    }
}

fn reader_incomplete<T>(reader: &mut Reader<'_>, name: &str, reason: &str) -> Option<T> {
    reader.reject(name, reason, "both, or neither where an auth file has them");
    None
}

fn repository(reader: &mut Reader<'_>, ci: &Ci, host: Option<&RegistryHost>) -> Option<RepositoryTemplate> {
    const ACCEPTED: &str = "a repository below the registry such as `acme/app`, or `acme/{name}` in quotes";
    let text = reader.text("repo").or_else(|| ci.repo.as_ref().map(|repo| repo.to_lowercase()));
    let text = reader.require("repo", text)?;
    RepositoryTemplate::parse(&text, host?)
        .map_err(|error| reader.reject("repo", error.to_string(), ACCEPTED))
        .ok()
}
