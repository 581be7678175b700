//! The file as a tree whose every node knows its place. What a key means is not known here.
//!
//! The one file that knows the YAML library.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Spanned};

use super::problem::{Place, Report};
use crate::cluster::{Pem, Piece};

/// One value of the file, and where it stands.
#[derive(Clone)]
pub(super) struct Node {
    pub at: Place,
    pub value: Value,
}

#[derive(Clone)]
pub(super) enum Value {
    Nothing,
    Truth(bool),
    /// As it is written.
    Number(String),
    Text(Text),
    /// Computed for each login.
    Template(Template),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
    /// Already reported.
    Broken,
}

/// A scalar that is text. It may be a secret, so it has no `Debug`.
#[derive(Clone)]
pub(super) struct Text {
    pub text: String,
    /// Where its first character stands, if the file spells it out without escapes or folds.
    pub spelled_at: Option<Place>,
    /// What the file says in its place, if it came from the environment or another file.
    pub stands_for: Option<String>,
    /// What it is put together from, if other files have a part in it.
    pub pieces: Vec<Piece>,
}

/// A text with `${context…}` in it, which each login fills in.
#[derive(Clone)]
pub(super) struct Template {
    /// What stands before the first expression, and after each with its text.
    pub start: String,
    pub computed: Vec<(String, String)>,
    /// As the file has it.
    pub written: String,
}

/// A key of a map, and where it stands.
#[derive(Clone)]
pub(super) struct Key {
    pub text: String,
    pub at: Place,
}

impl Node {
    /// Reads one document; what is wrong with its form is reported, and no tree comes of it.
    ///
    /// Limits: `EVENTS_MAX` nodes after every alias is expanded, `DEPTH_MAX` levels.
    pub fn parse(source: &str, report: &mut Report) -> Option<Node> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_events: EVENTS_MAX,
                max_nodes: EVENTS_MAX,
                max_aliases: ALIASES_MAX,
                max_anchors: ALIASES_MAX,
                enforce_alias_anchor_ratio: false, // one login shared by many clusters is no bomb
                max_depth: DEPTH_MAX,
                flow_nesting_limit: DEPTH_MAX,
            },
            alias_limits: serde_saphyr::alias_limits! {
                max_total_replayed_events: EVENTS_MAX,
                max_replay_stack_depth: DEPTH_MAX,
            },
            duplicate_keys: DuplicateKeyPolicy::PassThrough, // all of them are reported, by the reader
            non_finite_float_policy: NonFiniteFloatPolicy::AsString,
            strict_booleans: true, // `no` is a text, and where a truth belongs an error
            reject_unsupported_tags: true,
            with_snippet: false,
        };
        match serde_saphyr::from_str_with_options::<Raw>(source, options) {
            Ok(raw) => Some(raw.located(source)),
            Err(error) => {
                let at = error.location().map_or(Place { line: 1, column: 1 }, place);
                report.error(at, complaint(&error));
                None
            }
        }
    }
}

impl Value {
    /// What it is, for somebody who expected something else.
    pub fn what(&self) -> &'static str {
        match self {
            Value::Nothing => "nothing",
            Value::Truth(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::Template(_) => "a text that is computed for each login",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Broken => "broken",
        }
    }
}

impl Text {
    /// Where the character at this byte stands in the file, if the file spells the text out.
    pub fn place_of(&self, byte: usize) -> Option<Place> {
        let Place { line, column } = self.spelled_at?;
        let before = self.text.get(..byte)?.chars().count();
        Some(Place { line, column: column.saturating_add(u32::try_from(before).ok()?) })
    }

    /// The text as certificates or a key, which are read again when their files change.
    pub fn pem(&self) -> Pem {
        Pem::of(self.text.as_str(), self.pieces.clone())
    }

    /// The text in quotes; what came from outside the file is shown as the file has it.
    pub fn shown(&self) -> String {
        format!("{:?}", self.stands_for.as_ref().unwrap_or(&self.text))
    }
}

impl Template {
    /// One expression for the whole text.
    pub fn expression(&self) -> String {
        if let ("", [(expression, end)]) = (self.start.as_str(), self.computed.as_slice())
            && end.is_empty()
        {
            return expression.clone();
        }
        let mut terms = vec![quoted(&self.start)];
        for (expression, end) in &self.computed {
            terms.push(format!("({expression})"));
            terms.push(quoted(end));
        }
        terms.retain(|term| term != "''");
        terms.join(" + ")
    }

    pub fn shown(&self) -> String {
        format!("{:?}", self.written)
    }
}

/// A text as expressions spell it.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The library's complaint in our words: its own may quote what stands in the file, secrets included.
fn complaint(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    match error {
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => {
            "the file is too large, too deep, or its aliases expand to too much".to_owned()
        }
        Error::UnknownAnchor { .. } => {
            "there is no anchor of this name; put a text that begins with '*' in quotes".to_owned()
        }
        Error::UnsupportedTag { .. } => {
            "tags have no meaning here; put a text that begins with '!' in quotes".to_owned()
        }
        Error::MultipleDocuments { .. } => "the file holds a second document; write one".to_owned(),
        other => {
            let text = other.to_string();
            let text = text.split(" at line ").next().unwrap_or_default();
            if text.contains(['`', '"', '\'']) {
                "this is not valid YAML; check quotes, brackets and indentation".to_owned()
            } else {
                format!("this is not valid YAML: {text}")
            }
        }
    }
}

fn place(location: Location) -> Place {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    Place { line: number(location.line()), column: number(location.column()) }
}

/// A value as the library hands it over.
struct Raw {
    at: Location,
    content: Content,
}

enum Content {
    Nothing,
    Truth(bool),
    Number,
    Text(String),
    List(Vec<Raw>),
    Map(Vec<(Spanned<String>, Raw)>),
}

impl Raw {
    fn located(self, source: &str) -> Node {
        let at = place(self.at);
        let written = || {
            let from = usize::try_from(self.at.span().byte_offset()?).ok()?;
            let length = usize::try_from(self.at.span().byte_len()?).ok()?;
            source.get(from..from.checked_add(length)?)
        };
        let value = match self.content {
            Content::Nothing => Value::Nothing,
            Content::Truth(truth) => Value::Truth(truth),
            Content::Number => Value::Number(written().unwrap_or_default().to_owned()),
            Content::Text(text) => {
                let quotes = written().and_then(|written| {
                    let bare = written.trim_start_matches(['"', '\'']);
                    bare.starts_with(&text).then(|| (written.len() - bare.len()) as u32)
                });
                let spelled_at = quotes
                    .filter(|quotes| *quotes <= 1 && !text.contains('\n'))
                    .map(|quotes| Place { line: at.line, column: at.column + quotes });
                Value::Text(Text { text, spelled_at, stands_for: None, pieces: Vec::new() })
            }
            Content::List(items) => Value::List(items.into_iter().map(|item| item.located(source)).collect()),
            Content::Map(entries) => {
                let keyed = |(key, value): (Spanned<String>, Raw)| {
                    (Key { text: key.value, at: place(key.defined) }, value.located(source))
                };
                Value::Map(entries.into_iter().map(keyed).collect())
            }
        };
        Node { at, value }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Raw { at: spanned.defined, content: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Nothing)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Content, E> {
        Ok(Content::Truth(truth))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Content, E> {
        Ok(Content::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Content, E> {
        Ok(Content::Number)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Content, E> {
        Ok(Content::Number)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Content, E> {
        Ok(Content::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Content, E> {
        Ok(Content::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Content::Map(map))
    }
}

/// Ten thousand virtual clusters of a hundred nodes each, and no alias bomb.
const EVENTS_MAX: usize = 1_000_000;
const ALIASES_MAX: usize = 50_000;
/// The file's own shape is twelve levels deep.
const DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// The document in short, each node with its place.
    fn short(node: &Node) -> String {
        let Place { line, column } = node.at;
        let value = match &node.value {
            Value::Nothing => "nothing".to_owned(),
            Value::Truth(truth) => truth.to_string(),
            Value::Number(number) => format!("number {number}"),
            Value::Text(text) => {
                let spelled = text.spelled_at.map_or("-".to_owned(), |at| at.column.to_string());
                format!("{:?}/{spelled}", text.text)
            }
            Value::List(items) => format!("[{}]", items.iter().map(short).collect::<Vec<_>>().join(", ")),
            Value::Map(entries) => {
                let entry = |(key, node): &(Key, Node)| format!("{}: {}", key.text, short(node));
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
            Value::Template(_) | Value::Broken => "broken".to_owned(),
        };
        format!("{line}:{column} {value}")
    }

    fn check(source: &str, expected: &str) {
        let mut report = Report::default();
        let found = match Node::parse(source, &mut report) {
            Some(node) => short(&node),
            None => report.conclude::<()>("f", None).unwrap_err().to_string(),
        };
        assert_eq!(found, expected, "{source}");
    }

    #[test]
    fn every_node_knows_its_place_and_how_it_was_written() {
        check("a: 1_000", "1:1 {a: 1:4 number 1_000}");
        check("a: 'x'", "1:1 {a: 1:4 \"x\"/5}");
        check("é: x", "1:1 {é: 1:4 \"x\"/4}");
        check("a: \"x\\ty\"", "1:1 {a: 1:4 \"x\\ty\"/-}");
        check("a: true\nb: no", "1:1 {a: 1:4 true, b: 2:4 \"no\"/4}");
        check("a: .inf\nb: 0x1F\nc: '7'", "1:1 {a: 1:4 \".inf\"/4, b: 2:4 number 0x1F, c: 3:4 \"7\"/5}");
        check("- a\n- [b]", "1:1 [1:3 \"a\"/3, 2:3 [2:4 \"b\"/4]]");
        check("a: &x q\nb: *x", "1:1 {a: 1:7 \"q\"/7, b: 1:7 \"q\"/7}");
        check("a:\na: 1", "1:1 {a: 1:2 nothing, a: 2:4 number 1}");
        check("", "1:1 nothing");
    }

    #[test]
    fn what_is_no_yaml_is_told_without_quoting_it() {
        check(
            "a: *hunter2",
            "f:1:4: there is no anchor of this name; put a text that begins with '*' in quotes",
        );
        check(
            "a: !hunter2 x",
            "f:1:13: tags have no meaning here; put a text that begins with '!' in quotes",
        );
        check("a: 1\n---\nb: 1", "f:3:1: the file holds a second document; write one");
        for broken in [
            "a: {hunter2",
            "a: 'hunter2",
            "hunter2: b: c",
            "a:\thunter2\n\tb: c",
            "? [hunter2]\n: b",
            "a: !!int hunter2",
            "a: \"\\hunter2\"",
            "a: @hunter2",
            "a: 'x'hunter2",
            "%hunter2 x\na: b",
        ] {
            let mut report = Report::default();
            assert!(Node::parse(broken, &mut report).is_none(), "{broken}");
            let errors = report.conclude::<()>("f", None).unwrap_err().to_string();
            assert!(!errors.contains("hunter2"), "{errors}");
        }
    }

    #[test]
    fn a_bomb_of_aliases_and_a_tower_of_brackets_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        for source in [bomb, "[".repeat(100_000), "- ".repeat(1000)] {
            let mut report = Report::default();
            assert!(Node::parse(&source, &mut report).is_none());
        }
    }
}
