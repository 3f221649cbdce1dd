//! Branches: which is the default one, where one points, whether it is protected.

use serde::Deserialize;

use crate::client::{Ask, Forge};
use crate::error::{ForgeError, Problem};
use crate::id::ObjectId;
use crate::name::{ForgeKind, is_ref_name};
use crate::protection::Protection;

/// A branch as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Its name, without `refs/heads/`.
    pub name: String,
    /// Its newest commit.
    pub head: ObjectId,
    /// Whether the forge protects it.
    pub protection: Protection,
}

#[derive(Deserialize)]
struct RepositoryAnswer {
    full_name: String,
    default_branch: String,
}

/// Both forges' branch; the head's id is called `id` by Gitea and `sha` by GitHub.
#[derive(Deserialize)]
struct BranchAnswer {
    name: String,
    commit: Head,
    protected: Option<bool>,
    #[serde(default)]
    effective_branch_protection_name: String,
}

#[derive(Deserialize)]
struct Head {
    #[serde(alias = "sha")]
    id: ObjectId,
}

impl Forge {
    /// The name of the default branch, whether or not it has a commit.
    ///
    /// # Errors
    /// If the forge does not say so, for whatever reason.
    pub async fn default_branch(&self) -> Result<String, ForgeError> {
        let ask = self.ask("asking for the default branch");
        let hidden = || ForgeError::Hidden {
            question: Box::new(ask.question.clone()),
            login: self.inner().login,
            needs: ask.question.needs,
        };
        let answer: RepositoryAnswer = self.json(&ask, self.below(&[], &[])).await?.ok_or_else(hidden)?;
        let asked = self.repository().to_string();
        // Under a name that was given up, forges answer about the repository that had it.
        if !answer.full_name.eq_ignore_ascii_case(&asked) {
            return Err(ask.question.another(asked, &answer.full_name));
        }
        match is_ref_name(&answer.default_branch) {
            true => Ok(answer.default_branch),
            false => {
                Err(ask.question.problem(Problem::Json { reason: "no default branch in it".to_owned() }))
            }
        }
    }

    /// A branch; `None` where there is none of this name.
    ///
    /// # Errors
    /// If the forge does not say so, for whatever reason.
    pub async fn branch(&self, name: &str) -> Result<Option<Branch>, ForgeError> {
        let ask = self.ask(format!("reading branch {name}"));
        let Some(answer) = self.branch_answer(&ask, name).await? else { return Ok(None) };
        let protection = match (answer.protected, self.kind()) {
            (None, _) => {
                Protection::Unknown { why: "the forge does not say whether it is protected".to_owned() }
            }
            (Some(false), ForgeKind::Gitea) => Protection::Unprotected,
            (Some(true), ForgeKind::Gitea) => {
                Protection::Protected(self.gitea_rules(&ask, &answer.effective_branch_protection_name).await?)
            }
            (Some(protected), ForgeKind::GitHub) => self.github_protection(&ask, name, protected).await?,
        };
        Ok(Some(Branch { name: answer.name, head: answer.commit.id, protection }))
    }

    /// The newest commit of a branch.
    pub(crate) async fn head(&self, ask: &Ask, name: &str) -> Result<Option<ObjectId>, ForgeError> {
        Ok(self.branch_answer(ask, name).await?.map(|answer| answer.commit.id))
    }

    async fn branch_answer(&self, ask: &Ask, name: &str) -> Result<Option<BranchAnswer>, ForgeError> {
        if !is_ref_name(name) {
            return Err(ForgeError::Argument { what: "branch", text: name.to_owned() });
        }
        let url = match self.kind() {
            // An encoded slash does not pass every proxy; Gitea takes it as it is.
            ForgeKind::Gitea => {
                let segments: Vec<&str> = std::iter::once("branches").chain(name.split('/')).collect();
                self.below(&segments, &[])
            }
            ForgeKind::GitHub => self.below(&["branches", name], &[]),
        };
        match self.json::<BranchAnswer>(ask, url).await? {
            // GitHub redirects from the old name of a renamed branch.
            Some(answer) if answer.name != name => Err(ask.question.another(name, &answer.name)),
            Some(answer) => Ok(Some(answer)),
            None => self.confirm_readable(ask).await.map(|()| None),
        }
    }
}
