//! How a branch is protected, and Gitea's rules for it.

use serde::Deserialize;

use crate::client::{Ask, Forge};
use crate::error::ForgeError;

/// Whether a branch is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// No rule of the forge covers it: whoever may write may rewrite it.
    Unprotected,
    /// At least one does.
    Protected(Rules),
    /// The forge did not say.
    Unknown {
        /// Why, for people.
        why: String,
    },
}

/// The rules of a protected branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rules {
    /// These hold.
    Known(BranchRules),
    /// This login may not see them: forges show them to administrators of the repository only.
    Hidden {
        /// What it would need, for people.
        why: String,
    },
}

/// What may happen to a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchRules {
    /// The rule's name or pattern; empty where the forge has none.
    pub name: String,
    /// Who may push to it, past any review.
    pub push: Who,
    /// Who may replace its history.
    pub force_push: Who,
    /// Approvals that a pull request needs.
    pub approvals: u64,
    /// Whether administrators are bound, too.
    pub binds_administrators: bool,
    /// Patterns of files that whoever may write may change all the same (Gitea).
    pub exempt_files: Vec<String>,
}

/// Who may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Nobody.
    Nobody,
    /// These: `user x`, `team y`, `app z`, `deploy keys`.
    Listed(Vec<String>),
    /// Everybody who may write to the repository.
    Writers,
}

impl Who {
    /// The fewer of both; of two lists, what both name.
    pub(crate) fn and(self, other: Who) -> Who {
        match (self, other) {
            (Who::Nobody, _) | (_, Who::Nobody) => Who::Nobody,
            (Who::Writers, other) | (other, Who::Writers) => other,
            (Who::Listed(one), Who::Listed(other)) => {
                Who::listed(one.into_iter().filter(|name| other.contains(name)).collect())
            }
        }
    }

    pub(crate) fn listed(names: Vec<String>) -> Who {
        match names.is_empty() {
            true => Who::Nobody,
            false => Who::Listed(names),
        }
    }
}

/// Gitea's branch protection. Fields that decide have no default: where one is missing, nothing is known.
#[derive(Deserialize)]
struct GiteaRule {
    rule_name: String,
    enable_push: bool,
    enable_push_whitelist: bool,
    push_whitelist_usernames: Option<Vec<String>>,
    push_whitelist_teams: Option<Vec<String>>,
    push_whitelist_deploy_keys: bool,
    // Force pushes came with 1.23; before, nobody could.
    #[serde(default)]
    enable_force_push: bool,
    #[serde(default)]
    enable_force_push_allowlist: bool,
    force_push_allowlist_usernames: Option<Vec<String>>,
    force_push_allowlist_teams: Option<Vec<String>>,
    #[serde(default)]
    force_push_allowlist_deploy_keys: bool,
    required_approvals: u64,
    #[serde(default)]
    block_admin_merge_override: bool,
    #[serde(default)]
    unprotected_file_patterns: String,
}

impl Forge {
    /// Asks Gitea for the rule with this name, which it tells only those who may read it.
    pub(crate) async fn gitea_rules(&self, ask: &Ask, rule: &str) -> Result<Rules, ForgeError> {
        const WHY: &str = "Gitea shows them to administrators of the repository only";
        let hidden = || Rules::Hidden { why: WHY.to_owned() };
        if rule.is_empty() {
            return Ok(hidden());
        }
        let url = self.below(&["branch_protections", rule], &[]);
        match self.json::<GiteaRule>(ask, url).await {
            Ok(Some(rule)) => Ok(Rules::Known(rule.into())),
            Ok(None) | Err(ForgeError::Forbidden { .. }) => Ok(hidden()),
            Err(error) => Err(error),
        }
    }
}

impl From<GiteaRule> for BranchRules {
    fn from(rule: GiteaRule) -> Self {
        let named = |users: Option<Vec<String>>, teams: Option<Vec<String>>, keys: bool| {
            let users = users.into_iter().flatten().map(|name| format!("user {name}"));
            let teams = teams.into_iter().flatten().map(|name| format!("team {name}"));
            Who::listed(users.chain(teams).chain(keys.then(|| "deploy keys".to_owned())).collect())
        };
        let push = match (rule.enable_push, rule.enable_push_whitelist) {
            (false, _) => Who::Nobody,
            (true, false) => Who::Writers,
            (true, true) => named(
                rule.push_whitelist_usernames,
                rule.push_whitelist_teams,
                rule.push_whitelist_deploy_keys,
            ),
        };
        let force_push = match (rule.enable_force_push, rule.enable_force_push_allowlist) {
            (false, _) => Who::Nobody,
            (true, false) => push.clone(),
            (true, true) => named(
                rule.force_push_allowlist_usernames,
                rule.force_push_allowlist_teams,
                rule.force_push_allowlist_deploy_keys,
            ),
        };
        let patterns =
            rule.unprotected_file_patterns.split(';').map(str::trim).filter(|text| !text.is_empty());
        BranchRules {
            name: rule.rule_name,
            push,
            force_push,
            approvals: rule.required_approvals,
            binds_administrators: rule.block_admin_merge_override,
            exempt_files: patterns.map(str::to_owned).collect(),
        }
    }
}
