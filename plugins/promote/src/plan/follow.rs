//! Which floating tags are written, and as what (DESIGN §4.3, §4.8): the newest stable of their kind, on each
//! side by that side's list.

use std::collections::BTreeMap;

use granary_oci::{Digest, Tag};
use granary_release::{Version, VersionTags};

use super::{Lists, Write};
use crate::floating::Floating;
use crate::places::{Place, Places, Side};

/// What floating tags name, as far as this run knows; see [`Known`].
pub type Held = BTreeMap<(Place, Tag), Known>;

/// What a floating tag names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The digest.
    pub digest: Digest,
    /// Whether a run for this set put it there, so that it is ours to mend where it is too old.
    pub ours: bool,
}

/// One floating tag of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follow {
    /// Where.
    pub place: Place,
    /// Which.
    pub tag: Tag,
    /// The member's digest in the version that the run is about.
    pub own: Digest,
    /// The version that the tag follows now.
    pub newest: Version,
}

/// What is to be done about one floating tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Following {
    /// It is as it should be, or somebody else's to write.
    Leave,
    /// Ours is the newest.
    Write(Write),
    /// A run for this set wrote it, and by now a newer version is there: that one's bytes belong under it,
    /// unless these do not differ from `named`.
    GiveWay {
        /// What it names.
        named: Digest,
    },
}

/// Every floating tag of a version, in steps as in [`super::writes`]: the target first, the lead last.
pub fn follows(floating: &[Floating], places: &Places, version: Version, lists: &Lists) -> Vec<Vec<Follow>> {
    let lead = std::slice::from_ref(places.lead());
    let mut steps = Vec::new();
    for (side, tags) in [(Side::Target, lists.target_tags()), (Side::Candidate, Some(&lists.tags))] {
        let stables = tags.map_or(&[][..], |tags: &VersionTags| &tags.stables);
        for members in [places.others(), lead] {
            let step = members.iter().filter_map(|placed| Some((placed.on(side)?, &placed.member.digest)));
            let step = step.flat_map(|(place, own)| {
                floating.iter().map(move |one| Follow {
                    place: place.clone(),
                    tag: one.tag(version),
                    own: own.clone(),
                    newest: one.newest(version, stables),
                })
            });
            steps.push(step.collect::<Vec<_>>());
        }
    }
    steps.retain(|step| !step.is_empty());
    steps
}

impl Follow {
    /// What is to be done, by what it names.
    pub fn decide(&self, version: Version, held: &Held) -> Following {
        let held = held.get(&(self.place.clone(), self.tag.clone()));
        match held {
            _ if self.newest == version && held.is_some_and(|held| held.digest == self.own) => {
                Following::Leave
            }
            _ if self.newest == version => Following::Write(self.write(self.own.clone())),
            Some(Known { digest, ours: true }) => Following::GiveWay { named: digest.clone() },
            _ => Following::Leave,
        }
    }

    /// Writing it as this.
    pub fn write(&self, digest: Digest) -> Write {
        Write { place: self.place.clone(), tag: self.tag.clone(), digest, moves: true }
    }
}
