//! What stands before a body: api key, version, correlation id, client id.

use bytes::{BufMut, Bytes};
use kafka_protocol::protocol::StrBytes;

use super::cursor::Cursor;
use super::{Gather, Malformed};

/// The part of a request's header that every version has in the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHead {
    pub key: i16,
    pub version: i16,
    pub correlation_id: i32,
}

impl RequestHead {
    /// Reads the head alone: what is needed to ask whether, and how, to read on.
    pub fn peek(frame: &Bytes) -> Result<Self, Malformed> {
        Self::read(&mut Cursor::new(frame))
    }

    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        Ok(Self { key: cursor.int16()?, version: cursor.int16()?, correlation_id: cursor.int32()? })
    }
}

/// A request's header, version 1 or 2; its tagged fields, of which Kafka defines none, are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    pub head: RequestHead,
    pub client_id: Option<StrBytes>,
}

/// Reads a request's header and returns the body behind it, as a slice of the frame.
///
/// Shape: `flexible` is [`Grammar::header_flexible`](super::Grammar::header_flexible) of this key and version.
pub fn read_request(frame: &Bytes, flexible: bool) -> Result<(RequestHeader, Bytes), Malformed> {
    let mut cursor = Cursor::new(frame);
    let head = RequestHead::read(&mut cursor)?;
    // A client id keeps its two-byte length in every version, so that a header can always be read.
    let client_id = match cursor.text(false)? {
        Some(text) => {
            let text = frame.slice_ref(text.as_bytes());
            Some(StrBytes::from_utf8(text).map_err(|_| Malformed::BadUtf8)?)
        }
        None => None,
    };
    if flexible {
        cursor.skip_tagged_fields()?;
    }
    Ok((RequestHeader { head, client_id }, behind(frame, &cursor)))
}

/// The client id in the first bytes of a request, of which more may be to come.
///
/// Errors: `Truncated` also while the client id is not all there.
pub fn peek_client_id(start: &[u8]) -> Result<Option<&str>, Malformed> {
    let mut cursor = Cursor::new(start);
    RequestHead::read(&mut cursor)?;
    cursor.text(false)
}

/// Writes a request's header, version 2 if `flexible`, else 1.
pub fn write_request(out: &mut Gather, header: &RequestHeader, flexible: bool) {
    out.put_i16(header.head.key);
    out.put_i16(header.head.version);
    out.put_i32(header.head.correlation_id);
    // A client id too long to be said is left out, as if the client had none.
    let client_id = header.client_id.as_deref().map(str::as_bytes);
    match client_id.and_then(|id| i16::try_from(id.len()).ok().zip(Some(id))) {
        Some((length, id)) => {
            out.put_i16(length);
            out.put_slice(id);
        }
        None => out.put_i16(-1),
    }
    if flexible {
        out.put_u8(0);
    }
}

/// Reads a response's header: the correlation id, and the body behind it as a slice of the frame.
pub fn read_response(frame: &Bytes, flexible: bool) -> Result<(i32, Bytes), Malformed> {
    let mut cursor = Cursor::new(frame);
    let correlation_id = cursor.int32()?;
    if flexible {
        cursor.skip_tagged_fields()?;
    }
    Ok((correlation_id, behind(frame, &cursor)))
}

/// The correlation id of a response, before its header is read: what it answers says how to read on.
pub fn peek_correlation_id(frame: &Bytes) -> Result<i32, Malformed> {
    let bytes = frame.get(..4).and_then(|bytes| bytes.try_into().ok()).ok_or(Malformed::Truncated)?;
    Ok(i32::from_be_bytes(bytes))
}

/// Writes a response's header, version 1 if `flexible`, else 0.
pub fn write_response(out: &mut Gather, correlation_id: i32, flexible: bool) {
    out.put_i32(correlation_id);
    if flexible {
        out.put_u8(0);
    }
}

/// Feeds arbitrary bytes to the parsers of this file.
pub fn fuzz_header(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    for flexible in [false, true] {
        if let Ok((header, _)) = read_request(&frame, flexible) {
            assert_eq!(RequestHead::peek(&frame), Ok(header.head));
            assert_eq!(peek_client_id(&frame), Ok(header.client_id.as_deref()));
        }
        let _ = read_response(&frame, flexible);
    }
}

fn behind(frame: &Bytes, cursor: &Cursor<'_>) -> Bytes {
    frame.slice(frame.len() - cursor.remaining()..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fuzzing;

    fn header(client_id: Option<&'static str>) -> RequestHeader {
        RequestHeader {
            head: RequestHead { key: 3, version: 9, correlation_id: 42 },
            client_id: client_id.map(StrBytes::from_static_str),
        }
    }

    /// The bytes of a frame, without its length.
    fn written(write: impl FnOnce(&mut Gather)) -> Bytes {
        let mut out = Gather::around(None);
        write(&mut out);
        out.put_slice(b"body");
        Bytes::from(out.finish().to_vec()).slice(4..)
    }

    #[test]
    fn a_request_header_is_read_as_it_was_written() {
        for client_id in [None, Some(""), Some("producer-1")] {
            for flexible in [false, true] {
                let frame = written(|out| write_request(out, &header(client_id), flexible));
                assert_eq!(RequestHead::peek(&frame), Ok(header(client_id).head));
                let read = read_request(&frame, flexible);
                assert_eq!(read, Ok((header(client_id), Bytes::from_static(b"body"))));
            }
        }
    }

    #[test]
    fn a_client_id_is_read_as_soon_as_it_is_there() {
        for (client_id, bytes) in [(None, 10), (Some(""), 10), (Some("producer-1"), 20)] {
            let frame = written(|out| write_request(out, &header(client_id), true));
            for length in 0..frame.len() {
                let expected = if length < bytes { Err(Malformed::Truncated) } else { Ok(client_id) };
                assert_eq!(peek_client_id(&frame[..length]), expected, "{length} of {client_id:?}");
            }
        }
    }

    #[test]
    fn a_response_header_is_read_as_it_was_written() {
        for flexible in [false, true] {
            let frame = written(|out| write_response(out, 42, flexible));
            assert_eq!(read_response(&frame, flexible), Ok((42, Bytes::from_static(b"body"))));
        }
    }

    #[test]
    fn tagged_fields_of_a_header_are_skipped() {
        let frame = Bytes::from_static(b"\0\x12\0\x03\0\0\0\x07\0\x01c\x02\x00\x02xy\x09\x00body");
        let (header, body) = read_request(&frame, true).unwrap();
        assert_eq!((header.client_id.as_deref(), &body[..]), (Some("c"), &b"body"[..]));
        let frame = Bytes::from_static(b"\0\0\0\x07\x01\x05\x01xbody");
        assert_eq!(read_response(&frame, true), Ok((7, Bytes::from_static(b"body"))));
    }

    #[test]
    fn a_broken_header_is_refused() {
        for (frame, expected) in [
            (&b"\0\x03\0\x09\0\0\0"[..], Malformed::Truncated),
            (b"\0\x03\0\x09\0\0\0\x2a\0\x05abc", Malformed::Truncated),
            (b"\0\x03\0\x09\0\0\0\x2a\xff\xfe", Malformed::NegativeLength),
            (b"\0\x03\0\x09\0\0\0\x2a\0\x01\xff\0", Malformed::BadUtf8),
            (b"\0\x03\0\x09\0\0\0\x2a\xff\xff\xff\xff\xff\xff\x0f", Malformed::CountBeyondBody),
        ] {
            assert_eq!(read_request(&Bytes::from_static(frame), true), Err(expected), "{frame:02x?}");
        }
    }

    #[test]
    fn a_client_id_too_long_to_be_said_is_left_out() {
        let mut header = header(None);
        header.client_id = Some(StrBytes::from_string("x".repeat(40_000)));
        let frame = written(|out| write_request(out, &header, false));
        assert_eq!(read_request(&frame, false).unwrap().0.client_id, None);
    }

    #[test]
    fn random_bytes_do_no_harm() {
        fuzzing::seeded(5_000, 64, fuzz_header);
    }
}
