//! What a registry holds before promote runs: release sets, members and evidence, made from the crates that
//! define them and not by the plugins that usually write them.

use std::path::{Path, PathBuf};

use granary_attest::bundle;
use granary_attest::key::SigningKey;
use granary_attest::statement::{ResourceDescriptor, Statement};
use granary_attest::summary::SUMMARY;
use granary_attest::test_result::{Outcome, TEST_RESULT, TestResult, TestRun};
use granary_attest::trust;
use granary_oci::{ArtifactManifest, Descriptor, FallbackIndex, RawManifest};
use granary_release::claim::{Claim, ClaimKind};
use granary_release::{Member, ReleaseSet, TagKind};
use granary_testkit::image::{Image, ImageBuilder};
use granary_testkit::process::{Finished, Run};
use granary_testkit::registry::{Options, Registry};
use jiff::{SignedDuration, Timestamp};

/// The commit of most recorded environments.
pub(crate) const MAIN: &str = "7a77c5932e35c13bf0bf61a33f757b21d41692b5";

/// Content of an image that is the same in every commit.
pub(crate) const UNCHANGED: &str = "unchanged";

/// A release set to be.
#[derive(Clone)]
pub(crate) struct Release {
    pub(crate) commit: String,
    pub(crate) candidate: &'static str,
    pub(crate) branch: Option<&'static str>,
    pub(crate) order: Option<u64>,
    /// Repositories; the first is the lead's.
    pub(crate) repositories: Vec<&'static str>,
    /// Goes into the images, so that other content has other digests.
    pub(crate) content: &'static str,
    pub(crate) replaces: Option<String>,
}

impl Release {
    /// One image of `main`, of the recorded commit and pipeline.
    pub(crate) fn new(candidate: &'static str) -> Self {
        Release {
            commit: MAIN.to_owned(),
            candidate,
            branch: Some("main"),
            order: Some(11),
            repositories: vec!["acme/app"],
            content: "first",
            replaces: None,
        }
    }

    /// An earlier commit: `digit` forty times.
    pub(crate) fn of(digit: char, candidate: &'static str, order: u64) -> Self {
        Release { commit: digit.to_string().repeat(40), order: Some(order), ..Release::new(candidate) }
    }

    pub(crate) fn image(&self, repository: &str) -> Image {
        let commit = if self.content == UNCHANGED { "" } else { &self.commit };
        let text = format!("{repository} {commit} {}", self.content);
        ImageBuilder::new("linux/amd64").file("app/run", text.as_bytes()).build()
    }

    pub(crate) fn digest(&self, repository: &str) -> String {
        self.image(repository).digest().to_owned()
    }

    pub(crate) fn set(&self) -> ReleaseSet {
        let member = |repository: &&str| {
            let image = self.image(repository);
            Member {
                name: repository.rsplit('/').next().unwrap().to_owned(),
                repository: repository.parse().unwrap(),
                digest: image.digest().parse().unwrap(),
                media_type: image.media_type().to_owned(),
                size: image.bytes().len() as u64,
            }
        };
        ReleaseSet {
            commit: self.commit.parse().unwrap(),
            branch: self.branch.map(str::to_owned),
            candidate: self.candidate.parse().unwrap(),
            order: self.order,
            pipeline_url: None,
            created: "2026-11-20T20:00:00Z".parse().unwrap(),
            members: self.repositories.iter().map(member).collect(),
            replaces: self.replaces.as_ref().map(|digest| digest.parse().unwrap()),
        }
    }

    pub(crate) fn set_digest(&self) -> String {
        self.set().to_manifest().digest().to_string()
    }

    pub(crate) fn lead(&self) -> &'static str {
        self.repositories[0]
    }

    /// Puts members and set where registry-push puts them.
    pub(crate) fn publish(&self, registry: &Registry) {
        let set = self.set();
        let tags = [
            TagKind::Candidate(set.candidate).tag(),
            TagKind::Commit(&set.commit).tag(),
            TagKind::Integration(&set.commit).tag(),
        ];
        for repository in &self.repositories {
            let tags: Vec<&str> = tags.iter().map(granary_oci::Tag::as_str).collect();
            registry.put_image(repository, &tags, &self.image(repository));
        }
        self.tag_set(registry, TagKind::CommitSet(&set.commit).tag().as_str());
        self.tag_set(registry, TagKind::CandidateSet(set.candidate).tag().as_str());
    }

    /// The set under one tag.
    pub(crate) fn tag_set(&self, registry: &Registry, tag: &str) {
        put(registry, self.lead(), &[tag], &self.set().to_manifest());
    }

    /// Puts its claim to a version, and returns the claim's tag.
    pub(crate) fn claims(
        &self,
        registry: &Registry,
        version: &str,
        kind: ClaimKind,
        minutes_ago: i64,
    ) -> String {
        let created = Timestamp::now() - SignedDuration::from_mins(minutes_ago);
        let set = self.set();
        let digest = set.to_manifest().digest().clone();
        let claim = Claim::new(version.parse().unwrap(), kind, (&digest, &set), None, created);
        let tag = claim.name().to_string();
        put(registry, self.lead(), &[&tag], &claim.to_manifest());
        tag
    }

    /// Puts what a promotion to `version` leaves behind.
    pub(crate) fn promoted(&self, registry: &Registry, version: &str) {
        self.tag_set(registry, &format!("set-{version}"));
        let validated = format!("validated-{}", &self.commit[..7]);
        for repository in &self.repositories {
            registry.put_image(repository, &[version, &validated], &self.image(repository));
        }
    }
}

fn put(registry: &Registry, repository: &str, tags: &[&str], raw: &RawManifest) {
    registry.put_blob(repository, granary_oci::EMPTY_JSON);
    registry.put_manifest(repository, tags, raw.media_type(), raw.bytes().to_vec());
}

/// A private key; the same for the same seed.
pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::generate([seed; 32]).unwrap()
}

/// The seed of the key that [`promote`] trusts.
pub(crate) const TRUSTED: u8 = 7;

/// The seed of the key that [`signing`] promotes with.
pub(crate) const PROMOTER: u8 = 9;

/// The same run with a key of its own.
pub(crate) fn signing(run: Run) -> Run {
    run.plugin("signing_key", &key(PROMOTER).to_pem())
}

/// What promoters have signed about a manifest: the digest of what carries it, and the statement.
pub(crate) fn summaries(registry: &Registry, repository: &str, subject: &str) -> Vec<(String, Statement)> {
    let keys = trust::parse(&key(PROMOTER).public_key().to_pem()).unwrap();
    let read = |carrier: String| {
        let manifest = registry.manifest(repository, &carrier).unwrap().1;
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        if manifest["annotations"][bundle::PREDICATE_TYPE_ANNOTATION] != SUMMARY {
            return None;
        }
        let layer = registry.blob(repository, manifest["layers"][0]["digest"].as_str().unwrap()).unwrap();
        Some((carrier, bundle::open(&layer, &keys).unwrap().statement))
    };
    registry.referrers(repository, subject).into_iter().filter_map(read).collect()
}

/// Evidence to be: passed, an hour ago, for the whole set, by the trusted key.
pub(crate) struct Evidence {
    pub(crate) key: u8,
    pub(crate) passed: Vec<&'static str>,
    pub(crate) warned: Vec<&'static str>,
    pub(crate) failed: Vec<&'static str>,
    pub(crate) result: Outcome,
    pub(crate) age: SignedDuration,
    pub(crate) environment: &'static str,
    /// The set that it speaks of; else the one it is attached to.
    pub(crate) speaks_of: Option<Release>,
    /// Members that it leaves out.
    pub(crate) without_members: bool,
}

impl Default for Evidence {
    fn default() -> Self {
        Evidence {
            key: TRUSTED,
            passed: vec!["orders", "quotes"],
            warned: Vec::new(),
            failed: Vec::new(),
            result: Outcome::Passed,
            age: SignedDuration::from_hours(1),
            environment: "integration",
            speaks_of: None,
            without_members: false,
        }
    }
}

impl Evidence {
    /// Attaches it to the set of `release`, as integration-test does. Returns the bundle's manifest digest.
    pub(crate) fn attach(&self, registry: &Registry, release: &Release) -> String {
        let of = self.speaks_of.as_ref().unwrap_or(release);
        self.attach_to(registry, &of.set(), &release.set())
    }

    /// The same for sets: `set` is what it speaks of, `subject` what it is attached to.
    pub(crate) fn attach_to(&self, registry: &Registry, set: &ReleaseSet, subject: &ReleaseSet) -> String {
        let lead = set.lead().repository.as_str();
        let speaks_of = set.to_manifest();
        let finished_on = Timestamp::now() - self.age;
        let result = TestResult {
            result: self.result,
            configuration: vec![ResourceDescriptor { name: Some("run.sh".to_owned()), ..Default::default() }],
            url: None,
            passed_tests: self.passed.iter().map(|&name| name.to_owned()).collect(),
            warned_tests: self.warned.iter().map(|&name| name.to_owned()).collect(),
            failed_tests: self.failed.iter().map(|&name| name.to_owned()).collect(),
            run: TestRun {
                commit: set.commit.to_string(),
                set: speaks_of.digest().to_string(),
                environment: self.environment.to_owned(),
                started_on: finished_on - SignedDuration::from_secs(30),
                finished_on,
                attempts: 1,
                platforms: vec!["linux/amd64".to_owned()],
                key_exposed: false,
            },
        };
        let mut subjects = vec![ResourceDescriptor::new(lead, speaks_of.digest().as_str()).unwrap()];
        for member in set.members.iter().filter(|_| !self.without_members) {
            subjects
                .push(ResourceDescriptor::new(member.repository.as_str(), member.digest.as_str()).unwrap());
        }
        let bytes = bundle::sign_statement(&result.to_statement(subjects).unwrap(), &key(self.key)).unwrap();
        let annotations = [
            (bundle::CONTENT_ANNOTATION.to_owned(), bundle::CONTENT_DSSE.to_owned()),
            (bundle::PREDICATE_TYPE_ANNOTATION.to_owned(), TEST_RESULT.to_owned()),
        ];
        let carrier = ArtifactManifest::new(bundle::MEDIA_TYPE)
            .with_layers(vec![Descriptor::of(bundle::MEDIA_TYPE, &bytes)])
            .with_subject(&subject.to_manifest().descriptor())
            .with_annotations(annotations.into())
            .build();
        let place = subject.lead().repository.as_str();
        registry.put_blob(place, bytes);
        put(registry, place, &[], &carrier);
        carrier.digest().to_string()
    }
}

/// Enters what is attached to a set in the fallback index, as registries without the API have it.
pub(crate) fn list_in_fallback(registry: &Registry, release: &Release, carrier: &str) {
    let subject = release.set().to_manifest().digest().clone();
    let (media_type, bytes) = registry.manifest(release.lead(), carrier).unwrap();
    let raw = RawManifest::new(bytes.to_vec(), &media_type).unwrap();
    let mut index = FallbackIndex::empty(&subject);
    index.merge(FallbackIndex::entry(&raw, raw.parse().unwrap()));
    let (tag, index) = (FallbackIndex::tag(&subject), index.build().unwrap());
    put(registry, release.lead(), &[tag.as_str()], &index);
}

/// A registry with one tested candidate of one image.
pub(crate) fn tested(release: &Release) -> Registry {
    tested_on(Options::default(), release)
}

pub(crate) fn tested_on(options: Options, release: &Release) -> Registry {
    let registry = Registry::start(options);
    release.publish(&registry);
    Evidence::default().attach(&registry, release);
    registry
}

/// promote by hand with what it needs, without a subject.
pub(crate) fn by_hand(registry: &Registry) -> Run {
    with_settings(Run::new(env!("CARGO_BIN_EXE_promote")), registry).plugin("branches", "main")
}

/// promote in a recorded pipeline, `push` or another event.
pub(crate) fn promote(event: &str, registry: &Registry) -> Run {
    let run = Run::new(env!("CARGO_BIN_EXE_promote"));
    let workspace = run.workspace().to_str().unwrap().to_owned();
    let run = run.recorded(&recording(event)).without_prefix("PLUGIN_").env("CI_WORKSPACE", &workspace);
    with_settings(run, registry)
}

fn with_settings(run: Run, registry: &Registry) -> Run {
    run.plugin("registry", &registry.host())
        .plugin("repo", "acme/app")
        .plugin("trusted_keys", &key(TRUSTED).public_key().to_pem())
}

fn recording(event: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/plugin/tests/data/woodpecker-env");
    folder.join(format!("{event}.plugin.env"))
}

/// Everything that a run said and its exit code, without what differs from run to run.
pub(crate) fn told(finished: &Finished) -> String {
    filtered(&said(finished))
}

/// The same of a run with two registries: the other one is `[TARGET]`.
pub(crate) fn told_of_two(finished: &Finished, target: &Registry) -> String {
    filtered(&said(finished).replace(&target.host(), "[TARGET]"))
}

fn said(finished: &Finished) -> String {
    format!(
        "exit code {}\n--- stdout\n{}--- stderr\n{}",
        finished.code.map_or_else(|| "none".to_owned(), |code| code.to_string()),
        finished.stdout,
        finished.stderr
    )
}

/// The one filter list of all snapshots: `[HOST]`, `[DIGEST]`, `[TIME]`, `[WORKSPACE]`.
pub(crate) fn filtered(text: &str) -> String {
    let words = |line: &str| line.split_inclusive(' ').map(filtered_word).collect::<String>();
    text.lines().map(|line| words(line).trim_end().to_owned() + "\n").collect()
}

fn filtered_word(word: &str) -> String {
    let mut word = word.to_owned();
    while let Some(at) = word.find("127.0.0.1:") {
        let digits = word[at + 10..].bytes().take_while(u8::is_ascii_digit).count();
        word.replace_range(at..at + 10 + digits, "[HOST]");
    }
    while let Some(at) = word.find("sha256:") {
        let hex = word[at + 7..].bytes().take_while(u8::is_ascii_hexdigit).count();
        word.replace_range(at..at + 7 + hex, "[DIGEST]");
    }
    if let Some(at) = word.find("/tmp/") {
        let path = word[at..].find("/workspace").map_or(0, |end| end + "/workspace".len());
        word.replace_range(at..at + path.max(5), "[WORKSPACE]");
    }
    let core = word.trim_matches(|letter: char| "(),;.\n ".contains(letter)).to_owned();
    let span =
        core.strip_suffix('s').is_some_and(|number| number.contains('.') && number.parse::<f64>().is_ok());
    let instant = core.contains('T') && core.trim_matches('"').parse::<Timestamp>().is_ok();
    if span || instant { word.replace(&core, "[TIME]") } else { word }
}

/// Writes the result of an earlier step into the workspace of `run`.
pub(crate) fn result_before(run: &Run, plugin: &str, fields: &serde_json::Value) {
    let mut result = serde_json::json!({"plugin": plugin, "outcome": "done", "exit_code": 0});
    result.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let folder = run.workspace().join(".granary");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{plugin}.json")), result.to_string()).unwrap();
}

/// `outcome` and `refusal` of the result file.
pub(crate) fn refusal(finished: &Finished) -> serde_json::Value {
    let result = finished.json(".granary/promote.json");
    assert_eq!(result["outcome"], "refused", "{finished}");
    serde_json::from_str(&filtered(&result["refusal"].to_string())).unwrap()
}

/// Asserts that a run ended like this and that nothing was written.
#[track_caller]
pub(crate) fn nothing_written(registry: &Registry, finished: &Finished, code: i32) {
    assert_eq!(finished.code, Some(code), "{finished}");
    let writes = registry.requests().into_iter().filter(granary_testkit::registry::Request::is_write);
    assert_eq!(writes.map(|request| request.to_string()).collect::<Vec<_>>(), Vec::<String>::new());
}

/// Waits until something has happened.
#[track_caller]
pub(crate) fn until(happened: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !happened() {
        assert!(started.elapsed() < std::time::Duration::from_secs(20), "it did not happen");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
