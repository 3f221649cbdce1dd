//! registry-push: publishes a release candidate, one artifact or several under one version
//! (DESIGN §7).
//!
//! `settings` (text to types) → `source` and `members` (bytes to digests) → `plan` (pure: which
//! candidate) → `exec` (the order of writes) → `report`.

pub mod exec;
pub mod members;
pub mod plan;
pub mod report;
pub mod settings;
pub mod source;

use std::io::Read as _;

use granary_oci::Tag;
use granary_plugin::{COMMON, Ci, Context, Example, Failure, Group, Kind, Outcome, Plugin, REGISTRY, Reader};
use granary_release::CommitId;
use granary_suite::{Records, check_event, connect, http, pipeline_commit};
use jiff::Timestamp;

use crate::exec::Push;
use crate::members::{Elsewhere, Loader};
use crate::plan::Task;
use crate::settings::{Settings, extra_tag};
use crate::source::Provenance;

/// The plugin.
pub struct RegistryPush;

impl Plugin for RegistryPush {
    type Settings = Settings;

    const NAME: &'static str = "registry-push";
    const ABOUT: &'static str = "Publishes images and other artifacts as a release candidate.";
    const GROUPS: &'static [&'static Group] = &[&settings::OWN, &REGISTRY, &COMMON];
    const EXAMPLES: &'static [Example] = &[
        Example {
            purpose: "publish an OCI layout",
            command: "registry-push --registry registry.example.test --repo acme/app --source oci:build/app --commit 3f2a91c… --branch main --rc-number 7",
        },
        Example {
            purpose: "publish three images that buildx has pushed, as one set",
            command: "registry-push --registry registry.example.test --repo 'acme/{name}' --source 'image:registry.example.test/build/{name}:ci-7' --names api,web,worker --commit 3f2a91c… --branch main --rc-number 7",
        },
    ];

    fn resolve(reader: &mut Reader<'_>, ci: &Ci) -> Option<Settings> {
        settings::resolve(reader, ci)
    }

    async fn run(settings: Settings, context: &Context) -> Result<Outcome, Failure> {
        check_event(&context.ci, "publish")?;
        if let Task::Skip(reason) = &settings.task {
            context.output.info(format_args!("skipped: {reason}"));
            return Ok(Outcome::Skipped);
        }
        let commit = commit(&settings, context)?;
        context.record(|facts| facts.commit = Some(commit.to_string()));
        let http = http(context)?;
        let registry = connect(&settings.registry, context, &http, settings.concurrency)?;
        let names: Vec<String> = settings.sources.iter().map(|source| source.name.clone()).collect();
        let repositories = settings.registry.repo.repositories(&names).map_err(|error| {
            Failure::new(Kind::Settings, "`repo` cannot be used with these names").caused_by(error)
        })?;
        let records = Records::new(registry.clone(), repositories[0].clone());
        let scratch = tempfile::tempdir().map_err(|error| {
            Failure::new(Kind::BadInput, "there is no folder for temporary files")
                .caused_by(error)
                .hint("mount one at /tmp, or set TMPDIR")
        })?;
        let provenance = provenance(context, &settings, &commit);
        let elsewhere = Elsewhere::new(context, &http, settings.concurrency);
        let loader = Loader {
            context,
            settings: &settings,
            registry: &registry,
            elsewhere: &elsewhere,
            provenance,
            repositories,
        };
        loader.announce();
        let extra_tags = extra_tags(&settings)?;
        let push = Push {
            context,
            settings: &settings,
            registry: &registry,
            elsewhere: &elsewhere,
            records: &records,
            loader,
            commit,
            extra_tags,
        };
        push.run(scratch.path()).await
    }
}

/// The commit that is published. A tag object's id is not one, and what is published under it would
/// never be found again.
fn commit(settings: &Settings, context: &Context) -> Result<CommitId, Failure> {
    if let Some(commit) = &settings.commit {
        return Ok(commit.clone());
    }
    match pipeline_commit(&context.ci, &context.workspace)? {
        Some(commit) if commit.certain => Ok(commit.id),
        Some(commit) => Err(Failure::new(
            Kind::BadInput,
            format!("cannot tell whether {} is a commit or an annotated tag", commit.id),
        )
        .hint("let the pipeline's clone step run: the tag object is then in the workspace")),
        None => Err(Failure::new(Kind::Settings, "there is no CI_COMMIT_SHA")
            .hint("Woodpecker sets it; by hand set `commit`, and do not set CI")),
    }
}

/// Bytes of a `tags_file`: some hundred tags of the greatest length.
const MOST_TAGS_BYTES: u64 = 64 * 1024;

/// Why a `tags_file` cannot be used.
#[derive(Debug, thiserror::Error)]
enum BadTagsFile {
    #[error("it cannot be read")]
    Read(#[source] std::io::Error),
    #[error("it is larger than {MOST_TAGS_BYTES} bytes")]
    TooLarge,
    #[error("{0}")]
    Tag(String),
}

/// `tags` and what `tags_file` has.
fn extra_tags(settings: &Settings) -> Result<Vec<Tag>, Failure> {
    let mut tags = settings.tags.clone();
    let Some(file) = &settings.tags_file else { return Ok(tags) };
    let unusable = |cause: BadTagsFile| {
        Failure::new(Kind::Settings, format!("`tags_file` {} cannot be used", file.display()))
            .caused_by(cause)
            .hint("an earlier step writes it into the workspace: tags separated by commas or lines")
    };
    let mut text = String::new();
    // Looked at before it is opened: opening a named pipe waits for a writer.
    let open = |path: &std::path::Path| match std::fs::metadata(path)?.is_file() {
        true => std::fs::File::open(path),
        false => Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a regular file")),
    };
    let read = open(file)
        .and_then(|file| file.take(MOST_TAGS_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| unusable(BadTagsFile::Read(error)))?;
    if read as u64 > MOST_TAGS_BYTES {
        return Err(unusable(BadTagsFile::TooLarge));
    }
    for word in text.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty()) {
        let tag = extra_tag(word).map_err(|reason| unusable(BadTagsFile::Tag(reason)))?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(tags)
}

/// What artifacts that are made here say of their origin. Part of their digest, so nothing in it may
/// come from the clock: a rerun must give the same bytes.
fn provenance(context: &Context, settings: &Settings, commit: &CommitId) -> Provenance {
    let ci = &context.ci;
    let name = ci.branch.as_deref().or(ci.tag.as_deref()).or(settings.branch.as_deref()).unwrap_or("HEAD");
    let seconds = ["CI_COMMIT_TIMESTAMP", "SOURCE_DATE_EPOCH"]
        .iter()
        .find_map(|variable| context.env.get(variable)?.parse::<i64>().ok());
    let created =
        seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(Timestamp::UNIX_EPOCH);
    Provenance {
        source_url: ci.clone_url.clone().unwrap_or_else(|| settings.registry.repo.to_string()),
        revision: format!("{name}@sha1:{commit}"),
        created: created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }
}
