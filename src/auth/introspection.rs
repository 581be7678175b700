//! What an OAuth server says of a token that it is asked about.
//!
//! Source: RFC 7662.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use url::Url;

use super::PeerCertificate;
use super::json::{self, Object};
use super::rejected::Rejected;
use super::source::HttpSettings;
use super::token_source::ClientProof;
use super::verifier::{Identity, Rules, VALUES_MAX, Voucher, date};

/// An introspection endpoint, and who asks there.
#[derive(Clone, Debug)]
pub struct Introspection {
    /// What metrics call it: its host and its path.
    pub name: Arc<str>,
    pub endpoint: Url,
    pub client_id: String,
    pub proof: ClientProof,
    pub http: HttpSettings,
    /// For how long its word counts without asking again; at most [`Introspection::KEPT_MAX`].
    pub kept_max: Duration,
}

impl Introspection {
    /// A token that is revoked opens no session after this time.
    pub const KEPT_MAX: Duration = Duration::from_secs(60);
}

/// What is said of an active token.
#[derive(Clone)]
pub struct Introspected {
    claims: Arc<Value>,
    /// The token's own end, where it is said.
    ends_at: Option<SystemTime>,
}

impl Introspected {
    /// Reads an endpoint's answer about one token.
    ///
    /// Shape: the operator says that this endpoint speaks for `issuer`; where the answer leaves `iss` out,
    /// it stands in the claims all the same.
    /// Errors: `Inactive` when the endpoint says no; `IntrospectionFailed` when it says neither yes nor no.
    /// Source: RFC 7662 section 2.2.
    pub fn read(answer: &[u8], issuer: Option<&str>) -> Result<Self, Rejected> {
        let failed = |why: &str| Rejected::IntrospectionFailed { why: why.to_owned() };
        let mut claims = json::read_object(answer, VALUES_MAX)
            .ok_or_else(|| failed("its answer is not one JSON object, or says something twice"))?;
        match claims.get("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Err(Rejected::Inactive),
            _ => return Err(failed("its answer has no active that is true or false")),
        }
        check_kind(&claims)?;
        let ends_at = date(&claims, "exp")?.map(|since| UNIX_EPOCH + since);
        if let (None, Some(issuer)) = (claims.get("iss"), issuer) {
            claims.insert("iss".to_owned(), issuer.into());
        }
        Ok(Self { claims: Arc::new(Value::Object(claims)), ends_at })
    }

    /// Who the bearer of the token is.
    pub fn identity(
        &self,
        rules: &Rules,
        certificate: Option<&PeerCertificate>,
        now: SystemTime,
    ) -> Result<Identity, Rejected> {
        rules.identity(&self.claims, Voucher::Endpoint, certificate, now)
    }

    /// Until when this may be kept that was said at `asked_at`: never beyond the token's own end.
    pub fn kept_until(&self, kept_max: Duration, asked_at: SystemTime) -> SystemTime {
        let until = asked_at + kept_max.min(Introspection::KEPT_MAX);
        self.ends_at.map_or(until, |end| until.min(end))
    }
}

/// Whether this is about an access token for whoever bears it.
///
/// An endpoint answers about refresh tokens and ID tokens too, and some say what they are in members of
/// their own: `typ` is Keycloak's, `token_use` that of Cognito and Hydra.
fn check_kind(claims: &Object) -> Result<(), Rejected> {
    for (member, kinds) in KINDS {
        let Some(said) = claims.get(member) else { continue };
        let said = said.as_str().ok_or(Rejected::WrongTypeOfClaim(member))?;
        if !kinds.iter().any(|kind| kind.eq_ignore_ascii_case(said)) {
            return Err(Rejected::NotAnAccessToken(member));
        }
    }
    Ok(())
}

/// Reads whatever it is given; what is accepted has said that it is active.
#[doc(hidden)]
pub fn fuzz_introspected(answer: &[u8]) {
    if let Ok(read) = Introspected::read(answer, None) {
        assert_eq!(read.claims["active"], Value::Bool(true));
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        assert!(read.kept_until(Duration::MAX, now) <= now + Introspection::KEPT_MAX);
    }
}

const KINDS: [(&str, &[&str]); 3] = [
    ("token_type", &["Bearer"]),
    ("typ", &["Bearer", "JWT", "at+jwt", "application/at+jwt"]),
    ("token_use", &["access", "access_token"]),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::minting::{NOW_SECONDS, Noise, at, claims, rules};
    use super::*;

    fn read(answer: &Value) -> Result<Introspected, Rejected> {
        Introspected::read(answer.to_string().as_bytes(), Some("https://idp.example"))
    }

    /// What comes of a good answer with some members exchanged.
    fn verdict(rules: &Rules, exchanged: Value) -> Result<Identity, Rejected> {
        let mut answer = claims(exchanged);
        if answer.get("active").is_none() {
            answer["active"] = json!(true);
        }
        read(&answer)?.identity(rules, None, at(NOW_SECONDS))
    }

    fn check(exchanged: Value, expected: Result<&str, &str>) {
        let shown = exchanged.to_string();
        let verdict = verdict(&rules(), exchanged);
        let found = verdict.as_ref().map(|identity| identity.principal.name()).map_err(|why| why.label());
        assert_eq!(found, expected, "{shown}");
    }

    #[test]
    fn i_17_only_the_boolean_true_is_active() {
        check(json!({}), Ok("alice"));
        check(json!({"active": false}), Err("inactive"));
        for odd in [json!("true"), json!(1), json!([true]), json!({"active": true}), json!("")] {
            check(json!({"active": odd}), Err("introspection_failed"));
        }
        for body in [
            "",
            "{}",
            "null",
            "true",
            "[{\"active\": true}]",
            "{\"active\": null}",
            "{\"Active\": true}",
            "{\"active\": false, \"active\": true}",
            "{\"active\": true, \"active\": true}",
            "{\"active\": true, \"x\": {\"a\": 1, \"a\": 2}}",
            "{\"active\": true} {}",
            "<html>active</html>",
        ] {
            let refused = Introspected::read(body.as_bytes(), None).err();
            assert_eq!(refused.map(|why| why.label()), Some("introspection_failed"), "{body}");
        }
        let many = format!("{{\"active\": true, \"x\": [0{}]}}", ",0".repeat(VALUES_MAX));
        assert!(Introspected::read(many.as_bytes(), None).is_err());
    }

    #[test]
    fn what_is_said_of_a_token_is_held_to_the_same_rules_as_what_it_says_itself() {
        for (exchanged, expected) in [
            (json!({"exp": NOW_SECONDS - 60}), "expired"),
            (json!({"exp": "soon"}), "wrong_type_of_claim"),
            (json!({"nbf": NOW_SECONDS + 60}), "not_yet_valid"),
            (json!({"exp": NOW_SECONDS + 100_000}), "lifetime_too_long"),
            (json!({"iss": "https://evil.example"}), "issuer_mismatch"),
            (json!({"iss": ["https://idp.example"]}), "wrong_type_of_claim"),
            (json!({"aud": "other"}), "audience_mismatch"),
            (json!({"aud": null}), "audience_missing"),
            (json!({"sub": null}), "principal_missing"),
            (json!({"sub": 5}), "principal_unusable"),
            (json!({"scope": 5}), "scope_unusable"),
            (json!({"cnf": {"jkt": "x"}}), "sender_constrained"),
        ] {
            check(exchanged, Err(expected));
        }
        let identity = verdict(&rules(), json!({"groups": ["ops"]})).unwrap();
        assert_eq!(identity.claims["groups"], json!(["ops"]));
        assert_eq!(identity.voucher, Voucher::Endpoint);
        assert_eq!(identity.lifetime, Duration::from_secs(300));
    }

    #[test]
    fn an_answer_without_iss_is_the_word_of_the_issuer_whose_endpoint_it_is() {
        let identity = verdict(&rules(), json!({"iss": null})).unwrap();
        assert_eq!(identity.issuer(), Some("https://idp.example"));
        let read = Introspected::read(br#"{"active": true}"#, None).ok().unwrap();
        assert_eq!(read.claims.get("iss"), None);
    }

    #[test]
    fn without_exp_a_session_lasts_as_long_as_the_file_says() {
        check(json!({"exp": null}), Err("expiry_missing"));
        let hour = Duration::from_secs(3600);
        let rules = Rules { session_lifetime_max: Some(hour), ..rules() };
        assert_eq!(verdict(&rules, json!({"exp": null})).unwrap().lifetime, hour);
        let refused = verdict(&rules, json!({"exp": null, "iat": NOW_SECONDS + 60})).unwrap_err();
        assert_eq!(refused, Rejected::IssuedInFuture);
    }

    #[test]
    fn only_bearer_access_tokens_are_taken() {
        for (member, kinds) in KINDS {
            for kind in kinds {
                check(json!({member: kind}), Ok("alice"));
                check(json!({member: kind.to_uppercase()}), Ok("alice"));
            }
            check(json!({member: 5}), Err("wrong_type_of_claim"));
        }
        for (member, kind) in [
            ("token_type", "DPoP"),
            ("token_type", "N_A"),
            ("token_type", ""),
            ("typ", "Refresh"),
            ("typ", "Offline"),
            ("typ", "ID"),
            ("token_use", "refresh_token"),
            ("token_use", "id"),
        ] {
            check(json!({member: kind}), Err("not_an_access_token"));
        }
    }

    #[test]
    fn i_17_s_28_nothing_is_kept_for_more_than_a_minute_or_beyond_the_end_of_its_token() {
        let check = |exp: Option<u64>, kept_max: u64, expected: u64| {
            let mut answer = json!({"active": true});
            if let Some(after) = exp {
                answer["exp"] = json!(NOW_SECONDS + after);
            }
            let read = read(&answer).ok().unwrap();
            let until = read.kept_until(Duration::from_secs(kept_max), at(NOW_SECONDS));
            assert_eq!(until, at(NOW_SECONDS + expected), "{exp:?} {kept_max}");
        };
        check(Some(300), 60, 60);
        check(Some(300), 5, 5);
        check(Some(10), 60, 10);
        check(Some(0), 60, 0);
        check(None, 60, 60);
        check(None, 3600, 60);
        check(None, 0, 0);
    }

    #[test]
    fn noise_is_never_a_panic() {
        let mut noise = Noise::new();
        let sample = claims(json!({"active": true, "token_type": "Bearer"})).to_string();
        for _ in 0..2_000 {
            fuzz_introspected(&noise.mutated(sample.as_bytes()));
        }
    }
}
