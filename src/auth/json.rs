//! JSON read strictly: one object, no member twice, bounded in depth and in number of values.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

pub(super) type Object = serde_json::Map<String, Value>;

/// Reads text that must be one JSON object and nothing else.
///
/// A parser that keeps the last of two equal members and one that keeps the first would see two
/// different tokens, so a member that stands twice, at any depth, refuses the whole.
///
/// Limits: `DEPTH_MAX` levels, `values_max` values in all.
/// Source: RFC 7515 section 4, RFC 7519 section 4, RFC 8259 section 4.
pub(super) fn read_object(text: &[u8], values_max: usize) -> Option<Object> {
    let values_left = Cell::new(values_max);
    let strict = Strict { levels_left: DEPTH_MAX, values_left: &values_left };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = strict.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// How much the rest of the text may still hold.
#[derive(Clone, Copy)]
struct Strict<'c> {
    levels_left: usize,
    values_left: &'c Cell<usize>,
}

impl Strict<'_> {
    fn one_level_down<E: Error>(self) -> Result<Self, E> {
        match self.levels_left.checked_sub(1) {
            Some(levels_left) => Ok(Self { levels_left, ..self }),
            None => Err(E::custom("nested too deeply")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.values_left.get().checked_sub(1) {
            Some(left) => self.values_left.set(left),
            None => return Err(D::Error::custom("too many values")),
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let inner = self.one_level_down()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.one_level_down()?;
        let mut object = Object::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom("a member stands twice"));
            }
            let value = members.next_value_seed(inner)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

/// Deeper than any claim we have seen, shallow enough that nobody's stack notices.
const DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], accepted: bool) {
        assert_eq!(read_object(text, 100).is_some(), accepted, "{:?}", String::from_utf8_lossy(text));
    }

    #[test]
    fn only_one_whole_object_is_read() {
        check(b"{}", true);
        check(br#" {"a": [1, -2, 3.5, "x", null, true, {"b": {}}]} "#, true);
        for text in [
            "",
            "null",
            "[]",
            "\"a\"",
            "1",
            "{",
            "{}{}",
            "{} x",
            "{'a':1}",
            "{\"a\":1,}",
            "{\"a\":NaN}",
            "{\"a\":1e400}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\n\"}",
            "\u{feff}{}",
        ] {
            check(text.as_bytes(), false);
        }
        check(b"{\"a\":\"\xff\"}", false);
        check(b"{\"\xc0\xaf\":1}", false);
    }

    #[test]
    fn a_member_that_stands_twice_is_refused_at_any_depth() {
        check(br#"{"a":1,"A":1}"#, true);
        check(br#"{"a":1,"b":2,"a":1}"#, false);
        check(br#"{"a":1,"\u0061":2}"#, false);
        check(br#"{"x":[{"y":{"a":1,"a":1}}]}"#, false);
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        check(nested(DEPTH_MAX - 1).as_bytes(), true);
        check(nested(DEPTH_MAX).as_bytes(), false);
        check(nested(100_000).as_bytes(), false);
        let list = |values: usize| format!("{{\"a\":[0{}]}}", ",0".repeat(values - 1));
        check(list(98).as_bytes(), true);
        check(list(99).as_bytes(), false);
    }
}
