//! A walked body becomes a typed message, and a typed message becomes bytes.

use bytes::{Buf, Bytes};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::{Gather, Malformed};

/// Makes a typed message of a body that [`Grammar::walk`](super::Grammar::walk) has let pass.
///
/// Shape: strings and bytes of the message are slices of `body`.
/// Limits: none of its own. The codec reserves memory for as many elements as a count says, before
/// it has seen one of them: on a body that was not walked, four bytes can end the process.
/// Errors: `Undecodable` when the codec does not know the version, or disagrees with the grammar.
pub fn decode<M: Decodable>(body: &Bytes, version: i16) -> Result<M, Malformed> {
    let mut rest = body.clone();
    let message = M::decode(&mut rest, version).map_err(|_| Malformed::Undecodable)?;
    match rest.remaining() {
        0 => Ok(message),
        bytes => Err(Malformed::TrailingBytes { bytes }),
    }
}

/// Writes a message's body behind the header that `out` already holds.
pub fn encode_body<M: Encodable>(out: &mut Gather, message: &M, version: i16) -> Result<(), Unencodable> {
    message.encode(out, version).map_err(|error| Unencodable::Message(error.to_string()))?;
    if out.len_bytes() > FRAME_BYTES_MAX { Err(Unencodable::TooLong) } else { Ok(()) }
}

/// Why a message cannot be said in a version.
///
/// Shape: the codec's own words, which name fields and lengths and no values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unencodable {
    #[error("the message cannot be encoded: {0}")]
    Message(String),
    #[error("the message is longer than a frame can be")]
    TooLong,
}

/// A frame's length is a signed number of four bytes.
const FRAME_BYTES_MAX: usize = i32::MAX as usize;

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::{HeartbeatRequest, MetadataRequest};
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn what_was_encoded_is_decoded() {
        let message = HeartbeatRequest::default().with_member_id(StrBytes::from_static_str("m"));
        let mut out = Gather::around(None);
        encode_body(&mut out, &message, 4).unwrap();
        let body = Bytes::from(out.finish().to_vec()).slice(4..);
        assert_eq!(decode::<HeartbeatRequest>(&body, 4), Ok(message));
        let longer = [&body[..], &[0]].concat().into();
        assert_eq!(decode::<HeartbeatRequest>(&longer, 4), Err(Malformed::TrailingBytes { bytes: 1 }));
        assert_eq!(decode::<HeartbeatRequest>(&body.slice(1..), 4), Err(Malformed::Undecodable));
    }

    #[test]
    fn a_field_that_a_version_does_not_have_cannot_be_said() {
        let message = MetadataRequest::default().with_include_topic_authorized_operations(true);
        let refused = encode_body(&mut Gather::around(None), &message, 1);
        assert!(matches!(refused, Err(Unencodable::Message(_))), "{refused:?}");
    }
}
