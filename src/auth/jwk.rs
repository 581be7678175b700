//! One key of an issuer, if it is fit for use.

use std::fmt;
use std::sync::Once;

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::{aws_lc, verify};
use serde_json::Value;

use super::json::Object;
use super::thumbprint::thumbprint;

/// A signature algorithm that a token may be signed with; there is no other, and no way to add one.
///
/// Source: RFC 7518 section 3.1, RFC 8037 section 3.1; RFC 8725 section 3.1 on why the list is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    /// The algorithm of a header's or a key's `alg`, compared byte by byte.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The same algorithm as `jsonwebtoken` calls it.
    pub(super) fn as_jsonwebtoken(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Rs384 => jsonwebtoken::Algorithm::RS384,
            Self::Rs512 => jsonwebtoken::Algorithm::RS512,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Ps384 => jsonwebtoken::Algorithm::PS384,
            Self::Ps512 => jsonwebtoken::Algorithm::PS512,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }

    pub(super) const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];
}

/// A public key of an issuer, read and found fit once, with the algorithms it may be used with.
///
/// The key decides what it verifies: its kind, its curve and its own `alg` stand here as the list of
/// algorithms, and a token's header can only pick from it.
#[derive(Clone)]
pub struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    thumbprint: String,
    decoding: DecodingKey,
}

impl Key {
    /// Reads one member of a set's `keys`.
    ///
    /// Limits: RSA from 2048 to 8192 bits with an odd exponent from 3 to 2^33; P-256, P-384, Ed25519;
    /// `kid` of at most 256 printable ASCII characters.
    /// Errors: `Unfit` says which requirement the key does not meet.
    /// Source: RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2.
    pub(super) fn from_jwk(jwk: &Object) -> Result<Self, Unfit> {
        let id = match jwk.get("kid") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) if is_key_id(id) => Some(id.clone()),
            Some(_) => return Err(Unfit::Id),
        };
        if jwk.get("kty").and_then(Value::as_str) == Some("oct") {
            return Err(Unfit::Symmetric);
        }
        if PRIVATE_MEMBERS.iter().any(|member| jwk.contains_key(*member)) {
            return Err(Unfit::Private);
        }
        check_purpose(jwk)?;
        let pinned = match jwk.get("alg") {
            None => None,
            Some(Value::String(name)) => Some(Algorithm::from_name(name).ok_or(Unfit::Algorithm)?),
            Some(_) => return Err(Unfit::Algorithm),
        };
        let (mut algorithms, decoding) = match jwk.get("kty").and_then(Value::as_str) {
            Some("RSA") => rsa(jwk)?,
            Some("EC") => elliptic(jwk)?,
            Some("OKP") => edwards(jwk)?,
            _ => return Err(Unfit::Kind),
        };
        if let Some(pinned) = pinned {
            algorithms.retain(|algorithm| *algorithm == pinned);
            if algorithms.is_empty() {
                return Err(Unfit::Algorithm);
            }
        }
        Ok(Self { id, algorithms, thumbprint: thumbprint(jwk), decoding })
    }

    /// The `kid`, by which tokens name the key.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The hash of the key itself (RFC 7638), whatever it is called.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Whether the key may verify this algorithm's signatures.
    pub fn permits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether this is the key's signature of the message; never so for an algorithm it does not permit.
    ///
    /// Shape: the signature is base64url text, as it stands in a token.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &str) -> bool {
        install_provider();
        self.permits(algorithm)
            && verify(signature, message, &self.decoding, algorithm.as_jsonwebtoken()).unwrap_or(false)
    }
}

/// Two are the same when they are called the same, and verify the same.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, &self.algorithms, &self.thumbprint) == (&other.id, &other.algorithms, &other.thumbprint)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms: Vec<_> = self.algorithms.iter().map(|algorithm| algorithm.name()).collect();
        f.debug_struct("Key").field("id", &self.id).field("algorithms", &algorithms).finish()
    }
}

/// Says to `jsonwebtoken`, once, that aws-lc-rs is to compute for it.
///
/// It would find that out by itself as long as no other crate of the build asks it for a second
/// implementation; then it would panic, at the first token.
pub(super) fn install_provider() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error means that somebody was first, and then there is nothing left to do.
        let _ = aws_lc::DEFAULT_PROVIDER.install_default();
    });
}

/// Why a key of a set is left aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unfit {
    #[error("it is not a JSON object")]
    NotAnObject,
    #[error("its kid is not a string of 1 to {KEY_ID_BYTES_MAX} printable ASCII characters")]
    Id,
    #[error("another key of the set has the same kid; give each key its own")]
    AmbiguousId,
    #[error("it is a shared secret, and the gateway verifies with public keys only; take it off the set")]
    Symmetric,
    #[error("it contains private members; publish only the public key, and replace this one")]
    Private,
    #[error("its use or key_ops are not for verifying signatures")]
    Purpose,
    #[error("its alg is not supported, or does not fit its kind and curve")]
    Algorithm,
    #[error("its kty or crv is not supported; expected RSA, EC with P-256 or P-384, or OKP with Ed25519")]
    Kind,
    #[error("a number of it is missing, is not base64url without padding, or has the wrong length")]
    Number,
    #[error("its RSA modulus is even or not of {RSA_BITS_MIN} to {RSA_BITS_MAX} bits")]
    Modulus,
    #[error("its RSA exponent is even, below 3 or above 2^33")]
    Exponent,
    #[error("its RSA modulus comes from a generator whose keys can be factored (ROCA); replace it")]
    Roca,
    #[error("its point does not lie on the curve, or is of small order")]
    Point,
}

impl Unfit {
    /// The value of the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotAnObject => "not_an_object",
            Self::Id => "kid",
            Self::AmbiguousId => "ambiguous_kid",
            Self::Symmetric => "symmetric",
            Self::Private => "private",
            Self::Purpose => "purpose",
            Self::Algorithm => "algorithm",
            Self::Kind => "kind",
            Self::Number => "number",
            Self::Modulus => "modulus",
            Self::Exponent => "exponent",
            Self::Roca => "roca",
            Self::Point => "point",
        }
    }
}

/// Whether text may stand as a `kid`, in a set or in a token's header.
pub(super) fn is_key_id(text: &str) -> bool {
    (1..=KEY_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Refuses a key that its owner did not make for verifying signatures.
fn check_purpose(jwk: &Object) -> Result<(), Unfit> {
    match jwk.get("use") {
        None => {}
        Some(Value::String(purpose)) if purpose == "sig" => {}
        Some(_) => return Err(Unfit::Purpose),
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => Ok(()),
        Some(_) => Err(Unfit::Purpose),
    }
}

// The three kinds. aws-lc-rs, which will verify, is asked here whether the key can be used at all:
// `jsonwebtoken` takes any numbers for a key, and fails only when a signature is to be checked.

fn rsa(jwk: &Object) -> Result<(Vec<Algorithm>, DecodingKey), Unfit> {
    let (n, e) = (number(jwk, "n")?, number(jwk, "e")?);
    // Some libraries write a number with the zero that its sign would need; the number is the same.
    let (n, e) = (without_leading_zeros(&n), without_leading_zeros(&e));
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) || n.last().is_none_or(|last| last % 2 == 0) {
        return Err(Unfit::Modulus);
    }
    if e.len() > 8 {
        return Err(Unfit::Exponent);
    }
    let exponent = e.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    if exponent % 2 == 0 || !(3..=RSA_EXPONENT_MAX).contains(&exponent) {
        return Err(Unfit::Exponent);
    }
    if has_roca_fingerprint(n) {
        return Err(Unfit::Roca);
    }
    // The algorithms differ in what they hash and how they pad, not in which keys they take.
    RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256)
        .map_err(|_| Unfit::Modulus)?;
    Ok((RSA_ALGORITHMS.to_vec(), DecodingKey::from_rsa_raw_components(n, e)))
}

fn elliptic(jwk: &Object) -> Result<(Vec<Algorithm>, DecodingKey), Unfit> {
    let (algorithm, parameters, length) = match jwk.get("crv").and_then(Value::as_str) {
        Some("P-256") => (Algorithm::Es256, &signature::ECDSA_P256_SHA256_FIXED, 32),
        Some("P-384") => (Algorithm::Es384, &signature::ECDSA_P384_SHA384_FIXED, 48),
        _ => return Err(Unfit::Kind),
    };
    let (x, y) = (number(jwk, "x")?, number(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err(Unfit::Number);
    }
    let point = [&[UNCOMPRESSED], x.as_slice(), y.as_slice()].concat();
    ParsedPublicKey::new(parameters, &point).map_err(|_| Unfit::Point)?;
    // What is called DER there is the bare point, as SEC 1 writes it.
    Ok((vec![algorithm], DecodingKey::from_ec_der(&point)))
}

fn edwards(jwk: &Object) -> Result<(Vec<Algorithm>, DecodingKey), Unfit> {
    // X25519 has the same kind and the same length, and signs nothing.
    if jwk.get("crv").and_then(Value::as_str) != Some("Ed25519") {
        return Err(Unfit::Kind);
    }
    let point: [u8; 32] = number(jwk, "x")?.try_into().map_err(|_| Unfit::Number)?;
    if !is_canonical_and_of_large_order(point) {
        return Err(Unfit::Point);
    }
    ParsedPublicKey::new(&signature::ED25519, point).map_err(|_| Unfit::Point)?;
    Ok((vec![Algorithm::EdDsa], DecodingKey::from_ed_der(&point)))
}

fn number(jwk: &Object, member: &str) -> Result<Vec<u8>, Unfit> {
    let text = jwk.get(member).and_then(Value::as_str).ok_or(Unfit::Number)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Unfit::Number)
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// Whether a modulus is, for every small prime, a power of 65537: the mark of one flawed generator.
///
/// Any other modulus bears the mark by chance less than once in a hundred million.
/// Source: CVE-2017-15361, and the detection its finders published.
fn has_roca_fingerprint(modulus: &[u8]) -> bool {
    ROCA_PRIMES.iter().all(|&prime| {
        let remainder = modulus.iter().fold(0_u32, |sum, byte| (sum << 8 | u32::from(*byte)) % prime);
        let mut power = 1;
        loop {
            if power == remainder {
                return true;
            }
            power = power * (65537 % prime) % prime;
            if power == 1 {
                return false;
            }
        }
    })
}

/// Whether an Ed25519 key is written in the one right way and can not be signed for by everybody.
fn is_canonical_and_of_large_order(mut point: [u8; 32]) -> bool {
    point[31] &= 0x7f; // the sign of x
    let canonical = point.iter().rev().lt(FIELD_PRIME_25519.iter().rev());
    canonical && !SMALL_ORDER_25519.contains(&point)
}

/// Kafka's own verifier allows 1000; nobody needs a quarter of that.
const KEY_ID_BYTES_MAX: usize = 256;
/// RFC 7518 section 3.3 demands at least 2048; above 8192 a signature costs more than a login may.
const RSA_BITS_MIN: usize = 2048;
const RSA_BITS_MAX: usize = 8192;
/// The largest exponent that the library verifies with.
const RSA_EXPONENT_MAX: u64 = 1 << 33;
/// SEC 1 section 2.3.3: both coordinates follow.
const UNCOMPRESSED: u8 = 4;

const RSA_ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

/// The private members of RSA, EC and OKP keys, and the secret of a symmetric one.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

const ROCA_PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// 2^255 - 19, least byte first.
const FIELD_PRIME_25519: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[0] = 0xed;
    prime[31] = 0x7f;
    prime
};

/// The y coordinates of the points whose order divides eight, least byte first.
const SMALL_ORDER_25519: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = FIELD_PRIME_25519;
        minus_one[0] -= 1;
        minus_one
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

#[cfg(test)]
mod tests {
    use super::super::minting::{ISSUER, b64};
    use super::*;
    use serde_json::json;

    /// What becomes of a key with some members exchanged; null takes one away.
    fn check(mut jwk: Value, exchanged: Value, expected: Result<&[&str], Unfit>) {
        for (name, value) in exchanged.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let key = Key::from_jwk(jwk.as_object().unwrap());
        let algorithms =
            key.map(|key| key.algorithms.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>());
        assert_eq!(algorithms.as_deref(), expected.as_ref().map(|names| &**names), "{exchanged}");
    }

    const ALL_OF_RSA: &[&str] = &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];

    #[test]
    fn j_01_s_25_a_key_is_for_the_algorithms_of_its_kind_and_its_alg_pins_one() {
        check(ISSUER.rsa_jwk(), json!({}), Ok(ALL_OF_RSA));
        check(ISSUER.p256_jwk(), json!({}), Ok(&["ES256"]));
        check(ISSUER.p384_jwk(), json!({}), Ok(&["ES384"]));
        check(ISSUER.ed25519_jwk(), json!({}), Ok(&["EdDSA"]));
        check(ISSUER.rsa_jwk(), json!({"alg": "PS384", "use": "sig", "key_ops": ["verify"]}), Ok(&["PS384"]));
        check(ISSUER.ed25519_jwk(), json!({"kid": null, "x5c": ["x"], "unknown": {}}), Ok(&["EdDSA"]));
    }

    #[test]
    fn jsonwebtoken_gap_alg_of_a_key_is_not_compared_with_its_kind() {
        check(ISSUER.p256_jwk(), json!({"alg": "ES384"}), Err(Unfit::Algorithm));
        check(ISSUER.rsa_jwk(), json!({"alg": "ES256"}), Err(Unfit::Algorithm));
        for alg in [json!("RSA-OAEP"), json!("HS256"), json!("none"), json!("rs256"), json!(1)] {
            check(ISSUER.rsa_jwk(), json!({"alg": alg}), Err(Unfit::Algorithm));
        }
    }

    #[test]
    fn jsonwebtoken_gap_use_and_key_ops_are_not_looked_at() {
        for purpose in [json!("enc"), json!("SIG"), json!(1), json!(["sig"])] {
            check(ISSUER.rsa_jwk(), json!({"use": purpose}), Err(Unfit::Purpose));
        }
        for operations in [json!(["encrypt"]), json!([]), json!("verify"), json!([["verify"]])] {
            check(ISSUER.p256_jwk(), json!({"key_ops": operations}), Err(Unfit::Purpose));
        }
    }

    #[test]
    fn jsonwebtoken_gap_the_curve_of_an_okp_key_is_not_looked_at() {
        for crv in [json!("X25519"), json!("Ed448"), json!("ed25519"), json!(null)] {
            check(ISSUER.ed25519_jwk(), json!({"crv": crv}), Err(Unfit::Kind));
        }
    }

    #[test]
    fn a_key_verifies_its_own_algorithm_and_no_other() {
        for signed_by in Algorithm::ALL {
            let signature = b64(ISSUER.signature(signed_by, b"message"));
            for jwk in [ISSUER.rsa_jwk(), ISSUER.p256_jwk(), ISSUER.p384_jwk(), ISSUER.ed25519_jwk()] {
                let key = Key::from_jwk(jwk.as_object().unwrap()).unwrap();
                for asked in Algorithm::ALL {
                    let expected = asked == signed_by && key.permits(signed_by);
                    assert_eq!(key.verifies(asked, b"message", &signature), expected, "{key:?} {asked:?}");
                }
                assert!(!key.verifies(signed_by, b"another", &signature));
            }
        }
    }

    #[test]
    fn jsonwebtoken_gap_a_key_takes_all_algorithms_of_its_family() {
        let mut jwk = ISSUER.rsa_jwk();
        jwk["alg"] = json!("RS256");
        let key = Key::from_jwk(jwk.as_object().unwrap()).unwrap();
        for algorithm in RSA_ALGORITHMS {
            let signature = b64(ISSUER.signature(algorithm, b"message"));
            assert_eq!(key.verifies(algorithm, b"message", &signature), algorithm == Algorithm::Rs256);
        }
    }

    #[test]
    fn a_signature_that_is_no_base64url_is_nobody_s() {
        let key = Key::from_jwk(ISSUER.ed25519_jwk().as_object().unwrap()).unwrap();
        let good = b64(ISSUER.signature(Algorithm::EdDsa, b"message"));
        assert!(key.verifies(Algorithm::EdDsa, b"message", &good));
        for bad in [format!("{good}=="), format!("{good} "), format!("{good}A"), "é".into(), String::new()] {
            assert!(!key.verifies(Algorithm::EdDsa, b"message", &bad), "{bad}");
        }
    }

    #[test]
    fn the_provider_is_installed_whoever_asks_and_however_often() {
        install_provider();
        install_provider();
        assert!(aws_lc::DEFAULT_PROVIDER.install_default().is_err(), "it is there");
    }

    #[test]
    fn i_12_secrets_and_private_keys_are_never_taken_for_public_ones() {
        check(json!({"kty": "oct", "kid": "a"}), json!({"k": "AAAA"}), Err(Unfit::Symmetric));
        check(json!({"kty": "oct", "kid": "a"}), json!({}), Err(Unfit::Symmetric));
        for member in PRIVATE_MEMBERS {
            check(ISSUER.ed25519_jwk(), json!({member: "AAAA"}), Err(Unfit::Private));
        }
    }

    #[test]
    fn unknown_kinds_and_curves_are_left_aside() {
        check(ISSUER.p256_jwk(), json!({"crv": "P-521"}), Err(Unfit::Kind));
        check(ISSUER.p256_jwk(), json!({"crv": "secp256k1"}), Err(Unfit::Kind));
        for kty in [json!("AKP"), json!("ec"), json!(1), json!(null)] {
            check(ISSUER.p256_jwk(), json!({"kty": kty}), Err(Unfit::Kind));
        }
        for kid in [json!(1), json!(""), json!("a\n"), json!("é"), json!("k".repeat(257))] {
            check(ISSUER.p256_jwk(), json!({"kid": kid}), Err(Unfit::Id));
        }
        check(ISSUER.p256_jwk(), json!({"kid": "k".repeat(256)}), Ok(&["ES256"]));
    }

    #[test]
    fn j_17_s_22_an_rsa_modulus_is_odd_and_of_2048_to_8192_bits() {
        let odd = |bytes: usize, first: u8| {
            let mut n = vec![0x5b; bytes];
            n[0] = first;
            b64(n)
        };
        check(ISSUER.rsa_jwk(), json!({"n": odd(256, 0x80)}), Ok(ALL_OF_RSA));
        check(ISSUER.rsa_jwk(), json!({"n": odd(256, 0x7f)}), Err(Unfit::Modulus));
        check(ISSUER.rsa_jwk(), json!({"n": odd(1024, 0xff)}), Ok(ALL_OF_RSA));
        check(ISSUER.rsa_jwk(), json!({"n": odd(1025, 1)}), Err(Unfit::Modulus));
        check(ISSUER.rsa_jwk(), json!({"n": b64(vec![0xfe; 256])}), Err(Unfit::Modulus));
        check(ISSUER.rsa_jwk(), json!({"n": ""}), Err(Unfit::Modulus));
        for n in [json!(null), json!(1), json!("="), json!("AA=="), json!("A"), json!("A+/A")] {
            check(ISSUER.rsa_jwk(), json!({"n": n}), Err(Unfit::Number));
        }
        // The zero that a sign would need, as some libraries write it.
        let n = URL_SAFE_NO_PAD.decode(ISSUER.rsa_jwk()["n"].as_str().unwrap()).unwrap();
        check(ISSUER.rsa_jwk(), json!({"n": b64([&[0], n.as_slice()].concat())}), Ok(ALL_OF_RSA));
    }

    #[test]
    fn an_rsa_exponent_is_odd_and_neither_tiny_nor_huge() {
        for (exponent, accepted) in [
            (3_u64, true),
            (65537, true),
            ((1 << 33) - 1, true),
            ((1 << 33) + 1, false),
            (u64::MAX, false),
            (0, false),
            (1, false),
            (2, false),
            (65536, false),
        ] {
            let expected = if accepted { Ok(ALL_OF_RSA) } else { Err(Unfit::Exponent) };
            check(ISSUER.rsa_jwk(), json!({"e": b64(exponent.to_be_bytes())}), expected);
        }
        check(ISSUER.rsa_jwk(), json!({"e": b64([1; 9])}), Err(Unfit::Exponent));
        check(ISSUER.rsa_jwk(), json!({"e": ""}), Err(Unfit::Exponent));
    }

    #[test]
    fn a_modulus_of_the_flawed_generator_is_known_by_its_fingerprint() {
        // 65537^k is a power of 65537 modulo whatever prime.
        let mut modulus = vec![1_u8];
        while modulus.len() < 256 {
            let mut carry = 0_u64;
            for byte in &mut modulus {
                carry += u64::from(*byte) * 65537;
                *byte = carry as u8;
                carry >>= 8;
            }
            while carry > 0 {
                modulus.push(carry as u8);
                carry >>= 8;
            }
        }
        modulus.reverse();
        check(ISSUER.rsa_jwk(), json!({"n": b64(&modulus)}), Err(Unfit::Roca));
        *modulus.last_mut().unwrap() ^= 2;
        check(ISSUER.rsa_jwk(), json!({"n": b64(&modulus)}), Ok(ALL_OF_RSA));
    }

    #[test]
    fn a_point_has_its_curve_s_length_and_lies_on_it() {
        let x = URL_SAFE_NO_PAD.decode(ISSUER.p256_jwk()["x"].as_str().unwrap()).unwrap();
        check(ISSUER.p256_jwk(), json!({"x": b64(&x[1..])}), Err(Unfit::Number));
        check(ISSUER.p256_jwk(), json!({"x": b64([&[0], x.as_slice()].concat())}), Err(Unfit::Number));
        check(ISSUER.p256_jwk(), json!({"x": b64([5; 32]), "y": b64([5; 32])}), Err(Unfit::Point));
        check(ISSUER.p256_jwk(), json!({"x": b64([0; 32]), "y": b64([0; 32])}), Err(Unfit::Point));
        check(ISSUER.p256_jwk(), json!({"crv": "P-384"}), Err(Unfit::Number));
        check(ISSUER.p256_jwk(), json!({"y": null}), Err(Unfit::Number));
    }

    #[test]
    fn an_ed25519_key_is_32_bytes_and_not_one_that_everybody_can_sign_for() {
        for x in [&[7_u8; 31][..], &[7; 33], &[]] {
            check(ISSUER.ed25519_jwk(), json!({"x": b64(x)}), Err(Unfit::Number));
        }
        for point in SMALL_ORDER_25519 {
            check(ISSUER.ed25519_jwk(), json!({"x": b64(point)}), Err(Unfit::Point));
            let mut negative = point;
            negative[31] |= 0x80;
            check(ISSUER.ed25519_jwk(), json!({"x": b64(negative)}), Err(Unfit::Point));
        }
        // The prime itself, and what lies above it, are other spellings of small numbers.
        check(ISSUER.ed25519_jwk(), json!({"x": b64(FIELD_PRIME_25519)}), Err(Unfit::Point));
        check(ISSUER.ed25519_jwk(), json!({"x": b64([0xff; 32])}), Err(Unfit::Point));
    }
}
