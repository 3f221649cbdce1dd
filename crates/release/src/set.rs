//! The release set: which bytes one commit was published as (DESIGN §9).
//!
//! An OCI artifact manifest whose annotations say everything, so that one GET reads it and
//! `crane manifest` shows it to a person. It is the record: short tags are only for readers.

use std::collections::{BTreeMap, BTreeSet};

use granary_oci::{ArtifactManifest, Descriptor, Digest, RawManifest, Repository};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Candidate, CommitId};

/// `artifactType` of a release set.
pub const SET_ARTIFACT_TYPE: &str = "application/vnd.granary.set.v1+json";

const CREATED: &str = "org.opencontainers.image.created";
const REVISION: &str = "org.opencontainers.image.revision";
const VERSION: &str = "org.opencontainers.image.version";
const BASE: &str = "life.celestium.granary.base";
const BRANCH: &str = "life.celestium.granary.branch";
const MEMBERS: &str = "life.celestium.granary.members";
const ORDER: &str = "life.celestium.granary.order";
const PIPELINE: &str = "life.celestium.granary.pipeline";
const REPLACES: &str = "life.celestium.granary.replaces";

/// Most members a set may have; its manifest must stay far below what registries take.
const MAX_MEMBERS: usize = 1000;

/// One artifact of a release set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Its name within the set, `[a-z0-9-]+`.
    pub name: String,
    /// Its repository, without host: the same registry has other names inside a cluster.
    #[serde(with = "repository_text")]
    pub repository: Repository,
    /// Its manifest or index.
    pub digest: Digest,
    /// Media type of that.
    pub media_type: String,
    /// Size of that in bytes; with the two above it is a descriptor, so that evidence can name its
    /// subject without another request.
    pub size: u64,
}

impl Member {
    /// Media type, digest and size.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest.clone(), self.size)
    }
}

/// The artifacts of one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseSet {
    /// What it was built from.
    pub commit: CommitId,
    /// The branch whose pipeline published it; none where it was published for a Git tag.
    pub branch: Option<String>,
    /// Its version before it is stable.
    pub candidate: Candidate,
    /// The pipeline number under which the commit first appeared; compared within one branch.
    pub order: Option<u64>,
    /// Where the run can be read.
    pub pipeline_url: Option<String>,
    /// When the set was written.
    pub created: Timestamp,
    /// The artifacts; the first is the lead, in whose repository the set lies.
    pub members: Vec<Member>,
    /// The set that this one took the place of, where the commit was built to other bytes before.
    pub replaces: Option<Digest>,
}

/// A release set as it lies in a registry.
///
/// # Design
/// It keeps its bytes. A later version of this suite may write more into a set than this one reads, and a
/// set that was serialised again would be another set: its evidence and its tags would be elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSet {
    /// Digest of its manifest.
    pub digest: Digest,
    /// What it says.
    pub set: ReleaseSet,
    manifest: RawManifest,
}

impl FoundSet {
    /// Reads what was found.
    ///
    /// # Errors
    /// [`SetError`], where it is not a release set.
    pub fn read(manifest: RawManifest) -> Result<Self, SetError> {
        let set = ReleaseSet::from_manifest(&manifest)?;
        Ok(FoundSet { digest: manifest.digest().clone(), set, manifest })
    }

    /// A set that is yet to be written.
    pub fn new(set: ReleaseSet) -> Self {
        let manifest = set.to_manifest();
        FoundSet { digest: manifest.digest().clone(), set, manifest }
    }

    /// The bytes, as they lie there.
    pub fn manifest(&self) -> &RawManifest {
        &self.manifest
    }
}

/// Why a manifest is not a release set.
#[derive(Debug, Error)]
pub enum SetError {
    /// Another kind of artifact lies under the tag.
    #[error("{digest} is not a release set but `{artifact_type}`")]
    NotASet {
        /// What was read.
        digest: Digest,
        /// Its type.
        artifact_type: String,
    },
    /// Not an artifact manifest at all.
    #[error("{digest} is not a release set")]
    Manifest {
        /// What was read.
        digest: Digest,
        /// What the parser said.
        #[source]
        source: granary_oci::ManifestError,
    },
    /// An annotation is missing or says something impossible.
    #[error("release set {digest} has no valid `{annotation}`: {reason}")]
    Annotation {
        /// What was read.
        digest: Digest,
        /// Key of the annotation.
        annotation: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl ReleaseSet {
    /// The artifact in whose repository the set lies and whose version tag is written last.
    pub fn lead(&self) -> &Member {
        self.members.first().expect("invariant: a release set has at least one member")
    }

    /// Whether both name the same bytes in the same places under the same names.
    pub fn same_members(&self, members: &[Member]) -> bool {
        self.members == members
    }

    /// The manifest to write.
    pub fn to_manifest(&self) -> RawManifest {
        let members = serde_json::to_string(&self.members).expect("invariant: members serialise");
        let mut annotations = BTreeMap::from([
            (CREATED, self.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            (REVISION, self.commit.to_string()),
            (VERSION, self.candidate.to_string()),
            (BASE, self.candidate.base.to_string()),
            (MEMBERS, members),
        ]);
        let optional = [
            (BRANCH, self.branch.clone()),
            (ORDER, self.order.map(|order| order.to_string())),
            (PIPELINE, self.pipeline_url.clone()),
            (REPLACES, self.replaces.as_ref().map(Digest::to_string)),
        ];
        annotations.extend(optional.into_iter().filter_map(|(key, value)| Some((key, value?))));
        let annotations = annotations.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        ArtifactManifest::new(SET_ARTIFACT_TYPE).with_annotations(annotations).build()
    }

    /// Reads a set from what lies in a registry.
    ///
    /// # Errors
    /// If it is something else, or incomplete: whoever can write to the repository can write anything
    /// under the tag, so nothing in it is taken without a look.
    pub fn from_manifest(raw: &RawManifest) -> Result<Self, SetError> {
        let digest = raw.digest();
        let manifest = raw.parse().map_err(|source| SetError::Manifest { digest: digest.clone(), source })?;
        if manifest.artifact_type.as_deref() != Some(SET_ARTIFACT_TYPE) {
            let artifact_type = manifest.effective_artifact_type().unwrap_or("an index").to_owned();
            return Err(SetError::NotASet { digest: digest.clone(), artifact_type });
        }
        let reader = Annotations { digest, annotations: &manifest.annotations };
        let candidate: Candidate = reader.required(VERSION)?;
        let base: crate::Version = reader.required(BASE)?;
        if candidate.base != base {
            return Err(reader.error(BASE, format!("{base} is not the base of {candidate}")));
        }
        Ok(ReleaseSet {
            commit: reader.required(REVISION)?,
            branch: reader.optional::<String>(BRANCH)?,
            candidate,
            order: reader.optional(ORDER)?,
            pipeline_url: reader.optional::<String>(PIPELINE)?,
            created: reader.required(CREATED)?,
            members: reader.members()?,
            replaces: reader.optional(REPLACES)?,
        })
    }
}

struct Annotations<'a> {
    digest: &'a Digest,
    annotations: &'a BTreeMap<String, String>,
}

impl Annotations<'_> {
    fn error(&self, annotation: &'static str, reason: impl Into<String>) -> SetError {
        SetError::Annotation { digest: self.digest.clone(), annotation, reason: reason.into() }
    }

    fn optional<T: std::str::FromStr<Err: ToString>>(
        &self,
        key: &'static str,
    ) -> Result<Option<T>, SetError> {
        let value = self.annotations.get(key).filter(|value| !value.is_empty());
        value
            .map(|value| value.parse().map_err(|error: T::Err| self.error(key, error.to_string())))
            .transpose()
    }

    fn required<T: std::str::FromStr<Err: ToString>>(&self, key: &'static str) -> Result<T, SetError> {
        self.optional(key)?.ok_or_else(|| self.error(key, "it is missing"))
    }

    fn members(&self) -> Result<Vec<Member>, SetError> {
        let text: String = self.required(MEMBERS)?;
        let members: Vec<Member> =
            serde_json::from_str(&text).map_err(|error| self.error(MEMBERS, error.to_string()))?;
        let names: BTreeSet<_> = members.iter().map(|member| &member.name).collect();
        let places: BTreeSet<_> = members.iter().map(|member| &member.repository).collect();
        match members.len() {
            0 => Err(self.error(MEMBERS, "the list is empty")),
            count if count > MAX_MEMBERS => {
                Err(self.error(MEMBERS, format!("more than {MAX_MEMBERS} members")))
            }
            count if names.len() < count => Err(self.error(MEMBERS, "two members have one name")),
            count if places.len() < count => Err(self.error(MEMBERS, "two members lie in one repository")),
            _ => Ok(members),
        }
    }
}

mod repository_text {
    use granary_oci::Repository;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(
        repository: &Repository,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(repository.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Repository, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> ReleaseSet {
        ReleaseSet {
            commit: "7a77c5932e35c13bf0bf61a33f757b21d41692b5".parse().unwrap(),
            branch: Some("main".to_owned()),
            candidate: "0.1.146-rc.87".parse().unwrap(),
            order: Some(87),
            pipeline_url: Some("https://ci.example.test/repos/1/pipeline/87".to_owned()),
            created: "2026-11-21T06:30:00Z".parse().unwrap(),
            members: vec![Member {
                name: "app".to_owned(),
                repository: "acme/app".parse().unwrap(),
                digest: Digest::of(b"app"),
                media_type: granary_oci::media_type::OCI_INDEX.to_owned(),
                size: 3,
            }],
            replaces: None,
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let full = set();
        assert_eq!(ReleaseSet::from_manifest(&full.to_manifest()).unwrap(), full);
        let sparse = ReleaseSet {
            branch: None,
            order: None,
            pipeline_url: None,
            replaces: Some(Digest::of(b"x")),
            ..full
        };
        assert_eq!(ReleaseSet::from_manifest(&sparse.to_manifest()).unwrap(), sparse);
    }

    #[test]
    fn what_a_later_version_adds_is_kept_and_not_in_the_way() {
        let text = String::from_utf8(set().to_manifest().bytes().to_vec()).unwrap();
        let later = text
            .replace(REVISION, "life.celestium.granary.later\":\"x\",\"org.opencontainers.image.revision");
        let later = later.replace(r#"\"size\":3}"#, r#"\"size\":3,\"later\":1}"#);
        assert!(later.len() > text.len() + 40);
        let raw = RawManifest::new(later.into_bytes(), "").unwrap();
        let found = FoundSet::read(raw.clone()).unwrap();
        assert_eq!((&found.digest, found.manifest(), &found.set), (raw.digest(), &raw, &set()));
    }

    #[test]
    fn the_bytes_are_a_public_format() {
        let text = String::from_utf8(set().to_manifest().bytes().to_vec()).unwrap();
        let annotations = text.split_once(r#""annotations":"#).unwrap().1;
        assert_eq!(
            annotations,
            concat!(
                r#"{"life.celestium.granary.base":"0.1.146","life.celestium.granary.branch":"main","#,
                r#""life.celestium.granary.members":"[{\"name\":\"app\",\"repository\":\"acme/app\",\"digest\":\"sha256:"#,
                r#"a172cedcae47474b615c54d510a5d84a8dea3032e958587430b413538be3f333\",\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"size\":3}]","#,
                r#""life.celestium.granary.order":"87","life.celestium.granary.pipeline":"https://ci.example.test/repos/1/pipeline/87","#,
                r#""org.opencontainers.image.created":"2026-11-21T06:30:00Z","org.opencontainers.image.revision":"7a77c5932e35c13bf0bf61a33f757b21d41692b5","#,
                r#""org.opencontainers.image.version":"0.1.146-rc.87"}}"#
            )
        );
    }

    #[test]
    fn what_others_wrote_there_is_refused() {
        let edit = |from: &str, to: &str| {
            let text = String::from_utf8(set().to_manifest().bytes().to_vec()).unwrap();
            assert!(text.contains(from), "{from}");
            let raw = RawManifest::new(text.replace(from, to).into_bytes(), "").unwrap();
            ReleaseSet::from_manifest(&raw).unwrap_err().to_string()
        };
        assert!(
            edit(SET_ARTIFACT_TYPE, "application/x").contains("is not a release set but `application/x`")
        );
        assert!(edit(REVISION, "x").contains("`org.opencontainers.image.revision`: it is missing"));
        assert!(
            edit(r#"granary.base":"0.1.146"#, r#"granary.base":"0.1.147"#).contains("is not the base of")
        );
        assert!(edit(r#"\"size\":3}]"#, r#"\"size\":3},{}]"#).contains("members"));
        assert!(edit("acme/app", "Acme/../app").contains("is not a repository"));
        assert!(edit(r#"order":"87"#, r#"order":"-1"#).contains("granary.order"));
    }

    /// Promotion gives every member the version in its repository: two in one place would take each other's tag.
    #[test]
    fn members_that_cannot_all_be_released_are_refused() {
        let member = |name: &str, repository: &str| Member {
            name: name.to_owned(),
            repository: repository.parse().unwrap(),
            ..set().members[0].clone()
        };
        let read = |members: Vec<Member>| {
            let count = members.len();
            let read = ReleaseSet::from_manifest(&ReleaseSet { members, ..set() }.to_manifest());
            read.map(|set| assert_eq!(set.members.len(), count)).map_err(|error| match error {
                SetError::Annotation { annotation: MEMBERS, reason, .. } => reason,
                other => panic!("{other}"),
            })
        };
        let many = |count: usize| -> Vec<Member> {
            (0..count).map(|number| member(&format!("m{number}"), &format!("acme/m{number}"))).collect()
        };
        let refused = |reason: &str| Err(reason.to_owned());
        let table = [
            (vec![member("app", "acme/app"), member("db", "acme/db")], Ok(())),
            (
                vec![member("app", "acme/app"), member("db", "acme/app")],
                refused("two members lie in one repository"),
            ),
            (vec![member("app", "acme/app"), member("app", "acme/db")], refused("two members have one name")),
            (Vec::new(), refused("the list is empty")),
            (many(1000), Ok(())),
            (many(1001), refused("more than 1000 members")),
        ];
        for (members, expected) in table {
            let names: Vec<_> = members.iter().take(2).map(|member| member.name.clone()).collect();
            assert_eq!(read(members), expected, "{names:?}");
        }
    }
}
