//! `sluicegate keycloak register` beside servers that speak the paths of Keycloak and of Kubernetes.

#[path = "../support/mod.rs"]
mod support;

mod cluster; //   a secret in the cluster that this runs in
mod keycloak; //  a stand-in for Keycloak
mod manifests; // what brings it into a cluster, and the page that tells of it
mod schema; //    what an API server takes

use std::fs;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};

use keycloak::{Keycloak, Realm, locked};
use support::keycloak::REGISTERED;
use support::process::SLUICEGATE;
use support::rest::{Asked, RestServer};
use support::tls::{Authority, server};

const PASSWORD: &str = "admin-4711";
const SECRET: &str = "s3cret-0815";
const TOKEN_URL: &str = "https://idp.example/realms/kafka/protocol/openid-connect/token";

fn register(url: &str, password: &str, environment: &[(&str, &str)], words: &[&str]) -> Output {
    let usual = ["keycloak", "register", "--realm", "kafka", "--client", "reader-app", "--timeout", "60s"];
    let repeated = |word: &str| words.iter().any(|said| said.split('=').next() == Some(word));
    let usual: Vec<&str> = usual.chunks(2).filter(|pair| !repeated(pair[0])).flatten().copied().collect();
    Command::new(SLUICEGATE)
        .args(usual)
        .args(words)
        .env_clear()
        .envs([("KEYCLOAK_URL", url), ("KEYCLOAK_ADMIN", "admin"), ("KEYCLOAK_PASSWORD", password)])
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("sluicegate starts")
}

/// What it wrote, when all was well.
fn written(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

/// It failed, wrote nothing, said this, and no secret.
fn failed(output: &Output, expected: &str) {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert!(told.contains(expected), "{told}");
    for secret in [PASSWORD, SECRET, "adm1n", "k8s-t0ken"] {
        assert!(!told.contains(secret), "{told}");
    }
}

/// It went well, wrote nothing, and told this.
fn told(output: &Output, expected: &str) {
    assert_eq!(written(output), "");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains(expected) && !told.contains(SECRET), "{told}");
}

#[test]
fn a_client_is_made_as_asked_for_and_its_secret_handed_on() {
    let keycloak = Keycloak::start();
    let words = ["--role", "reader", "--client-role", "ops", "--audience", "kafka", "--scope", "email"];
    let text = written(&keycloak.register(&words));
    assert_eq!(
        text,
        format!(
            "method=oidc\nclient_id=reader-app\nclient_secret={SECRET}\ntoken_endpoint_url={TOKEN_URL}\n\
             extensions=\nscope=email\n"
        )
    );
    let realm = locked(&keycloak.realm);
    let client = &realm.clients[0];
    for (name, value) in REGISTERED {
        assert_eq!(client[name], value, "{name}");
    }
    let mapper = &client["protocolMappers"][0];
    assert_eq!(mapper["protocolMapper"], "oidc-audience-mapper");
    let config = json!({"included.custom.audience": "kafka", "access.token.claim": "true"});
    assert_eq!(mapper["config"], config);
    assert_eq!(realm.names("users/user/role-mappings/realm"), ["reader"]);
    assert_eq!(realm.names("users/user/role-mappings/clients/id-0"), ["ops"]);
}

#[test]
fn what_is_there_already_is_left_as_it_is() {
    let keycloak = Keycloak::start();
    let words = ["--role", "reader", "--client-role", "ops"];
    let first = written(&keycloak.register(&words));
    let count = keycloak.server.asked().len();
    assert_eq!(written(&keycloak.register(&words)), first);
    let again = &keycloak.server.asked()[count..];
    let changes: Vec<&Asked> =
        again.iter().filter(|asked| asked.method != "GET" && !asked.path.ends_with("/token")).collect();
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn a_mapper_that_was_changed_says_the_audience_again() {
    let mapper = json!({"id": "mapper", "name": "audience http://kafka.dev", "protocolMapper": "oidc-audience-mapper",
        "config": {"included.custom.audience": "http://kafka.dev", "access.token.claim": "false"}});
    let keycloak = Keycloak::with(json!({"protocolMappers": [mapper]}));
    written(&keycloak.register(&[]));
    assert_eq!(
        locked(&keycloak.realm).clients[0]["protocolMappers"][0]["config"]["access.token.claim"],
        "true"
    );
}

#[test]
fn a_new_secret_is_handed_on_when_one_is_asked_for() {
    let keycloak = Keycloak::with(json!({}));
    let text = written(&keycloak.register(&["--new-secret", "--preset", "phoenix"]));
    assert_eq!(
        text,
        format!("PHOENIX_OAUTH2_CLIENT_ID=reader-app\nPHOENIX_OAUTH2_CLIENT_SECRET={SECRET}-1\n")
    );
}

#[test]
fn a_client_that_others_use_is_changed_only_when_told_so() {
    let check = |client: Json, expected: &str| {
        let keycloak = Keycloak::with(client);
        let before = locked(&keycloak.realm).clients[0].clone();
        failed(&keycloak.register(&[]), expected);
        assert_eq!(locked(&keycloak.realm).clients[0], before);
        let text = written(&keycloak.register(&["--adopt"]));
        assert!(text.contains(SECRET), "{text}");
        let realm = locked(&keycloak.realm);
        let client = &realm.clients[0];
        assert_eq!((&client["publicClient"], &client["standardFlowEnabled"]), (&json!(false), &json!(false)));
        assert_eq!(client["serviceAccountsEnabled"], true);
        assert_eq!(client["description"], before["description"], "what it has besides stays");
    };
    check(json!({"publicClient": true, "description": "a shop"}), "is public");
    check(json!({"serviceAccountsEnabled": false, "description": "a shop"}), "its service account is off");
    check(json!({"standardFlowEnabled": true, "description": "a shop"}), "logins by a browser");
    let keycloak = Keycloak::with(json!({"enabled": false}));
    failed(&keycloak.register(&["--adopt"]), "is disabled; enable it in Keycloak");
}

#[test]
fn of_each_usual_failure_it_is_said_what_to_do() {
    let keycloak = Keycloak::with(json!({}));
    let url = keycloak.server.url();
    failed(&register(&url, "wrong", &[], &[]), "invalid_grant; check KEYCLOAK_ADMIN and KEYCLOAK_PASSWORD");
    failed(&keycloak.register(&["--realm", "nowhere"]), "there is no realm \"nowhere\"; make it");
    let with_path = format!("{url}/auth");
    failed(&register(&with_path, PASSWORD, &[], &[]), "is no Keycloak: nothing answers under /auth");
    failed(&register("http://127.0.0.1:1", PASSWORD, &[], &[]), "http://127.0.0.1:1 is unreachable");
    let tokens = |error, description, expected: &str| {
        locked(&keycloak.realm).no_token = Some((error, description));
        failed(&keycloak.register(&[]), expected);
    };
    let account = "Client not enabled to retrieve service account";
    tokens("unauthorized_client", account, "(unauthorized_client): its service account is off");
    let stale = "Invalid client or Invalid client credentials";
    tokens("unauthorized_client", stale, "(unauthorized_client): the secret is stale");
    tokens("invalid_grant", "", "(invalid_grant): the secret is stale");
    locked(&keycloak.realm).refuses = Some(403);
    failed(
        &keycloak.register(&[]),
        "the admin may not see clients in realm \"kafka\"; give this user the role",
    );
    locked(&keycloak.realm).refuses = Some(500);
    failed(&keycloak.register(&[]), "answers 500 unknown_error when asked to see clients");
}

#[test]
fn a_certificate_of_a_stranger_is_not_trusted_and_one_of_the_bundle_is() {
    let authority = Authority::new("authority");
    let realm = Arc::new(Mutex::new(Realm::default()));
    let tls = server(&authority.pair(&["127.0.0.1"]), None);
    let keycloak = RestServer::start(Some(tls), move |asked| locked(&realm).answer(asked));
    let folder = tempfile::tempdir().expect("a temporary directory");
    let bundle = |name: &str, authority: &Authority| {
        let path = folder.path().join(name);
        fs::write(&path, authority.pem()).expect("the file can be written");
        path.to_str().expect("it is text").to_owned()
    };
    let (own, other) = (bundle("own", &authority), bundle("other", &Authority::new("stranger")));
    let ask = |bundle: &str| register(&keycloak.url(), PASSWORD, &[], &["--ca-bundle", bundle]);
    failed(&ask(&other), "SSL certificate problem: ");
    failed(&ask(&other), "--ca-bundle");
    assert!(written(&ask(&own)).contains(SECRET));
    let by_variable = [("KEYCLOAK_CA_BUNDLE", own.as_str())];
    assert!(written(&register(&keycloak.url(), PASSWORD, &by_variable, &[])).contains(SECRET));
}

#[test]
fn wrong_use_is_not_a_failure() {
    let check = |environment: &[(&str, &str)], words: &[&str], expected: &str| {
        let output = register("http://127.0.0.1:1", PASSWORD, environment, words);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(expected) && !told.contains(PASSWORD), "{told}");
    };
    check(&[("KEYCLOAK_PASSWORD", "")], &[], "KEYCLOAK_PASSWORD is not set");
    check(&[("KEYCLOAK_URL", "http://admin:admin-4711@kc")], &[], "--keycloak-url is no address");
    check(&[], &["--preset", "redis"], "otel-collector");
    check(&[], &["--preset", "kafka", "--key", "A=scope"], "cannot be used with");
    check(&[], &["--namespace", "kafka"], "--namespace is for --to manifest");
}
