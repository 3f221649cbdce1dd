//! The types that the original's checker tells apart.

/// What is known of a value before it is there.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    /// Nothing, for want of a rule.
    Unknown,
    /// Nothing, since a function says `any`. The two differ in what they may be assigned to.
    Any,
    Nil,
    Bool,
    Int,
    /// What `asInt` returns.
    Int64,
    Float,
    List(Slice, Box<Type>),
}

/// How a list is kept there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slice {
    Floats,
    Any,
}

impl Type {
    /// The type of a vector's samples.
    pub(super) fn floats() -> Type {
        Type::List(Slice::Floats, Box::new(Type::Float))
    }

    /// A list that an expression makes.
    pub(super) fn list(element: Type) -> Type {
        Type::List(Slice::Any, Box::new(element))
    }

    pub(super) fn unknown(&self) -> bool {
        matches!(self, Type::Unknown | Type::Any)
    }

    pub(super) fn integer(&self) -> bool {
        matches!(self, Type::Int | Type::Int64)
    }

    pub(super) fn number(&self) -> bool {
        self.integer() || *self == Type::Float
    }

    pub(super) fn bool_or_unknown(&self) -> bool {
        *self == Type::Bool || self.unknown()
    }

    /// Whether both are, or one is and the other may be.
    pub(super) fn both(&self, other: &Type, are: impl Fn(&Type) -> bool) -> bool {
        let may = |kind: &Type| are(kind) || kind.unknown();
        may(self) && may(other)
    }

    pub(super) fn assignable_to(&self, to: &Type) -> bool {
        match (self, to) {
            (Type::Nil, Type::Any | Type::List(..)) => true,
            (Type::Nil | Type::Unknown, _) | (_, Type::Nil | Type::Unknown) => false,
            (_, Type::Any) => true,
            (Type::List(from, _), Type::List(to, _)) => from == to,
            _ => self == to,
        }
    }

    pub(super) fn comparable_to(&self, other: &Type) -> bool {
        self.unknown()
            || other.unknown()
            || *self == Type::Nil
            || *other == Type::Nil
            || self.number() && other.number()
            || matches!((self, other), (Type::List(..), Type::List(..)))
            || self.assignable_to(other)
    }

    /// The type of a sum, difference or product of two numbers.
    pub(super) fn promoted(&self, other: &Type) -> Type {
        match self.unknown() || other.unknown() {
            true => Type::Unknown,
            false if *self == Type::Float || *other == Type::Float => Type::Float,
            false => Type::Int,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Type::Unknown | Type::Any => "unknown",
            Type::Nil => "nil",
            Type::Bool => "bool",
            Type::Int | Type::Int64 => "int",
            Type::Float => "float",
            Type::List(..) => "list",
        }
    }
}
