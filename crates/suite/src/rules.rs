//! Files that hold rules: trusted keys today.

use std::path::{Component, Path, PathBuf};

use granary_git::check_committed;
use granary_plugin::{Context, Failure, Kind, Pem};

use crate::commit::pipeline_commit;
use crate::committed::path_in_workspace;

/// Where Woodpecker mounts the volume of a workflow.
const SHARED_VOLUME: &str = "/woodpecker";

/// The text of a rule that a setting gives as PEM text or as a path. A file in a pipeline's workspace
/// counts only where it is what the pipeline's commit has (DESIGN §4.12): the tests that ran before are
/// foreign code, and could have put a key of their own in its place.
///
/// # Errors
/// With exit code 2 where the file cannot be read, 10 where it was changed, 15 where there is no telling.
pub fn rule_text(context: &Context, setting: &str, pem: &Pem) -> Result<String, Failure> {
    let text = context.load(setting, pem)?.expose().to_owned();
    let Pem::Path(path) = pem else { return Ok(text) };
    if !context.ci.is_woodpecker() {
        return Ok(text);
    }
    // As it is written first: a link that an earlier step put in the file's place leads out of the
    // workspace, and what it leads to is not what the commit has there.
    let inside = written_in(&context.workspace, path).or_else(|| path_in_workspace(&context.workspace, path));
    match inside {
        Some(inside) => committed(context, setting, &inside, text.as_bytes())?,
        None if is_shared(path) => {
            let message = format!("refusing `{setting}` from {}, where every step can write", path.display());
            return Err(Failure::new(Kind::Undecidable, message)
                .hint(format!("give `{setting}` as PEM text, from a secret or in the YAML")));
        }
        None => {}
    }
    Ok(text)
}

/// The path from the top of the workspace as it is written, without looking at the file system.
fn written_in(workspace: &Path, path: &Path) -> Option<PathBuf> {
    let plain = |path: &Path| {
        let mut plain = PathBuf::new();
        for part in std::path::absolute(path).ok()?.components() {
            match part {
                Component::ParentDir => {
                    plain.pop();
                }
                part => plain.push(part),
            }
        }
        Some(plain)
    };
    // The working folder is a real path, while the workspace may be named through a link.
    let path = plain(path)?;
    let names = [plain(workspace), workspace.canonicalize().ok()];
    names.iter().flatten().find_map(|workspace| path.strip_prefix(workspace).ok().map(Path::to_owned))
}

/// Whether a file lies in the volume that all steps of a workflow share, whatever links lead there.
fn is_shared(path: &Path) -> bool {
    let real = path.canonicalize();
    [real.as_deref().unwrap_or(path), path].iter().any(|path| path.starts_with(SHARED_VOLUME))
}

fn committed(context: &Context, setting: &str, inside: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let hint = format!("give `{setting}` as PEM text, from a secret or in the YAML");
    let undecidable = |reason: &str| {
        Failure::new(
            Kind::Undecidable,
            format!(
                "refusing `{setting}`: no telling whether {} was changed by an earlier step{reason}",
                inside.display()
            ),
        )
    };
    let commit = pipeline_commit(&context.ci, &context.workspace)?.filter(|commit| commit.certain);
    let Some(commit) = commit else { return Err(undecidable(", since the commit is not known").hint(hint)) };
    match check_committed(&context.workspace, commit.id.as_str(), inside, bytes) {
        Ok(()) => Ok(()),
        Err(
            error @ (granary_git::CommittedError::Changed { .. }
            | granary_git::CommittedError::NotThere { .. }),
        ) => {
            let found = error.to_string();
            Err(Failure::new(Kind::Refused, format!("refusing `{setting}` from the workspace"))
                .caused_by(error)
                .hint(hint)
                .refusing("rules.committed", found, "the file as the pipeline's commit has it"))
        }
        Err(error) => Err(undecidable("").caused_by(error).hint(hint)),
    }
}

#[cfg(test)]
mod tests {
    use granary_plugin::{Ci, Common, Env};
    use granary_testkit::git::Repository;

    use super::*;

    fn context(workspace: &Path, commit: &str) -> Context {
        let env = Env::from_pairs([
            ("CI", "woodpecker"),
            ("CI_PIPELINE_EVENT", "push"),
            ("CI_COMMIT_SHA", commit),
            ("CI_COMMIT_REF", "refs/heads/main"),
        ]);
        let ci = Ci::read(&env).0;
        let mut context = Context::detached(Common::default());
        context.ci = ci;
        context.workspace = workspace.to_owned();
        context
    }

    const KEY: &str = "-----BEGIN PUBLIC KEY-----\nours\n-----END PUBLIC KEY-----\n";
    const EVIL: &str = "-----BEGIN PUBLIC KEY-----\nevil\n-----END PUBLIC KEY-----\n";

    #[test]
    fn only_what_the_commit_has_counts_whatever_links_lead_there() {
        let mut repository = Repository::new();
        let commit = repository.commit("infra/keys/tests.pub", KEY, "key");
        let (workspace, elsewhere) = (repository.path(), tempfile::tempdir().unwrap());
        let key = workspace.join("infra/keys/tests.pub");
        let asked = || rule_text(&context(workspace, &commit), "trusted_keys", &Pem::Path(key.clone()));
        assert_eq!(asked().unwrap(), KEY);

        std::fs::write(&key, EVIL).unwrap();
        assert_eq!(asked().unwrap_err().kind().code(), 10);

        let outside = elsewhere.path().join("keys");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("tests.pub"), EVIL).unwrap();
        std::fs::remove_file(&key).unwrap();
        std::os::unix::fs::symlink(outside.join("tests.pub"), &key).unwrap();
        assert_eq!(asked().unwrap_err().kind().code(), 10, "a link in the place of the file");

        std::fs::remove_dir_all(workspace.join("infra/keys")).unwrap();
        std::os::unix::fs::symlink(&outside, workspace.join("infra/keys")).unwrap();
        assert_eq!(asked().unwrap_err().kind().code(), 10, "a link in the place of the folder");

        // The workspace under another name, the file under the real one.
        let alias = elsewhere.path().join("alias");
        std::os::unix::fs::symlink(workspace, &alias).unwrap();
        let real = workspace.canonicalize().unwrap().join("infra/keys/tests.pub");
        let by_alias = rule_text(&context(&alias, &commit), "trusted_keys", &Pem::Path(real));
        assert_eq!(by_alias.unwrap_err().kind().code(), 10, "a workspace that is a link");

        let mut by_hand = context(workspace, &commit);
        by_hand.ci = Ci::default();
        assert_eq!(rule_text(&by_hand, "trusted_keys", &Pem::Path(key.clone())).unwrap(), EVIL);
    }

    #[test]
    fn a_file_that_is_missing_is_named_with_its_setting() {
        let missing = Pem::Path("/nonexistent/tests.pub".into());
        let context = Context::detached(Common::default());
        let failure = rule_text(&context, "trusted_keys", &missing).unwrap_err();
        let start = "error: `trusted_keys` cannot be used\n  cause 1: cannot read /nonexistent/tests.pub\n";
        assert!(failure.kind().code() == 2 && failure.render().starts_with(start), "{}", failure.render());
    }

    #[test]
    fn the_shared_volume_is_no_place_for_rules() {
        assert!(is_shared(Path::new("/woodpecker/keys/tests.pub")));
        assert!(!is_shared(Path::new("/etc/granary/tests.pub")));
        assert_eq!(written_in(Path::new("/w/src"), Path::new("/w/src/a/../b")), Some(PathBuf::from("b")));
        assert_eq!(written_in(Path::new("/w/src"), Path::new("/w/src/../b")), None);
    }
}
