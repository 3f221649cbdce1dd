//! Token scopes such as `repository:acme/app:pull,push`: pure.

use std::collections::BTreeSet;
use std::fmt;

use granary_oci::Repository;

/// What a token is asked for, or lets its bearer do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Scope {
    /// `repository:acme/app`.
    resource: String,
    actions: BTreeSet<String>,
}

impl Scope {
    /// Read access.
    pub(crate) fn pull(repository: &Repository) -> Self {
        Scope { resource: format!("repository:{repository}"), actions: BTreeSet::from(["pull".to_owned()]) }
    }

    /// Read and write access.
    pub(crate) fn pull_push(repository: &Repository) -> Self {
        let mut scope = Scope::pull(repository);
        scope.actions.insert("push".to_owned());
        scope
    }

    /// Reads a challenge's `scope`: several are separated by spaces. A text that names no resource,
    /// such as Gitea's `*`, gives nothing.
    pub(crate) fn parse_all(text: &str) -> Vec<Scope> {
        let parse = |text: &str| {
            let (resource, actions) = text.rsplit_once(':')?;
            let actions: BTreeSet<String> =
                actions.split(',').filter(|action| !action.is_empty()).map(str::to_owned).collect();
            let complete = resource.contains(':') && !actions.is_empty();
            complete.then(|| Scope { resource: resource.to_owned(), actions })
        };
        text.split_ascii_whitespace().filter_map(parse).collect()
    }

    /// Whether whoever has `held` needs no other token for `needed`.
    pub(crate) fn covers(held: &[Scope], needed: &[Scope]) -> bool {
        let covered = |need: &Scope| {
            held.iter().any(|have| have.resource == need.resource && need.actions.is_subset(&have.actions))
        };
        needed.iter().all(covered)
    }

    /// Adds `more` to `scopes`, keeping the order: some servers honour only the first scope that they
    /// are asked for, so the repository that is written to stays in front.
    pub(crate) fn merge(scopes: &mut Vec<Scope>, more: impl IntoIterator<Item = Scope>) {
        for scope in more {
            match scopes.iter_mut().find(|known| known.resource == scope.resource) {
                Some(known) => known.actions.extend(scope.actions),
                None => scopes.push(scope),
            }
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actions: Vec<&str> = self.actions.iter().map(String::as_str).collect();
        write!(formatter, "{}:{}", self.resource, actions.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Vec<Scope> {
        Scope::parse_all(text)
    }

    #[test]
    fn text_and_back() {
        let app: Repository = "acme/app".parse().unwrap();
        assert_eq!(Scope::pull_push(&app).to_string(), "repository:acme/app:pull,push");
        let table = [
            ("repository:acme/app:push,pull", "repository:acme/app:pull,push"),
            ("repository:h:5000/a:pull", "repository:h:5000/a:pull"),
            ("registry:catalog:* repository:a:pull", "registry:catalog:*|repository:a:pull"),
            ("*", ""),
            ("repository:a:", ""),
            ("", ""),
        ];
        for (given, expected) in table {
            let shown: Vec<String> = scopes(given).iter().map(Scope::to_string).collect();
            assert_eq!(shown.join("|"), expected, "{given}");
        }
    }

    #[test]
    fn a_wider_token_serves_narrower_needs() {
        let table = [
            ("repository:a:pull,push", "repository:a:pull", true),
            ("repository:a:pull", "repository:a:pull,push", false),
            ("repository:a:pull,push repository:b:pull", "repository:b:pull", true),
            ("repository:a:pull", "repository:b:pull", false),
            ("", "", true),
        ];
        for (held, needed, expected) in table {
            assert_eq!(Scope::covers(&scopes(held), &scopes(needed)), expected, "{held} / {needed}");
        }
    }

    #[test]
    fn merging_keeps_the_target_first() {
        let mut wanted = scopes("repository:z:push repository:a:pull");
        Scope::merge(&mut wanted, scopes("repository:a:pull,push repository:b:pull"));
        let shown: Vec<String> = wanted.iter().map(Scope::to_string).collect();
        assert_eq!(shown, ["repository:z:push", "repository:a:pull,push", "repository:b:pull"]);
    }
}
