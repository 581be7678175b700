//! Frames: four bytes of length, then so many bytes of header and body.

use bytes::{Buf, Bytes, BytesMut};

use super::Malformed;

/// Splits the next frame off the front of `buffer`, without its length; `None` when it is not all there.
///
/// Shape: the frame shares the buffer's memory.
/// Limits: a length above `frame_bytes_max` is refused as soon as it is read, before any room is
/// made for the frame; so is a length of zero or below.
pub fn split_frame(buffer: &mut BytesMut, frame_bytes_max: usize) -> Result<Option<Bytes>, Malformed> {
    let Some(length) = announced(buffer) else { return Ok(None) };
    let bytes = usize::try_from(length).map_err(|_| Malformed::NegativeLength)?;
    if bytes == 0 {
        return Err(Malformed::FrameEmpty);
    }
    if bytes > frame_bytes_max {
        return Err(Malformed::FrameTooLong { bytes, max: frame_bytes_max });
    }
    if buffer.len() - LENGTH_BYTES < bytes {
        return Ok(None);
    }
    buffer.advance(LENGTH_BYTES);
    Ok(Some(buffer.split_to(bytes).freeze()))
}

/// How many bytes of the frame that `buffer` begins with are still to come; 0 when not yet known.
///
/// Shape: the announced length is taken as it stands, so ask [`split_frame`] first: it has a limit.
pub fn missing(buffer: &BytesMut) -> usize {
    match announced(buffer).map(usize::try_from) {
        Some(Ok(bytes)) => bytes.saturating_sub(buffer.len() - LENGTH_BYTES),
        _ => 0,
    }
}

/// Whether [`split_frame`] has something to say without further bytes.
pub fn has_frame(buffer: &BytesMut) -> bool {
    announced(buffer).is_some() && missing(buffer) == 0
}

/// Feeds arbitrary bytes to the parser of this file.
pub fn fuzz_frame(data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(frame)) = split_frame(&mut buffer, 1 << 20) {
        assert!(!frame.is_empty() && frame.len() <= data.len());
    }
    let _ = missing(&buffer);
}

fn announced(buffer: &BytesMut) -> Option<i32> {
    buffer.first_chunk().map(|length: &[u8; LENGTH_BYTES]| i32::from_be_bytes(*length))
}

const LENGTH_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fuzzing;

    fn check(bytes: &[u8], expected: Result<Option<&[u8]>, Malformed>, missing_after: usize, left: usize) {
        let mut buffer = BytesMut::from(bytes);
        let frame = split_frame(&mut buffer, 10);
        assert_eq!(frame.as_ref().map(|frame| frame.as_deref()), expected.as_ref().copied(), "{bytes:02x?}");
        assert_eq!(missing(&buffer), missing_after, "{bytes:02x?}");
        assert_eq!(has_frame(&buffer), buffer.len() >= LENGTH_BYTES && missing_after == 0, "{bytes:02x?}");
        assert_eq!(buffer.len(), left, "{bytes:02x?}");
    }

    #[test]
    fn a_frame_is_split_off_when_it_is_all_there() {
        check(&[], Ok(None), 0, 0);
        check(&[0, 0, 0], Ok(None), 0, 3);
        check(&[0, 0, 0, 2], Ok(None), 2, 4);
        check(&[0, 0, 0, 2, 7], Ok(None), 1, 5);
        check(&[0, 0, 0, 2, 7, 8], Ok(Some(&[7, 8])), 0, 0);
        check(&[0, 0, 0, 1, 7, 0, 0, 0, 9], Ok(Some(&[7])), 9, 4);
    }

    #[test]
    fn a_length_outside_the_limit_is_refused_before_its_bytes_are_there() {
        check(&[0, 0, 0, 0], Err(Malformed::FrameEmpty), 0, 4);
        check(&[0xff, 0xff, 0xff, 0xff], Err(Malformed::NegativeLength), 0, 4);
        check(&[0, 0, 0, 11], Err(Malformed::FrameTooLong { bytes: 11, max: 10 }), 11, 4);
        check(&[0, 0, 0, 10], Ok(None), 10, 4);
    }

    #[test]
    fn a_frame_shares_the_buffers_memory() {
        let mut buffer = BytesMut::from(&[0, 0, 0, 2, 7, 8, 0][..]);
        let first_byte = buffer[4..].as_ptr();
        let frame = split_frame(&mut buffer, 10).unwrap().unwrap();
        assert_eq!(frame.as_ptr(), first_byte);
    }

    #[test]
    fn random_bytes_do_no_harm() {
        fuzzing::seeded(5_000, 64, fuzz_frame);
    }
}
