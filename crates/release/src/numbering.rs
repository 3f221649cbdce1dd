//! Which version comes next.
//!
//! Every function takes the *whole* tag list: who calls it with a part of it, or with an empty list
//! because the listing failed, restarts the numbering and publishes below production (DESIGN §4.7).

use thiserror::Error;

use crate::{Bump, Version};

/// Why there is no next version.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NumberingError {
    /// A base that was asked for does not lie above what is published.
    #[error("base version {asked} does not lie above the highest stable version {highest}")]
    NotAbove {
        /// The setting.
        asked: Version,
        /// The highest stable version in the registry.
        highest: Version,
    },
    /// A version has the largest number that there is.
    #[error("no version lies above {highest}")]
    Exhausted {
        /// That version.
        highest: Version,
    },
    /// The version that the candidate was made for has gone to another set, and the next one may not be taken.
    #[error("version {wanted} cannot be used: {highest} is taken already")]
    Taken {
        /// What the candidate's base is.
        wanted: Version,
        /// The highest version taken.
        highest: Version,
    },
}

/// What happens when a candidate's base has been taken by another candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTaken {
    /// Take the next patch version above everything.
    Next,
    /// Refuse.
    Refuse,
}

/// The base for a new candidate (DESIGN §7, registry-push): `asked`, which must lie above every
/// stable, else the highest stable bumped, else `initial` where nothing is published yet.
///
/// # Errors
/// If `asked` is too low or there is no higher version.
pub fn next_base(
    stables: &[Version],
    asked: Option<Version>,
    bump: Bump,
    initial: Version,
) -> Result<Version, NumberingError> {
    match (stables.iter().copied().max(), asked) {
        (Some(highest), Some(asked)) if asked <= highest => Err(NumberingError::NotAbove { asked, highest }),
        (_, Some(asked)) => Ok(asked),
        (Some(highest), None) => highest.bump(bump).ok_or(NumberingError::Exhausted { highest }),
        (None, None) => Ok(initial),
    }
}

/// The version that a candidate with this base gets: its base or, where something of others lies at
/// or above it, one patch above everything that is taken (DESIGN §9, claim rule 1).
///
/// # Errors
/// If the base is taken and `on_taken` refuses, or if there is no higher version.
pub fn derived_version(
    base: Version,
    taken: impl IntoIterator<Item = Version>,
    on_taken: OnTaken,
) -> Result<Version, NumberingError> {
    match (taken.into_iter().max(), on_taken) {
        (Some(highest), OnTaken::Refuse) if highest >= base => {
            Err(NumberingError::Taken { wanted: base, highest })
        }
        (Some(highest), OnTaken::Next) if highest >= base => {
            highest.bump(Bump::Patch).ok_or(NumberingError::Exhausted { highest })
        }
        _ => Ok(base),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INITIAL: Version = Version::new(0, 1, 0);

    #[test]
    fn bases() {
        let stables = [Version::new(0, 1, 145), Version::new(0, 1, 9)];
        assert_eq!(next_base(&[], None, Bump::Patch, INITIAL), Ok(INITIAL));
        assert_eq!(next_base(&stables, None, Bump::Patch, INITIAL), Ok(Version::new(0, 1, 146)));
        assert_eq!(next_base(&stables, None, Bump::Minor, INITIAL), Ok(Version::new(0, 2, 0)));
        assert_eq!(
            next_base(&stables, Some(Version::new(1, 0, 0)), Bump::Patch, INITIAL),
            Ok(Version::new(1, 0, 0))
        );
        let too_low =
            NumberingError::NotAbove { asked: Version::new(0, 1, 145), highest: Version::new(0, 1, 145) };
        assert_eq!(next_base(&stables, Some(Version::new(0, 1, 145)), Bump::Patch, INITIAL), Err(too_low));
    }

    #[test]
    fn derived() {
        let base = Version::new(0, 1, 146);
        let higher = Version::new(0, 2, 0);
        assert_eq!(derived_version(base, [Version::new(0, 1, 145)], OnTaken::Refuse), Ok(base));
        assert_eq!(derived_version(base, [base], OnTaken::Next), Ok(Version::new(0, 1, 147)));
        assert_eq!(derived_version(base, [base, higher], OnTaken::Next), Ok(Version::new(0, 2, 1)));
        assert_eq!(
            derived_version(base, [higher], OnTaken::Refuse),
            Err(NumberingError::Taken { wanted: base, highest: higher })
        );
    }

    proptest! {
        #[test]
        fn a_new_version_lies_above_everything(list in prop::collection::vec((0u64..9, 0u64..9, 0u64..9), 0..20), base in (0u64..9, 0u64..9, 0u64..9)) {
            let list: Vec<Version> = list.into_iter().map(|(x, y, z)| Version::new(x, y, z)).collect();
            for bump in [Bump::Major, Bump::Minor, Bump::Patch] {
                let next = next_base(&list, None, bump, INITIAL).unwrap();
                prop_assert!(list.iter().all(|&version| version < next));
            }
            let derived = derived_version(Version::new(base.0, base.1, base.2), list.clone(), OnTaken::Next).unwrap();
            prop_assert!(list.iter().all(|&version| version < derived));
        }
    }
}
