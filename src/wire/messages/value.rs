//! How a value is read and written: a number, a text, bytes, an array, a structure.
//!
//! Counts and lengths are held against the bytes left here too, though only walked bodies come this
//! way.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail, ensure};
use bytes::Bytes;
use kafka_protocol::messages::{BrokerId, GroupId, ProducerId, TopicName};
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use uuid::Uuid;

/// How values are written in one version of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub version: i16,
    /// Lengths are variable, and tagged fields end a structure.
    compact: bool,
    nullable: bool,
}

impl Form {
    pub fn of<M: kafka_protocol::protocol::Message>(version: i16, flexible: i16) -> Result<Self> {
        let known = M::VERSIONS;
        ensure!((known.min..=known.max).contains(&version), "the message has no version {version}");
        Ok(Self { version, compact: version >= flexible, nullable: false })
    }

    pub fn nullable(self, nullable: bool) -> Self {
        Self { nullable, ..self }
    }

    pub fn write_tags<B: ByteBufMut>(self, out: &mut B, tags: &BTreeMap<i32, Bytes>) -> Result<()> {
        if self.compact {
            write_varint(out, tags.len().try_into()?);
            for (tag, value) in tags {
                write_varint(out, *tag as u32);
                write_varint(out, value.len().try_into()?);
                out.put_slice(value);
            }
        }
        Ok(())
    }

    pub fn read_tags<B: ByteBuf>(self, from: &mut B) -> Result<BTreeMap<i32, Bytes>> {
        let mut tags = BTreeMap::new();
        if self.compact {
            for _ in 0..read_varint(from)? {
                let (tag, length) = (read_varint(from)?, read_varint(from)?);
                tags.insert(tag as i32, from.try_get_bytes(length as usize)?);
            }
        }
        Ok(tags)
    }

    fn write_length<B: ByteBufMut>(self, out: &mut B, length: Option<usize>, width: Width) -> Result<()> {
        match (self.compact, width) {
            (true, _) => write_varint(out, length.map_or(Ok(0), |length| u32::try_from(length + 1))?),
            (false, Width::Two) => out.put_i16(length.map_or(Ok(-1), i16::try_from)?),
            (false, Width::Four) => out.put_i32(length.map_or(Ok(-1), i32::try_from)?),
        }
        Ok(())
    }

    /// A length, or how many elements there are: never more than there are bytes left. `None` is null.
    fn read_length<B: ByteBuf>(self, from: &mut B, width: Width) -> Result<Option<usize>> {
        let length = match (self.compact, width) {
            (true, _) => i64::from(read_varint(from)?) - 1,
            (false, Width::Two) => from.try_get_i16()?.into(),
            (false, Width::Four) => from.try_get_i32()?.into(),
        };
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length)?;
        ensure!(length <= from.remaining(), "a length of {length} goes beyond the message");
        Ok(Some(length))
    }
}

fn write_varint<B: ByteBufMut>(out: &mut B, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn read_varint<B: ByteBuf>(from: &mut B) -> Result<u32> {
    let mut value = 0;
    for shift in [0, 7, 14, 21, 28] {
        let byte = from.try_get_u8()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(u32::try_from(value)?);
        }
    }
    bail!("a variable-length number does not fit 32 bits")
}

fn null(form: Form) -> anyhow::Error {
    anyhow!("null stands where version {} has a value", form.version)
}

/// How many bytes a length takes where it is not compact.
#[derive(Debug, Clone, Copy)]
enum Width {
    Two,
    Four,
}

/// What can be a field, or an element of one.
pub(super) trait Value: Sized {
    fn write<B: ByteBufMut>(&self, out: &mut B, form: Form) -> Result<()>;

    fn read<B: ByteBuf>(from: &mut B, form: Form) -> Result<Self>;
}

/// What can be null in some versions, and is written differently in those.
pub(super) trait Nullable: Value {
    fn write_nullable<B: ByteBufMut>(value: Option<&Self>, out: &mut B, form: Form) -> Result<()>;

    fn read_nullable<B: ByteBuf>(from: &mut B, form: Form) -> Result<Option<Self>>;
}

impl<T: Nullable> Value for Option<T> {
    fn write<B: ByteBufMut>(&self, out: &mut B, form: Form) -> Result<()> {
        match self {
            value if form.nullable => T::write_nullable(value.as_ref(), out, form),
            Some(value) => value.write(out, form),
            None => Err(null(form)),
        }
    }

    fn read<B: ByteBuf>(from: &mut B, form: Form) -> Result<Self> {
        if form.nullable { T::read_nullable(from, form) } else { T::read(from, form).map(Some) }
    }
}

/// A structure: one that may be null is announced by a byte.
pub(super) trait Structure: Encodable + Decodable {}

impl<T: Structure> Value for T {
    fn write<B: ByteBufMut>(&self, out: &mut B, form: Form) -> Result<()> {
        self.encode(out, form.version)
    }

    fn read<B: ByteBuf>(from: &mut B, form: Form) -> Result<Self> {
        Self::decode(from, form.version)
    }
}

impl<T: Structure> Nullable for T {
    fn write_nullable<B: ByteBufMut>(value: Option<&Self>, out: &mut B, form: Form) -> Result<()> {
        out.put_i8(if value.is_some() { 1 } else { -1 });
        value.map_or(Ok(()), |value| value.write(out, form))
    }

    fn read_nullable<B: ByteBuf>(from: &mut B, form: Form) -> Result<Option<Self>> {
        match from.try_get_i8()? {
            1 => Self::read(from, form).map(Some),
            -1 => Ok(None),
            mark => bail!("the mark before an optional structure is {mark}, neither 1 nor -1"),
        }
    }
}

impl<T: Value> Value for Vec<T> {
    fn write<B: ByteBufMut>(&self, out: &mut B, form: Form) -> Result<()> {
        form.write_length(out, Some(self.len()), Width::Four)?;
        self.iter().try_for_each(|element| element.write(out, form))
    }

    fn read<B: ByteBuf>(from: &mut B, form: Form) -> Result<Self> {
        Self::read_nullable(from, form)?.ok_or_else(|| null(form))
    }
}

impl<T: Value> Nullable for Vec<T> {
    fn write_nullable<B: ByteBufMut>(value: Option<&Self>, out: &mut B, form: Form) -> Result<()> {
        match value {
            Some(value) => value.write(out, form),
            None => form.write_length(out, None, Width::Four),
        }
    }

    fn read_nullable<B: ByteBuf>(from: &mut B, form: Form) -> Result<Option<Self>> {
        let Some(count) = form.read_length(from, Width::Four)? else { return Ok(None) };
        let mut elements = Self::with_capacity(count);
        for _ in 0..count {
            elements.push(T::read(from, form)?);
        }
        Ok(Some(elements))
    }
}

/// Makes values of what is a length and so many bytes.
macro_rules! bytes {
    ($($kind:ty: $width:expr, $of:expr;)*) => {$(
        impl Value for $kind {
            fn write<B: ByteBufMut>(&self, out: &mut B, form: Form) -> Result<()> {
                form.write_length(out, Some(self.len()), $width)?;
                out.put_slice(self.as_ref());
                Ok(())
            }

            fn read<B: ByteBuf>(from: &mut B, form: Form) -> Result<Self> {
                Self::read_nullable(from, form)?.ok_or_else(|| null(form))
            }
        }

        impl Nullable for $kind {
            fn write_nullable<B: ByteBufMut>(value: Option<&Self>, out: &mut B, form: Form) -> Result<()> {
                match value {
                    Some(value) => value.write(out, form),
                    None => form.write_length(out, None, $width),
                }
            }

            fn read_nullable<B: ByteBuf>(from: &mut B, form: Form) -> Result<Option<Self>> {
                let Some(length) = form.read_length(from, $width)? else { return Ok(None) };
                Ok(Some($of(from.try_get_bytes(length)?)?))
            }
        }
    )*};
}

bytes! {
    StrBytes: Width::Two, StrBytes::from_utf8;
    Bytes: Width::Four, Ok::<_, anyhow::Error>;
}

/// Makes values of what has a name of its own, and is written as what it names.
macro_rules! names {
    ($($kind:ident: $inner:ty;)*) => {$(
        impl Value for $kind {
            fn write<B: ByteBufMut>(&self, out: &mut B, form: Form) -> Result<()> {
                self.0.write(out, form)
            }

            fn read<B: ByteBuf>(from: &mut B, form: Form) -> Result<Self> {
                <$inner>::read(from, form).map(Self)
            }
        }
    )*};
}

names! {
    BrokerId: i32;
    GroupId: StrBytes;
    ProducerId: i64;
    TopicName: StrBytes;
}

impl Nullable for GroupId {
    fn write_nullable<B: ByteBufMut>(value: Option<&Self>, out: &mut B, form: Form) -> Result<()> {
        StrBytes::write_nullable(value.map(|group| &group.0), out, form)
    }

    fn read_nullable<B: ByteBuf>(from: &mut B, form: Form) -> Result<Option<Self>> {
        Ok(StrBytes::read_nullable(from, form)?.map(Self))
    }
}

/// Makes values of what always takes the same number of bytes.
macro_rules! numbers {
    ($($kind:ty: $put:ident, $get:ident;)*) => {$(
        impl Value for $kind {
            fn write<B: ByteBufMut>(&self, out: &mut B, _: Form) -> Result<()> {
                out.$put(*self);
                Ok(())
            }

            fn read<B: ByteBuf>(from: &mut B, _: Form) -> Result<Self> {
                Ok(from.$get()?)
            }
        }
    )*};
}

numbers! {
    i8: put_i8, try_get_i8;
    i16: put_i16, try_get_i16;
    u16: put_u16, try_get_u16;
    i32: put_i32, try_get_i32;
    i64: put_i64, try_get_i64;
}

impl Value for bool {
    fn write<B: ByteBufMut>(&self, out: &mut B, _: Form) -> Result<()> {
        out.put_u8((*self).into());
        Ok(())
    }

    fn read<B: ByteBuf>(from: &mut B, _: Form) -> Result<Self> {
        Ok(from.try_get_u8()? != 0)
    }
}

impl Value for Uuid {
    fn write<B: ByteBufMut>(&self, out: &mut B, _: Form) -> Result<()> {
        out.put_slice(self.as_bytes());
        Ok(())
    }

    fn read<B: ByteBuf>(from: &mut B, _: Form) -> Result<Self> {
        Ok(Self::from_u128(from.try_get_u128()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::offset_fetch_request::OffsetFetchRequestTopic;
    use crate::wire::messages::{
        DescribeShareGroupOffsetsRequest, OffsetFetchRequest, StreamsGroupHeartbeatRequest,
    };

    fn written<M: Encodable>(message: &M, version: i16) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        message.encode(&mut out, version).map_err(|error| error.to_string())?;
        Ok(out)
    }

    fn refused<M: Decodable + std::fmt::Debug>(version: i16, body: &[u8]) -> String {
        M::decode(&mut &body[..], version).unwrap_err().to_string()
    }

    #[test]
    fn null_stands_only_where_a_version_allows_it() {
        let all = OffsetFetchRequest::default().with_topics(None);
        assert_eq!(written(&all, 1), Err("null stands where version 1 has a value".into()));
        assert_eq!(written(&all, 2), Ok(vec![0, 0, 0xff, 0xff, 0xff, 0xff]));
        let body = written(&all, 2).unwrap();
        assert_eq!(OffsetFetchRequest::decode(&mut &body[..], 2).unwrap(), all);
        assert_eq!(refused::<OffsetFetchRequest>(1, &body), "null stands where version 1 has a value");
        assert_eq!(written(&OffsetFetchRequestTopic::default(), 1), Ok(vec![0; 6]));
    }

    #[test]
    fn a_count_or_length_beyond_the_message_is_refused_before_room_is_made() {
        let beyond = |length: i64| format!("a length of {length} goes beyond the message");
        check::<DescribeShareGroupOffsetsRequest>(0, &[0xff, 0xff, 0xff, 0xff, 0x0f], &beyond(0xffff_fffe));
        check::<OffsetFetchRequest>(1, &[0, 0, 0x7f, 0xff, 0xff, 0xff], &beyond(0x7fff_ffff));
        check::<OffsetFetchRequest>(1, &[0x7f, 0xff, 1, 2], &beyond(0x7fff));
        let too_long = "a variable-length number does not fit 32 bits";
        check::<DescribeShareGroupOffsetsRequest>(0, &[0xff; 9], too_long);

        fn check<M: Decodable + std::fmt::Debug>(version: i16, body: &[u8], expected: &str) {
            assert_eq!(refused::<M>(version, body), expected, "{body:02x?}");
        }
    }

    #[test]
    fn an_optional_structure_and_foreign_tags_come_through() {
        let message = StreamsGroupHeartbeatRequest::default()
            .with_user_endpoint(Some(Default::default()))
            .with_unknown_tagged_fields([(300, Bytes::from_static(b"abc"))].into());
        let body = written(&message, 0).unwrap();
        assert!(body.ends_with(&[1, 0xac, 2, 3, b'a', b'b', b'c']), "{body:02x?}");
        assert_eq!(StreamsGroupHeartbeatRequest::decode(&mut &body[..], 0).unwrap(), message);
    }
}
