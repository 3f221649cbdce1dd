//! Where the members of a release set lie: in the repositories that the set names and, where production is
//! elsewhere, in those that the settings name. Pure.

use granary_oci::{Digest, Repository};
use granary_release::{Member, ReleaseSet};
use granary_suite::{RepositoryTemplate, TemplateError};
use std::collections::BTreeMap;
use thiserror::Error;

/// One of the two sides of a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Where candidates are published, and where the records lie.
    Candidate,
    /// Where production takes versions from, if that is elsewhere.
    Target,
}

/// A repository on one side; two registries may have repositories of one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which side.
    pub side: Side,
    /// The repository there.
    pub repository: Repository,
}

/// What the members' tags of one version name, by place; places that do not have it are left out.
pub type Carried = BTreeMap<Place, Digest>;

/// A member and its places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The member.
    pub member: Member,
    /// Its repository in the target, where that is another one.
    target: Option<Place>,
}

impl Placed {
    /// Its place on a side; `None` in the target where that is the candidates' repository.
    pub fn on(&self, side: Side) -> Option<Place> {
        match side {
            Side::Candidate => {
                Some(Place { side: Side::Candidate, repository: self.member.repository.clone() })
            }
            Side::Target => self.target.clone(),
        }
    }

    /// Where whoever deploys finds it.
    pub fn released(&self) -> Place {
        self.target.clone().or_else(|| self.on(Side::Candidate)).expect("invariant: candidates have a place")
    }
}

/// The places of a whole set; the first member leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places(Vec<Placed>);

/// Why the members of a set have no places in the target.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PlacesError {
    /// The setting does not name a repository for each.
    #[error("`target_repo` cannot be used for this release set")]
    Template(#[source] TemplateError),
    /// Two members would take each other's tags.
    #[error("`target_repo` puts `{member}` into {repository}, where the candidates of `{other}` are")]
    Crossed {
        /// The one that is copied.
        member: String,
        /// Where.
        repository: Repository,
        /// Whose repository that is.
        other: String,
    },
}

impl Places {
    /// The places of a set whose target is a registry of its own, the candidates' registry
    /// (`same_registry`), or nowhere (`None`).
    ///
    /// # Errors
    /// [`PlacesError`], exit code 2.
    pub fn new(set: &ReleaseSet, target: Option<(&RepositoryTemplate, bool)>) -> Result<Self, PlacesError> {
        let Some((template, same_registry)) = target else {
            let alone = set.members.iter().map(|member| Placed { member: member.clone(), target: None });
            return Ok(Places(alone.collect()));
        };
        let names: Vec<String> = set.members.iter().map(|member| member.name.clone()).collect();
        let repositories = template.repositories(&names).map_err(PlacesError::Template)?;
        let mut placed = Vec::new();
        for (member, repository) in set.members.iter().zip(repositories) {
            let there = |other: &&Member| same_registry && other.repository == repository;
            let target = match set.members.iter().find(there) {
                Some(own) if own.name == member.name => None,
                Some(other) => {
                    let (member, other) = (member.name.clone(), other.name.clone());
                    return Err(PlacesError::Crossed { member, repository, other });
                }
                None => Some(Place { side: Side::Target, repository }),
            };
            placed.push(Placed { member: member.clone(), target });
        }
        Ok(Places(placed))
    }

    /// Every member.
    pub fn members(&self) -> &[Placed] {
        &self.0
    }

    /// The one that leads.
    pub fn lead(&self) -> &Placed {
        self.0.first().expect("invariant: a release set has at least one member")
    }

    /// The others.
    pub fn others(&self) -> &[Placed] {
        self.0.get(1..).unwrap_or_default()
    }

    /// Every place that has to carry a version, with what it carries.
    pub fn all(&self) -> impl Iterator<Item = (Place, &Member)> {
        let both = |placed: &Placed| [placed.on(Side::Target), placed.on(Side::Candidate)];
        self.0.iter().flat_map(move |placed| {
            both(placed).into_iter().flatten().map(move |place| (place, &placed.member))
        })
    }
}
