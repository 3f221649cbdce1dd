//! Finds the files that a pattern of `results` names.
//!
//! Folders are foreign code's work: `**` does not follow links to folders, which may lead back to where they
//! lie, and what is looked at is bounded, since nothing watches the clock meanwhile.

use std::fs::FileType;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use glob::Pattern;

use super::{MAX_FILES, ReadError};

/// How much is looked at for one pattern, in files: what a large workspace has with all that it downloaded.
const MAX_FILES_SEEN: usize = 500_000;

/// What opening a folder costs, in files.
const FOLDER: usize = 10;

/// The files that `pattern` names, relative to `base`, and at most one more than [`MAX_FILES`].
///
/// # Errors
/// A pattern that is none, a folder that cannot be read, too much to look through.
pub(super) fn matches(pattern: &str, base: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let named = base.join(pattern);
    if named.symlink_metadata().is_ok() {
        return Ok(vec![named]);
    }
    let bad = |source| ReadError::BadPattern { pattern: pattern.to_owned(), source };
    Pattern::new(pattern).map_err(bad)?;
    let mut steps = Vec::new();
    for component in Path::new(pattern).components() {
        let step = Step::new(component).map_err(bad)?;
        // Several in a row mean no more than one.
        if !(step.is_any_depth() && steps.last().is_some_and(Step::is_any_depth)) {
            steps.push(step);
        }
    }
    let mut walk = Walk { pattern, seen: 0, found: Vec::new() };
    walk.follow(base.to_owned(), &steps)?;
    Ok(walk.found)
}

/// What one part of a pattern, between two slashes, does.
enum Step {
    /// A name, the root or `..`.
    Plain(PathBuf),
    /// A name with wildcards.
    Wild(Pattern),
    /// `**`.
    AnyDepth,
}

impl Step {
    fn new(component: Component<'_>) -> Result<Self, glob::PatternError> {
        let text = component.as_os_str().to_string_lossy();
        Ok(match &*text {
            "**" => Step::AnyDepth,
            text if text == Pattern::escape(text) => Step::Plain(component.as_os_str().into()),
            text => Step::Wild(Pattern::new(text)?),
        })
    }

    fn is_any_depth(&self) -> bool {
        matches!(self, Step::AnyDepth)
    }
}

struct Walk<'p> {
    pattern: &'p str,
    seen: usize,
    found: Vec<PathBuf>,
}

impl Walk<'_> {
    fn follow(&mut self, place: PathBuf, steps: &[Step]) -> Result<(), ReadError> {
        if self.found.len() > MAX_FILES {
            return Ok(());
        }
        let Some((step, later)) = steps.split_first() else {
            self.found.push(place);
            return Ok(());
        };
        match step {
            Step::Plain(name) => {
                let next = place.join(name);
                if next.symlink_metadata().is_ok() {
                    self.follow(next, later)?;
                }
            }
            Step::Wild(wanted) => {
                for (path, _) in self.entries(&place)? {
                    let name = path.file_name().and_then(|name| name.to_str());
                    if name.is_some_and(|name| wanted.matches(name)) {
                        self.follow(path, later)?;
                    }
                }
            }
            Step::AnyDepth => {
                for (path, kind) in self.entries(&place)? {
                    if kind.is_dir() {
                        self.follow(path, steps)?;
                    }
                }
                self.follow(place, later)?;
            }
        }
        Ok(())
    }

    /// What is in a folder; nothing where `place` is none.
    fn entries(&mut self, place: &Path) -> Result<Vec<(PathBuf, FileType)>, ReadError> {
        let unreadable = |source| ReadError::Unreadable { file: place.to_owned(), source };
        let folder = match std::fs::read_dir(place) {
            Err(error) if matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::NotFound) => {
                return Ok(Vec::new());
            }
            folder => folder.map_err(unreadable)?,
        };
        self.seen += FOLDER;
        let mut entries = Vec::new();
        for entry in folder {
            self.seen += 1;
            if self.seen > MAX_FILES_SEEN {
                return Err(ReadError::TooManyEntries { pattern: self.pattern.to_owned() });
            }
            let entry = entry.map_err(unreadable)?;
            let kind = entry.file_type().map_err(unreadable)?;
            // Not the entry itself, which keeps its folder open.
            entries.push((entry.path(), kind));
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn found(pattern: &str, base: &Path) -> Vec<String> {
        let mut found: Vec<String> = matches(pattern, base)
            .unwrap()
            .iter()
            .map(|path| path.strip_prefix(base).unwrap_or(path).display().to_string())
            .collect();
        found.sort();
        found
    }

    #[test]
    fn patterns_name_what_they_say() {
        let place = tempfile::tempdir().unwrap();
        let base = place.path();
        std::fs::create_dir_all(base.join("a/b/c")).unwrap();
        for name in ["r.xml", "a/r.xml", "a/.r.xml", "a/b/r.xml", "a/b/c/r.xml", "a/b/c/r.json", "a/[b]"] {
            std::fs::write(base.join(name), "").unwrap();
        }
        let table: [(&str, &[&str]); 13] = [
            ("*.xml", &["r.xml"]),
            ("a/*.xml", &["a/.r.xml", "a/r.xml"]),
            ("*/*/?.xml", &["a/b/r.xml"]),
            ("**/r.xml", &["a/b/c/r.xml", "a/b/r.xml", "a/r.xml", "r.xml"]),
            ("a/**/c/*", &["a/b/c/r.json", "a/b/c/r.xml"]),
            ("**/**/**/*.json", &["a/b/c/r.json"]),
            ("**/b/**/*.json", &["a/b/c/r.json"]),
            ("a/../*.xml", &["a/../r.xml"]),
            ("a/[b]", &["a/[b]"]),
            ("a/[a-z]/*.xml", &["a/b/r.xml"]),
            ("./a/b/*.xml", &["a/b/r.xml"]),
            ("r.xml/*", &[]),
            ("none/**/*", &[]),
        ];
        for (pattern, expected) in table {
            assert_eq!(found(pattern, base), expected, "{pattern}");
        }
        let absolute = base.join("a/b/*.xml").display().to_string();
        assert_eq!(matches(&absolute, Path::new("/elsewhere")).unwrap(), [base.join("a/b/r.xml")]);
    }

    #[test]
    fn folders_that_lead_to_themselves_have_an_end() {
        let place = tempfile::tempdir().unwrap();
        let base = place.path();
        std::fs::create_dir(base.join("real")).unwrap();
        std::fs::write(base.join("real/r.xml"), "").unwrap();
        for number in 0..200 {
            symlink(".", base.join(format!("link{number}"))).unwrap();
        }
        symlink("real", base.join("to-real")).unwrap();
        symlink("real/r.xml", base.join("linked.xml")).unwrap();
        // A link to a file is as good as the file; one to a folder is followed only where it is named.
        assert_eq!(found("**/*.xml", base), ["linked.xml", "real/r.xml"]);
        assert_eq!(found("to-*/*.xml", base), ["to-real/r.xml"]);
        assert_eq!(found("link0/to-real/*.xml", base), ["link0/to-real/r.xml"]);
        let error = matches("*/*/*/*/*.json", base).unwrap_err();
        assert_eq!(error.to_string(), "`*/*/*/*/*.json` leads through too many files and folders");
        // Every way down counts.
        let deep = base.join("d/".repeat(60));
        std::fs::create_dir_all(&deep).unwrap();
        let error = matches(&format!("{}none", "d/**/*/**/".repeat(6)), base).unwrap_err();
        assert!(matches!(error, ReadError::TooManyEntries { .. }), "{error:?}");
    }
}
