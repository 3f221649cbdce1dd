//! Opens the files of the setting `results`, in bounds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::walk::matches;
use super::{Fault, Format, MAX_BYTES, MAX_FILES, MAX_NAMES, Outcome, ReadError, parse};

/// Reads all files that `patterns` name, relative to `base`, as the results of one run. A file that is
/// named twice is read once; each pattern must name at least one.
///
/// A pattern that is the name of a file is that file, whatever it looks like; else `*`, `?`, `[…]` and `**`
/// are wildcards. `is_as_committed` tells of a file whether the commit under test has it with these bytes:
/// then it is nothing that the tests said.
///
/// # Errors
/// The first file that is missing or cannot be used: results are whole or they are none.
pub fn read(
    patterns: &[String],
    base: &Path,
    format: Option<Format>,
    is_as_committed: &dyn Fn(&Path, &[u8]) -> bool,
) -> Result<Outcome, ReadError> {
    for pattern in patterns {
        if matches(pattern, base)?.is_empty() {
            return Err(ReadError::Missing { pattern: pattern.clone() });
        }
    }
    let files = find(patterns, base)?;
    let mut outcome = Outcome::default();
    let (mut left, mut name_bytes) = (MAX_BYTES, 0);
    for file in files {
        let bytes = read_file(&file, left)?;
        left = left.saturating_sub(bytes.len() as u64);
        if is_as_committed(&file, &bytes) {
            return Err(ReadError::AsCommitted { file });
        }
        let parsed = parse(&bytes, format, &file)?;
        name_bytes += parsed.tests.iter().map(|test| test.name.len()).sum::<usize>();
        if name_bytes > MAX_NAMES {
            return Err(ReadError::Unusable { file, fault: Fault::TooManyNames });
        }
        outcome.add(parsed).map_err(|fault| ReadError::Unusable { file, fault })?;
    }
    Ok(outcome)
}

/// The files that `patterns` name at this moment, relative to `base`. A pattern without any is no error: the
/// tests may not have run yet.
///
/// # Errors
/// A pattern that is none, a directory that cannot be read, too many files.
pub fn find(patterns: &[String], base: &Path) -> Result<BTreeSet<PathBuf>, ReadError> {
    let mut files = BTreeSet::new();
    for pattern in patterns {
        files.extend(matches(pattern, base)?);
        if files.len() > MAX_FILES {
            return Err(ReadError::TooManyFiles { pattern: pattern.clone() });
        }
    }
    Ok(files)
}

fn read_file(file: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    let unreadable = |source| ReadError::Unreadable { file: file.to_owned(), source };
    if !std::fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(ReadError::NotAFile { file: file.to_owned() });
    }
    let bytes = granary_plugin::read_bytes(file, most).map_err(unreadable)?;
    bytes.ok_or_else(|| ReadError::TooLarge { file: file.to_owned() })
}
