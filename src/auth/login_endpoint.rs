//! A token endpoint that says who a client is by its name and password, and the tokens that it gave.
//!
//! What a client shows by PLAIN is its id and secret there; the shell does the asking.

use std::time::{Duration, SystemTime};

use url::Url;

use super::bearer::BearerToken;
use super::own_token::TokenAnswer;
use super::source::HttpSettings;
use super::token_source::{ClientProof, TokenEndpoint, is_client_id};
use super::unverified::Unverified;
use crate::names::Secret;

/// Where a client's name and password are exchanged for a token, and how.
#[derive(Clone, Debug)]
pub struct LoginEndpoint {
    pub url: Url,
    /// Whether the secret goes into the request's body, and not into a header.
    pub sends_in_body: bool,
    pub scope: Option<String>,
    pub audience: Option<String>,
    pub http: HttpSettings,
}

impl LoginEndpoint {
    /// The endpoint as this client asks it; none where no client can be called so.
    pub fn asked_by(&self, client_id: &str, secret: Secret) -> Option<TokenEndpoint> {
        let proof = if self.sends_in_body { ClientProof::Post(secret) } else { ClientProof::Basic(secret) };
        is_client_id(client_id).then(|| TokenEndpoint {
            url: self.url.clone(),
            client_id: client_id.to_owned(),
            proof,
            scope: self.scope.clone(),
            audience: self.audience.clone(),
        })
    }
}

/// Whether a token endpoint's word of refusal is about the client, and not about the endpoint or its settings.
///
/// Source: RFC 6749 section 5.2.
pub fn refuses_client(word: &str) -> bool {
    matches!(word, "invalid_client" | "invalid_grant" | "unauthorized_client" | "access_denied")
}

/// A client's token, held for its next logins.
#[derive(Clone, Debug)]
pub struct HeldToken {
    pub token: BearerToken,
    /// From then on another is asked for.
    pub renew_at: SystemTime,
    /// From then on nobody may log in by it.
    pub ends_at: SystemTime,
}

impl HeldToken {
    /// A token as it was given just now.
    ///
    /// Limits: ends when the endpoint says, or when the token itself does, if that is sooner. It is
    /// renewed while a fifth of its life is left and at least half a minute, so that no session is tiny;
    /// one that lives for less than a minute, after half of its life.
    pub fn new(answer: TokenAnswer, now: SystemTime) -> Self {
        let said = Unverified::read(&answer.token, usize::MAX).ok();
        let left = said.and_then(|said| said.ends_in(now));
        let lifetime = left.map_or(answer.lifetime, |left| left.min(answer.lifetime));
        let margin = (lifetime / 5).max(RENEWED_BEFORE).min(lifetime / 2);
        Self { token: answer.token, renew_at: now + (lifetime - margin), ends_at: now + lifetime }
    }

    /// Whether it is good for a new session without a look for a newer one.
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        now < self.renew_at
    }

    /// The same, for which another is asked for only in a while: the endpoint has just failed.
    pub fn renewed_later(self, now: SystemTime) -> Self {
        Self { renew_at: now + RETRIED_AFTER, ..self }
    }
}

/// Every session that begins lasts so long, if tokens do.
const RENEWED_BEFORE: Duration = Duration::from_secs(30);
const RETRIED_AFTER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Algorithm;
    use super::super::minting::{ISSUER, at};
    use super::*;

    fn seconds(time: SystemTime) -> u64 {
        time.duration_since(at(0)).unwrap().as_secs()
    }

    #[test]
    fn a_token_is_renewed_while_a_good_part_of_its_life_is_left() {
        let check = |lifetime, exp: Option<i64>, renew_at, ends_at| {
            let token = match exp {
                Some(exp) => ISSUER.token(Algorithm::EdDsa, &json!({"exp": exp})),
                None => BearerToken::new("opaque"),
            };
            let answer = TokenAnswer { token, lifetime: Duration::from_secs(lifetime) };
            let held = HeldToken::new(answer, at(1000));
            assert_eq!(
                (seconds(held.renew_at), seconds(held.ends_at)),
                (renew_at, ends_at),
                "{lifetime} {exp:?}"
            );
            assert!(held.is_fresh(held.renew_at - Duration::from_millis(1)) && !held.is_fresh(held.renew_at));
        };
        check(3600, None, 1000 + 2880, 1000 + 3600);
        check(100, None, 1000 + 70, 1000 + 100);
        check(60, None, 1000 + 30, 1000 + 60);
        check(10, None, 1000 + 5, 1000 + 10);
        // The sooner of the two counts.
        check(3600, Some(1100), 1000 + 70, 1100);
        check(100, Some(9000), 1000 + 70, 1100);
        check(100, Some(-1), 1000, 1000);
    }

    #[test]
    fn after_a_failure_it_serves_on_and_another_is_asked_for_in_a_while() {
        let answer = TokenAnswer { token: BearerToken::new("opaque"), lifetime: Duration::from_secs(60) };
        let held = HeldToken::new(answer, at(1000)).renewed_later(at(1040));
        assert_eq!((seconds(held.renew_at), seconds(held.ends_at)), (1045, 1060));
    }

    #[test]
    fn a_client_asks_in_its_own_name_if_it_can_have_it() {
        let endpoint = |sends_in_body| LoginEndpoint {
            url: "https://idp.example/token".parse().unwrap(),
            sends_in_body,
            scope: Some("kafka".to_owned()),
            audience: None,
            http: HttpSettings::default(),
        };
        let asked = endpoint(false).asked_by("app", Secret::new("pencil")).unwrap();
        assert_eq!((asked.client_id.as_str(), asked.scope.as_deref()), ("app", Some("kafka")));
        assert!(matches!(asked.proof, ClientProof::Basic(secret) if secret.expose() == "pencil"));
        let asked = endpoint(true).asked_by("app", Secret::new("pencil")).unwrap();
        assert!(matches!(asked.proof, ClientProof::Post(_)));
        assert!(endpoint(true).asked_by("ålice", Secret::new("pencil")).is_none());
    }

    #[test]
    fn a_refusal_is_of_the_client_or_of_what_was_asked() {
        for (word, expected) in [
            ("invalid_client", true),
            ("unauthorized_client", true),
            ("invalid_grant", true),
            ("access_denied", true),
            ("invalid_scope", false),
            ("invalid_request", false),
            ("", false),
        ] {
            assert_eq!(refuses_client(word), expected, "{word}");
        }
    }
}
