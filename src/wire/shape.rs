//! The walk before every decode: is this body well-formed, and how large will it be?
//!
//! The codec trusts a count before it has seen an element, so nothing reaches it that has not been
//! walked here. Each version of each message is laid out once, at first use; walking allocates
//! nothing, reads each byte at most once, and goes as deep as the grammar does and no deeper.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use bytes::Bytes;

use super::Malformed;
use super::cursor::Cursor;
use super::definition::{self, Definition, Role};
use super::layout::{KnownTag, LONG_LENGTH_BYTES, Layout, Step, TEXT_LENGTH_BYTES};

/// The grammar of every Kafka message, from Kafka's own definitions.
pub fn grammar() -> &'static Grammar {
    static GRAMMAR: LazyLock<Grammar> = LazyLock::new(|| Grammar::new(include_str!("shapes.txt")));
    &GRAMMAR
}

/// Knows for each api key, direction and version what a body looks like.
pub struct Grammar {
    /// Requests and responses, side by side, by api key.
    messages: Vec<[Option<Shape>; 2]>,
    subscription: Definition,
    assignment: Definition,
}

impl Grammar {
    /// Checks a whole body, and measures it.
    ///
    /// Shape: `body` begins behind the header. What passes decodes, if the codec knows the version.
    /// Limits: counts and lengths are at most what the bytes left can hold, and all counted
    /// elements together at most `elements_max`.
    pub fn walk(
        &self,
        key: i16,
        direction: Direction,
        version: i16,
        body: &[u8],
        elements_max: usize,
    ) -> Result<Measure, Malformed> {
        let layout = self
            .shape(key, direction)
            .and_then(|shape| shape.layout(version))
            .ok_or(Malformed::UnknownVersion { key, version })?;
        let mut walk = Walk {
            cursor: Cursor::new(body),
            compact: layout.tags.is_some(),
            elements_max,
            measure: Measure::default(),
            stripped: None,
        };
        walk.structure(layout)?;
        walk.cursor.finish()?;
        Ok(walk.measure)
    }

    /// The same body without the tagged fields that the grammar does not know: nobody has read them
    /// for names.
    pub fn without_unknown_tags(
        &self,
        key: i16,
        direction: Direction,
        version: i16,
        body: &[u8],
    ) -> Result<Bytes, Malformed> {
        let layout = self
            .shape(key, direction)
            .and_then(|shape| shape.layout(version))
            .ok_or(Malformed::UnknownVersion { key, version })?;
        let mut walk = Walk {
            cursor: Cursor::new(body),
            compact: layout.tags.is_some(),
            elements_max: usize::MAX,
            measure: Measure::default(),
            stripped: Some(Stripped::of(body)),
        };
        walk.structure(layout)?;
        let stripped = walk.stripped.take().map(|stripped| stripped.finish(&walk.cursor));
        walk.cursor.finish()?;
        Ok(stripped.unwrap_or_default().into())
    }

    /// Whether the body is of the flexible kind; answered for versions that are not known, too.
    pub fn flexible(&self, key: i16, direction: Direction, version: i16) -> bool {
        self.shape(key, direction).is_some_and(|shape| shape.definition.flexible.contains(version))
    }

    /// Whether the header has tagged fields.
    ///
    /// Source: KIP-511. An ApiVersions response has the oldest header in every version, since the
    /// client that reads it does not know yet what the broker speaks.
    pub fn header_flexible(&self, key: i16, direction: Direction, version: i16) -> bool {
        let oldest = key == API_VERSIONS && direction == Direction::Response;
        !oldest && self.flexible(key, direction, version)
    }

    /// The versions that the grammar knows; `None` for a key it does not know.
    pub fn versions(&self, key: i16, direction: Direction) -> Option<RangeInclusive<i16>> {
        self.definition(key, direction).map(|definition| definition.versions.range())
    }

    /// A message as Kafka defines it.
    pub fn definition(&self, key: i16, direction: Direction) -> Option<&Definition> {
        self.shape(key, direction).map(|shape| &shape.definition)
    }

    /// A structure that travels inside other messages' bytes, as Kafka defines it.
    pub fn embedded(&self, embedded: Embedded) -> &Definition {
        match embedded {
            Embedded::Subscription => &self.subscription,
            Embedded::Assignment => &self.assignment,
        }
    }

    /// The api keys that the grammar knows, ascending.
    pub fn keys(&self) -> impl Iterator<Item = i16> {
        (0..).zip(&self.messages).filter(|(_, [request, _])| request.is_some()).map(|(key, _)| key)
    }

    fn new(text: &'static str) -> Self {
        let mut messages = Vec::new();
        let mut embedded = Vec::new();
        for definition in definition::parse(text).expect("shapes.txt is compiled in, and a test reads it") {
            let side = match definition.role {
                Role::Request => 0,
                Role::Response => 1,
                Role::Embedded => {
                    embedded.push(definition);
                    continue;
                }
                Role::Header => continue, // `header.rs` reads those
            };
            let Some(place) = definition.key.and_then(|key| usize::try_from(key).ok()) else { continue };
            if messages.len() <= place {
                messages.resize_with(place + 1, || [None, None]);
            }
            messages[place][side] = Some(Shape::new(definition));
        }
        let mut take = |name: &str| {
            let place = embedded.iter().position(|definition| definition.name == name);
            embedded.swap_remove(place.expect("shapes.txt has both consumer-protocol structures"))
        };
        let subscription = take("ConsumerProtocolSubscription");
        Self { messages, subscription, assignment: take("ConsumerProtocolAssignment") }
    }

    fn shape(&self, key: i16, direction: Direction) -> Option<&Shape> {
        self.messages.get(usize::try_from(key).ok()?)?[direction as usize].as_ref()
    }
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    Request,
    Response,
}

/// What consumers put into the opaque bytes of group messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Embedded {
    Subscription,
    Assignment,
}

/// How large a walked body is once decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measure {
    /// Elements of arrays of structures, strings and bytes, and tagged fields. A number in an array
    /// takes no more room decoded than on the wire, and is not counted.
    pub elements: usize,
    /// Strings that are not null, wherever they stand.
    pub strings: usize,
    /// Tagged fields that the grammar does not know.
    pub unknown_tags: usize,
}

/// A message and the layout of each of its versions.
struct Shape {
    definition: Definition,
    layouts: Vec<Layout>,
}

impl Shape {
    fn new(definition: Definition) -> Self {
        let layout =
            |version| Layout::new(&definition.fields, version, definition.flexible.contains(version));
        let layouts = definition.versions.range().map(layout).collect();
        Self { definition, layouts }
    }

    fn layout(&self, version: i16) -> Option<&Layout> {
        self.layouts.get(usize::try_from(version.checked_sub(self.definition.versions.first)?).ok()?)
    }
}

/// One walk over one body.
struct Walk<'a> {
    cursor: Cursor<'a>,
    compact: bool,
    elements_max: usize,
    measure: Measure,
    /// Set when the body is copied on the way, without what is not known.
    stripped: Option<Stripped<'a>>,
}

/// A body copied as far as it has been walked.
struct Stripped<'a> {
    source: &'a [u8],
    copied: usize,
    out: Vec<u8>,
}

impl<'a> Stripped<'a> {
    fn of(source: &'a [u8]) -> Self {
        Self { source, copied: 0, out: Vec::with_capacity(source.len()) }
    }

    /// Copies what lies before the cursor.
    fn catch_up(&mut self, cursor: &Cursor<'_>) {
        let here = self.source.len() - cursor.remaining();
        self.out.extend_from_slice(&self.source[self.copied..here]);
        self.copied = here;
    }

    fn finish(mut self, cursor: &Cursor<'_>) -> Vec<u8> {
        self.catch_up(cursor);
        self.out
    }

    fn put_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}

impl Walk<'_> {
    fn structure(&mut self, layout: &Layout) -> Result<(), Malformed> {
        for step in &layout.steps {
            self.step(step)?;
        }
        match &layout.tags {
            Some(known) => self.tags(known),
            None => Ok(()),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), Malformed> {
        match step {
            Step::Skip { bytes } => self.cursor.take(*bytes).map(drop),
            Step::Text { nullable } => self.text(*nullable),
            Step::Blob { nullable } => self.blob(*nullable),
            Step::Structure { nullable: false, layout } => self.structure(layout),
            Step::Structure { nullable: true, layout } => match self.cursor.int8()? {
                1 => self.structure(layout),
                -1 => Ok(()),
                _ => Err(Malformed::BadPresence),
            },
            Step::Fixed { nullable, bytes_each } => {
                let count = self.count(*nullable, *bytes_each)?;
                self.cursor.take(count.saturating_mul(*bytes_each)).map(drop)
            }
            Step::Texts { nullable } => {
                let bytes_min = if self.compact { 1 } else { TEXT_LENGTH_BYTES };
                self.each(*nullable, bytes_min, |walk| walk.text(false))
            }
            Step::Blobs { nullable } => {
                let bytes_min = if self.compact { 1 } else { LONG_LENGTH_BYTES };
                self.each(*nullable, bytes_min, |walk| walk.blob(false))
            }
            Step::Structures { nullable, layout } => {
                self.each(*nullable, layout.bytes_min, |walk| walk.structure(layout))
            }
        }
    }

    fn text(&mut self, nullable: bool) -> Result<(), Malformed> {
        if self.cursor.text(self.compact)?.is_some() {
            self.measure.strings += 1;
            Ok(())
        } else {
            null(nullable)
        }
    }

    fn blob(&mut self, nullable: bool) -> Result<(), Malformed> {
        if self.cursor.blob(self.compact)?.is_some() { Ok(()) } else { null(nullable) }
    }

    fn each(
        &mut self,
        nullable: bool,
        bytes_min: usize,
        mut element: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let count = self.count(nullable, bytes_min)?;
        self.measured(count)?;
        for _ in 0..count {
            element(self)?;
        }
        Ok(())
    }

    fn count(&mut self, nullable: bool, bytes_min: usize) -> Result<usize, Malformed> {
        match self.cursor.count(self.compact, bytes_min)? {
            Some(count) => Ok(count),
            None => null(nullable).map(|()| 0),
        }
    }

    fn measured(&mut self, elements: usize) -> Result<(), Malformed> {
        self.measure.elements += elements; // each count is at most the body's length in bytes
        if self.measure.elements > self.elements_max {
            return Err(Malformed::TooManyElements { max: self.elements_max });
        }
        Ok(())
    }

    fn tags(&mut self, known: &[KnownTag]) -> Result<(), Malformed> {
        if self.stripped.is_some() {
            return self.tags_stripped(known);
        }
        let count = self.cursor.tag_count()?;
        self.measured(count)?;
        let mut previous = None;
        for _ in 0..count {
            let (tag, value) = self.cursor.tagged(previous)?;
            previous = Some(tag);
            let Some(known) = known.iter().find(|known| known.tag == tag) else {
                self.measure.unknown_tags += 1;
                continue;
            };
            let step = known.step.as_ref().ok_or(Malformed::TagNotInVersion)?;
            // The codec reads a field it knows without minding the announced size.
            let behind = std::mem::replace(&mut self.cursor, Cursor::new(value));
            self.step(step)?;
            if std::mem::replace(&mut self.cursor, behind).remaining() > 0 {
                return Err(Malformed::TagLength);
            }
        }
        Ok(())
    }

    /// Writes the known tagged fields anew, each without what is not known inside it.
    fn tags_stripped(&mut self, known: &[KnownTag]) -> Result<(), Malformed> {
        let Some(mut outer) = self.stripped.take() else { return Ok(()) };
        outer.catch_up(&self.cursor);
        let (mut kept, mut previous) = (Vec::new(), None);
        for _ in 0..self.cursor.tag_count()? {
            let (tag, value) = self.cursor.tagged(previous)?;
            previous = Some(tag);
            let Some(known) = known.iter().find(|known| known.tag == tag) else { continue };
            let step = known.step.as_ref().ok_or(Malformed::TagNotInVersion)?;
            let behind = std::mem::replace(&mut self.cursor, Cursor::new(value));
            self.stripped = Some(Stripped::of(value));
            self.step(step)?;
            let inner = self.stripped.take().map(|stripped| stripped.finish(&self.cursor));
            if std::mem::replace(&mut self.cursor, behind).remaining() > 0 {
                return Err(Malformed::TagLength);
            }
            kept.push((tag, inner.unwrap_or_default()));
        }
        outer.put_varint(kept.len() as u32);
        for (tag, value) in kept {
            outer.put_varint(tag);
            outer.put_varint(value.len() as u32);
            outer.out.extend_from_slice(&value);
        }
        outer.copied = outer.source.len() - self.cursor.remaining();
        self.stripped = Some(outer);
        Ok(())
    }
}

#[inline]
fn null(allowed: bool) -> Result<(), Malformed> {
    if allowed { Ok(()) } else { Err(Malformed::NullNotAllowed) }
}

const API_VERSIONS: i16 = 18;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fuzzing::{Random, each_message};
    use crate::wire::{messages, sample};

    fn check(
        key: i16,
        direction: Direction,
        version: i16,
        body: &[u8],
        expected: Result<Measure, Malformed>,
    ) {
        let walked = grammar().walk(key, direction, version, body, 100);
        assert_eq!(walked, expected, "{direction:?} {key} v{version} {body:02x?}");
    }

    fn measure(elements: usize, strings: usize) -> Result<Measure, Malformed> {
        Ok(Measure { elements, strings, unknown_tags: 0 })
    }

    #[test]
    fn every_message_is_known() {
        assert_eq!(grammar().keys().count(), 93 - 4, "92 down to 0, without the retired 4 to 7");
        assert_eq!(grammar().versions(0, Direction::Request), Some(3..=13));
        assert_eq!(grammar().versions(4, Direction::Request), None);
        check(0, Direction::Request, 2, &[], Err(Malformed::UnknownVersion { key: 0, version: 2 }));
        check(0, Direction::Request, 14, &[], Err(Malformed::UnknownVersion { key: 0, version: 14 }));
        check(-1, Direction::Request, 0, &[], Err(Malformed::UnknownVersion { key: -1, version: 0 }));
        check(
            0,
            Direction::Request,
            i16::MIN,
            &[],
            Err(Malformed::UnknownVersion { key: 0, version: i16::MIN }),
        );
    }

    #[test]
    fn four_bytes_do_not_ask_for_a_hundred_gigabytes() {
        for version in 0..=8 {
            check(3, Direction::Request, version, &[0x7f, 0xff, 0xff, 0xff], Err(Malformed::CountBeyondBody));
        }
        let compact = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0];
        check(3, Direction::Request, 9, &compact, Err(Malformed::CountBeyondBody));
    }

    #[test]
    fn a_metadata_request_is_walked() {
        use Malformed::*;
        check(3, Direction::Request, 1, &[0xff, 0xff, 0xff, 0xff], measure(0, 0));
        check(3, Direction::Request, 0, &[0xff, 0xff, 0xff, 0xff], Err(NullNotAllowed));
        check(3, Direction::Request, 1, &[0xff, 0xff, 0xff, 0xfe], Err(NegativeLength));
        check(3, Direction::Request, 1, b"\0\0\0\x01\0\x02ab", measure(1, 1));
        check(3, Direction::Request, 1, b"\0\0\0\x01\0\x03ab", Err(Truncated));
        check(3, Direction::Request, 1, b"\0\0\0\x01\xff\xff", Err(NullNotAllowed));
        check(3, Direction::Request, 1, b"\0\0\0\x01\0\x02\xc3\x28", Err(BadUtf8));
        check(3, Direction::Request, 1, b"\0\0\0\x01\0\x02abc", Err(TrailingBytes { bytes: 1 }));
        check(3, Direction::Request, 1, b"\0\0\0\x02\0\x02ab", Err(Truncated));
        check(3, Direction::Request, 9, b"\x02\x03ab\0\x01\0\0\0", measure(1, 1));
    }

    #[test]
    fn tagged_fields_are_measured_by_what_they_announce() {
        use Malformed::*;
        // Fetch v12: the fields before the tags, with no topics; tag 0 is the cluster id.
        let fetch = |tags: &[u8]| [&[0; 25][..], &[1, 1, 1], tags].concat();
        let check = |tags: &[u8], expected| check(1, Direction::Request, 12, &fetch(tags), expected);
        check(&[0], measure(0, 1)); // the rack is an empty string
        check(&[1, 0, 3, 3, b'a', b'b'], measure(1, 2));
        check(&[1, 0, 4, 3, b'a', b'b', 0], Err(TagLength));
        check(&[1, 0, 2, 3, b'a', b'b'], Err(Truncated));
        check(&[1, 1, 0], Err(TagNotInVersion));
        check(&[1, 9, 2, 8, 8], Ok(Measure { elements: 1, strings: 1, unknown_tags: 1 }));
        check(&[2, 9, 0, 0, 1, 0], Err(TagOrder));
        check(&[2, 9, 0, 9, 0], Err(TagOrder));
        check(&[0xff, 0xff, 0xff, 0xff, 0x0f], Err(CountBeyondBody));
    }

    #[test]
    fn an_optional_structure_is_there_or_not() {
        use Malformed::*;
        // DescribeTopicPartitions: no topics, a limit, then the cursor.
        for (cursor, expected) in [
            (&[0xff][..], measure(0, 0)),
            (&[1, 2, b'a', 0, 0, 0, 0, 0], measure(0, 1)),
            (&[0, 2, b'a', 0, 0, 0, 0, 0], Err(BadPresence)),
            (&[2, 2, b'a', 0, 0, 0, 0, 0], Err(BadPresence)),
        ] {
            let body = [&[1, 0, 0, 0, 9], cursor, &[0]].concat();
            check(75, Direction::Request, 0, &body, expected);
        }
    }

    #[test]
    fn elements_are_limited_together() {
        // Metadata v1 names two topics; numbers in arrays are not counted.
        let body = b"\0\0\0\x02\0\x01a\0\x01b";
        let walk = |max| grammar().walk(3, Direction::Request, 1, body, max);
        assert_eq!(walk(2), measure(2, 2));
        assert_eq!(walk(1), Err(Malformed::TooManyElements { max: 1 }));
    }

    #[test]
    fn headers_are_flexible_with_their_bodies_except_one() {
        for (key, direction, version, body, header) in [
            (18, Direction::Request, 2, false, false),
            (18, Direction::Request, 3, true, true),
            (18, Direction::Request, 99, true, true),
            (18, Direction::Response, 3, true, false),
            (0, Direction::Request, 8, false, false),
            (0, Direction::Response, 9, true, true),
            (17, Direction::Request, 1, false, false),
            (47, Direction::Response, 0, false, false),
            (4, Direction::Request, 9, false, false),
        ] {
            assert_eq!(grammar().flexible(key, direction, version), body, "{key} {direction:?} v{version}");
            let flexible = grammar().header_flexible(key, direction, version);
            assert_eq!(flexible, header, "{key} {direction:?} v{version}");
        }
    }

    #[test]
    fn the_grammar_and_the_codec_agree_on_headers() {
        each_message(|key, direction, version| {
            let header = messages::header_version(key, direction, version).or_else(|| {
                let known = kafka_protocol::messages::ApiKey::try_from(key).ok()?;
                (version <= known.valid_versions().max).then(|| match direction {
                    Direction::Request => known.request_header_version(version),
                    Direction::Response => known.response_header_version(version),
                })
            });
            let flexible = match direction {
                Direction::Request => 2,
                Direction::Response => 1,
            };
            let ours = grammar().header_flexible(key, direction, version);
            let expected = header.map_or(ours, |header| header == flexible);
            assert_eq!(ours, expected, "{direction:?} {key} v{version}");
        });
    }

    #[test]
    fn p_15_a_tagged_field_that_nobody_knows_is_left_out() {
        // SaslAuthenticate v2: four bytes, then one tagged field of an unknown tag.
        let body = [5, 1, 2, 3, 4, 1, 9, 2, 0xaa, 0xbb];
        let measured = grammar().walk(36, Direction::Request, 2, &body, 100).unwrap();
        assert_eq!(measured.unknown_tags, 1);
        let stripped = grammar().without_unknown_tags(36, Direction::Request, 2, &body).unwrap();
        assert_eq!(&stripped[..], &[5, 1, 2, 3, 4, 0]);
    }

    #[test]
    fn nothing_is_left_out_of_what_is_known() {
        each_message(|key, direction, version| {
            let body = sample::body(key, direction, version, &mut Random::seeded(7)).unwrap();
            let stripped = grammar().without_unknown_tags(key, direction, version, &body).unwrap();
            assert_eq!(stripped, body, "{direction:?} {key} v{version}");
        });
    }
}
