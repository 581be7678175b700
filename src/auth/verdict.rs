//! What a client shows for itself, and what comes of it, by whatever mechanism.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::bearer::BearerToken;
use super::rejected::Rejected;
use super::verifier::Identity;
use crate::names::{Principal, Secret};

/// What a client shows, to be looked at where waiting hurts nobody.
#[derive(Clone, Debug)]
pub enum Evidence {
    Token(BearerToken),
    Password { username: String, password: Secret },
}

/// Who a client has proven to be.
#[derive(Clone)]
pub struct Proven {
    pub principal: Principal,
    /// What a token says of it, as it was signed; null where there was none.
    pub claims: Arc<Value>,
    /// Whose word it is; two issuers may call two people by one name.
    pub issuer: Option<String>,
    /// How long the session may last; at least a millisecond, and `None` is for ever.
    pub lifetime: Option<Duration>,
}

impl Proven {
    /// A client of whom nothing but its name is known.
    pub fn named(principal: Principal, lifetime: Option<Duration>) -> Self {
        Self { principal, claims: Arc::default(), issuer: None, lifetime }
    }
}

impl From<Identity> for Proven {
    fn from(identity: Identity) -> Self {
        Self {
            issuer: identity.issuer().map(str::to_owned),
            principal: identity.principal,
            claims: identity.claims,
            lifetime: Some(identity.lifetime),
        }
    }
}

impl fmt::Debug for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proven")
            .field("principal", &self.principal)
            .field("claims", &self.claims.as_object().map_or(0, |claims| claims.len()))
            .field("lifetime", &self.lifetime)
            .finish()
    }
}

/// Why a client has proven nothing; for the operator, and never for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The value of the metric's label.
    pub label: &'static str,
    pub detail: String,
}

impl Refused {
    pub fn new(label: &'static str, detail: impl Into<String>) -> Self {
        Self { label, detail: detail.into() }
    }
}

impl From<Rejected> for Refused {
    fn from(rejected: Rejected) -> Self {
        Self::new(rejected.label(), rejected.to_string())
    }
}

/// What is found of a client.
pub type Verdict = Result<Proven, Refused>;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Algorithm;
    use super::super::minting::{ISSUER, NOW_SECONDS, at, claims, rules};
    use super::*;

    #[test]
    fn a_verified_token_proves_what_it_says_and_shows_none_of_it() {
        let token = ISSUER.token(Algorithm::EdDsa, &claims(json!({"secret": "open-sesame"})));
        let proven = Proven::from(ISSUER.verifier(rules()).verify(&token, None, at(NOW_SECONDS)).unwrap());
        assert_eq!(
            (proven.principal.name(), proven.issuer.as_deref()),
            ("alice", Some("https://idp.example"))
        );
        assert_eq!(proven.claims["secret"], "open-sesame");
        assert!(proven.lifetime.is_some());
        assert!(!format!("{proven:?}").contains("sesame"));
        let password = Evidence::Password { username: "u".to_owned(), password: Secret::new("open-sesame") };
        for shown in [format!("{password:?}"), format!("{:?}", Evidence::Token(token.clone()))] {
            assert!(!shown.contains("sesame") && !shown.contains(token.expose()), "{shown}");
        }
    }

    #[test]
    fn who_has_only_a_name_has_no_claims() {
        let proven = Proven::named(Principal::new("bob"), None);
        assert_eq!((&*proven.claims, proven.issuer, proven.lifetime), (&Value::Null, None, None));
    }
}
