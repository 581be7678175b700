//! Bodies made from the grammar, and bodies read back by it.
//!
//! For the census, for tests and for fuzzing: [`body`] writes a message in which every field is
//! filled by a [`Filler`], [`leaves`] lists every value that stands in one, each under its path.
//! A path is spelled as in Kafka's definitions, with `[]` behind an array: `Topics[].Name`.

use bytes::BufMut;
use uuid::Uuid;

use super::Malformed;
use super::cursor::Cursor;
use super::definition::{Definition, Field, FieldKind};
use super::shape::{Direction, Embedded, grammar};

/// Says what stands in a message that [`body`] writes; asked in wire order.
pub trait Filler {
    /// The text of a string.
    fn text(&mut self, path: &str) -> String;

    /// A topic id, or another of the few things that go by a UUID.
    fn uuid(&mut self, path: &str) -> Uuid;

    /// Bytes or records.
    fn bytes(&mut self, path: &str) -> Vec<u8>;

    /// A number; only as many of its low bytes as the field has are written. A bool is 0 or 1.
    fn int(&mut self, _path: &str) -> i64 {
        0
    }

    /// How many elements an array has.
    fn count(&mut self, _path: &str) -> usize {
        1
    }

    /// Whether a nullable field is filled, and a tagged one present.
    fn present(&mut self, _path: &str) -> bool {
        true
    }
}

/// A value in a message, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    pub path: String,
    pub value: LeafValue,
}

/// What stands there.
#[derive(Debug, Clone, PartialEq)]
pub enum LeafValue {
    /// Also of a whole array or structure.
    Null,
    Text(String),
    Uuid(Uuid),
    Bytes(Vec<u8>),
    Int(i64),
    Float(f64),
}

/// A body of the version, filled by `filler`.
///
/// Errors: `UnknownVersion` for what the grammar does not know, `NegativeLength` for a string or an
/// array too long for its length to be said.
pub fn body(
    key: i16,
    direction: Direction,
    version: i16,
    filler: &mut dyn Filler,
) -> Result<Vec<u8>, Malformed> {
    let definition = known(key, direction, version)?;
    let mut writer =
        Writer { out: Vec::new(), version, compact: definition.flexible.contains(version), filler };
    writer.structure(&definition.fields, "")?;
    Ok(writer.out)
}

/// Every value in a body, in wire order; tagged fields stand behind the others, unknown ones are left out.
///
/// Errors: those of [`Grammar::walk`](super::Grammar::walk), which is asked first.
pub fn leaves(key: i16, direction: Direction, version: i16, body: &[u8]) -> Result<Vec<Leaf>, Malformed> {
    grammar().walk(key, direction, version, body, usize::MAX)?;
    let definition = known(key, direction, version)?;
    let compact = definition.flexible.contains(version);
    let mut reader = Reader { cursor: Cursor::new(body), version, compact, leaves: Vec::new() };
    reader.structure(&definition.fields, "")?;
    reader.cursor.finish()?;
    Ok(reader.leaves)
}

/// A consumer's subscription or assignment, with the version that stands before it.
pub fn embedded_body(
    embedded: Embedded,
    version: i16,
    filler: &mut dyn Filler,
) -> Result<Vec<u8>, Malformed> {
    let definition = grammar().embedded(embedded);
    if !definition.versions.contains(version) {
        return Err(Malformed::UnknownVersion { key: EMBEDDED, version });
    }
    let mut writer = Writer { out: version.to_be_bytes().to_vec(), version, compact: false, filler };
    writer.structure(&definition.fields, "")?;
    Ok(writer.out)
}

/// Every value in a consumer's subscription or assignment, whose version is one the grammar knows.
pub fn embedded_leaves(embedded: Embedded, blob: &[u8]) -> Result<Vec<Leaf>, Malformed> {
    let definition = grammar().embedded(embedded);
    let mut cursor = Cursor::new(blob);
    let version = cursor.int16()?;
    if !definition.versions.contains(version) {
        return Err(Malformed::UnknownVersion { key: EMBEDDED, version });
    }
    let mut reader = Reader { cursor, version, compact: false, leaves: Vec::new() };
    reader.structure(&definition.fields, "")?;
    reader.cursor.finish()?;
    Ok(reader.leaves)
}

fn known(key: i16, direction: Direction, version: i16) -> Result<&'static Definition, Malformed> {
    grammar()
        .definition(key, direction)
        .filter(|definition| definition.versions.contains(version))
        .ok_or(Malformed::UnknownVersion { key, version })
}

fn path_to(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

struct Writer<'f> {
    out: Vec<u8>,
    version: i16,
    compact: bool,
    filler: &'f mut dyn Filler,
}

impl Writer<'_> {
    fn structure(&mut self, fields: &[Field], parent: &str) -> Result<(), Malformed> {
        let mut tagged = Vec::new();
        let version = self.version;
        for field in fields.iter().filter(|field| field.versions.contains(version)) {
            let path = path_to(parent, field.name);
            match field.tag_in(version) {
                None => self.field(field, &path)?,
                Some(tag) if self.filler.present(&path) => {
                    let before = std::mem::take(&mut self.out);
                    self.field(field, &path)?;
                    tagged.push((tag, std::mem::replace(&mut self.out, before)));
                }
                Some(_) => {}
            }
        }
        if self.compact {
            tagged.sort_by_key(|(tag, _)| *tag);
            self.varint(tagged.len())?;
            for (tag, value) in tagged {
                self.varint(tag as usize)?;
                self.varint(value.len())?;
                self.out.extend(value);
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, path: &str) -> Result<(), Malformed> {
        let nullable = field.nullable.contains(self.version);
        let is_tagged = field.tag_in(self.version).is_some(); // then `present` was asked already
        let filled = !nullable || is_tagged || self.filler.present(path);
        if !field.array {
            return self.value(field, path, nullable, filled);
        }
        if !filled {
            return self.length(None, false);
        }
        let path = format!("{path}[]");
        let count = self.filler.count(&path);
        self.length(Some(count), false)?;
        for _ in 0..count {
            self.value(field, &path, false, true)?;
        }
        Ok(())
    }

    fn value(&mut self, field: &Field, path: &str, nullable: bool, filled: bool) -> Result<(), Malformed> {
        match field.kind {
            FieldKind::Int { bytes } => {
                let int = self.filler.int(path).to_be_bytes();
                self.out.extend(&int[int.len() - bytes..]);
            }
            FieldKind::Float64 => self.out.put_f64(self.filler.int(path) as f64),
            FieldKind::Uuid => self.out.extend(self.filler.uuid(path).as_bytes()),
            FieldKind::Text | FieldKind::Blob if !filled => {
                self.length(None, field.kind == FieldKind::Text)?
            }
            FieldKind::Text => {
                let text = self.filler.text(path);
                self.length(Some(text.len()), true)?;
                self.out.extend(text.as_bytes());
            }
            FieldKind::Blob => {
                let bytes = self.filler.bytes(path);
                self.length(Some(bytes.len()), false)?;
                self.out.extend(bytes);
            }
            FieldKind::Struct => {
                if nullable {
                    self.out.put_i8(if filled { 1 } else { -1 });
                }
                if filled {
                    self.structure(&field.fields, path)?;
                }
            }
        }
        Ok(())
    }

    fn length(&mut self, length: Option<usize>, of_text: bool) -> Result<(), Malformed> {
        let too_long = |_| Malformed::NegativeLength;
        match length {
            Some(length) if self.compact => self.varint(length + 1)?,
            None if self.compact => self.varint(0)?,
            Some(length) if of_text => self.out.put_i16(length.try_into().map_err(too_long)?),
            None if of_text => self.out.put_i16(-1),
            Some(length) => self.out.put_i32(length.try_into().map_err(too_long)?),
            None => self.out.put_i32(-1),
        }
        Ok(())
    }

    fn varint(&mut self, value: usize) -> Result<(), Malformed> {
        let mut value = u32::try_from(value).map_err(|_| Malformed::NegativeLength)?;
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
        Ok(())
    }
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    version: i16,
    compact: bool,
    leaves: Vec<Leaf>,
}

impl Reader<'_> {
    fn structure(&mut self, fields: &[Field], parent: &str) -> Result<(), Malformed> {
        let here = |field: &&Field| field.versions.contains(self.version);
        let (tagged, inline): (Vec<_>, Vec<_>) =
            fields.iter().filter(here).partition(|field| field.tag_in(self.version).is_some());
        for field in inline {
            self.field(field, &path_to(parent, field.name))?;
        }
        if !self.compact {
            return Ok(());
        }
        let mut previous = None;
        for _ in 0..self.cursor.tag_count()? {
            let (tag, value) = self.cursor.tagged(previous)?;
            previous = Some(tag);
            let Some(field) = tagged.iter().find(|field| field.tag_in(self.version) == Some(tag)) else {
                continue;
            };
            let behind = std::mem::replace(&mut self.cursor, Cursor::new(value));
            self.field(field, &path_to(parent, field.name))?;
            self.cursor = behind;
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, path: &str) -> Result<(), Malformed> {
        if !field.array {
            return self.value(field, path, field.nullable.contains(self.version));
        }
        let Some(count) = self.cursor.count(self.compact, 1)? else {
            self.push(path, LeafValue::Null);
            return Ok(());
        };
        let path = format!("{path}[]");
        for _ in 0..count {
            self.value(field, &path, false)?;
        }
        Ok(())
    }

    fn value(&mut self, field: &Field, path: &str, nullable: bool) -> Result<(), Malformed> {
        let value = match field.kind {
            FieldKind::Int { bytes } => LeafValue::Int(int(self.cursor.take(bytes)?)),
            FieldKind::Float64 => LeafValue::Float(f64::from_be_bytes(self.cursor.array()?)),
            FieldKind::Uuid => LeafValue::Uuid(Uuid::from_bytes(self.cursor.array()?)),
            FieldKind::Text => match self.cursor.text(self.compact)? {
                Some(text) => LeafValue::Text(text.to_owned()),
                None => LeafValue::Null,
            },
            FieldKind::Blob => match self.cursor.blob(self.compact)? {
                Some(bytes) => LeafValue::Bytes(bytes.to_vec()),
                None => LeafValue::Null,
            },
            FieldKind::Struct if nullable && self.cursor.int8()? < 0 => LeafValue::Null,
            FieldKind::Struct => return self.structure(&field.fields, path),
        };
        self.push(path, value);
        Ok(())
    }

    fn push(&mut self, path: &str, value: LeafValue) {
        self.leaves.push(Leaf { path: path.to_owned(), value });
    }
}

/// A signed number of up to eight bytes.
fn int(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte))
}

/// Feeds arbitrary bytes to the readers of this file.
///
/// Shape: the first three bytes choose key, direction and version.
pub fn fuzz_leaves(data: &[u8]) {
    let Some(([key, direction, version], body)) = data.split_first_chunk() else { return };
    let direction = if direction % 2 == 0 { Direction::Request } else { Direction::Response };
    let (key, version) = (i16::from(*key), i16::from(*version) % 20);
    let walked = grammar().walk(key, direction, version, body, usize::MAX);
    let read = leaves(key, direction, version, body);
    assert_eq!(walked.map(drop), read.map(drop), "what was walked can be read");
    let _ = embedded_leaves(Embedded::Subscription, data);
    let _ = embedded_leaves(Embedded::Assignment, data);
}

/// Stands for an api key where there is none.
const EMBEDDED: i16 = -1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fuzzing::{self, Random};

    /// Numbers the strings in the order in which they are asked for.
    struct Counting(usize);

    impl Filler for Counting {
        fn text(&mut self, path: &str) -> String {
            self.0 += 1;
            format!("{path}#{}", self.0)
        }
        fn uuid(&mut self, _path: &str) -> Uuid {
            Uuid::from_u128(7)
        }
        fn bytes(&mut self, _path: &str) -> Vec<u8> {
            b"records".to_vec()
        }
        fn int(&mut self, _path: &str) -> i64 {
            -2
        }
        fn count(&mut self, path: &str) -> usize {
            if path.ends_with("Topics[]") { 2 } else { 1 }
        }
    }

    fn leaf(path: &str, value: LeafValue) -> Leaf {
        Leaf { path: path.to_owned(), value }
    }

    #[test]
    fn what_was_filled_is_read_back_under_its_path() {
        let body = body(8, Direction::Request, 9, &mut Counting(0)).unwrap();
        let text = |path: &str, number| leaf(path, LeafValue::Text(format!("{path}#{number}")));
        let int = |path| leaf(path, LeafValue::Int(-2));
        let mut expected = vec![
            text("GroupId", 1),
            int("GenerationIdOrMemberEpoch"),
            text("MemberId", 2),
            text("GroupInstanceId", 3),
        ];
        for number in [4, 6] {
            expected.extend([
                text("Topics[].Name", number),
                int("Topics[].Partitions[].PartitionIndex"),
                int("Topics[].Partitions[].CommittedOffset"),
                int("Topics[].Partitions[].CommittedLeaderEpoch"),
                text("Topics[].Partitions[].CommittedMetadata", number + 1),
            ]);
        }
        assert_eq!(leaves(8, Direction::Request, 9, &body), Ok(expected));
    }

    #[test]
    fn tagged_fields_are_filled_and_read() {
        let body = body(1, Direction::Request, 17, &mut Counting(0)).unwrap();
        let leaves = leaves(1, Direction::Request, 17, &body).unwrap();
        let at = |path: &str| leaves.iter().find(|leaf| leaf.path == path).map(|leaf| leaf.value.clone());
        assert_eq!(at("ClusterId"), Some(LeafValue::Text("ClusterId#1".to_owned())));
        assert_eq!(at("ReplicaState.ReplicaEpoch"), Some(LeafValue::Int(-2)));
        let directory = at("Topics[].Partitions[].ReplicaDirectoryId");
        assert_eq!(directory, Some(LeafValue::Uuid(Uuid::from_u128(7))));
    }

    #[test]
    fn null_is_read_as_null() {
        let all_topics = [0xff, 0xff, 0xff, 0xff];
        let expected = vec![leaf("Topics", LeafValue::Null)];
        assert_eq!(leaves(3, Direction::Request, 1, &all_topics), Ok(expected));
    }

    #[test]
    fn consumer_protocol_has_its_version_before_it() {
        let blob = embedded_body(Embedded::Subscription, 1, &mut Counting(0)).unwrap();
        assert_eq!(blob[..2], [0, 1]);
        let paths: Vec<_> = embedded_leaves(Embedded::Subscription, &blob)
            .unwrap()
            .into_iter()
            .map(|leaf| leaf.path)
            .collect();
        let expected =
            ["Topics[]", "Topics[]", "UserData", "OwnedPartitions[].Topic", "OwnedPartitions[].Partitions[]"];
        assert_eq!(paths, expected);
        let unknown = embedded_body(Embedded::Assignment, 4, &mut Counting(0));
        assert_eq!(unknown, Err(Malformed::UnknownVersion { key: -1, version: 4 }));
    }

    #[test]
    fn every_message_can_be_made_and_read() {
        let mut random = Random::seeded(1);
        for key in grammar().keys() {
            for direction in [Direction::Request, Direction::Response] {
                for version in grammar().versions(key, direction).unwrap() {
                    let body = body(key, direction, version, &mut random).unwrap();
                    let read = leaves(key, direction, version, &body);
                    assert!(read.is_ok(), "{direction:?} {key} v{version}: {read:?}");
                }
            }
        }
    }

    #[test]
    fn random_bytes_do_no_harm() {
        fuzzing::seeded(20_000, 64, fuzz_leaves);
    }
}
