//! Types, before anything is evaluated: what does not fit is an error even where it would not be reached.

use super::EvaluationError;
use super::tree::{Binary, Each, Expr, Function, Unary};
use super::types::{Slice, Type};

type Checked = Result<Type, EvaluationError>;

/// The type of a condition for an answer of this type. Whole numbers that a function takes as floats become
/// floats.
pub(super) fn check(tree: &mut Expr, answer: &Type) -> Checked {
    Checker { answer, element: None }.visit(tree)
}

struct Checker<'a> {
    answer: &'a Type,
    /// Of the list that the predicate is asked of.
    element: Option<Type>,
}

impl Checker<'_> {
    fn visit(&mut self, tree: &mut Expr) -> Checked {
        match tree {
            Expr::Nil => self.not_in_predicate("nil in a predicate").map(|()| Type::Nil),
            Expr::Bool(_) => Ok(Type::Bool),
            Expr::Int(_) => Ok(Type::Int),
            Expr::Float(_) => Ok(Type::Float),
            Expr::Answer => Ok(self.answer.clone()),
            Expr::Element => Ok(self.element.clone().unwrap_or(Type::Unknown)),
            Expr::List(elements) => {
                self.not_in_predicate("a list in a predicate")?;
                self.list(elements)
            }
            Expr::Unary(operator, of) => {
                let kind = self.visit(of)?;
                unary(*operator, kind)
            }
            Expr::Binary(operator, left, right) => {
                let (left, right) = (self.visit(left)?, self.visit(right)?);
                if matches!(operator, Binary::Modulo | Binary::Coalesce | Binary::In) {
                    self.not_in_predicate("%, in or ?? in a predicate")?;
                }
                binary(*operator, left, right)
            }
            Expr::Index(of, index) => {
                self.not_in_predicate("an index in a predicate")?;
                let (of, index) = (self.visit(of)?, self.visit(index)?);
                match of {
                    Type::Unknown | Type::Any => Ok(Type::Unknown),
                    Type::List(_, element) if index.integer() || index.unknown() => Ok(*element),
                    of => Err(mismatch("[]", &of, &index)),
                }
            }
            Expr::If(condition, then, or) => {
                let condition = self.visit(condition)?;
                if !condition.bool_or_unknown() {
                    return Err(mismatch("?", &condition, &condition));
                }
                let (then, or) = (self.visit(then)?, self.visit(or)?);
                let found = branches(&then, &or)?;
                if found.unknown() {
                    self.not_in_predicate("a choice between types in a predicate")?;
                }
                Ok(found)
            }
            Expr::Call(function, arguments) => self.call(*function, arguments),
            Expr::Each(each, list, predicate) => {
                self.not_in_predicate("a predicate in a predicate")?;
                let list = self.visit(list)?;
                self.each(*each, &list, predicate.as_deref_mut())
            }
        }
    }

    /// What fails for some elements only is kept out of predicates.
    fn not_in_predicate(&self, what: &'static str) -> Result<(), EvaluationError> {
        match self.element {
            Some(_) => Err(EvaluationError::Unsupported { what }),
            None => Ok(()),
        }
    }

    fn list(&mut self, elements: &mut [Expr]) -> Checked {
        let mut kinds =
            elements.iter_mut().map(|element| self.visit(element)).collect::<Result<Vec<_>, _>>()?;
        let list = |kind: &Type| matches!(kind, Type::List(..));
        let same = |pair: &[Type]| pair[0] == pair[1] || list(&pair[0]) && list(&pair[1]);
        Ok(match kinds.windows(2).all(same) {
            true => Type::list(kinds.pop().unwrap_or(Type::Unknown)),
            false => Type::list(Type::Any),
        })
    }

    fn each(&mut self, each: Each, list: &Type, predicate: Option<&mut Expr>) -> Checked {
        let element = match list {
            Type::List(_, element) => (**element).clone(),
            Type::Unknown | Type::Any => Type::Unknown,
            other => return Err(argument(each.name(), other)),
        };
        let found = match predicate {
            None => None,
            Some(_) if !element.number() && element != Type::Bool && *list != Type::list(Type::Unknown) => {
                return Err(EvaluationError::Unsupported { what: "a predicate of elements of unknown type" });
            }
            Some(predicate) => {
                self.element = Some(element.clone());
                let found = self.visit(predicate);
                self.element = None;
                Some(found?)
            }
        };
        match each {
            Each::Sum => Ok(found.unwrap_or(element)),
            Each::Map => Ok(Type::list(found.unwrap_or(element))),
            _ if found.as_ref().is_some_and(|found| !found.bool_or_unknown()) => {
                Err(argument(each.name(), found.as_ref().unwrap_or(&element)))
            }
            Each::Count => Ok(Type::Int),
            Each::Filter if list.unknown() => Ok(Type::list(Type::Any)),
            Each::Filter => Ok(Type::list(element)),
            _ => Ok(Type::Bool),
        }
    }

    fn call(&mut self, function: Function, arguments: &mut [Expr]) -> Checked {
        let name = function.name();
        let aggregate = matches!(function, Function::Max | Function::Min | Function::Mean | Function::Median);
        let wanted = if function == Function::Default { 2 } else { 1 };
        if arguments.is_empty() || !aggregate && arguments.len() != wanted {
            return Err(EvaluationError::ArgumentCount { function: name, count: arguments.len() });
        }
        if aggregate || matches!(function, Function::First | Function::Last | Function::Default) {
            self.not_in_predicate("this function in a predicate")?;
        }
        let kinds =
            arguments.iter_mut().map(|argument| self.visit(argument)).collect::<Result<Vec<_>, _>>()?;
        let first = &kinds[0];
        let numbers = first.number() || first.unknown();
        match function {
            Function::Default => Ok(Type::Any),
            Function::IsNil => Ok(Type::Bool),
            Function::IsNaN | Function::IsInf if first.integer() => {
                // Other whole numbers fail once they are reached, as in the original.
                if !as_float(&mut arguments[0]) {
                    self.not_in_predicate("isNaN or isInf of whole numbers in a predicate")?;
                }
                Ok(Type::Bool)
            }
            Function::IsNaN | Function::IsInf if numbers => Ok(Type::Bool),
            Function::Len => match first {
                Type::List(..) | Type::Unknown | Type::Any => Ok(Type::Int),
                other => Err(argument(name, other)),
            },
            Function::First | Function::Last => match first {
                Type::List(Slice::Floats, _) => Ok(Type::Float),
                Type::List(..) | Type::Unknown | Type::Any => Ok(Type::Any),
                other => Err(argument(name, other)),
            },
            _ if aggregate => aggregated(function, &kinds),
            // The two that take anything, and fail once they are reached.
            Function::AsInt | Function::AsFloat => {
                if !numbers {
                    self.not_in_predicate("asInt or asFloat of no number in a predicate")?;
                }
                Ok(if function == Function::AsInt { Type::Int64 } else { Type::Float })
            }
            _ if !numbers => Err(argument(name, first)),
            Function::Int => Ok(Type::Int),
            Function::Abs if first.unknown() => Ok(Type::Any),
            Function::Abs => Ok(first.clone()),
            _ => Ok(Type::Float),
        }
    }
}

/// The type of the largest, of a mean: unknown as soon as a list is among them.
fn aggregated(function: Function, kinds: &[Type]) -> Checked {
    for kind in kinds {
        match kind {
            Type::List(..) | Type::Unknown | Type::Any => return Ok(Type::Any),
            number if number.number() => {}
            other => return Err(argument(function.name(), other)),
        }
    }
    // The original takes the first one's type for the answer's, and fails where that is not so.
    let first = &kinds[0];
    let mean = matches!(function, Function::Mean | Function::Median);
    match first.integer() && (mean || kinds.iter().any(|kind| kind != first)) {
        true => {
            Err(EvaluationError::Unsupported { what: "a mean or extreme of whole numbers beside others" })
        }
        false => Ok(first.clone()),
    }
}

/// Makes floats of whole numbers that are written as such; false for anything else.
fn as_float(tree: &mut Expr) -> bool {
    match tree {
        #[expect(clippy::cast_precision_loss, reason = "as the original does")]
        Expr::Int(number) => *tree = Expr::Float(*number as f64),
        Expr::Unary(Unary::Minus | Unary::Plus, of) => return as_float(of),
        Expr::Binary(Binary::Add | Binary::Subtract | Binary::Multiply, left, right) => {
            // Both, whether or not the other one can be.
            return as_float(left) & as_float(right);
        }
        _ => return false,
    }
    true
}

fn unary(operator: Unary, kind: Type) -> Checked {
    match operator {
        Unary::Not if kind.bool_or_unknown() => Ok(Type::Bool),
        Unary::Minus | Unary::Plus if kind.number() => Ok(kind),
        Unary::Minus | Unary::Plus if kind.unknown() => Ok(Type::Unknown),
        _ => Err(EvaluationError::Operands { operator: operator.symbol(), operands: kind.name().to_owned() }),
    }
}

fn binary(operator: Binary, left: Type, right: Type) -> Checked {
    let (numbers, found) = (left.both(&right, Type::number), left.both(&right, |kind| *kind == Type::Bool));
    match (operator, &right) {
        (Binary::Equal | Binary::NotEqual, _) if left.comparable_to(&right) => Ok(Type::Bool),
        (Binary::Or | Binary::And, _) if found => Ok(Type::Bool),
        (Binary::Less | Binary::More | Binary::LessOrEqual | Binary::MoreOrEqual, _) if numbers => {
            Ok(Type::Bool)
        }
        (Binary::Add | Binary::Subtract | Binary::Multiply, _) if numbers => Ok(left.promoted(&right)),
        (Binary::Divide, _) if numbers => Ok(Type::Float),
        (Binary::Modulo, _) if left.both(&right, Type::integer) => Ok(Type::Int),
        (Binary::In, Type::List(_, element)) if left.comparable_to(element) => Ok(Type::Bool),
        (Binary::In, Type::Unknown | Type::Any) => Ok(Type::Bool),
        (Binary::Coalesce, _) => Ok(match (&left, &right) {
            (Type::Nil, _) => right,
            (_, Type::Nil) => left,
            _ if right.assignable_to(&left) => left,
            _ => Type::Unknown,
        }),
        _ => Err(mismatch(operator.symbol(), &left, &right)),
    }
}

const UNLIKE: EvaluationError = EvaluationError::Unsupported { what: "a choice between unlike values" };

fn branches(then: &Type, or: &Type) -> Checked {
    Ok(match (then, or) {
        (Type::Nil, Type::Nil) => Type::Nil,
        // The original takes the other branch's type for the answer's, and fails where that is not so.
        (Type::Nil, _) | (_, Type::Nil) => return Err(UNLIKE),
        (Type::List(_, one), Type::List(_, other)) if then.assignable_to(or) => {
            if one.assignable_to(other) && other.assignable_to(one) {
                then.clone()
            } else {
                Type::list(Type::Any)
            }
        }
        // Of unlike branches where the second may be anything, it would be the first's type.
        (_, Type::Any) if *then != Type::Any => return Err(UNLIKE),
        _ if then.assignable_to(or) => then.clone(),
        _ => Type::Unknown,
    })
}

pub(super) fn mismatch(operator: &'static str, left: &Type, right: &Type) -> EvaluationError {
    EvaluationError::Operands { operator, operands: format!("{} and {}", left.name(), right.name()) }
}

fn argument(function: &'static str, kind: &Type) -> EvaluationError {
    EvaluationError::Argument { function, argument: kind.name().to_owned() }
}
