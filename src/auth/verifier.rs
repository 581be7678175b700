//! A token becomes an identity, or is refused.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::bearer::BearerToken;
use super::header::{HEADER_BYTES_MAX, Header};
use super::json::{self, Object};
use super::keys::KeyRing;
use super::rejected::Rejected;
use crate::names::Principal;

/// What one issuer's tokens must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Compared byte by byte; `None` leaves `iss` unchecked.
    pub issuer: Option<String>,
    /// Any of them suffices; none at all leaves `aud` unchecked.
    pub audiences: Vec<String>,
    /// How far the issuer's clock may be from ours; more than five minutes counts as five.
    pub clock_skew: Duration,
    /// No session is longer, however long the token lives.
    pub session_lifetime_max: Option<Duration>,
    /// The claim that names the principal.
    pub principal_claim: String,
    /// The claim that names the scopes.
    pub scope_claim: String,
    pub token_bytes_max: usize,
    /// The longest time from a token's issue to its expiry.
    pub lifetime_max: Option<Duration>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            issuer: None,
            audiences: Vec::new(),
            clock_skew: Duration::from_secs(10),
            session_lifetime_max: None,
            principal_claim: "sub".to_owned(),
            scope_claim: "scope".to_owned(),
            token_bytes_max: 16 * 1024,
            lifetime_max: Some(Duration::from_secs(24 * 60 * 60)),
        }
    }
}

/// Verifies the tokens of one issuer by the keys of its ring.
#[derive(Clone, Debug)]
pub struct Verifier {
    pub rules: Rules,
    pub ring: Arc<KeyRing>,
}

/// Who a token says its bearer is, and for how long.
#[derive(Clone)]
pub struct Identity {
    pub principal: Principal,
    /// All claims, as they were signed.
    pub claims: Arc<Value>,
    /// When the session ends.
    pub expires_at: SystemTime,
    /// The time from the login to `expires_at`; at least a millisecond, since Kafka's 0 means no end.
    pub lifetime: Duration,
    /// The `kid` of the key that signed.
    pub key_id: Option<String>,
}

impl Verifier {
    pub fn new(rules: Rules, ring: Arc<KeyRing>) -> Self {
        Self { rules, ring }
    }

    /// Says who the bearer of a token is.
    ///
    /// Shape: size, parts, header, key, signature, claims, in this order; nothing that a claim says is
    /// looked at before the signature is known to be the issuer's.
    /// Errors: `Rejected`; ask `wants_fresh_keys` whether to fetch the key set and try once more.
    /// Source: RFC 7515 section 5.2, RFC 7519 section 7.2, RFC 8725, RFC 9068 section 4.
    pub fn verify(&self, token: &BearerToken, now: SystemTime) -> Result<Identity, Rejected> {
        let signed = self.signed(token)?;
        let claims = json::read_object(&signed.payload, VALUES_MAX).ok_or(Rejected::MalformedClaims)?;
        if claims.contains_key("cnf") {
            return Err(Rejected::SenderConstrained);
        }
        let lifetime = self.rules.check_times(&claims, now)?;
        self.rules.check_issuer(&claims)?;
        self.rules.check_audience(&claims)?;
        self.rules.check_scope(&claims)?;
        let principal = self.rules.principal(&claims)?;
        Ok(Identity {
            principal,
            claims: Arc::new(Value::Object(claims)),
            expires_at: now + lifetime,
            lifetime,
            key_id: signed.key_id,
        })
    }

    /// The payload of a token whose signature is that of the issuer's key.
    pub(super) fn signed(&self, token: &BearerToken) -> Result<Signed, Rejected> {
        let token = token.expose();
        let bytes_max = self.rules.token_bytes_max.min(TOKEN_BYTES_MAX);
        if token.len() > bytes_max {
            return Err(Rejected::TooLong { bytes_max });
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Rejected::NotAJwt)?;
        let (header, payload) = message.split_once('.').ok_or(Rejected::NotAJwt)?;
        if payload.contains('.') {
            return Err(Rejected::NotAJwt);
        }
        if header.len() > HEADER_BYTES_MAX * 4 / 3 + 3 {
            return Err(Rejected::MalformedHeader);
        }
        let header = Header::parse(&decoded(header)?)?;
        let signature = decoded(signature)?;
        let keys = self.ring.newest().ok_or(Rejected::NoKeys)?;
        let key = keys
            .key_for(header.key_id.as_deref(), header.algorithm)
            .map_err(|why| Rejected::without_key(why, header.algorithm))?;
        if !key.verifies(header.algorithm, message.as_bytes(), &signature) {
            return Err(Rejected::BadSignature);
        }
        Ok(Signed { payload: decoded(payload)?, key_id: key.id().map(str::to_owned) })
    }
}

impl Rules {
    /// How long a session with this token may last.
    fn check_times(&self, claims: &Object, now: SystemTime) -> Result<Duration, Rejected> {
        let now = now.duration_since(UNIX_EPOCH).map_err(|_| Rejected::ClockUnset)?;
        let skew = self.clock_skew.min(CLOCK_SKEW_MAX);
        let expiry = date(claims, "exp")?.ok_or(Rejected::ExpiryMissing)?;
        let (not_before, issued) = (date(claims, "nbf")?, date(claims, "iat")?);
        // Inside the skew after its expiry a token still logs in, for what is left of the skew.
        let until = if now < expiry { expiry } else { expiry + skew };
        let left = until.checked_sub(now).filter(|left| !left.is_zero()).ok_or(Rejected::Expired)?;
        if not_before.is_some_and(|not_before| not_before > now + skew) {
            return Err(Rejected::NotYetValid);
        }
        if issued.is_some_and(|issued| issued > now + skew) {
            return Err(Rejected::IssuedInFuture);
        }
        if let Some(max) = self.lifetime_max
            && expiry.saturating_sub(issued.unwrap_or(now)) > max
        {
            return Err(Rejected::LifetimeTooLong { seconds_max: max.as_secs() });
        }
        Ok(left.min(self.session_lifetime_max.unwrap_or(left)).max(SESSION_LIFETIME_MIN))
    }

    fn check_issuer(&self, claims: &Object) -> Result<(), Rejected> {
        let issuer = match claims.get("iss") {
            None => None,
            Some(Value::String(issuer)) => Some(issuer),
            Some(_) => return Err(Rejected::WrongTypeOfClaim("iss")),
        };
        match (&self.issuer, issuer) {
            (None, _) => Ok(()),
            (Some(expected), Some(issuer)) if issuer == expected => Ok(()),
            (Some(expected), Some(_)) => Err(Rejected::IssuerMismatch { expected: expected.clone() }),
            (Some(expected), None) => Err(Rejected::IssuerMissing { expected: expected.clone() }),
        }
    }

    fn check_audience(&self, claims: &Object) -> Result<(), Rejected> {
        let audience = claims.get("aud").map(|value| texts(value).ok_or(Rejected::WrongTypeOfClaim("aud")));
        let audience = audience.transpose()?;
        if self.audiences.is_empty() {
            return Ok(());
        }
        match audience {
            None => Err(Rejected::AudienceMissing { expected: self.audiences.clone() }),
            Some(named) if named.iter().any(|name| self.audiences.iter().any(|ours| ours == name)) => Ok(()),
            Some(_) => Err(Rejected::AudienceMismatch { expected: self.audiences.clone() }),
        }
    }

    fn check_scope(&self, claims: &Object) -> Result<(), Rejected> {
        match claims.get(&self.scope_claim) {
            Some(scope) if texts(scope).is_none() => {
                Err(Rejected::ScopeUnusable { claim: self.scope_claim.clone() })
            }
            _ => Ok(()),
        }
    }

    fn principal(&self, claims: &Object) -> Result<Principal, Rejected> {
        let claim = &self.principal_claim;
        let name = claims.get(claim).ok_or_else(|| Rejected::PrincipalMissing { claim: claim.clone() })?;
        match name {
            // Neither trimmed nor coerced: two tokens must not become one principal.
            Value::String(name)
                if (1..=PRINCIPAL_BYTES_MAX).contains(&name.len()) && !name.contains(char::is_control) =>
            {
                Ok(Principal::new(name.as_str()))
            }
            _ => Err(Rejected::PrincipalUnusable { claim: claim.clone(), bytes_max: PRINCIPAL_BYTES_MAX }),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("principal", &self.principal)
            .field("claims", &self.claims.as_object().map_or(0, Object::len))
            .field("expires_at", &self.expires_at)
            .field("lifetime", &self.lifetime)
            .field("key_id", &self.key_id)
            .finish()
    }
}

/// What an issuer's key has signed, not yet looked at.
pub(super) struct Signed {
    pub payload: Vec<u8>,
    pub key_id: Option<String>,
}

/// One part of a token: no padding, no white space, no bit beyond the last byte.
fn decoded(part: &str) -> Result<Vec<u8>, Rejected> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejected::NotAJwt)
}

/// A `NumericDate`, rounded down to the second.
///
/// Limits: from 0 to below 2^53, where neighbouring seconds can still be told apart in any JSON.
/// Source: RFC 7519 section 2.
fn date(claims: &Object, claim: &'static str) -> Result<Option<Duration>, Rejected> {
    let Some(value) = claims.get(claim) else {
        return Ok(None);
    };
    let seconds = match (value.as_u64(), value.as_f64()) {
        (Some(seconds), _) if seconds < SECONDS_END => seconds,
        // The range holds, so the cast only cuts the fraction off.
        (None, Some(seconds)) if (0.0..SECONDS_END as f64).contains(&seconds) => seconds as u64,
        _ => return Err(Rejected::WrongTypeOfClaim(claim)),
    };
    Ok(Some(Duration::from_secs(seconds)))
}

/// A claim that is one text or a list of texts.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// Whatever the configuration allows.
const TOKEN_BYTES_MAX: usize = 64 * 1024;
const VALUES_MAX: usize = 10_000;
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);
const SECONDS_END: u64 = 1 << 53;
const PRINCIPAL_BYTES_MAX: usize = 256;
const SESSION_LIFETIME_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::super::minting::{ISSUER, NOW_SECONDS, at, claims, rules};
    use super::super::{Algorithm, KeySet};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_good_token_of_every_algorithm_becomes_an_identity() {
        let verifier = ISSUER.verifier(rules());
        for algorithm in Algorithm::ALL {
            let token = ISSUER.token(algorithm, &claims(json!({})));
            let identity = verifier.verify(&token, at(NOW_SECONDS)).unwrap();
            assert_eq!(identity.principal.name(), "alice", "{algorithm:?}");
            assert_eq!(identity.lifetime, Duration::from_secs(300));
            assert_eq!(identity.expires_at, at(NOW_SECONDS + 300));
            assert_eq!(identity.claims["scope"], "a b");
        }
    }
}
