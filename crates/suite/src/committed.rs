//! Files of the workspace against the pipeline's commit.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use granary_git::{CommittedError, check_committed};
use granary_plugin::Context;

use crate::commit::pipeline_commit;

/// Whether `bytes`, read from `path`, are what the pipeline's commit has there: then no step before need have
/// written them. `None` where there is no telling: outside Woodpecker, for a file elsewhere, without the
/// commit's objects in the workspace.
pub fn is_as_committed(context: &Context, path: &Path, bytes: &[u8]) -> Option<bool> {
    if !context.ci.is_woodpecker() {
        return None;
    }
    let no_telling = |reason: &dyn Display| {
        let file = path.display();
        context.output.debug(format_args!("no telling whether {file} is what the commit has: {reason}"));
    };
    let Some(inside) = path_in_workspace(&context.workspace, path) else {
        no_telling(&"it is not in the workspace");
        return None;
    };
    let commit = match pipeline_commit(&context.ci, &context.workspace) {
        Ok(commit) => commit.filter(|commit| commit.certain),
        Err(failure) => {
            no_telling(&failure);
            return None;
        }
    };
    let Some(commit) = commit else {
        no_telling(&"the commit is not known");
        return None;
    };
    // Git writes other line ends than it keeps where `.gitattributes` says so.
    let unix = with_line_ends(bytes, b"\n");
    let dos = with_line_ends(bytes, b"\r\n");
    for bytes in [bytes, &unix, &dos] {
        match check_committed(&context.workspace, commit.id.as_str(), &inside, bytes) {
            Ok(()) => return Some(true),
            Err(CommittedError::Changed { .. }) => {}
            Err(CommittedError::NotThere { .. }) => return Some(false),
            Err(error) => {
                no_telling(&error);
                return None;
            }
        }
    }
    Some(false)
}

/// The same text with other line ends.
fn with_line_ends(bytes: &[u8], end: &[u8]) -> Vec<u8> {
    let lines = bytes.split(|&byte| byte == b'\n');
    let lines: Vec<&[u8]> = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    lines.join(end)
}

/// The path from the top of the workspace, links resolved; `None` for a file elsewhere.
pub(crate) fn path_in_workspace(workspace: &Path, path: &Path) -> Option<PathBuf> {
    let workspace = workspace.canonicalize().ok()?;
    path.canonicalize().ok()?.strip_prefix(workspace).ok().map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use granary_plugin::{Ci, Common, Env};
    use granary_testkit::git::Repository;

    use super::*;

    fn context(workspace: &Path, pairs: &[(&str, &str)]) -> Context {
        let mut context = Context::detached(Common::default());
        context.ci = Ci::read(&Env::from_pairs(pairs.iter().copied())).0;
        context.workspace = workspace.to_owned();
        context
    }

    #[test]
    fn a_file_is_compared_with_the_commit_of_the_pipeline() {
        let mut repository = Repository::new();
        repository.commit("out/unix.json", "a\nb\n", "first");
        repository.commit("out/dos.json", "a\r\nb\r\n", "second");
        let commit = repository.commit("out/old.json", "old", "third");
        let write = |name: &str, text: &str| {
            let file = repository.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        write("out/new.json", "new");
        write("out/unix.json", "");
        write("out/dos.json", "");
        std::os::unix::fs::symlink("old.json", repository.path().join("out/link.json")).unwrap();
        let push = [("CI", "woodpecker"), ("CI_PIPELINE_EVENT", "push"), ("CI_COMMIT_SHA", commit.as_str())];
        let asked = |context: &Context, name: &str, bytes: &str| {
            is_as_committed(context, &repository.path().join(name), bytes.as_bytes())
        };
        let pipeline = context(repository.path(), &push);
        let table = [
            ("out/old.json", "old", Some(true)),
            ("out/link.json", "old", Some(true)),
            ("out/old.json", "written anew", Some(false)),
            ("out/new.json", "new", Some(false)),
            ("out/none.json", "", None),
            // As Git writes it where `.gitattributes` asks for other line ends.
            ("out/unix.json", "a\nb\n", Some(true)),
            ("out/unix.json", "a\r\nb\r\n", Some(true)),
            ("out/dos.json", "a\nb\n", Some(true)),
            ("out/dos.json", "a\r\nc\r\n", Some(false)),
        ];
        for (name, bytes, expected) in table {
            assert_eq!(asked(&pipeline, name, bytes), expected, "{name} {bytes}");
        }

        // By hand; another forge's CI; a commit that the workspace does not have; a Git tag's object likewise.
        let other = "7a77c5932e35c13bf0bf61a33f757b21d41692b5";
        let tag = [
            ("CI", "woodpecker"),
            ("CI_PIPELINE_EVENT", "tag"),
            ("CI_COMMIT_REF", "refs/tags/v1"),
            ("CI_COMMIT_SHA", other),
        ];
        for pairs in [&[][..], &push[2..], &[push[0], push[1], ("CI_COMMIT_SHA", other)], &tag] {
            let context = context(repository.path(), pairs);
            assert_eq!(asked(&context, "out/old.json", "old"), None, "{pairs:?}");
        }
        // A workspace without repository, and a file that is elsewhere.
        let bare = tempfile::tempdir().unwrap();
        std::fs::write(bare.path().join("old.json"), "old").unwrap();
        assert_eq!(
            is_as_committed(&context(bare.path(), &push), &bare.path().join("old.json"), b"old"),
            None
        );
        assert_eq!(asked(&context(bare.path(), &push), "out/old.json", "old"), None);
    }
}
