//! Tokens about which an OAuth server is asked: what is wrong, and what is probably not meant.

use super::*;
use crate::auth::{ClientProof, OauthBearer};

const ENTRY: &str = "        jwks: {endpoint: \"https://idp.example/jwks\"}";
const ENDPOINT: &str = "endpoint: \"https://idp.example/introspect\"";
const CLIENT: &str = "client_id: gateway, client_secret: \"${env['HUNTER']}\"";

/// The right file, whose only issuer is asked so, beside these lines of the entry.
fn with(keys: &str, more: &str) -> String {
    changed(ENTRY, &format!("        introspection: {{{keys}}}{more}"))
}

/// As messages stand in a report: each after the place of the text that it is about.
fn placed(source: &str, expected: &[(&str, &str)]) -> Vec<String> {
    let place = |about: &str| {
        let mut lines = source.lines().enumerate().skip(8);
        let found = lines.find_map(|(line, text)| Some((line + 1, text.find(about)? + 1)));
        found.unwrap_or_else(|| panic!("{about} is not in {source}"))
    };
    let told = |&(about, message): &(&str, &str)| {
        let (line, column) = place(about);
        format!("{line}:{column}: {message}")
    };
    expected.iter().map(told).collect()
}

#[track_caller]
fn refused(keys: &str, expected: &[(&str, &str)]) {
    let source = with(keys, "");
    assert_eq!(told(&source).0, placed(&source, expected), "{keys}");
}

#[track_caller]
fn warned(keys: &str, expected: &[(&str, &str)]) {
    let source = with(keys, "");
    assert_eq!(told(&source), (vec![], placed(&source, expected)), "{keys}");
}

fn bearer(source: &str) -> OauthBearer {
    let gateway = read_right(source);
    match &gateway.directory.clusters[0].authentication.methods[..] {
        [Method::OauthBearer(bearer)] => bearer.clone(),
        others => panic!("{others:?}"),
    }
}

#[test]
fn the_keys_become_values_and_show_no_secret() {
    let keys = "client_id: gateway, client_secret: hunter2";
    let alone = bearer(&with(&format!("{ENDPOINT}, {keys}"), ""));
    assert!(alone.source.is_none(), "every token is introspected");
    let introspection = alone.introspection.expect("it is in the file");
    assert_eq!(introspection.endpoint.as_str(), "https://idp.example/introspect");
    assert_eq!((&*introspection.name, &*alone.name), ("idp.example/introspect", "idp.example/introspect"));
    assert_eq!(introspection.client_id, "gateway");
    assert!(matches!(&introspection.proof, ClientProof::Basic(secret) if secret.expose() == "hunter2"));
    assert_eq!((introspection.http.timeout, introspection.kept_max), (SECONDS * 10, SECONDS * 60));
    assert!(!format!("{introspection:?}").contains("hunter2"));
    let more =
        "timeout: 1s, proxy: \"http://proxy:3128\", cache_lifetime_max: 0s, client_authentication: post";
    let both = bearer(&with(&format!("{ENDPOINT}, {keys}, {more}"), &format!("\n{ENTRY}")));
    assert!(both.source.is_some(), "keys verify what they can");
    let introspection = both.introspection.expect("it is in the file");
    assert!(matches!(introspection.proof, ClientProof::Post(_)));
    assert_eq!((introspection.http.timeout, introspection.kept_max), (SECONDS, Duration::ZERO));
    assert!(introspection.http.proxy.is_some());
}

#[test]
fn each_way_to_prove_who_asks_is_right() {
    let key = "client_assertion: {key: \"${file['client.key']}\", algorithm: ES256}";
    for keys in [
        CLIENT.to_owned(),
        format!("{CLIENT}, client_authentication: basic, insecure_allow_http: false"),
        format!("client_id: gateway, {key}"),
        "client_id: gateway, client_assertion: {file: hunter}".to_owned(),
    ] {
        warned(&format!("{ENDPOINT}, {keys}"), &[]);
    }
}

#[test]
fn what_is_missing_or_too_much_is_told() {
    let section = "{endpoint";
    refused(CLIENT, &[("{client_id", "\"endpoint\" is missing here")]);
    refused(
        &format!("{ENDPOINT}, client_secret: \"${{env['HUNTER']}}\""),
        &[(section, "\"client_id\" is missing here")],
    );
    let one_of = "set one of client_secret and client_assertion";
    refused(&format!("{ENDPOINT}, client_id: gateway"), &[(section, one_of)]);
    refused(&format!("{ENDPOINT}, {CLIENT}, client_assertion: {{file: hunter}}"), &[(section, one_of)]);
    refused(
        &format!("{ENDPOINT}, {CLIENT}, cache_lifetime_max: 61s"),
        &[("61s", "at most 60s: for as long a token that was revoked would still log in")],
    );
    refused(
        &format!("{ENDPOINT}, {CLIENT}, timeout: 0s"),
        &[("0s", "this time must be longer than nothing")],
    );
    refused(
        &format!("{ENDPOINT}, {CLIENT}, cache_lifetime: 5s"),
        &[("cache_lifetime:", "unknown key \"cache_lifetime\"; did you mean \"cache_lifetime_max\"?")],
    );
    let source = with(&format!("{ENDPOINT}, {CLIENT}"), "").replace("audiences:", "types: [JWT], audiences:");
    let no_effect =
        "types has no effect where every token is introspected; leave it out, or set jwks as well";
    assert_eq!(told(&source).0, placed(&source, &[("[JWT]", no_effect)]));
    let source = with(&format!("{ENDPOINT}, {CLIENT}"), "\n        mediation: passthrough");
    let no_effect = "introspection has no effect with passthrough, where the broker decides; leave it out";
    assert!(told(&source).0.contains(&placed(&source, &[(section, no_effect)])[0]), "{:?}", told(&source));
}

#[test]
fn i_01_i_17_plain_http_to_another_machine_is_an_error_unless_the_file_says_otherwise() {
    let at = |url: &str| format!("endpoint: \"{url}\", {CLIENT}");
    refused(
        &at("http://idp.example/introspect"),
        &[(
            "\"http:",
            "this is plain http to another machine, so anybody on the way could forge tokens; use https, or insecure_allow_http: true",
        )],
    );
    warned(
        &format!("{}, insecure_allow_http: true", at("http://idp.example/introspect")),
        &[(
            "true}",
            "what comes over plain http can be forged by anybody on the way, keys and tokens with it",
        )],
    );
    warned(&at("http://127.0.0.1:9080/introspect"), &[]);
    refused(
        &format!("{}, proxy: \"http://proxy.example:3128\"", at("http://127.0.0.1:9080/introspect")),
        &[(
            "\"http://127",
            "this goes by plain http to a proxy on another machine, so anybody on the way could forge tokens; leave the proxy out, use https, or insecure_allow_http: true",
        )],
    );
    warned(&format!("{}, proxy: \"http://127.0.0.1:3128\"", at("http://127.0.0.1:9080/introspect")), &[]);
    refused(&at("idp"), &[("\"idp\"", "\"idp\" is no URL like https://idp.example/introspect")]);
    refused(
        &at("https://gateway:hunter2@idp.example/"),
        &[("\"https:", "a URL with a user or a password is not supported")],
    );
    refused(&at("https://idp.example/#x"), &[("\"https:", "the URL must have no part behind #")]);
}

#[test]
fn a_secret_that_stands_in_the_file_is_warned_of() {
    warned(
        &format!("{ENDPOINT}, client_id: gateway, client_secret: hunter2"),
        &[("hunter2", "the client secret stands in this file; better ${env['NAME']} or ${file['path']}")],
    );
}

const SECONDS: Duration = Duration::from_secs(1);

#[test]
fn issuers_that_are_shown_each_others_tokens_are_warned_of() {
    let one = with(&format!("{ENDPOINT}, {CLIENT}"), "");
    assert_eq!(told(&one), (vec![], vec![]));
    let start = one.find("      - type: oauth_bearer").unwrap();
    let end = one.find("    namespace:").unwrap();
    let second = one[start..end].replace("https://idp.example", "https://partner.example");
    let two = format!("{}{second}{}", &one[..end], &one[end..]);
    let (errors, warnings) = told(&two);
    assert_eq!(errors, [""; 0]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("can log in as them; have one with introspection"), "{warnings:?}");
}
