//! The OAUTHBEARER messages of RFC 7628, both directions.

use std::fmt;

use serde_json::Value;
use zeroize::Zeroizing;

use super::json;
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
}

/// Whether a client that asks to act as this one may: as the token's principal, or not asking at all.
pub fn may_act_as(authzid: Option<&str>, principal: &Principal) -> bool {
    authzid.is_none_or(|authzid| authzid == principal.name())
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

/// What a broker says is wrong with our token, if it says so in one of the known words.
///
/// Shape: never the broker's own text, which goes into logs.
/// Source: RFC 7628 section 3.2.2.
pub fn failure_status(document: &[u8]) -> &'static str {
    let document = json::read_object(document, FAILURE_VALUES_MAX);
    let status = document.as_ref().and_then(|document| document.get("status")).and_then(Value::as_str);
    let known = ["invalid_token", "invalid_request", "insufficient_scope"];
    known.into_iter().find(|word| Some(*word) == status).unwrap_or("without a status")
}

/// What a client answers to a failure document, so that the failure can follow.
///
/// Source: RFC 7628 section 3.2.3.
pub const FAILURE_ACKNOWLEDGEMENT: &[u8] = &[KVSEP as u8];

/// Whether these bytes are a client's answer to the failure document.
///
/// Source: RFC 7628 section 3.2.3.
pub fn is_failure_acknowledgement(message: &[u8]) -> bool {
    message == FAILURE_ACKNOWLEDGEMENT
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

pub(super) fn authzid(header: &str) -> Result<Option<String>, InvalidMessage> {
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
pub(super) fn unescaped(name: &str) -> Result<String, InvalidMessage> {
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
pub(super) fn is_b64token(text: &str) -> bool {
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

/// More than a failure document has.
const FAILURE_VALUES_MAX: usize = 100;
const KVSEP: char = '\u{1}';
const AUTH: &str = "auth";
const SCHEME: &str = "Bearer";
pub(super) const EXTENSIONS_MAX: usize = 16;
pub(super) const EXTENSIONS_BYTES_MAX: usize = 4 * 1024;
/// A principal has at most 256 bytes, each of which may be escaped by three.
const AUTHZID_BYTES_MAX: usize = 1024;
const AROUND_THE_TOKEN_BYTES_MAX: usize = EXTENSIONS_BYTES_MAX + AUTHZID_BYTES_MAX + 128;

#[cfg(test)]
mod tests {
    use super::super::minting::Noise;
    use super::*;

    const TOKEN_BYTES_MAX: usize = 100;

    /// An authzid, a token and the extensions.
    type Said<'t> = (Option<&'t str>, &'t str, &'t [(&'t str, &'t str)]);

    fn check(message: &str, expected: Result<Said<'_>, InvalidMessage>) {
        // The separator is written as '|', which no message of these tests contains otherwise.
        let message = message.replace('|', "\u{1}");
        let first = ClientFirst::parse(message.as_bytes(), TOKEN_BYTES_MAX);
        let seen = first.map(|first| (first.authzid, first.token.expose().to_owned(), first.extensions));
        let expected = expected.map(|(authzid, token, extensions)| {
            let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            (authzid.map(str::to_owned), token.to_owned(), extensions.iter().map(owned).collect())
        });
        assert_eq!(seen, expected, "{message:?}");
    }

    #[test]
    fn the_messages_of_real_clients_are_read() {
        check("n,,|auth=Bearer a.b.c||", Ok((None, "a.b.c", &[])));
        check("y,,|auth=bearer a.b.c||", Ok((None, "a.b.c", &[])));
        check("n,a=alice,|auth=BEARER   a-_~+/==||", Ok((Some("alice"), "a-_~+/==", &[])));
        let extensions: &[_] = &[("traceId", "42"), ("logicalCluster", "lkc = 1")];
        check("n,,|auth=Bearer t|traceId=42|logicalCluster=lkc = 1||", Ok((None, "t", extensions)));
        check("n,,|traceId=42|auth=Bearer t|logicalCluster=lkc = 1||", Ok((None, "t", extensions)));
        check(
            "n,,|auth=Bearer t|empty=|text=a\tb\r\n||",
            Ok((None, "t", &[("empty", ""), ("text", "a\tb\r\n")])),
        );
    }

    #[test]
    fn an_authzid_is_unescaped() {
        for (name, expected) in [
            ("a=2Cb=3Dc", Ok("a,b=c")),
            ("=3D2C", Ok("=2C")),
            ("Zoë", Ok("Zoë")),
            ("", Err(InvalidMessage::Authzid)),
            ("a=2c", Err(InvalidMessage::Authzid)),
            ("a=", Err(InvalidMessage::Authzid)),
            ("a=41", Err(InvalidMessage::Authzid)),
            ("a,b", Err(InvalidMessage::Authzid)),
            ("a\0b", Err(InvalidMessage::Authzid)),
        ] {
            let expected = expected.map(|name| (Some(name), "t", &[][..]));
            check(&format!("n,a={name},|auth=Bearer t||"), expected);
        }
        let long = "a".repeat(AUTHZID_BYTES_MAX);
        check(&format!("n,a={long},|auth=Bearer t||"), Ok((Some(&long), "t", &[])));
        check(&format!("n,a={long}a,|auth=Bearer t||"), Err(InvalidMessage::TooLong));
    }

    #[test]
    fn a_client_acts_as_the_token_s_principal_or_not_at_all() {
        for (header, principal, expected) in [
            ("n,,", "alice", true),
            ("n,a=alice,", "alice", true),
            ("n,a=a=2Cb,", "a,b", true),
            ("n,a=Alice,", "alice", false),
            ("n,a=alice ,", "alice", false),
            ("n,a=bob,", "alice", false),
        ] {
            let message = format!("{header}\u{1}auth=Bearer t\u{1}\u{1}");
            let first = ClientFirst::parse(message.as_bytes(), TOKEN_BYTES_MAX).unwrap();
            assert_eq!(
                may_act_as(first.authzid.as_deref(), &Principal::new(principal)),
                expected,
                "{header} {principal}"
            );
        }
    }

    #[test]
    fn a_header_of_another_kind_is_refused() {
        check("p=tls-unique,,|auth=Bearer t||", Err(InvalidMessage::ChannelBinding));
        for header in ["", "n", "n,", ",,", "N,,", "n,,,", "x,,", "F,n,,", "n,b=alice,", "n,a=alice", "n ,,"]
        {
            let message = format!("{header}|auth=Bearer t||");
            check(&message, Err(InvalidMessage::Gs2Header));
        }
        check("n,,", Err(InvalidMessage::Gs2Header));
        check("|", Err(InvalidMessage::Gs2Header));
        assert_eq!(ClientFirst::parse(b"", 1).unwrap_err(), InvalidMessage::Gs2Header);
        assert_eq!(
            ClientFirst::parse(b"n,,\x01auth=Bearer \xff\x01\x01", 9).unwrap_err(),
            InvalidMessage::Text
        );
    }

    #[test]
    fn the_message_ends_where_its_grammar_ends() {
        for message in ["n,,|auth=Bearer t", "n,,|auth=Bearer t||x"] {
            check(message, Err(InvalidMessage::Pair));
        }
        check("n,,|auth=Bearer t|", Err(InvalidMessage::NoToken));
        for message in ["n,,|auth=Bearer t|||", "n,,||auth=Bearer t||", "n,,|auth=Bearer t||a=b||"] {
            check(message, Err(InvalidMessage::Pair));
        }
        for pair in ["noequals", "=x", "a1=x", "a b=x", "é=x", "a=é", "a=\0", "a=\u{7f}"] {
            check(&format!("n,,|auth=Bearer t|{pair}||"), Err(InvalidMessage::Pair));
        }
    }

    #[test]
    fn j_22_s_06_s_07_auth_stands_once_and_so_does_each_extension() {
        for pairs in [
            "auth=Bearer a|auth=Bearer b",
            "auth=Bearer a|Auth=x",
            "AUTH=x|auth=Bearer a",
            "auth=Bearer a|x=1|x=1",
        ] {
            check(&format!("n,,|{pairs}||"), Err(InvalidMessage::Duplicate));
        }
        check("n,,|auth=Bearer a|x=1|X=1||", Ok((None, "a", &[("x", "1"), ("X", "1")])));
        check("n,,|host=example||", Err(InvalidMessage::NoToken));
        check("n,,||", Err(InvalidMessage::NoToken));
    }

    #[test]
    fn the_value_of_auth_is_bearer_and_a_token() {
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Basic dTpw",
            "Bearer\tt",
            "Bearer =",
            "Bearer a b",
            "Bearer a=b",
            " Bearer t",
        ] {
            check(&format!("n,,|auth={value}||"), Err(InvalidMessage::Scheme));
        }
    }

    #[test]
    fn token_and_extensions_are_bounded() {
        let token = "t".repeat(TOKEN_BYTES_MAX);
        check(&format!("n,,|auth=Bearer {token}||"), Ok((None, &token, &[])));
        check(&format!("n,,|auth=Bearer {token}t||"), Err(InvalidMessage::TooLong));
        let names: Vec<String> = (b'a'..=b'q').map(|name| format!("{}=1", name as char)).collect();
        let message = |count: usize| format!("n,,|auth=Bearer t|{}||", names[..count].join("|"));
        let parsed =
            |count| ClientFirst::parse(message(count).replace('|', "\u{1}").as_bytes(), TOKEN_BYTES_MAX);
        assert_eq!(parsed(16).unwrap().extensions.len(), 16);
        assert_eq!(parsed(17).unwrap_err(), InvalidMessage::TooLong);
        let value = "v".repeat(EXTENSIONS_BYTES_MAX - 2);
        check(&format!("n,,|auth=Bearer t|x={value}||"), Ok((None, "t", &[("x", &value)])));
        check(&format!("n,,|auth=Bearer t|x={value}v||"), Err(InvalidMessage::TooLong));
        check(&"x".repeat(1 << 20), Err(InvalidMessage::TooLong));
    }

    #[test]
    fn what_we_send_is_what_a_broker_reads() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let token = BearerToken::new("a.b.c");
        assert_eq!(encode_client_first(&token, &[]), b"n,,\x01auth=Bearer a.b.c\x01\x01");
        let extensions = [pair("trace", "1"), pair("auth", "Bearer x"), pair("x", "\u{1}auth=Bearer y")];
        let message = encode_client_first(&token, &extensions);
        assert_eq!(message, b"n,,\x01auth=Bearer a.b.c\x01trace=1\x01\x01");
    }

    #[test]
    fn what_a_broker_says_of_our_token_is_told_in_known_words_only() {
        for (document, expected) in [
            (&br#"{"status":"invalid_token","openid-configuration":"https://a"}"#[..], "invalid_token"),
            (br#"{"status":"insufficient_scope","scope":"kafka"}"#, "insufficient_scope"),
            (br#"{"status":"Bearer a.b.c"}"#, "without a status"),
            (br#"{"status":["invalid_token"]}"#, "without a status"),
            (b"\xff", "without a status"),
            (b"", "without a status"),
        ] {
            assert_eq!(failure_status(document), expected);
        }
    }

    #[test]
    fn a_failure_is_told_in_json_and_acknowledged_by_one_byte() {
        let document: serde_json::Value = serde_json::from_slice(failure_document()).unwrap();
        assert_eq!(document, serde_json::json!({"status": "invalid_token"}));
        assert!(is_failure_acknowledgement(b"\x01"));
        for other in [&b""[..], b"\x00", b"\x01\x01", b"n,,\x01\x01"] {
            assert!(!is_failure_acknowledgement(other));
        }
    }

    #[test]
    fn noise_is_never_a_panic_and_what_is_read_can_be_written() {
        let mut noise = Noise::new();
        for sample in ["n,,|auth=Bearer t||", "y,a=al=2Cice,|auth=bearer a.b.c==|x=1|yy=2 2||"] {
            for _ in 0..4_000 {
                fuzz_client_first(&noise.mutated(sample.replace('|', "\u{1}").as_bytes()));
            }
        }
    }
}
