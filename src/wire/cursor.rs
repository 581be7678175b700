//! Reads bytes that a peer sent, and never beyond them.

use super::Malformed;

/// The part of a message that has not been read yet.
///
/// Shape: `compact` says which of Kafka's two encodings a length has: an unsigned varint of the
/// length plus one with 0 for null, or a signed number with -1 for null.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub fn int8(&mut self) -> Result<i8, Malformed> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    #[inline]
    pub fn int16(&mut self) -> Result<i16, Malformed> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    #[inline]
    pub fn int32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// An unsigned number of at most five bytes, seven bits in each.
    #[inline]
    pub fn varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            // The fifth byte has room for four bits; the codec would drop what is above them.
            if shift == 28 && byte > 0x0f {
                return Err(Malformed::VarintTooLong);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed::VarintTooLong)
    }

    /// The length of a string that follows; `None` is null.
    #[inline]
    pub fn text_length(&mut self, compact: bool) -> Result<Option<usize>, Malformed> {
        let told = if compact { self.compact_length()? } else { length(self.int16()?.into())? };
        // Kafka's own limit, however the length is written.
        if told.is_some_and(|bytes| bytes > i16::MAX as usize) {
            Err(Malformed::TextTooLong)
        } else {
            Ok(told)
        }
    }

    /// The length of bytes or of records that follow, or the count of an array; `None` is null.
    #[inline]
    pub fn long_length(&mut self, compact: bool) -> Result<Option<usize>, Malformed> {
        if compact { self.compact_length() } else { length(self.int32()?) }
    }

    #[inline]
    pub fn text(&mut self, compact: bool) -> Result<Option<&'a str>, Malformed> {
        let Some(length) = self.text_length(compact)? else { return Ok(None) };
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| Malformed::BadUtf8)?;
        Ok(Some(text))
    }

    #[inline]
    pub fn blob(&mut self, compact: bool) -> Result<Option<&'a [u8]>, Malformed> {
        let Some(length) = self.long_length(compact)? else { return Ok(None) };
        self.take(length).map(Some)
    }

    /// The count of an array whose elements take at least `element_bytes_min` each; `None` is null.
    #[inline]
    pub fn count(&mut self, compact: bool, element_bytes_min: usize) -> Result<Option<usize>, Malformed> {
        let Some(count) = self.long_length(compact)? else { return Ok(None) };
        if count > self.rest.len() / element_bytes_min.max(1) {
            return Err(Malformed::CountBeyondBody);
        }
        Ok(Some(count))
    }

    /// How many tagged fields follow: each takes at least two bytes, its tag and its size.
    #[inline]
    pub fn tag_count(&mut self) -> Result<usize, Malformed> {
        let count = self.varint()? as usize;
        if count > self.rest.len() / 2 { Err(Malformed::CountBeyondBody) } else { Ok(count) }
    }

    /// One tagged field, whose tag must be above `previous`.
    #[inline]
    pub fn tagged(&mut self, previous: Option<u32>) -> Result<(u32, &'a [u8]), Malformed> {
        let tag = self.varint()?;
        // The codec keeps tags as signed numbers and would lose a negative one when it encodes.
        if tag > i32::MAX as u32 || previous.is_some_and(|previous| tag <= previous) {
            return Err(Malformed::TagOrder);
        }
        let size = self.varint()? as usize;
        Ok((tag, self.take(size)?))
    }

    pub fn skip_tagged_fields(&mut self) -> Result<(), Malformed> {
        let mut previous = None;
        for _ in 0..self.tag_count()? {
            previous = Some(self.tagged(previous)?.0);
        }
        Ok(())
    }

    pub fn finish(self) -> Result<(), Malformed> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(Malformed::TrailingBytes { bytes }),
        }
    }

    #[inline]
    fn compact_length(&mut self) -> Result<Option<usize>, Malformed> {
        Ok(self.varint()?.checked_sub(1).map(|length| length as usize))
    }
}

#[inline]
fn length(signed: i32) -> Result<Option<usize>, Malformed> {
    match signed {
        -1 => Ok(None),
        _ => usize::try_from(signed).map(Some).map_err(|_| Malformed::NegativeLength),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_has_at_most_five_bytes_and_32_bits() {
        for (bytes, expected) in [
            (&[0x00][..], Ok(0)),
            (&[0x7f], Ok(127)),
            (&[0xac, 0x02], Ok(300)),
            (&[0xff, 0xff, 0xff, 0xff, 0x0f], Ok(u32::MAX)),
            (&[0xff, 0xff, 0xff, 0xff, 0x1f], Err(Malformed::VarintTooLong)),
            (&[0x80, 0x80, 0x80, 0x80, 0x80], Err(Malformed::VarintTooLong)),
            (&[0x80, 0x80], Err(Malformed::Truncated)),
            (&[], Err(Malformed::Truncated)),
        ] {
            assert_eq!(Cursor::new(bytes).varint(), expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn both_encodings_know_null_and_only_one_negative_number() {
        for (bytes, compact, expected) in [
            (&[0xff, 0xff][..], false, Ok(None)),
            (&[0xff, 0xfe], false, Err(Malformed::NegativeLength)),
            (&[0x00, 0x01, b'a'], false, Ok(Some("a"))),
            (&[0x00, 0x02, b'a'], false, Err(Malformed::Truncated)),
            (&[0x00, 0x01, 0xff], false, Err(Malformed::BadUtf8)),
            (&[0x00], true, Ok(None)),
            (&[0x02, b'a'], true, Ok(Some("a"))),
            (&[0x03, b'a'], true, Err(Malformed::Truncated)),
        ] {
            assert_eq!(Cursor::new(bytes).text(compact), expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn a_count_is_at_most_what_the_bytes_left_can_hold() {
        for (element_bytes_min, expected) in
            [(1, Ok(Some(4))), (0, Ok(Some(4))), (2, Err(Malformed::CountBeyondBody))]
        {
            let bytes = [0, 0, 0, 4, 9, 9, 9, 9];
            assert_eq!(Cursor::new(&bytes).count(false, element_bytes_min), expected);
        }
    }

    #[test]
    fn tags_ascend_and_are_positive() {
        for (bytes, expected) in [
            (&[0][..], Ok(())),
            (&[2, 0, 0, 5, 1, 9], Ok(())),
            (&[2, 5, 0, 5, 0], Err(Malformed::TagOrder)),
            (&[2, 5, 0, 4, 0], Err(Malformed::TagOrder)),
            (&[1, 0x80, 0x80, 0x80, 0x80, 0x08, 0], Err(Malformed::TagOrder)),
            (&[3, 0, 0, 5, 0], Err(Malformed::CountBeyondBody)),
            (&[1, 0, 9], Err(Malformed::Truncated)),
        ] {
            assert_eq!(Cursor::new(bytes).skip_tagged_fields(), expected, "{bytes:02x?}");
        }
    }
}
