//! The conditions of metrics: the part of expr-lang in which they are written.
//!
//! # Design
//!
//! A condition that is accepted means here what it means to Argo Rollouts (expr-lang 1.17), errors
//! included; one that might mean something else is refused when the policy is read. Hence types are checked
//! before anything is evaluated, as there, and constants are folded, as there: `result[5] > 1 || true` holds
//! for an answer of one element, `result[5] > 1` is an error. Predicates may contain only what cannot fail
//! for one element and not for another, since the original's optimiser may or may not look at it.
//!
//! Not the crate `expr-lang`: it has no types, so that errors become values (`result[0]` of nothing is nil
//! there, and `nil ?? 1` a success), and neither chained comparisons nor the original's precedences.

use std::rc::Rc;

mod builtins;
mod check;
mod error;
mod evaluate;
mod fold;
mod parse;
mod token;
mod tree;
mod types;

pub use error::{EvaluationError, ExpressionError};
pub(crate) use evaluate::Value;
use tree::Expr;
use types::Type;

/// A condition in its written form, and understood.
#[derive(Clone, Debug)]
pub struct Condition {
    text: String,
    tree: Expr,
}

impl Condition {
    /// Reads a condition, and makes sure that it can be asked of a scalar or of a list.
    ///
    /// # Errors
    ///
    /// What is wrong or not supported. Where the types go with neither form of an answer, the complaint is
    /// the one about lists, which is what most queries answer.
    pub fn parse(text: &str) -> Result<Condition, ExpressionError> {
        let tree = parse::parse(text)?;
        match (prepare(&tree, &Type::floats()), prepare(&tree, &Type::Float)) {
            (Err(error @ EvaluationError::Unsupported { .. }), _)
            | (_, Err(error @ EvaluationError::Unsupported { .. }))
            | (Err(error), Err(_)) => Err(ExpressionError::Types(error)),
            _ => Ok(Condition { text: text.to_owned(), tree }),
        }
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds for this value.
    ///
    /// # Errors
    ///
    /// Whatever is an error to Argo Rollouts: an element that is not there, types that do not go together.
    pub fn holds(&self, result: &super::Value) -> Result<bool, EvaluationError> {
        let (kind, result) = match result {
            super::Value::Scalar(number) => (Type::Float, Value::Float(*number)),
            super::Value::List(numbers) => {
                let numbers: Rc<[Value]> = numbers.iter().map(|number| Value::Float(*number)).collect();
                (Type::floats(), Value::List(numbers))
            }
        };
        let tree = prepare(&self.tree, &kind)?;
        match evaluate::evaluate(&tree, &result, None)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(EvaluationError::NotABool { found: other.kind() }),
        }
    }
}

/// Checked and folded for a result of this type.
fn prepare(tree: &Expr, result: &Type) -> Result<Expr, EvaluationError> {
    let mut tree = tree.clone();
    check::check(&mut tree, result)?;
    fold::fold(tree)
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Condition {}
