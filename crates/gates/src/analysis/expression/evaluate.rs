//! The value of a condition that has been checked. What types could not tell beforehand is told here.

use std::rc::Rc;

use super::EvaluationError;
use super::builtins;
use super::tree::{Binary, Each, Expr, Unary};

/// A value on the way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    List(Rc<[Value]>),
}

type Evaluated = Result<Value, EvaluationError>;

impl Value {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::List(_) => "list",
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "as the original does")]
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }
}

pub(super) fn evaluate(tree: &Expr, answer: &Value, element: Option<&Value>) -> Evaluated {
    let value = |tree: &Expr| evaluate(tree, answer, element);
    match tree {
        Expr::Nil => Ok(Value::Nil),
        Expr::Bool(value) => Ok(Value::Bool(*value)),
        Expr::Int(number) => Ok(Value::Int(*number)),
        Expr::Float(number) => Ok(Value::Float(*number)),
        Expr::Answer => Ok(answer.clone()),
        Expr::Element => Ok(element.cloned().unwrap_or(Value::Nil)),
        Expr::List(elements) => Ok(Value::List(elements.iter().map(value).collect::<Result<_, _>>()?)),
        Expr::Unary(operator, of) => unary(*operator, &value(of)?),
        Expr::Binary(operator @ (Binary::Or | Binary::And), left, right) => {
            let left = truth(operator.symbol(), &value(left)?)?;
            // The right side's own value, whatever it is.
            if left == (*operator == Binary::Or) { Ok(Value::Bool(left)) } else { value(right) }
        }
        Expr::Binary(Binary::Coalesce, left, right) => match value(left)? {
            Value::Nil => value(right),
            left => Ok(left),
        },
        Expr::Binary(operator, left, right) => binary(*operator, &value(left)?, &value(right)?),
        Expr::Index(of, index) => at(&value(of)?, &value(index)?),
        Expr::If(condition, then, or) => {
            if truth("?", &value(condition)?)? {
                value(then)
            } else {
                value(or)
            }
        }
        Expr::Call(function, arguments) => {
            let arguments = arguments.iter().map(value).collect::<Result<Vec<_>, _>>()?;
            builtins::call(*function, &arguments, answer)
        }
        Expr::Each(each, list, predicate) => match value(list)? {
            Value::List(elements) => over(*each, &elements, |element| match predicate {
                Some(predicate) => evaluate(predicate, answer, Some(element)),
                None => Ok(element.clone()),
            }),
            other => Err(argument(each.name(), &other)),
        },
    }
}

fn over(each: Each, elements: &[Value], ask: impl Fn(&Value) -> Evaluated) -> Evaluated {
    let holds = |element: &Value| truth(each.name(), &ask(element)?);
    let find = |wanted: bool| -> Result<bool, EvaluationError> {
        for element in elements {
            if holds(element)? == wanted {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let hold = || -> Result<Vec<Value>, EvaluationError> {
        let mut found = Vec::new();
        for element in elements {
            if holds(element)? {
                found.push(element.clone());
            }
        }
        Ok(found)
    };
    Ok(match each {
        Each::All => Value::Bool(!find(false)?),
        Each::Any => Value::Bool(find(true)?),
        Each::None => Value::Bool(!find(true)?),
        Each::One => Value::Bool(hold()?.len() == 1),
        Each::Count => Value::Int(i64::try_from(hold()?.len()).unwrap_or(i64::MAX)),
        Each::Filter => Value::List(hold()?.into()),
        Each::Map => Value::List(elements.iter().map(ask).collect::<Result<_, _>>()?),
        // Of nothing it is the whole number 0.
        Each::Sum => elements
            .iter()
            .try_fold(Value::Int(0), |sum, element| binary(Binary::Add, &ask(element)?, &sum))?,
    })
}

fn truth(operator: &'static str, value: &Value) -> Result<bool, EvaluationError> {
    match value {
        Value::Bool(value) => Ok(*value),
        other => Err(EvaluationError::Operands { operator, operands: other.kind().to_owned() }),
    }
}

fn unary(operator: Unary, of: &Value) -> Evaluated {
    Ok(match (operator, of) {
        (Unary::Not, of) => Value::Bool(!truth("!", of)?),
        (Unary::Minus, Value::Int(number)) => Value::Int(number.wrapping_neg()),
        (Unary::Minus, Value::Float(number)) => Value::Float(-number),
        // Nothing is done, nor looked at.
        (Unary::Plus, any) => any.clone(),
        (operator, other) => {
            let operands = other.kind().to_owned();
            return Err(EvaluationError::Operands { operator: operator.symbol(), operands });
        }
    })
}

fn binary(operator: Binary, left: &Value, right: &Value) -> Evaluated {
    match operator {
        Binary::Equal => return Ok(Value::Bool(equal(left, right))),
        Binary::NotEqual => return Ok(Value::Bool(!equal(left, right))),
        Binary::In => return contains(right, left).map(Value::Bool),
        _ => {}
    }
    let mismatch = || EvaluationError::Operands {
        operator: operator.symbol(),
        operands: format!("{} and {}", left.kind(), right.kind()),
    };
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        let (left, right) = (*left, *right);
        match operator {
            Binary::Add => return Ok(Value::Int(left.wrapping_add(right))),
            Binary::Subtract => return Ok(Value::Int(left.wrapping_sub(right))),
            Binary::Multiply => return Ok(Value::Int(left.wrapping_mul(right))),
            Binary::Modulo if right == 0 => return Err(EvaluationError::DivideByZero),
            Binary::Modulo => return Ok(Value::Int(left.wrapping_rem(right))),
            Binary::Less => return Ok(Value::Bool(left < right)),
            Binary::More => return Ok(Value::Bool(left > right)),
            Binary::LessOrEqual => return Ok(Value::Bool(left <= right)),
            Binary::MoreOrEqual => return Ok(Value::Bool(left >= right)),
            _ => {}
        }
    }
    let (left, right) = left.number().zip(right.number()).ok_or_else(mismatch)?;
    Ok(match operator {
        Binary::Add => Value::Float(left + right),
        Binary::Subtract => Value::Float(left - right),
        Binary::Multiply => Value::Float(left * right),
        Binary::Divide => Value::Float(left / right),
        Binary::Less => Value::Bool(left < right),
        Binary::More => Value::Bool(left > right),
        Binary::LessOrEqual => Value::Bool(left <= right),
        Binary::MoreOrEqual => Value::Bool(left >= right),
        _ => return Err(mismatch()),
    })
}

#[expect(clippy::float_cmp, reason = "`==` as it is written")]
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right.iter()).all(|(left, right)| equal(left, right))
        }
        (Value::Int(left), Value::Int(right)) => left == right,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Nil, Value::Nil) => true,
        _ => left.number().zip(right.number()).is_some_and(|(left, right)| left == right),
    }
}

fn contains(list: &Value, wanted: &Value) -> Result<bool, EvaluationError> {
    match list {
        Value::Nil => Ok(false),
        Value::List(elements) => Ok(elements.iter().any(|element| equal(element, wanted))),
        other => Err(EvaluationError::Operands { operator: "in", operands: other.kind().to_owned() }),
    }
}

/// An element; negative numbers count from the end.
pub(super) fn at(list: &Value, index: &Value) -> Evaluated {
    let mismatch = || EvaluationError::Operands {
        operator: "[]",
        operands: format!("{} and {}", list.kind(), index.kind()),
    };
    let Value::List(elements) = list else { return Err(mismatch()) };
    let index = builtins::whole(index).ok_or_else(mismatch)?;
    let length = elements.len();
    let found = match index.is_negative() {
        true => usize::try_from(index.unsigned_abs()).ok().and_then(|back| length.checked_sub(back)),
        false => usize::try_from(index).ok(),
    };
    found.and_then(|found| elements.get(found)).cloned().ok_or(EvaluationError::OutOfRange { index, length })
}

pub(super) fn argument(function: &'static str, value: &Value) -> EvaluationError {
    EvaluationError::Argument { function, argument: value.kind().to_owned() }
}
