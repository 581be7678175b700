//! The message of PLAIN, as it comes from a client.
//!
//! Source: RFC 4616.

use std::fmt;

use crate::names::Secret;

/// What a client says: its name and its password.
#[derive(Clone)]
pub struct PlainMessage {
    pub username: String,
    pub password: Secret,
}

impl PlainMessage {
    /// Reads the one message of the exchange.
    ///
    /// Limits: a name of 256 bytes, a password of 4 KiB; the identity to act as, where there is one, is
    /// the name.
    /// Errors: `InvalidPlain`; none of them repeats what was said.
    pub fn parse(message: &[u8]) -> Result<Self, InvalidPlain> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(InvalidPlain::TooLong);
        }
        let message = std::str::from_utf8(message).map_err(|_| InvalidPlain::Text)?;
        let mut parts = message.split('\0');
        let (Some(authzid), Some(username), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidPlain::Parts);
        };
        if username.is_empty() || password.is_empty() {
            return Err(InvalidPlain::Empty);
        }
        if !is_username(username) {
            return Err(InvalidPlain::Username);
        }
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(InvalidPlain::TooLong);
        }
        if !authzid.is_empty() && authzid != username {
            return Err(InvalidPlain::Authzid);
        }
        Ok(Self { username: username.to_owned(), password: Secret::new(password) })
    }
}

impl fmt::Debug for PlainMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlainMessage({} bytes, {:?})", self.username.len(), self.password)
    }
}

/// Whether somebody may be called so: as the principals of tokens.
pub fn is_username(name: &str) -> bool {
    (1..=USERNAME_BYTES_MAX).contains(&name.len()) && !name.contains(char::is_control)
}

/// What is wrong with a client's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlain {
    #[error("the message, its name or its password is too long")]
    TooLong,
    #[error("the message is not UTF-8")]
    Text,
    #[error("the message is not three texts with a NUL between each two")]
    Parts,
    #[error("the name or the password is empty")]
    Empty,
    #[error("the name is longer than {USERNAME_BYTES_MAX} bytes, or has control characters")]
    Username,
    #[error("the client wants to act as another than it logs in as")]
    Authzid,
}

impl InvalidPlain {
    /// The value of the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Text => "text",
            Self::Parts => "parts",
            Self::Empty => "empty",
            Self::Username => "username",
            Self::Authzid => "authzid_mismatch",
        }
    }
}

/// Reads whatever it is given; what is read is what was written.
#[doc(hidden)]
pub fn fuzz_plain(message: &[u8]) {
    if let Ok(plain) = PlainMessage::parse(message) {
        let behind = format!("\0{}\0{}", plain.username, plain.password.expose());
        assert!(message.ends_with(behind.as_bytes()) && is_username(&plain.username));
    }
}

/// As much as a principal may have.
const USERNAME_BYTES_MAX: usize = 256;
/// A client secret may be a signed assertion; a password is a few words.
const PASSWORD_BYTES_MAX: usize = 4 * 1024;
const MESSAGE_BYTES_MAX: usize = PASSWORD_BYTES_MAX + 2 * USERNAME_BYTES_MAX + 2;

#[cfg(test)]
mod tests {
    use super::super::minting::Noise;
    use super::*;

    /// A NUL is written as `|`.
    fn check(message: &str, expected: Result<(&str, &str), InvalidPlain>) {
        let parsed = PlainMessage::parse(message.replace('|', "\0").as_bytes());
        let said = parsed.as_ref().map(|plain| (plain.username.as_str(), plain.password.expose()));
        assert_eq!(said.map_err(|invalid| *invalid), expected, "{message:.40}");
    }

    #[test]
    fn a_name_and_a_password_are_read_as_they_are() {
        check("|alice|pencil", Ok(("alice", "pencil")));
        check("alice|alice|pencil", Ok(("alice", "pencil")));
        check("|ålice=2C|pen,cil ", Ok(("ålice=2C", "pen,cil ")));
        let password = "p".repeat(PASSWORD_BYTES_MAX);
        check(&format!("|alice|{password}"), Ok(("alice", &password)));
    }

    #[test]
    fn every_departure_from_the_grammar_is_refused() {
        for message in ["", "alice", "|alice", "alice|pencil", "|alice|pencil|", "|alice|pen|cil", "||||"] {
            check(message, Err(InvalidPlain::Parts));
        }
        for message in ["||", "|alice|", "||pencil", "alice||pencil"] {
            check(message, Err(InvalidPlain::Empty));
        }
        for message in ["bob|alice|pencil", "Alice|alice|pencil", "alice |alice|pencil"] {
            check(message, Err(InvalidPlain::Authzid));
        }
        for name in ["a\nb", "a\u{7f}", &"a".repeat(USERNAME_BYTES_MAX + 1)] {
            check(&format!("|{name}|pencil"), Err(InvalidPlain::Username));
        }
        check(&format!("|alice|{}", "p".repeat(PASSWORD_BYTES_MAX + 1)), Err(InvalidPlain::TooLong));
        check(&"p".repeat(1 << 20), Err(InvalidPlain::TooLong));
        assert_eq!(PlainMessage::parse(b"\0alice\0\xff").unwrap_err(), InvalidPlain::Text);
    }

    #[test]
    fn a_message_shows_neither_who_nor_what() {
        let plain = PlainMessage::parse(b"\0alice\0pencil").unwrap();
        assert_eq!(format!("{plain:?}"), "PlainMessage(5 bytes, Secret(6 bytes))");
    }

    #[test]
    fn noise_is_never_a_panic() {
        let mut noise = Noise::new();
        for sample in [&b"\0alice\0pencil"[..], b"alice\0alice\0pencil"] {
            for _ in 0..4_000 {
                fuzz_plain(&noise.mutated(sample));
            }
        }
    }
}
