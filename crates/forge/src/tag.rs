//! Tags, and the commits that they mean.

use granary_net::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Ask, Forge};
use crate::error::{ForgeError, Problem};
use crate::id::ObjectId;
use crate::name::{ForgeKind, is_ref_name};

/// Tags of tags that are followed; the workspace's own reader has the same bound.
pub const MAX_NESTED_TAGS: usize = 5;

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name, without `refs/tags/`.
    pub name: String,
    /// What it points to: a tag object where it is annotated or signed, else the commit. On Gitea this is
    /// what `CI_COMMIT_SHA` of a tag event names.
    pub object: ObjectId,
    /// The commit that it means.
    pub commit: ObjectId,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "ref")]
    name: String,
    object: Target,
}

#[derive(Clone, Deserialize)]
struct Target {
    #[serde(rename = "type")]
    kind: String,
    sha: ObjectId,
}

#[derive(Deserialize)]
struct TagAnswer {
    sha: ObjectId,
    object: Target,
}

impl Forge {
    /// A tag; `None` where there is none of this name.
    ///
    /// # Errors
    /// If it leads to no commit, or if the forge does not say, for whatever reason.
    pub async fn tag(&self, name: &str) -> Result<Option<Tag>, ForgeError> {
        if !is_ref_name(name) {
            return Err(ForgeError::Argument { what: "tag", text: name.to_owned() });
        }
        let ask = self.ask(format!("reading tag {name}"));
        let below = match self.kind() {
            ForgeKind::Gitea => "refs",
            ForgeKind::GitHub => "ref",
        };
        let segments: Vec<&str> = ["git", below, "tags"].into_iter().chain(name.split('/')).collect();
        let Some(answer) = self.json::<Value>(&ask, self.below(&segments, &[])).await? else {
            return self.confirm_readable(&ask).await.map(|()| None);
        };
        // Gitea gives every reference that begins like this one, GitHub (and Gitea once) this one alone.
        let references = match answer {
            Value::Array(references) => references,
            one => vec![one],
        };
        let wanted = format!("refs/tags/{name}");
        for reference in references {
            let reference: Reference = serde_json::from_value(reference)
                .map_err(|_| ask.question.problem(Problem::Json { reason: "not a reference".to_owned() }))?;
            if reference.name == wanted {
                let commit = self.followed(&ask, reference.object.clone()).await?;
                return Ok(Some(Tag { name: name.to_owned(), object: reference.object.sha, commit }));
            }
        }
        Ok(None)
    }

    /// The commit that an id means: itself where it is one, what it leads to where it is a tag object;
    /// `None` where the forge has neither.
    ///
    /// # Errors
    /// If it is a tag of a file, a folder or too many tags, or if the forge does not say so.
    pub async fn peel(&self, id: &ObjectId) -> Result<Option<ObjectId>, ForgeError> {
        let ask = self.ask(format!("asking which commit {id} means"));
        match self.look_up(&ask, id.as_str()).await? {
            Some(found) if found.sha == *id => Ok(Some(found.sha)),
            // Gitea has followed the tag itself; its tags must agree.
            Some(found) => match self.tag_object(&ask, id).await? {
                Some(target) if target.kind == "commit" && target.sha == found.sha => Ok(Some(found.sha)),
                Some(target) => Err(ask
                    .question
                    .another(format!("tag {id}"), format!("{} and {}", found.sha, target.sha))),
                None => Err(ask.question.problem(Problem::Vanished { what: format!("tag object {id}") })),
            },
            None => match self.tag_object(&ask, id).await? {
                Some(target) => self.followed(&ask, target).await.map(Some),
                None => Ok(None),
            },
        }
    }

    /// The commit at the end of a chain of tags.
    async fn followed(&self, ask: &Ask, target: Target) -> Result<ObjectId, ForgeError> {
        let mut target = target;
        for _ in 0..=MAX_NESTED_TAGS {
            match target.kind.as_str() {
                "commit" => return Ok(target.sha),
                "tag" => {
                    let next = self.tag_object(ask, &target.sha).await?;
                    let what = format!("tag object {} that leads to a commit", target.sha);
                    target = next.ok_or_else(|| ask.question.problem(Problem::Vanished { what }))?;
                }
                other => {
                    let kind: String = other.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
                    let reason = format!("it is a tag of a {kind}");
                    return Err(ask.question.problem(Problem::NoCommit { reason }));
                }
            }
        }
        let reason = format!("more than {MAX_NESTED_TAGS} tags of tags");
        Err(ask.question.problem(Problem::NoCommit { reason }))
    }

    /// What a tag object points to. Gitea follows tags of tags by itself, and answers 400 to ids of anything
    /// else, of nothing, and of tags that lead to no commit.
    async fn tag_object(&self, ask: &Ask, id: &ObjectId) -> Result<Option<Target>, ForgeError> {
        let answer =
            self.get(ask, self.below(&["git", "tags", id.as_str()], &[]), "application/json").await?;
        match (answer.status, self.kind()) {
            (StatusCode::OK, _) => {
                let found: TagAnswer = self.parse(ask, &answer)?;
                match found.sha == *id {
                    true => Ok(Some(found.object)),
                    false => Err(ask.question.another(format!("tag {id}"), format!("tag {}", found.sha))),
                }
            }
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (StatusCode::BAD_REQUEST, ForgeKind::Gitea) | (StatusCode::CONFLICT, ForgeKind::GitHub) => {
                Ok(None)
            }
            _ => Err(self.unexpected(ask, &answer)),
        }
    }
}
