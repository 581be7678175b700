//! The expression language: a subset of JavaScript without loops, so that every evaluation ends.
//!
//! Values are text, numbers, true and false, null, lists and objects; nothing is ever converted into
//! something else, and `==` and `===` are the same. What the policy's author wrote is checked when
//! the file is read, as far as it can be; what a token brings is checked when it is evaluated.

mod evaluate; // an expression and the circumstances become a value
mod facts; //    what expressions may ask about, under `context`
mod lexer; //    text becomes tokens
mod number; //   whole numbers exactly, all others as floats
mod parser; //   tokens become an expression
mod value; //    what expressions yield

pub use evaluate::evaluate;
pub use facts::Circumstances;
pub use parser::parse;
pub use value::{List, Value};

use facts::Fact;
use number::Number;

/// One expression, and the bytes of the text that say it.
#[derive(Clone, Debug)]
pub struct Expression {
    pub kind: Kind,
    pub at: usize,
    pub end: usize,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(Box<str>),
    /// A text of the author's with a star or a question mark, where names are asked for.
    Pattern(Box<str>),
    List(Vec<Expression>),
    Fact(Fact),
    Member(Box<Expression>, Box<str>),
    Element(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    /// All of them, from left to right, until one is false.
    And(Vec<Expression>),
    /// One of them, from left to right, until one is true.
    Or(Vec<Expression>),
    Sum(Vec<Expression>),
    Compare(Comparison, Box<[Expression; 2]>),
    In(Box<[Expression; 2]>),
    Call(Box<Expression>, Method, Vec<Expression>),
    /// `glob(..)`: text becomes a pattern.
    Glob(Box<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Includes,
    StartsWith,
    EndsWith,
    Substring,
    Split,
    ToLowerCase,
    ToUpperCase,
}

/// What an expression is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// True or false.
    Condition,
    /// A list of names, or one name.
    Names,
}

impl Expression {
    /// What the value is whatever the circumstances; none where they decide.
    fn always(&self) -> Option<&'static str> {
        match &self.kind {
            Kind::Null => Some("null"),
            Kind::Number(_) => Some("a number"),
            Kind::Text(_) => Some("text"),
            Kind::List(_) => Some("a list"),
            Kind::Pattern(_) | Kind::Glob(_) => Some("a pattern"),
            Kind::Sum(_) => Some("a sum"),
            Kind::Fact(fact) => Some(fact.always()),
            Kind::Bool(_) | Kind::Not(_) | Kind::And(_) | Kind::Or(_) | Kind::Compare(..) | Kind::In(_) => {
                Some(TRUE_OR_FALSE)
            }
            Kind::Member(..) | Kind::Element(..) => None,
            Kind::Call(_, method, _) => match method {
                Method::Includes | Method::StartsWith | Method::EndsWith => Some(TRUE_OR_FALSE),
                Method::Substring | Method::ToLowerCase | Method::ToUpperCase => Some("text"),
                Method::Split => Some("a list"),
            },
        }
    }
}

impl Method {
    /// The names of all methods, in the order of the enum.
    pub const WORDS: [&'static str; 7] =
        ["includes", "startsWith", "endsWith", "substring", "split", "toLowerCase", "toUpperCase"];

    const EACH: [Method; 7] = [
        Method::Includes,
        Method::StartsWith,
        Method::EndsWith,
        Method::Substring,
        Method::Split,
        Method::ToLowerCase,
        Method::ToUpperCase,
    ];

    fn parse(word: &str) -> Option<Self> {
        Self::EACH.into_iter().find(|method| method.as_str() == word)
    }

    fn as_str(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// How few and how many arguments it takes.
    fn arguments(self) -> (usize, usize) {
        match self {
            Method::Includes | Method::StartsWith | Method::EndsWith | Method::Split => (1, 1),
            Method::Substring => (1, 2),
            Method::ToLowerCase | Method::ToUpperCase => (0, 0),
        }
    }
}

/// Why a text is no expression, and where.
///
/// Units: `at` counts bytes from the start of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConditionError {
    pub message: String,
    pub at: usize,
}

/// Why an expression has no value in these circumstances, and where; never shows a claim's value.
///
/// Units: `at` counts bytes from the start of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    pub message: String,
    pub at: usize,
}

const TRUE_OR_FALSE: &str = "true or false";
