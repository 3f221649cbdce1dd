//! The clients of both sides of a promotion, and how their places are called.

use granary_oci::Repository;
use granary_plugin::{Context, Failure, Kind, StepResult};
use granary_registry::{Registry, RegistryError};
use granary_release::{Member, ReleaseSet};
use granary_suite::{
    CONCURRENCY, Records, RegistrySettings, RepositoryTemplate, TargetSettings, connect, http,
    registry_failure, target_failure,
};

use crate::places::{Place, Places, Side};

/// Where production takes versions from.
pub struct Target {
    /// The registry.
    pub registry: Registry,
    /// The repositories of the members there.
    pub repo: RepositoryTemplate,
    /// The lead's.
    pub lead: Repository,
}

/// Where candidates are, and where production is if that is elsewhere.
pub struct Sites {
    /// The registry of the candidates.
    pub candidates: Registry,
    /// The records there.
    pub records: Records,
    /// The other side.
    pub target: Option<Target>,
}

impl Side {
    /// What an error of its registry means.
    pub fn failure(self) -> fn(RegistryError) -> Failure {
        match self {
            Side::Candidate => registry_failure,
            Side::Target => target_failure,
        }
    }
}

impl Sites {
    /// The clients of both sides. Nothing is asked yet.
    ///
    /// # Errors
    /// With exit code 2, where settings do not say enough or an auth file cannot be read.
    pub fn connect(
        registry: &RegistrySettings,
        target: Option<&TargetSettings>,
        previous: Option<&StepResult>,
        context: &Context,
    ) -> Result<Self, Failure> {
        let http = http(context)?;
        let candidates = connect(registry, context, &http, CONCURRENCY)?;
        let records = Records::new(candidates.clone(), registry.lead_repository(previous)?);
        let target = match target {
            Some(target) => Some(Target {
                registry: target.connect(&candidates, context, &http, CONCURRENCY)?,
                repo: target.repo.clone(),
                lead: target.lead_repository(registry, previous)?,
            }),
            None => None,
        };
        Ok(Sites { candidates, records, target })
    }

    /// Says of the leads that they will be written to: one token that reads and writes, instead of one for the
    /// reading and another for the writing.
    pub fn announce_leads(&self) {
        self.candidates.announce_writes(self.lead(), &[]);
        if let Some(target) = &self.target {
            let mounts = target.registry.is_same_as(&self.candidates).then(|| self.lead().clone());
            target.registry.announce_writes(&target.lead, mounts.as_slice());
        }
    }

    /// The client of a side.
    pub fn registry(&self, side: Side) -> &Registry {
        match (side, &self.target) {
            (Side::Target, Some(target)) => &target.registry,
            _ => &self.candidates,
        }
    }

    /// The lead's repository among the candidates, where the records lie.
    pub fn lead(&self) -> &Repository {
        self.records.repository()
    }

    /// What a place is called: its host is left out where that is the candidates'.
    pub fn name(&self, place: &Place) -> String {
        let registry = self.registry(place.side);
        match registry.is_same_as(&self.candidates) {
            true => place.repository.to_string(),
            false => format!("{}/{}", registry.host(), place.repository),
        }
    }

    /// `host[:port]/path` of where a member is deployed from.
    pub fn released(&self, places: &Places, member: &Member) -> String {
        let placed = places.members().iter().find(|placed| placed.member.name == member.name);
        let place = placed.expect("invariant: places are made of the set's members").released();
        format!("{}/{}", self.registry(place.side).host(), place.repository)
    }

    /// The places of a set's members.
    ///
    /// # Errors
    /// With exit code 2, where the settings of the target do not fit the set.
    pub fn places(&self, set: &ReleaseSet) -> Result<Places, Failure> {
        let refused = |error| Failure::new(Kind::Settings, "the target cannot be used").caused_by(error);
        let template = |target: &Target| target.registry.is_same_as(&self.candidates);
        let target = self.target.as_ref().map(|target| (&target.repo, template(target)));
        let places = Places::new(set, target).map_err(|error| {
            refused(error).hint("`target_repo: \"prod/{name}\"` gives every image its own")
        })?;
        if let Some(target) = &self.target {
            let lead = places.lead().released().repository;
            if lead != target.lead {
                let name = &places.lead().member.name;
                let message =
                    format!("the set's lead `{name}` goes to {lead}, and {} was looked at", target.lead);
                return Err(Failure::new(Kind::Settings, message).hint(format!("set `lead` to `{name}`")));
            }
        }
        Ok(places)
    }

    /// Says what will be written, so that one token reads and writes.
    pub fn announce(&self, places: &Places) {
        for placed in places.members() {
            self.candidates.announce_writes(&placed.member.repository, &[]);
            if let (Some(place), Some(target)) = (placed.on(Side::Target), &self.target) {
                let mounts = target.registry.is_same_as(&self.candidates);
                let source = mounts.then(|| placed.member.repository.clone());
                target.registry.announce_writes(&place.repository, source.as_slice());
            }
        }
    }
}
