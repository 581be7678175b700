//! Conditions and computed names: expressions over what is known of one login.

use crate::names::{Glob, Principal};

/// What is known of one login, as expressions see it.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    pub auth_type: &'a str,
    pub principal: &'a Principal,
    /// The token's claims; `Null` where there is no token.
    pub claims: &'a serde_json::Value,
    /// The SASL extensions that came with the token.
    pub extensions: &'a [(String, String)],
    pub client_id: Option<&'a str>,
    pub client_address: &'a str,
    pub listener: &'a str,
}

/// An expression that is true or false of a login.
#[derive(Clone, Debug)]
pub struct Condition(bool);

impl Condition {
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        match text {
            "true" => Ok(Self(true)),
            "false" => Ok(Self(false)),
            _ => Err(ConditionError { message: "expected true or false".to_owned(), at: 0 }),
        }
    }

    pub fn evaluate(&self, _: &Circumstances) -> Result<bool, EvalError> {
        Ok(self.0)
    }
}

/// An expression that yields a rule's names.
#[derive(Clone, Debug)]
pub struct NameExpression(());

/// A name that an expression yielded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComputedName {
    /// Literal text, whatever characters it holds.
    Literal(String),
    /// A pattern, said aloud with `glob()`.
    Pattern(Glob),
}

impl NameExpression {
    pub fn parse(_: &str) -> Result<Self, ConditionError> {
        Err(ConditionError { message: "expected a list of names".to_owned(), at: 0 })
    }

    pub(super) fn evaluate(&self, _: &Circumstances) -> Result<Vec<ComputedName>, EvalError> {
        Ok(Vec::new())
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

/// Why an expression has no value for this login, and where.
///
/// Units: `at` counts bytes from the start of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    pub message: String,
    pub at: usize,
}
