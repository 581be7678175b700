//! Where clients' names and passwords are exchanged for tokens: what is wrong, and what is probably not meant.

use super::*;
use crate::auth::SaslPlain;

/// The right file with another way in, on line 11.
fn with(way: &str) -> String {
    changed("    namespace:", &format!("      - {{type: sasl_plain{way}}}\n    namespace:"))
}

fn exchanged(keys: &str) -> String {
    with(&format!(", token_endpoint: {{{keys}}}"))
}

/// As messages stand in a report: each after the place of the text that it is about.
fn placed(source: &str, expected: &[(&str, &str)]) -> Vec<String> {
    let line = source.lines().nth(10).unwrap();
    let place = |about: &str| line.find(about).unwrap_or_else(|| panic!("{about} is not in {line}")) + 1;
    expected.iter().map(|(about, message)| format!("11:{}: {message}", place(about))).collect()
}

#[track_caller]
fn refused(source: &str, expected: &[(&str, &str)]) {
    assert_eq!(told(source).0, placed(source, expected), "{source}");
}

#[track_caller]
fn warned(source: &str, expected: &[(&str, &str)]) {
    assert_eq!(told(source), (vec![], placed(source, expected)), "{source}");
}

const ENDPOINT: &str = "endpoint: \"https://idp.example/token\"";

#[test]
fn an_endpoint_stands_beside_names_or_in_their_place() {
    let alice = "principals: [{username: alice, password: \"${env['HUNTER']}\"}]";
    warned(&exchanged(ENDPOINT), &[]);
    warned(&with(&format!(", {alice}, token_endpoint: {{{ENDPOINT}}}, session_lifetime_max: 1h")), &[]);
    warned(&exchanged("endpoint: \"http://localhost:8080/token\", scope: \"\""), &[]);
    refused(
        &with(""),
        &[("{type", "set principals, a list of usernames with their passwords, or token_endpoint")],
    );
    refused(
        &with(&format!(", principals: [], token_endpoint: {{{ENDPOINT}}}")),
        &[("[]", "list at least one username with its password")],
    );
}

#[test]
fn the_keys_become_values() {
    let more = "client_authentication: post, scope: \"kafka read\", audience: kafka, timeout: 3s, proxy: \"http://proxy.example:3128\"";
    let gateway = read_right(&exchanged(&format!("{ENDPOINT}, {more}")));
    let methods = &gateway.directory.clusters[0].authentication.methods;
    let [_, Method::SaslPlain(SaslPlain { endpoint: Some(endpoint), .. })] = &methods[..] else {
        panic!("{methods:?}")
    };
    assert_eq!(endpoint.url.as_str(), "https://idp.example/token");
    assert!(endpoint.sends_in_body);
    assert_eq!(
        (endpoint.scope.as_deref(), endpoint.audience.as_deref()),
        (Some("kafka read"), Some("kafka"))
    );
    assert_eq!(endpoint.http.timeout, Duration::from_secs(3));
    assert_eq!(endpoint.http.proxy.as_ref().map(|url| url.as_str()), Some("http://proxy.example:3128/"));
}

#[test]
fn somebody_verifies_the_tokens_that_come_of_it() {
    let nobody = "nobody here verifies the tokens that come of this; add an oauth_bearer with mediation: terminate, and there their issuer's validate, with its jwks or introspection";
    let forwarded =
        exchanged(ENDPOINT).replace("        jwks:", "        mediation: validate_forward\n        jwks:");
    let (line, column) = (12, forwarded.lines().nth(11).unwrap().find("{endpoint").unwrap() + 1);
    assert_eq!(told(&forwarded).0, [format!("{line}:{column}: {nobody}")]);
    let alone = exchanged(ENDPOINT).replace("      - type: oauth_bearer\n        jwks: {endpoint: \"https://idp.example/jwks\"}\n        validate: {issuer: \"https://idp.example\", audiences: [{name: kafka}]}\n", "");
    assert_eq!(told(&alone).0, [format!("8:{column}: {nobody}")]);
    refused(
        &with(&format!(", mediation: passthrough, token_endpoint: {{{ENDPOINT}}}")),
        &[(
            "{endpoint",
            "token_endpoint has no effect with passthrough, where the broker decides; leave it out",
        )],
    );
}

#[test]
fn i_01_secrets_go_over_plain_http_to_another_machine_only_where_the_file_says_so() {
    let plain = "endpoint: \"http://idp.example/token\"";
    refused(
        &exchanged(plain),
        &[(
            "\"http:",
            "this is plain http to another machine, so anybody on the way could read clients' secrets; use https, or insecure_allow_http: true",
        )],
    );
    warned(
        &exchanged(&format!("{plain}, insecure_allow_http: true")),
        &[("true", "over plain http clients' secrets can be read by anybody on the way")],
    );
}

#[test]
fn what_is_none_is_told_and_no_secret_with_it() {
    let url = |url: &str| exchanged(&format!("endpoint: \"{url}\""));
    refused(&exchanged(""), &[("{}", "\"endpoint\" is missing here")]);
    refused(&url("idp"), &[("\"idp\"", "\"idp\" is no URL like https://idp.example/token")]);
    refused(
        &url("file:///etc/passwd"),
        &[("\"file:", "\"file:///etc/passwd\" is no URL like https://idp.example/token")],
    );
    refused(&url("app:hunter2@"), &[("\"app:", "this is no URL like https://idp.example/token")]);
    refused(
        &url("https://app:hunter2@idp.example/"),
        &[("\"https:", "a URL with a user or a password is not supported")],
    );
    refused(&url("https://idp.example/#x"), &[("\"https:", "the URL must have no part behind #")]);
    let more = |more: &str| exchanged(&format!("{ENDPOINT}, {more}"));
    refused(&more("scope: \"a  b\""), &[("\"a  b\"", "a scope is words with one space between them")]);
    refused(&more("audience: \"\""), &[("\"\"", "the audience is empty")]);
    refused(&more("timeout: 0s"), &[("0s", "this time must be longer than nothing")]);
    refused(
        &more("client_authentication: jwt"),
        &[("jwt", "unknown value \"jwt\"; expected one of basic, post")],
    );
    refused(
        &more("proxy: \"proxy.example\""),
        &[("\"proxy.", "\"proxy.example\" is no URL of a proxy like http://proxy.example:3128")],
    );
    refused(
        &more("tls: {ca_bundle: \"${env['HUNTER']}\"}"),
        &[(
            "\"${env['HUNTER']}\"}",
            "this holds no certificate in PEM form; write ${file['path']} to bring in a file",
        )],
    );
}
