//! What a verification is asked: fewer settings than a promotion has, and one more.

use granary_oci::{Repository, Tag, TagOrDigest, without_userinfo};
use granary_plugin::{Ci, Reader};
use granary_release::{EvidenceRules, Version};
use granary_suite::{RegistrySettings, Subject, TargetSettings};

use crate::places::Side;
use crate::settings::{TrustedKeys, as_version, evidence_rules, key_list};

const ACCEPTED: &str = "`X.Y.Z-rc.N`, a tag, `sha256:…`, or `repository@sha256:…`";

/// What only a promotion heeds. Of `branches` above all nobody must believe that it was looked at here.
const WITHOUT_EFFECT: &[&str] = &[
    "tag_prefix",
    "on_taken",
    "on_superseded",
    "allow_older",
    "branches",
    "wait_for_evidence",
    "negative_control",
    "floating",
    "signing_key",
    "signing_key_password",
    "protect_sig",
    "operator",
    "verify",
];

/// What a verification is asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The registry and the repositories of the candidates, where the records lie.
    pub registry: RegistrySettings,
    /// Where production is, if that is elsewhere.
    pub target: Option<TargetSettings>,
    /// What is looked at.
    pub asked: Asked,
    /// The version that it should be, where one was given.
    pub version: Option<Version>,
    /// The keys whose evidence counts.
    pub trusted_keys: TrustedKeys,
    /// The keys whose summaries count.
    pub promoter_keys: TrustedKeys,
    /// What is asked of evidence, as of the time of the summary.
    pub evidence: EvidenceRules,
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A version.
    Version(Version),
    /// A commit or a candidate.
    Set(Subject),
    /// Whatever lies under a digest or tag: a release set or an image of one.
    Content {
        /// Where to look, in this order.
        sides: Vec<Side>,
        /// In which repository; the lead's where none was named.
        repository: Option<Repository>,
        /// Under what.
        target: TagOrDigest,
        /// The tag that has to name the digest, where both were given.
        tag: Option<Tag>,
    },
}

/// Reads the settings. Pure.
pub fn resolve(reader: &mut Reader<'_>, ci: &Ci) -> Option<Settings> {
    reader.refuse(WITHOUT_EFFECT, "without effect on `verify`", "with `action: promote` only");
    let registry = RegistrySettings::resolve(reader, ci);
    let target = TargetSettings::resolve(reader, registry.as_ref());
    let trusted_keys = key_list(reader, "trusted_keys");
    let promoter_keys = key_list(reader, "promoter_keys");
    let evidence = evidence_rules(reader);
    let version = as_version(reader);
    let hosts = Hosts { registry: registry.as_ref(), target: target.as_ref().and_then(Option::as_ref) };
    let (asked, version) = asked(reader, ci, &hosts, version?)?;
    Some(Settings {
        registry: registry?,
        target: target?,
        asked,
        version,
        trusted_keys: trusted_keys?,
        promoter_keys: promoter_keys?,
        evidence: evidence?,
    })
}

fn asked(
    reader: &mut Reader<'_>,
    ci: &Ci,
    hosts: &Hosts<'_>,
    version: Option<Version>,
) -> Option<(Asked, Option<Version>)> {
    let named = reader.is_set("candidate") || reader.is_set("commit");
    if let (Some(version), false) = (version, named) {
        return Some((Asked::Version(version), Some(version)));
    }
    if !named && ci.commit_sha.is_none() {
        reader.reject(
            "as_version",
            "nothing says what to verify",
            "one of `as_version`, `candidate`, `commit`",
        );
        return None;
    }
    let text = reader.version_like("candidate").unwrap_or_default();
    let asked = match text.contains('/') {
        true if reader.is_set("commit") => {
            reader.reject("candidate", "`commit` is set as well", "one of the two");
            return None;
        }
        true => hosts.reference(text.trim()).map_err(|why| reader.reject("candidate", why, ACCEPTED)).ok()?,
        false => match Subject::resolve(reader, ci, true)? {
            Subject::Tag(tag) => match tag.as_str().parse() {
                Ok(version) => Asked::Version(version),
                Err(_) => hosts.in_lead(TagOrDigest::from(&tag)),
            },
            Subject::Digest(digest) => hosts.in_lead(TagOrDigest::from(&digest)),
            subject => Asked::Set(subject),
        },
    };
    let told = match &asked {
        Asked::Version(version) => Some(*version),
        Asked::Content { target: TagOrDigest::Tag(tag), .. } | Asked::Content { tag: Some(tag), .. } => {
            tag.as_str().parse().ok()
        }
        _ => None,
    };
    match (told, version) {
        (Some(told), Some(version)) if told != version => {
            reader.reject("as_version", format!("`candidate` is {told}"), "one of the two");
            None
        }
        (told, version) => Some((asked, version.or(told))),
    }
}

/// The registries that a reference may name.
struct Hosts<'a> {
    registry: Option<&'a RegistrySettings>,
    target: Option<&'a TargetSettings>,
}

impl Hosts<'_> {
    fn sides(&self) -> Vec<Side> {
        let target = self.target.map(|_| Side::Target);
        [Some(Side::Candidate), target].into_iter().flatten().collect()
    }

    fn in_lead(&self, target: TagOrDigest) -> Asked {
        Asked::Content { sides: self.sides(), repository: None, target, tag: None }
    }

    /// `[host/]repository@digest` or `[host/]repository:tag`, as container runtimes print it.
    fn reference(&self, text: &str) -> Result<Asked, String> {
        let (place, target, beside) = match (text.split_once('@'), text.rsplit_once(':')) {
            (Some((place, digest)), _) => {
                // `repository:tag@digest`: the digest decides, and the tag has to name it.
                let path = place.rfind('/').unwrap_or_default();
                let (place, tag) = match place[path..].find(':') {
                    Some(tag) => (&place[..path + tag], Some(&place[path + tag + 1..])),
                    None => (place, None),
                };
                (place, digest.parse().map(TagOrDigest::Digest).map_err(|_| digest), tag)
            }
            (None, Some((place, tag))) if !tag.contains('/') => {
                (place, tag.parse().map(TagOrDigest::Tag).map_err(|_| tag), None)
            }
            _ => return Err("a repository without tag or digest".to_owned()),
        };
        let refused = |found| format!("`{}` is no tag or digest", without_userinfo(found));
        let target = target.map_err(refused)?;
        let tag = beside.map(|tag| tag.parse().map_err(|_| refused(tag))).transpose()?;
        let of = |host: &str| {
            let is = |known: &granary_oci::RegistryHost| known.as_str().eq_ignore_ascii_case(host);
            let candidates = self.registry.filter(|registry| is(&registry.host)).map(|_| Side::Candidate);
            let target = self.target.filter(|target| is(&target.host)).map(|_| Side::Target);
            [candidates, target].into_iter().flatten().collect::<Vec<_>>()
        };
        let (sides, path) = match place.split_once('/') {
            Some((host, path)) if !of(host).is_empty() => (of(host), path),
            Some((host, _)) if host.contains(['.', ':']) => {
                let host = without_userinfo(host);
                return Err(format!("`{host}` is neither `registry` nor `target_registry`"));
            }
            _ => (self.sides(), place),
        };
        let repository: Repository = path.parse().map_err(|error| format!("{error}"))?;
        Ok(Asked::Content { sides, repository: Some(repository), target, tag })
    }
}

#[cfg(test)]
mod tests {
    use granary_plugin::settings::{Raw, SettingErrors, Table};
    use granary_plugin::{COMMON, Env, REGISTRY};

    use super::*;
    use crate::settings::OWN;

    const TABLE: Table = Table::new(&[&OWN, &REGISTRY, &COMMON]);

    fn with(pairs: &[(&str, &str)]) -> Result<Settings, SettingErrors> {
        let needed = [
            ("action", "verify"),
            ("registry", "registry.test:5000"),
            ("repo", "acme/app"),
            ("trusted_keys", "tests.pub"),
            ("promoter_keys", "promoters.pub"),
        ];
        let raw = Raw::from_pairs(&TABLE, &[&needed[..], pairs].concat());
        let mut reader = Reader::new(&TABLE, &raw);
        let settings = resolve(&mut reader, &Ci::default());
        reader.finish(settings)
    }

    fn refused(pairs: &[(&str, &str)]) -> Vec<String> {
        with(pairs).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn anything_that_a_registry_or_a_cluster_prints_can_be_asked_about() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let content = |sides: &[Side], repository: Option<&str>, target: &str| Asked::Content {
            sides: sides.to_vec(),
            repository: repository.map(|name| name.parse().unwrap()),
            target: match target.parse() {
                Ok(digest) => TagOrDigest::Digest(digest),
                Err(_) => TagOrDigest::Tag(target.parse().unwrap()),
            },
            tag: None,
        };
        let one = [Side::Candidate];
        let two = [Side::Candidate, Side::Target];
        let version = Asked::Version("1.5.0".parse().unwrap());
        let with_host = format!("registry.test:5000/acme/web@{digest}");
        let in_target = format!("prod.test/live/web:1.5.0@{digest}");
        let mut tag_and_digest = content(&[Side::Target], Some("live/web"), &digest);
        if let Asked::Content { tag, .. } = &mut tag_and_digest {
            *tag = Some("1.5.0".parse().unwrap());
        }
        type Row<'a> = (&'a [(&'a str, &'a str)], Asked, Option<&'a str>);
        let table: [Row<'_>; 10] = [
            (&[("as_version", "1.5.0")], version.clone(), Some("1.5.0")),
            (&[("candidate", "1.5.0")], version, Some("1.5.0")),
            (
                &[("candidate", "1.5.0-rc.3")],
                Asked::Set(Subject::Candidate("1.5.0-rc.3".parse().unwrap())),
                None,
            ),
            (&[("commit", "3f2a91c")], Asked::Set(Subject::Commit("3f2a91c".to_owned())), None),
            (&[("candidate", &digest)], content(&one, None, &digest), None),
            (&[("candidate", &digest), ("as_version", "1.5.0")], content(&one, None, &digest), Some("1.5.0")),
            (&[("candidate", "validated-3f2a91c")], content(&one, None, "validated-3f2a91c"), None),
            (&[("candidate", &with_host)], content(&one, Some("acme/web"), &digest), None),
            (
                &[("candidate", "acme/web:1.5.0"), ("target_registry", "prod.test")],
                content(&two, Some("acme/web"), "1.5.0"),
                Some("1.5.0"),
            ),
            (&[("candidate", &in_target), ("target_registry", "prod.test")], tag_and_digest, Some("1.5.0")),
        ];
        for (pairs, asked, version) in table {
            let settings = with(pairs).unwrap();
            assert_eq!(settings.asked, asked, "{pairs:?}");
            assert_eq!(settings.version, version.map(|text| text.parse().unwrap()), "{pairs:?}");
        }
    }

    #[test]
    fn what_a_promotion_needs_is_not_asked_for_and_what_is_wrong_is_said() {
        let nothing = Raw::from_pairs(&TABLE, &[("action", "verify")]);
        let mut reader = Reader::new(&TABLE, &nothing);
        let settings = resolve(&mut reader, &Ci::default());
        let errors = reader.finish(settings).unwrap_err().0;
        let names: Vec<String> =
            errors.iter().map(|error| error.to_string().split(':').next().unwrap().to_owned()).collect();
        assert_eq!(names, ["registry", "repo", "trusted_keys", "promoter_keys", "as_version"]);
        let asked =
            "as_version: nothing says what to verify; accepted: one of `as_version`, `candidate`, `commit`";
        assert_eq!(errors.last().unwrap().to_string(), asked);
        for (pairs, told) in [
            (
                &[("candidate", "elsewhere.test/acme/app:1.5.0")][..],
                format!(
                    "candidate: `elsewhere.test` is neither `registry` nor `target_registry`; accepted: {ACCEPTED}"
                ),
            ),
            (
                &[("candidate", "acme/app")],
                format!("candidate: a repository without tag or digest; accepted: {ACCEPTED}"),
            ),
            (
                &[("candidate", "acme/app@sha256:12")],
                format!("candidate: `sha256:12` is no tag or digest; accepted: {ACCEPTED}"),
            ),
            (
                &[("candidate", "1.5.0"), ("as_version", "1.5.1")],
                "as_version: `candidate` is 1.5.0; accepted: one of the two".to_owned(),
            ),
            (
                &[("candidate", "acme/app:1.5.0"), ("commit", "3f2a91c")],
                "candidate: `commit` is set as well; accepted: one of the two".to_owned(),
            ),
        ] {
            assert_eq!(refused(pairs), [told], "{pairs:?}");
        }
    }

    #[test]
    fn what_only_a_promotion_heeds_is_refused() {
        let given: Vec<(&str, &str)> = WITHOUT_EFFECT.iter().map(|name| (*name, "1")).collect();
        let told = refused(&[&given[..], &[("as_version", "1.5.0")]].concat());
        let refusals = told.iter().filter(|told| told.contains("without effect on `verify`"));
        assert_eq!(refusals.count(), WITHOUT_EFFECT.len(), "{told:?}");
        let one = refused(&[("as_version", "1.5.0"), ("floating", "latest")]);
        assert_eq!(one, ["floating: without effect on `verify`; accepted: with `action: promote` only"]);
    }

    #[test]
    fn a_pull_request_may_ask_too() {
        let (ci, _) = Ci::read(&Env::from_pairs([
            ("CI", "woodpecker"),
            ("CI_PIPELINE_EVENT", "pull_request"),
            ("CI_REPO", "acme/app"),
        ]));
        let pairs = [
            ("registry", "registry.test"),
            ("trusted_keys", "tests.pub"),
            ("promoter_keys", "promoters.pub"),
            ("as_version", "1.5.0"),
        ];
        let raw = Raw::from_pairs(&TABLE, &pairs);
        let mut reader = Reader::new(&TABLE, &raw);
        let settings = resolve(&mut reader, &ci);
        assert!(reader.finish(settings).is_ok());
    }
}
