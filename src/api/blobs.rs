//! Topics inside the bytes that group members hand each other: the consumer protocol.
//!
//! Only groups of protocol type `consumer` speak it; Kafka Streams does too. Brokers read it as well:
//! with the client's names in it they expire offsets of a live group, delete offsets that are in use,
//! and lose assignments when a group moves to KIP-848.

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

use super::Refusal;
use crate::cluster::{Gate, Lens};
use crate::names::Kind;
use crate::wire::Malformed;
use crate::wire::consumer_protocol::{
    Element, Rename, TOPICS_MAX, is_assignment, rewrite_assignment, rewrite_subscription,
};

/// What a member's bytes are.
#[derive(Clone, Copy)]
pub enum Blob {
    /// What a member wants to read and what it holds.
    Subscription,
    /// What the leader gave to a member.
    Assignment,
}

impl Blob {
    /// Writes the backend's names in place of the client's, in all such blobs of a request; a name that
    /// can not be in the namespace is dropped. A topic is subscribed to once, by the first of its names, and
    /// what is held or given under any of them stays.
    ///
    /// Shape: nobody is asked whether the client may read these topics: no broker asks either, and
    /// a fetch will be. Bytes that do not parse stay as they are, as a broker leaves them.
    /// Limits: `TOPICS_PER_REQUEST_MAX` topics in all; more is an invalid request.
    pub fn to_backend<'b>(
        self,
        blobs: impl Iterator<Item = &'b mut Bytes>,
        gate: &Gate<'_>,
    ) -> Result<(), Refusal> {
        let mut topics = 0;
        for bytes in blobs {
            let rewritten = self.rewritten(bytes, &mut |topic, element| {
                topics += 1;
                let stays = topics <= TOPICS_PER_REQUEST_MAX
                    && (gate.speaks(topic) || element == Element::Partitions);
                if stays { gate.to_backend(Kind::Topic, topic) } else { None }
            });
            match rewritten {
                _ if topics > TOPICS_PER_REQUEST_MAX => return Err(Refusal::InvalidRequest),
                Err(Malformed::TooManyElements { .. }) => return Err(Refusal::InvalidRequest),
                Err(_) => {}
                Ok(rewritten) => *bytes = rewritten,
            }
        }
        Ok(())
    }

    /// Writes the client's names in place of the backend's; what is not this tenant's is dropped: left
    /// as it is it would pass for the client's own topic of that name.
    ///
    /// Limits: of a blob that has more topics than anybody reads nothing is shown.
    pub fn to_virtual(self, bytes: &mut Bytes, lens: &Lens<'_>) {
        let rewritten = self.rewritten(bytes, &mut |topic, _| {
            lens.to_virtual(Kind::Topic, &StrBytes::from_string(topic.to_owned()))
        });
        match rewritten {
            Ok(rewritten) => *bytes = rewritten,
            Err(Malformed::TooManyElements { .. }) => bytes.clear(),
            Err(_) => {}
        }
    }

    fn rewritten(self, bytes: &Bytes, rename: &mut Rename<'_>) -> Result<Bytes, Malformed> {
        match self {
            Blob::Subscription => rewrite_subscription(bytes, rename),
            Blob::Assignment => rewrite_assignment(bytes, rename),
        }
    }
}

/// Whether members of this protocol type speak the consumer protocol.
pub fn is_consumer(protocol_type: &str) -> bool {
    protocol_type == "consumer"
}

/// Whether these bytes are an assignment of topics; where nobody said the type, the bytes must.
pub fn assigns_topics(is_consumer: Option<bool>, assignment: &[u8]) -> bool {
    is_consumer.unwrap_or_else(|| is_assignment(assignment))
}

/// How many topics the blobs of one request may name: each grows by a prefix on the way to the broker.
/// A group's blobs must fit a record there, a megabyte unless configured otherwise.
const TOPICS_PER_REQUEST_MAX: usize = TOPICS_MAX;

/// What group members of the consumer protocol hand each other, in version 0.
#[cfg(test)]
pub mod sample {
    use bytes::Bytes;

    pub fn subscription(topics: &[&str]) -> Bytes {
        let mut bytes = vec![0, 0];
        bytes.extend(count(topics.len()));
        topics.iter().for_each(|topic| bytes.extend(name(topic)));
        bytes.extend(USER_DATA);
        bytes.into()
    }

    pub fn assignment(topics: &[(&str, &[i32])]) -> Bytes {
        let mut bytes = vec![0, 0];
        bytes.extend(count(topics.len()));
        for (topic, partitions) in topics {
            bytes.extend(name(topic));
            bytes.extend(count(partitions.len()));
            partitions.iter().for_each(|partition| bytes.extend(partition.to_be_bytes()));
        }
        bytes.extend(USER_DATA);
        bytes.into()
    }

    fn name(text: &str) -> Vec<u8> {
        let length = i16::try_from(text.len()).unwrap().to_be_bytes();
        [&length[..], text.as_bytes()].concat()
    }

    fn count(elements: usize) -> [u8; 4] {
        i32::try_from(elements).unwrap().to_be_bytes()
    }

    const USER_DATA: &[u8] = b"\0\0\0\x08a=orders";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::blobs::sample as blob;
    use crate::api::testing::World;

    #[test]
    fn a_request_names_no_more_topics_than_its_limit() {
        let world = World::allowing(&[]);
        let admit = |sizes: &[usize]| {
            let mut blobs: Vec<_> = sizes.iter().map(|size| blob::subscription(&vec!["a"; *size])).collect();
            Blob::Subscription.to_backend(blobs.iter_mut(), &world.gate())
        };
        let half = TOPICS_PER_REQUEST_MAX / 2;
        assert_eq!(admit(&[half, half]), Ok(()));
        assert_eq!(admit(&[half, half, 1]), Err(Refusal::InvalidRequest));
        assert_eq!(admit(&[2 * half + 1]), Err(Refusal::InvalidRequest));
    }

    #[test]
    fn a_blob_with_more_topics_than_anybody_reads_is_not_shown() {
        let world = World::allowing(&[]);
        let mut bytes = blob::assignment(&vec![("my-a", &[][..]); TOPICS_PER_REQUEST_MAX + 1]);
        Blob::Assignment.to_virtual(&mut bytes, &world.lens());
        assert!(bytes.is_empty());
    }

    #[test]
    fn bytes_that_do_not_parse_stay_as_they_are() {
        let world = World::allowing(&[]);
        let before = Bytes::from_static(b"\0\x01\0\0\0\x05\0\x01a");
        for kind in [Blob::Subscription, Blob::Assignment] {
            let mut bytes = before.clone();
            assert_eq!(kind.to_backend(std::iter::once(&mut bytes), &world.gate()), Ok(()));
            assert_eq!(bytes, before);
            kind.to_virtual(&mut bytes, &world.lens());
            assert_eq!(bytes, before);
        }
    }

    #[test]
    fn an_assignment_is_known_by_the_protocol_or_by_itself() {
        let topics = blob::assignment(&[("a", &[0])]);
        let other = b"{\"connector\": 1}";
        for (is_consumer, bytes, expected) in [
            (Some(true), &other[..], true),
            (Some(false), &topics, false),
            (None, &topics, true),
            (None, other, false),
        ] {
            assert_eq!(assigns_topics(is_consumer, bytes), expected, "{is_consumer:?} {bytes:?}");
        }
    }
}
