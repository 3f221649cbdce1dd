//! The functions of values.

use std::cmp::Ordering;
use std::rc::Rc;

use super::EvaluationError;
use super::evaluate::{Value, argument, at};
use super::tree::Function;

pub(super) fn call(
    function: Function,
    arguments: &[Value],
    answer: &Value,
) -> Result<Value, EvaluationError> {
    let first = arguments.first().unwrap_or(&Value::Nil);
    let unfit = || argument(function.name(), first);
    let float = || first.number().ok_or_else(unfit);
    Ok(match function {
        // Both are about the answer, whatever they are called with; a query's answer is never nil.
        Function::Default => answer.clone(),
        Function::IsNil => Value::Bool(false),
        Function::IsNaN | Function::IsInf => match (first, function) {
            (Value::Float(number), Function::IsNaN) => Value::Bool(number.is_nan()),
            (Value::Float(number), _) => Value::Bool(number.is_infinite()),
            _ => return Err(unfit()),
        },
        Function::AsInt | Function::Int => Value::Int(whole(first).ok_or_else(unfit)?),
        Function::AsFloat | Function::Float => Value::Float(float()?),
        Function::Ceil => Value::Float(float()?.ceil()),
        Function::Floor => Value::Float(float()?.floor()),
        // Halves away from zero.
        Function::Round => Value::Float(float()?.round()),
        Function::Abs => match first {
            Value::Int(number) => Value::Int(number.wrapping_abs()),
            // Not `abs`: what is not below zero stays as it is, -0 and NaN among them.
            Value::Float(number) if *number < 0.0 => Value::Float(-number),
            Value::Float(number) => Value::Float(*number),
            _ => return Err(unfit()),
        },
        Function::Len => match first {
            Value::List(elements) => Value::Int(i64::try_from(elements.len()).unwrap_or(i64::MAX)),
            _ => return Err(unfit()),
        },
        Function::First => at(first, &Value::Int(0)).unwrap_or(Value::Nil),
        Function::Last => at(first, &Value::Int(-1)).unwrap_or(Value::Nil),
        Function::Max | Function::Min => extreme(function, arguments, answer)?,
        Function::Mean => {
            let numbers = numbers(function, arguments)?;
            #[expect(clippy::cast_precision_loss, reason = "answers are bounded")]
            let count = numbers.len() as f64;
            // Written out: Rust's own sum begins with -0.
            let sum = numbers.into_iter().fold(0.0, |sum, number| sum + number);
            Value::Float(if count == 0.0 { 0.0 } else { sum / count })
        }
        Function::Median => Value::Float(median(numbers(function, arguments)?)),
    })
}

/// Cut off towards zero. What is not a number, or beyond 64 bits, is the smallest number, as on amd64.
#[expect(clippy::cast_possible_truncation, reason = "only where it fits")]
pub(super) fn whole(value: &Value) -> Option<i64> {
    /// 2^63, the first that does not fit.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Value::Int(number) => Some(*number),
        Value::Float(number) if (-BEYOND..BEYOND).contains(number) => Some(*number as i64),
        Value::Float(_) => Some(i64::MIN),
        _ => None,
    }
}

/// The largest or smallest; nil of nothing. A NaN stays only where it comes first, since nothing is larger
/// than it, nor smaller. Hence it matters that an answer is searched by itself, while the elements of lists
/// that the expression made count as if they were arguments.
fn extreme(function: Function, arguments: &[Value], answer: &Value) -> Result<Value, EvaluationError> {
    let mut best = Value::Nil;
    for one in arguments {
        match one {
            Value::Int(_) | Value::Float(_) => take(function, &mut best, one),
            Value::List(elements) if is_same(one, answer) => {
                let mut found = Value::Nil;
                elements.iter().for_each(|element| take(function, &mut found, element));
                take(function, &mut best, &found);
            }
            Value::List(elements) => {
                for element in elements.iter() {
                    match element {
                        Value::List(_) => {
                            let found = extreme(function, std::slice::from_ref(element), answer)?;
                            take(function, &mut best, &found);
                        }
                        Value::Int(_) | Value::Float(_) => take(function, &mut best, element),
                        other => return Err(argument(function.name(), other)),
                    }
                }
            }
            Value::Nil | Value::Bool(_) if arguments.len() == 1 => return Ok(one.clone()),
            other => return Err(argument(function.name(), other)),
        }
    }
    Ok(best)
}

fn take(function: Function, best: &mut Value, next: &Value) {
    let wanted = if function == Function::Max { Ordering::Less } else { Ordering::Greater };
    let order = match (&*best, next) {
        (_, Value::Nil) => return,
        (Value::Nil, _) => Some(wanted),
        (Value::Int(best), Value::Int(next)) => Some(best.cmp(next)),
        // None with a NaN.
        (best, next) => best.number().zip(next.number()).and_then(|(best, next)| best.partial_cmp(&next)),
    };
    if order == Some(wanted) {
        *best = next.clone();
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    matches!((one, other), (Value::List(one), Value::List(other)) if Rc::ptr_eq(one, other))
}

/// All numbers, lists flattened.
fn numbers(function: Function, values: &[Value]) -> Result<Vec<f64>, EvaluationError> {
    let mut found = Vec::new();
    for value in values {
        match value {
            Value::List(elements) => found.extend(numbers(function, elements)?),
            number => found.push(number.number().ok_or_else(|| argument(function.name(), number))?),
        }
    }
    Ok(found)
}

/// NaN counts as the smallest.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(|one, other| one.partial_cmp(other).unwrap_or_else(|| other.is_nan().cmp(&one.is_nan())));
    let middle = numbers.len() / 2;
    let at = |index: usize| numbers.get(index).copied().unwrap_or(0.0);
    match numbers.len() {
        0 => 0.0,
        count if count % 2 == 1 => at(middle),
        #[expect(clippy::manual_midpoint, reason = "overflows as the original does")]
        _ => (at(middle - 1) + at(middle)) / 2.0,
    }
}
