//! GitHub's two kinds of protection: the classic one of a branch, and rulesets.
//!
//! <https://docs.github.com/en/rest/branches/branch-protection>,
//! <https://docs.github.com/en/rest/repos/rules#get-rules-for-a-branch>.

use serde::Deserialize;

use crate::client::{Ask, Forge};
use crate::error::ForgeError;
use crate::protection::{BranchRules, Protection, Rules, Who};

/// The classic protection of a branch.
#[derive(Deserialize)]
struct Classic {
    allow_force_pushes: Switch,
    enforce_admins: Switch,
    required_pull_request_reviews: Option<Reviews>,
    restrictions: Option<Restrictions>,
}

#[derive(Deserialize)]
struct Switch {
    enabled: bool,
}

#[derive(Deserialize)]
struct Reviews {
    #[serde(default)]
    required_approving_review_count: u64,
}

#[derive(Deserialize)]
struct Restrictions {
    users: Vec<User>,
    teams: Vec<Slug>,
    apps: Vec<Slug>,
}

#[derive(Deserialize)]
struct User {
    login: String,
}

#[derive(Deserialize)]
struct Slug {
    slug: String,
}

/// A rule of some ruleset that is active for a branch.
#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    parameters: Option<Parameters>,
}

#[derive(Deserialize)]
struct Parameters {
    #[serde(default)]
    required_approving_review_count: u64,
}

impl Forge {
    /// What protects a branch of which GitHub says whether it is `protected`.
    pub(crate) async fn github_protection(
        &self,
        ask: &Ask,
        branch: &str,
        protected: bool,
    ) -> Result<Protection, ForgeError> {
        let url = self.below(&["rules", "branches", branch], &[("per_page", "100")]);
        let rules = match self.list::<Rule>(ask, url).await {
            Ok(rules) => rules,
            Err(ForgeError::Forbidden { .. }) => None,
            Err(error) => return Err(error),
        };
        let Some(rules) = rules else {
            let why = "this login may not read the repository's rules (it needs metadata: read)".to_owned();
            return Ok(match protected {
                true => Protection::Protected(Rules::Hidden { why }),
                false => Protection::Unknown { why },
            });
        };
        let by_rules = by_rulesets(&rules);
        if !protected {
            return Ok(
                by_rules.map_or(Protection::Unprotected, |rules| Protection::Protected(Rules::Known(rules)))
            );
        }
        let url = self.below(&["branches", branch, "protection"], &[]);
        let classic = match self.json::<Classic>(ask, url).await {
            Ok(classic) => classic.map(BranchRules::from),
            Err(ForgeError::Forbidden { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Protection::Protected(match (classic, by_rules) {
            (Some(classic), Some(by_rules)) => Rules::Known(classic.and(by_rules)),
            (Some(classic), None) => Rules::Known(classic),
            // 404 means "none" and "not for you" alike, so rulesets alone need not be the whole truth. They
            // can only be tightened by what is hidden.
            (None, Some(by_rules)) => Rules::Known(by_rules),
            (None, None) => {
                let why = "GitHub shows them to those with administration: read on the repository only";
                Rules::Hidden { why: why.to_owned() }
            }
        }))
    }
}

/// What the rulesets say, if they protect at all: rules about names or checks keep nobody from pushing.
/// Who may bypass them is not told to readers; GitHub lists only rules that hold for everybody else.
fn by_rulesets(rules: &[Rule]) -> Option<BranchRules> {
    let has = |kind: &str| rules.iter().any(|rule| rule.kind == kind);
    let closed = has("update") || has("pull_request");
    if !closed && !has("non_fast_forward") {
        return None;
    }
    let approvals = rules.iter().filter(|rule| rule.kind == "pull_request");
    let approvals = approvals.filter_map(|rule| rule.parameters.as_ref());
    let who = |nobody: bool| if nobody { Who::Nobody } else { Who::Writers };
    Some(BranchRules {
        name: "rulesets".to_owned(),
        push: who(closed),
        force_push: who(closed || has("non_fast_forward")),
        approvals: approvals.map(|parameters| parameters.required_approving_review_count).max().unwrap_or(0),
        binds_administrators: false,
        exempt_files: Vec::new(),
    })
}

impl BranchRules {
    fn and(self, other: BranchRules) -> BranchRules {
        BranchRules {
            name: format!("{} and {}", self.name, other.name),
            push: self.push.and(other.push),
            force_push: self.force_push.and(other.force_push),
            approvals: self.approvals.max(other.approvals),
            binds_administrators: self.binds_administrators || other.binds_administrators,
            exempt_files: Vec::new(),
        }
    }
}

impl From<Classic> for BranchRules {
    fn from(classic: Classic) -> Self {
        let listed = classic.restrictions.map(|who| {
            let users = who.users.into_iter().map(|user| format!("user {}", user.login));
            let teams = who.teams.into_iter().map(|team| format!("team {}", team.slug));
            let apps = who.apps.into_iter().map(|app| format!("app {}", app.slug));
            Who::listed(users.chain(teams).chain(apps).collect())
        });
        let allowed = listed.unwrap_or(Who::Writers);
        let reviews = classic.required_pull_request_reviews;
        BranchRules {
            name: "branch protection".to_owned(),
            // Where pull requests are required, the list says who may merge them.
            push: if reviews.is_some() { Who::Nobody } else { allowed.clone() },
            force_push: if classic.allow_force_pushes.enabled { allowed } else { Who::Nobody },
            approvals: reviews.map_or(0, |reviews| reviews.required_approving_review_count),
            binds_administrators: classic.enforce_admins.enabled,
            exempt_files: Vec::new(),
        }
    }
}
