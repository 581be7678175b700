//! What a token says of itself, before or without anybody having asked its issuer's keys.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::PeerCertificate;
use super::bearer::BearerToken;
use super::confirmation::check_confirmation;
use super::json::{self, Object};
use super::rejected::Rejected;
use super::verifier::{Parts, Rules, VALUES_MAX, decoded};
use crate::names::Principal;

/// The claims of a token whose signature was not checked: anybody may have written them.
///
/// Good for three things only: to choose which issuer's verifier to ask, to tell conditions who claims
/// to act where the broker does the verifying, and to get another in time where the token was got by us.
pub struct Unverified(Object);

impl Unverified {
    pub fn read(token: &BearerToken, token_bytes_max: usize) -> Result<Self, Rejected> {
        let payload = decoded(Parts::of(token, token_bytes_max)?.payload)?;
        json::read_object(&payload, VALUES_MAX).map(Self).ok_or(Rejected::MalformedClaims)
    }

    /// Whether a text has the form of a signed token, which keys can verify, and not just any other.
    pub fn is_signed(token: &BearerToken) -> bool {
        let parts = Parts::of(token, usize::MAX).ok();
        let header = parts.and_then(|parts| decoded(parts.header).ok());
        header.is_some_and(|header| json::read_object(&header, VALUES_MAX).is_some())
    }

    /// Claims that somebody wrote down, without a token.
    pub fn written(claims: &str) -> Option<Self> {
        json::read_object(claims.as_bytes(), VALUES_MAX).map(Self)
    }

    /// The issuer whose verifier is to be asked; `None` where `iss` is absent or no text.
    pub fn issuer(&self) -> Option<&str> {
        self.0.get("iss").and_then(Value::as_str)
    }

    /// Whether it names the issuer that these rules are about.
    pub fn is_of(&self, rules: &Rules) -> bool {
        self.issuer().is_some() && rules.issuer.as_deref() == self.issuer()
    }

    /// Who the token claims its bearer is.
    pub fn principal(&self, rules: &Rules) -> Result<Principal, Rejected> {
        rules.principal(&self.0)
    }

    /// Whether it is anybody's, or bound to this certificate.
    pub fn check_confirmation(&self, certificate: Option<&PeerCertificate>) -> Result<(), Rejected> {
        check_confirmation(&self.0, certificate)
    }

    /// How long the token lasts from now on; nothing where it is over, `None` where it does not say.
    ///
    /// Shape: of a token that we got ourselves any number will do; the verifier reads `exp` more strictly.
    pub fn ends_in(&self, now: SystemTime) -> Option<Duration> {
        let end = self.0.get("exp").and_then(Value::as_f64)?;
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Some(Duration::try_from_secs_f64((end - now).max(0.0)).unwrap_or(Duration::MAX))
    }

    pub fn into_claims(self) -> Value {
        Value::Object(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Algorithm;
    use super::super::minting::{ISSUER, b64, claims};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_says_who_issued_it_and_whom_it_names() {
        let token = ISSUER.token(Algorithm::EdDsa, &claims(json!({"exp": 1})));
        let unverified = Unverified::read(&token, 1_000).unwrap();
        assert_eq!(unverified.issuer(), Some("https://idp.example"));
        assert_eq!(unverified.principal(&Rules::default()).unwrap().name(), "alice");
        assert_eq!(unverified.into_claims()["exp"], 1);
        let odd = ISSUER.token(Algorithm::EdDsa, &claims(json!({"iss": ["x"], "sub": 1})));
        let odd = Unverified::read(&odd, 1_000).unwrap();
        assert_eq!(odd.issuer(), None);
        assert_eq!(odd.principal(&Rules::default()).unwrap_err().label(), "principal_unusable");
    }

    #[test]
    fn a_token_says_how_long_it_lasts_if_its_end_is_a_number() {
        let check = |claims: &str, expected: Option<Duration>| {
            let now = UNIX_EPOCH + Duration::from_secs(1_000);
            assert_eq!(Unverified::written(claims).unwrap().ends_in(now), expected, "{claims}");
        };
        check(r#"{"exp": 1060}"#, Some(Duration::from_secs(60)));
        check(r#"{"exp": 1060.5}"#, Some(Duration::from_millis(60_500)));
        for over in ["1000", "999.5", "0", "-5", "-1e300"] {
            check(&format!(r#"{{"exp": {over}}}"#), Some(Duration::ZERO));
        }
        check(r#"{"exp": 1e300}"#, Some(Duration::MAX));
        for unsaid in ["{}", r#"{"exp": null}"#, r#"{"exp": "1060"}"#, r#"{"exp": [1060]}"#] {
            check(unsaid, None);
        }
    }

    #[test]
    fn a_signed_token_is_told_from_an_opaque_one_by_its_form() {
        let check = |token: &str, expected: bool| {
            assert_eq!(Unverified::is_signed(&BearerToken::new(token)), expected, "{token}");
        };
        check(ISSUER.token(Algorithm::EdDsa, &claims(json!({}))).expose(), true);
        check(&format!("{}.no-claims.no-signature", b64("{}")), true);
        for opaque in ["opaque", "", "..", "a.b.c", "v1.local.payload", &b64("{}")] {
            check(opaque, false);
        }
        check(&format!("{}.b.c.d.e", b64(r#"{"enc":"A256GCM"}"#)), false);
        check(&format!("{}.b.c", b64("[]")), false);
    }

    #[test]
    fn it_is_read_as_strictly_as_a_verified_one() {
        for (token, expected) in [
            ("opaque".to_owned(), "not_a_jwt"),
            (format!("a.{}=.c", b64("{}")), "not_a_jwt"),
            (format!("a.{}.c.d.e", b64("{}")), "not_a_jwt"),
            (format!("a.{}.c", b64("[]")), "malformed_claims"),
            (format!("a.{}.c", b64(r#"{"iss":"a","iss":"b"}"#)), "malformed_claims"),
            ("a".repeat(101), "too_long"),
        ] {
            let refused = Unverified::read(&BearerToken::new(token.as_str()), 100).err().unwrap();
            assert_eq!(refused.label(), expected, "{token}");
        }
    }
}
