//! How a tree becomes sections: which keys there are, which must be, and what a value looks like.
//!
//! A section is declared once, by [`section!`], and both its reader and its JSON Schema come of it.
//! A reader goes on after a problem, so that one run tells all of them: what is broken is reported
//! and then missing from the section.

use std::borrow::Cow;
use std::collections::HashMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::problem::{Place, Report};
use super::yaml::{Node, Template, Text, Value};
use crate::policy::nearest;

/// A value, and where it stands.
#[derive(Clone)]
pub(super) struct Placed<T> {
    pub at: Place,
    pub value: T,
}

/// What can be read from a node of the tree.
pub(super) trait Read: JsonSchema + Sized {
    /// Errors: reported, and then there is no value.
    fn read(node: &Node, report: &mut Report) -> Option<Self>;

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

impl<T: Read> Placed<T> {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        Some(Self { at: node.at, value: T::read(node, report)? })
    }
}

/// The items of a list that could be read.
pub(super) struct List<T> {
    pub items: Vec<Placed<T>>,
    /// How many there are in the file, broken ones included.
    pub written: usize,
}

/// The items of a list that must have some.
pub(super) fn items<'f, T>(list: Option<&'f Placed<List<T>>>, report: &mut Report) -> &'f [Placed<T>] {
    let Some(Placed { at, value: list }) = list else { return &[] };
    if list.written == 0 {
        report.error(*at, "this list is empty; list at least one");
    }
    &list.items
}

impl<T: Read> Read for List<T> {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::List(nodes) => {
                let items = nodes.iter().filter_map(|item| Placed::read(item, report)).collect();
                Some(Self { items, written: nodes.len() })
            }
            other => expected(node, "a list", other, report),
        }
    }
}

impl<T: Read> JsonSchema for List<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "List".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = T::schema(generator);
        json_schema!({"type": "array", "items": items})
    }
}

impl Read for bool {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::Truth(truth) => Some(*truth),
            // What comes from the environment is always text.
            Value::Text(Text { text, stands_for: Some(_), .. }) if text == "true" => Some(true),
            Value::Text(Text { text, stands_for: Some(_), .. }) if text == "false" => Some(false),
            other => expected(node, "true or false", other, report),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        or_stand_in(generator.subschema_for::<Self>())
    }
}

/// A whole number between two others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole<const MIN: i64, const MAX: i64>(pub i64);

impl<const MIN: i64, const MAX: i64> Read for Whole<MIN, MAX> {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let number = match &node.value {
            Value::Number(number) => number.as_str(),
            Value::Text(Text { text, stands_for: Some(_), .. }) => text.as_str(),
            other => return expected(node, &format!("a whole number from {MIN} to {MAX}"), other, report),
        };
        let parsed = number.replace('_', "").parse().ok().filter(|number| (MIN..=MAX).contains(number));
        if parsed.is_none() {
            report.error(node.at, format!("expected a whole number from {MIN} to {MAX}"));
        }
        parsed.map(Self)
    }
}

impl<const MIN: i64, const MAX: i64> JsonSchema for Whole<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Whole".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        or_stand_in(json_schema!({"type": "integer", "minimum": MIN, "maximum": MAX}))
    }
}

impl Read for Text {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Number(_) | Value::Truth(_) => {
                report
                    .error(node.at, format!("expected text, found {}; put it in quotes", node.value.what()));
                None
            }
            other => expected(node, "text", other, report),
        }
    }
}

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

/// A text that may be computed for each login.
pub(super) enum Computable {
    Written(Text),
    Computed(Template),
}

impl Computable {
    pub fn shown(&self) -> String {
        match self {
            Computable::Written(text) => text.shown(),
            Computable::Computed(template) => template.shown(),
        }
    }
}

impl Read for Computable {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::Template(template) => Some(Self::Computed(template.clone())),
            _ => Text::read(node, report).map(Self::Written),
        }
    }
}

impl JsonSchema for Computable {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Computable".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

/// A list, or one expression that yields it for each login.
pub(super) enum ListOrComputed<T> {
    Listed(List<T>),
    Computed(Template),
}

impl<T: Read> Read for ListOrComputed<T> {
    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::Template(template) => Some(Self::Computed(template.clone())),
            _ => List::read(node, report).map(Self::Listed),
        }
    }
}

impl<T: Read> JsonSchema for ListOrComputed<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ListOrComputed".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let list = List::<T>::json_schema(generator);
        json_schema!({"anyOf": [list, {"type": "string", "pattern": r"\$\{.*context\."}]})
    }
}

/// The schema of a value that is not just any text, or of the text that stands in for it.
pub(super) fn or_stand_in(schema: Schema) -> Schema {
    json_schema!({"anyOf": [schema, {"type": "string", "pattern": r"\$\{\s*(env|file)\s*\["}]})
}

/// A key that is a word of Rust stands as `r#word` in its section.
pub(super) fn plain(key: &str) -> &str {
    key.trim_start_matches("r#")
}

/// Reports that something else was expected; of a broken node nothing is said twice.
pub(super) fn expected<T>(node: &Node, what: &str, found: &Value, report: &mut Report) -> Option<T> {
    if !matches!(found, Value::Broken) {
        report.error(node.at, format!("expected {what}, found {}", found.what()));
    }
    None
}

/// "; did you mean …?", or the list of what is known.
pub(super) fn hint(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("; did you mean {near:?}?"),
        None if known.is_empty() => String::new(),
        None => format!("; expected one of {}", known.join(", ")),
    }
}

/// The keys of one section while it is read.
pub(super) struct Keys<'n> {
    at: Place,
    entries: HashMap<&'n str, &'n Node>,
}

impl<'n> Keys<'n> {
    /// Opens a section; keys that it does not know and keys that stand twice are reported.
    pub fn open(node: &'n Node, known: &[&str], report: &mut Report) -> Option<Self> {
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Nothing => &[],
            other => return expected(node, "a map", other, report),
        };
        let mut first: HashMap<&str, &Node> = HashMap::new();
        for (key, value) in entries {
            if first.contains_key(key.text.as_str()) {
                report.error(key.at, format!("the key {:?} stands twice; keep one", key.text));
                continue;
            }
            if !known.contains(&key.text.as_str()) {
                report.error(key.at, format!("unknown key {:?}{}", key.text, hint(&key.text, known)));
            }
            first.insert(&key.text, value);
        }
        Some(Self { at: node.at, entries: first })
    }

    /// Shape: a key without a value is an error, not a default: who comments out all below
    /// `tls_server:` does not mean a listener without TLS.
    pub fn optional<T: Read>(&self, key: &str, report: &mut Report) -> Option<Placed<T>> {
        let node = self.entries.get(key)?;
        if matches!(node.value, Value::Nothing) {
            report.error(node.at, format!("{key:?} has no value; give it one, or leave the key out"));
            return None;
        }
        Placed::read(node, report)
    }

    pub fn required<T: Read>(&self, key: &str, report: &mut Report) -> Option<Placed<T>> {
        if !self.entries.contains_key(key) {
            report.error(self.at, format!("{key:?} is missing here"));
        }
        self.optional(key, report)
    }
}

/// Declares a section of the file: `required` and `optional` keys, each with its type.
///
/// With `= "word"` behind its name it is one of the kinds of a [`choice!`] and has a key `type` too.
macro_rules! section {
    ($(#[doc = $doc:literal])* $name:ident $(= $kind:literal)? {
        $($(#[doc = $key_doc:literal])* $need:ident $key:ident: $of:ty,)*
    }) => {
        $(#[doc = $doc])*
        #[allow(dead_code, reason = "some keys are there to be checked and no more")]
        #[derive(Default)]
        pub(in crate::config) struct $name {
            $(pub $key: Option<$crate::config::shape::Placed<$of>>,)*
        }

        impl $crate::config::shape::Read for $name {
            fn read(
                node: &$crate::config::yaml::Node,
                report: &mut $crate::config::problem::Report,
            ) -> Option<Self> {
                let known = &[$({ let _: &str = $kind; "type" },)? $($crate::config::shape::plain(stringify!($key))),*];
                let keys = $crate::config::shape::Keys::open(node, known, report)?;
                let _ = &keys; // a section without a key
                Some(Self { $($key: keys.$need($crate::config::shape::plain(stringify!($key)), report),)* })
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let _ = &generator; // a section without a key
                $crate::config::shape::section_schema(
                    concat!($($doc, " ",)* ""),
                    [$($kind,)? ""][0],
                    vec![$((
                        $crate::config::shape::plain(stringify!($key)),
                        stringify!($need) == "required",
                        concat!($($key_doc, " ",)* ""),
                        <$of as $crate::config::shape::Read>::schema(generator),
                    )),*],
                )
            }
        }
    };
}
pub(super) use section;

/// The schema of a section, from what its declaration says.
pub(super) fn section_schema(doc: &str, kind: &str, keys: Vec<(&str, bool, &str, Schema)>) -> Schema {
    let mut properties = serde_json::Map::new();
    let mut required = Vec::new();
    if !kind.is_empty() {
        properties.insert("type".into(), serde_json::json!({"const": kind}));
        required.push("type");
    }
    for (key, needed, key_doc, schema) in keys {
        let mut schema = schema;
        if !key_doc.trim().is_empty() {
            schema.insert("description".into(), key_doc.trim().into());
        }
        properties.insert(key.into(), schema.into());
        if needed {
            required.push(key);
        }
    }
    json_schema!({
        "type": "object",
        "description": doc.trim(),
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// Declares a value whose key `type` says which section it is.
///
/// What stands after `unsupported` is a word of the vocabulary that this program does not serve.
macro_rules! choice {
    ($(#[doc = $doc:literal])* $name:ident { $($kind:literal => $of:ident,)* }
     unsupported { $($refused:literal => $why:literal,)* }) => {
        $(#[doc = $doc])*
        #[allow(dead_code, reason = "a kind may have nothing to say beyond its name")]
        pub(in crate::config) enum $name { $($of(Box<$of>),)* }

        impl $crate::config::shape::Read for $name {
            fn read(
                node: &$crate::config::yaml::Node,
                report: &mut $crate::config::problem::Report,
            ) -> Option<Self> {
                let kind = $crate::config::shape::kind_of(node, &[$($kind),*], &[$(($refused, $why)),*], report)?;
                match kind {
                    $($kind => $of::read(node, report).map(Box::new).map(Self::$of),)*
                    _ => None,
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let kinds = vec![$(generator.subschema_for::<$of>()),*];
                schemars::json_schema!({"description": concat!($($doc, " ",)* "").trim(), "oneOf": kinds})
            }
        }
    };
}
pub(super) use choice;

/// The word under the key `type`, if it is one of the known.
pub(super) fn kind_of<'k>(
    node: &Node,
    known: &[&'k str],
    refused: &[(&str, &str)],
    report: &mut Report,
) -> Option<&'k str> {
    let Value::Map(entries) = &node.value else {
        return expected(node, "a map with a \"type\"", &node.value, report);
    };
    let Some((_, kind)) = entries.iter().find(|(key, _)| key.text == "type") else {
        report.error(node.at, format!("\"type\" is missing here; expected one of {}", known.join(", ")));
        return None;
    };
    let text = Text::read(kind, report)?;
    word_of(&text, kind.at, known, refused, report)
}

/// Declares a value that is one of a few words.
macro_rules! words {
    ($(#[doc = $doc:literal])* $name:ident { $($word:literal => $variant:ident,)* }
     unsupported { $($refused:literal => $why:literal,)* }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::config) enum $name { $($variant,)* }

        impl $crate::config::shape::Read for $name {
            fn read(
                node: &$crate::config::yaml::Node,
                report: &mut $crate::config::problem::Report,
            ) -> Option<Self> {
                let text = $crate::config::yaml::Text::read(node, report)?;
                let refused = &[$(($refused, $why)),*];
                match $crate::config::shape::word_of(&text, node.at, &[$($word),*], refused, report)? {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::config::shape::or_stand_in(schemars::json_schema!({
                    "description": concat!($($doc, " ",)* "").trim(), "type": "string", "enum": [$($word),*]
                }))
            }
        }
    };
}
pub(super) use words;

/// The known word that the text is, if it is one.
pub(super) fn word_of<'k>(
    text: &Text,
    at: Place,
    known: &[&'k str],
    refused: &[(&str, &str)],
    report: &mut Report,
) -> Option<&'k str> {
    if let Some(word) = known.iter().find(|word| **word == text.text) {
        return Some(word);
    }
    let message = match refused.iter().find(|(word, _)| *word == text.text) {
        Some((_, why)) => {
            format!("{} is not supported: {why}; supported: {}", text.shown(), known.join(", "))
        }
        None if text.stands_for.is_some() => {
            format!("what {} brings is not one of {}", text.shown(), known.join(", "))
        }
        None => format!("unknown value {}{}", text.shown(), hint(&text.text, known)),
    };
    report.error(at, message);
    None
}
