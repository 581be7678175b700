//! Topics inside a group member's opaque bytes.
//!
//! A consumer's subscription and its assignment travel as bytes in JoinGroup, SyncGroup and
//! DescribeGroups: a version, then lists of topics in the old encoding, then what only the members
//! understand. The names in them are rewritten in place of a decode, so that everything else,
//! user data and what later versions append, stays byte for byte.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;

use super::Malformed;
use super::cursor::Cursor;

/// Another name for a topic, by where it stands.
pub type Rename<'a> = dyn FnMut(&str, Element) -> Option<StrBytes> + 'a;

/// What a list of topics has as its elements.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Element {
    Name,
    /// A name and the numbers of partitions.
    Partitions,
}

/// Renames the topics of a ConsumerProtocolSubscription; a topic that `rename` maps to `None` is dropped.
///
/// Shape: an unchanged blob is returned as it is, sharing its memory. An empty one stays empty.
/// Limits: [`TOPICS_MAX`] topics in one list. The walk over the message around it does not see
/// these names, so who rewrites all blobs of a frame counts them in `rename`.
/// Errors: when it does not parse; a broker leaves such a blob alone, and so may the caller.
/// Source: KIP-429 (owned partitions), KIP-792 (generation), KIP-881 (rack).
pub fn rewrite_subscription(blob: &Bytes, rename: &mut Rename<'_>) -> Result<Bytes, Malformed> {
    if blob.is_empty() {
        return Ok(blob.clone());
    }
    let mut rewrite = Rewrite::of(blob, rename);
    let version = rewrite.version()?;
    rewrite.list(Element::Name)?;
    rewrite.user_data()?;
    if version >= 1 {
        rewrite.list(Element::Partitions)?;
    }
    if version >= 2 {
        rewrite.cursor.int32()?; // the generation
    }
    if version >= 3 {
        rewrite.cursor.text(false)?; // the rack
    }
    Ok(rewrite.finish())
}

/// Renames the topics of a ConsumerProtocolAssignment; a topic that `rename` maps to `None` is dropped.
///
/// Shape, Limits, Errors: those of [`rewrite_subscription`]. The empty blob is that of a member that is assigned nothing.
pub fn rewrite_assignment(blob: &Bytes, rename: &mut Rename<'_>) -> Result<Bytes, Malformed> {
    if blob.is_empty() {
        return Ok(blob.clone());
    }
    let mut rewrite = Rewrite::of(blob, rename);
    rewrite.version()?;
    rewrite.list(Element::Partitions)?;
    rewrite.user_data()?;
    Ok(rewrite.finish())
}

/// Whether bytes are an assignment beyond doubt: read to the last one, every topic's name a valid one.
///
/// For SyncGroup before version 5, which does not say what protocol the group speaks.
pub fn is_assignment(blob: &[u8]) -> bool {
    read_assignment(blob).unwrap_or(false)
}

/// Feeds arbitrary bytes to the parsers of this file.
pub fn fuzz_consumer_protocol(data: &[u8]) {
    let blob = Bytes::copy_from_slice(data);
    let same = &mut |name: &str, _: Element| Some(StrBytes::from_string(name.to_owned()));
    let longer = &mut |name: &str, _: Element| Some(StrBytes::from_string(format!("team-a.{name}")));
    let shorter = &mut |name: &str, _: Element| {
        name.strip_prefix("team-a.").map(|name| StrBytes::from_string(name.to_owned()))
    };
    for rewrite in [rewrite_subscription, rewrite_assignment] {
        let Ok(unchanged) = rewrite(&blob, same) else { continue };
        assert_eq!(unchanged, blob, "the same names give the same bytes");
        // A name that was almost too long for its length may have become so.
        if let Ok(there) = rewrite(&blob, longer) {
            assert_eq!(rewrite(&there, shorter), Ok(blob.clone()), "there and back again");
        }
    }
    if is_assignment(data) {
        assert_eq!(rewrite_assignment(&blob, same), Ok(blob));
    }
}

/// A blob being copied with other names: reads ahead, and copies when something has changed.
struct Rewrite<'a> {
    blob: &'a Bytes,
    cursor: Cursor<'a>,
    rename: &'a mut Rename<'a>,
    out: BytesMut,
    /// How much of the blob has been copied into `out`, or replaced by something else in it.
    copied: usize,
}

impl<'a> Rewrite<'a> {
    fn of(blob: &'a Bytes, rename: &'a mut Rename<'a>) -> Self {
        Self { blob, cursor: Cursor::new(blob), rename, out: BytesMut::new(), copied: 0 }
    }

    /// The version. One that is not known yet is read like the newest known: later ones only append.
    fn version(&mut self) -> Result<i16, Malformed> {
        match self.cursor.int16()? {
            version @ 0.. => Ok(version),
            version => Err(Malformed::UnknownVersion { key: EMBEDDED, version }),
        }
    }

    fn list(&mut self, element: Element) -> Result<(), Malformed> {
        let count_at = self.place();
        let count = self.cursor.count(false, element.bytes_min())?.ok_or(Malformed::NullNotAllowed)?;
        if count > TOPICS_MAX {
            return Err(Malformed::TooManyElements { max: TOPICS_MAX });
        }
        let mut dropped = 0;
        let mut count_in_out = None;
        for _ in 0..count {
            let name_at = self.place();
            let name = self.cursor.text(false)?.ok_or(Malformed::NullNotAllowed)?;
            let name_end = self.place();
            if element == Element::Partitions {
                skip_partitions(&mut self.cursor)?;
            }
            let renamed = (self.rename)(name, element);
            if renamed.as_deref() == Some(name) {
                continue;
            }
            if count_in_out.is_none() {
                // The count comes before the first change; it is copied here to be corrected later.
                self.copy_to(count_at);
                count_in_out = Some(self.out.len());
            }
            self.copy_to(name_at);
            match renamed {
                Some(name) => {
                    let length = i16::try_from(name.len()).map_err(|_| Malformed::NegativeLength)?;
                    self.out.put_i16(length);
                    self.out.put_slice(name.as_bytes());
                    self.copied = name_end;
                }
                None => {
                    dropped += 1;
                    self.copied = self.place();
                }
            }
        }
        if let Some(at) = count_in_out {
            let left = i32::try_from(count - dropped).map_err(|_| Malformed::NegativeLength)?;
            self.out[at..at + COUNT_BYTES].copy_from_slice(&left.to_be_bytes());
        }
        Ok(())
    }

    fn user_data(&mut self) -> Result<(), Malformed> {
        self.cursor.blob(false).map(drop)
    }

    fn finish(mut self) -> Bytes {
        if self.copied == 0 {
            return self.blob.clone();
        }
        self.copy_to(self.blob.len());
        self.out.freeze()
    }

    fn place(&self) -> usize {
        self.blob.len() - self.cursor.remaining()
    }

    /// Copies what was read and not yet copied, up to a place in the blob.
    fn copy_to(&mut self, end: usize) {
        self.out.put_slice(&self.blob[self.copied..end]);
        self.copied = end;
    }
}

impl Element {
    fn bytes_min(self) -> usize {
        match self {
            Self::Name => 2,
            Self::Partitions => 2 + COUNT_BYTES,
        }
    }
}

fn skip_partitions(cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
    let count = cursor.count(false, PARTITION_BYTES)?.ok_or(Malformed::NullNotAllowed)?;
    cursor.take(count * PARTITION_BYTES).map(drop) // the count was held against the bytes left
}

fn read_assignment(blob: &[u8]) -> Result<bool, Malformed> {
    let mut cursor = Cursor::new(blob);
    let version = cursor.int16()?;
    let mut valid = (0..=VERSION_MAX).contains(&version);
    let count = cursor.count(false, Element::Partitions.bytes_min())?.ok_or(Malformed::NullNotAllowed)?;
    for _ in 0..count {
        valid &= cursor.text(false)?.is_some_and(is_topic_name);
        skip_partitions(&mut cursor)?;
    }
    cursor.blob(false)?;
    cursor.finish()?;
    Ok(valid)
}

/// What Kafka takes for a topic's name.
fn is_topic_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=TOPIC_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(allowed)
        && name != "."
        && name != ".."
}

/// How many topics a list in a blob may have: each grows by a prefix when it is renamed, and a broker
/// keeps a group's blobs in one record, a megabyte unless configured otherwise.
pub const TOPICS_MAX: usize = 100_000;
/// The newest version whose fields are known.
const VERSION_MAX: i16 = 3;
const COUNT_BYTES: usize = 4;
const PARTITION_BYTES: usize = 4;
/// Kafka's own limit: a topic's name is that of a directory, less room for a partition's number.
const TOPIC_NAME_BYTES_MAX: usize = 249;
/// Stands for an api key where there is none.
const EMBEDDED: i16 = -1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fuzzing::{self, Random};
    use crate::wire::sample::{self, LeafValue};
    use crate::wire::shape::Embedded;

    /// Puts a prefix on; what starts with `x` is not ours.
    fn to_backend(name: &str, _: Element) -> Option<StrBytes> {
        (!name.starts_with('x')).then(|| StrBytes::from_string(format!("t-{name}")))
    }

    fn subscription(blob: &'static [u8]) -> Result<Bytes, Malformed> {
        rewrite_subscription(&Bytes::from_static(blob), &mut to_backend)
    }

    fn assignment(blob: &'static [u8]) -> Result<Bytes, Malformed> {
        rewrite_assignment(&Bytes::from_static(blob), &mut to_backend)
    }

    #[test]
    fn the_topics_of_a_subscription_are_renamed_and_the_rest_stays() {
        let before = b"\0\x03\0\0\0\x02\0\x01a\0\x01b\0\0\0\x01u\
                       \0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x05\0\0\0\x09\0\x01rmore";
        let after = b"\0\x03\0\0\0\x02\0\x03t-a\0\x03t-b\0\0\0\x01u\
                      \0\0\0\x01\0\x03t-a\0\0\0\x01\0\0\0\x05\0\0\0\x09\0\x01rmore";
        assert_eq!(subscription(before).unwrap(), &after[..]);
    }

    #[test]
    fn later_versions_only_append() {
        let before = b"\0\x09\0\0\0\x01\0\x01a\xff\xff\xff\xff\0\0\0\0\0\0\0\x09\xff\xffanything";
        let after = b"\0\x09\0\0\0\x01\0\x03t-a\xff\xff\xff\xff\0\0\0\0\0\0\0\x09\xff\xffanything";
        assert_eq!(subscription(before).unwrap(), &after[..]);
        let before = b"\0\x09\0\0\0\x01\0\x01a\0\0\0\0\xff\xff\xff\xffmore";
        assert_eq!(
            assignment(before).unwrap(),
            &b"\0\x09\0\0\0\x01\0\x03t-a\0\0\0\0\xff\xff\xff\xffmore"[..]
        );
    }

    #[test]
    fn a_topic_that_is_not_ours_is_dropped() {
        let before = b"\0\x01\0\0\0\x03\0\x01x\0\x01a\0\x02xx\0\0\0\x01u\
                       \0\0\0\x02\0\x01x\0\0\0\x01\0\0\0\x05\0\x01a\0\0\0\0";
        let after = b"\0\x01\0\0\0\x01\0\x03t-a\0\0\0\x01u\0\0\0\x01\0\x03t-a\0\0\0\0";
        assert_eq!(subscription(before).unwrap(), &after[..]);
        let before = b"\0\0\0\0\0\x01\0\x01x\0\0\0\x01\0\0\0\x05\0\0\0\0";
        assert_eq!(assignment(before).unwrap(), &b"\0\0\0\0\0\0\0\0\0\0"[..]);
    }

    #[test]
    fn what_does_not_change_is_shared() {
        assert_eq!(assignment(b"").unwrap(), &b""[..]);
        assert_eq!(subscription(b"").unwrap(), &b""[..]);
        let blob = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01a\0\0\0\x01u");
        let same = rewrite_subscription(&blob, &mut |name, _| Some(StrBytes::from_string(name.to_owned())));
        assert_eq!(same.unwrap().as_ptr(), blob.as_ptr());
    }

    #[test]
    fn what_does_not_parse_is_said_to() {
        use Malformed::*;
        for (blob, expected) in [
            (&b"\0"[..], Truncated),
            (b"\xff\xff\0\0\0\0\0\0\0\0", UnknownVersion { key: -1, version: -1 }),
            (b"\0\0\x7f\xff\xff\xff", CountBeyondBody),
            (b"\0\0\xff\xff\xff\xff\0\0\0\0", NullNotAllowed),
            (b"\0\0\0\0\0\x01\0\x09a", Truncated),
            (b"\0\0\0\0\0\x01\0\x01\xff\0\0\0\0", BadUtf8),
            (b"\0\x01\0\0\0\0\0\0\0\0", Truncated),
        ] {
            assert_eq!(subscription(blob), Err(expected), "{blob:02x?}");
        }
        assert_eq!(assignment(b"\0\0\0\0\0\x01\0\x01a\x7f\xff\xff\xff\0\0\0\0"), Err(CountBeyondBody));
    }

    #[test]
    fn a_name_that_grows_too_long_to_be_said_is_refused() {
        let blob = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01a\0\0\0\0");
        let longer = &mut |_: &str, _: Element| Some(StrBytes::from_string("x".repeat(40_000)));
        assert_eq!(rewrite_subscription(&blob, longer), Err(Malformed::NegativeLength));
    }

    #[test]
    fn topics_are_limited() {
        let list = |count: usize| {
            let count_bytes = (count as i32).to_be_bytes();
            Bytes::from([&[0, 0], &count_bytes[..], &vec![0; 2 * count], &[0; 4]].concat())
        };
        let renamed = |blob| rewrite_subscription(&blob, &mut to_backend).map(|blob| blob.len());
        assert_eq!(renamed(list(TOPICS_MAX)), Ok(4 * TOPICS_MAX + 10));
        assert_eq!(renamed(list(TOPICS_MAX + 1)), Err(Malformed::TooManyElements { max: TOPICS_MAX }));
    }

    #[test]
    fn an_assignment_is_known_by_all_of_its_bytes() {
        for (blob, expected) in [
            (&b"\0\0\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x05\0\0\0\0"[..], true),
            (b"\0\x03\0\0\0\0\xff\xff\xff\xff", true),
            (b"\0\x04\0\0\0\0\xff\xff\xff\xff", false),
            (b"\0\0\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x05\0\0\0\0more", false),
            (b"\0\0\0\0\0\x01\0\x01/\0\0\0\0\0\0\0\0", false),
            (b"\0\0\0\0\0\x01\0\x02..\0\0\0\0\0\0\0\0", false),
            (b"\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0", false),
            (b"", false),
            (b"{\"connector\": 1}", false),
        ] {
            assert_eq!(is_assignment(blob), expected, "{blob:02x?}");
        }
    }

    #[test]
    fn what_the_grammar_makes_is_rewritten_name_by_name() {
        let mut random = Random::seeded(3);
        for (embedded, versions) in [(Embedded::Subscription, 0..=3), (Embedded::Assignment, 0..=3)] {
            for version in versions.cycle().take(400) {
                let blob = Bytes::from(sample::embedded_body(embedded, version, &mut random).unwrap());
                let rewritten = match embedded {
                    Embedded::Subscription => rewrite_subscription(&blob, &mut to_backend),
                    Embedded::Assignment => rewrite_assignment(&blob, &mut to_backend),
                };
                let mut expected = sample::embedded_leaves(embedded, &blob).unwrap();
                for leaf in &mut expected {
                    let is_topic = leaf.path == "Topics[]" || leaf.path.ends_with(".Topic");
                    if let (true, LeafValue::Text(name)) = (is_topic, &mut leaf.value) {
                        *name = format!("t-{name}");
                    }
                }
                assert_eq!(sample::embedded_leaves(embedded, &rewritten.unwrap()), Ok(expected));
            }
        }
    }

    #[test]
    fn random_bytes_do_no_harm() {
        fuzzing::seeded(20_000, 48, fuzz_consumer_protocol);
        let mut random = Random::seeded(4);
        for round in 0..5_000 {
            let embedded = if round % 2 == 0 { Embedded::Subscription } else { Embedded::Assignment };
            let mut blob = sample::embedded_body(embedded, round % 4, &mut random).unwrap();
            random.damage(&mut blob);
            fuzz_consumer_protocol(&blob);
        }
    }
}
