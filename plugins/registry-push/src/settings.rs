//! The settings of registry-push: the table, and what their texts mean.

use std::path::PathBuf;

use granary_oci::{Reference, Tag};
use granary_plugin::{Ci, Event, Form, Group, Reader, Setting};
use granary_release::{Bump, CommitId, Version, reserved};
use granary_suite::{RegistrySettings, RepositoryTemplate};

use crate::plan::{Numbering, Task, task};
use crate::source::{LocalSource, SourceSpec, default_name};

/// Where `names` go in an `image:` source.
const PLACEHOLDER: &str = "{name}";

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
            "The repository that has the stable versions, where it is not `repo`; may contain `{name}`.",
        )
        .default_told("`repo`"),
        Setting::new(
            "bump",
            Form::Choice(&["patch", "minor", "major"]),
            "Which number of the highest stable version is raised.",
        )
        .default("patch"),
        Setting::new("rc_number", Form::Text, "N in `X.Y.Z-rc.N`, from 1 on.")
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
        Setting::new("commit", Form::Commit, "By hand only: the full id of the commit that was built.")
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
    /// Where the stable versions are, if not in the lead's repository.
    pub stable_repo: Option<RepositoryTemplate>,
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

/// A source with the name that its artifact has in the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSource {
    /// `[a-z0-9-]+`.
    pub name: String,
    /// Where the bytes are.
    pub place: Place,
}

/// Where the bytes of a source are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On disk.
    Local(LocalSource),
    /// In a registry.
    Image(Reference),
}

/// Reads the settings. Pure.
pub fn resolve(reader: &mut Reader<'_>, ci: &Ci) -> Option<Settings> {
    let registry = RegistrySettings::resolve(reader, ci);
    let tag_prefix = reader.text("tag_prefix").unwrap_or_default();
    let task = task(ci.event.as_ref(), ci.tag.as_deref(), &tag_prefix);
    let sources = sources(reader, registry.as_ref());
    let numbering = numbering(reader, ci, &task);
    let stable_repo = stable_repo(reader, registry.as_ref());
    let tags = extra_tags(reader);
    let concurrency = reader.integer("concurrency").unwrap_or_default();
    if !(1..=64).contains(&concurrency) {
        reader.reject("concurrency", "out of range", "1 to 64");
    }
    let (commit, branch) = by_hand(reader, ci);
    Some(Settings {
        registry: registry?,
        sources: sources?,
        task,
        numbering: numbering?,
        stable_repo,
        tags,
        tags_file: reader.text("tags_file").map(PathBuf::from),
        concurrency: usize::try_from(concurrency).unwrap_or(1),
        commit,
        branch,
    })
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
fn rc_number(reader: &mut Reader<'_>, ci: &Ci, task: &Task) -> Option<u64> {
    const ACCEPTED: &str = "a whole number from 1 on";
    let needed =
        matches!(task, Task::Next | Task::For(_)) && !ci.event.as_ref().is_some_and(Event::is_pull_request);
    match (reader.text("rc_number").as_deref().map(str::trim), ci.pipeline_number) {
        (Some("sequence"), _) => reader.reject("rc_number", "`sequence` is not built yet", ACCEPTED),
        (Some(text), _) => match text.parse() {
            Ok(number) if number > 0 => return Some(number),
            _ => reader.reject("rc_number", "not a number from 1 on", ACCEPTED),
        },
        (None, Some(number)) if number > 0 => return Some(number),
        (None, _) if !needed => return Some(1),
        (None, Some(_)) => reader.reject(
            "rc_number",
            "CI_PIPELINE_NUMBER is 0, as `woodpecker-cli exec` sets it: every run would publish the same candidate",
            ACCEPTED,
        ),
        (None, None) => reader.reject("rc_number", "there is no CI_PIPELINE_NUMBER", ACCEPTED),
    }
    None
}

fn stable_repo(reader: &mut Reader<'_>, registry: Option<&RegistrySettings>) -> Option<RepositoryTemplate> {
    let text = reader.text("stable_repo")?;
    RepositoryTemplate::parse(&text, &registry?.host)
        .map_err(|error| reader.reject("stable_repo", error.to_string(), "a repository of `registry`"))
        .ok()
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
    let commit = reader.commit_like("commit");
    let commit = reader.require("commit", commit);
    let full = commit.and_then(|text| {
        text.parse::<CommitId>()
            .map_err(|error| reader.reject("commit", error.to_string(), "all 40 hex digits"))
            .ok()
    });
    (full, reader.text("branch"))
}

/// The sources with their names, lead first.
fn sources(reader: &mut Reader<'_>, registry: Option<&RegistrySettings>) -> Option<Vec<NamedSource>> {
    let given = reader.list_or_map("sources");
    let names = reader.list("names");
    if given.is_empty() {
        reader.require::<()>("sources", None);
        return None;
    }
    let expanded = expand(reader, given, names)?;
    let mut sources = Vec::new();
    for (name, text) in expanded {
        sources.push(named(reader, name, &text, registry)?);
    }
    for (index, source) in sources.iter().enumerate() {
        if sources[..index].iter().any(|other| other.name == source.name) {
            reader.reject("names", format!("`{}` is there twice", source.name), "names that differ");
            return None;
        }
    }
    let registry = registry?;
    let names: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
    if let Err(error) = registry.repo.repositories(&names) {
        reader.reject("repo", error.to_string(), "a repository such as `acme/{name}`, in quotes");
    }
    if let Some(lead) = &registry.lead {
        match names.iter().position(|name| name == lead) {
            Some(index) => sources[..=index].rotate_right(1),
            None => reader.reject(
                "lead",
                format!("`{lead}` is none of {}", names.join(", ")),
                "the name of an image",
            ),
        }
    }
    Some(sources)
}

/// Puts names to sources: a map has them, a list takes them from `names`, one `image:…{name}…` is
/// repeated for each of `names`.
fn expand(
    reader: &mut Reader<'_>,
    given: Vec<(Option<String>, String)>,
    names: Vec<String>,
) -> Option<Vec<(Option<String>, String)>> {
    if names.is_empty() {
        return Some(given);
    }
    if given.iter().any(|(name, _)| name.is_some()) {
        reader.reject("names", "`sources` is a map and has names already", "one of the two");
        return None;
    }
    if let [(None, text)] = given.as_slice()
        && text.contains(PLACEHOLDER)
    {
        let each = |name: String| (Some(name.clone()), text.replace(PLACEHOLDER, &name));
        return Some(names.into_iter().map(each).collect());
    }
    if names.len() != given.len() {
        let reason = format!("{} names for {} sources", names.len(), given.len());
        reader.reject("names", reason, "as many names as sources");
        return None;
    }
    Some(names.into_iter().map(Some).zip(given.into_iter().map(|(_, text)| text)).collect())
}

fn named(
    reader: &mut Reader<'_>,
    name: Option<String>,
    text: &str,
    registry: Option<&RegistrySettings>,
) -> Option<NamedSource> {
    const FORM: &str = "`oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, `dir:PATH` or `image:REF`";
    if text.contains(PLACEHOLDER) {
        reader.reject(
            "names",
            format!("`{text}` has a {{name}} and there are no names for it"),
            "a list of names",
        );
        return None;
    }
    let spec: SourceSpec = text
        .parse()
        .map_err(|error: crate::source::ParseSourceError| reader.reject("sources", error.to_string(), FORM))
        .ok()?;
    let name = match name {
        Some(name) => name,
        // A single image needs no name of its own: its repository has one.
        None => match (default_name(&spec), registry) {
            (Ok(name), _) => name,
            (Err(_), Some(registry)) if !registry.repo.is_per_member() => registry.repo.last_part(),
            (Err(error), _) => {
                reader.reject("names", error.to_string(), "names of `a-z`, `0-9` and `-`");
                return None;
            }
        },
    };
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || !name.bytes().all(allowed) {
        reader.reject("names", format!("`{name}` is not a name"), "names of `a-z`, `0-9` and `-`");
        return None;
    }
    let place = match spec {
        SourceSpec::Local(local) => Place::Local(local),
        SourceSpec::Image(reference) => Place::Image(reference),
    };
    Some(NamedSource { name, place })
}
