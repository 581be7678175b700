//! The encoder that shares what it already owns.
//!
//! A request that passes through is mostly payload that does not change. The buffer knows the frame
//! it re-encodes, and a long run that already lies in that frame is shared instead of copied, so a
//! Produce costs the same for a kilobyte and for ten megabytes.

// `BufMut` is an unsafe trait: an implementation promises that the memory it hands out is its own.
// Its three required methods are handed to a `BytesMut` unchanged, which keeps that promise for us.
#![allow(unsafe_code)]

use std::ops::Range;

use bytes::buf::UninitSlice;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::buf::ByteBufMut;

use super::Measure;

/// A frame being written: first its length, which [`finish`](Gather::finish) fills in.
pub struct Gather {
    /// What the bytes being encoded were decoded from.
    frame: Option<Bytes>,
    /// Everything that was copied, in order; begins with the frame's length.
    own: BytesMut,
    /// What is shared, each with the place in `own` before which it belongs; places ascend.
    shared: Vec<(usize, Bytes)>,
    shared_bytes: usize,
}

impl Gather {
    /// An output buffer that shares with `frame` what is put into it from there.
    pub fn around(frame: Option<&Bytes>) -> Self {
        Self::with_room(frame, OWN_BYTES_AT_FIRST)
    }

    /// The same for a message that was measured in this frame: made large enough not to be moved as
    /// it fills.
    ///
    /// Limits: adds no more room than the frame has bytes.
    pub fn around_measured(frame: &Bytes, measure: Measure) -> Self {
        let names_and_numbers = measure.elements.saturating_mul(BYTES_FOR_AN_ELEMENT).min(frame.len());
        Self::with_room(Some(frame), OWN_BYTES_AT_FIRST + names_and_numbers)
    }

    fn with_room(frame: Option<&Bytes>, bytes: usize) -> Self {
        let mut own = BytesMut::with_capacity(bytes);
        own.put_bytes(0, LENGTH_BYTES);
        Self { frame: frame.cloned(), own, shared: Vec::new(), shared_bytes: 0 }
    }

    /// How long the frame is so far.
    ///
    /// Units: bytes on the wire, with the four-byte length.
    pub fn len_bytes(&self) -> usize {
        self.own.len() + self.shared_bytes
    }

    /// Writes the frame's length and hands out the frame.
    pub fn finish(mut self) -> Segments {
        let length = i32::try_from(self.len_bytes() - LENGTH_BYTES)
            .expect("encode_body refuses what does not fit a frame's length, and headers are short");
        self.own[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
        let own = self.own.freeze();
        let mut segments = Vec::with_capacity(2 * self.shared.len() + 1);
        let mut taken = 0;
        for (place, shared) in self.shared {
            if place > taken {
                segments.push(own.slice(taken..place));
            }
            segments.push(shared);
            taken = place;
        }
        if own.len() > taken {
            segments.push(own.slice(taken..));
        }
        Segments(segments)
    }

    /// `bytes` as a slice of the frame, if they are long and lie in it.
    fn in_frame(&self, bytes: &[u8]) -> Option<Bytes> {
        let frame = self.frame.as_ref()?;
        let (outer, inner) = (frame.as_ptr_range(), bytes.as_ptr_range());
        (outer.start <= inner.start && inner.end <= outer.end).then(|| frame.slice_ref(bytes))
    }

    /// The place in `own` of the place `at` in the whole; makes `own` the whole if it must.
    fn own_place(&mut self, at: usize) -> usize {
        let last_shared = self.shared.last().map_or(0, |(place, _)| *place);
        match at.checked_sub(self.shared_bytes) {
            Some(place) if place >= last_shared => place,
            _ => {
                self.copy_shared();
                at
            }
        }
    }

    /// Gives up sharing for what was put so far; only needed to change bytes far behind.
    fn copy_shared(&mut self) {
        let mut whole = BytesMut::with_capacity(self.len_bytes());
        let mut taken = 0;
        for (place, shared) in self.shared.drain(..) {
            whole.extend_from_slice(&self.own[taken..place]);
            whole.extend_from_slice(&shared);
            taken = place;
        }
        whole.extend_from_slice(&self.own[taken..]);
        self.own = whole;
        self.shared_bytes = 0;
    }
}

// SAFETY: `own` is a `BytesMut`, whose implementation upholds the contract; its methods are called
// as they are, and no other method here touches uninitialised memory.
unsafe impl BufMut for Gather {
    #[inline]
    fn remaining_mut(&self) -> usize {
        self.own.remaining_mut()
    }

    #[inline]
    unsafe fn advance_mut(&mut self, count: usize) {
        // SAFETY: the caller's promise about `chunk_mut` is one about `own.chunk_mut`.
        unsafe { self.own.advance_mut(count) }
    }

    #[inline]
    fn chunk_mut(&mut self) -> &mut UninitSlice {
        self.own.chunk_mut()
    }

    #[inline]
    fn put_slice(&mut self, bytes: &[u8]) {
        if bytes.len() >= SHARE_BYTES_MIN
            && let Some(shared) = self.in_frame(bytes)
        {
            self.shared_bytes += shared.len();
            self.shared.push((self.own.len(), shared));
            return;
        }
        self.own.extend_from_slice(bytes);
    }
}

impl ByteBufMut for Gather {
    fn offset(&self) -> usize {
        self.len_bytes()
    }

    fn seek(&mut self, offset: usize) {
        let place = self.own_place(offset);
        self.own.seek(place);
    }

    fn range(&mut self, range: Range<usize>) -> &mut [u8] {
        let start = self.own_place(range.start);
        &mut self.own[start..start + range.len()]
    }
}

/// A frame's bytes in the order in which they go out, each piece owned or shared; may be empty.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Segments(Vec<Bytes>);

impl Segments {
    /// Units: bytes on the wire, with the four-byte length.
    pub fn len_bytes(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Bytes> {
        self.0.iter()
    }

    /// All of it in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        self.0.concat()
    }
}

impl IntoIterator for Segments {
    type Item = Bytes;
    type IntoIter = std::vec::IntoIter<Bytes>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Segments {
    type Item = &'a Bytes;
    type IntoIter = std::slice::Iter<'a, Bytes>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl From<Bytes> for Segments {
    /// A whole frame, with its length, as it stands.
    fn from(frame: Bytes) -> Self {
        Self(if frame.is_empty() { Vec::new() } else { vec![frame] })
    }
}

impl std::fmt::Debug for Segments {
    /// The length only: a frame may hold a token or a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Segments({} bytes)", self.len_bytes())
    }
}

/// From how many bytes on a run is shared: below, copying costs less than one more piece to write.
pub const SHARE_BYTES_MIN: usize = 512;
const LENGTH_BYTES: usize = 4;
/// Holds most requests whole, and the names around a payload.
const OWN_BYTES_AT_FIRST: usize = 512;
/// A topic's name, or a partition with its replicas, is about so long.
const BYTES_FOR_AN_ELEMENT: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{decode, encode_body};
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use kafka_protocol::messages::{ProduceRequest, TopicName};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    fn produce(payload_bytes: usize) -> ProduceRequest {
        let partition = |index| {
            let payload = Bytes::from((0..payload_bytes).map(|i| i as u8 ^ index as u8).collect::<Vec<_>>());
            PartitionProduceData::default().with_index(index).with_records(Some(payload))
        };
        let topic = TopicProduceData::default()
            .with_name(TopicName(StrBytes::from_static_str("orders")))
            .with_partition_data(vec![partition(0), partition(1)]);
        ProduceRequest::default().with_topic_data(vec![topic])
    }

    fn encoded(message: &ProduceRequest) -> Bytes {
        let mut plain = Vec::new();
        message.encode(&mut plain, 9).unwrap();
        plain.into()
    }

    #[test]
    fn a_large_produce_shares_its_payload_and_keeps_its_bytes() {
        let frame = encoded(&produce(1 << 20));
        let mut request: ProduceRequest = decode(&frame, 9).unwrap();
        request.topic_data[0].name = TopicName(StrBytes::from_static_str("team-a.orders"));
        let mut out = Gather::around(Some(&frame));
        encode_body(&mut out, &request, 9).unwrap();
        let segments = out.finish();

        let plain = encoded(&request);
        assert_eq!(segments.len_bytes(), plain.len() + 4);
        assert_eq!(segments.to_vec()[..4], (plain.len() as i32).to_be_bytes());
        assert_eq!(segments.to_vec()[4..], plain);
        let inside = frame.as_ptr_range();
        let shared = segments.iter().filter(|segment| inside.contains(&segment.as_ptr()));
        assert_eq!(shared.map(Bytes::len).collect::<Vec<_>>(), [1 << 20, 1 << 20]);
        let copied = segments.iter().filter(|segment| !inside.contains(&segment.as_ptr()));
        assert!(copied.map(Bytes::len).sum::<usize>() < 100);
    }

    #[test]
    fn short_runs_and_foreign_ones_are_copied() {
        let frame = Bytes::from(vec![7; 4096]);
        let mut out = Gather::around(Some(&frame));
        out.put_slice(&frame[..SHARE_BYTES_MIN - 1]);
        out.put_slice(&vec![8; 4096]);
        let mut without = Gather::around(None);
        without.put_slice(&frame);
        assert_eq!((out.finish().iter().count(), without.finish().iter().count()), (1, 1));
    }

    #[test]
    fn shared_pieces_may_touch_and_may_stand_last() {
        let frame = Bytes::from((0..4096).map(|i| i as u8).collect::<Vec<_>>());
        let mut out = Gather::around(Some(&frame));
        out.put_slice(&frame[..1024]);
        out.put_slice(&frame[1000..3000]);
        out.put_u8(9);
        out.put_slice(&frame[3000..]);
        let expected = [&[0, 0, 0x10, 0x19][..], &frame[..1024], &frame[1000..3000], &[9], &frame[3000..]];
        let segments = out.finish();
        assert_eq!(segments.to_vec(), expected.concat());
        assert_eq!(segments.iter().map(Bytes::len).collect::<Vec<_>>(), [4, 1024, 2000, 1, 1096]);
    }

    #[test]
    fn bytes_far_behind_can_still_be_changed() {
        let frame = Bytes::from(vec![7; 1024]);
        let mut out = Gather::around(Some(&frame));
        out.put_slice(&frame);
        let gap = out.put_gap(2);
        out.gap_buf(gap).copy_from_slice(&[1, 2]);
        assert_eq!(out.shared.len(), 1, "a gap behind the shared piece leaves it shared");
        out.range(1000..1001)[0] = 9;
        assert_eq!(out.offset(), 1030);
        let bytes = out.finish().to_vec();
        assert_eq!((bytes[999], bytes[1000], &bytes[1028..]), (7, 9, &[1, 2][..]));
    }

    #[test]
    fn bytes_before_a_shared_piece_can_be_changed_too() {
        let frame = Bytes::from(vec![7; 1024]);
        let mut out = Gather::around(Some(&frame));
        out.put_bytes(5, 2000);
        out.put_slice(&frame);
        out.range(1900..1901)[0] = 9;
        let bytes = out.finish().to_vec();
        assert_eq!((bytes.len(), bytes[1899], bytes[1900], bytes[2004]), (3028, 5, 9, 7));
    }

    #[test]
    fn room_is_made_for_what_was_measured_and_for_no_more_than_the_frame() {
        let frame = Bytes::from(vec![7; 1 << 20]);
        let room = |elements| {
            let measure = Measure { elements, ..Measure::default() };
            Gather::around_measured(&frame, measure).own.capacity()
        };
        assert_eq!(room(0), OWN_BYTES_AT_FIRST, "a payload takes no room");
        assert_eq!(room(1000), OWN_BYTES_AT_FIRST + 1000 * BYTES_FOR_AN_ELEMENT);
        assert_eq!(room(usize::MAX), OWN_BYTES_AT_FIRST + frame.len());
    }

    #[test]
    fn an_empty_frame_still_has_its_length() {
        assert_eq!(Gather::around(None).finish().to_vec(), [0, 0, 0, 0]);
        assert!(Segments::default().is_empty());
        assert_eq!(Segments::default().len_bytes(), 0);
    }
}
