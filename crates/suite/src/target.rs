//! Where promotion goes when production is elsewhere: `target_registry`, `target_repo` and who we are there.

use granary_net::Http;
use granary_oci::{RegistryHost, Repository};
use granary_plugin::{Context, Failure, Reader, StepResult};
use granary_redact::Secret;
use granary_registry::Registry;

use crate::connect::client;
use crate::repositories::RepositoryTemplate;
use crate::settings::{RegistrySettings, credentials, template};

/// `target_registry`, `target_repo`, `target_username`, `target_password`.
#[derive(Clone, Debug)]
pub struct TargetSettings {
    /// The registry.
    pub host: RegistryHost,
    /// The repositories of the members there.
    pub repo: RepositoryTemplate,
    /// Who we are there: never sent to another registry.
    credentials: Option<(String, Secret)>,
    /// Whether each tag is looked at after it was written.
    verify: bool,
    /// The same registry and the same user as for the candidates, so that one client does for both: blobs
    /// are mounted then, with one token.
    shares_client: bool,
}

impl TargetSettings {
    /// Reads them. `Some(None)` where versions go to the repositories that the candidates are in; `None`
    /// where something is wrong, which is left with the reader.
    pub fn resolve(reader: &mut Reader<'_>, candidates: Option<&RegistrySettings>) -> Option<Option<Self>> {
        let own = credentials(reader, "target_username", "target_password");
        let host = match reader.is_set("target_registry") {
            true => Some(reader.parse::<RegistryHost>("target_registry")?),
            false => None,
        };
        let candidates = candidates?;
        let host = host.unwrap_or_else(|| candidates.host.clone());
        let repo = match reader.text("target_repo") {
            Some(text) => template(reader, "target_repo", &text, "target_registry", &host)?,
            None => candidates.repo.clone(),
        };
        let same_host = host == candidates.host;
        if same_host && repo == candidates.repo {
            if own.is_some() {
                let reason = "the target is where the candidates are";
                reader.reject("target_username", reason, "with `target_registry` or `target_repo`");
                return None;
            }
            return Some(None);
        }
        let shares_client = same_host && own.is_none();
        let credentials = own.or_else(|| candidates.credentials.clone().filter(|_| same_host));
        Some(Some(TargetSettings { host, repo, credentials, verify: candidates.verify, shares_client }))
    }

    /// The lead's repository there: named by settings or by the step before.
    ///
    /// # Errors
    /// With exit code 2, where members have repositories of their own and nobody says which leads.
    pub fn lead_repository(
        &self,
        candidates: &RegistrySettings,
        previous: Option<&StepResult>,
    ) -> Result<Repository, Failure> {
        candidates.lead_in(&self.repo, "target_repo", previous)
    }

    /// A client for it; the one of the candidates, where that will do.
    ///
    /// # Errors
    /// With exit code 2, where an auth file cannot be read.
    pub fn connect(
        &self,
        candidates: &Registry,
        context: &Context,
        http: &Http,
        concurrency: usize,
    ) -> Result<Registry, Failure> {
        match self.shares_client {
            true => Ok(candidates.clone()),
            false => client(&self.host, self.credentials.as_ref(), self.verify, context, http, concurrency),
        }
    }
}
