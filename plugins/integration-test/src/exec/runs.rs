//! The folder of run records: a file for each run, named after where its results are. So a run that is
//! repeated replaces its own record, and no other run's verdict is lost, also where several go on at once.

use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};
use granary_oci::Digest;
use granary_plugin::{Context, Failure, FileError, Kind, read_json};
use granary_release::FoundSet;
use serde::{Deserialize, Serialize};

use super::record::{RecordError, RunRecord};
use crate::results::{self, Format, MAX_BYTES};
use crate::settings::{Results, Settings};

/// Where the records lie in the workspace.
pub(crate) const FOLDER: &str = ".granary/integration-test-runs";
/// Most records that are read.
const MOST_RECORDS: usize = 1000;
/// What the name of a temporary file begins with, which a run that goes on at the same time may have there.
const TEMPORARY: &str = ".granary-";

/// Where a run leaves its results, relative to the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Place {
    results: Vec<String>,
    results_format: String,
    junit_file: Option<String>,
}

/// What a report reads.
pub(crate) struct Reads {
    patterns: Vec<String>,
    /// Each by the name that its pattern gives it and by the one that it has without links.
    files: Vec<String>,
}

impl Place {
    pub(crate) fn of(settings: &Settings, workspace: &Path) -> Self {
        let (patterns, results_format) = match &settings.results {
            Results::ExitCode => (&[][..], "exit-code"),
            Results::Files { patterns, format } => {
                let format = match format {
                    None => "auto",
                    Some(Format::Json) => "json",
                    Some(Format::Junit) => "junit",
                    Some(Format::Tap) => "tap",
                };
                (patterns.as_slice(), format)
            }
        };
        Place {
            results: patterns.iter().map(|pattern| named(Path::new(pattern), workspace)).collect(),
            results_format: results_format.to_owned(),
            junit_file: settings.junit_file.as_ref().map(|file| named(file, workspace)),
        }
    }

    /// The record's own file.
    pub(crate) fn file(&self, workspace: &Path) -> PathBuf {
        let place = serde_json::to_vec(self).expect("invariant: texts have a JSON form");
        workspace.join(FOLDER).join(format!("{}.json", &Digest::of(&place).hex()[..12]))
    }

    /// Whether a report judges what this run left, or should have.
    fn is_read_by(&self, report: &Reads) -> bool {
        self.results.iter().chain(&self.junit_file).any(|own| {
            report.patterns.iter().any(|pattern| is_one_of(own, pattern))
                || report.files.iter().any(|file| is_one_of(file, own))
        })
    }
}

impl Reads {
    /// What `settings` name, and which files that are now.
    pub(crate) fn of(settings: &Settings, workspace: &Path) -> Self {
        let Results::Files { patterns, .. } = &settings.results else {
            return Reads { patterns: Vec::new(), files: Vec::new() };
        };
        // Patterns that cannot be followed are told of when the results are read.
        let found = results::find(patterns, Path::new("")).unwrap_or_default();
        let without_links = found.iter().filter_map(|file| file.canonicalize().ok());
        Reads {
            patterns: patterns.iter().map(|pattern| named(Path::new(pattern), workspace)).collect(),
            files: found.iter().cloned().chain(without_links).map(|file| named(&file, workspace)).collect(),
        }
    }
}

/// The records of the runs that `reads` is about.
///
/// # Errors
/// With exit code 20 where anything there is no record, 13 where one is none of this pipeline's.
pub(crate) fn read(context: &Context, found: &FoundSet, reads: &Reads) -> Result<Vec<RunRecord>, Failure> {
    let mut records = Vec::new();
    for (path, record) in all(&context.workspace).map_err(refused)? {
        if record.place.is_read_by(reads) {
            record.check_origin(context, found, &path)?;
            records.push(record);
        } else {
            context.output.info(format_args!("{} is about other results", record.file));
        }
    }
    Ok(records)
}

/// Takes the records away that are about another set: what a run of another pipeline left in a cached
/// workspace would be taken for one of this.
///
/// # Errors
/// With exit code 2.
pub(crate) fn forget_other_sets(workspace: &Path, found: &FoundSet) -> Result<(), Failure> {
    // What is no record is told of by the report, which must not believe that there is none.
    for (path, record) in all(workspace).unwrap_or_default() {
        if record.is_about_another(found).is_some() {
            std::fs::remove_file(path).map_err(|error| {
                Failure::new(Kind::Settings, "the record of an earlier run cannot be removed")
                    .caused_by(error)
                    .hint("an earlier step wrote it as another user: run both as one")
            })?;
        }
    }
    Ok(())
}

fn refused(error: RecordError) -> Failure {
    Failure::new(Kind::BadInput, "the record of the test run cannot be used")
        .caused_by(error)
        .hint("remove the file, and let the step that runs the tests write it anew")
}

/// Everything in the folder, by name.
fn all(workspace: &Path) -> Result<Vec<(PathBuf, RunRecord)>, RecordError> {
    let folder = workspace.join(FOLDER);
    let unreadable = |source| RecordError::File(FileError::Read { path: folder.clone(), source });
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let is_temporary =
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes()));
        if !is_temporary {
            paths.push(path);
        }
        if paths.len() > MOST_RECORDS {
            return Err(RecordError::TooMany { folder, most: MOST_RECORDS });
        }
    }
    paths.sort_unstable();
    let (mut records, mut left) = (Vec::new(), MAX_BYTES);
    for path in paths {
        let mut size = 0;
        let read = read_json(&path, left, "a record of a run", |text| {
            size = text.len() as u64;
            serde_json::from_str::<RunRecord>(text)
        })?;
        left = left.saturating_sub(size);
        if let Some(record) = read {
            let mut record = record.checked(&path)?;
            record.file = named(&path, workspace);
            records.push((path, record));
        }
    }
    Ok(records)
}

/// How a path is called in records: relative to the workspace if it lies there, without `.` and `..`. By
/// name alone, it need not be there.
fn named(path: &Path, workspace: &Path) -> String {
    let plain = |path: &Path| {
        let mut plain = PathBuf::new();
        for part in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => drop(plain.pop()),
                _ => plain.push(part),
            }
        }
        plain
    };
    let (path, workspace) = (plain(path), plain(workspace));
    path.strip_prefix(&workspace).unwrap_or(&path).to_string_lossy().into_owned()
}

/// Whether this text is what a pattern may mean.
fn is_one_of(text: &str, pattern: &str) -> bool {
    let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
    text == pattern || Pattern::new(pattern).is_ok_and(|pattern| pattern.matches_with(text, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(results: &[&str], junit_file: Option<&str>) -> Place {
        Place {
            results: results.iter().map(|&text| text.to_owned()).collect(),
            results_format: "auto".to_owned(),
            junit_file: junit_file.map(str::to_owned),
        }
    }

    #[test]
    fn a_report_is_about_a_run_by_pattern_or_by_file() {
        let reads = |patterns: &[&str], files: &[&str]| Reads {
            patterns: patterns.iter().map(|&text| text.to_owned()).collect(),
            files: files.iter().map(|&text| text.to_owned()).collect(),
        };
        let table = [
            (place(&["a.json"], None), reads(&["a.json"], &[]), true),
            (place(&["a.json"], None), reads(&["b.json", "*.json"], &[]), true),
            (place(&["a.json"], None), reads(&["b.json"], &["b.json"]), false),
            (place(&["out/*.xml"], None), reads(&["out/*.xml"], &[]), true),
            (place(&["out/*.xml"], None), reads(&["out/a.xml"], &["out/a.xml"]), true),
            (place(&["out/**/*.xml"], None), reads(&["out/a.xml"], &["out/a.xml"]), true),
            (place(&["out/*.xml"], None), reads(&["out/deep/a.xml"], &["out/deep/a.xml"]), false),
            (place(&["out/[a.xml"], None), reads(&["out/[a.xml"], &[]), true),
            (place(&[], Some("r.xml")), reads(&["r.xml"], &["r.xml"]), true),
            (place(&[], Some("r.xml")), reads(&["*.xml"], &[]), true),
            (place(&[], None), reads(&["r.xml"], &["r.xml"]), false),
        ];
        for (place, reads, expected) in table {
            let (patterns, files) = (&reads.patterns, &reads.files);
            assert_eq!(place.is_read_by(&reads), expected, "{place:?} {patterns:?} {files:?}");
        }
    }

    #[test]
    fn runs_with_other_results_have_other_files() {
        let file = |place: Place| place.file(Path::new("/w"));
        let own = file(place(&["a.json"], None));
        assert_eq!(own, file(place(&["a.json"], None)));
        let name = own.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!((own.parent().unwrap(), name.len()), (Path::new("/w").join(FOLDER).as_path(), 12 + 5));
        for other in [place(&["b.json"], None), place(&["a.json"], Some("r.xml")), place(&[], None)] {
            assert_ne!(own, file(other));
        }
    }

    #[test]
    fn one_file_has_one_name() {
        for path in ["/w/out/a.xml", "/w/./x/../out/a.xml", "/v/../w/out//a.xml"] {
            assert_eq!(named(Path::new(path), Path::new("/w/")), "out/a.xml", "{path}");
        }
        assert_eq!(named(Path::new("/v/a.xml"), Path::new("/w")), "/v/a.xml");
    }
}
