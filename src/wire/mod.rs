//! Kafka's bytes: frames, headers, bodies, and the consumer protocol inside some of them.
//!
//! Nothing is decoded that has not been walked: [`Grammar::walk`] checks a body against Kafka's own
//! message definitions, without allocating, before [`decode`] makes a typed message of it. Typed
//! messages are the wire crate's; those that clients may send in versions which it does not know
//! are in [`messages`]. `scripts/messages` makes these and the grammar of Kafka's definitions. Knows
//! nothing else of the house: no name's meaning, no session, no socket.
//!
//! In reading order: frame, header, shape (with definition and layout), message, messages, gather;
//! then what stands by itself: consumer_protocol, sample, oracle. What has not been walked is read
//! through cursor alone.

mod api_key; //               one name for each API
pub mod consumer_protocol; // topics inside a group member's opaque bytes
mod cursor; //                reads bytes that a peer sent, and never beyond them
mod definition; //            Kafka's message definitions, from shapes.txt
pub mod frame; //             length-prefixed frames, with a limit
pub mod gather; //            the encoder that shares what it already owns
pub mod header; //            api key, version, correlation id; before any body is read
mod layout; //                a structure of the grammar, as one version has it on the wire
pub mod message; //           a walked body becomes typed, and a typed one bytes
pub mod messages; //          typed messages that the wire crate lacks
pub mod oracle; //            the codec as the walk's oracle
pub mod sample; //            bodies made from the grammar, for the census and for tests
pub mod shape; //             the walk: is this body well-formed, and how large will it be?

#[cfg(test)]
mod fuzzing; // seeded random inputs for the tests of this room

pub use api_key::{ApiKey, UnknownApiKey};
pub use consumer_protocol::{
    fuzz_consumer_protocol, is_assignment, rewrite_assignment, rewrite_subscription,
};
pub use definition::{Definition, Field, FieldKind, Role, Versions};
pub use frame::{fuzz_frame, has_frame, missing, split_frame};
pub use gather::{Gather, SHARE_BYTES_MIN, Segments};
pub use header::{
    RequestHead, RequestHeader, fuzz_header, peek_client_id, peek_correlation_id, read_request,
    read_response, write_request, write_response,
};
pub use message::{Unencodable, decode, encode_body};
pub use oracle::{fuzz_walk, recoded};
pub use sample::fuzz_leaves;
pub use shape::{Direction, Embedded, Grammar, Measure, grammar};

/// Why a message does not come through: it is not what its grammar says, or can not be said again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Unencodable(#[from] Unencodable),
}

/// Why bytes are not the Kafka message they are meant to be; carries nothing the peer wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the bytes end before the message does")]
    Truncated,
    #[error("a length is negative")]
    NegativeLength,
    #[error("null stands where a value is required")]
    NullNotAllowed,
    #[error("an array counts more elements than the bytes left can hold")]
    CountBeyondBody,
    #[error("a string is longer than 32767 bytes")]
    TextTooLong,
    #[error("{bytes} bytes follow the end of the message")]
    TrailingBytes { bytes: usize },
    #[error("a string is not UTF-8")]
    BadUtf8,
    #[error("a variable-length number does not fit 32 bits")]
    VarintTooLong,
    #[error("the mark before an optional structure is neither 1 nor -1")]
    BadPresence,
    #[error("tagged fields do not ascend by tag")]
    TagOrder,
    #[error("a tagged field does not have the length it announces")]
    TagLength,
    #[error("a tagged field does not belong to this version")]
    TagNotInVersion,
    #[error("the message has more than {max} elements")]
    TooManyElements { max: usize },
    #[error("a frame is empty")]
    FrameEmpty,
    #[error("a frame of {bytes} bytes is longer than the allowed {max}")]
    FrameTooLong { bytes: usize, max: usize },
    #[error("api key {key} has no version {version}")]
    UnknownVersion { key: i16, version: i16 },
    #[error("the message does not decode, though it has the right shape")]
    Undecodable,
}

impl Malformed {
    /// The reason as a metric label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::NegativeLength => "negative_length",
            Self::NullNotAllowed => "null_not_allowed",
            Self::CountBeyondBody => "count_beyond_body",
            Self::TextTooLong => "text_too_long",
            Self::TrailingBytes { .. } => "trailing_bytes",
            Self::BadUtf8 => "bad_utf8",
            Self::VarintTooLong => "varint_too_long",
            Self::BadPresence => "bad_presence",
            Self::TagOrder => "tag_order",
            Self::TagLength => "tag_length",
            Self::TagNotInVersion => "tag_not_in_version",
            Self::TooManyElements { .. } => "too_many_elements",
            Self::FrameEmpty => "frame_empty",
            Self::FrameTooLong { .. } => "frame_too_long",
            Self::UnknownVersion { .. } => "unknown_version",
            Self::Undecodable => "undecodable",
        }
    }
}
