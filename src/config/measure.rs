//! Sizes, times, secrets and pairs of texts, as the file writes them.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::problem::Report;
use super::shape::{Placed, Read, expected};
use super::yaml::{Node, Text, Value};
use crate::cluster::{Pem, Piece};
use crate::names::Secret;

/// A number of bytes: `64KiB`, or a bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub u64);

/// A length of time, always with its unit: `30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub Duration);

/// One port, or all from one to another: `9092`, `"19092-19192"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PortRange {
    pub first: u16,
    pub last: u16,
}

/// A text that no message ever shows.
#[derive(Clone)]
pub(super) struct SecretText {
    pub secret: Secret,
    /// It stands in the file itself.
    pub inline: bool,
    pieces: Vec<Piece>,
}

impl SecretText {
    /// The text as a private key, which is read again when its file changes.
    pub fn pem(&self) -> Pem {
        Pem::of(self.secret.expose(), self.pieces.clone())
    }
}

/// Texts by keys that are free to choose.
pub(super) struct Pairs(pub Vec<(String, Placed<Text>)>);

/// A value that a claim may have: text, a whole number, true or false.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClaimValue(pub serde_json::Value);

impl Read for ClaimValue {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let what = "text, a whole number, true or false";
        match &node.value {
            Value::Text(text) => Some(Self(text.text.as_str().into())),
            Value::Truth(truth) => Some(Self((*truth).into())),
            Value::Number(number) => match number.parse::<i64>() {
                Ok(number) => Some(Self(number.into())),
                Err(_) => expected(node, what, &node.value, report),
            },
            other => expected(node, what, other, report),
        }
    }
}

impl JsonSchema for ClaimValue {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ClaimValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "integer", "boolean"]})
    }
}

impl Size {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_').len();
        let (number, unit) = text.split_at(digits);
        let factor: u64 = match unit.trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            _ => return None,
        };
        number.replace('_', "").parse::<u64>().ok()?.checked_mul(factor).map(Self)
    }
}

impl Read for Size {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let what = "a size like 65536, 64KiB or 100MiB";
        let text = match &node.value {
            Value::Number(number) => number,
            Value::Text(text) => &text.text,
            other => return expected(node, what, other, report),
        };
        let parsed = Self::parse(text);
        if parsed.is_none() {
            report.error(node.at, format!("expected {what}"));
        }
        parsed
    }
}

impl Read for Span {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let what = "a time with its unit, like 500ms, 30s or 1h";
        let Value::Text(text) = &node.value else {
            return expected(node, what, &node.value, report);
        };
        let parsed = humantime::parse_duration(&text.text).ok();
        if parsed.is_none() {
            report.error(node.at, format!("expected {what}"));
        }
        let parsed = parsed?;
        if parsed > TIME_MAX {
            report.error(node.at, "this is longer than ten years".to_owned());
            return None;
        }
        Some(Self(parsed))
    }
}

impl Read for PortRange {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let what = "a port, or a range of ports like \"19092-19192\"";
        let text = match &node.value {
            Value::Number(number) => number,
            Value::Text(text) => &text.text,
            other => return expected(node, what, other, report),
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (Ok(first), Ok(last)) = (first.trim().parse::<u64>(), last.trim().parse::<u64>()) else {
            report.error(node.at, format!("expected {what}"));
            return None;
        };
        let port = |number: u64| u16::try_from(number).ok().filter(|port| *port != 0);
        let (Some(first), Some(last)) = (port(first), port(last)) else {
            report.error(node.at, "a port is a number from 1 to 65535");
            return None;
        };
        if last < first {
            report.error(node.at, "the range ends before it begins");
            return None;
        }
        Some(Self { first, last })
    }
}

impl Read for SecretText {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let text = Text::read(node, report)?;
        if text.text.is_empty() {
            report.error(node.at, "this is empty");
            return None;
        }
        Some(Self { inline: text.stands_for.is_none(), secret: Secret::new(text.text), pieces: text.pieces })
    }
}

impl Read for Pairs {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            return expected(node, "a map", &node.value, report);
        };
        let mut pairs: Vec<(String, Placed<Text>)> = Vec::new();
        for (key, value) in entries {
            if pairs.iter().any(|(earlier, _)| *earlier == key.text) {
                report.error(key.at, format!("the key {:?} stands twice; keep one", key.text));
                continue;
            }
            let text = Text::read(value, report);
            pairs.extend(text.map(|text| (key.text.clone(), Placed { at: value.at, value: text })));
        }
        Some(Self(pairs))
    }
}

impl JsonSchema for Pairs {
    fn schema_name() -> Cow<'static, str> {
        "Pairs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": "Texts by key.", "type": "object", "additionalProperties": {"type": "string"}})
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": "A number of bytes.", "type": ["string", "integer"], "examples": ["64KiB", "100MiB"], "minimum": 0})
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": "A length of time with its unit.", "type": "string", "examples": ["1s", "10m", "1h"]})
    }
}

impl JsonSchema for PortRange {
    fn schema_name() -> Cow<'static, str> {
        "Ports".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": "A port, or a range of ports.", "type": ["string", "integer"], "examples": ["19092-19192", 9092], "minimum": 1, "maximum": 65535})
    }
}

impl JsonSchema for SecretText {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A secret; better ${env['NAME']} or ${file['path']} than the text itself.",
            "type": "string",
            "writeOnly": true,
        })
    }
}

/// Longer than anything meant, and short enough that no clock overflows.
const TIME_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Read>(source: &str) -> Option<T> {
        let mut report = Report::default();
        let value = T::read(&Node::parse(source, &mut report).unwrap(), &mut report);
        assert_eq!(value.is_none(), report.conclude("f", Some(())).is_err(), "{source}: no value, no error");
        value
    }

    #[test]
    fn a_size_is_a_number_and_perhaps_a_unit() {
        for (text, expected) in [
            ("65536", Some(65_536)),
            ("1_000", Some(1_000)),
            ("64KiB", Some(65_536)),
            ("'100 MiB'", Some(104_857_600)),
            ("2MB", Some(2_000_000)),
            ("1GiB", Some(1 << 30)),
            ("64kib", None),
            ("KiB", None),
            ("-1", None),
            ("1.5MiB", None),
            ("99999999999999999999", None),
            ("99999999999999999GiB", None),
            ("[1]", None),
            ("true", None),
        ] {
            assert_eq!(read::<Size>(text), expected.map(Size), "{text}");
        }
    }

    #[test]
    fn ports_are_one_or_a_range() {
        for (text, expected) in [
            ("9092", Some((9092, 9092))),
            ("19092-19192", Some((19092, 19192))),
            ("'1 - 65535'", Some((1, 65535))),
            ("5-5", Some((5, 5))),
            ("0", None),
            ("65536", None),
            ("2-1", None),
            ("-1", None),
            ("1-2-3", None),
            ("http", None),
            ("[1]", None),
        ] {
            let expected = expected.map(|(first, last)| PortRange { first, last });
            assert_eq!(read::<PortRange>(text), expected, "{text}");
        }
    }

    #[test]
    fn a_time_has_a_unit() {
        for (text, expected) in [
            ("1s", Some(1_000)),
            ("500ms", Some(500)),
            ("1h 30m", Some(5_400_000)),
            ("0s", Some(0)),
            ("30", None),
            ("'30'", None),
            ("-1s", None),
            ("1000000h", None),
            ("soon", None),
            ("{}", None),
        ] {
            let expected = expected.map(|ms| Span(Duration::from_millis(ms)));
            assert_eq!(read::<Span>(text), expected, "{text}");
        }
    }
}
