//! How a message of this room is read and written: `messages!` makes it of its list of fields.
//!
//! Stands in for the wire crate's own readers and writers, which it keeps to itself. Counts and
//! lengths are held against the bytes left here too, though only walked bodies come this way.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{BrokerId, GroupId, ProducerId, TopicName};
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use uuid::Uuid;

/// Makes structures that can be read and written, each of its fields, their values when nobody set
/// them, their setters and the versions that have them.
macro_rules! messages {
    ($(
        $(#[$about:meta])*
        $name:ident in $first:literal..=$last:literal, flexible since $flexible:literal {
            $(
                $(#[$field_about:meta])*
                $field:ident: $kind:ty = $default:expr, $with:ident, $presence:expr;
            )*
        }
    )*) => {$(
        $(#[$about])*
        #[non_exhaustive]
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[$field_about])* pub $field: $kind,)*
            /// Tagged fields that nobody has read.
            pub unknown_tagged_fields: std::collections::BTreeMap<i32, bytes::Bytes>,
        }

        impl $name {
            $(
                /// Sets the field of this name.
                pub fn $with(mut self, value: $kind) -> Self {
                    self.$field = value;
                    self
                }
            )*

            /// Sets the tagged fields that nobody has read.
            pub fn with_unknown_tagged_fields(
                mut self,
                value: std::collections::BTreeMap<i32, bytes::Bytes>,
            ) -> Self {
                self.unknown_tagged_fields = value;
                self
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* unknown_tagged_fields: Default::default() }
            }
        }

        impl kafka_protocol::protocol::Message for $name {
            const VERSIONS: kafka_protocol::protocol::VersionRange =
                kafka_protocol::protocol::VersionRange { min: $first, max: $last };
            const DEPRECATED_VERSIONS: Option<kafka_protocol::protocol::VersionRange> = None;
        }

        impl kafka_protocol::protocol::Encodable for $name {
            fn encode<B: kafka_protocol::protocol::buf::ByteBufMut>(
                &self,
                out: &mut B,
                version: i16,
            ) -> anyhow::Result<()> {
                let form = $crate::wire::messages::codec::Form::of::<Self>(version, $flexible)?;
                $($presence.write(out, form, &self.$field, || $default)?;)*
                form.write_tags(out, &self.unknown_tagged_fields)
            }

            fn compute_size(&self, version: i16) -> anyhow::Result<usize> {
                $crate::wire::messages::codec::size(self, version)
            }
        }

        impl kafka_protocol::protocol::Decodable for $name {
            fn decode<B: kafka_protocol::protocol::buf::ByteBuf>(
                from: &mut B,
                version: i16,
            ) -> anyhow::Result<Self> {
                let form = $crate::wire::messages::codec::Form::of::<Self>(version, $flexible)?;
                Ok(Self {
                    $($field: $presence.read(from, form, || $default)?,)*
                    unknown_tagged_fields: form.read_tags(from)?,
                })
            }
        }

        impl $crate::wire::messages::codec::Structure for $name {}
    )*};
}
pub(super) use messages;

/// Makes requests and responses of messages: which belong together, and what stands before them.
macro_rules! apis {
    ($($key:literal, flexible since $flexible:literal: $request:ident => $response:ident;)*) => {
        $(
            impl kafka_protocol::protocol::Request for $request {
                const KEY: i16 = $key;
                type Response = $response;
            }

            impl kafka_protocol::protocol::HeaderVersion for $request {
                fn header_version(version: i16) -> i16 {
                    if version >= $flexible { 2 } else { 1 }
                }
            }

            impl kafka_protocol::protocol::HeaderVersion for $response {
                fn header_version(version: i16) -> i16 {
                    if version >= $flexible { 1 } else { 0 }
                }
            }
        )*

        /// A body of one of these messages, read and written again; `None` for what is not here.
        pub(in crate::wire) fn recoded(
            key: i16,
            direction: $crate::wire::Direction,
            version: i16,
            from: &mut bytes::Bytes,
        ) -> Option<anyhow::Result<bytes::BytesMut>> {
            match (key, direction) {
                $(
                    ($key, $crate::wire::Direction::Request) => codec::recoded::<$request>(from, version),
                    ($key, $crate::wire::Direction::Response) => codec::recoded::<$response>(from, version),
                )*
                _ => None,
            }
        }

        /// The version of the header before one of these messages.
        #[cfg(test)]
        pub(in crate::wire) fn header_version(
            key: i16,
            direction: $crate::wire::Direction,
            version: i16,
        ) -> Option<i16> {
            use kafka_protocol::protocol::HeaderVersion;
            match (key, direction) {
                $(
                    ($key, $crate::wire::Direction::Request) => Some($request::header_version(version)),
                    ($key, $crate::wire::Direction::Response) => Some($response::header_version(version)),
                )*
                _ => None,
            }
        }
    };
}
pub(super) use apis;

/// A message read and written again; `None` in a version that it does not have.
pub(super) fn recoded<M: kafka_protocol::protocol::Message + Decodable + Encodable>(
    from: &mut Bytes,
    version: i16,
) -> Option<Result<BytesMut>> {
    (M::VERSIONS.min..=M::VERSIONS.max).contains(&version).then(|| {
        let mut out = BytesMut::new();
        M::decode(from, version)?.encode(&mut out, version)?;
        Ok(out)
    })
}

/// How many bytes a message takes.
///
/// Shape: writes it to see. The crate asks this of tagged fields only, and there are none here.
pub(super) fn size<M: Encodable>(message: &M, version: i16) -> Result<usize> {
    let mut out = BytesMut::new();
    message.encode(&mut out, version)?;
    Ok(out.len())
}

/// Which versions have a field, and in which it may be null.
#[derive(Debug, Clone, Copy)]
pub(super) struct Presence {
    here: (i16, i16),
    nullable: (i16, i16),
    ignorable: bool,
}

/// In this version and every later one.
pub(super) const fn since(first: i16) -> Presence {
    within(first, i16::MAX)
}

/// In these versions.
pub(super) const fn within(first: i16, last: i16) -> Presence {
    Presence { here: (first, last), nullable: (0, -1), ignorable: false }
}

impl Presence {
    pub const fn nullable_since(self, first: i16) -> Self {
        self.nullable_within(first, i16::MAX)
    }

    pub const fn nullable_within(self, first: i16, last: i16) -> Self {
        Self { nullable: (first, last), ..self }
    }

    /// Left out without complaint of versions that do not have it.
    pub const fn ignorable(self) -> Self {
        Self { ignorable: true, ..self }
    }

    pub fn write<T: Value + PartialEq, B: ByteBufMut>(
        self,
        out: &mut B,
        form: Form,
        value: &T,
        default: impl FnOnce() -> T,
    ) -> Result<()> {
        match self.form(form) {
            Some(form) => value.write(out, form),
            None if self.ignorable || *value == default() => Ok(()),
            None => bail!("a field is set that version {} does not have", form.version),
        }
    }

    pub fn read<T: Value, B: ByteBuf>(
        self,
        from: &mut B,
        form: Form,
        default: impl FnOnce() -> T,
    ) -> Result<T> {
        match self.form(form) {
            Some(form) => T::read(from, form),
            None => Ok(default()),
        }
    }

    /// How the field is written in a version; `None` where the version does not have it.
    fn form(self, form: Form) -> Option<Form> {
        let within = |(first, last)| (first..=last).contains(&form.version);
        within(self.here).then(|| Form { nullable: within(self.nullable), ..form })
    }
}

/// How values are written in one version of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    version: i16,
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
        DescribeShareGroupOffsetsRequest, OffsetCommitRequest, OffsetFetchRequest,
        StreamsGroupHeartbeatRequest,
    };

    fn written<M: Encodable>(message: &M, version: i16) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        message.encode(&mut out, version).map_err(|error| error.to_string())?;
        Ok(out)
    }

    fn refused<M: Decodable + std::fmt::Debug>(body: &[u8], version: i16) -> String {
        M::decode(&mut Bytes::copy_from_slice(body), version).unwrap_err().to_string()
    }

    #[test]
    fn what_a_version_does_not_have_is_left_out_or_refused() {
        let ignorable = OffsetCommitRequest::default().with_retention_time_ms(7);
        assert_eq!(written(&ignorable, 5), written(&OffsetCommitRequest::default(), 5));
        assert_ne!(written(&ignorable, 4), written(&OffsetCommitRequest::default(), 4));
        let needed = OffsetCommitRequest::default().with_group_instance_id(Some("i".into()));
        assert_eq!(written(&needed, 6), Err("a field is set that version 6 does not have".into()));
        assert!(written(&needed, 7).is_ok());
        for version in [1, 11] {
            let expected = format!("the message has no version {version}");
            assert_eq!(written(&OffsetCommitRequest::default(), version), Err(expected.clone()));
            assert_eq!(refused::<OffsetCommitRequest>(&[0; 99], version), expected);
        }
    }

    #[test]
    fn null_stands_only_where_a_version_allows_it() {
        let all = OffsetFetchRequest::default().with_topics(None);
        assert_eq!(written(&all, 1), Err("null stands where version 1 has a value".into()));
        assert_eq!(written(&all, 2), Ok(vec![0, 0, 0xff, 0xff, 0xff, 0xff]));
        let read = |version| OffsetFetchRequest::decode(&mut &written(&all, 2).unwrap()[..], version);
        assert_eq!(read(2).unwrap().topics, None);
        assert_eq!(read(1).unwrap_err().to_string(), "null stands where version 1 has a value");
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
            assert_eq!(refused::<M>(body, version), expected, "{body:02x?}");
        }
    }

    #[test]
    fn an_optional_structure_and_foreign_tags_come_through() {
        let message = StreamsGroupHeartbeatRequest::default()
            .with_user_endpoint(Some(Default::default()))
            .with_unknown_tagged_fields([(300, Bytes::from_static(b"abc"))].into());
        let body = written(&message, 0).unwrap();
        assert!(body.ends_with(&[1, 0xac, 2, 3, b'a', b'b', b'c']), "{body:02x?}");
        assert_eq!(message.compute_size(0).unwrap(), body.len());
        assert_eq!(StreamsGroupHeartbeatRequest::decode(&mut &body[..], 0).unwrap(), message);
    }
}
