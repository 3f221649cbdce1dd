//! The settings of registry-push: the table, and what their texts mean.

mod sources;

use std::path::PathBuf;

use granary_oci::{RegistryHost, Tag};
use granary_plugin::{Ci, Event, Form, Group, Reader, Setting};
use granary_release::{Bump, CommitId, Version, reserved};
use granary_suite::{RegistrySettings, RepositoryTemplate};

use crate::plan::{Numbering, RcNumber, Task, task};

pub use sources::{NamedSource, Place};

/// More connections than this make a registry slower, not faster.
const MOST_CONCURRENCY: u64 = 64;

/// The settings that only this plugin has.
pub const OWN: Group = Group {
    title: "registry-push",
    settings: &[
        Setting::new(
            "sources",
            Form::ListOrMap,
            "What to publish: `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, `dir:PATH` (a Flux-style artifact) or \
             `image:REF` (pushed already). Several as a list, or as a map from name to source.",
        ),
        Setting::new(
            "names",
            Form::List,
            "The names of the images, in the order of `sources`; fills `{name}` of one `image:` source.",
        )
        .default_told("the last part of each source's path"),
        Setting::new(
            "base_version",
            Form::Version,
            "The version that the candidate is for. Must lie above every stable version.",
        )
        .default_told("the highest stable version, raised by `bump`"),
        Setting::new("initial_version", Form::Version, "The version that the first candidate is for.")
            .default("0.1.0"),
        Setting::new(
            "stable_repo",
            Form::Text,
            "Where production is elsewhere: the repository that has the stable versions, as `host/path` if it is in another \
             registry; may contain `{name}`. The next version lies above those of both, this one and `repo`.",
        )
        .default_told("`repo` alone"),
        Setting::new(
            "bump",
            Form::Choice(&["patch", "minor", "major"]),
            "Which number of the highest stable version is raised.",
        )
        .default("patch"),
        Setting::new(
            "rc_number",
            Form::Text,
            "N in `X.Y.Z-rc.N`: a whole number from 1 on, or `sequence` for the next one that nobody has.",
        )
        .default_told("`CI_PIPELINE_NUMBER`"),
        Setting::new("tag_prefix", Form::Text, "What stands before the version in Git tags.").default("v"),
        Setting::new(
            "tags",
            Form::List,
            "Further tags for the candidate. Versions, `latest` and the suite's own names are refused: a candidate moves nothing but itself.",
        ),
        Setting::new("tags_file", Form::Text, "A file with further tags, separated by commas or lines."),
        Setting::new("concurrency", Form::Integer, "How many requests may be under way at once, 1 to 64.")
            .default("16"),
        // Not `Form::Commit`: that takes abbreviations, and nothing can be found under one.
        Setting::new("commit", Form::Text, "By hand only: the commit that was built, all 40 hex digits.")
            .default_told("`CI_COMMIT_SHA`"),
        Setting::new("branch", Form::Text, "By hand only: the branch that the commit was built from.")
            .default_told("`CI_COMMIT_BRANCH`"),
    ],
};

/// What a run of registry-push was asked to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The registry and the repositories.
    pub registry: RegistrySettings,
    /// What to publish, the lead first.
    pub sources: Vec<NamedSource>,
    /// What the event asks for.
    pub task: Task,
    /// How a new candidate is numbered.
    pub numbering: Numbering,
    /// Where stable versions are besides the lead's repository.
    pub stable_repo: Option<StableRepo>,
    /// Further tags.
    pub tags: Vec<Tag>,
    /// A file with further tags.
    pub tags_file: Option<PathBuf>,
    /// Requests under way at once.
    pub concurrency: usize,
    /// By hand: what was built.
    pub commit: Option<CommitId>,
    /// By hand: from which branch.
    pub branch: Option<String>,
}

/// Where the stable versions are, if production is elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StableRepo {
    /// The registry: `registry`, or another one.
    pub host: RegistryHost,
    /// The repositories there.
    pub repo: RepositoryTemplate,
}

/// Reads the settings. Pure.
pub fn resolve(reader: &mut Reader<'_>, ci: &Ci) -> Option<Settings> {
    let registry = RegistrySettings::resolve(reader, ci);
    let tag_prefix = reader.text("tag_prefix").unwrap_or_default();
    let task = task(ci.event.as_ref(), ci.tag.as_deref(), &tag_prefix);
    let sources = sources::sources(reader, registry.as_ref());
    let numbering = numbering(reader, ci, &task);
    let stable_repo = stable_repo(reader, registry.as_ref());
    let tags = extra_tags(reader);
    let concurrency = concurrency(reader);
    let (commit, branch) = by_hand(reader, ci);
    Some(Settings {
        registry: registry?,
        sources: sources?,
        task,
        numbering: numbering?,
        stable_repo,
        tags,
        tags_file: reader.text("tags_file").map(PathBuf::from),
        concurrency: concurrency?,
        commit,
        branch,
    })
}

/// Requests under way at once, if the number makes sense.
fn concurrency(reader: &mut Reader<'_>) -> Option<usize> {
    let number = reader.integer("concurrency")?;
    if !(1..=MOST_CONCURRENCY).contains(&number) {
        reader.reject("concurrency", format!("out of range: `{number}`"), "1 to 64");
        return None;
    }
    usize::try_from(number).ok()
}

/// Parses `tags` and refuses those that a candidate must not move.
fn extra_tags(reader: &mut Reader<'_>) -> Vec<Tag> {
    let (good, bad): (Vec<_>, Vec<_>) =
        reader.list("tags").iter().map(|text| extra_tag(text)).partition(Result::is_ok);
    for reason in bad.into_iter().filter_map(Result::err) {
        reader.reject(
            "tags",
            reason,
            "tags that are neither versions nor names of the suite, such as `edge`",
        );
    }
    good.into_iter().flatten().collect()
}

/// A tag that may be given to a candidate besides its own.
///
/// # Errors
/// Says why not.
pub fn extra_tag(text: &str) -> Result<Tag, String> {
    let tag: Tag = text.parse().map_err(|error: granary_oci::ParseNameError| error.to_string())?;
    match reserved(&tag) {
        Some(reason) => Err(format!("tag `{tag}`: {reason}")),
        None => Ok(tag),
    }
}

fn numbering(reader: &mut Reader<'_>, ci: &Ci, task: &Task) -> Option<Numbering> {
    let base_version = version(reader, "base_version");
    let initial_version = version(reader, "initial_version");
    let bump = match reader.choice("bump") {
        Some("major") => Bump::Major,
        Some("minor") => Bump::Minor,
        _ => Bump::Patch,
    };
    Some(Numbering {
        base_version,
        initial_version: initial_version?,
        bump,
        rc_number: rc_number(reader, ci, task)?,
    })
}

fn version(reader: &mut Reader<'_>, name: &str) -> Option<Version> {
    let text = reader.version_like(name)?;
    text.parse()
        .map_err(|error: granary_release::ParseVersionError| {
            reader.reject(name, error.to_string(), "X.Y.Z in quotes");
        })
        .ok()
}

/// N, which is only needed where the event does not bring one along.
fn rc_number(reader: &mut Reader<'_>, ci: &Ci, task: &Task) -> Option<RcNumber> {
    const ACCEPTED: &str = "a whole number from 1 on, or `sequence`";
    let needed =
        matches!(task, Task::Next | Task::For(_)) && !ci.event.as_ref().is_some_and(Event::is_pull_request);
    match (reader.text("rc_number").as_deref().map(str::trim), ci.pipeline_number) {
        (Some("sequence"), _) => return Some(RcNumber::Sequence),
        (Some(text), _) => match text.parse() {
            Ok(number) if number > 0 => return Some(RcNumber::Given(number)),
            _ => reader.reject("rc_number", "not a number from 1 on", ACCEPTED),
        },
        (None, Some(number)) if number > 0 => return Some(RcNumber::Given(number)),
        (None, _) if !needed => return Some(RcNumber::Given(1)),
        (None, Some(_)) => reader.reject(
            "rc_number",
            "CI_PIPELINE_NUMBER is 0, as `woodpecker-cli exec` sets it, and every run would publish the same \
             candidate: set PLUGIN_RC_NUMBER or --rc-number",
            ACCEPTED,
        ),
        (None, None) => reader.reject(
            "rc_number",
            "required without a CI_PIPELINE_NUMBER, set PLUGIN_RC_NUMBER or --rc-number",
            ACCEPTED,
        ),
    }
    None
}

/// `stable_repo`: a repository of `registry`, or `host[:port]/path`. A first part with a dot or colon is a
/// host, as in every reference that Docker reads.
fn stable_repo(reader: &mut Reader<'_>, registry: Option<&RegistrySettings>) -> Option<StableRepo> {
    const ACCEPTED: &str = "a repository of `registry`, or `host/path` in another one, without credentials";
    let text = reader.text("stable_repo")?;
    let ours = &registry?.host;
    if text.contains('@') {
        reader.reject("stable_repo", "it contains `@`", ACCEPTED);
        return None;
    }
    let host = match text.split_once('/') {
        Some((host, _)) if host.eq_ignore_ascii_case(ours.as_str()) => Ok(ours.clone()),
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host.parse(),
        _ => Ok(ours.clone()),
    };
    let parsed = host.map_err(|error: granary_oci::ParseNameError| error.to_string()).and_then(|host| {
        let repo = RepositoryTemplate::parse(&text, &host).map_err(|error| error.to_string())?;
        Ok(StableRepo { host, repo })
    });
    parsed.map_err(|reason| reader.reject("stable_repo", reason, ACCEPTED)).ok()
}

/// Commit and branch by hand. In a pipeline the commit is the pipeline's: bytes are never published
/// under the name of another one.
fn by_hand(reader: &mut Reader<'_>, ci: &Ci) -> (Option<CommitId>, Option<String>) {
    if ci.is_woodpecker() {
        for name in ["commit", "branch"] {
            if reader.is_set(name) {
                reader.reject(
                    name,
                    "a pipeline publishes its own commit",
                    "nothing; this setting is for runs by hand",
                );
            }
        }
        return (None, None);
    }
    const FULL: &str = "all 40 hex digits, in quotes";
    let commit = match (reader.is_set("commit"), reader.text("commit")) {
        (false, _) => {
            reader.reject("commit", "required by hand, set PLUGIN_COMMIT or --commit", FULL);
            None
        }
        (true, text) => text.and_then(|text| {
            text.to_ascii_lowercase()
                .parse::<CommitId>()
                .map_err(|error| reader.reject("commit", error.to_string(), FULL))
                .ok()
        }),
    };
    (commit, reader.text("branch"))
}

#[cfg(test)]
mod tests;
