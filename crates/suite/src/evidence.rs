//! Evidence in a registry: bundles attached to a digest, and what the trusted ones among them say.

use bytes::Bytes;
use futures_util::future::try_join_all;
use granary_attest::bundle::{self, Opened};
use granary_attest::statement::Statement;
use granary_attest::summary::{SUMMARY, Summary};
use granary_attest::test_result::{self, TEST_RESULT, TestResult};
use granary_attest::trust::TrustedKey;
use granary_net::HttpError;
use granary_oci::{Descriptor, Digest, Repository, TagOrDigest};
use granary_plugin::{Failure, Kind, with_causes};
use granary_registry::{ProtocolProblem, Registry, RegistryError};
use granary_release::{MAX_BUNDLES, TestOutcome, TestRun};
use jiff::Timestamp;

use crate::attach::CREATED;
use crate::failures::registry_failure;

/// How many summaries are read, the newest by their label. Unlike evidence they only ever add up: an image that
/// does not change has one of each release.
const MOST_SUMMARIES: usize = 50;

/// A promotion, as a trusted statement tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedSummary {
    /// Which trusted key signed it.
    pub key: String,
    /// Digest of the bundle, so that a reader can name it.
    pub bundle: Digest,
    /// Everything it speaks of; the digest that was asked about is among them.
    pub subjects: Vec<Digest>,
    /// What it says.
    pub summary: Summary,
}

/// What was found on a digest.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// Test runs, as keys that may speak of tests tell them.
    pub runs: Vec<TestRun>,
    /// Promotions, as keys that may speak of promotions tell them.
    pub summaries: Vec<SignedSummary>,
    /// Bundles that count neither for nor against, and why.
    pub ignored: Vec<String>,
    /// How many older summaries were not read.
    pub unread: usize,
}

/// Reads every test result attached to `subject` that a trusted key signed. See [`collect`].
///
/// # Errors
/// As [`collect`].
pub async fn collect_test_runs(
    registry: &Registry,
    repository: &Repository,
    subject: &Digest,
    keys: &[TrustedKey],
) -> Result<Collected, Failure> {
    collect(registry, repository, subject, keys, &[]).await
}

/// Reads what is attached to `subject`: test results that one of `test_keys` signed, and verification
/// summaries that one of `promoter_keys` signed, with one listing. Without keys for a kind that kind is not
/// asked for, and passed over in silence; so is what its own annotation calls something else altogether.
///
/// The keys of one kind never speak for the other. A promoter's key that is limited to `environments` is
/// limited to these stages. A statement that does not name `subject` among its subjects speaks of something
/// else, by whoever it is signed, and is ignored: hanging it here is everybody's who may push.
///
/// # Errors
/// If the registry fails, or if so many bundles of evidence are attached that some may have been put there to
/// hide others. What its label calls a summary does not count for that, and of those only the newest are read.
pub async fn collect(
    registry: &Registry,
    repository: &Repository,
    subject: &Digest,
    test_keys: &[TrustedKey],
    promoter_keys: &[TrustedKey],
) -> Result<Collected, Failure> {
    let trust = Trust { test_keys, promoter_keys, all: [test_keys, promoter_keys].concat() };
    let mut referrers =
        registry.referrers(repository, subject, Some(bundle::MEDIA_TYPE)).await.map_err(registry_failure)?;
    referrers.retain(|referrer| trust.asks_for(referrer));
    let (mut summaries, mut referrers): (Vec<_>, Vec<_>) = referrers
        .into_iter()
        .partition(|referrer| label(referrer, bundle::PREDICATE_TYPE_ANNOTATION) == Some(SUMMARY));
    if referrers.len() > MAX_BUNDLES {
        let found = format!("{} bundles on {subject}", referrers.len());
        return Err(Failure::new(Kind::Evidence, format!("refusing to judge {found}"))
            .refusing("evidence.count", found, format!("at most {MAX_BUNDLES}"))
            .hint("remove the bundles that nobody needs, or publish the commit anew"));
    }
    let created = |referrer: &Descriptor| label(referrer, CREATED)?.parse::<Timestamp>().ok();
    summaries.sort_by_cached_key(|referrer| std::cmp::Reverse(created(referrer)));
    let unread = summaries.len().saturating_sub(MOST_SUMMARIES);
    summaries.truncate(MOST_SUMMARIES);
    referrers.append(&mut summaries);
    let read = referrers.iter().map(async |referrer| {
        let reading = match read_bundle(registry, repository, referrer).await? {
            Ok(bytes) => trust.read(&bytes, &referrer.digest, subject),
            Err(reason) => Err(reason),
        };
        Ok::<_, Failure>((&referrer.digest, reading))
    });
    let mut collected = Collected { unread, ..Collected::default() };
    for (digest, reading) in try_join_all(read).await? {
        match reading {
            Ok(Reading::Run(run)) => collected.runs.push(*run),
            Ok(Reading::Summary(summary)) => collected.summaries.push(*summary),
            Ok(Reading::NotAskedFor) => {}
            Err(reason) => collected.ignored.push(format!("{digest}: {reason}")),
        }
    }
    Ok(collected)
}

/// Whose word counts for what.
struct Trust<'k> {
    test_keys: &'k [TrustedKey],
    promoter_keys: &'k [TrustedKey],
    all: Vec<TrustedKey>,
}

/// What a bundle says. Why it says nothing that counts is the `Err` beside it.
enum Reading {
    Run(Box<TestRun>),
    Summary(Box<SignedSummary>),
    NotAskedFor,
}

impl Trust<'_> {
    /// Whether a referrer is worth fetching, by what it calls itself. The annotation is unsigned: whoever can
    /// write a wrong one into the listing can as well leave the referrer out of it.
    fn asks_for(&self, referrer: &Descriptor) -> bool {
        match label(referrer, bundle::PREDICATE_TYPE_ANNOTATION) {
            None => true,
            Some(TEST_RESULT) => !self.test_keys.is_empty(),
            Some(SUMMARY) => !self.promoter_keys.is_empty(),
            Some(_) => false,
        }
    }

    fn read(&self, bytes: &[u8], digest: &Digest, subject: &Digest) -> Result<Reading, String> {
        let opened = bundle::open(bytes, &self.all).map_err(|error| with_causes(&error))?;
        let keys = match opened.statement.predicate_type.as_str() {
            TEST_RESULT => self.test_keys,
            SUMMARY => self.promoter_keys,
            other => return Err(format!("it speaks of {other}")),
        };
        if keys.is_empty() {
            return Ok(Reading::NotAskedFor);
        }
        let Some(key) = keys.iter().find(|key| key.key == opened.key.key) else {
            return Err(format!(
                "key `{}` may not sign {}",
                opened.key.name, opened.statement.predicate_type
            ));
        };
        let opened = Opened { key, ..opened };
        match opened.statement.predicate_type.as_str() {
            TEST_RESULT => test_run(&opened, digest, subject).map(|run| Reading::Run(Box::new(run))),
            _ => summary(&opened, digest, subject).map(|summary| Reading::Summary(Box::new(summary))),
        }
    }
}

fn label<'r>(referrer: &'r Descriptor, name: &str) -> Option<&'r str> {
    referrer.annotations.as_ref()?.get(name).map(String::as_str)
}

/// Fetches one bundle. The inner `Err` says why there is none, which is nobody's failure.
async fn read_bundle(
    registry: &Registry,
    repository: &Repository,
    referrer: &Descriptor,
) -> Result<Result<Bytes, String>, Failure> {
    let reference = TagOrDigest::from(&referrer.digest);
    let manifest = registry.manifest(repository, &reference).await.map_err(registry_failure)?;
    let Some(manifest) = manifest else { return Ok(Err("it is listed but not there".to_owned())) };
    let layers = match manifest.parse() {
        Ok(manifest) => &manifest.layers,
        Err(error) => return Ok(Err(with_causes(&error))),
    };
    let [layer] = layers.as_slice() else {
        return Ok(Err(format!("{} layers instead of one bundle", layers.len())));
    };
    if layer.size > bundle::MAX_BUNDLE_BYTES as u64 {
        return Ok(Err(format!("a bundle of {} bytes", layer.size)));
    }
    match registry.blob(repository, layer, bundle::MAX_BUNDLE_BYTES as u64).await {
        Ok(bytes) => Ok(Ok(bytes)),
        // A descriptor that lies about its size is whoever wrote it, not the way here.
        Err(error) if is_size(&error) => Ok(Err(with_causes(&error))),
        Err(error) => Err(registry_failure(error)),
    }
}

fn test_run(opened: &Opened<'_>, bundle: &Digest, subject: &Digest) -> Result<TestRun, String> {
    let result = TestResult::from_statement(&opened.statement).map_err(|error| with_causes(&error))?;
    let (key, run) = (opened.key, &result.run);
    let subjects = subjects_with(&opened.statement, subject)?;
    speaks_for(key, "environment", &run.environment, run.finished_on)?;
    let (Ok(commit), Ok(set)) = (run.commit.parse(), run.set.parse()) else {
        return Err(format!("it names no commit and set but `{}` and `{}`", run.commit, run.set));
    };
    Ok(TestRun {
        key: key.name.clone(),
        bundle: bundle.clone(),
        subjects,
        result: match result.result {
            test_result::Outcome::Passed => TestOutcome::Passed,
            test_result::Outcome::Warned => TestOutcome::Warned,
            test_result::Outcome::Failed => TestOutcome::Failed,
        },
        commit,
        set,
        environment: result.run.environment,
        finished_on: result.run.finished_on,
        passed: result.passed_tests,
        warned: result.warned_tests,
        failed: result.failed_tests,
        attempts: result.run.attempts,
        key_exposed: result.run.key_exposed,
        url: result.url,
    })
}

fn summary(opened: &Opened<'_>, bundle: &Digest, subject: &Digest) -> Result<SignedSummary, String> {
    let summary = Summary::from_statement(&opened.statement).map_err(|error| with_causes(&error))?;
    speaks_for(opened.key, "stage", &summary.promotion.stage, summary.time_verified)?;
    let subjects = subjects_with(&opened.statement, subject)?;
    Ok(SignedSummary { key: opened.key.name.clone(), bundle: bundle.clone(), subjects, summary })
}

fn speaks_for(key: &TrustedKey, what: &str, place: &str, time: Timestamp) -> Result<(), String> {
    if !key.covers(place) {
        return Err(format!("key `{}` does not speak for {what} `{place}`", key.name));
    }
    if !key.valid_at(time) {
        return Err(format!("key `{}` was not valid on {time}", key.name));
    }
    Ok(())
}

/// What a statement speaks of. It may be genuine and lie beside another digest than one of these.
fn subjects_with(statement: &Statement, wanted: &Digest) -> Result<Vec<Digest>, String> {
    let digests = statement.subjects.iter().filter_map(|subject| subject.sha256()?.parse().ok());
    let subjects: Vec<Digest> = digests.collect();
    match subjects.contains(wanted) {
        true => Ok(subjects),
        false => Err(format!("it does not name {wanted} as a subject")),
    }
}

fn is_size(error: &RegistryError) -> bool {
    match error {
        RegistryError::Protocol { problem, .. } => {
            matches!(**problem, ProtocolProblem::WrongSize { .. } | ProtocolProblem::TooLarge { .. })
        }
        RegistryError::Unreachable { source, .. } => matches!(**source, HttpError::TooLarge { .. }),
        _ => false,
    }
}
