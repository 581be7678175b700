//! A token becomes an identity, or is refused.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::PeerCertificate;
use super::bearer::BearerToken;
use super::claim_path::ClaimPath;
use super::confirmation::check_confirmation;
use super::header::{Header, TokenType};
use super::json::{self, Object};
use super::keys::{KeyRing, KeySet};
use super::recent::{Recent, TokenDigest};
use super::rejected::Rejected;
use crate::names::Principal;

/// What one issuer's tokens must look like.
#[derive(Clone, Debug, PartialEq)]
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
    pub principal_claim: ClaimPath,
    /// The claim that names the scopes.
    pub scope_claim: ClaimPath,
    /// What the header may say the token is.
    pub types: Vec<TokenType>,
    /// To which clients a token may have been issued; none at all leaves that unchecked.
    pub authorized_parties: Vec<String>,
    pub required_claims: Vec<RequiredClaim>,
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
            principal_claim: ClaimPath::parse("sub").expect("it is a name"),
            scope_claim: ClaimPath::parse("scope").expect("it is a name"),
            types: TokenType::EACH.to_vec(),
            authorized_parties: Vec::new(),
            required_claims: Vec::new(),
            token_bytes_max: 16 * 1024,
            lifetime_max: Some(Duration::from_secs(24 * 60 * 60)),
        }
    }
}

/// A claim that a token must have, and its values, any of which suffices; without any it may have every value.
#[derive(Clone, Debug, PartialEq)]
pub struct RequiredClaim {
    pub path: ClaimPath,
    pub values: Vec<Value>,
}

/// Verifies the tokens of one issuer by the keys of its ring.
#[derive(Clone, Debug)]
pub struct Verifier {
    pub rules: Rules,
    pub ring: Arc<KeyRing>,
    /// Tokens whose signatures were checked; clones share them.
    signed_before: Arc<Recent<Known>>,
}

/// A token whose signature was found good.
#[derive(Clone, Debug)]
struct Known {
    claims: Arc<Value>,
    key_id: Option<String>,
    /// By which of the ring's sets: with another the signature may no longer be good.
    generation: u64,
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
    /// The time to the token's own end, from which nothing may keep it.
    pub(super) token_left: Duration,
    pub voucher: Voucher,
}

/// Who says that a token is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// A key of the issuer, by its `kid` if it has one.
    Key(Option<String>),
    /// The introspection endpoint.
    Endpoint,
}

impl Identity {
    /// Whose word it is; two issuers may call two people by one name.
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }
}

impl Verifier {
    pub fn new(rules: Rules, ring: Arc<KeyRing>) -> Self {
        Self { rules, ring, signed_before: Arc::default() }
    }

    /// Says who the bearer of a token is.
    ///
    /// Shape: size, parts, header, key, signature, claims, in this order; nothing that a claim says is
    /// looked at before the signature is known to be the issuer's.
    /// Errors: `Rejected`; ask `wants_fresh_keys` whether to fetch the key set and try once more.
    /// Source: RFC 7515 section 5.2, RFC 7519 section 7.2, RFC 8725, RFC 9068 section 4.
    pub fn verify(
        &self,
        token: &BearerToken,
        certificate: Option<&PeerCertificate>,
        now: SystemTime,
    ) -> Result<Identity, Rejected> {
        let Signed { payload, key_id, generation } = self.signed(token)?;
        let claims = json::read_object(&payload, VALUES_MAX).ok_or(Rejected::MalformedClaims)?;
        let known = Known { claims: Arc::new(Value::Object(claims)), key_id, generation };
        let voucher = Voucher::Key(known.key_id.clone());
        let identity = self.rules.identity(&known.claims, voucher, certificate, now)?;
        let until = now + identity.token_left;
        self.signed_before.put(TokenDigest::of(token), known, token.expose().len(), until);
        Ok(identity)
    }

    /// As [`Verifier::verify`], for a token whose signature was found good by the same keys; none for others.
    ///
    /// Shape: everything but the signature is looked at anew.
    pub fn recall(
        &self,
        token: &BearerToken,
        certificate: Option<&PeerCertificate>,
        now: SystemTime,
    ) -> Option<Result<Identity, Rejected>> {
        let digest = TokenDigest::of(token);
        let known = self.signed_before.get(&digest, now)?;
        if self.ring.current().is_none_or(|(_, generation)| generation != known.generation) {
            self.signed_before.remove(&digest);
            return None;
        }
        Some(self.rules.identity(&known.claims, Voucher::Key(known.key_id), certificate, now))
    }

    /// The payload of a token whose signature is that of the issuer's key.
    pub(super) fn signed(&self, token: &BearerToken) -> Result<Signed, Rejected> {
        let Parts { message, header, payload, signature } = Parts::of(token, self.rules.token_bytes_max)?;
        if header.len() > HEADER_BASE64_BYTES_MAX {
            return Err(Rejected::MalformedHeader);
        }
        let header = Header::parse(&decoded(header)?)?;
        // The check decodes it again; here a token that is none is told from one that is forged.
        decoded(signature)?;
        if !self.rules.types.contains(&header.kind) {
            return Err(Rejected::Type);
        }
        let (keys, generation) = self.ring.current().ok_or(Rejected::NoKeys)?;
        let key = keys
            .key_for(header.key_id.as_deref(), header.algorithm)
            .map_err(|why| Rejected::without_key(why, header.algorithm))?;
        if !key.verifies(header.algorithm, message.as_bytes(), signature) {
            return Err(Rejected::BadSignature);
        }
        Ok(Signed { payload: decoded(payload)?, key_id: key.id().map(str::to_owned), generation })
    }
}

impl Rules {
    /// Who somebody is for whose claims somebody else vouches.
    pub(super) fn identity(
        &self,
        claims: &Arc<Value>,
        voucher: Voucher,
        certificate: Option<&PeerCertificate>,
        now: SystemTime,
    ) -> Result<Identity, Rejected> {
        let object = claims.as_object().ok_or(Rejected::MalformedClaims)?;
        check_confirmation(object, certificate)?;
        let token_left = self.check_times(object, &voucher, now)?;
        self.check_issuer(object)?;
        self.check_audience(object)?;
        self.check_scope(object)?;
        self.check_party(object)?;
        self.check_required(object)?;
        let principal = self.principal(object)?;
        let longest = self.session_lifetime_max.unwrap_or(token_left);
        let lifetime = token_left.min(longest).max(SESSION_LIFETIME_MIN);
        let claims = claims.clone();
        Ok(Identity { principal, claims, expires_at: now + lifetime, lifetime, token_left, voucher })
    }

    /// How long the token may still be used.
    ///
    /// Shape: an endpoint may leave `exp` out (RFC 7662 section 2.2); then only the file can say when the
    /// session ends and the endpoint is asked again.
    fn check_times(&self, claims: &Object, voucher: &Voucher, now: SystemTime) -> Result<Duration, Rejected> {
        let now = now.duration_since(UNIX_EPOCH).map_err(|_| Rejected::ClockUnset)?;
        let skew = self.clock_skew.min(CLOCK_SKEW_MAX);
        let expiry = date(claims, "exp")?;
        let (not_before, issued) = (date(claims, "nbf")?, date(claims, "iat")?);
        let left = match (expiry, voucher, self.session_lifetime_max) {
            (Some(expiry), ..) => {
                // Inside the skew after its expiry a token still logs in, for what is left of the skew.
                let until = if now < expiry { expiry } else { expiry + skew };
                until.checked_sub(now).filter(|left| !left.is_zero()).ok_or(Rejected::Expired)?
            }
            (None, Voucher::Endpoint, Some(longest)) => longest,
            (None, ..) => return Err(Rejected::ExpiryMissing),
        };
        if not_before.is_some_and(|not_before| not_before > now + skew) {
            return Err(Rejected::NotYetValid);
        }
        if issued.is_some_and(|issued| issued > now + skew) {
            return Err(Rejected::IssuedInFuture);
        }
        if let (Some(expiry), Some(max)) = (expiry, self.lifetime_max)
            && expiry.saturating_sub(issued.unwrap_or(now)) > max
        {
            return Err(Rejected::LifetimeTooLong { seconds_max: max.as_secs() });
        }
        Ok(left)
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
        match self.scope_claim.find(claims) {
            Some(scope) if texts(scope).is_none() => {
                Err(Rejected::ScopeUnusable { claim: self.scope_claim.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// The client to which the token was issued; where it says so twice, both must be named.
    fn check_party(&self, claims: &Object) -> Result<(), Rejected> {
        if self.authorized_parties.is_empty() {
            return Ok(());
        }
        let mut said = false;
        for name in ["azp", "client_id"] {
            match claims.get(name) {
                None => {}
                Some(Value::String(party)) if self.authorized_parties.contains(party) => said = true,
                Some(Value::String(_)) => return Err(Rejected::PartyMismatch),
                Some(_) => return Err(Rejected::WrongTypeOfClaim(name)),
            }
        }
        if said { Ok(()) } else { Err(Rejected::PartyMissing) }
    }

    /// A claim has a value when it is it, or is a list that holds it.
    fn check_required(&self, claims: &Object) -> Result<(), Rejected> {
        for RequiredClaim { path, values } in &self.required_claims {
            let claim = || path.to_string();
            let found = path.find(claims).ok_or_else(|| Rejected::ClaimMissing { claim: claim() })?;
            let is_one = match found {
                Value::Array(list) => list.iter().any(|item| values.contains(item)),
                value => values.contains(value),
            };
            if !values.is_empty() && !is_one {
                return Err(Rejected::ClaimMismatch { claim: claim() });
            }
        }
        Ok(())
    }

    pub(super) fn principal(&self, claims: &Object) -> Result<Principal, Rejected> {
        let claim = &self.principal_claim;
        let name =
            claim.find(claims).ok_or_else(|| Rejected::PrincipalMissing { claim: claim.to_string() })?;
        match name {
            // Neither trimmed nor coerced: two tokens must not become one principal.
            Value::String(name)
                if (1..=PRINCIPAL_BYTES_MAX).contains(&name.len()) && !name.contains(char::is_control) =>
            {
                Ok(Principal::new(name.as_str()))
            }
            _ => {
                Err(Rejected::PrincipalUnusable { claim: claim.to_string(), bytes_max: PRINCIPAL_BYTES_MAX })
            }
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
            .field("voucher", &self.voucher)
            .finish()
    }
}

/// What an issuer's key has signed, not yet looked at.
pub(super) struct Signed {
    pub payload: Vec<u8>,
    pub key_id: Option<String>,
    generation: u64,
}

/// A token in compact form, taken apart and not yet decoded.
pub(super) struct Parts<'t> {
    /// What the signature is over: header and payload, as they came.
    message: &'t str,
    pub header: &'t str,
    pub payload: &'t str,
    signature: &'t str,
}

impl<'t> Parts<'t> {
    pub fn of(token: &'t BearerToken, bytes_max: usize) -> Result<Self, Rejected> {
        let token = token.expose();
        let bytes_max = bytes_max.min(TOKEN_BYTES_MAX);
        if token.len() > bytes_max {
            return Err(Rejected::TooLong { bytes_max });
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Rejected::NotAJwt)?;
        let (header, payload) = message.split_once('.').ok_or(Rejected::NotAJwt)?;
        if payload.contains('.') {
            return Err(Rejected::NotAJwt);
        }
        Ok(Self { message, header, payload, signature })
    }
}

/// One part of a token: no padding, no white space, no bit beyond the last byte.
pub(super) fn decoded(part: &str) -> Result<Vec<u8>, Rejected> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejected::NotAJwt)
}

/// A `NumericDate`, rounded down to the second.
///
/// Limits: from 0 to below 2^53, where neighbouring seconds can still be told apart in any JSON.
/// Source: RFC 7519 section 2.
pub(super) fn date(claims: &Object, claim: &'static str) -> Result<Option<Duration>, Rejected> {
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

/// Verifies whatever it is given by keys for whose signatures it can not hope.
#[doc(hidden)]
pub fn fuzz_verify(token: &[u8]) {
    static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
        let ring = KeyRing::empty();
        // The public key of RFC 8037, appendix A.
        let keys =
            br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        if let Ok((keys, _)) = KeySet::from_jwks(keys) {
            ring.replace(keys, UNIX_EPOCH);
        }
        Verifier::new(Rules::default(), Arc::new(ring))
    });
    if let Ok(token) = std::str::from_utf8(token) {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        assert!(VERIFIER.verify(&BearerToken::new(token), None, now).is_err(), "nobody signed this");
    }
}

/// 4 KiB of header; a chain of certificates in `x5c` fits.
const HEADER_BASE64_BYTES_MAX: usize = (4_usize * 1024 * 4).div_ceil(3);
/// Whatever the configuration allows.
pub(super) const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// More values than a token of that size needs, few enough to hold.
pub(super) const VALUES_MAX: usize = 10_000;
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);
pub(super) const SECONDS_END: u64 = 1 << 53;
const PRINCIPAL_BYTES_MAX: usize = 256;
const SESSION_LIFETIME_MIN: Duration = Duration::from_millis(1);
