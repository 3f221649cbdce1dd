//! What a claim says: who wants the version, since when, and until when it counts.

use std::collections::BTreeMap;
use std::str::FromStr;

use granary_oci::{ArtifactManifest, Digest, RawManifest};
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use super::ClaimName;
use crate::{CommitId, ReleaseSet, Version};

/// `artifactType` of a claim.
pub const CLAIM_ARTIFACT_TYPE: &str = "application/vnd.granary.claim.v1+json";

/// How long a claim counts, by the registry's clock. Twice [`CLAIM_WRITES`]: between the last write of
/// its owner and the moment at which others stop minding it lies room for a slow request, and for the
/// clocks of two registry replicas.
pub const CLAIM_LIFETIME: SignedDuration = SignedDuration::from_mins(60);

/// How long the owner of a claim writes, by the registry's clock, from its *first* claim on.
pub const CLAIM_WRITES: SignedDuration = SignedDuration::from_mins(30);

const CREATED: &str = "org.opencontainers.image.created";
const REVISION: &str = "org.opencontainers.image.revision";
const VERSION: &str = "org.opencontainers.image.version";
const BRANCH: &str = "life.celestium.granary.branch";
const EXPIRES: &str = "life.celestium.granary.expires";
const KIND: &str = "life.celestium.granary.kind";
const ORDER: &str = "life.celestium.granary.order";
const PIPELINE: &str = "life.celestium.granary.pipeline";
const SET: &str = "life.celestium.granary.set";

/// Where the claimed version comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimKind {
    /// A Git tag or `as_version` names it.
    Given,
    /// It was numbered here.
    Derived,
}

/// A claim to a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The version.
    pub version: Version,
    /// The release set that wants it.
    pub set: Digest,
    /// The commit of that set.
    pub commit: CommitId,
    /// Its branch.
    pub branch: Option<String>,
    /// Its order number; compared within one branch.
    pub order: Option<u64>,
    /// Where the run can be read that claims.
    pub run_url: Option<String>,
    /// When it was written, by the registry's clock, whole seconds.
    pub created: Timestamp,
    /// From when on it does not count, by the registry's clock.
    pub expires: Timestamp,
    /// Where the version comes from.
    pub kind: ClaimKind,
}

/// Why a manifest is not the claim that its tag says it is.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// Not an artifact manifest at all.
    #[error("`{name}` is not a claim")]
    Manifest {
        /// The tag.
        name: ClaimName,
        /// What the parser said.
        #[source]
        source: granary_oci::ManifestError,
    },
    /// Another kind of artifact.
    #[error("`{name}` is not a claim but `{artifact_type}`")]
    NotAClaim {
        /// The tag.
        name: ClaimName,
        /// Its type.
        artifact_type: String,
    },
    /// An annotation is missing or says something impossible.
    #[error("`{name}` has no valid `{annotation}`: {reason}")]
    Annotation {
        /// The tag.
        name: ClaimName,
        /// Key of the annotation.
        annotation: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl Claim {
    /// The claim of a set to a version, written at `now` (the registry's `Date`).
    pub fn new(
        version: Version,
        kind: ClaimKind,
        (digest, set): (&Digest, &ReleaseSet),
        run_url: Option<String>,
        now: Timestamp,
    ) -> Self {
        let created = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Claim {
            version,
            set: digest.clone(),
            commit: set.commit.clone(),
            branch: set.branch.clone(),
            order: set.order,
            run_url,
            created,
            expires: created.saturating_add(CLAIM_LIFETIME).unwrap_or(Timestamp::MAX),
            kind,
        }
    }

    /// Its tag.
    pub fn name(&self) -> ClaimName {
        ClaimName::new(self.version, &self.set)
    }

    /// Whether it counts at `now` (the registry's `Date`).
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires
    }

    /// The manifest to write: no layers of its own, so that it is one PUT, and no index, which some
    /// registries refuse to nest.
    pub fn to_manifest(&self) -> RawManifest {
        let time = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let kind = match self.kind {
            ClaimKind::Given => "given",
            ClaimKind::Derived => "derived",
        };
        let always = [
            (CREATED, time(self.created)),
            (EXPIRES, time(self.expires)),
            (KIND, kind.to_owned()),
            (REVISION, self.commit.to_string()),
            (SET, self.set.to_string()),
            (VERSION, self.version.to_string()),
        ];
        let optional = [
            (BRANCH, self.branch.clone()),
            (ORDER, self.order.map(|order| order.to_string())),
            (PIPELINE, self.run_url.clone()),
        ];
        let optional = optional.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let all = always.into_iter().chain(optional).map(|(key, value)| (key.to_owned(), value));
        ArtifactManifest::new(CLAIM_ARTIFACT_TYPE).with_annotations(all.collect()).build()
    }

    /// Reads the claim that lies under `name`.
    ///
    /// # Errors
    /// If it is something else, or a claim that its tag does not name, or one that would count for
    /// longer than claims do: whoever can write to the repository can write anything there.
    pub fn from_manifest(name: &ClaimName, raw: &RawManifest) -> Result<Self, ClaimError> {
        let manifest = raw.parse().map_err(|source| ClaimError::Manifest { name: name.clone(), source })?;
        if manifest.artifact_type.as_deref() != Some(CLAIM_ARTIFACT_TYPE) {
            let artifact_type = manifest.effective_artifact_type().unwrap_or("an index").to_owned();
            return Err(ClaimError::NotAClaim { name: name.clone(), artifact_type });
        }
        let reader = Annotations { name, annotations: &manifest.annotations };
        let claim = Claim {
            version: reader.required(VERSION)?,
            set: reader.required(SET)?,
            commit: reader.required(REVISION)?,
            branch: reader.optional::<String>(BRANCH)?,
            order: reader.optional(ORDER)?,
            run_url: reader.optional::<String>(PIPELINE)?,
            created: reader.required(CREATED)?,
            expires: reader.required(EXPIRES)?,
            kind: match reader.required::<String>(KIND)?.as_str() {
                "given" => ClaimKind::Given,
                "derived" => ClaimKind::Derived,
                other => return Err(reader.error(KIND, format!("`{other}` is neither given nor derived"))),
            },
        };
        if claim.version != name.version {
            return Err(reader.error(VERSION, format!("it says {}", claim.version)));
        }
        if !name.is_of(&claim.set) {
            return Err(reader.error(SET, format!("it says {}", claim.set)));
        }
        if claim.expires.duration_since(claim.created) > CLAIM_LIFETIME {
            return Err(reader.error(EXPIRES, format!("more than an hour after {}", claim.created)));
        }
        Ok(claim)
    }
}

struct Annotations<'a> {
    name: &'a ClaimName,
    annotations: &'a BTreeMap<String, String>,
}

impl Annotations<'_> {
    fn error(&self, annotation: &'static str, reason: impl Into<String>) -> ClaimError {
        ClaimError::Annotation { name: self.name.clone(), annotation, reason: reason.into() }
    }

    fn optional<T: FromStr<Err: ToString>>(&self, key: &'static str) -> Result<Option<T>, ClaimError> {
        let value = self.annotations.get(key).filter(|value| !value.is_empty());
        value
            .map(|value| value.parse().map_err(|error: T::Err| self.error(key, error.to_string())))
            .transpose()
    }

    fn required<T: FromStr<Err: ToString>>(&self, key: &'static str) -> Result<T, ClaimError> {
        self.optional(key)?.ok_or_else(|| self.error(key, "it is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Claim {
        let created: Timestamp = "2026-11-21T06:30:00Z".parse().unwrap();
        Claim {
            version: Version::new(0, 1, 146),
            set: Digest::of(b"set"),
            commit: "7a77c5932e35c13bf0bf61a33f757b21d41692b5".parse().unwrap(),
            branch: Some("main".to_owned()),
            order: Some(87),
            run_url: Some("https://ci.example.test/repos/1/pipeline/87".to_owned()),
            created,
            expires: created + CLAIM_LIFETIME,
            kind: ClaimKind::Derived,
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let sparse = Claim { branch: None, order: None, run_url: None, kind: ClaimKind::Given, ..claim() };
        for claim in [claim(), sparse] {
            assert_eq!(Claim::from_manifest(&claim.name(), &claim.to_manifest()).unwrap(), claim);
        }
    }

    #[test]
    fn the_bytes_are_a_public_format() {
        let text = String::from_utf8(claim().to_manifest().bytes().to_vec()).unwrap();
        assert!(text.contains(r#""artifactType":"application/vnd.granary.claim.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json""#), "{text}");
        let annotations = text.split_once(r#""annotations":"#).unwrap().1;
        let set = Digest::of(b"set");
        let expected = [
            r#"{"life.celestium.granary.branch":"main","#,
            r#""life.celestium.granary.expires":"2026-11-21T07:30:00Z","#,
            r#""life.celestium.granary.kind":"derived","life.celestium.granary.order":"87","#,
            r#""life.celestium.granary.pipeline":"https://ci.example.test/repos/1/pipeline/87","#,
            &format!(r#""life.celestium.granary.set":"{set}","#),
            r#""org.opencontainers.image.created":"2026-11-21T06:30:00Z","#,
            r#""org.opencontainers.image.revision":"7a77c5932e35c13bf0bf61a33f757b21d41692b5","#,
            r#""org.opencontainers.image.version":"0.1.146"}}"#,
        ];
        assert_eq!(annotations, expected.concat());
    }

    #[test]
    fn what_others_wrote_there_is_refused() {
        let table = [
            (CLAIM_ARTIFACT_TYPE, "application/x", "is not a claim but `application/x`"),
            (REVISION, "x", "`org.opencontainers.image.revision`: it is missing"),
            ("0.1.146", "0.1.147", "`org.opencontainers.image.version`: it says 0.1.147"),
            ("sha256:6ee0", "sha256:7ee0", "`life.celestium.granary.set`: it says sha256:7ee0"),
            ("T07:30:00Z", "T07:30:01Z", "`life.celestium.granary.expires`: more than an hour after"),
            ("derived", "taken", "`life.celestium.granary.kind`: `taken` is neither"),
            (r#"order":"87"#, r#"order":"-1"#, "granary.order"),
            (EXPIRES, "x", "`life.celestium.granary.expires`: it is missing"),
        ];
        for (from, to, expected) in table {
            let text = String::from_utf8(claim().to_manifest().bytes().to_vec()).unwrap();
            assert!(text.contains(from), "{from}");
            let raw = RawManifest::new(text.replace(from, to).into_bytes(), "").unwrap();
            let error = Claim::from_manifest(&claim().name(), &raw).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("claim-0.1.146-6ee0eb490ff8"), "{error}");
        }
    }

    #[test]
    fn a_claim_lives_an_hour() {
        let claim = claim();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert!(claim.is_live(at("2026-11-21T07:29:59Z")));
        assert!(!claim.is_live(at("2026-11-21T07:30:00Z")));
    }
}
