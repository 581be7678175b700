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
const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// More values than a token of that size needs, few enough to hold.
pub(super) const VALUES_MAX: usize = 10_000;
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);
const SECONDS_END: u64 = 1 << 53;
const PRINCIPAL_BYTES_MAX: usize = 256;
const SESSION_LIFETIME_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::super::Algorithm;
    use super::super::minting::{ISSUER, Issuer, NOW_SECONDS, Noise, at, b64, claims, ring, rules};
    use super::*;
    use serde_json::json;

    /// What the verifier says now about a token with some of the good claims exchanged.
    fn verdict(rules: &Rules, exchanged: Value) -> Result<Identity, Rejected> {
        let token = ISSUER.token(Algorithm::EdDsa, &claims(exchanged));
        ISSUER.verifier(rules.clone()).verify(&token, None, at(NOW_SECONDS))
    }

    fn check(exchanged: Value, expected: Result<(), &str>) {
        let verdict = verdict(&rules(), exchanged.clone());
        assert_eq!(verdict.as_ref().map(|_| ()).map_err(Rejected::label), expected, "{exchanged}");
    }

    /// What the verifier says about a token with this header, rightly signed.
    fn check_header(header: &str, expected: Result<(), &str>) {
        let token = ISSUER.token_of(header, &claims(json!({})).to_string());
        let verdict = ISSUER.verifier(rules()).verify(&token, None, at(NOW_SECONDS));
        assert_eq!(verdict.as_ref().map(|_| ()).map_err(Rejected::label), expected, "{header}");
    }

    /// What the verifier says about this text in the place of a token.
    fn check_text(token: &str, expected: Result<(), &str>) {
        let verdict = ISSUER.verifier(rules()).verify(&BearerToken::new(token), None, at(NOW_SECONDS));
        assert_eq!(verdict.as_ref().map(|_| ()).map_err(Rejected::label), expected, "{token}");
    }

    #[test]
    fn a_good_token_of_every_algorithm_becomes_an_identity() {
        let verifier = ISSUER.verifier(rules());
        for algorithm in Algorithm::ALL {
            let token = ISSUER.token(algorithm, &claims(json!({})));
            let identity = verifier.verify(&token, None, at(NOW_SECONDS)).unwrap();
            assert_eq!(identity.principal.name(), "alice", "{algorithm:?}");
            assert_eq!(identity.lifetime, Duration::from_secs(300));
            assert_eq!(identity.expires_at, at(NOW_SECONDS + 300));
            assert_eq!(identity.claims["scope"], "a b");
            assert_eq!(identity.voucher, Voucher::Key(Some(Issuer::key_id(algorithm).to_owned())));
        }
    }

    // The gaps of jsonwebtoken 11.1, each with its test: this room lets that crate check signatures and
    // does without its decoder and its validation; whoever brings those in will be told.

    #[test]
    fn jsonwebtoken_gap_a_missing_or_odd_iss_passes() {
        check(json!({"iss": null}), Err("issuer_missing"));
        check(json!({"iss": {"a": 1}}), Err("wrong_type_of_claim"));
        check(json!({"iss": 1}), Err("wrong_type_of_claim"));
        let payload = claims(json!({})).to_string().replace("\"https://idp.example\"", "null");
        let token = ISSUER.token_of(r#"{"alg":"EdDSA","kid":"ed"}"#, &payload);
        check_text(token.expose(), Err("wrong_type_of_claim"));
    }

    #[test]
    fn jsonwebtoken_gap_a_missing_or_odd_aud_passes() {
        check(json!({"aud": null}), Err("audience_missing"));
        for odd in [json!(1), json!({"kafka": 1}), json!(true), json!(["kafka", 1]), json!([["kafka"]])] {
            check(json!({"aud": odd}), Err("wrong_type_of_claim"));
        }
        check(json!({"aud": []}), Err("audience_mismatch"));
    }

    #[test]
    fn jsonwebtoken_gap_an_aud_that_nobody_asked_about_refuses_the_token() {
        let unchecked = Rules { audiences: Vec::new(), ..rules() };
        assert!(verdict(&unchecked, json!({"aud": "anybody"})).is_ok());
        assert!(verdict(&unchecked, json!({"aud": null})).is_ok());
    }

    #[test]
    fn jsonwebtoken_gap_any_of_a_list_of_issuers_passes() {
        check(json!({"iss": ["https://evil.example", "https://idp.example"]}), Err("wrong_type_of_claim"));
        check(json!({"iss": ["https://idp.example"]}), Err("wrong_type_of_claim"));
    }

    #[test]
    fn jsonwebtoken_gap_the_leeway_is_a_minute_and_nbf_and_iat_are_not_looked_at() {
        check(json!({"exp": NOW_SECONDS - 30}), Err("expired"));
        check(json!({"nbf": NOW_SECONDS + 30}), Err("not_yet_valid"));
        check(json!({"iat": NOW_SECONDS + 30}), Err("issued_in_future"));
    }

    #[test]
    fn jsonwebtoken_gap_crit_and_typ_are_not_looked_at() {
        for crit in [r#"["b64"]"#, r#"["exp"]"#, "[]", "null", "1"] {
            check_header(&format!(r#"{{"alg":"EdDSA","kid":"ed","crit":{crit}}}"#), Err("critical_header"));
        }
        for typ in ["dpop+jwt", "logout+jwt", "secevent+jwt", "id_token", "", "JWT ", "application/jwe"] {
            check_header(&format!(r#"{{"alg":"EdDSA","kid":"ed","typ":"{typ}"}}"#), Err("type"));
        }
        for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"] {
            check_header(&format!(r#"{{"alg":"EdDSA","kid":"ed","typ":"{typ}"}}"#), Ok(()));
        }
        check_header(r#"{"alg":"EdDSA","kid":"ed","typ":1}"#, Err("malformed_header"));
    }

    #[test]
    fn jsonwebtoken_gap_exp_as_text_is_a_wrong_type_and_a_fraction_is_rounded_down() {
        check(json!({"exp": (NOW_SECONDS + 300).to_string()}), Err("wrong_type_of_claim"));
        let identity = verdict(&rules(), json!({"exp": NOW_SECONDS as f64 + 20.9})).unwrap();
        assert_eq!(identity.lifetime, Duration::from_secs(20));
    }

    #[test]
    fn jsonwebtoken_gap_only_some_repeated_claims_are_noticed() {
        let claims = claims(json!({})).to_string();
        for repeated in [r#""iss":"https://idp.example""#, r#""sub":"bob""#, r#""x":{"y":1,"y":1}"#] {
            let payload = format!("{{{repeated},{}", &claims[1..]);
            let token = ISSUER.token_of(r#"{"alg":"EdDSA","kid":"ed"}"#, &payload);
            let single = payload.contains(r#""x":"#).then(|| payload.replace(r#","y":1}"#, "}"));
            check_text(token.expose(), Err("malformed_claims"));
            if let Some(single) = single {
                check_text(ISSUER.token_of(r#"{"alg":"EdDSA","kid":"ed"}"#, &single).expose(), Ok(()));
            }
        }
        check_header(r#"{"alg":"none","alg":"EdDSA","kid":"ed"}"#, Err("malformed_header"));
    }

    #[test]
    fn jsonwebtoken_gap_algorithms_of_two_families_can_not_be_allowed_together() {
        // One verifier, one ring: the key that the header names decides.
        let verifier = ISSUER.verifier(rules());
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            let token = ISSUER.token(algorithm, &claims(json!({})));
            assert!(verifier.verify(&token, None, at(NOW_SECONDS)).is_ok(), "{algorithm:?}");
        }
    }

    #[test]
    fn jsonwebtoken_gap_an_unsupported_alg_is_not_told_from_a_broken_header() {
        for name in
            ["none", "None", "HS256", "HS512", "ES512", "ES256K", "Ed25519", "Ed448", "RSA1_5", "rs256", ""]
        {
            check_header(&format!(r#"{{"alg":"{name}","kid":"ed"}}"#), Err("unsupported_algorithm"));
        }
        check_header(r#"{"kid":"ed"}"#, Err("malformed_header"));
        check_header(r#"{"alg":["EdDSA"],"kid":"ed"}"#, Err("malformed_header"));
    }

    #[test]
    fn jsonwebtoken_gap_a_header_with_a_member_that_is_no_text_is_refused() {
        check_header(r#"{"alg":"EdDSA","kid":"ed","x5c":["a"],"n":1,"o":{"p":null}}"#, Ok(()));
    }

    #[test]
    fn jsonwebtoken_gap_a_leeway_larger_than_the_time_underflows() {
        let rules = Rules { clock_skew: Duration::MAX, lifetime_max: None, issuer: None, ..rules() };
        let token = |exp: u64| ISSUER.token(Algorithm::EdDsa, &claims(json!({"exp": exp, "iat": null})));
        let verifier = ISSUER.verifier(rules);
        assert!(verifier.verify(&token(10), None, at(0)).is_ok());
        // More than five minutes of skew count as five.
        assert!(verifier.verify(&token(10), None, at(309)).is_ok());
        assert_eq!(verifier.verify(&token(10), None, at(310)).unwrap_err(), Rejected::Expired);
    }

    #[test]
    fn j_07_jsonwebtoken_gap_a_token_of_any_length_is_decoded() {
        let long = ISSUER.token(Algorithm::EdDsa, &claims(json!({"x": "x".repeat(16 * 1024)})));
        check_text(long.expose(), Err("too_long"));
        let generous = Rules { token_bytes_max: usize::MAX, ..rules() };
        let verifier = ISSUER.verifier(generous);
        assert!(verifier.verify(&long, None, at(NOW_SECONDS)).is_ok());
        let longer = BearerToken::new("x".repeat(TOKEN_BYTES_MAX + 1));
        assert!(matches!(verifier.verify(&longer, None, at(NOW_SECONDS)), Err(Rejected::TooLong { .. })));
    }

    #[test]
    fn jsonwebtoken_gap_enormous_dates_pass() {
        let rules = Rules { lifetime_max: None, ..rules() };
        assert!(verdict(&rules, json!({"exp": SECONDS_END - 1})).is_ok());
        for exp in [json!(SECONDS_END), json!(1e18), json!(u64::MAX), json!(-1), json!(-0.5), json!(true)] {
            let verdict = verdict(&rules, json!({"exp": exp}));
            assert_eq!(verdict.unwrap_err(), Rejected::WrongTypeOfClaim("exp"), "{exp}");
        }
    }

    #[test]
    fn j_05_j_06_s_20_a_token_is_three_parts_of_strict_base64url() {
        let token = ISSUER.token(Algorithm::EdDsa, &claims(json!({})));
        let good = token.expose();
        let parts: Vec<&str> = good.split('.').collect();
        check_text(good, Ok(()));
        check_text("..", Err("malformed_header"));
        for bad in ["", ".", "...", "a", "opaque-token", "{\"payload\":\"\"}"] {
            check_text(bad, Err("not_a_jwt"));
        }
        check_text(&format!("{}.{}", parts[0], parts[1]), Err("not_a_jwt"));
        check_text(&format!("{good}."), Err("not_a_jwt"));
        check_text(&format!("{good}.a.b"), Err("not_a_jwt"));
        check_text(&format!("{good}="), Err("not_a_jwt"));
        check_text(&format!("{good}\n"), Err("not_a_jwt"));
        check_text(&format!(" {good}"), Err("not_a_jwt"));
        check_text(&format!("{}.{}.", parts[0], parts[1]), Err("bad_signature"));
    }

    #[test]
    fn bits_beyond_the_last_byte_are_refused_even_when_they_are_signed() {
        // 64 bytes of signature leave four bits, of which the sender could make anything.
        let token = ISSUER.token(Algorithm::EdDsa, &claims(json!({})));
        let good = token.expose();
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = alphabet.iter().position(|byte| *byte == good.as_bytes()[good.len() - 1]).unwrap();
        let other = alphabet[last + 1] as char;
        check_text(&format!("{}{other}", &good[..good.len() - 1]), Err("not_a_jwt"));

        let payload = b64(claims(json!({"pad": "x"})).to_string());
        for tail in ["=", "==", "\n", "A"] {
            let message = format!("{}.{payload}{tail}", b64(r#"{"alg":"EdDSA","kid":"ed"}"#));
            let signature = b64(ISSUER.signature(Algorithm::EdDsa, message.as_bytes()));
            let verifier = ISSUER.verifier(rules());
            let verdict =
                verifier.verify(&BearerToken::new(format!("{message}.{signature}")), None, at(NOW_SECONDS));
            assert!(verdict.is_err(), "{tail:?}");
        }
    }

    #[test]
    fn j_03_j_04_s_24_a_header_that_speaks_for_the_sender_or_of_encryption_is_refused() {
        for member in FORBIDDEN_IN_TESTS {
            let header = format!(r#"{{"alg":"EdDSA","kid":"ed","{member}":"x"}}"#);
            check_header(&header, Err("forbidden_header"));
        }
        check_header(r#"{"alg":"EdDSA","kid":"ed","cty":"JWT"}"#, Err("forbidden_header"));
        check_header(r#"{"alg":"EdDSA","kid":"ed","cty":"json"}"#, Ok(()));
        check_header(r#"{"alg":"EdDSA","kid":"ed","cty":1}"#, Err("malformed_header"));
        check_header(r#"{"alg":"EdDSA","kid":null}"#, Ok(()));
        for kid in ["1", r#""""#, r#""a\nb""#, r#""é""#, &format!("\"{}\"", "k".repeat(257))] {
            check_header(&format!(r#"{{"alg":"EdDSA","kid":{kid}}}"#), Err("malformed_header"));
        }
        let long = |bytes: usize| format!(r#"{{"alg":"EdDSA","kid":"ed","x":"{}"}}"#, "x".repeat(bytes));
        check_header(&long(4096 - 33), Ok(()));
        check_header(&long(4096 - 32), Err("malformed_header"));
        check_header("[]", Err("malformed_header"));
        check_header("\u{feff}{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", Err("malformed_header"));
    }

    const FORBIDDEN_IN_TESTS: [&str; 8] = ["jwk", "jku", "x5u", "b64", "zip", "enc", "epk", "p2c"];

    #[test]
    fn j_02_the_key_decides_and_the_header_can_only_agree() {
        let claims = claims(json!({})).to_string();
        for (header, expected) in [
            (r#"{"alg":"RS256","kid":"ed"}"#, "wrong_key_for_algorithm"),
            (r#"{"alg":"ES256","kid":"p384"}"#, "wrong_key_for_algorithm"),
            (r#"{"alg":"ES384","kid":"p256"}"#, "wrong_key_for_algorithm"),
            (r#"{"alg":"EdDSA","kid":"nobody"}"#, "unknown_key"),
            (r#"{"alg":"PS256","kid":"rsa"}"#, "bad_signature"),
        ] {
            check_text(ISSUER.token_of(header, &claims).expose(), Err(expected));
        }
        // No id: exactly one key of the set is for EdDSA.
        check_header(r#"{"alg":"EdDSA"}"#, Ok(()));
    }

    #[test]
    fn j_18_s_22_an_ecdsa_signature_is_two_numbers_of_fixed_width_within_the_order() {
        let message =
            format!("{}.{}", b64(r#"{"alg":"ES256","kid":"p256"}"#), b64(claims(json!({})).to_string()));
        let raw = ISSUER.signature(Algorithm::Es256, message.as_bytes());
        let (r, s) = raw.split_at(32);
        let int = |number: &[u8]| [&[2, 33, 0], number].concat();
        let der = [vec![0x30, 70], int(r), int(s)].concat();
        let zero_r = [&[0; 32], s].concat();
        let zero_s = [r, &[0; 32]].concat();
        for signature in
            [der, vec![0; 64], zero_r, zero_s, raw[..63].to_vec(), [raw.clone(), vec![0]].concat()]
        {
            check_text(&format!("{message}.{}", b64(signature)), Err("bad_signature"));
        }
        check_text(&format!("{message}.{}", b64(raw)), Ok(()));
    }

    #[test]
    fn a_changed_token_is_refused_wherever_it_is_changed() {
        let verifier = ISSUER.verifier(rules());
        let mut noise = Noise::new();
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256] {
            let token = ISSUER.token(algorithm, &claims(json!({})));
            for _ in 0..500 {
                let Ok(changed) = String::from_utf8(noise.mutated(token.expose().as_bytes())) else {
                    continue;
                };
                if changed != token.expose() {
                    assert!(verifier.verify(&BearerToken::new(changed), None, at(NOW_SECONDS)).is_err());
                }
            }
        }
    }

    #[test]
    fn j_08_s_23_dates_are_numbers_and_every_boundary_has_a_side() {
        let now = NOW_SECONDS;
        check(json!({"exp": null}), Err("expiry_missing"));
        check(json!({"exp": now - 9}), Ok(()));
        check(json!({"exp": now - 10}), Err("expired"));
        check(json!({"nbf": now + 10}), Ok(()));
        check(json!({"nbf": now + 11}), Err("not_yet_valid"));
        check(json!({"iat": now + 10}), Ok(()));
        check(json!({"iat": now + 11}), Err("issued_in_future"));
        for claim in ["exp", "nbf", "iat"] {
            for odd in [json!("1"), json!([1]), json!({}), json!(true), json!(-1)] {
                check(json!({claim: odd}), Err("wrong_type_of_claim"));
            }
        }
        let day = 24 * 60 * 60;
        check(json!({"iat": now, "exp": now + day}), Ok(()));
        check(json!({"iat": now, "exp": now + day + 1}), Err("lifetime_too_long"));
        check(json!({"iat": null, "exp": now + day + 1}), Err("lifetime_too_long"));
        let before_1970 = UNIX_EPOCH - Duration::from_secs(1);
        let token = ISSUER.token(Algorithm::EdDsa, &claims(json!({})));
        let verdict = ISSUER.verifier(rules()).verify(&token, None, before_1970);
        assert_eq!(verdict.unwrap_err(), Rejected::ClockUnset);
    }

    #[test]
    fn j_09_a_session_ends_with_the_token_or_sooner_and_is_never_endless() {
        let lifetime = |max: Option<u64>, exp: Value| {
            let rules = Rules { session_lifetime_max: max.map(Duration::from_secs), ..rules() };
            let identity = verdict(&rules, json!({"exp": exp})).unwrap();
            assert_eq!(identity.expires_at, at(NOW_SECONDS) + identity.lifetime);
            identity.lifetime.as_millis()
        };
        assert_eq!(lifetime(None, json!(NOW_SECONDS + 300)), 300_000);
        assert_eq!(lifetime(Some(60), json!(NOW_SECONDS + 300)), 60_000);
        assert_eq!(lifetime(Some(600), json!(NOW_SECONDS + 300)), 300_000);
        assert_eq!(lifetime(Some(0), json!(NOW_SECONDS + 300)), 1);
        assert_eq!(lifetime(None, json!(NOW_SECONDS + 1)), 1_000);
        // Already expired, but within the skew: what is left of the skew.
        assert_eq!(lifetime(None, json!(NOW_SECONDS)), 10_000);
        assert_eq!(lifetime(None, json!(NOW_SECONDS - 9)), 1_000);
        let late = ISSUER.token(Algorithm::EdDsa, &claims(json!({"exp": NOW_SECONDS})));
        let almost = at(NOW_SECONDS) - Duration::from_nanos(1);
        let identity = ISSUER.verifier(rules()).verify(&late, None, almost).unwrap();
        assert_eq!(identity.lifetime, Duration::from_millis(1));
    }

    #[test]
    fn j_10_j_11_s_23_issuer_and_audience_are_compared_to_the_letter() {
        for iss in ["https://idp.example/", "HTTPS://idp.example", "https://idp.example ", ""] {
            check(json!({"iss": iss}), Err("issuer_mismatch"));
        }
        for aud in [json!("kafka"), json!(["x", "kafka"]), json!(["http://kafka.dev"])] {
            check(json!({"aud": aud}), Ok(()));
        }
        for aud in [json!("Kafka"), json!("kafka-2"), json!(["*"]), json!("")] {
            check(json!({"aud": aud}), Err("audience_mismatch"));
        }
        let unchecked = Rules::default();
        assert!(verdict(&unchecked, json!({"iss": null, "aud": null})).is_ok());
        assert!(verdict(&unchecked, json!({"iss": 1})).is_err());
        assert!(verdict(&unchecked, json!({"aud": 1})).is_err());
    }

    #[test]
    fn j_12_the_principal_is_text_as_it_stands() {
        check(json!({"sub": null}), Err("principal_missing"));
        let long = "a".repeat(257);
        for sub in
            [json!(1), json!(["alice"]), json!({}), json!(""), json!("a\nb"), json!("a\u{7f}"), json!(long)]
        {
            check(json!({"sub": sub}), Err("principal_unusable"));
        }
        for sub in ["a".repeat(256), " alice ".to_owned(), "Zoë".to_owned()] {
            assert_eq!(verdict(&rules(), json!({"sub": sub})).unwrap().principal.name(), sub);
        }
        let mapped = Rules { principal_claim: ClaimPath::parse("client_id").unwrap(), ..rules() };
        let identity = verdict(&mapped, json!({"client_id": "reader-app"})).unwrap();
        assert_eq!(identity.principal.name(), "reader-app");
        assert_eq!(verdict(&mapped, json!({})).unwrap_err().label(), "principal_missing");
    }

    #[test]
    fn scopes_are_text_or_a_list_of_texts_or_absent() {
        for scope in [json!("a b"), json!(["a", "b"]), json!(""), json!(null)] {
            check(json!({"scope": scope}), Ok(()));
        }
        for scope in [json!(1), json!({"a": 1}), json!(["a", 1])] {
            check(json!({"scope": scope}), Err("scope_unusable"));
        }
    }

    #[test]
    fn a_token_that_is_bound_to_its_sender_is_no_bearer_token() {
        for cnf in [json!({"jkt": "x"}), json!({})] {
            check(json!({"cnf": cnf}), Err("sender_constrained"));
        }
        check(json!({"cnf": {"x5t#S256": b64([0; 32])}}), Err("certificate_missing"));
    }

    #[test]
    fn s_32_a_claim_may_stand_inside_others() {
        let path = |text| ClaimPath::parse(text).unwrap();
        let rules = Rules { principal_claim: path("person.name"), scope_claim: path("['x.y']"), ..rules() };
        let identity = verdict(&rules, json!({"person": {"name": "zoe"}, "x.y": "a b"})).unwrap();
        assert_eq!(identity.principal.name(), "zoe");
        for (claims, expected) in [
            (json!({"person": {"name": 5}}), "principal_unusable"),
            (json!({"person": ["name"]}), "principal_missing"),
            (json!({"person": {"name": "zoe"}, "x.y": 5}), "scope_unusable"),
        ] {
            assert_eq!(verdict(&rules, claims).unwrap_err().label(), expected);
        }
    }

    #[test]
    fn required_claims_must_be_there_with_one_of_their_values() {
        let required = |path: &str, values: Value| RequiredClaim {
            path: ClaimPath::parse(path).unwrap(),
            values: values.as_array().unwrap().clone(),
        };
        let rules = Rules {
            required_claims: vec![
                required("realm_access.roles", json!(["kafka", "ops"])),
                required("email_verified", json!([true])),
                required("tenant", json!([])),
            ],
            ..rules()
        };
        let good = json!({"realm_access": {"roles": ["x", "ops"]}, "email_verified": true, "tenant": 0});
        assert!(verdict(&rules, good.clone()).is_ok());
        for (name, value, expected) in [
            ("realm_access", json!({"roles": ["x", ["ops"]]}), "claim_mismatch"),
            ("realm_access", json!({"roles": "ops"}), ""),
            ("realm_access", json!({"roles": []}), "claim_mismatch"),
            ("realm_access", json!({"roles": "opsx"}), "claim_mismatch"),
            ("realm_access", json!({}), "claim_missing"),
            ("realm_access", json!("ops"), "claim_missing"),
            ("email_verified", json!("true"), "claim_mismatch"),
            ("email_verified", json!(1), "claim_mismatch"),
            ("tenant", json!(null), "claim_missing"),
        ] {
            let mut claims = good.clone();
            claims[name] = value.clone();
            let label = verdict(&rules, claims).map_or_else(|why| why.label(), |_| "");
            assert_eq!(label, expected, "{name} {value}");
        }
    }

    #[test]
    fn only_tokens_of_authorized_parties_are_taken() {
        let rules = Rules { authorized_parties: vec!["app".to_owned(), "other".to_owned()], ..rules() };
        for (claims, expected) in [
            (json!({"azp": "app", "client_id": null}), ""),
            (json!({"azp": null, "client_id": "other"}), ""),
            (json!({"azp": "app", "client_id": "other"}), ""),
            (json!({"azp": "app", "client_id": "stranger"}), "party_mismatch"),
            (json!({"azp": "App", "client_id": null}), "party_mismatch"),
            (json!({"azp": ["app"], "client_id": null}), "wrong_type_of_claim"),
            (json!({"azp": null, "client_id": null}), "party_missing"),
        ] {
            let label = verdict(&rules, claims.clone()).map_or_else(|why| why.label(), |_| "");
            assert_eq!(label, expected, "{claims}");
        }
    }

    #[test]
    fn j_14_s_26_the_types_that_are_taken_are_those_of_the_file() {
        let text = claims(json!({})).to_string();
        let check = |types: &[TokenType], typ: &str, expected: bool| {
            let header = format!(r#"{{"alg":"EdDSA","kid":"ed"{typ}}}"#);
            let verifier = ISSUER.verifier(Rules { types: types.to_vec(), ..rules() });
            let verdict = verifier.verify(&ISSUER.token_of(&header, &text), None, at(NOW_SECONDS));
            assert_eq!(verdict.map_or_else(|why| why == Rejected::Type, |_| false), !expected, "{typ}");
        };
        let strict = [TokenType::AccessToken];
        for (typ, default, strictly) in [
            ("", true, false),
            (r#","typ":"JWT""#, true, false),
            (r#","typ":"at+jwt""#, true, true),
            (r#","typ":"application/at+JWT""#, true, true),
            (r#","typ":"dpop+jwt""#, false, false),
            (r#","typ":"logout+jwt""#, false, false),
            (r#","typ":"secevent+jwt""#, false, false),
        ] {
            check(&TokenType::EACH, typ, default);
            check(&strict, typ, strictly);
        }
    }

    #[test]
    fn j_19_a_token_is_remembered_until_its_key_is_gone_or_its_time_is_over() {
        let verifier = ISSUER.verifier(rules());
        let token = ISSUER.token(Algorithm::Es256, &claims(json!({"exp": NOW_SECONDS + 100})));
        let now = at(NOW_SECONDS);
        assert!(verifier.recall(&token, None, now).is_none(), "nobody has verified it yet");
        let first = verifier.verify(&token, None, now).unwrap();
        let later = now + Duration::from_secs(30);
        let again = verifier.recall(&token, None, later).unwrap().unwrap();
        assert_eq!((again.principal, again.lifetime), (first.principal, Duration::from_secs(70)));
        let after_the_end = now + Duration::from_secs(100);
        assert!(!matches!(verifier.recall(&token, None, after_the_end), Some(Ok(_))));
        // The same keys fetched again are the same keys.
        let keys = || KeySet::from_jwks(ISSUER.jwks().to_string().as_bytes()).unwrap().0;
        verifier.ring.replace(keys(), later);
        verifier.ring.confirm(later);
        assert!(matches!(verifier.recall(&token, None, later), Some(Ok(_))));
        let without = json!({"keys": [ISSUER.rsa_jwk()]}).to_string();
        verifier.ring.replace(KeySet::from_jwks(without.as_bytes()).unwrap().0, later);
        assert!(verifier.recall(&token, None, later).is_none());
        verifier.ring.replace(keys(), later);
        assert!(verifier.recall(&token, None, later).is_none(), "it is verified anew");
        assert!(verifier.verify(&token, None, later).is_ok());
        verifier.ring.clear();
        assert!(verifier.recall(&token, None, later).is_none());
    }

    #[test]
    fn a_refused_token_is_not_remembered_and_a_bound_one_only_for_its_sender() {
        let verifier = ISSUER.verifier(rules());
        let now = at(NOW_SECONDS);
        let refused = ISSUER.token(Algorithm::EdDsa, &claims(json!({"aud": "other"})));
        assert!(
            verifier.verify(&refused, None, now).is_err() && verifier.recall(&refused, None, now).is_none()
        );
        let bound = claims(json!({"cnf": {"x5t#S256": b64([1; 32])}}));
        let bound = ISSUER.token(Algorithm::EdDsa, &bound);
        let certificate =
            |byte| PeerCertificate { thumbprint: [byte; 32], subject: String::new(), not_after: 0 };
        assert!(verifier.verify(&bound, Some(&certificate(1)), now).is_ok());
        let recalled = |certificate: Option<&PeerCertificate>| {
            verifier.recall(&bound, certificate, now).unwrap().map(|_| ()).map_err(|why| why.label())
        };
        assert_eq!(recalled(Some(&certificate(1))), Ok(()));
        assert_eq!(recalled(Some(&certificate(2))), Err("certificate_mismatch"));
        assert_eq!(recalled(None), Err("certificate_missing"));
    }

    #[test]
    fn claims_are_one_object_of_bounded_depth() {
        for payload in ["", "foo", "[]", "null", "{}{}", "{\"sub\":\"\\ud800\"}"] {
            let token = ISSUER.token_of(r#"{"alg":"EdDSA","kid":"ed"}"#, payload);
            check_text(token.expose(), Err("malformed_claims"));
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
        check_text(ISSUER.token_of(r#"{"alg":"EdDSA","kid":"ed"}"#, &deep).expose(), Err("malformed_claims"));
    }

    #[test]
    fn j_16_nothing_is_said_about_claims_before_the_signature_is_known() {
        let token = ISSUER.token(Algorithm::EdDsa, &claims(json!({"exp": 1, "iss": "x", "cnf": {}})));
        let (message, _) = token.expose().rsplit_once('.').unwrap();
        check_text(&format!("{message}.{}", b64([0; 64])), Err("bad_signature"));
    }

    #[test]
    fn only_a_missing_key_is_a_reason_to_fetch_the_set_again() {
        let token = ISSUER.token(Algorithm::Es256, &claims(json!({})));
        let none = Verifier::new(rules(), Arc::new(KeyRing::empty()));
        let verdict = none.verify(&token, None, at(NOW_SECONDS)).unwrap_err();
        assert!(verdict == Rejected::NoKeys && verdict.wants_fresh_keys());
        let others = Verifier::new(rules(), ring(&json!({"keys": [ISSUER.rsa_jwk()]})));
        let verdict = others.verify(&token, None, at(NOW_SECONDS)).unwrap_err();
        assert!(verdict == Rejected::UnknownKey && verdict.wants_fresh_keys());
        others.ring.replace(KeySet::from_jwks(ISSUER.jwks().to_string().as_bytes()).unwrap().0, at(1));
        assert!(others.verify(&token, None, at(NOW_SECONDS)).is_ok());
        assert!(!Rejected::BadSignature.wants_fresh_keys());
        assert!(!Rejected::WrongKeyForAlgorithm(Algorithm::Es256).wants_fresh_keys());
    }

    #[test]
    fn a_key_of_another_issuer_never_verifies() {
        // The same kid, another key.
        let mut foreign = ISSUER.ed25519_jwk();
        foreign["x"] = json!("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        let verifier = Verifier::new(rules(), ring(&json!({"keys": [foreign]})));
        let token = ISSUER.token(Algorithm::EdDsa, &claims(json!({})));
        assert_eq!(verifier.verify(&token, None, at(NOW_SECONDS)).unwrap_err(), Rejected::BadSignature);
    }

    #[test]
    fn neither_debug_nor_a_refusal_repeats_the_token_or_its_claims() {
        let secret = "s3cr3t-value";
        let identity = verdict(&rules(), json!({"email": secret})).unwrap();
        let shown = format!("{identity:?}");
        assert!(!shown.contains(secret) && shown.contains("alice"), "{shown}");
        for exchanged in [
            json!({"iss": secret}),
            json!({"aud": secret}),
            json!({"sub": format!("{secret}\n")}),
            json!({"scope": {"a": secret}}),
            json!({"exp": secret}),
        ] {
            let refused = verdict(&rules(), exchanged).unwrap_err();
            assert!(!format!("{refused} {refused:?}").contains(secret), "{refused:?}");
        }
        let token = BearerToken::new(secret);
        assert_eq!(format!("{token:?}"), "BearerToken(12 bytes)");
    }

    #[test]
    fn the_example_of_rfc_8037_verifies() {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let verifier = Verifier::new(rules(), ring(&json!({"keys": [key]})));
        let signed = verifier.signed(&BearerToken::new(RFC_8037)).unwrap();
        assert_eq!(signed.payload, b"Example of Ed25519 signing");
        assert_eq!(signed.key_id, None);
    }

    const RFC_8037: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09\
         PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    #[test]
    fn noise_is_refused_and_never_a_panic() {
        let mut noise = Noise::new();
        let samples = [
            ISSUER.token_of(r#"{"alg":"EdDSA"}"#, &claims(json!({})).to_string()).expose().to_owned(),
            // Rightly signed by the key that the entry knows, and no claims.
            RFC_8037.to_owned(),
        ];
        for round in 0..4_000 {
            fuzz_verify(&noise.mutated(samples[round % 2].as_bytes()));
        }
    }
}
