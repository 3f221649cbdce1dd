//! What the pipeline says about itself, as far as it can be believed (DESIGN §4.11, §7).
//!
//! Woodpecker exports only non-empty values, and parameters of a restart become environment wherever
//! Woodpecker itself sets nothing. So whatever is *not always set* is cross-checked against what is:
//! a tag counts because the ref names it, a deploy target only on a deployment. What fails its check is
//! dropped with a warning, never used.

use crate::environment::Env;

/// Every `CI_*` name that is read here.
mod name {
    pub(super) const CI: &str = "CI";
    pub(super) const EVENT: &str = "CI_PIPELINE_EVENT";
    pub(super) const NUMBER: &str = "CI_PIPELINE_NUMBER";
    pub(super) const PARENT: &str = "CI_PIPELINE_PARENT";
    /// Absent on the first run; exists since Woodpecker 3.15.
    pub(super) const RERUNS: &str = "CI_PIPELINE_RERUNS";
    pub(super) const PIPELINE_URL: &str = "CI_PIPELINE_URL";
    pub(super) const PIPELINE_AUTHOR: &str = "CI_PIPELINE_AUTHOR";
    pub(super) const DEPLOY_TARGET: &str = "CI_PIPELINE_DEPLOY_TARGET";
    pub(super) const COMMIT_SHA: &str = "CI_COMMIT_SHA";
    pub(super) const COMMIT_REF: &str = "CI_COMMIT_REF";
    pub(super) const COMMIT_BRANCH: &str = "CI_COMMIT_BRANCH";
    pub(super) const COMMIT_TAG: &str = "CI_COMMIT_TAG";
    pub(super) const COMMIT_MESSAGE: &str = "CI_COMMIT_MESSAGE";
    pub(super) const REPO: &str = "CI_REPO";
    pub(super) const DEFAULT_BRANCH: &str = "CI_REPO_DEFAULT_BRANCH";
    pub(super) const CLONE_URL: &str = "CI_REPO_CLONE_URL";
    pub(super) const WORKSPACE: &str = "CI_WORKSPACE";
    pub(super) const FORGE_TYPE: &str = "CI_FORGE_TYPE";
    pub(super) const FORGE_URL: &str = "CI_FORGE_URL";
    pub(super) const SYSTEM_NAME: &str = "CI_SYSTEM_NAME";
}

/// What started the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A push to a branch.
    Push,
    /// A Git tag.
    Tag,
    /// A release made at the forge; its ref is a tag.
    Release,
    /// Somebody pressed the button, or called the API.
    Manual,
    /// A deployment of an earlier pipeline.
    Deployment,
    /// A schedule.
    Cron,
    /// A pull request was opened or changed.
    PullRequest,
    /// A pull request was closed.
    PullRequestClosed,
    /// A pull request's labels or the like were changed.
    PullRequestMetadata,
    /// One that this version does not know.
    Unknown(String),
}

impl Event {
    fn from_text(text: &str) -> Self {
        match text {
            "push" => Event::Push,
            "tag" => Event::Tag,
            "release" => Event::Release,
            "manual" => Event::Manual,
            "deployment" => Event::Deployment,
            "cron" => Event::Cron,
            "pull_request" => Event::PullRequest,
            "pull_request_closed" => Event::PullRequestClosed,
            "pull_request_metadata" => Event::PullRequestMetadata,
            other => Event::Unknown(other.to_owned()),
        }
    }

    /// The event's name in Woodpecker.
    pub fn name(&self) -> &str {
        match self {
            Event::Push => "push",
            Event::Tag => "tag",
            Event::Release => "release",
            Event::Manual => "manual",
            Event::Deployment => "deployment",
            Event::Cron => "cron",
            Event::PullRequest => "pull_request",
            Event::PullRequestClosed => "pull_request_closed",
            Event::PullRequestMetadata => "pull_request_metadata",
            Event::Unknown(other) => other,
        }
    }

    /// Whether this is one of the pull-request events, which neither publish nor promote (DESIGN §4.12).
    pub fn is_pull_request(&self) -> bool {
        matches!(self, Event::PullRequest | Event::PullRequestClosed | Event::PullRequestMetadata)
    }
}

/// Who started the pipeline, and whether that is known (DESIGN §4.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    /// The owner of the token or session that started a manual pipeline.
    Verified(String),
    /// A name that proves nothing: a restart or deployment carries the author of the pipeline it copies.
    Unverified(Option<String>),
}

/// The context of a pipeline step. Empty outside Woodpecker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ci {
    /// `None` outside Woodpecker.
    pub event: Option<Event>,
    /// 40 hex digits. On `tag` and `release` events Gitea gives the *tag object* of an annotated tag here:
    /// it has to be peeled before anything is looked up by it.
    pub commit_sha: Option<String>,
    /// Mostly `refs/…`; a bare branch name on manual runs before Woodpecker 3.18.
    pub commit_ref: Option<String>,
    /// The branch of the commit, on pull requests the target branch; `None` where the ref is a tag.
    pub branch: Option<String>,
    /// The tag that [`Self::commit_ref`] names.
    pub tag: Option<String>,
    /// The first words that the author, or Woodpecker itself, gave the pipeline.
    pub commit_message: Option<String>,
    /// `owner/name` at the forge, in the forge's own case.
    pub repo: Option<String>,
    /// The repository's default branch.
    pub default_branch: Option<String>,
    /// Where to clone from over HTTP.
    pub clone_url: Option<String>,
    /// Absent (`None`) and 0 (`woodpecker-cli exec`) are different things.
    pub pipeline_number: Option<u64>,
    /// The pipeline that this one restarts or deploys; 0 when none.
    pub pipeline_parent: Option<u64>,
    /// How often the pipeline was restarted; absent on a first run and before Woodpecker 3.15.
    pub reruns: Option<u64>,
    /// The page of the run.
    pub pipeline_url: Option<String>,
    /// Of a restart or deployment: the author of the pipeline that it copies. See [`Self::operator`].
    pub author: Option<String>,
    /// Only where the event is `deployment`.
    pub deploy_target: Option<String>,
    /// The folder that the steps share.
    pub workspace: Option<String>,
    /// `gitea`, `forgejo`, `github`, …
    pub forge_type: Option<String>,
    /// The forge's address.
    pub forge_url: Option<String>,
    /// The name of the CI system.
    pub system_name: Option<String>,
    in_woodpecker: bool,
    restarted: bool,
}

impl Ci {
    /// Reads the context, with a warning for each value that was dropped.
    pub fn read(env: &Env) -> (Ci, Vec<String>) {
        let mut warnings = Vec::new();
        let text = |name: &str| env.get(name).map(str::to_owned);
        let number = |name: &str| env.get(name).and_then(|value| value.parse::<u64>().ok());
        let event = env.get(name::EVENT).map(Event::from_text);
        let commit_ref = text(name::COMMIT_REF);
        let commit_sha = text(name::COMMIT_SHA).filter(|sha| {
            let valid = sha.len() == 40 && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !valid {
                warnings.push(format!("{} is ignored: not 40 hex digits", name::COMMIT_SHA));
            }
            valid
        });
        let tag = tag(env, commit_ref.as_deref(), &mut warnings);
        let branch = branch(env, commit_ref.as_deref(), &mut warnings);
        // A count that cannot be read was not written by Woodpecker; only a first run has none.
        let counted = |name: &str| env.get(name).is_some_and(|value| value.trim() != "0");
        let ci = Ci {
            deploy_target: text(name::DEPLOY_TARGET).filter(|_| event == Some(Event::Deployment)),
            event,
            commit_sha: commit_sha.map(|sha| sha.to_ascii_lowercase()),
            commit_ref,
            branch,
            tag,
            commit_message: text(name::COMMIT_MESSAGE),
            repo: text(name::REPO),
            default_branch: text(name::DEFAULT_BRANCH),
            clone_url: text(name::CLONE_URL),
            pipeline_number: number(name::NUMBER),
            pipeline_parent: number(name::PARENT),
            reruns: number(name::RERUNS).filter(|&reruns| reruns > 0),
            pipeline_url: text(name::PIPELINE_URL),
            author: text(name::PIPELINE_AUTHOR),
            workspace: text(name::WORKSPACE),
            forge_type: text(name::FORGE_TYPE),
            forge_url: text(name::FORGE_URL),
            system_name: text(name::SYSTEM_NAME),
            in_woodpecker: env.get(name::CI) == Some("woodpecker"),
            restarted: counted(name::PARENT) || counted(name::RERUNS),
        };
        (ci, warnings)
    }

    /// Whether this is a step of a pipeline, not a run by hand.
    pub fn is_woodpecker(&self) -> bool {
        self.in_woodpecker
    }

    /// Whether the pipeline has a parent or a rerun count: then its parameters may come from whoever
    /// restarted or deployed it, and settings that weaken a check need the policy's word.
    pub fn is_rerun_or_deployed(&self) -> bool {
        self.restarted
    }

    /// Who started this. Verified only for a manual pipeline that is its own, not a copy.
    pub fn operator(&self) -> Operator {
        let own = self.in_woodpecker && self.pipeline_parent == Some(0) && !self.restarted;
        match &self.author {
            Some(author) if own && self.event == Some(Event::Manual) => Operator::Verified(author.clone()),
            author => Operator::Unverified(author.clone()),
        }
    }

    /// The pipeline number under which the commit first appeared, for ordering candidates within one
    /// branch (DESIGN §7, registry-push).
    ///
    /// None by hand, on tags and releases, on pull requests, on a second rerun (its parent is itself a
    /// rerun), and where Woodpecker before 3.15 names a parent but no count: there the parent may be one.
    pub fn order_number(&self) -> Option<u64> {
        let orderless = matches!(&self.event, None | Some(Event::Tag | Event::Release)) || self.tag.is_some();
        if !self.in_woodpecker || orderless || self.event.as_ref().is_some_and(Event::is_pull_request) {
            return None;
        }
        let number = match (self.restarted, self.reruns) {
            (false, _) => self.pipeline_number,
            (true, Some(1)) => self.pipeline_parent,
            (true, _) => None,
        };
        number.filter(|&number| number > 0)
    }
}

/// The tag of the ref. `CI_COMMIT_TAG` alone is no proof: Woodpecker leaves it unset on branches.
fn tag(env: &Env, commit_ref: Option<&str>, warnings: &mut Vec<String>) -> Option<String> {
    let tag = commit_ref.and_then(|name| name.strip_prefix("refs/tags/")).filter(|tag| !tag.is_empty());
    if let Some(claimed) = env.get(name::COMMIT_TAG)
        && tag != Some(claimed)
    {
        warnings.push(format!(
            "{} is ignored: {} does not name that tag",
            name::COMMIT_TAG,
            name::COMMIT_REF
        ));
    }
    tag.map(str::to_owned)
}

/// The branch, which must be that of the ref where the ref names one. A pull request's ref names none.
fn branch(env: &Env, commit_ref: Option<&str>, warnings: &mut Vec<String>) -> Option<String> {
    let claimed = env.get(name::COMMIT_BRANCH);
    let believed = match commit_ref {
        Some(name) if name.starts_with("refs/heads/") => name.strip_prefix("refs/heads/"),
        Some(name) if name.starts_with("refs/tags/") => None,
        Some(name) if !name.starts_with("refs/") => Some(name),
        Some(_) => claimed,
        None => None,
    };
    if claimed.is_some() && claimed != believed {
        warnings.push(format!("{} is ignored: {} says otherwise", name::COMMIT_BRANCH, name::COMMIT_REF));
    }
    believed.map(str::to_owned)
}

#[cfg(test)]
mod tests;
