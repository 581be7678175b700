//! Every reason for which a token is refused.

use super::jwk::Algorithm;
use super::keys::NoKey;

/// Why a token is refused.
///
/// The text is for the audit log and names only what the operator configured: nothing of a refused
/// token is repeated, since its writer may be anybody. The client is told none of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error(
        "the token is longer than {bytes_max} bytes; ask the issuer for fewer claims, or raise limits.token_bytes"
    )]
    TooLong { bytes_max: usize },
    #[error(
        "the token is not a signed JWT of three base64url parts; opaque and encrypted tokens need introspection"
    )]
    NotAJwt,
    #[error("the token's header is not one small JSON object with text where text belongs")]
    MalformedHeader,
    #[error("the token's header demands extensions by crit, and none are supported")]
    CriticalHeader,
    #[error("the token's header has the member {0}, which an access token must not have")]
    ForbiddenHeader(&'static str),
    #[error(
        "the token is of another type than an access token, or than validate.types names; expected typ absent, \
         JWT or at+jwt"
    )]
    Type,
    #[error(
        "the token's algorithm is not supported; expected RS256 to RS512, PS256 to PS512, ES256, ES384 or EdDSA"
    )]
    UnsupportedAlgorithm,
    #[error("no keys of the issuer are known; check that its key set can be fetched")]
    NoKeys,
    #[error(
        "the issuer's key set has no usable key for the token; check that the token comes from this issuer"
    )]
    UnknownKey,
    #[error("more than one of the issuer's keys could be meant; give each key a kid of its own")]
    AmbiguousKey,
    #[error("the key that the token names is not for {}", .0.name())]
    WrongKeyForAlgorithm(Algorithm),
    #[error("the token's signature is not that of the issuer's key")]
    BadSignature,
    #[error("the token's claims are not one JSON object without repeated members")]
    MalformedClaims,
    #[error("the token's claim {0} is of the wrong type; have the issuer follow RFC 7519")]
    WrongTypeOfClaim(&'static str),
    #[error("the gateway's own clock stands before 1970; set it")]
    ClockUnset,
    #[error(
        "the token has no exp; have the issuer set one, or, where the token is introspected, set \
         session_lifetime_max"
    )]
    ExpiryMissing,
    #[error("the token has expired; the client must fetch a new one, or the clocks differ")]
    Expired,
    #[error("the token is not valid yet; if it is new, the clocks differ")]
    NotYetValid,
    #[error("the token was issued in the future; the clocks differ")]
    IssuedInFuture,
    #[error(
        "the token lives longer than {seconds_max} seconds; have the issuer shorten it, or raise \
             validate.lifetime_max"
    )]
    LifetimeTooLong { seconds_max: u64 },
    #[error("the token has no iss; expected {expected:?}")]
    IssuerMissing { expected: String },
    #[error("the token is from another issuer; expected {expected:?}, to the letter")]
    IssuerMismatch { expected: String },
    #[error("the token has no aud; expected one of {expected:?}")]
    AudienceMissing { expected: Vec<String> },
    #[error("the token is for another audience; expected one of {expected:?}, to the letter")]
    AudienceMismatch { expected: Vec<String> },
    #[error("the token has no claim {claim:?}, which names the principal; check claims_mapping")]
    PrincipalMissing { claim: String },
    #[error(
        "the claim {claim:?}, which names the principal, is not text of 1 to {bytes_max} bytes without control \
         characters; check claims_mapping"
    )]
    PrincipalUnusable { claim: String, bytes_max: usize },
    #[error(
        "the claim {claim:?}, which names the scopes, is neither text nor a list of texts; check claims_mapping"
    )]
    ScopeUnusable { claim: String },
    #[error(
        "the token has neither azp nor client_id, by which validate.authorized_parties tells clients apart"
    )]
    PartyMissing,
    #[error("the token was issued to a client that validate.authorized_parties does not name")]
    PartyMismatch,
    #[error("the token has no claim {claim}, which validate.required_claims asks for")]
    ClaimMissing { claim: String },
    #[error("the claim {claim} has none of the values that validate.required_claims names")]
    ClaimMismatch { claim: String },
    #[error(
        "the token is bound to its sender by cnf, which Kafka's login can not prove; ask for a bearer token"
    )]
    SenderConstrained,
    #[error(
        "the token is bound to a client certificate, and the client shows none; ask for one in \
         tls_server.client_authentication"
    )]
    CertificateMissing,
    #[error("the token is bound to another client certificate than that of the connection")]
    CertificateMismatch,
    #[error(
        "the introspection endpoint says that the token is not active: it is over, was revoked, or is none of \
         its issuer's"
    )]
    Inactive,
    #[error("the introspection endpoint says by {0} that this is no bearer access token")]
    NotAnAccessToken(&'static str),
    #[error("the introspection endpoint can not be asked about the token: {why}")]
    IntrospectionFailed { why: String },
    #[error(
        "too many tokens wait to be introspected; is somebody guessing, or is the introspection endpoint slow?"
    )]
    Busy,
}

impl Rejected {
    /// The value of the metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::NotAJwt => "not_a_jwt",
            Self::MalformedHeader => "malformed_header",
            Self::CriticalHeader => "critical_header",
            Self::ForbiddenHeader(_) => "forbidden_header",
            Self::Type => "type",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::NoKeys => "no_keys",
            Self::UnknownKey => "unknown_key",
            Self::AmbiguousKey => "ambiguous_key",
            Self::WrongKeyForAlgorithm(_) => "wrong_key_for_algorithm",
            Self::BadSignature => "bad_signature",
            Self::MalformedClaims => "malformed_claims",
            Self::WrongTypeOfClaim(_) => "wrong_type_of_claim",
            Self::ClockUnset => "clock_unset",
            Self::ExpiryMissing => "expiry_missing",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::IssuedInFuture => "issued_in_future",
            Self::LifetimeTooLong { .. } => "lifetime_too_long",
            Self::IssuerMissing { .. } => "issuer_missing",
            Self::IssuerMismatch { .. } => "issuer_mismatch",
            Self::AudienceMissing { .. } => "audience_missing",
            Self::AudienceMismatch { .. } => "audience_mismatch",
            Self::PrincipalMissing { .. } => "principal_missing",
            Self::PrincipalUnusable { .. } => "principal_unusable",
            Self::ScopeUnusable { .. } => "scope_unusable",
            Self::PartyMissing => "party_missing",
            Self::PartyMismatch => "party_mismatch",
            Self::ClaimMissing { .. } => "claim_missing",
            Self::ClaimMismatch { .. } => "claim_mismatch",
            Self::SenderConstrained => "sender_constrained",
            Self::CertificateMissing => "certificate_missing",
            Self::CertificateMismatch => "certificate_mismatch",
            Self::Inactive => "inactive",
            Self::NotAnAccessToken(_) => "not_an_access_token",
            Self::IntrospectionFailed { .. } => "introspection_failed",
            Self::Busy => "busy",
        }
    }

    /// Whether a newer key set might change the verdict.
    pub fn wants_fresh_keys(&self) -> bool {
        matches!(self, Self::UnknownKey | Self::NoKeys)
    }

    /// Whether nothing is said of the token itself, and the same one may be taken a moment later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NoKeys | Self::IntrospectionFailed { .. } | Self::Busy)
    }

    pub(super) fn without_key(why: NoKey, algorithm: Algorithm) -> Self {
        match why {
            NoKey::Unknown => Self::UnknownKey,
            NoKey::Ambiguous => Self::AmbiguousKey,
            NoKey::WrongAlgorithm => Self::WrongKeyForAlgorithm(algorithm),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_refusal_has_a_label_of_its_own_and_a_sentence() {
        let expected = "https://idp.example".to_owned();
        let claim = "sub".to_owned();
        let all = [
            Rejected::TooLong { bytes_max: 1 },
            Rejected::NotAJwt,
            Rejected::MalformedHeader,
            Rejected::CriticalHeader,
            Rejected::ForbiddenHeader("jku"),
            Rejected::Type,
            Rejected::UnsupportedAlgorithm,
            Rejected::NoKeys,
            Rejected::UnknownKey,
            Rejected::AmbiguousKey,
            Rejected::WrongKeyForAlgorithm(Algorithm::Es256),
            Rejected::BadSignature,
            Rejected::MalformedClaims,
            Rejected::WrongTypeOfClaim("exp"),
            Rejected::ClockUnset,
            Rejected::ExpiryMissing,
            Rejected::Expired,
            Rejected::NotYetValid,
            Rejected::IssuedInFuture,
            Rejected::LifetimeTooLong { seconds_max: 1 },
            Rejected::IssuerMissing { expected: expected.clone() },
            Rejected::IssuerMismatch { expected: expected.clone() },
            Rejected::AudienceMissing { expected: vec![expected.clone()] },
            Rejected::AudienceMismatch { expected: vec![expected] },
            Rejected::PrincipalMissing { claim: claim.clone() },
            Rejected::PrincipalUnusable { claim: claim.clone(), bytes_max: 256 },
            Rejected::ScopeUnusable { claim: claim.clone() },
            Rejected::PartyMissing,
            Rejected::PartyMismatch,
            Rejected::ClaimMissing { claim: claim.clone() },
            Rejected::ClaimMismatch { claim },
            Rejected::SenderConstrained,
            Rejected::CertificateMissing,
            Rejected::CertificateMismatch,
            Rejected::Inactive,
            Rejected::NotAnAccessToken("token_type"),
            Rejected::IntrospectionFailed { why: "no answer within 10s".to_owned() },
            Rejected::Busy,
        ];
        let labels: HashSet<_> = all.iter().map(Rejected::label).collect();
        assert_eq!(labels.len(), all.len());
        for refusal in &all {
            let text = refusal.to_string();
            assert!(text.starts_with(|first: char| first.is_lowercase()) && !text.ends_with('.'), "{text}");
            assert!(!text.contains("  "), "{text}");
        }
        let fresh: Vec<_> = all.iter().filter(|refusal| refusal.wants_fresh_keys()).collect();
        assert_eq!(fresh, [&Rejected::NoKeys, &Rejected::UnknownKey]);
        assert_eq!(all.iter().filter(|refusal| refusal.may_pass()).count(), 3);
    }
}
