//! Who are you? A bearer token becomes a principal with an expiry; keys are a value.
//!
//! Knows names. Knows no Kafka message, no policy, no HTTP, no clock, no file: tokens, key sets and
//! the time are handed in.
//!
//! Signatures are checked by `jsonwebtoken`, and everything around them is read here: that crate's
//! header parser refuses harmless headers and overlooks `crit`, its validation lets an odd `iss` or
//! `aud` pass and allows a minute of leeway, its reader of key sets looks neither at `use` nor at the
//! curve. A key is read and judged once, when its set is read, and aws-lc-rs, which computes for that
//! crate, is asked then whether the numbers make a key at all; that crate itself takes any numbers, and
//! makes a key of them at each check. The key carries the list of algorithms it is good for, and no
//! other combination of key and algorithm exists that could be asked. Which implementation of
//! cryptography it is to use, that crate wants to be told once in a process; the first check does it,
//! and `main` has nothing to install for this room.

mod assertion; //  a client that proves itself by a key
pub mod bearer; // the OAUTHBEARER messages (RFC 7628), both directions
mod certificate; // what a client's certificate says of it
mod claim_path; // where a claim stands
mod confirmation; // tokens that are bound to their sender
mod credentials; // our name and password at a broker, and what SCRAM derives from them
pub mod discovery; // where an issuer describes itself, and where it says its keys are
mod header; //     what a token says about its signature
mod introspection; // what an OAuth server says of a token that it is asked about
mod json; //       JSON read strictly: no member twice, bounded depth
mod jwk; //        one key of an issuer, if it is fit for use
mod keys; //       a key set as a value, and the ring that holds the newest
mod login_endpoint; // who a client is by its name and password, as a token endpoint says
mod method; //     how clients log in to us, and how we log in at brokers, as values
mod own_token; //  our own token at brokers, and the cell that holds it
mod passwords; //  the passwords of those who may log in by PLAIN
mod plain; //      the message of PLAIN (RFC 4616)
mod principal_mapping; // from the name in a certificate to a principal
mod recent; //    what was found out about tokens a moment ago
mod rejected; //   every reason for which a token is refused
mod scram; //      our own login at a broker, by SCRAM
mod scram_server; // a client's login by SCRAM
mod scram_users; // the keys of those who may log in by SCRAM
mod source; //     where keys come from, as a value
mod thumbprint; // the hash by which a key is known
mod token_source; // where our own tokens come from, as a value
mod unverified; // what a token says of itself, for choosing an issuer
mod verdict; //    what a client shows, and what comes of it
mod verifier; //   token → Identity, or Rejected

#[cfg(test)]
mod minting; //    keys and tokens for the tests of this room
#[cfg(test)]
mod verifier_tests; // what becomes of a token
#[cfg(test)]
mod wycheproof; // the 649 vectors of Project Wycheproof

pub use assertion::{ClientAssertion, UnfitKey};
pub use bearer::{
    BearerToken, ClientFirst, FAILURE_ACKNOWLEDGEMENT, InvalidMessage, encode_client_first, failure_document,
    failure_status, is_failure_acknowledgement, may_act_as,
};
pub use certificate::{PeerCertificate, UnreadableCertificate};
pub use claim_path::{ClaimPath, InvalidClaimPath};
pub use credentials::ScramCredentials;
pub use header::TokenType;
pub use introspection::{Introspected, Introspection};
pub use jwk::{Algorithm, Key, Unfit};
pub use keys::{InvalidKeySet, KeyRing, KeySet, NoKey, SkippedKey};
pub use login_endpoint::{HeldToken, LoginEndpoint, refuses_client};
pub use method::{Authentication, BrokerLogin, Method, OauthBearer, Passthrough, SaslPlain, SaslScram};
pub use own_token::{BadToken, OwnToken, TokenAnswer, TokenCell, refusal_word};
pub use passwords::{InvalidPassword, Password, Passwords};
pub use plain::{InvalidPlain, PlainMessage, is_username};
pub use principal_mapping::{InvalidRule, NoPrincipal, PrincipalMapping};
pub use recent::{LoginKey, Recent, TokenDigest};
pub use rejected::Rejected;
pub use scram::{ScramClient, ScramError, ScramMechanism};
pub use scram_server::{ScramRefused, ScramServer, scram_username};
pub use scram_users::{InvalidScramUser, ScramSecret, ScramUsers};
pub use source::{HttpSettings, KeyPlace, KeySource, Pace};
pub use token_source::{
    CREDENTIAL_FILES, ClientProof, TokenEndpoint, TokenLogin, TokenSource, check_extensions, endpoint_url,
    is_client_id, is_in_clear, is_scope,
};
pub use unverified::Unverified;
pub use verdict::{Evidence, Proven, Refused, Verdict};
pub use verifier::{Identity, RequiredClaim, Rules, Verifier, Voucher};

/// What a fuzzer calls, one entry for each parser of a stranger's bytes.
#[doc(hidden)]
pub mod fuzz {
    pub use super::bearer::fuzz_client_first as client_first;
    pub use super::discovery::fuzz_metadata as metadata;
    pub use super::introspection::fuzz_introspected as introspected;
    pub use super::keys::fuzz_key_set as key_set;
    pub use super::plain::fuzz_plain as plain;
    pub use super::verifier::fuzz_verify as verify;
}
