//! What becomes of a token: each rule that it must keep, and each gap that the library would leave.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::minting::{ISSUER, Issuer, NOW_SECONDS, Noise, at, b64, claims, ring, rules};
use super::verifier::{SECONDS_END, TOKEN_BYTES_MAX, fuzz_verify};
use super::*;

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
    for signature in [der, vec![0; 64], zero_r, zero_s, raw[..63].to_vec(), [raw.clone(), vec![0]].concat()] {
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
    assert!(verifier.verify(&refused, None, now).is_err() && verifier.recall(&refused, None, now).is_none());
    let bound = claims(json!({"cnf": {"x5t#S256": b64([1; 32])}}));
    let bound = ISSUER.token(Algorithm::EdDsa, &bound);
    let certificate = |byte| PeerCertificate { thumbprint: [byte; 32], subject: String::new(), not_after: 0 };
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
