//! Files that hold rules: trusted keys today.

use std::path::Path;

use granary_git::check_committed;
use granary_plugin::{Context, Failure, Kind, Pem};

use crate::commit::pipeline_commit;

/// The text of a rule that a setting gives as PEM text or as a path. A file in a pipeline's workspace
/// counts only where it is what the pipeline's commit has (DESIGN §4.12): the tests that ran before are
/// foreign code, and could have put a key of their own in its place.
///
/// # Errors
/// With exit code 2 where the file cannot be read, 10 where it was changed, 15 where there is no telling.
pub fn rule_text(context: &Context, setting: &str, pem: &Pem) -> Result<String, Failure> {
    let text = context.load(pem)?.expose().to_owned();
    if let Pem::Path(path) = pem
        && context.ci.is_woodpecker()
        && let Some(inside) = path_in_workspace(&context.workspace, path)
    {
        committed(context, setting, &inside, text.as_bytes())?;
    }
    Ok(text)
}

/// The path from the top of the workspace, links resolved; `None` for a file elsewhere.
fn path_in_workspace(workspace: &Path, path: &Path) -> Option<std::path::PathBuf> {
    let workspace = workspace.canonicalize().ok()?;
    path.canonicalize().ok()?.strip_prefix(workspace).ok().map(Path::to_owned)
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
