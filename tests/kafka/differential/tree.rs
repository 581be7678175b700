//! Answers as trees, with what must differ between two worlds taken out.

use std::collections::HashMap;
use std::fmt;

use sluicegate::wire::sample::{Leaf, LeafValue, leaves};
use sluicegate::wire::{ApiKey, Direction, Field, FieldKind, Malformed, grammar};
use uuid::Uuid;

use super::ground::Way;
use super::meaning::{Meaning, meanings};
use super::names::{OTHER_PREFIX, PREFIX};
use super::values::last;

/// A value, or values in their order.
#[derive(Clone, PartialEq)]
pub enum Node {
    Leaf(LeafValue),
    /// What differs from world to world, said in words that do not.
    Word(String),
    Structure(Vec<(&'static str, Node)>),
    Array(Vec<Node>),
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Leaf(LeafValue::Null) => write!(f, "null"),
            Node::Leaf(LeafValue::Text(text)) => write!(f, "{text:?}"),
            Node::Leaf(LeafValue::Int(value)) => write!(f, "{value}"),
            Node::Leaf(LeafValue::Uuid(id)) => write!(f, "{id}"),
            Node::Leaf(LeafValue::Bytes(bytes)) => {
                write!(f, "{} bytes {}", bytes.len(), String::from_utf8_lossy(bytes).escape_debug())
            }
            Node::Leaf(LeafValue::Float(value)) => write!(f, "{value}"),
            Node::Word(word) => write!(f, "<{word}>"),
            Node::Structure(fields) => {
                f.write_str("{")?;
                for (place, (name, node)) in fields.iter().enumerate() {
                    write!(f, "{}{name}: {node:?}", if place == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
            Node::Array(elements) => f.debug_list().entries(elements).finish(),
        }
    }
}

/// A body as a tree.
///
/// Limits: an optional array or structure behind a tag is absent when it is empty, for it leaves no value.
pub fn tree(key: ApiKey, direction: Direction, version: i16, body: &[u8]) -> Result<Node, Malformed> {
    let leaves = leaves(key as i16, direction, version, body)?;
    let definition = grammar().definition(key as i16, direction).expect("what has leaves is defined");
    let mut builder = Builder { leaves: &leaves, version };
    let node = builder.structure(&definition.fields, "");
    assert!(builder.leaves.is_empty(), "values that no field has taken: {:?}", builder.leaves);
    Ok(node)
}

struct Builder<'l> {
    leaves: &'l [Leaf],
    version: i16,
}

impl Builder<'_> {
    fn structure(&mut self, fields: &'static [Field], parent: &str) -> Node {
        let version = self.version;
        let here = fields.iter().filter(|field| field.versions.contains(version));
        let (mut tagged, inline): (Vec<_>, Vec<_>) = here.partition(|field| field.tag_in(version).is_some());
        tagged.sort_by_key(|field| field.tag_in(version));
        let mut found = Vec::new();
        for field in inline {
            let path = join(parent, field.name);
            found.push((field.name, self.field(field, &path)));
        }
        for field in tagged {
            let path = join(parent, field.name);
            if self.next_is_under(&path) {
                found.push((field.name, self.field(field, &path)));
            }
        }
        Node::Structure(found)
    }

    fn field(&mut self, field: &'static Field, path: &str) -> Node {
        if self.next_is(path) && (field.array || field.kind == FieldKind::Struct) {
            return self.leaf();
        }
        if !field.array {
            return self.value(field, path);
        }
        let element = format!("{path}[]");
        let mut elements = Vec::new();
        while self.begins(field, &element) {
            elements.push(self.value(field, &element));
        }
        Node::Array(elements)
    }

    fn value(&mut self, field: &'static Field, path: &str) -> Node {
        if field.kind == FieldKind::Struct { self.structure(&field.fields, path) } else { self.leaf() }
    }

    /// Whether the next leaf begins an element; elements begin with a value of their own.
    fn begins(&self, field: &'static Field, element: &str) -> bool {
        if field.kind != FieldKind::Struct {
            return self.next_is(element);
        }
        let version = self.version;
        let first = field.fields.iter().find(|field| field.versions.contains(version));
        first.is_some_and(|first| self.next_is_under(&join(element, first.name)))
    }

    fn next_is(&self, path: &str) -> bool {
        self.leaves.first().is_some_and(|leaf| leaf.path == path)
    }

    fn next_is_under(&self, path: &str) -> bool {
        let rest = self.leaves.first().and_then(|leaf| leaf.path.strip_prefix(path));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }

    fn leaf(&mut self) -> Node {
        let (first, rest) = self.leaves.split_first().expect("the grammar has a value here");
        self.leaves = rest;
        Node::Leaf(first.value.clone())
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

/// What one world calls its things, as far as it has said so.
#[derive(Default)]
pub struct Called {
    /// The names that its topic ids stand for.
    pub names: HashMap<Uuid, String>,
    /// Members, producers and sessions, in the order in which they were first heard of.
    aliases: HashMap<(&'static str, String), usize>,
}

impl Called {
    fn alias(&mut self, kind: &'static str, value: String) -> Node {
        let next = self.aliases.len();
        let number = *self.aliases.entry((kind, value)).or_insert(next);
        Node::Word(format!("{kind} {number}"))
    }

    pub fn forget(&mut self) {
        self.aliases.clear();
    }
}

/// An answer that is being brought into the form in which two worlds are compared.
pub struct Normal<'n> {
    pub key: ApiKey,
    pub version: i16,
    pub way: Way,
    pub called: &'n mut Called,
    /// What the request said, text by text and id by id: what comes back of it is nobody's secret.
    pub said: &'n [LeafValue],
}

impl Normal<'_> {
    pub fn node(&mut self, node: &Node, path: &str) -> Node {
        match node {
            Node::Structure(fields) => Node::Structure(
                fields.iter().map(|(name, node)| (*name, self.node(node, &join(path, name)))).collect(),
            ),
            Node::Array(elements) => {
                let path = format!("{path}[]");
                let seen = elements.iter().filter(|element| !self.is_elsewhere(element, &path));
                let seen: Vec<Node> = seen.cloned().collect();
                Node::Array(seen.iter().map(|element| self.node(element, &path)).collect())
            }
            Node::Leaf(value) => self.leaf(value, path),
            Node::Word(_) => node.clone(),
        }
    }

    /// Whether an element is about a name that belongs to the other world on the same broker.
    fn is_elsewhere(&self, element: &Node, path: &str) -> bool {
        let (node, path) = match element {
            Node::Structure(fields) => {
                let names = fields.iter().map(|(name, node)| (node, join(path, name)));
                let mut names = names.filter(|(_, path)| self.is_name(path));
                match names.next() {
                    Some(found) => found,
                    None => return false,
                }
            }
            other => (other, path.to_owned()),
        };
        let Node::Leaf(value @ LeafValue::Text(text)) = node else { return false };
        let elsewhere = text.starts_with(PREFIX) || text.starts_with(OTHER_PREFIX);
        self.way == Way::Reference && elsewhere && self.is_name(&path) && !self.said.contains(value)
    }

    fn is_name(&self, path: &str) -> bool {
        let found = meanings(self.key, Direction::Response, self.version, path);
        let names = [Meaning::Topic, Meaning::Group, Meaning::TransactionalId];
        found.iter().any(|meaning| names.contains(meaning))
    }

    fn leaf(&mut self, value: &LeafValue, path: &str) -> Node {
        let found = meanings(self.key, Direction::Response, self.version, path);
        let same = Node::Leaf(value.clone());
        match (found.first(), value) {
            // That nothing is wrong, some brokers say by an empty text, and some by the word NONE.
            (Some(Meaning::ErrorText), LeafValue::Text(text)) if text.is_empty() || text == "NONE" => {
                return Node::Leaf(LeafValue::Null);
            }
            (Some(Meaning::ErrorText), LeafValue::Text(text)) => return self.error_text(text),
            (Some(Meaning::Host), LeafValue::Text(text)) if !text.is_empty() => return word("host"),
            (Some(Meaning::Port), LeafValue::Int(port)) if *port >= 0 => return word("port"),
            (Some(Meaning::ClusterId), LeafValue::Text(_)) => return word("cluster"),
            (Some(Meaning::ClientHost), _) => return word("client's host"),
            (Some(Meaning::Member), LeafValue::Text(text)) if !text.is_empty() => {
                return self.called.alias("member", text.clone());
            }
            (Some(Meaning::TopicId), LeafValue::Uuid(id)) if !id.is_nil() => {
                return match self.called.names.get(id) {
                    Some(name) => Node::Word(format!("id of {name}")),
                    None if self.said.contains(value) => same,
                    None => word("id of nothing"),
                };
            }
            _ => {}
        }
        match (last(path), value) {
            // How often a share group is assigned anew goes by when its state is written elsewhere.
            ("GroupEpoch" | "AssignmentEpoch" | "MemberEpoch", LeafValue::Int(epoch))
                if *epoch > 0 && self.is_about_share_groups() =>
            {
                self.called.alias("epoch", epoch.to_string())
            }
            ("ThrottleTimeMs", _) => word("throttle"),
            ("SessionId", LeafValue::Int(id)) if *id != 0 => self.called.alias("session", id.to_string()),
            ("ProducerId", LeafValue::Int(id)) if *id > 0 => self.called.alias("producer", id.to_string()),
            ("LastTimestamp" | "TransactionStartTimeMs", LeafValue::Int(time)) if *time > 0 => word("time"),
            // A marker at the end of a transaction bears the broker's time; records bear one that is long gone.
            ("Timestamp", LeafValue::Int(time)) if *time > A_YEAR_AFTER_ALL_RECORDS => word("now"),
            ("TotalBytes" | "UsableBytes", LeafValue::Int(count)) if *count > 0 => word("bytes"),
            ("Records", LeafValue::Bytes(bytes)) => Node::Leaf(LeafValue::Bytes(self.records(bytes))),
            _ => same,
        }
    }

    fn is_about_share_groups(&self) -> bool {
        matches!(self.key, ApiKey::ShareGroupHeartbeat | ApiKey::ShareGroupDescribe)
    }

    /// A client may depend on whether there is a text, and not on what it says. A hidden prefix it never says.
    fn error_text(&self, text: &str) -> Node {
        let said = |value: &LeafValue| matches!(value, LeafValue::Text(said) if said.contains(PREFIX));
        if self.way == Way::Gateway && text.contains(PREFIX) && !self.said.iter().any(said) {
            return Node::Word(format!("a text with the hidden prefix: {text}"));
        }
        word("text")
    }

    /// Batches without what their checksum is over, and without whose they are.
    ///
    /// Source: Kafka's record batch, version 2: length at 8, checksum at 17, attributes at 21, times at 27,
    /// producer at 43, records at 61.
    fn records(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let mut start = 0;
        while let Some(length) = bytes.get(start + 8..start + 12) {
            let length = i32::from_be_bytes(length.try_into().expect("these are four bytes"));
            let end = start + 12 + usize::try_from(length).unwrap_or(usize::MAX / 2);
            // The last one may be cut off in its middle.
            let here = end.min(bytes.len());
            let batch = &mut bytes[start..here];
            for what in [17..21, 43..51] {
                let cut = what.start.min(batch.len())..what.end.min(batch.len());
                batch[cut].fill(0);
            }
            if batch.len() <= 61 {
                break;
            }
            let is_control = batch[22] & 0x20 != 0;
            if is_control {
                batch[27..43].fill(0);
            }
            start = end;
        }
        bytes
    }
}

fn word(word: &str) -> Node {
    Node::Word(word.to_owned())
}

const A_YEAR_AFTER_ALL_RECORDS: i64 = 1_731_500_000_000;
