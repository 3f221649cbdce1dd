//! Constants, computed beforehand. Visible from outside: what is decided by a constant on either side is not
//! evaluated at all, and a constant division by zero fails wherever it stands.

use super::EvaluationError;
use super::tree::{Binary, Each, Expr, Function, Unary};

pub(super) fn fold(tree: Expr) -> Result<Expr, EvaluationError> {
    let boxed = |tree: Box<Expr>| fold(*tree).map(Box::new);
    let all = |trees: Vec<Expr>| trees.into_iter().map(fold).collect::<Result<Vec<_>, _>>();
    Ok(match tree {
        Expr::List(elements) => Expr::List(all(elements)?),
        Expr::Unary(operator, of) => unary(operator, fold(*of)?),
        Expr::Binary(operator, left, right) => binary(operator, fold(*left)?, fold(*right)?)?,
        Expr::Index(of, index) => {
            let (of, index) = (boxed(of)?, boxed(index)?);
            if *index == Expr::Int(-1) {
                not_filtered(&of)?;
            }
            Expr::Index(of, index)
        }
        Expr::If(condition, then, or) => Expr::If(boxed(condition)?, boxed(then)?, boxed(or)?),
        Expr::Call(function, arguments) => {
            let arguments = all(arguments)?;
            if function == Function::Last {
                arguments.iter().try_for_each(not_filtered)?;
            }
            Expr::Call(function, arguments)
        }
        Expr::Each(each, list, predicate) => {
            let predicate = predicate.map(boxed).transpose()?;
            match (each, fold(*list)?, predicate) {
                (Each::Sum, Expr::List(elements), None) => sum(elements),
                (_, list, predicate) => Expr::Each(each, Box::new(list), predicate),
            }
        }
        leaf => leaf,
    })
}

/// The original makes a search from the end of this, which leaves a value too many on its stack (expr-lang
/// 1.17.8, `emitLoopBackwards`): `1 < last(filter(…))` compares with that one.
fn not_filtered(list: &Expr) -> Result<(), EvaluationError> {
    match list {
        Expr::Each(Each::Filter | Each::Map, ..) => {
            Err(EvaluationError::Unsupported { what: "the last element of filter or map" })
        }
        _ => Ok(()),
    }
}

/// `sum([a, b, c])` is `a + (b + c)` unless all are constants: that order is what rounding depends on.
fn sum(mut elements: Vec<Expr>) -> Expr {
    let constant = |tree: &Expr| matches!(tree, Expr::Bool(_) | Expr::Int(_) | Expr::Float(_));
    if elements.len() < 2 || elements.iter().all(constant) {
        return Expr::Each(Each::Sum, Box::new(Expr::List(elements)), None);
    }
    let last = elements.pop().unwrap_or(Expr::Nil);
    elements
        .into_iter()
        .rev()
        .fold(last, |sum, element| Expr::Binary(Binary::Add, Box::new(element), Box::new(sum)))
}

fn unary(operator: Unary, of: Expr) -> Expr {
    match (operator, of) {
        (Unary::Not, Expr::Bool(value)) => Expr::Bool(!value),
        (Unary::Minus, Expr::Int(number)) => Expr::Int(number.wrapping_neg()),
        (Unary::Minus, Expr::Float(number)) => Expr::Float(-number),
        (Unary::Plus, number @ (Expr::Int(_) | Expr::Float(_))) => number,
        (operator, of) => Expr::Unary(operator, Box::new(of)),
    }
}

fn binary(operator: Binary, left: Expr, right: Expr) -> Result<Expr, EvaluationError> {
    Ok(match (operator, left, right) {
        (Binary::And, Expr::Bool(true), other) | (Binary::And, other, Expr::Bool(true)) => other,
        (Binary::And, Expr::Bool(false), _) | (Binary::And, _, Expr::Bool(false)) => Expr::Bool(false),
        (Binary::Or, Expr::Bool(false), other) | (Binary::Or, other, Expr::Bool(false)) => other,
        (Binary::Or, Expr::Bool(true), _) | (Binary::Or, _, Expr::Bool(true)) => Expr::Bool(true),
        (Binary::Equal, Expr::Bool(left), Expr::Bool(right)) => Expr::Bool(left == right),
        // Only these: `1 < 2`, `1 != 2` and `1.0 == 1` are left for later, and decide nothing beforehand.
        (Binary::Equal, Expr::Int(left), Expr::Int(right)) => Expr::Bool(left == right),
        (Binary::Modulo, Expr::Int(_), Expr::Int(0)) => return Err(EvaluationError::DivideByZero),
        (Binary::Modulo, Expr::Int(left), Expr::Int(right)) => Expr::Int(left.wrapping_rem(right)),
        (Binary::Add, Expr::Int(left), Expr::Int(right)) => Expr::Int(left.wrapping_add(right)),
        (Binary::Subtract, Expr::Int(left), Expr::Int(right)) => Expr::Int(left.wrapping_sub(right)),
        (Binary::Multiply, Expr::Int(left), Expr::Int(right)) => Expr::Int(left.wrapping_mul(right)),
        // Floats are computed alike now and later.
        (operator, left, right) => Expr::Binary(operator, Box::new(left), Box::new(right)),
    })
}
