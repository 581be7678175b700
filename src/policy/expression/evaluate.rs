//! An expression and the circumstances become a value.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::facts::Circumstances;
use super::value::{List, Value};
use super::{Comparison, EvalError, Expression, Kind, Method};

/// The value of an expression that was read from `text`.
///
/// Shape: no loops and no growth but by `+`; each operation walks at most once over what it is given.
/// Limits: a text that is put together has at most 64 KiB.
/// Errors: an operation on a type that it does not know; nothing is converted.
pub fn evaluate<'a>(
    expression: &'a Expression,
    text: &'a str,
    circumstances: &Circumstances<'a>,
) -> Result<Value<'a>, EvalError> {
    Evaluator { text, circumstances }.value(expression)
}

struct Evaluator<'a, 'c> {
    text: &'a str,
    circumstances: &'c Circumstances<'a>,
}

impl<'a> Evaluator<'a, '_> {
    fn value(&self, expression: &'a Expression) -> Result<Value<'a>, EvalError> {
        Ok(match &expression.kind {
            Kind::Null => Value::Null,
            Kind::Bool(truth) => Value::Bool(*truth),
            Kind::Number(number) => Value::Number(*number),
            Kind::Text(text) => Value::text(text),
            Kind::Pattern(text) => Value::Pattern(Cow::Borrowed(text)),
            Kind::List(items) => {
                Value::List(List::Made(items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?))
            }
            Kind::Fact(fact) => fact.of(self.circumstances),
            Kind::Member(of, key) => self.member(of, key)?,
            Kind::Element(of, index) => self.element(of, index)?,
            Kind::Not(operand) => Value::Bool(!self.truth(operand)?),
            Kind::And(operands) => Value::Bool(self.until(operands, false)?),
            Kind::Or(operands) => Value::Bool(self.until(operands, true)?),
            Kind::Sum(operands) => self.sum(operands)?,
            Kind::Compare(comparison, operands) => Value::Bool(self.compare(*comparison, operands)?),
            Kind::In(operands) => Value::Bool(self.is_in(operands)?),
            Kind::Call(on, method, arguments) => self.call(on, *method, arguments)?,
            Kind::Glob(inner) => self.glob(inner)?,
        })
    }

    /// What is not there is null, and what would stand below it too.
    fn member(&self, of: &'a Expression, key: &str) -> Result<Value<'a>, EvalError> {
        match (self.value(of)?, key) {
            (Value::Null, _) => Ok(Value::Null),
            (Value::Object(object), _) => Ok(object.field(key).unwrap_or(Value::Null)),
            (Value::Text(text), "length") => Ok(length(text.chars().count())),
            (Value::List(list), "length") => Ok(length(list.len())),
            (other, _) => self.fail(of, format!("is {} and has no {key}", other.what())),
        }
    }

    fn element(&self, of: &'a Expression, index: &'a Expression) -> Result<Value<'a>, EvalError> {
        match (self.value(of)?, self.value(index)?) {
            (Value::Null, _) => Ok(Value::Null),
            (Value::Object(object), Value::Text(key)) => Ok(object.field(&key).unwrap_or(Value::Null)),
            (Value::List(list), Value::Number(number)) => match number.to_index() {
                Some(at) => Ok(usize::try_from(at).ok().and_then(|at| list.at(at)).unwrap_or(Value::Null)),
                None => self.fail(index, "is no whole number".to_owned()),
            },
            (one, other) => {
                self.fail(of, format!("is {} and cannot be asked with {}", one.what(), other.what()))
            }
        }
    }

    fn truth(&self, expression: &'a Expression) -> Result<bool, EvalError> {
        match self.value(expression)? {
            Value::Bool(truth) => Ok(truth),
            other => {
                self.fail(expression, format!("is {}, not true or false; compare it with ==", other.what()))
            }
        }
    }

    /// From left to right until one is `wanted`.
    fn until(&self, operands: &'a [Expression], wanted: bool) -> Result<bool, EvalError> {
        for operand in operands {
            if self.truth(operand)? == wanted {
                return Ok(wanted);
            }
        }
        Ok(!wanted)
    }

    fn sum(&self, operands: &'a [Expression]) -> Result<Value<'a>, EvalError> {
        let mut total: Option<Value<'a>> = None;
        for operand in operands {
            let next = self.value(operand)?;
            total = Some(match (total, next) {
                (None, next @ (Value::Number(_) | Value::Text(_) | Value::Pattern(_))) => next,
                (Some(Value::Number(one)), Value::Number(other)) => match one.plus(other) {
                    Some(sum) => Value::Number(sum),
                    None => return self.fail(operand, "makes the sum too large".to_owned()),
                },
                (Some(Value::Text(one)), Value::Text(other)) => {
                    Value::Text(self.joined(operand, &one, &other)?)
                }
                (Some(Value::Pattern(one)), Value::Pattern(other)) => {
                    Value::Pattern(self.joined(operand, &one, &other)?)
                }
                (Some(Value::Pattern(one)), Value::Text(other)) => {
                    self.demand_literal(operand, &other)?;
                    Value::Pattern(self.joined(operand, &one, &other)?)
                }
                (Some(Value::Text(one)), Value::Pattern(other)) => {
                    self.demand_literal(operand, &one)?;
                    Value::Pattern(self.joined(operand, &one, &other)?)
                }
                (None, next) => {
                    return self.fail(operand, format!("is {} and cannot be added to", next.what()));
                }
                (Some(one), next) => {
                    return self
                        .fail(operand, format!("is {} and cannot be added to {}", next.what(), one.what()));
                }
            });
        }
        Ok(total.unwrap_or(Value::Null))
    }

    /// A claim's star is a star: beside a pattern of the author's it would become more.
    fn demand_literal(&self, near: &'a Expression, text: &str) -> Result<(), EvalError> {
        if text.contains(['*', '?']) {
            return self
                .fail(near, "would put a star or a question mark of a claim into a pattern".to_owned());
        }
        Ok(())
    }

    fn joined(&self, near: &'a Expression, one: &str, other: &str) -> Result<Cow<'a, str>, EvalError> {
        if one.len() + other.len() > TEXT_BYTES_MAX {
            return self.fail(near, format!("makes a text of more than {TEXT_BYTES_MAX} bytes"));
        }
        Ok(Cow::Owned([one, other].concat()))
    }

    fn compare(&self, comparison: Comparison, operands: &'a [Expression; 2]) -> Result<bool, EvalError> {
        let [left, right] = operands;
        let (one, other) = (self.value(left)?, self.value(right)?);
        let equal = || match one.equals(&other) {
            Some(equal) => Ok(equal),
            None => {
                let (operand, value) = if one.is_plain() { (right, &other) } else { (left, &one) };
                self.fail(
                    operand,
                    format!("is {}, which == does not compare; use includes or in", value.what()),
                )
            }
        };
        let wanted: fn(Ordering) -> bool = match comparison {
            Comparison::Equal => return equal(),
            Comparison::Unequal => return equal().map(|equal| !equal),
            Comparison::Less => Ordering::is_lt,
            Comparison::LessOrEqual => Ordering::is_le,
            Comparison::Greater => Ordering::is_gt,
            Comparison::GreaterOrEqual => Ordering::is_ge,
        };
        match (&one, &other) {
            (Value::Null, _) | (_, Value::Null) => Ok(false),
            (Value::Number(one), Value::Number(other)) => Ok(wanted(one.compare(*other))),
            (Value::Text(one), Value::Text(other)) => Ok(wanted(one.cmp(other))),
            _ => {
                let what = format!("is {} and has no order with {}", one.what(), other.what());
                self.fail(left, what)
            }
        }
    }

    /// An element of a list, or a key of an object; nothing is in null.
    fn is_in(&self, operands: &'a [Expression; 2]) -> Result<bool, EvalError> {
        let [left, right] = operands;
        match (self.value(left)?, self.value(right)?) {
            (_, Value::Null) => Ok(false),
            (wanted, Value::List(list)) if wanted.is_plain() => Ok(list.contains(&wanted)),
            (Value::Text(key), Value::Object(object)) => Ok(object.field(&key).is_some()),
            (Value::Null, Value::Object(_)) => Ok(false),
            (_, Value::Text(_)) => {
                self.fail(right, "is text; in looks into lists and objects, use includes".to_owned())
            }
            (wanted, Value::List(_) | Value::Object(_)) => {
                self.fail(left, format!("is {}, which in does not look for", wanted.what()))
            }
            (_, other) => self.fail(right, format!("is {}; in looks into lists and objects", other.what())),
        }
    }

    fn call(
        &self,
        on: &'a Expression,
        method: Method,
        arguments: &'a [Expression],
    ) -> Result<Value<'a>, EvalError> {
        let text = match self.value(on)? {
            Value::Text(text) => text,
            Value::List(list) if method == Method::Includes => {
                let wanted = self.value(&arguments[0])?;
                if !wanted.is_plain() {
                    return self.fail(
                        &arguments[0],
                        format!("is {}, which includes() does not look for", wanted.what()),
                    );
                }
                return Ok(Value::Bool(list.contains(&wanted)));
            }
            other => return self.fail(on, format!("is {} and has no {}()", other.what(), method.as_str())),
        };
        Ok(match method {
            Method::Includes => Value::Bool(text.contains(&*self.text_of(&arguments[0])?)),
            Method::StartsWith => Value::Bool(text.starts_with(&*self.text_of(&arguments[0])?)),
            Method::EndsWith => Value::Bool(text.ends_with(&*self.text_of(&arguments[0])?)),
            Method::ToLowerCase => Value::Text(text.to_lowercase().into()),
            Method::ToUpperCase => Value::Text(text.to_uppercase().into()),
            Method::Substring => {
                let from = self.position(&arguments[0])?;
                let to = arguments.get(1).map_or(Ok(usize::MAX), |argument| self.position(argument))?;
                let (from, to) = (from.min(to), from.max(to));
                Value::Text(text.chars().skip(from).take(to - from).collect::<String>().into())
            }
            Method::Split => {
                let separator = self.text_of(&arguments[0])?;
                if separator.is_empty() {
                    return self.fail(&arguments[0], "is empty, which cannot separate".to_owned());
                }
                let parts = text.split(&*separator).map(|part| Value::Text(part.to_owned().into()));
                let parts: Vec<_> = parts.take(PARTS_MAX + 1).collect();
                if parts.len() > PARTS_MAX {
                    return self.fail(on, format!("has more than {PARTS_MAX} parts"));
                }
                Value::List(List::Made(parts))
            }
        })
    }

    fn glob(&self, inner: &'a Expression) -> Result<Value<'a>, EvalError> {
        let as_pattern = |value| match value {
            Value::Text(text) | Value::Pattern(text) => Ok(Value::Pattern(text)),
            other => self.fail(inner, format!("is or holds {}; glob() takes text", other.what())),
        };
        match self.value(inner)? {
            Value::List(list) => {
                let patterns = list.into_values().into_iter().map(as_pattern).collect::<Result<_, _>>()?;
                Ok(Value::List(List::Made(patterns)))
            }
            other => as_pattern(other),
        }
    }

    fn text_of(&self, argument: &'a Expression) -> Result<Cow<'a, str>, EvalError> {
        match self.value(argument)? {
            Value::Text(text) => Ok(text),
            other => self.fail(argument, format!("is {}, and text is needed", other.what())),
        }
    }

    /// A place in a text; before its start is its start.
    fn position(&self, argument: &'a Expression) -> Result<usize, EvalError> {
        match self.value(argument)? {
            Value::Number(number) if number.to_index().is_some() => {
                let index = number.to_index().unwrap_or(0).max(0);
                Ok(usize::try_from(index).unwrap_or(usize::MAX))
            }
            other => self.fail(argument, format!("is {}, and a whole number is needed", other.what())),
        }
    }

    fn fail<T>(&self, about: &Expression, what: String) -> Result<T, EvalError> {
        let said = &self.text[about.at..about.end];
        Err(EvalError { message: format!("{said} {what}"), at: about.at })
    }
}

fn length(count: usize) -> Value<'static> {
    Value::Number(super::Number::Whole(count as i128))
}

/// No name or claim comes near; what `+` makes must not grow with the number of operands.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// A scope has a handful.
const PARTS_MAX: usize = 1_000;
