//! The gateway's own token at a backend's brokers: the cell that holds it, and what an answer must be.
//!
//! The shell fetches tokens and fills the cell; whoever logs in at a broker reads it, and never waits.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use serde_json::Value;

use super::bearer::{BearerToken, is_b64token};
use super::json;
use super::unverified::Unverified;

/// A token to log in with at brokers, and what is said beside it.
#[derive(Clone, Debug)]
pub struct OwnToken {
    pub token: BearerToken,
    /// The SASL extensions, which may change with the token.
    pub extensions: Vec<(String, String)>,
    pub ends_at: Instant,
}

/// Holds the newest token of one backend cluster, while there is one.
#[derive(Debug)]
pub struct TokenCell {
    held: ArcSwapOption<OwnToken>,
}

impl TokenCell {
    /// A cell without a token yet: nobody logs in.
    pub fn empty() -> Self {
        Self { held: ArcSwapOption::empty() }
    }

    pub fn replace(&self, token: OwnToken) {
        self.held.store(Some(Arc::new(token)));
    }

    /// Lets go of a token that is over.
    pub fn clear(&self) {
        self.held.store(None);
    }

    pub fn newest(&self) -> Option<Arc<OwnToken>> {
        self.held.load_full()
    }

    /// Whether a login with the newest token would last beyond this time.
    pub fn outlasts(&self, time: Instant) -> bool {
        self.held.load().as_ref().is_some_and(|held| held.ends_at > time + WORTH_A_LOGIN)
    }
}

/// What was got from a token endpoint or from a file.
#[derive(Clone, Debug)]
pub struct TokenAnswer {
    pub token: BearerToken,
    /// How long it may be used from now on.
    pub lifetime: Duration,
}

impl TokenAnswer {
    /// Reads what a token endpoint answers to a request that it grants.
    ///
    /// Source: RFC 6749 section 5.1.
    pub fn read(body: &[u8], now: SystemTime) -> Result<Self, BadToken> {
        let answer = json::read_object(body, VALUES_MAX).ok_or(BadToken::NotJson)?;
        let kind = answer.get("token_type").and_then(Value::as_str).ok_or(BadToken::NotBearer)?;
        if !kind.eq_ignore_ascii_case("bearer") {
            return Err(BadToken::NotBearer);
        }
        let token = answer.get("access_token").and_then(Value::as_str).ok_or(BadToken::Absent)?;
        let token = checked(token)?;
        let lifetime = match answer.get("expires_in") {
            None | Some(Value::Null) => lifetime_of(&token, now)?,
            Some(Value::Number(seconds)) => lifetime(seconds.as_f64())?,
            // Entra's older endpoints write the number as a text.
            Some(Value::String(seconds)) => lifetime(seconds.parse::<u32>().ok().map(f64::from))?,
            Some(_) => return Err(BadToken::Lifetime),
        };
        Ok(Self { token, lifetime })
    }

    /// Reads a token that stands alone, as in a file.
    pub fn bare(text: &str, now: SystemTime) -> Result<Self, BadToken> {
        let token = checked(text.trim())?;
        let lifetime = lifetime_of(&token, now)?;
        Ok(Self { token, lifetime })
    }
}

/// Why there is no token to use in what was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    #[error("the answer is not one JSON object, or says something twice")]
    NotJson,
    #[error("the answer's token_type is not Bearer")]
    NotBearer,
    #[error("the answer has no access_token")]
    Absent,
    #[error("the token is empty or has characters that no token has")]
    Characters,
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    #[error("expires_in is not a number of seconds")]
    Lifetime,
    #[error("the token is over already")]
    Over,
}

/// The word by which a token endpoint refuses, if it is one of those that there are.
///
/// Shape: never the endpoint's own text, which may repeat a secret.
/// Source: RFC 6749 section 5.2.
pub fn refusal_word(body: &[u8]) -> &'static str {
    let answer = json::read_object(body, VALUES_MAX);
    let error = answer.as_ref().and_then(|answer| answer.get("error")).and_then(Value::as_str);
    let known = REFUSALS.into_iter().find(|word| Some(*word) == error);
    known.unwrap_or("without a word of RFC 6749")
}

fn checked(token: &str) -> Result<BearerToken, BadToken> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(BadToken::TooLong);
    }
    if is_b64token(token) { Ok(BearerToken::new(token)) } else { Err(BadToken::Characters) }
}

fn lifetime(seconds: Option<f64>) -> Result<Duration, BadToken> {
    match seconds {
        Some(seconds) if seconds <= 0.0 => Err(BadToken::Over),
        Some(seconds) => Ok(Duration::from_secs_f64(seconds.min(LIFETIME_MAX.as_secs_f64()))),
        None => Err(BadToken::Lifetime),
    }
}

/// How long a token lasts by what it says itself; one that says nothing is asked for again soon.
fn lifetime_of(token: &BearerToken, now: SystemTime) -> Result<Duration, BadToken> {
    let said = Unverified::read(token, TOKEN_BYTES_MAX).ok();
    match said.and_then(|said| said.ends_in(now)) {
        Some(Duration::ZERO) => Err(BadToken::Over),
        Some(left) => Ok(left.min(LIFETIME_MAX)),
        None => Ok(LIFETIME_UNSAID),
    }
}

/// Room for claims of a thousand groups; brokers take half a megabyte.
const TOKEN_BYTES_MAX: usize = 128 * 1024;
/// More than any answer of a token endpoint has.
const VALUES_MAX: usize = 1000;
/// Of what lasts longer a new one is fetched all the same.
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long a token counts that nobody says the end of.
const LIFETIME_UNSAID: Duration = Duration::from_secs(300);
/// Two clocks are never the same: what lasts less longer is the same token.
const WORTH_A_LOGIN: Duration = Duration::from_secs(1);
const REFUSALS: [&str; 8] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "access_denied",
];

#[cfg(test)]
mod tests {
    use super::super::Algorithm;
    use super::super::minting::{ISSUER, at};
    use super::*;
    use serde_json::json;

    fn check(body: &str, expected: Result<(&str, u64), BadToken>) {
        let read = TokenAnswer::read(body.as_bytes(), at(1000));
        let read = read.map(|answer| (answer.token.expose().to_owned(), answer.lifetime.as_secs()));
        let expected = expected.map(|(token, seconds)| (token.to_owned(), seconds));
        assert_eq!(read, expected, "{body}");
    }

    #[test]
    fn an_answer_is_a_bearer_token_with_its_lifetime() {
        let with = |more: &str| format!(r#"{{"access_token": "a.b-c", "token_type": "Bearer"{more}}}"#);
        check(&with(r#", "expires_in": 60, "scope": "x", "more": {"a": [1]}"#), Ok(("a.b-c", 60)));
        check(&with(r#", "expires_in": "3599""#), Ok(("a.b-c", 3599)));
        check(&with(""), Ok(("a.b-c", 300)));
        check(&with(r#", "expires_in": null"#), Ok(("a.b-c", 300)));
        check(&with(r#", "expires_in": 1e18"#), Ok(("a.b-c", 24 * 3600)));
        for (seconds, why) in [
            ("0", BadToken::Over),
            ("-1", BadToken::Over),
            ("\"soon\"", BadToken::Lifetime),
            ("\"-1\"", BadToken::Lifetime),
            ("[60]", BadToken::Lifetime),
            ("true", BadToken::Lifetime),
        ] {
            check(&with(&format!(", \"expires_in\": {seconds}")), Err(why));
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for body in [
            "",
            "<html>",
            "[]",
            "access_token=a&token_type=bearer",
            r#"{"access_token": "a", "access_token": "b", "token_type": "Bearer"}"#,
        ] {
            check(body, Err(BadToken::NotJson));
        }
        check(r#"{"access_token": "a", "token_type": "bearer", "expires_in": 1}"#, Ok(("a", 1)));
        for kind in [r#""MAC""#, r#""DPoP""#, r#""Bearer ""#, "null", "1"] {
            check(&format!(r#"{{"access_token": "a", "token_type": {kind}}}"#), Err(BadToken::NotBearer));
        }
        check(r#"{"access_token": "a"}"#, Err(BadToken::NotBearer));
        for token in ["null", "1", "[\"a\"]"] {
            let body = format!(r#"{{"token_type": "Bearer", "access_token": {token}}}"#);
            check(&body, Err(BadToken::Absent));
        }
        for token in ["", "a b", "a\\u0001auth=Bearer b", "a\\nb", "é", "="] {
            let body = format!(r#"{{"token_type": "Bearer", "access_token": "{token}"}}"#);
            check(&body, Err(BadToken::Characters));
        }
        let long = "a".repeat(TOKEN_BYTES_MAX + 1);
        check(&format!(r#"{{"token_type": "Bearer", "access_token": "{long}"}}"#), Err(BadToken::TooLong));
    }

    #[test]
    fn a_token_that_says_its_end_counts_until_then() {
        let check = |claims: Value, expected: Result<u64, BadToken>| {
            let token = ISSUER.token(Algorithm::EdDsa, &claims);
            let bare = TokenAnswer::bare(&format!(" {}\n", token.expose()), at(1000));
            assert_eq!(bare.map(|answer| answer.lifetime.as_secs()), expected, "{claims}");
            let body = json!({"access_token": token.expose(), "token_type": "Bearer"}).to_string();
            let read = TokenAnswer::read(body.as_bytes(), at(1000));
            assert_eq!(read.map(|answer| answer.lifetime.as_secs()), expected, "{claims}");
        };
        check(json!({"exp": 1060}), Ok(60));
        check(json!({"exp": 1060.9}), Ok(60));
        check(json!({"sub": "gateway"}), Ok(300));
        check(json!({"exp": "later"}), Ok(300));
        check(json!({"exp": 1000}), Err(BadToken::Over));
        check(json!({"exp": -5}), Err(BadToken::Over));
        assert_eq!(TokenAnswer::bare("opaque", at(1000)).unwrap().lifetime.as_secs(), 300);
        assert_eq!(TokenAnswer::bare(" \n", at(1000)).unwrap_err(), BadToken::Characters);
    }

    #[test]
    fn a_refusal_is_told_in_known_words_only() {
        for (body, expected) in [
            (r#"{"error": "invalid_client", "error_description": "secret hunter2"}"#, "invalid_client"),
            (r#"{"error": "hunter2"}"#, "without a word of RFC 6749"),
            (r#"{"error": ["invalid_client"]}"#, "without a word of RFC 6749"),
            ("<html>", "without a word of RFC 6749"),
        ] {
            assert_eq!(refusal_word(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an Instant can only be had from the clock")]
    fn a_cell_holds_the_newest_token_until_it_is_cleared() {
        let (cell, now) = (TokenCell::empty(), Instant::now());
        assert!(cell.newest().is_none() && !cell.outlasts(now));
        let lasting = |seconds| OwnToken {
            token: BearerToken::new("t"),
            extensions: Vec::new(),
            ends_at: now + Duration::from_secs(seconds),
        };
        cell.replace(lasting(10));
        let in_use = cell.newest().unwrap();
        cell.replace(lasting(20));
        assert!(cell.outlasts(in_use.ends_at) && !cell.outlasts(in_use.ends_at + WORTH_A_LOGIN * 9));
        cell.clear();
        assert!(cell.newest().is_none() && !cell.outlasts(now));
    }

    #[test]
    fn a_token_is_shown_by_its_length_only() {
        let answer = TokenAnswer::bare("hunter2", at(0)).unwrap();
        assert!(!format!("{answer:?}").contains("hunter2"));
    }
}
