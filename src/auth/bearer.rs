//! The OAUTHBEARER messages of RFC 7628, both directions.

use std::fmt;

use zeroize::Zeroizing;

use crate::names::Principal;

/// An access token as it came or as it will be sent; its bytes are wiped when it is dropped.
#[derive(Clone)]
pub struct BearerToken(Zeroizing<String>);

impl BearerToken {
    pub fn new(token: impl Into<String>) -> Self {
        Self(Zeroizing::new(token.into()))
    }

    /// The token itself: for the verifier, and for the message that carries it onward.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BearerToken({} bytes)", self.0.len())
    }
}

/// What a client says first: its token, whom it wants to act as, and its extensions.
///
/// Source: RFC 7628 section 3.1, KIP-342 (extensions).
#[derive(Clone, Debug)]
pub struct ClientFirst {
    pub authzid: Option<String>,
    pub token: BearerToken,
    pub extensions: Vec<(String, String)>,
}

impl ClientFirst {
    /// Reads the client's first message.
    ///
    /// Limits: a token of `token_bytes_max`, 16 extensions of 4 KiB together, an authzid of 1 KiB.
    /// Errors: `InvalidMessage` for every departure from the grammar, and for a member that stands twice.
    pub fn parse(message: &[u8], token_bytes_max: usize) -> Result<Self, InvalidMessage> {
        if message.len() > token_bytes_max.saturating_add(AROUND_THE_TOKEN_BYTES_MAX) {
            return Err(InvalidMessage::TooLong);
        }
        let message = std::str::from_utf8(message).map_err(|_| InvalidMessage::Text)?;
        let (header, rest) = message.split_once(KVSEP).ok_or(InvalidMessage::Gs2Header)?;
        let authzid = authzid(header)?;
        // Each pair ends with a separator, and one more ends the message.
        let pairs = rest.strip_suffix(KVSEP).ok_or(InvalidMessage::Pair)?;
        let pairs = pairs.strip_suffix(KVSEP).ok_or(InvalidMessage::NoToken)?;
        let mut token = None;
        let mut extensions: Vec<(String, String)> = Vec::new();
        let mut extensions_bytes = 0;
        for pair in pairs.split(KVSEP) {
            let (key, value) = pair.split_once('=').ok_or(InvalidMessage::Pair)?;
            if !is_key(key) || !is_value(value) {
                return Err(InvalidMessage::Pair);
            }
            if key == AUTH && token.is_none() {
                token = Some(bearer(value, token_bytes_max)?);
                continue;
            }
            if key.eq_ignore_ascii_case(AUTH) || extensions.iter().any(|(other, _)| other == key) {
                return Err(InvalidMessage::Duplicate);
            }
            extensions_bytes += pair.len();
            if extensions.len() == EXTENSIONS_MAX || extensions_bytes > EXTENSIONS_BYTES_MAX {
                return Err(InvalidMessage::TooLong);
            }
            extensions.push((key.to_owned(), value.to_owned()));
        }
        let token = token.ok_or(InvalidMessage::NoToken)?;
        Ok(Self { authzid, token, extensions })
    }

    /// Whether the client asks to act as nobody else than the token's principal.
    pub fn acts_as(&self, principal: &Principal) -> bool {
        self.authzid.as_deref().is_none_or(|authzid| authzid == principal.name())
    }
}

/// What is wrong with a client's first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    #[error("the message, its token or its extensions are too long")]
    TooLong,
    #[error("the message is not UTF-8")]
    Text,
    #[error("the message does not begin with \"n,,\" or \"n,a=NAME,\"")]
    Gs2Header,
    #[error("the client asks for channel binding, which OAUTHBEARER does not have")]
    ChannelBinding,
    #[error("the authorization id is empty or not escaped as =2C and =3D")]
    Authzid,
    #[error("a pair is not letters, '=', printable text and the byte 0x01")]
    Pair,
    #[error("a pair stands twice, or an extension is named auth")]
    Duplicate,
    #[error("the message has no pair named auth")]
    NoToken,
    #[error("the value of auth is not \"Bearer\" and a token")]
    Scheme,
}

impl InvalidMessage {
    /// The value of the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Text => "text",
            Self::Gs2Header => "gs2_header",
            Self::ChannelBinding => "channel_binding",
            Self::Authzid => "authzid",
            Self::Pair => "pair",
            Self::Duplicate => "duplicate",
            Self::NoToken => "no_token",
            Self::Scheme => "scheme",
        }
    }
}

/// What a client is told about a token that does not verify, whatever the reason.
///
/// Source: RFC 7628 section 3.2.2.
pub fn failure_document() -> &'static [u8] {
    br#"{"status":"invalid_token"}"#
}

/// Whether these bytes are a client's answer to the failure document.
///
/// Source: RFC 7628 section 3.2.3.
pub fn is_failure_acknowledgement(message: &[u8]) -> bool {
    message == [KVSEP as u8]
}

/// The first message of our own login at a broker; it holds the token, so it is not to be logged.
///
/// Limits: extensions for which `is_extension` does not hold are left out, so that none can end the
/// message or bring a token of its own.
pub fn encode_client_first(token: &BearerToken, extensions: &[(String, String)]) -> Vec<u8> {
    let mut message = format!("n,,{KVSEP}{AUTH}={SCHEME} {}{KVSEP}", token.expose());
    for (key, value) in extensions.iter().filter(|(key, value)| is_extension(key, value)) {
        message.push_str(key);
        message.push('=');
        message.push_str(value);
        message.push(KVSEP);
    }
    message.push(KVSEP);
    message.into_bytes()
}

/// Whether a pair may be sent as an extension.
pub fn is_extension(key: &str, value: &str) -> bool {
    is_key(key) && is_value(value) && !key.eq_ignore_ascii_case(AUTH)
}

fn authzid(header: &str) -> Result<Option<String>, InvalidMessage> {
    if header.starts_with("p=") {
        return Err(InvalidMessage::ChannelBinding);
    }
    let rest = header.strip_prefix("n,").or_else(|| header.strip_prefix("y,"));
    let name = rest.and_then(|rest| rest.strip_suffix(',')).ok_or(InvalidMessage::Gs2Header)?;
    if name.is_empty() {
        return Ok(None);
    }
    let name = name.strip_prefix("a=").ok_or(InvalidMessage::Gs2Header)?;
    if name.len() > AUTHZID_BYTES_MAX {
        return Err(InvalidMessage::TooLong);
    }
    unescaped(name).map(Some)
}

/// A `saslname` in clear.
///
/// Source: RFC 5801 section 4.
fn unescaped(name: &str) -> Result<String, InvalidMessage> {
    if name.is_empty() || name.contains([',', '\0']) {
        return Err(InvalidMessage::Authzid);
    }
    let mut parts = name.split('=');
    let mut clear = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (character, rest) = if let Some(rest) = part.strip_prefix("2C") {
            (',', rest)
        } else if let Some(rest) = part.strip_prefix("3D") {
            ('=', rest)
        } else {
            return Err(InvalidMessage::Authzid);
        };
        clear.push(character);
        clear.push_str(rest);
    }
    Ok(clear)
}

fn bearer(value: &str, token_bytes_max: usize) -> Result<BearerToken, InvalidMessage> {
    let (scheme, rest) = value.split_once(' ').ok_or(InvalidMessage::Scheme)?;
    let token = rest.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case(SCHEME) || !is_b64token(token) {
        return Err(InvalidMessage::Scheme);
    }
    if token.len() > token_bytes_max {
        return Err(InvalidMessage::TooLong);
    }
    Ok(BearerToken::new(token))
}

/// Source: RFC 6750 section 2.1.
fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n'))
}

/// Parses whatever it is given; what is accepted must mean the same after we have written it.
#[doc(hidden)]
pub fn fuzz_client_first(message: &[u8]) {
    if let Ok(first) = ClientFirst::parse(message, 1024) {
        assert!(first.token.expose().len() <= 1024 && first.extensions.len() <= EXTENSIONS_MAX);
        let again = encode_client_first(&first.token, &first.extensions);
        let again = ClientFirst::parse(&again, 1024).expect("what we write is what we read");
        assert_eq!(again.token.expose(), first.token.expose());
        assert_eq!(again.extensions, first.extensions);
    }
}

const KVSEP: char = '\u{1}';
const AUTH: &str = "auth";
const SCHEME: &str = "Bearer";
const EXTENSIONS_MAX: usize = 16;
const EXTENSIONS_BYTES_MAX: usize = 4 * 1024;
/// A principal has at most 256 bytes, each of which may be escaped by three.
const AUTHZID_BYTES_MAX: usize = 1024;
const AROUND_THE_TOKEN_BYTES_MAX: usize = EXTENSIONS_BYTES_MAX + AUTHZID_BYTES_MAX + 128;
