//! Commits, and whether one is reachable from another.

use granary_net::StatusCode;
use serde::Deserialize;

use crate::client::{Ask, Forge};
use crate::error::ForgeError;
use crate::id::ObjectId;
use crate::name::ForgeKind;

/// Fewest digits of an abbreviation.
const SHORTEST_ABBREVIATION: usize = 7;

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: ObjectId,
    /// What it came from: none for a root, two or more for a merge.
    pub parents: Vec<ObjectId>,
    /// Its message.
    pub message: String,
}

/// Whether a commit is part of a branch's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// It is.
    Yes,
    /// It is not, or the forge has no such commit.
    No,
    /// The forge's answers do not decide it.
    Unknown {
        /// Why, for people.
        why: String,
    },
}

/// Both forges' commit object.
#[derive(Deserialize)]
pub(crate) struct CommitAnswer {
    pub(crate) sha: ObjectId,
    parents: Option<Vec<Named>>,
    // GitHub has both here, Gitea below `commit`.
    message: Option<String>,
    tree: Option<Named>,
    commit: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    message: String,
}

#[derive(Clone, Deserialize)]
struct Named {
    sha: ObjectId,
}

#[derive(Deserialize)]
struct Comparison {
    status: String,
    base_commit: Named,
    merge_base_commit: Named,
}

impl CommitAnswer {
    /// The id of its tree (GitHub). GitHub also takes the commit's own where this is missing.
    pub(crate) fn tree(&self) -> ObjectId {
        self.tree.as_ref().map_or_else(|| self.sha.clone(), |tree| tree.sha.clone())
    }
}

impl From<CommitAnswer> for Commit {
    fn from(answer: CommitAnswer) -> Self {
        let message = answer.commit.map(|inner| inner.message).or(answer.message).unwrap_or_default();
        let parents = answer.parents.unwrap_or_default().into_iter().map(|parent| parent.sha).collect();
        Commit { id: answer.sha, parents, message }
    }
}

impl Forge {
    /// A commit; `None` where the forge has none of this id, be it that a tag object has it.
    ///
    /// # Errors
    /// If the forge does not say so, for whatever reason.
    pub async fn commit(&self, id: &ObjectId) -> Result<Option<Commit>, ForgeError> {
        let ask = self.ask(format!("reading commit {id}"));
        let found = self.look_up(&ask, id.as_str()).await?;
        Ok(found.filter(|found| found.sha == *id).map(Commit::from))
    }

    /// The commit whose id begins with these 7 to 40 digits; `None` where there is none, or several.
    ///
    /// # Errors
    /// If it is no abbreviation, if a branch or tag of this name leads to another commit, or if the forge
    /// does not say, for whatever reason.
    pub async fn find_commit(&self, abbreviation: &str) -> Result<Option<Commit>, ForgeError> {
        let digits = abbreviation.to_ascii_lowercase();
        let usable = (SHORTEST_ABBREVIATION..=40).contains(&digits.len());
        if !usable || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ForgeError::Argument { what: "abbreviation", text: abbreviation.to_owned() });
        }
        let ask = self.ask(format!("looking for commit {digits}"));
        let found = match self.kind() {
            ForgeKind::Gitea => self.look_up(&ask, &digits).await?,
            ForgeKind::GitHub => match self.github_full_id(&ask, &digits).await? {
                Some(id) => self.look_up(&ask, id.as_str()).await?,
                None => None,
            },
        };
        match found {
            Some(found) if !found.sha.as_str().starts_with(&digits) => {
                Err(ask.question.another(format!("commit {digits}"), format!("commit {}", found.sha)))
            }
            found => Ok(found.map(Commit::from)),
        }
    }

    /// Whether `commit` is `head` or one of its ancestors. Give the head that [`Self::branch`] told.
    ///
    /// # Errors
    /// If the forge does not say, for whatever reason.
    pub async fn is_ancestor(&self, commit: &ObjectId, head: &ObjectId) -> Result<Reachability, ForgeError> {
        if commit == head {
            return Ok(Reachability::Yes);
        }
        let ask = self.ask(format!("asking whether {head} has {commit} in its history"));
        match self.look_up(&ask, commit.as_str()).await? {
            None => return Ok(Reachability::No),
            Some(found) if found.sha != *commit => {
                return Ok(Reachability::Unknown {
                    why: format!("{commit} is not a commit but a tag of one"),
                });
            }
            Some(_) => {}
        }
        match self.kind() {
            ForgeKind::Gitea => self.gitea_ancestor(&ask, commit, head).await,
            ForgeKind::GitHub => self.github_ancestor(&ask, commit, head).await,
        }
    }

    /// What a forge has under an id. Gitea follows a tag object to its commit: the answer's id is then
    /// another. It also takes names, so nothing but hex digits may come here.
    pub(crate) async fn look_up(&self, ask: &Ask, id: &str) -> Result<Option<CommitAnswer>, ForgeError> {
        let query = match self.kind() {
            ForgeKind::Gitea => &[("stat", "false"), ("verification", "false"), ("files", "false")][..],
            ForgeKind::GitHub => &[],
        };
        match self.json(ask, self.below(&["git", "commits", id], query)).await? {
            None => self.confirm_readable(ask).await.map(|()| None),
            found => Ok(found),
        }
    }

    /// The commits of `commit` that `head` has not: none if it is an ancestor.
    ///
    /// # Design
    /// Gitea's `compare` looks for branches and tags before commits, so that a branch named like a bad commit
    /// and pointing to a good one makes the bad one an ancestor (seen on 1.26.1). `commits?sha=&not=` takes
    /// ids as ids. Should a version look for names there, too, the first commit of the list gives it away,
    /// which is why "yes" is asked for twice. A server too old for `not` says "no".
    async fn gitea_ancestor(
        &self,
        ask: &Ask,
        commit: &ObjectId,
        head: &ObjectId,
    ) -> Result<Reachability, ForgeError> {
        let first = async |not: Option<&ObjectId>| {
            let mut query = vec![("sha", commit.as_str()), ("limit", "1"), ("page", "1")];
            query.extend([("stat", "false"), ("verification", "false"), ("files", "false")]);
            query.extend(not.map(|id| ("not", id.as_str())));
            self.json::<Vec<Named>>(ask, self.below(&["commits"], &query)).await
        };
        let unknown = |why: &str| Ok(Reachability::Unknown { why: why.to_owned() });
        let named = || unknown("the forge takes the commit's id for a branch or tag of that name");
        match first(Some(head)).await?.as_deref() {
            None => unknown("the forge has the commit and no history of it"),
            Some([newest, ..]) if newest.sha == *commit => Ok(Reachability::No),
            Some([_, ..]) => named(),
            Some([]) => match first(None).await?.as_deref() {
                Some([newest, ..]) if newest.sha == *commit => Ok(Reachability::Yes),
                _ => named(),
            },
        }
    }

    async fn github_ancestor(
        &self,
        ask: &Ask,
        commit: &ObjectId,
        head: &ObjectId,
    ) -> Result<Reachability, ForgeError> {
        let url = self.below(&["compare", &format!("{head}...{commit}")], &[("per_page", "1")]);
        let unknown = |why: &str| Ok(Reachability::Unknown { why: why.to_owned() });
        // 404 for two histories without a common commit, and for a head that is gone.
        let Some(found) = self.json::<Comparison>(ask, url).await? else {
            return match self.look_up(ask, head.as_str()).await? {
                Some(_) => Ok(Reachability::No),
                None => unknown("the forge does not have the branch's head any more"),
            };
        };
        match found.status.as_str() {
            _ if found.base_commit.sha != *head => unknown("the forge compared another commit"),
            "behind" | "identical" if found.merge_base_commit.sha == *commit => Ok(Reachability::Yes),
            "ahead" | "diverged" if found.merge_base_commit.sha != *commit => Ok(Reachability::No),
            _ => unknown("the forge's comparison contradicts itself"),
        }
    }

    /// The full id, as plain text: the commit itself would come with all its files.
    async fn github_full_id(&self, ask: &Ask, digits: &str) -> Result<Option<ObjectId>, ForgeError> {
        let answer =
            self.get(ask, self.below(&["commits", digits], &[]), "application/vnd.github.sha").await?;
        match answer.status {
            StatusCode::OK => match String::from_utf8_lossy(&answer.body).trim().parse() {
                Ok(id) => Ok(Some(id)),
                Err(_) => Err(self.unexpected(ask, &answer)),
            },
            // 422: no commit, or several.
            StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT => {
                self.confirm_readable(ask).await.map(|()| None)
            }
            _ => Err(self.unexpected(ask, &answer)),
        }
    }
}
