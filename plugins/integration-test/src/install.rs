//! Mode `install`: leaves a copy of this program, and what is under test, for a later `commands` step.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use granary_oci::RegistryHost;
use granary_plugin::{Context, Failure, Kind, write_file};
use granary_registry::Registry;
use granary_release::{CommitId, FoundSet};

use crate::exec::{Look, RUNS_FOLDER, forget_other_sets};
use crate::installed::{Installed, NAME};
use crate::report;
use crate::settings::Install;

/// The default of `install_to`, in the workspace.
const DEFAULT: &str = ".granary/bin/integration-test";
/// This program's own file, whatever its name is by now.
const OWN_FILE: &str = "/proc/self/exe";

/// Looks at the candidate as a test run does, and installs.
///
/// # Errors
/// As a test run, where the candidate's tags do not fit; with exit code 2 where nothing can be written there.
pub async fn install(
    settings: &Install,
    context: &Context,
    registry: &Registry,
    host: &RegistryHost,
    found: FoundSet,
    pipeline: Option<CommitId>,
) -> Result<(), Failure> {
    let look = Look { context, registry, found: &found, platforms: &settings.platforms };
    let (parts, _) = look.first().await?;
    let program = match &settings.to {
        Some(path) => path.clone(),
        None => context.workspace.join(DEFAULT),
    };
    if context.common.dry_run {
        report::installation(context, &found, &program);
        return Ok(());
    }
    stays_inside(&program, settings.to.as_deref(), &context.workspace)?;
    forget_other_sets(&context.workspace, &found)?;
    let own = File::open(OWN_FILE).map_err(|error| {
        Failure::new(Kind::Unexpected, format!("cannot read this program from {OWN_FILE}")).caused_by(error)
    })?;
    let beside = program.with_file_name(NAME);
    Installed { registry: host.clone(), found, pipeline, parts }.write(&beside).map_err(unwritable)?;
    context.stop.check()?;
    // Last: a program without its `candidate.json` would be of no use.
    write_file(&program, own, 0o755).map_err(unwritable)?;
    open_to_everybody(context);
    context.output.done(format_args!("installed {}, and {NAME} beside it", program.display()));
    Ok(())
}

fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(Kind::Settings, "nothing can be installed there")
        .caused_by(error)
        .hint("set `install_to` to a path in a folder that this step's user may write to")
}

/// Refuses a relative path that leads out of the workspace: an earlier step may have put a link in the place
/// of a folder. A link in the place of the file itself is replaced and not followed. An absolute path in
/// `install_to` is somebody's own will.
fn stays_inside(program: &Path, set: Option<&Path>, workspace: &Path) -> Result<(), Failure> {
    if set.is_some_and(Path::is_absolute) {
        return Ok(());
    }
    let folder: PathBuf = match program.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    // The nearest folder that is there: what is below it will be made by us.
    let there = folder.ancestors().find(|folder| folder.symlink_metadata().is_ok());
    let there = match there {
        Some(there) if !there.as_os_str().is_empty() => there,
        _ => Path::new("."),
    };
    let resolved = there.canonicalize().map_err(unwritable)?;
    let workspace = workspace.canonicalize().map_err(unwritable)?;
    let climbs = folder.components().any(|part| part == std::path::Component::ParentDir);
    if climbs || !resolved.starts_with(&workspace) {
        let message = format!("refusing to install to {}: it leads out of the workspace", program.display());
        return Err(Failure::new(Kind::Settings, message).hint(
            "give `install_to` an absolute path if that is meant; else find out which step put a link there",
        ));
    }
    Ok(())
}

/// The copy and the step after it run as whatever users their images have, and both write to `.granary`.
/// Woodpecker's clone step opens the workspace itself in the same way. A folder of another user stays as it
/// is: then the copy says what it cannot write.
fn open_to_everybody(context: &Context) {
    let runs = context.workspace.join(RUNS_FOLDER);
    let made = std::fs::create_dir_all(&runs);
    for folder in [context.workspace.join(".granary"), runs] {
        let is_folder = folder.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        let open = || std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777));
        if is_folder && let Err(error) = open() {
            let folder = folder.display();
            context.output.debug(format_args!("{folder} stays closed to other users: {error}"));
        }
    }
    if let Err(error) = made {
        context.output.debug(format_args!("there is no folder for records of runs: {error}"));
    }
}
