//! How the gateway gets tokens of its own for brokers: what is wrong, and what is probably not meant.

use super::*;
use crate::auth::{BrokerLogin, ClientProof, TokenSource};

/// The right file, whose gateway logs in at its brokers so, by TLS.
fn with(keys: &str) -> String {
    let login = format!(
        "    tls: {{enabled: true}}\n    authentication: {{type: oauth_bearer{keys}}}\n    bootstrap"
    );
    changed("    bootstrap", &login)
}

/// As messages stand in a report: each after the place of the text that it is about.
fn placed(source: &str, expected: &[(&str, &str)]) -> Vec<String> {
    let line = source.lines().nth(3).unwrap();
    let place = |about: &str| line.find(about).unwrap_or_else(|| panic!("{about} is not in {line}")) + 1;
    expected.iter().map(|(about, message)| format!("4:{}: {message}", place(about))).collect()
}

#[track_caller]
fn refused(keys: &str, expected: &[(&str, &str)]) {
    let source = with(keys);
    assert_eq!(told(&source).0, placed(&source, expected), "{keys}");
}

#[track_caller]
fn warned(keys: &str, expected: &[(&str, &str)]) {
    let source = with(keys);
    assert_eq!(told(&source), (vec![], placed(&source, expected)), "{keys}");
}

const ENDPOINT: &str = ", token_endpoint: \"https://idp.example/token\", client_id: gateway";
const SECRET: &str = ", client_secret: \"${env['HUNTER']}\"";
const KEY: &str = ", client_assertion: {key: \"${file['client.key']}\", algorithm: ES256}";

#[test]
fn each_way_to_a_token_is_right() {
    for keys in [
        format!("{ENDPOINT}{SECRET}"),
        format!("{ENDPOINT}{SECRET}, client_authentication: post, scope: \"\", audience: kafka, timeout: 1s"),
        format!(
            "{ENDPOINT}{SECRET}, scope: \"a b\", extensions: {{logicalCluster: lkc-1, identityPoolId: pool-1}}"
        ),
        format!("{ENDPOINT}{KEY}"),
        format!("{ENDPOINT}, client_assertion: {{file: hunter}}"),
        ", token_file: hunter, extensions: {a: b}".to_owned(),
    ] {
        warned(&keys, &[]);
    }
}

#[test]
fn what_is_missing_or_too_much_is_told() {
    let one_of = ("{type", "set one of token_endpoint, token_file and credentials_directory");
    refused("", &[one_of]);
    refused(", token_file: hunter, credentials_directory: kafka", &[one_of]);
    refused(&format!("{ENDPOINT}{SECRET}, token_file: hunter"), &[one_of]);
    refused(ENDPOINT, &[("{type", "set one of client_secret and client_assertion")]);
    refused(
        &format!("{ENDPOINT}{SECRET}{KEY}"),
        &[("{type", "set one of client_secret and client_assertion")],
    );
    refused(
        &format!(", token_endpoint: \"https://idp.example/token\"{SECRET}"),
        &[("{type", "\"client_id\" is missing here")],
    );
    refused(
        ", token_file: hunter, client_id: gateway, timeout: 1s",
        &[
            ("gateway", "client_id has no effect beside token_file; leave it out"),
            ("1s", "timeout has no effect beside token_file; leave it out"),
        ],
    );
    refused(
        ", credentials_directory: kafka, scope: kafka",
        &[("kafka}", "scope has no effect beside credentials_directory; leave it out")],
    );
    refused(
        &format!("{ENDPOINT}{KEY}, client_authentication: post"),
        &[("post", "client_authentication is about a secret; leave it out")],
    );
    refused(
        &format!("{ENDPOINT}{SECRET}, token_endpiont: x"),
        &[("token_endpiont", "unknown key \"token_endpiont\"; did you mean \"token_endpoint\"?")],
    );
}

#[test]
fn what_is_none_is_told_and_no_secret_with_it() {
    let url = |url: &str| format!(", token_endpoint: \"{url}\", client_id: gateway{SECRET}");
    refused(&url("idp"), &[("\"idp\"", "\"idp\" is no URL like https://idp.example/token")]);
    refused(
        &url("file:///etc/passwd"),
        &[("\"file:", "\"file:///etc/passwd\" is no URL like https://idp.example/token")],
    );
    refused(
        &url("https://gateway:hunter2@idp.example/"),
        &[("\"https:", "this must have no user and no password; say client_id and client_secret instead")],
    );
    refused(
        &format!("{ENDPOINT}{SECRET}, scope: \"a  b\""),
        &[("\"a  b\"", "a scope is words with one space between them")],
    );
    refused(&format!("{ENDPOINT}{SECRET}, audience: \"\""), &[("\"\"", "the audience is empty")]);
    refused(&format!("{ENDPOINT}{SECRET}, timeout: 0s"), &[("0s", "this time must be longer than nothing")]);
    refused(
        &format!("{ENDPOINT}{SECRET}, extensions: {{auth: \"Bearer hunter2\"}}"),
        &[("{auth", "of the extensions each key is letters and not auth, each value printable ASCII")],
    );
    refused(
        &format!("{ENDPOINT}{SECRET}, tls: {{ca_bundle: \"${{env['HUNTER']}}\"}}"),
        &[(
            "\"${env['HUNTER']}\"}}",
            "this holds no certificate in PEM form; write ${file['path']} to bring in a file",
        )],
    );
    let assertion = |keys: &str| format!("{ENDPOINT}, client_assertion: {{{keys}}}");
    refused(&assertion(""), &[("{}", "set one of key and file")]);
    refused(&assertion("key: \"${file['client.key']}\""), &[("{key:", "\"algorithm\" is missing here")]);
    refused(
        &assertion("key: \"${file['client.key']}\", algorithm: RS256"),
        &[(
            "\"${file",
            "this is no private key in PEM form that signs by RS256; EC and Ed25519 keys are wanted as PKCS#8",
        )],
    );
    refused(
        &assertion("file: hunter, algorithm: RS256"),
        &[("{file:", "algorithm is about a key; an assertion from a file has its own")],
    );
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    warned(
        &format!("{ENDPOINT}, client_secret: hunter2"),
        &[("hunter2", "the client secret stands in this file; better ${env['NAME']} or ${file['path']}")],
    );
    let in_clear =
        "the gateway's own token comes over plain http, so anybody on the way can take it; use https";
    warned(
        &format!(", token_endpoint: \"http://idp.example/token\", client_id: gateway{SECRET}"),
        &[("\"http:", in_clear)],
    );
    warned(&format!(", token_endpoint: \"http://localhost/token\", client_id: gateway{SECRET}"), &[]);
    warned(", credentials_directory: kafka", &[("kafka}", in_clear)]);
    warned(
        ", credentials_directory: elsewhere",
        &[(
            "elsewhere",
            "\"elsewhere\" can not be used yet: the file token_endpoint_url is not there or empty",
        )],
    );
    warned(", token_file: elsewhere", &[("elsewhere", "\"elsewhere\" can not be read yet: no such file")]);
    let without_tls = with(&format!("{ENDPOINT}{SECRET}")).replace("    tls: {enabled: true}\n", "");
    assert_eq!(told(&without_tls).1, ["3:21: the token goes to the brokers unencrypted; switch tls on"]);
}

#[test]
fn the_keys_become_values_and_show_no_secret() {
    let source = with(&format!(
        "{ENDPOINT}, client_secret: hunter2, client_authentication: post, scope: kafka, extensions: {{logicalCluster: lkc-1}}"
    ));
    let gateway = read_right(&source);
    let BrokerLogin::OauthBearer(login) = &gateway.directory.backends[0].login else { panic!("{gateway:?}") };
    let TokenSource::Endpoint { endpoint, extensions } = &login.source else { panic!("{login:?}") };
    assert_eq!(extensions, &[("logicalCluster".to_owned(), "lkc-1".to_owned())]);
    assert_eq!(endpoint.scope.as_deref(), Some("kafka"));
    assert!(matches!(&endpoint.proof, ClientProof::Post(secret) if secret.expose() == "hunter2"));
    assert_eq!(login.timeout, Duration::from_secs(10));
    assert!(login.cell.newest().is_none());
    assert!(!format!("{gateway:?}").contains("hunter2"));
}
