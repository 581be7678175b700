//! The 649 vectors of Project Wycheproof for JSON Web Signature, Key, Crypto and Encryption.
//!
//! Their payloads are no claims, so they are put to that half of the verifier which ends with the
//! signature. 35 are accepted: the valid ones whose algorithm and key the gateway allows. HMAC,
//! encryption, P-521 and a key pinned to another algorithm than the header's are refused whatever
//! the vector says; so are the two that upstream calls valid with a stray character in base64url.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::minting::at;
use super::{BearerToken, KeyRing, KeySet, Rules, Verifier};

const FILES: [(&str, &str); 4] = [
    ("signature", include_str!("../../tests/vectors/wycheproof/json_web_signature_test.json")),
    ("key", include_str!("../../tests/vectors/wycheproof/json_web_key_test.json")),
    ("crypto", include_str!("../../tests/vectors/wycheproof/json_web_crypto_test.json")),
    ("encryption", include_str!("../../tests/vectors/wycheproof/json_web_encryption_test.json")),
];

/// Whether one vector's token verifies by the keys of its group.
fn is_accepted(group: &Value, test: &Value) -> bool {
    let keys = group.get("public").unwrap_or(&group["private"]);
    let keys = if keys.get("keys").is_some() { keys.clone() } else { json!({"keys": [keys]}) };
    let ring = KeyRing::empty();
    if let Ok((keys, _)) = KeySet::from_jwks(keys.to_string().as_bytes()) {
        ring.replace(keys, at(0));
    }
    let token = match test.get("jws").or(test.get("jwe")).unwrap() {
        Value::String(token) => token.clone(),
        serialized_as_json => serialized_as_json.to_string(),
    };
    Verifier::new(Rules::default(), Arc::new(ring)).signed(&BearerToken::new(token)).is_ok()
}

#[test]
fn of_649_vectors_35_are_accepted_and_none_of_them_is_invalid() {
    let mut accepted = BTreeMap::new();
    let mut refused = 0;
    for (file, text) in FILES {
        let file_value: Value = serde_json::from_str(text).unwrap();
        for group in file_value["testGroups"].as_array().unwrap() {
            for test in group["tests"].as_array().unwrap() {
                if is_accepted(group, test) {
                    assert_eq!(test["result"], "valid", "{file} {}", test["tcId"]);
                    accepted.entry(file).or_insert_with(Vec::new).push(test["tcId"].as_u64().unwrap());
                } else {
                    refused += 1;
                }
            }
        }
    }
    let signature = [18, 33].into_iter().chain(259..=275).chain([287, 288]).chain(320..=323).chain(325..=328);
    let signature: Vec<u64> = signature.chain([345, 349, 378]).collect();
    let expected = BTreeMap::from([("signature", signature), ("key", vec![5]), ("crypto", vec![18, 33])]);
    assert_eq!(accepted, expected);
    assert_eq!((accepted.values().map(Vec::len).sum::<usize>(), refused), (35, 614));
}
