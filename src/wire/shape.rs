//! The walk before every decode: is this body well-formed, and how large will it be?
//!
//! The codec trusts a count before it has seen an element, so nothing reaches it that has not been
//! walked here. Each version of each message is laid out once, at first use; walking allocates
//! nothing, reads each byte at most once, and goes as deep as the grammar does and no deeper.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};

use super::Malformed;
use super::cursor::Cursor;
use super::definition::{self, Definition, Field, FieldKind, Role};

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
        };
        walk.structure(layout)?;
        walk.cursor.finish()?;
        Ok(walk.measure)
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

/// A structure as one version has it.
struct Layout {
    steps: Vec<Step>,
    /// The known tagged fields that end it; `None` if the version is not flexible.
    tags: Option<Vec<KnownTag>>,
    bytes_min: usize,
}

/// A tagged field the grammar knows; a version that may not have it has no step for it.
struct KnownTag {
    tag: u32,
    step: Option<Step>,
}

/// What comes next on the wire.
enum Step {
    /// A run of fields of fixed size.
    Skip {
        bytes: usize,
    },
    Text {
        nullable: bool,
    },
    Blob {
        nullable: bool,
    },
    Structure {
        nullable: bool,
        layout: Layout,
    },
    /// An array of fields of fixed size.
    Fixed {
        nullable: bool,
        bytes_each: usize,
    },
    Texts {
        nullable: bool,
    },
    Blobs {
        nullable: bool,
    },
    Structures {
        nullable: bool,
        layout: Layout,
    },
}

impl Layout {
    fn new(fields: &[Field], version: i16, compact: bool) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        let mut tags = Vec::new();
        for field in fields {
            let present = field.versions.contains(version);
            if let Some((tagged, tag)) = field.tagged {
                let is_tagged = present && tagged.contains(version);
                if is_tagged || !present {
                    let step = is_tagged.then(|| Step::new(field, version, compact));
                    tags.push(KnownTag { tag, step });
                    continue;
                }
            }
            if present {
                match (steps.last_mut(), Step::new(field, version, compact)) {
                    (Some(Step::Skip { bytes }), Step::Skip { bytes: more }) => *bytes += more,
                    (_, step) => steps.push(step),
                }
            }
        }
        let bytes_min =
            steps.iter().map(|step| step.bytes_min(compact)).sum::<usize>() + usize::from(compact);
        Self { steps, tags: compact.then_some(tags), bytes_min }
    }
}

impl Step {
    fn new(field: &Field, version: i16, compact: bool) -> Self {
        let nullable = field.nullable.contains(version);
        let bytes_fixed = match field.kind {
            FieldKind::Int { bytes } => bytes,
            FieldKind::Float64 => 8,
            FieldKind::Uuid => 16,
            FieldKind::Text if field.array => return Self::Texts { nullable },
            FieldKind::Text => return Self::Text { nullable },
            FieldKind::Blob if field.array => return Self::Blobs { nullable },
            FieldKind::Blob => return Self::Blob { nullable },
            FieldKind::Struct => {
                let layout = Layout::new(&field.fields, version, compact);
                return if field.array {
                    Self::Structures { nullable, layout }
                } else {
                    Self::Structure { nullable, layout }
                };
            }
        };
        if field.array {
            Self::Fixed { nullable, bytes_each: bytes_fixed }
        } else {
            Self::Skip { bytes: bytes_fixed }
        }
    }

    fn bytes_min(&self, compact: bool) -> usize {
        match self {
            Self::Skip { bytes } => *bytes,
            Self::Structure { nullable: true, .. } => 1,
            Self::Structure { layout, .. } => layout.bytes_min,
            _ if compact => 1,
            Self::Text { .. } => TEXT_LENGTH_BYTES,
            _ => LONG_LENGTH_BYTES,
        }
    }
}

/// One walk over one body.
struct Walk<'a> {
    cursor: Cursor<'a>,
    compact: bool,
    elements_max: usize,
    measure: Measure,
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
        let count = self.cursor.tag_count()?;
        self.measured(count)?;
        let mut previous = None;
        for _ in 0..count {
            let (tag, value) = self.cursor.tagged(previous)?;
            previous = Some(tag);
            let Some(known) = known.iter().find(|known| known.tag == tag) else { continue };
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
}

/// Feeds arbitrary bytes to the walk, and what passes to the codec.
///
/// Shape: the first four bytes choose key, direction and version.
pub fn fuzz_walk(data: &[u8]) {
    let Some(([key, direction, version, _], body)) = data.split_first_chunk() else { return };
    let direction = if direction % 2 == 0 { Direction::Request } else { Direction::Response };
    let (key, version) = (i16::from(*key), i16::from(*version) % 20);
    if let Ok(measure) = grammar().walk(key, direction, version, body, 10_000) {
        assert!(measure.elements <= body.len() && measure.strings <= body.len());
        if let Some(again) = recoded(key, direction, version, body) {
            let again = again.expect("what the walk accepts decodes, and can be said again");
            let walked = grammar().walk(key, direction, version, &again, 10_000);
            assert_eq!(walked.map(drop), Ok(()), "what the codec says has the right shape");
        }
    }
}

/// A walked body of any key, decoded and encoded again; `None` where the codec lacks the version.
fn recoded(key: i16, direction: Direction, version: i16, body: &[u8]) -> Option<Result<BytesMut, Malformed>> {
    let key = ApiKey::try_from(key).ok()?;
    let known = key.valid_versions();
    if !(known.min..=known.max).contains(&version) {
        return None;
    }
    // The codec lists these versions, which its responses have and its requests have not.
    use Direction::Request;
    if let (ApiKey::OffsetCommit | ApiKey::OffsetFetch, Request, 10) | (ApiKey::InitProducerId, Request, 6) =
        (key, direction, version)
    {
        return None;
    }
    let mut rest = Bytes::copy_from_slice(body);
    let mut again = BytesMut::new();
    let encoded = match direction {
        Direction::Request => RequestKind::decode(key, &mut rest, version)
            .and_then(|message| message.encode(&mut again, version)),
        Direction::Response => ResponseKind::decode(key, &mut rest, version)
            .and_then(|message| message.encode(&mut again, version)),
    };
    Some(match (encoded, rest.len()) {
        (Err(_), _) => Err(Malformed::Undecodable),
        (Ok(()), 0) => Ok(again),
        (Ok(()), bytes) => Err(Malformed::TrailingBytes { bytes }),
    })
}

#[inline]
fn null(allowed: bool) -> Result<(), Malformed> {
    if allowed { Ok(()) } else { Err(Malformed::NullNotAllowed) }
}

const API_VERSIONS: i16 = 18;
const TEXT_LENGTH_BYTES: usize = 2;
const LONG_LENGTH_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fuzzing::{self, Random};
    use crate::wire::sample::{self, Filler};

    /// Asks `what` of each version of each message.
    fn each_message(mut what: impl FnMut(i16, Direction, i16)) {
        for key in grammar().keys() {
            for direction in [Direction::Request, Direction::Response] {
                for version in grammar().versions(key, direction).unwrap() {
                    what(key, direction, version);
                }
            }
        }
    }

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
        Ok(Measure { elements, strings })
    }

    #[test]
    fn every_message_is_known() {
        assert_eq!(grammar().keys().count(), 95 - 4, "94 down to 0, without the retired 4 to 7");
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
        check(3, Direction::Request, 1, b"\0\0\0\x02\0\x02ab", Err(CountBeyondBody).or(Err(Truncated)));
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
        check(&[1, 9, 2, 8, 8], measure(1, 1));
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
            let Ok(known) = kafka_protocol::messages::ApiKey::try_from(key) else { return };
            if version > known.valid_versions().max {
                return;
            }
            let flexible = match direction {
                Direction::Request => known.request_header_version(version) == 2,
                Direction::Response => known.response_header_version(version) == 1,
            };
            let ours = grammar().header_flexible(key, direction, version);
            assert_eq!(ours, flexible, "{known:?} {direction:?} v{version}");
        });
    }

    /// No element takes less than a byte, or a count could promise work that no byte pays for.
    #[test]
    fn no_element_is_free() {
        fn check(layout: &Layout, compact: bool) {
            let tagged = layout.tags.iter().flatten().filter_map(|known| known.step.as_ref());
            for step in layout.steps.iter().chain(tagged) {
                match step {
                    Step::Structures { layout, .. } => {
                        assert!(layout.bytes_min > 0);
                        check(layout, compact);
                    }
                    Step::Structure { layout, .. } => check(layout, compact),
                    _ => {}
                }
            }
        }
        each_message(|key, direction, version| {
            check(grammar().shape(key, direction).unwrap().layout(version).unwrap(), true);
        });
    }

    /// Fills everything, with nothing that is a field's default.
    struct Everything;

    impl Filler for Everything {
        fn text(&mut self, _path: &str) -> String {
            "text".to_owned()
        }
        fn uuid(&mut self, _path: &str) -> uuid::Uuid {
            uuid::Uuid::from_u128(7)
        }
        fn bytes(&mut self, _path: &str) -> Vec<u8> {
            vec![9; 200]
        }
        fn int(&mut self, _path: &str) -> i64 {
            1
        }
        fn count(&mut self, _path: &str) -> usize {
            2
        }
    }

    #[test]
    fn the_grammar_and_the_codec_agree_on_every_byte() {
        let (mut agreed, mut unknown) = (0, 0);
        each_message(|key, direction, version| {
            let body = sample::body(key, direction, version, &mut Everything).unwrap();
            match recoded(key, direction, version, &body) {
                Some(again) => {
                    assert_eq!(again.as_deref(), Ok(&body[..]), "{direction:?} {key} v{version}");
                    agreed += 1;
                }
                None => unknown += 1,
            }
        });
        assert!(agreed > 500 && unknown < 100, "{agreed} agreed, {unknown} unknown to the codec");
    }

    #[test]
    fn what_the_walk_accepts_decodes() {
        let mut random = Random::seeded(1);
        for _ in 0..10 {
            each_message(|key, direction, version| {
                let body = sample::body(key, direction, version, &mut random).unwrap();
                let walked = grammar().walk(key, direction, version, &body, usize::MAX);
                assert!(walked.is_ok(), "{direction:?} {key} v{version}: {walked:?}");
                fuzz_walk(&[&[key as u8, direction as u8, version as u8, 0], &body[..]].concat());
            });
        }
    }

    #[test]
    fn what_the_walk_accepts_of_broken_bodies_decodes_too() {
        let mut random = Random::seeded(2);
        let (mut accepted, mut total) = (0, 0);
        for _ in 0..10 {
            each_message(|key, direction, version| {
                let mut body = sample::body(key, direction, version, &mut random).unwrap();
                random.damage(&mut body);
                total += 1;
                accepted += usize::from(grammar().walk(key, direction, version, &body, 10_000).is_ok());
                fuzz_walk(&[&[key as u8, direction as u8, version as u8, 0], &body[..]].concat());
            });
        }
        assert!(accepted > total / 20 && accepted < total, "{accepted} of {total}: telling only in between");
    }

    #[test]
    fn random_bytes_do_no_harm() {
        fuzzing::seeded(20_000, 64, fuzz_walk);
    }
}
