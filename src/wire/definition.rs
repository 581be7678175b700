//! Kafka's message definitions, as `shapes.txt` has them, which `scripts/messages` makes.
//!
//! A line `message KEY NAME request|response|header|data versions=A-B flexible=V+` opens a message;
//! under it stands one field a line in wire order, indented by depth:
//! `Name type versions [nullable=V+] [tagged=V+ tag=N] [flexible=none]`. A message whose last version
//! is not stable yet says so with `latest-unstable`.

use std::ops::RangeInclusive;

/// One message, in every version that it has.
#[derive(Debug)]
pub struct Definition {
    /// The api key; headers and embedded structures have none.
    pub key: Option<i16>,
    pub name: &'static str,
    pub role: Role,
    pub versions: Versions,
    /// The versions in which lengths are compact and structures end with tagged fields.
    pub flexible: Versions,
    pub fields: Vec<Field>,
}

/// What a definition defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Request,
    Response,
    Header,
    Embedded,
}

/// A field of a message or of a structure in it.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub kind: FieldKind,
    /// Whether it is an array of `kind`.
    pub array: bool,
    pub versions: Versions,
    pub nullable: Versions,
    /// The versions in which it is a tagged field, and its tag.
    pub tagged: Option<(Versions, u32)>,
    /// The fields of a structure.
    pub fields: Vec<Field>,
}

impl Field {
    /// Its tag, if it is a tagged field in `version`.
    pub fn tag_in(&self, version: i16) -> Option<u32> {
        self.tagged.filter(|(versions, _)| versions.contains(version)).map(|(_, tag)| tag)
    }
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A whole number of so many bytes; a bool is one of one byte.
    Int {
        bytes: usize,
    },
    Float64,
    Uuid,
    Text,
    /// Bytes or records: opaque to the grammar.
    Blob,
    Struct,
}

/// A range of versions, open at its end if `last` is `i16::MAX`, and empty if it ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    pub first: i16,
    pub last: i16,
}

impl Versions {
    const NONE: Self = Self { first: 0, last: -1 };

    pub fn contains(self, version: i16) -> bool {
        (self.first..=self.last).contains(&version)
    }

    pub fn range(self) -> RangeInclusive<i16> {
        self.first..=self.last
    }
}

/// Reads all definitions; `None` where the text is not of the form above.
pub(super) fn parse(text: &'static str) -> Option<Vec<Definition>> {
    let mut definitions: Vec<Definition> = Vec::new();
    for line in text.lines() {
        if let Some(message) = line.strip_prefix("message ") {
            definitions.push(definition(message)?);
        } else {
            let indent = line.len() - line.trim_start().len();
            let mut siblings = &mut definitions.last_mut()?.fields;
            for _ in 1..indent / 2 {
                siblings = &mut siblings.last_mut()?.fields;
            }
            siblings.push(field(line)?);
        }
    }
    Some(definitions)
}

fn definition(line: &'static str) -> Option<Definition> {
    let mut words = line.split_whitespace();
    let key = match words.next()? {
        "-" => None,
        key => Some(key.parse().ok()?),
    };
    let name = words.next()?;
    let role = match words.next()? {
        "request" => Role::Request,
        "response" => Role::Response,
        "header" => Role::Header,
        "data" => Role::Embedded,
        _ => return None,
    };
    let versions = versions(words.next()?.strip_prefix("versions=")?)?;
    let flexible = self::versions(words.next()?.strip_prefix("flexible=")?)?;
    Some(Definition { key, name, role, versions, flexible, fields: Vec::new() })
}

fn field(line: &'static str) -> Option<Field> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    let kind = words.next()?;
    let (array, kind) = match kind.strip_prefix("[]") {
        Some(kind) => (true, kind),
        None => (false, kind),
    };
    let kind = match kind {
        "bool" | "int8" => FieldKind::Int { bytes: 1 },
        "int16" | "uint16" => FieldKind::Int { bytes: 2 },
        "int32" => FieldKind::Int { bytes: 4 },
        "int64" => FieldKind::Int { bytes: 8 },
        "float64" => FieldKind::Float64,
        "uuid" => FieldKind::Uuid,
        "string" => FieldKind::Text,
        "bytes" | "records" => FieldKind::Blob,
        "struct" => FieldKind::Struct,
        _ => return None,
    };
    let versions = self::versions(words.next()?)?;
    let (mut nullable, mut tagged, mut tag) = (Versions::NONE, None, None);
    for word in words {
        match word.split_once('=')? {
            ("nullable", range) => nullable = self::versions(range)?,
            ("tagged", range) => tagged = Some(self::versions(range)?),
            ("tag", number) => tag = Some(number.parse().ok()?),
            ("flexible", "none") => {} // a header's client id only; `header.rs` knows
            _ => return None,
        }
    }
    Some(Field { name, kind, array, versions, nullable, tagged: tagged.zip(tag), fields: Vec::new() })
}

/// `3+`, `0-12`, `4`, or `none`.
fn versions(text: &str) -> Option<Versions> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
        None if text == "none" => return Some(Versions::NONE),
        None => match text.strip_suffix('+') {
            Some(first) => (first.parse().ok()?, i16::MAX),
            None => (text.parse().ok()?, text.parse().ok()?),
        },
    };
    Some(Versions { first, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_with_its_depth() {
        let text = "message 1 Fetch request versions=4-18 flexible=12+\n  \
                    ClusterId string 12+ nullable=12+ tagged=12+ tag=0\n  \
                    Topics []struct 0+\n    Topic string 0-12\n    Partitions []int32 7+\n  \
                    RackId string 11+\n";
        let definitions = parse(text).unwrap();
        let [fetch] = &definitions[..] else { panic!("{definitions:?}") };
        assert_eq!((fetch.key, fetch.name, fetch.role), (Some(1), "Fetch", Role::Request));
        assert_eq!((fetch.versions.range(), fetch.flexible.first), (4..=18, 12));
        let [cluster_id, topics, rack_id] = &fetch.fields[..] else { panic!("{fetch:?}") };
        assert_eq!((cluster_id.tag_in(12), cluster_id.tag_in(11)), (Some(0), None));
        assert!(cluster_id.nullable.contains(12) && !rack_id.nullable.contains(12));
        assert_eq!((topics.kind, topics.array, topics.fields.len()), (FieldKind::Struct, true, 2));
        assert!(topics.fields[0].versions.contains(12) && !topics.fields[0].versions.contains(13));
        assert_eq!(topics.fields[1].kind, FieldKind::Int { bytes: 4 });
    }

    #[test]
    fn what_is_not_understood_is_not_guessed() {
        for text in [
            "  Topics string 0+",
            "message 1 Fetch question versions=0-1 flexible=none",
            "message 1 Fetch request versions=0-1 flexible=none\n  Topics text 0+",
            "message 1 Fetch request versions=0-1 flexible=none\n  Topics string 0+ default=1",
            "message 1 Fetch request versions=0-1 flexible=none\n    Topics string 0+",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
