//! A token's header: who signed, how, and nothing that we would have to understand and do not.

use serde_json::Value;

use super::json;
use super::jwk::{Algorithm, is_key_id};
use super::rejected::Rejected;

/// What a token says about its signature.
#[derive(Debug)]
pub(super) struct Header {
    pub algorithm: Algorithm,
    pub kind: TokenType,
    pub key_id: Option<String>,
}

impl Header {
    /// Reads a decoded header; members that mean nothing to us may have any type.
    ///
    /// Limits: `VALUES_MAX` values; the caller bounds the bytes before it decodes them.
    /// Source: RFC 7515 section 4, RFC 8725 section 3, RFC 9068 section 2.1.
    pub fn parse(text: &[u8]) -> Result<Self, Rejected> {
        let header = json::read_object(text, VALUES_MAX).ok_or(Rejected::MalformedHeader)?;
        if header.contains_key("crit") {
            return Err(Rejected::CriticalHeader);
        }
        if let Some(member) = FORBIDDEN_MEMBERS.into_iter().find(|member| header.contains_key(*member)) {
            return Err(Rejected::ForbiddenHeader(member));
        }
        match header.get("cty") {
            Some(Value::String(content)) if is_media_type(content, "jwt") => {
                return Err(Rejected::ForbiddenHeader("cty"));
            }
            None | Some(Value::String(_)) => {}
            Some(_) => return Err(Rejected::MalformedHeader),
        }
        let kind = match header.get("typ") {
            None => TokenType::Absent,
            Some(Value::String(kind)) if kind.eq_ignore_ascii_case("JWT") => TokenType::Jwt,
            Some(Value::String(kind)) if is_media_type(kind, "at+jwt") => TokenType::AccessToken,
            Some(Value::String(_)) => return Err(Rejected::Type),
            Some(_) => return Err(Rejected::MalformedHeader),
        };
        let key_id = match header.get("kid") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) if is_key_id(id) => Some(id.clone()),
            Some(_) => return Err(Rejected::MalformedHeader),
        };
        match header.get("alg") {
            Some(Value::String(name)) => {
                let algorithm = Algorithm::from_name(name).ok_or(Rejected::UnsupportedAlgorithm)?;
                Ok(Self { algorithm, kind, key_id })
            }
            _ => Err(Rejected::MalformedHeader),
        }
    }
}

/// What a token's header says it is; there is no other that an access token may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    Absent,
    Jwt,
    /// `at+jwt`, of RFC 9068.
    AccessToken,
}

impl TokenType {
    pub const EACH: [Self; 3] = [Self::Absent, Self::Jwt, Self::AccessToken];
}

/// Whether a header names a media type, with or without its `application/`.
fn is_media_type(text: &str, name: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.strip_prefix("application/").unwrap_or(&text) == name
}

const VALUES_MAX: usize = 256;

/// Members that would change what is signed, or who says so, or that belong to encryption.
///
/// `jku`, `jwk` and `x5u` are a sender's own word for which key to trust.
const FORBIDDEN_MEMBERS: [&str; 13] =
    ["b64", "jku", "jwk", "x5u", "zip", "enc", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c"];
