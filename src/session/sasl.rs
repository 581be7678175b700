//! The client's login to us: SaslHandshake and SaslAuthenticate.
//!
//! Source: KIP-43, KIP-152, KIP-255 (OAUTHBEARER), KIP-368 (re-authentication), RFC 7628.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Encodable, StrBytes};

use crate::names::Virtual;
use crate::wire::{
    ApiKey, Broken, Direction, Gather, Malformed, RequestHeader, Segments, decode, encode_body, grammar,
    write_response,
};

/// Reads a SaslHandshake, and returns the mechanism that the client chose.
pub fn read_handshake(header: &RequestHeader, body: &Bytes) -> Result<StrBytes, Malformed> {
    let version = header.head.version;
    grammar().walk(ApiKey::SaslHandshake as i16, Direction::Request, version, body, SASL_ELEMENTS_MAX)?;
    Ok(decode::<SaslHandshakeRequest>(body, version)?.mechanism)
}

/// Agrees to a mechanism, or says which there are.
pub fn handshake_answer(
    header: &RequestHeader,
    error: Option<ResponseError>,
    mechanisms: &[&'static str],
) -> Result<Virtual<Segments>, Broken> {
    let response = SaslHandshakeResponse::default()
        .with_error_code(error.map_or(0, |error| error.code()))
        .with_mechanisms(mechanisms.iter().map(|name| StrBytes::from_static_str(name)).collect());
    framed(header, ApiKey::SaslHandshake, &response)
}

/// Reads a SaslAuthenticate, and returns the mechanism's own message in it.
pub fn read_authenticate(header: &RequestHeader, body: &Bytes) -> Result<Bytes, Malformed> {
    let version = header.head.version;
    grammar().walk(ApiKey::SaslAuthenticate as i16, Direction::Request, version, body, SASL_ELEMENTS_MAX)?;
    Ok(decode::<SaslAuthenticateRequest>(body, version)?.auth_bytes)
}

/// What a SaslAuthenticate is answered with.
pub enum Outcome<'a> {
    /// Logged in, for so long; 0 is for ever. The mechanism's last message may prove something to the client.
    Success { lifetime_ms: i64, message: Vec<u8> },
    /// A message of the mechanism before it is over; also its own refusal (RFC 7628, 3.2.2).
    Challenge(Vec<u8>),
    /// Kafka's refusal.
    Failure { error: ResponseError, text: &'a str },
}

pub fn authenticate_answer(
    header: &RequestHeader,
    outcome: Outcome<'_>,
) -> Result<Virtual<Segments>, Broken> {
    let response = match outcome {
        Outcome::Success { lifetime_ms, message } => SaslAuthenticateResponse::default()
            .with_auth_bytes(message.into())
            // Version 0 has no room for it; there the session ends unannounced.
            .with_session_lifetime_ms(if header.head.version >= 1 { lifetime_ms } else { 0 }),
        Outcome::Challenge(message) => SaslAuthenticateResponse::default().with_auth_bytes(message.into()),
        Outcome::Failure { error, text } => SaslAuthenticateResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(text.to_owned()))),
    };
    framed(header, ApiKey::SaslAuthenticate, &response)
}

/// An answer after SaslHandshake 0: a bare frame.
pub fn raw_answer(bytes: &[u8]) -> Virtual<Segments> {
    use bytes::BufMut;
    let mut out = Gather::around(None);
    out.put_slice(bytes);
    Virtual::shown_to_client(out.finish())
}

fn framed<M: Encodable>(
    header: &RequestHeader,
    key: ApiKey,
    response: &M,
) -> Result<Virtual<Segments>, Broken> {
    let version = header.head.version;
    let mut out = Gather::around(None);
    let flexible = grammar().header_flexible(key as i16, Direction::Response, version);
    write_response(&mut out, header.head.correlation_id, flexible);
    encode_body(&mut out, response, version)?;
    Ok(Virtual::shown_to_client(out.finish()))
}

/// Neither message holds an array; tagged fields count.
const SASL_ELEMENTS_MAX: usize = 16;
