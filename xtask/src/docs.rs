//! The settings tables in `plugins/*/docs.md`: written by the plugins themselves, so that the pages cannot lie.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use granary_plugin::docs::{MarkersMissing, splice};

use crate::command::{self, CommandError};
use crate::workspace::Workspace;

/// Why the pages are not what they should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocsError {
    /// A plugin does not compile or does not print its table.
    #[error(transparent)]
    Plugin(#[from] CommandError),
    /// A page cannot be read or written.
    #[error("cannot read or write {}", path.display())]
    File {
        /// The page.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A page has no place for the table.
    #[error("{}", path.display())]
    Markers {
        /// The page.
        path: PathBuf,
        /// Which place.
        #[source]
        source: MarkersMissing,
    },
    /// `--check` found another table than the plugin's.
    #[error("stale, `cargo xtask docs` mends it: {}", paths.join(", "))]
    Stale {
        /// The pages.
        paths: Vec<String>,
    },
}

/// A page as it is and as it should be.
struct Page {
    path: PathBuf,
    found: String,
    wanted: String,
}

/// Brings every page up to date.
pub(crate) fn write(workspace: &Workspace) -> Result<(), DocsError> {
    for page in pages(workspace)? {
        let shown = page.path.display();
        if page.found == page.wanted {
            println!("{shown}: up to date");
            continue;
        }
        let written = fs::write(&page.path, &page.wanted);
        written.map_err(|source| DocsError::File { path: page.path.clone(), source })?;
        println!("{shown}: written");
    }
    Ok(())
}

/// Fails where a page is stale, and shows what would change.
pub(crate) fn check(workspace: &Workspace) -> Result<(), DocsError> {
    let stale: Vec<Page> = pages(workspace)?.into_iter().filter(|page| page.found != page.wanted).collect();
    for page in &stale {
        println!("{}:\n{}", page.path.display(), difference(&page.found, &page.wanted));
    }
    match stale.is_empty() {
        true => Ok(()),
        false => Err(DocsError::Stale {
            paths: stale.iter().map(|page| page.path.display().to_string()).collect(),
        }),
    }
}

fn pages(workspace: &Workspace) -> Result<Vec<Page>, DocsError> {
    workspace.build_debug()?;
    let page = |plugin: &crate::workspace::Plugin| {
        let binary = workspace.target.join("debug").join(&plugin.name);
        let table = command::read(Command::new(binary).arg("--settings-markdown").env_clear())?;
        let path = plugin.folder.join("docs.md");
        let found =
            fs::read_to_string(&path).map_err(|source| DocsError::File { path: path.clone(), source })?;
        let wanted =
            splice(&found, &table).map_err(|source| DocsError::Markers { path: path.clone(), source })?;
        Ok(Page { path, found, wanted })
    };
    workspace.plugins.iter().map(page).collect()
}

/// The lines that differ: what is there after `-`, what should be after `+`, one line of what is equal around them.
fn difference(found: &str, wanted: &str) -> String {
    let (found, wanted): (Vec<&str>, Vec<&str>) = (found.lines().collect(), wanted.lines().collect());
    let same = |(left, right): &(&&str, &&str)| left == right;
    let head = found.iter().zip(&wanted).take_while(same).count();
    let tail = found[head..].iter().rev().zip(wanted[head..].iter().rev()).take_while(same).count();
    let line = |sign: &'static str| move |line: &&str| format!("{sign}{line}\n");
    let mut text = found[head.saturating_sub(1)..head].iter().map(line("  ")).collect::<String>();
    text.extend(found[head..found.len() - tail].iter().map(line("- ")));
    text.extend(wanted[head..wanted.len() - tail].iter().map(line("+ ")));
    text.extend(found[found.len() - tail..].iter().take(1).map(line("  ")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_is_what_changed_and_its_neighbours() {
        for (found, wanted, expected) in [
            ("a\nb\nc\nd\n", "a\nb\nX\nd\n", "  b\n- c\n+ X\n  d\n"),
            ("a\nb\n", "a\nb\nc\n", "  b\n+ c\n"),
            ("a\na\na\n", "a\na\n", "  a\n- a\n"),
            ("", "a\n", "+ a\n"),
        ] {
            assert_eq!(difference(found, wanted), expected);
        }
    }
}
