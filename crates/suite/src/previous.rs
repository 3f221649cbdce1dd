//! What the step before left in `.granary/`.

use granary_plugin::previous::{Verdict, judge};
use granary_plugin::{Context, Failure, StepResult};
use granary_release::CommitId;

/// What the steps before say.
#[derive(Clone, Debug, PartialEq)]
pub enum Previous {
    /// There was none.
    None,
    /// It did its work.
    Use(Box<StepResult>),
    /// It did not, and so neither does this one; why.
    Skip(String),
}

/// The result of the first of `plugins` that left one.
///
/// # Errors
/// With exit code 20, where the file cannot be read or is about another commit.
pub fn previous_result(context: &Context, plugins: &[&str], commit: &CommitId) -> Result<Previous, Failure> {
    for plugin in plugins {
        if let Some(result) = context.previous(plugin)? {
            return Ok(match judge(result, commit.as_str())? {
                Verdict::Use(result) => Previous::Use(result),
                Verdict::Skip(reason) => Previous::Skip(reason),
            });
        }
    }
    Ok(Previous::None)
}
