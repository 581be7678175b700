//! What expressions yield; borrowed from the circumstances wherever possible.

use std::borrow::Cow;

use super::number::Number;

#[derive(Clone, Debug)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    Pattern(Cow<'a, str>),
    List(List<'a>),
    Object(Object<'a>),
}

#[derive(Clone, Debug)]
pub enum List<'a> {
    Json(&'a [serde_json::Value]),
    Made(Vec<Value<'a>>),
}

#[derive(Clone, Copy, Debug)]
pub enum Object<'a> {
    Json(&'a serde_json::Map<String, serde_json::Value>),
    Pairs(&'a [(String, String)]),
}

impl<'a> Value<'a> {
    pub fn from_json(json: &'a serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(truth) => Value::Bool(*truth),
            // A number out of every range is read as missing rather than as another number.
            serde_json::Value::Number(number) => Number::from_json(number).map_or(Value::Null, Value::Number),
            serde_json::Value::String(text) => Value::text(text),
            serde_json::Value::Array(items) => Value::List(List::Json(items)),
            serde_json::Value::Object(fields) => Value::Object(Object::Json(fields)),
        }
    }

    pub fn text(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }

    /// What it is, for messages.
    pub fn what(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::Pattern(_) => "a pattern",
            Value::List(_) => "a list",
            Value::Object(_) => "an object",
        }
    }

    /// Whether both are the same text, number, truth or null; none where one of them is none of these.
    pub fn equals(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Value::Null, Value::Null) => Some(true),
            (Value::Null, _) | (_, Value::Null) => Some(false),
            (Value::Bool(one), Value::Bool(other)) => Some(one == other),
            (Value::Number(one), Value::Number(other)) => Some(one == other),
            (Value::Text(one), Value::Text(other)) => Some(one == other),
            _ if self.is_plain() && other.is_plain() => Some(false),
            _ => None,
        }
    }

    /// Whether it is text, a number, true, false or null.
    pub fn is_plain(&self) -> bool {
        matches!(self, Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_))
    }
}

impl<'a> List<'a> {
    pub fn len(&self) -> usize {
        match self {
            List::Json(items) => items.len(),
            List::Made(items) => items.len(),
        }
    }

    pub fn at(&self, index: usize) -> Option<Value<'a>> {
        match self {
            List::Json(items) => items.get(index).map(Value::from_json),
            List::Made(items) => items.get(index).cloned(),
        }
    }

    pub fn contains(&self, wanted: &Value<'a>) -> bool {
        match self {
            List::Json(items) => items.iter().any(|item| Value::from_json(item).equals(wanted) == Some(true)),
            List::Made(items) => items.iter().any(|item| item.equals(wanted) == Some(true)),
        }
    }

    pub fn into_values(self) -> Vec<Value<'a>> {
        match self {
            List::Json(items) => items.iter().map(Value::from_json).collect(),
            List::Made(items) => items,
        }
    }
}

impl<'a> Object<'a> {
    pub fn field(self, key: &str) -> Option<Value<'a>> {
        match self {
            Object::Json(fields) => fields.get(key).map(Value::from_json),
            Object::Pairs(pairs) => {
                pairs.iter().find(|(name, _)| name == key).map(|(_, value)| Value::text(value))
            }
        }
    }
}
