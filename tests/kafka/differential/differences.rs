//! Where two answers differ, and which of that is known, each with its reason: `differences.tsv`.
//!
//! A line of that file has, between tabs: the API or `*`; its versions, `3-12` or `*`; the path or `*`, where
//! `(outcome)` is whether there is an answer at all; what differs there; when; and why. What differs is one of
//!
//! - `order`: the elements of this array stand in any order;
//! - `order of refused`: the refused ones among them stand elsewhere, and all else in the same order;
//! - `all`: whatever stands there or below;
//! - `A -> B`: the reference has `A` and the gateway `B`, of which `_` is anything;
//! - `unplayed`: the API is left out altogether.
//!
//! When is `-`, or conditions with ` & ` between them: `role=operator`, or `Field=value` and `Field>=number` for what
//! stands in the request in a field of this name; where `nil` is an id that is none; or `long`, a name longer than
//! it may be behind the prefix; or `twice`, a name that stands in the request more than once; or `again`, a partition
//! that its topic names more than once.

use std::cell::Cell;

use sluicegate::wire::sample::{Leaf, LeafValue};

use super::ground::Role;
use super::names::PREFIX;
use super::tree::Node;
use super::values::last;

/// Something that is not the same in both answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where, without the places in arrays.
    pub path: String,
    /// Where, with them.
    pub place: String,
    pub reference: String,
    pub gateway: String,
}

/// What differences are judged by: the request that they are about.
pub struct About<'a> {
    pub api: &'a str,
    pub version: i16,
    pub role: Role,
    pub request: &'a [Leaf],
}

struct Line {
    number: usize,
    api: &'static str,
    first: i16,
    last: i16,
    path: &'static str,
    what: &'static str,
    when: &'static str,
    reason: &'static str,
}

/// The lines of the file, and how often each has explained something.
pub struct Known {
    lines: Vec<(Line, Cell<usize>)>,
}

impl Known {
    pub fn read() -> Self {
        let text = include_str!("differences.tsv").lines().enumerate().skip(1);
        let lines = text.map(|(number, text)| (line(number + 1, text), Cell::new(0)));
        Self { lines: lines.collect() }
    }

    /// Why an API is not played, if it is not.
    pub fn unplayed(&self, api: &str) -> Option<&'static str> {
        let mut lines = self.lines.iter().filter(|(line, _)| line.api == api && line.what == "unplayed");
        let (line, count) = lines.next()?;
        count.set(count.get() + 1);
        Some(line.reason)
    }

    /// What differs between two answers and is not known.
    pub fn unknown(&self, reference: &Node, gateway: &Node, about: &About<'_>) -> Vec<Difference> {
        let mut found = Vec::new();
        Comparison.nodes(reference, gateway, "", "", &mut found);
        found.retain(|difference| !self.explains(difference, about));
        found
    }

    pub fn explains(&self, difference: &Difference, about: &About<'_>) -> bool {
        let fits = |line: &Line| {
            line.is_about(about)
                && match line.what {
                    "unplayed" => false,
                    "order" => {
                        let path = difference.path.strip_suffix(OF_REFUSED).unwrap_or(&difference.path);
                        path.strip_suffix(ORDER) == Some(line.path)
                    }
                    "order of refused" => {
                        let path = difference.path.strip_suffix(OF_REFUSED);
                        path.and_then(|path| path.strip_suffix(ORDER)) == Some(line.path)
                    }
                    "all" => is_under(&difference.path, line.path),
                    what => {
                        let (reference, gateway) = what.split_once(" -> ").expect("`line` has seen to it");
                        (line.path == "*" || difference.path == line.path)
                            && (reference == "_" || reference == difference.reference)
                            && (gateway == "_" || gateway == difference.gateway)
                    }
                }
        };
        let line = self.lines.iter().find(|(line, _)| fits(line));
        if let Some((_, count)) = line {
            count.set(count.get() + 1);
        }
        line.is_some()
    }

    /// Each line with how often it has explained something.
    pub fn told(&self) -> Vec<(String, usize)> {
        let told = self.lines.iter().map(|(line, count)| {
            let Line { number, api, path, what, when, reason, .. } = line;
            (format!("line {number}: {api} {path} {what} ({when}): {reason}"), count.get())
        });
        told.collect()
    }
}

impl Line {
    fn is_about(&self, about: &About<'_>) -> bool {
        (self.api == "*" || self.api == about.api)
            && (self.first..=self.last).contains(&about.version)
            && (self.when == "-" || self.when.split(" & ").all(|when| holds(when, about)))
    }
}

fn line(number: usize, text: &'static str) -> Line {
    let columns: Vec<&str> = text.split('\t').collect();
    let [api, versions, path, what, when, reason] = columns[..] else {
        panic!("line {number} of differences.tsv has not six columns: {text}")
    };
    let (first, last) = match versions {
        "*" => (0, i16::MAX),
        versions => {
            let (first, last) = versions.split_once('-').unwrap_or((versions, versions));
            (first.parse().expect("a version is a number"), last.parse().expect("a version is a number"))
        }
    };
    let is_word = ["order", "order of refused", "all", "unplayed"].contains(&what) || what.contains(" -> ");
    assert!(
        is_word && !reason.is_empty(),
        "line {number} of differences.tsv does not say what and why: {text}"
    );
    Line { number, api, first, last, path, what, when, reason }
}

fn holds(when: &str, about: &About<'_>) -> bool {
    let of = |name: &str| {
        let name = name.to_owned();
        about.request.iter().filter(move |leaf| last(&leaf.path) == name).map(|leaf| &leaf.value)
    };
    if when == "long" {
        let is_long = |text: &str| text.len() + PREFIX.len() > 249;
        return about
            .request
            .iter()
            .any(|leaf| matches!(&leaf.value, LeafValue::Text(text) if is_long(text)));
    }
    if when == "twice" {
        let names: Vec<&LeafValue> = about
            .request
            .iter()
            .filter(|leaf| is_name(&leaf.path))
            .map(|leaf| &leaf.value)
            .filter(|value| matches!(value, LeafValue::Text(_) | LeafValue::Uuid(_)))
            .collect();
        return names.iter().enumerate().any(|(place, name)| names[..place].contains(name));
    }
    if when == "again" {
        return has_partition_again(about.request);
    }
    if let Some((name, least)) = when.split_once(">=") {
        let least: i64 = least.parse().expect("a condition has a number here");
        return of(name).any(|value| matches!(value, LeafValue::Int(value) if *value >= least));
    }
    let (name, wanted) = when.split_once('=').expect("a condition has a sign in it");
    if name == "role" {
        return format!("{:?}", about.role).eq_ignore_ascii_case(wanted);
    }
    of(name).any(|value| match value {
        LeafValue::Text(text) => text == wanted,
        LeafValue::Int(value) => value.to_string() == wanted,
        LeafValue::Null => wanted == "null",
        LeafValue::Uuid(id) => id.is_nil() && wanted == "nil",
        _ => false,
    })
}

fn has_partition_again(request: &[Leaf]) -> bool {
    const PARTITIONS: [&str; 5] = ["Partition", "PartitionIndex", "PartitionIndexes", "Partitions", "Index"];
    let mut seen = Vec::new();
    request.iter().any(|leaf| {
        if is_name(&leaf.path) {
            seen.clear();
        }
        let again = PARTITIONS.contains(&last(&leaf.path)) && seen.contains(&&leaf.value);
        if PARTITIONS.contains(&last(&leaf.path)) {
            seen.push(&leaf.value);
        }
        again
    })
}

fn is_under(path: &str, parent: &str) -> bool {
    let path = path.trim_end_matches(OF_REFUSED).trim_end_matches(ORDER);
    let rest = path.strip_prefix(parent);
    parent.is_empty() && path != OUTCOME
        || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// What an element begins with, by which one knows it.
fn begins(node: &Node) -> String {
    match node {
        Node::Structure(fields) => match named(fields) {
            Some(name) => begins(name),
            None => String::new(),
        },
        Node::Array(elements) => elements.first().map(begins).unwrap_or_default(),
        other => format!("{other:?}"),
    }
}

/// The field by which an element is known: a name before everything else.
fn named<'n>(fields: &'n [(&'static str, Node)]) -> Option<&'n Node> {
    let is_said = |node: &Node| *node != Node::Leaf(LeafValue::Null);
    let name = fields.iter().find(|(name, node)| is_name(name) && is_said(node));
    name.or(fields.first()).map(|(_, node)| node)
}

/// Whether a field holds what things go by.
fn is_name(path: &str) -> bool {
    const NAMES: [&str; 15] = [
        "Name",
        "Topic",
        "TopicName",
        "TopicId",
        "TopicNames",
        "GroupId",
        "Groups",
        "GroupsNames",
        "ResourceName",
        "Key",
        "CoordinatorKeys",
        "TransactionalId",
        "TransactionalIds",
        "V3AndBelowTransactionalId",
        "GroupIds",
    ];
    !path.contains("Configs[]") && NAMES.contains(&last(path))
}

/// The path of whether there is an answer at all.
pub const OUTCOME: &str = "(outcome)";

/// Behind the path of an array: its elements, and not what stands in them.
const ORDER: &str = " order";

/// Behind that: only what is refused stands elsewhere.
const OF_REFUSED: &str = " of refused";

/// Whether it is said of a part of an answer that it was not granted.
fn is_refused(node: &Node) -> bool {
    match node {
        Node::Structure(fields) => fields.iter().any(|(name, node)| {
            let is_code = name.ends_with("ErrorCode");
            let denied = |value: &LeafValue| matches!(value, LeafValue::Int(29 | 30 | 31 | 53 | 55 | 100));
            match node {
                Node::Leaf(value) => is_code && denied(value),
                // Nothing was asked of it, so nothing else could be said.
                Node::Array(elements) if elements.is_empty() => *name == "Partitions",
                _ => is_refused(node),
            }
        }),
        Node::Array(elements) => elements.iter().any(is_refused),
        _ => false,
    }
}

struct Comparison;

impl Comparison {
    fn nodes(&self, reference: &Node, gateway: &Node, path: &str, place: &str, found: &mut Vec<Difference>) {
        match (reference, gateway) {
            (Node::Structure(reference), Node::Structure(gateway)) => {
                self.structures(reference, gateway, path, place, found);
            }
            (Node::Array(reference), Node::Array(gateway)) => {
                self.arrays(reference, gateway, &format!("{path}[]"), place, found);
            }
            _ if reference == gateway => {}
            _ => found.push(Difference {
                path: path.to_owned(),
                place: place.to_owned(),
                reference: format!("{reference:?}"),
                gateway: format!("{gateway:?}"),
            }),
        }
    }

    /// Elements go by what they begin with. Where that stands in another order it is one difference, and the elements
    /// are compared all the same; where others are there, it is one difference, and they are not.
    fn arrays(
        &self,
        reference: &[Node],
        gateway: &[Node],
        path: &str,
        place: &str,
        found: &mut Vec<Difference>,
    ) {
        let sorted = |nodes: &[Node]| {
            let mut sorted: Vec<(String, Node)> =
                nodes.iter().map(|node| (begins(node), node.clone())).collect();
            sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
            sorted
        };
        let names = |nodes: &[Node]| nodes.iter().map(begins).collect::<Vec<_>>();
        let sorted_names =
            |nodes: &[(String, Node)]| nodes.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let (in_order, in_order_there) = (names(reference), names(gateway));
        let (sorted, sorted_there) = (sorted(reference), sorted(gateway));
        let same_elements = sorted_names(&sorted) == sorted_names(&sorted_there);
        if in_order != in_order_there {
            let only = |nodes: &[Node], refused: bool| {
                nodes.iter().filter(|node| is_refused(node) == refused).map(begins).collect::<Vec<_>>()
            };
            let same = |refused| only(reference, refused) == only(gateway, refused);
            let what = match (same_elements, same(true) && same(false)) {
                (false, _) => String::new(),
                (true, false) => ORDER.to_owned(),
                (true, true) => format!("{ORDER}{OF_REFUSED}"),
            };
            found.push(Difference {
                path: format!("{path}{what}"),
                place: place.to_owned(),
                reference: format!("[{}]", in_order.join(", ")),
                gateway: format!("[{}]", in_order_there.join(", ")),
            });
        }
        if !same_elements {
            return;
        }
        let pairs = sorted.iter().zip(&sorted_there);
        for (index, ((_, reference), (_, gateway))) in pairs.enumerate() {
            self.nodes(reference, gateway, path, &format!("{place}[{index}]"), found);
        }
    }

    fn structures(
        &self,
        reference: &[(&'static str, Node)],
        gateway: &[(&'static str, Node)],
        path: &str,
        place: &str,
        found: &mut Vec<Difference>,
    ) {
        let absent = Node::Word("absent".to_owned());
        let of = |fields: &[(&'static str, Node)], name: &str| {
            fields.iter().find(|(of, _)| *of == name).map(|(_, node)| node.clone()).unwrap_or(absent.clone())
        };
        let dot = if path.is_empty() { "" } else { "." };
        let more = gateway.iter().filter(|(name, _)| reference.iter().all(|(other, _)| other != name));
        for (name, _) in reference.iter().chain(more) {
            let (path, place) = (format!("{path}{dot}{name}"), format!("{place}{dot}{name}"));
            self.nodes(&of(reference, name), &of(gateway, name), &path, &place, found);
        }
    }
}
