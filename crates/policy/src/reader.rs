//! What is found wrong in one file, in the order of the file.

use granary_gates::InvalidField;

use crate::error::{MAX_ERRORS, Place, PolicyError, Problem};
use crate::yaml::{Fault, Node};

/// Collects the errors of one file.
pub(crate) struct Reader {
    file: String,
    errors: Vec<PolicyError>,
    /// How many of them are about the layout; what those are about is not judged again.
    layout: usize,
}

impl Reader {
    pub(crate) fn new(file: &str, faults: Vec<Fault>) -> Reader {
        let mut reader = Reader { file: file.to_owned(), errors: Vec::new(), layout: 0 };
        for Fault { place, path, problem } in faults {
            reader.at(place, &path, problem);
        }
        reader
    }

    /// From here on values are judged.
    pub(crate) fn layout_is_checked(&mut self) {
        self.layout = self.errors.len();
    }

    /// Goes on where the layout has been checked.
    pub(crate) fn resumed(file: &str, errors: Vec<PolicyError>) -> Reader {
        Reader { file: file.to_owned(), layout: errors.len(), errors }
    }

    /// Errors as they were found.
    pub(crate) fn into_collected(self) -> Vec<PolicyError> {
        self.errors
    }

    pub(crate) fn at(&mut self, place: Place, path: &str, problem: Problem) {
        if self.errors.iter().take(self.layout).any(|error| covers(error, path)) {
            return;
        }
        self.errors.push(PolicyError { file: self.file.clone(), place, path: path.to_owned(), problem });
    }

    /// About something that is not there, which may be because of something wrong below the same path.
    pub(crate) fn lacking(&mut self, place: Place, path: &str, problem: Problem) {
        let below = |error: &PolicyError| {
            error.path.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        if !self.errors.iter().take(self.layout).any(below) {
            self.at(place, path, problem);
        }
    }

    /// The value, or what gates found wrong with it; their paths begin at `root`.
    pub(crate) fn gates<T>(&mut self, root: &Node, result: Result<T, Vec<InvalidField>>) -> Option<T> {
        let invalid = match result {
            Ok(value) => return Some(value),
            Err(invalid) => invalid,
        };
        for invalid in invalid {
            let (place, path) = (root.locate(&invalid.field), invalid.field.clone());
            // The other half of a pair may be there, and wrong.
            if let granary_gates::Problem::Needs { other } = &invalid.problem
                && let Some((parent, _)) = path.rsplit_once('.')
                && self.errors.iter().take(self.layout).any(|error| error.path == format!("{parent}.{other}"))
            {
                continue;
            }
            match invalid.value {
                Some(_) => self.at(place, &path, Problem::Gates(invalid)),
                None => self.lacking(place, &path, Problem::Gates(invalid)),
            }
        }
        None
    }

    /// All errors by place, the first [`MAX_ERRORS`] of them.
    pub(crate) fn into_errors(self) -> Vec<PolicyError> {
        let mut errors = self.errors;
        errors.sort_by(|one, other| (one.place, &one.path).cmp(&(other.place, &other.path)));
        let more = errors.len().saturating_sub(MAX_ERRORS);
        if more > 0 {
            errors.truncate(MAX_ERRORS);
            let place = errors.last().map_or(Place::START, |last| last.place);
            let problem = Problem::More { more };
            errors.push(PolicyError { file: self.file, place, path: String::new(), problem });
        }
        errors
    }
}

/// Whether an error of the layout says already that nothing is known of a path: it is about the same value, or
/// about one around it that is of another kind.
fn covers(error: &PolicyError, path: &str) -> bool {
    let another_kind =
        matches!(error.problem, Problem::Type { .. } | Problem::Null { .. } | Problem::TooMany { .. });
    !error.path.is_empty()
        && path.strip_prefix(error.path.as_str()).is_some_and(|rest| match rest.chars().next() {
            None => true,
            Some(next) => another_kind && ['.', '['].contains(&next),
        })
}
