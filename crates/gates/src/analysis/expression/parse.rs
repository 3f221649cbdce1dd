//! From words to a tree, with the original's precedences.

use super::error::{ExpressionError, MAX_DEPTH, MAX_LENGTH, MAX_PARTS};
use super::token::{Token, tokens};
use super::tree::{Binary, Each, Expr, Function, Unary};

pub(super) fn parse(text: &str) -> Result<Expr, ExpressionError> {
    if text.len() > MAX_LENGTH {
        return Err(ExpressionError::TooLarge);
    }
    if text.trim().is_empty() {
        return Err(ExpressionError::Empty);
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, in_predicate: false, parts: 0 };
    let tree = parser.expression(0)?;
    match parser.token() {
        Token::End => Ok(tree),
        _ => Err(parser.unexpected()),
    }
}

struct Parser<'a> {
    tokens: Vec<(usize, Token<'a>)>,
    at: usize,
    depth: usize,
    in_predicate: bool,
    parts: usize,
}

type Parsed = Result<Expr, ExpressionError>;

impl<'a> Parser<'a> {
    fn token(&self) -> Token<'a> {
        self.tokens.get(self.at).map_or(Token::End, |(_, token)| token.clone())
    }

    fn place(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |(place, _)| *place)
    }

    fn is(&self, symbol: &str) -> bool {
        self.token() == Token::Symbol(symbol)
    }

    fn take(&mut self, symbol: &str) -> bool {
        let there = self.is(symbol);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, symbol: &str) -> Result<(), ExpressionError> {
        if self.take(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> ExpressionError {
        let at = self.place();
        let what = match self.token() {
            Token::Symbol("|") => "a pipe",
            Token::Symbol(";") => "a sequence",
            Token::Symbol("." | "?.") => "a field",
            Token::Symbol("..") => "a range",
            Token::Symbol("{") => "a map",
            Token::Symbol("**" | "^") => "a power",
            Token::Symbol("##" | "::") => "this operator",
            Token::Name("let" | "if") => "`let` or `if`",
            Token::Name("matches" | "contains" | "startsWith" | "endsWith") => "an operator of texts",
            other => return ExpressionError::Unexpected { at, found: shown(&other) },
        };
        ExpressionError::Unsupported { at, what }
    }

    /// What binds at least so tightly.
    fn expression(&mut self, precedence: u16) -> Parsed {
        self.depth += 1;
        self.parts += 1;
        if self.depth > MAX_DEPTH || self.parts > MAX_PARTS {
            return Err(ExpressionError::TooLarge);
        }
        let left = self.primary()?;
        let mut tree = self.operators(left, precedence)?;
        while precedence == 0 && self.take("?") {
            let then = self.expression(0)?;
            self.expect(":")?;
            let or = self.expression(0)?;
            tree = Expr::If(Box::new(tree), Box::new(then), Box::new(or));
        }
        self.depth -= 1;
        Ok(tree)
    }

    fn operators(&mut self, mut left: Expr, precedence: u16) -> Parsed {
        let mut previous = None;
        loop {
            let start = self.at;
            let negated = self.token() == Token::Name("not");
            self.at += usize::from(negated);
            let operator = match self.token() {
                Token::Name(word @ ("or" | "and" | "in")) | Token::Symbol(word) => Binary::of(word),
                _ => None,
            };
            let operator = match operator {
                Some(Binary::In) => Some(Binary::In),
                _ if negated => return Err(self.unexpected()),
                other => other,
            };
            let Some(operator) = operator.filter(|operator| operator.precedence() >= precedence) else {
                self.at = start;
                return Ok(left);
            };
            if previous == Some(Binary::Coalesce) && operator != Binary::Coalesce {
                return Err(ExpressionError::MixedCoalesce { operator: shown(&self.token()) });
            }
            self.at += 1;
            left = if operator.compares() {
                self.comparison(left, operator)?
            } else {
                let right = self.expression(operator.precedence() + 1)?;
                Expr::Binary(operator, Box::new(left), Box::new(right))
            };
            if negated {
                left = Expr::Unary(Unary::Not, Box::new(left));
            }
            previous = Some(operator);
        }
    }

    /// `0 < x < 1` is `0 < x && x < 1`.
    fn comparison(&mut self, left: Expr, operator: Binary) -> Parsed {
        let (mut left, mut operator, mut tree) = (left, operator, None);
        loop {
            let before = self.parts;
            let right = self.expression(operator.precedence() + 1)?;
            self.parts += self.parts - before;
            let compared = Expr::Binary(operator, Box::new(left), Box::new(right.clone()));
            let whole = match tree {
                None => compared,
                Some(tree) => Expr::Binary(Binary::And, Box::new(tree), Box::new(compared)),
            };
            let next = match self.token() {
                Token::Symbol(symbol) => Binary::of(symbol).filter(|next| next.compares()),
                _ => None,
            };
            let Some(next) = next else { return Ok(whole) };
            self.at += 1;
            (left, operator, tree) = (right, next, Some(whole));
        }
    }

    fn primary(&mut self) -> Parsed {
        let unary = match self.token() {
            Token::Name("not") | Token::Symbol("!") => Some((Unary::Not, 50)),
            Token::Symbol("-") => Some((Unary::Minus, 90)),
            Token::Symbol("+") => Some((Unary::Plus, 90)),
            _ => None,
        };
        if let Some((operator, precedence)) = unary {
            self.at += 1;
            let of = self.expression(precedence)?;
            return self.postfix(Expr::Unary(operator, Box::new(of)));
        }
        let place = self.at;
        self.at += 1;
        match self.tokens.get(place).map_or(Token::End, |(_, token)| token.clone()) {
            // As in the original, nothing may be taken from a literal.
            Token::Int(number) => Ok(Expr::Int(number)),
            Token::Float(number) => Ok(Expr::Float(number)),
            Token::Name("true") => Ok(Expr::Bool(true)),
            Token::Name("false") => Ok(Expr::Bool(false)),
            Token::Name("nil") => Ok(Expr::Nil),
            Token::Symbol("(") => {
                let inner = self.expression(0)?;
                self.expect(")")?;
                self.postfix(inner)
            }
            Token::Symbol("[") => {
                let elements = self.arguments("]")?;
                self.postfix(Expr::List(elements))
            }
            Token::Symbol("#") if self.in_predicate => match self.token() {
                // Another name would be the pointer's, however far away.
                Token::Name(name) if !matches!(name, "and" | "or" | "in" | "not") => Err(self.unexpected()),
                _ => self.postfix(Expr::Element),
            },
            Token::Name(
                "in" | "or" | "and" | "let" | "if" | "else" | "matches" | "contains" | "startsWith"
                | "endsWith",
            ) => {
                self.at = place;
                Err(self.unexpected())
            }
            Token::Name(name) => {
                let found = self.name(name)?;
                self.postfix(found)
            }
            _ => {
                self.at = place;
                Err(self.unexpected())
            }
        }
    }

    /// A variable, or a call.
    fn name(&mut self, name: &str) -> Parsed {
        let call = self.take("(");
        match (call, Function::of(name), Each::of(name)) {
            (false, ..) if name == "result" => Ok(Expr::Answer),
            (true, Some(function), _) => Ok(Expr::Call(function, self.arguments(")")?)),
            (true, None, Some(each)) => self.each(each),
            _ => Err(ExpressionError::UnknownName { name: name.to_owned() }),
        }
    }

    /// `all(list, predicate)`
    fn each(&mut self, each: Each) -> Parsed {
        let list = self.expression(0)?;
        let more = self.take(",");
        let predicate = match (more, each.predicate_optional()) {
            (true, _) => {
                let outer = std::mem::replace(&mut self.in_predicate, true);
                let braces = self.take("{");
                let predicate = self.expression(0)?;
                if braces {
                    self.expect("}")?;
                }
                self.in_predicate = outer;
                self.take(",");
                Some(Box::new(predicate))
            }
            (false, true) => None,
            (false, false) => return Err(self.unexpected()),
        };
        self.expect(")")?;
        Ok(Expr::Each(each, Box::new(list), predicate))
    }

    /// Expressions up to a bracket; a comma may be the last.
    fn arguments(&mut self, end: &str) -> Result<Vec<Expr>, ExpressionError> {
        let mut found = Vec::new();
        while !self.take(end) {
            if !found.is_empty() {
                self.expect(",")?;
                if self.take(end) {
                    break;
                }
            }
            found.push(self.expression(0)?);
        }
        Ok(found)
    }

    fn postfix(&mut self, mut tree: Expr) -> Parsed {
        while self.take("[") {
            let index = self.expression(0)?;
            if self.is(":") {
                return Err(ExpressionError::Unsupported { at: self.place(), what: "a slice" });
            }
            self.expect("]")?;
            tree = Expr::Index(Box::new(tree), Box::new(index));
        }
        match self.is(".") || self.is("?.") {
            true => Err(self.unexpected()),
            false => Ok(tree),
        }
    }
}

fn shown(token: &Token<'_>) -> String {
    match token {
        Token::Int(number) => number.to_string(),
        Token::Float(number) => number.to_string(),
        Token::Name(text) | Token::Symbol(text) => (*text).to_owned(),
        Token::End => "end".to_owned(),
    }
}
