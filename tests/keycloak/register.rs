//! `sluicegate keycloak register`, and what it tells when Keycloak says no.

use std::fs;
use std::process::{Command, Output, Stdio};

use kafka_protocol::messages::MetadataRequest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::site::{REALM, keycloak, sees_orders, stage, stage_with};
use crate::support::bearer_broker::{broker, last_token};
use crate::support::keycloak::{AUDIENCE, Keycloak, REGISTERED};
use crate::support::process::SLUICEGATE;
use crate::support::stage::Stage;
use crate::support::tls::Authority;

const IS_READER: &str = "context.auth.token.claims.realm_access.roles.includes('reader')";

/// Who asks Keycloak, and how he gets there.
struct Operator {
    url: String,
    admin: &'static str,
    password: &'static str,
    realm: &'static str,
}

impl Operator {
    fn of(keycloak: &Keycloak) -> Self {
        Self { url: keycloak.url(), admin: "admin", password: "admin", realm: REALM }
    }

    fn register(&self, client: &str, words: &[&str]) -> Output {
        Command::new(SLUICEGATE)
            .args(["keycloak", "register", "--realm", self.realm, "--client", client, "--timeout", "60s"])
            .args(words)
            .env_clear()
            .envs([("KEYCLOAK_URL", self.url.as_str()), ("KEYCLOAK_ADMIN", self.admin)])
            .env("KEYCLOAK_PASSWORD", self.password)
            .stdin(Stdio::null())
            .output()
            .expect("sluicegate starts")
    }

    /// It fails, hands nothing on, and says this.
    fn fails(&self, client: &str, words: &[&str], expected: &[&str]) {
        let output = self.register(client, words);
        let told = told(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(output.stdout.is_empty(), "{output:?}");
        for expected in expected {
            assert!(told.contains(expected), "{expected}: {told}");
        }
    }
}

/// What it handed on, when all was well.
struct HandedOn(Vec<(String, String)>);

impl HandedOn {
    fn by(output: &Output) -> Self {
        assert!(output.status.success(), "{}", told(output));
        let text = String::from_utf8(output.stdout.clone()).expect("it is text");
        let pairs = text.lines().map(|line| line.split_once('=').expect("lines are NAME=VALUE"));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn says(&self, name: &str) -> &str {
        let pair = self.0.iter().find(|(key, _)| key == name);
        &pair.unwrap_or_else(|| panic!("no {name} in {:?}", self.0)).1
    }

    /// As a mounted secret has it, with a file for each key.
    fn mount(&self) -> TempDir {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (name, value) in &self.0 {
            fs::write(dir.path().join(name), value).expect("the file can be written");
        }
        dir
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a client is told of the topic of readers that logs in with what was handed on.
fn told_of_orders(stage: &Stage, keycloak: &Keycloak, handed_on: &HandedOn) -> i16 {
    let token = keycloak.token(REALM, handed_on.says("client_id"), handed_on.says("client_secret"));
    sees_orders(&mut stage.log_in_at(stage.setup.tenants[0].port, &token))
}

#[test]
fn a_registered_client_logs_in_by_what_is_handed_on_however_often_it_is_registered() {
    let Some(keycloak) = keycloak() else { return };
    let operator = Operator::of(keycloak);
    let output = operator.register("registered-app", &["--role", "reader", "--preset", "kafka"]);
    assert!(told(&output).contains("client \"registered-app\" made"), "{}", told(&output));
    let first = HandedOn::by(&output);
    assert_eq!(first.says("method"), "oidc");
    assert_eq!(first.says("client_id"), "registered-app");
    assert_eq!(first.says("token_endpoint_url"), keycloak.token_url(REALM));
    let stage = stage(keycloak, &[REALM], IS_READER);
    assert_eq!(told_of_orders(&stage, keycloak, &first), 0);

    let made = keycloak.client(REALM, "registered-app");
    for (name, value) in REGISTERED {
        assert_eq!(made[name], value, "{name}");
    }
    let again = operator.register("registered-app", &["--role", "reader", "--preset", "kafka"]);
    assert_eq!(HandedOn::by(&again).0, first.0);
    for step in ["made", "put into", "given"] {
        assert!(!told(&again).contains(step), "{}", told(&again));
    }
    assert_eq!(keycloak.client(REALM, "registered-app"), made);

    let renewed = HandedOn::by(&operator.register("registered-app", &["--new-secret"]));
    assert_ne!(renewed.says("client_secret"), first.says("client_secret"));
    let stale = keycloak.ask_for_token(REALM, "registered-app", first.says("client_secret"));
    assert_eq!((stale.0, stale.1["error"].as_str()), (401, Some("unauthorized_client")));
    assert_eq!(told_of_orders(&stage, keycloak, &renewed), 0);
}

#[test]
fn a_client_of_somebody_else_is_told_of_and_changed_only_when_asked_for() {
    let Some(keycloak) = keycloak() else { return };
    let operator = Operator::of(keycloak);
    let check = |client: Value, expected: &[&str]| {
        let id = client["clientId"].as_str().expect("a client has an id");
        keycloak.add_client(REALM, &client);
        let before = keycloak.client(REALM, id);
        operator.fails(id, &[], expected);
        assert_eq!(keycloak.client(REALM, id), before);
        let handed_on = HandedOn::by(&operator.register(id, &["--adopt"]));
        keycloak.token(REALM, id, handed_on.says("client_secret"));
    };
    check(json!({"clientId": "shop", "publicClient": true}), &["is public", "--client", "--adopt"]);
    check(
        json!({"clientId": "idle", "publicClient": false, "standardFlowEnabled": false}),
        &["its service account is off", "--adopt"],
    );
    check(
        json!({"clientId": "portal", "publicClient": false, "serviceAccountsEnabled": true}),
        &["logins by a browser", "--adopt"],
    );
}

#[test]
fn of_each_usual_refusal_it_is_said_what_to_do() {
    let Some(keycloak) = keycloak() else { return };
    let operator = || Operator::of(keycloak);
    Operator { password: "wrong", ..operator() }.fails(
        "new-app",
        &[],
        &["invalid_grant", "check KEYCLOAK_ADMIN and KEYCLOAK_PASSWORD"],
    );
    operator().fails("new-app", &["--admin-realm", REALM], &["invalid_grant", "--admin-realm"]);
    Operator { realm: "Kafka", ..operator() }.fails("new-app", &[], &["there is no realm \"Kafka\""]);
    keycloak.add_user("master", "nobody-much", "some-password");
    Operator { admin: "nobody-much", password: "some-password", ..operator() }.fails(
        "new-app",
        &[],
        &["may not see clients", "the role manage-clients of the client \"realm-management\""],
    );
    let base = format!("{}/auth", keycloak.url());
    Operator { url: base, ..operator() }.fails("new-app", &[], &["nothing answers under /auth"]);
}

#[test]
fn a_secret_that_gets_no_token_is_not_handed_on() {
    let Some(keycloak) = keycloak() else { return };
    let operator = Operator::of(keycloak);
    let advice = ["the secret is stale", "disabled", "get a new one with --new-secret"];
    let refused = |client: &str, word: &str| operator.fails(client, &[], &[&[word], &advice[..]].concat());

    // In 1970.
    let attributes = json!({"client.secret.expiration.time": "1000"});
    keycloak.add_client(
        REALM,
        &json!({
            "clientId": "expired-app", "publicClient": false, "standardFlowEnabled": false,
            "serviceAccountsEnabled": true, "secret": "some-secret", "attributes": attributes,
        }),
    );
    refused("expired-app", "(unauthorized_client)");
    HandedOn::by(&operator.register("expired-app", &["--new-secret"]));

    HandedOn::by(&operator.register("orphaned-app", &[]));
    keycloak.disable_account(REALM, "orphaned-app");
    refused("orphaned-app", "(invalid_request)");
}

#[test]
fn by_https_keycloak_is_trusted_by_the_bundle_that_is_given() {
    let Some(keycloak) = keycloak() else { return };
    let operator = Operator { url: keycloak.https_url(), ..Operator::of(keycloak) };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let bundle = |name: &str, authority: &Authority| {
        let path = dir.path().join(name);
        fs::write(&path, authority.pem()).expect("the file can be written");
        path.to_str().expect("a path in UTF-8").to_owned()
    };
    let own = bundle("own", &keycloak.authority);
    let other = bundle("other", &Authority::new("a stranger"));
    let expected = ["SSL certificate problem: https://127.0.0.1:", "with --ca-bundle"];
    operator.fails("secure-app", &[], &expected);
    operator.fails("secure-app", &["--ca-bundle", &other], &expected);
    let handed_on = HandedOn::by(&operator.register("secure-app", &["--ca-bundle", &own]));
    let token_url = format!("{}/protocol/openid-connect/token", keycloak.https_issuer(REALM));
    assert_eq!(handed_on.says("token_endpoint_url"), token_url);

    // Mounted as it is, it is what the gateway itself logs in at brokers by.
    let mounted = handed_on.mount();
    let stage = Stage::before(vec![broker(0)], |setup, _| {
        setup.backend.push(format!(
            "authentication: {{type: oauth_bearer, credentials_directory: \"{}\", tls: {{ca_bundle: \"${{file['{own}']}}\"}}}}",
            mounted.path().display()
        ));
    });
    stage.log_in("alice").ask(9, &MetadataRequest::default());
    let own_token = last_token(stage.broker());

    // What brokers take from the gateway, a gateway takes from others.
    let of_the_realm = format!(
        "{{type: oauth_bearer, mediation: terminate, jwks: {{tls: {{ca_bundle: \"${{file['{own}']}}\"}}}}, \
         validate: {{issuer: \"{}\", audiences: [{{name: \"{AUDIENCE}\"}}]}}, claims_mapping: {{sub: client_id}}}}",
        keycloak.https_issuer(REALM)
    );
    let taking = stage_with(vec![of_the_realm], "context.auth.principal.name == 'secure-app'");
    assert_eq!(sees_orders(&mut taking.log_in_at(taking.setup.tenants[0].port, &own_token)), 0);
}
