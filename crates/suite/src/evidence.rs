//! Evidence in a registry: bundles attached to a digest, and what the trusted ones among them say.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::try_join_all;
use granary_attest::bundle;
use granary_attest::test_result::{self, TestResult, TestResultError};
use granary_attest::trust::TrustedKey;
use granary_net::HttpError;
use granary_oci::{
    ArtifactManifest, Descriptor, Digest, Repository, TagOrDigest,
};
use granary_plugin::{Failure, Kind};
use granary_registry::{BlobSource, BlobWay, ProtocolProblem, PushOptions, Registry, RegistryError};
use granary_release::{MAX_BUNDLES, TestOutcome, TestRun};
use jiff::Timestamp;

use crate::failures::registry_failure;

const CREATED: &str = "org.opencontainers.image.created";

/// What was found on a digest.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// What trusted keys say.
    pub runs: Vec<TestRun>,
    /// Bundles that count neither for nor against, and why.
    pub ignored: Vec<String>,
}

/// Reads every test result attached to `subject` that a trusted key signed.
///
/// # Errors
/// If the registry fails, or if so many bundles are attached that some may have been put there to hide
/// others.
pub async fn collect_test_runs(
    registry: &Registry,
    repository: &Repository,
    subject: &Digest,
    keys: &[TrustedKey],
) -> Result<Collected, Failure> {
    let referrers =
        registry.referrers(repository, subject, Some(bundle::MEDIA_TYPE)).await.map_err(registry_failure)?;
    if referrers.len() > MAX_BUNDLES {
        let found = format!("{} bundles on {subject}", referrers.len());
        return Err(Failure::new(Kind::Evidence, format!("refusing to judge {found}"))
            .refusing("evidence.count", found, format!("at most {MAX_BUNDLES}"))
            .hint("remove the bundles that nobody needs, or publish the commit anew"));
    }
    let read = referrers.iter().map(|referrer| read_bundle(registry, repository, referrer, keys));
    let mut collected = Collected::default();
    for outcome in try_join_all(read).await? {
        match outcome {
            Reading::Run(run) => collected.runs.push(*run),
            Reading::Ignored(reason) => collected.ignored.push(reason),
        }
    }
    Ok(collected)
}

enum Reading {
    Run(Box<TestRun>),
    Ignored(String),
}

async fn read_bundle(
    registry: &Registry,
    repository: &Repository,
    referrer: &Descriptor,
    keys: &[TrustedKey],
) -> Result<Reading, Failure> {
    let digest = &referrer.digest;
    let ignored = |reason: String| Ok(Reading::Ignored(format!("{digest}: {reason}")));
    let manifest =
        registry.manifest(repository, &TagOrDigest::from(digest)).await.map_err(registry_failure)?;
    let Some(manifest) = manifest else { return ignored("it is listed but not there".to_owned()) };
    let layers = match manifest.parse() {
        Ok(manifest) => manifest.layers.clone(),
        Err(error) => return ignored(with_causes(&error)),
    };
    let [layer] = layers.as_slice() else {
        return ignored(format!("{} layers instead of one bundle", layers.len()));
    };
    if layer.size > bundle::MAX_BUNDLE_BYTES as u64 {
        return ignored(format!("a bundle of {} bytes", layer.size));
    }
    let bytes = match registry.blob(repository, layer, bundle::MAX_BUNDLE_BYTES as u64).await {
        Ok(bytes) => bytes,
        // A descriptor that lies about its size is whoever wrote it, not the way here.
        Err(error) if is_size(&error) => return ignored(with_causes(&error)),
        Err(error) => return Err(registry_failure(error)),
    };
    let opened = match bundle::open(&bytes, keys) {
        Ok(opened) => opened,
        Err(error) => return ignored(with_causes(&error)),
    };
    let result = match TestResult::from_statement(&opened.statement) {
        Ok(result) => result,
        Err(TestResultError::OtherPredicate { found }) => return ignored(format!("it speaks of {found}")),
        Err(error) => return ignored(with_causes(&error)),
    };
    let (key, run) = (opened.key, &result.run);
    if !key.covers(&run.environment) {
        return ignored(format!("key `{}` does not speak for environment `{}`", key.name, run.environment));
    }
    if !key.valid_at(run.finished_on) {
        return ignored(format!("key `{}` was not valid on {}", key.name, run.finished_on));
    }
    let (Ok(commit), Ok(set)) = (run.commit.parse(), run.set.parse()) else {
        return ignored(format!("it names no commit and set but `{}` and `{}`", run.commit, run.set));
    };
    let subjects =
        opened.statement.subjects.iter().filter_map(|subject| subject.sha256()?.parse().ok()).collect();
    Ok(Reading::Run(Box::new(TestRun {
        key: key.name.clone(),
        bundle: digest.clone(),
        subjects,
        result: match result.result {
            test_result::Outcome::Passed => TestOutcome::Passed,
            test_result::Outcome::Warned => TestOutcome::Warned,
            test_result::Outcome::Failed => TestOutcome::Failed,
        },
        commit,
        set,
        environment: run.environment.clone(),
        finished_on: run.finished_on,
        passed: result.passed_tests.clone(),
        failed: result.failed_tests.clone(),
    })))
}

/// An error with everything below it, on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
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

/// Attaches a signed bundle, whose statement has this predicate type, to manifests of one repository;
/// returns the digests of the referrers.
///
/// # Errors
/// If the registry fails. What was attached before stays.
pub async fn attach_bundle(
    registry: &Registry,
    repository: &Repository,
    subjects: &[Descriptor],
    predicate_type: &str,
    bundle: Vec<u8>,
    now: Timestamp,
) -> Result<Vec<Digest>, Failure> {
    let layer = Descriptor::of(bundle::MEDIA_TYPE, &bundle);
    let annotations = BTreeMap::from([
        (CREATED.to_owned(), now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        (bundle::CONTENT_ANNOTATION.to_owned(), bundle::CONTENT_DSSE.to_owned()),
        (bundle::PREDICATE_TYPE_ANNOTATION.to_owned(), predicate_type.to_owned()),
    ]);
    let referrer = |subject: &Descriptor| {
        ArtifactManifest::new(bundle::MEDIA_TYPE)
            .with_layers(vec![layer.clone()])
            .with_subject(subject)
            .with_annotations(annotations.clone())
            .build()
    };
    let attach = async {
        let content = BlobSource::Bytes(Bytes::from(bundle));
        // Just signed, so nobody can have pushed it.
        let new = PushOptions { way: BlobWay::Upload, ..PushOptions::default() };
        tokio::try_join!(
            async { registry.push_empty(repository, false).await },
            async { registry.push_blob(repository, &layer, &content, &new).await.map(|_| ()) },
        )?;
        let attach = subjects.iter().map(|subject| {
            let manifest = referrer(subject);
            async move {
                registry.attach(repository, subject, &manifest).await?;
                Ok(manifest.digest().clone())
            }
        });
        try_join_all(attach).await
    };
    attach.await.map_err(registry_failure)
}
