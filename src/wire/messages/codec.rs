//! How a message of this room is read and written: `messages!` makes it of its list of fields.
//!
//! Stands in for the wire crate's own readers and writers, which it keeps to itself. Single values
//! are read and written in `value.rs`.

use anyhow::{Result, bail};
use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::value::{Form, Value};

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
                let form = $crate::wire::messages::value::Form::of::<Self>(version, $flexible)?;
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
                let form = $crate::wire::messages::value::Form::of::<Self>(version, $flexible)?;
                Ok(Self {
                    $($field: $presence.read(from, form, || $default)?,)*
                    unknown_tagged_fields: form.read_tags(from)?,
                })
            }
        }

        impl $crate::wire::messages::value::Structure for $name {}
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
        within(self.here).then(|| form.nullable(within(self.nullable)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::OffsetCommitRequest;

    fn written(message: &OffsetCommitRequest, version: i16) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        message.encode(&mut out, version).map_err(|error| error.to_string())?;
        assert_eq!(message.compute_size(version).unwrap(), out.len());
        Ok(out)
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
            let read = OffsetCommitRequest::decode(&mut &[0; 99][..], version);
            assert_eq!(read.unwrap_err().to_string(), expected);
        }
    }
}
