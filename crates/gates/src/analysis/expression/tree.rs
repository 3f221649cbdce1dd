//! What a condition is made of.

/// A part of a condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// `result`
    Answer,
    /// `#`, the element that a predicate is about.
    Element,
    List(Vec<Expr>),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    Index(Box<Expr>, Box<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    Call(Function, Vec<Expr>),
    /// A function over the elements of a list.
    Each(Each, Box<Expr>, Option<Box<Expr>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Not,
    Plus,
    Minus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    More,
    LessOrEqual,
    MoreOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Coalesce,
}

impl Unary {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Unary::Not => "!",
            Unary::Plus => "+",
            Unary::Minus => "-",
        }
    }
}

impl Binary {
    pub(super) fn of(symbol: &str) -> Option<Binary> {
        Some(match symbol {
            "or" | "||" => Binary::Or,
            "and" | "&&" => Binary::And,
            "==" => Binary::Equal,
            "!=" => Binary::NotEqual,
            "<" => Binary::Less,
            ">" => Binary::More,
            "<=" => Binary::LessOrEqual,
            ">=" => Binary::MoreOrEqual,
            "in" => Binary::In,
            "+" => Binary::Add,
            "-" => Binary::Subtract,
            "*" => Binary::Multiply,
            "/" => Binary::Divide,
            "%" => Binary::Modulo,
            "??" => Binary::Coalesce,
            _ => return None,
        })
    }

    /// The original's numbers.
    pub(super) fn precedence(self) -> u16 {
        match self {
            Binary::Or => 10,
            Binary::And => 15,
            Binary::Add | Binary::Subtract => 30,
            Binary::Multiply | Binary::Divide | Binary::Modulo => 60,
            Binary::Coalesce => 500,
            _ => 20,
        }
    }

    /// Those that may be chained: `0 < x < 1`.
    pub(super) fn compares(self) -> bool {
        matches!(self, Binary::Less | Binary::More | Binary::LessOrEqual | Binary::MoreOrEqual)
    }

    pub(super) fn symbol(self) -> &'static str {
        match self {
            Binary::Or => "||",
            Binary::And => "&&",
            Binary::Equal => "==",
            Binary::NotEqual => "!=",
            Binary::Less => "<",
            Binary::More => ">",
            Binary::LessOrEqual => "<=",
            Binary::MoreOrEqual => ">=",
            Binary::In => "in",
            Binary::Add => "+",
            Binary::Subtract => "-",
            Binary::Multiply => "*",
            Binary::Divide => "/",
            Binary::Modulo => "%",
            Binary::Coalesce => "??",
        }
    }
}

/// Names of functions, and the enum of them.
macro_rules! named {
    ($(#[$doc:meta])* $enum:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $enum { $($variant),+ }

        impl $enum {
            pub(super) fn of(name: &str) -> Option<$enum> {
                match name { $($name => Some($enum::$variant),)+ _ => None }
            }

            pub(super) fn name(self) -> &'static str {
                match self { $($enum::$variant => $name),+ }
            }
        }
    };
}

named! {
    /// Functions of values. The first six are Rollouts' own.
    Function {
        AsInt = "asInt", AsFloat = "asFloat", IsNaN = "isNaN", IsInf = "isInf", IsNil = "isNil",
        Default = "default", Len = "len", Abs = "abs", Ceil = "ceil", Floor = "floor", Round = "round",
        Int = "int", Float = "float",
        Max = "max", Min = "min", Mean = "mean", Median = "median", First = "first", Last = "last",
    }
}

named! {
    /// Functions that ask something of each element.
    Each {
        All = "all", Any = "any", None = "none", One = "one", Filter = "filter", Map = "map", Count = "count",
        Sum = "sum",
    }
}

impl Each {
    /// Whether it can do without a predicate.
    pub(super) fn predicate_optional(self) -> bool {
        matches!(self, Each::Count | Each::Sum)
    }
}
