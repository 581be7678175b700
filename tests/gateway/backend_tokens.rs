//! The gateway logs in at brokers with tokens of its own, wherever it gets them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use kafka_protocol::messages::{MetadataRequest, SaslAuthenticateRequest, SaslAuthenticateResponse};
use kafka_protocol::protocol::StrBytes;
use rcgen::KeyPair;
use sluicegate::wire::ApiKey;

use crate::support::bearer_broker::{broker, said};
use crate::support::broker::Broker;
use crate::support::codes::SASL_AUTHENTICATION_FAILED;
use crate::support::process::Gateway;
use crate::support::setup::Setup;
use crate::support::stage::{Stage, wait_until};
use crate::support::tls::{Authority, inline};
use crate::support::token_server::{Question, TokenServer, granted, http};

const SECRET: &str = "open-sesame-4711";
const TOKEN: &str = "backend-token-0815";

/// A gateway before this broker that gets its tokens so.
fn stage(broker: Broker, keys: &str) -> Stage {
    Stage::before(vec![broker], |setup, _| log_in_by(setup, keys))
}

fn log_in_by(setup: &mut Setup, keys: &str) {
    setup.backend.push(format!("authentication: {{type: oauth_bearer, {keys}}}"));
    setup.sections.push("logging: {level: trace}".to_owned());
}

fn by_secret(server: &TokenServer) -> String {
    format!("token_endpoint: \"{}\", client_id: gateway, client_secret: {SECRET}, timeout: 1s", server.url())
}

fn first_message(token: &str, extensions: &str) -> Bytes {
    format!("n,,|auth=Bearer {token}|{extensions}|").replace('|', "\u{1}").into()
}

#[test]
fn s_33_a_token_is_fetched_by_client_credentials_and_taken_to_brokers() {
    let key = inline(&KeyPair::generate().expect("a key can be made").serialize_pem());
    let check = |keys: &str, is_right: fn(&Question) -> bool| {
        let server = TokenServer::start(|_| Some(granted(TOKEN, ", \"expires_in\": 300")));
        let keys = format!("token_endpoint: \"{}\", client_id: gateway, {keys}", server.url());
        let stage = stage(broker(0), &keys);
        let mut client = stage.log_in("alice");
        client.ask(9, &MetadataRequest::default());
        let connection = stage.broker().expect(ApiKey::Metadata, 1)[0].connection;
        let said = said(stage.broker());
        assert!(
            said.iter().any(|(place, _)| *place == connection),
            "the client's own connection is logged in"
        );
        for (_, message) in &said {
            assert_eq!(*message, first_message(TOKEN, "logicalCluster=lkc-1\u{1}"));
        }
        let asked = server.asked();
        assert_eq!(asked.len(), 1, "one token for all connections");
        assert_eq!(asked[0].says("grant_type"), Some("client_credentials"));
        assert!(is_right(&asked[0]), "{:?}", asked[0]);
        let left = stage.metric("sluicegate_token_time_left_seconds{backend=\"backend\"}");
        assert!((200.0..=300.0).contains(&left), "{left}");
        let fetches = "sluicegate_token_fetches_total{backend=\"backend\",result=\"success\"}";
        stage.expect_metric(fetches, 1.0);
        assert_silent(&stage.gateway);
    };
    let extensions = "extensions: {logicalCluster: lkc-1}";
    check(&format!("client_secret: \"a b&{SECRET}\", scope: \"\", {extensions}"), |asked| {
        asked.authorization.as_deref() == Some("gateway:a+b%26open-sesame-4711") && asked.form.len() == 1
    });
    let post = "client_authentication: post, scope: \"kafka read\", audience: kafka";
    check(&format!("client_secret: {SECRET}, {post}, {extensions}"), |asked| {
        asked.authorization.is_none()
            && asked.says("client_id") == Some("gateway")
            && asked.says("client_secret") == Some(SECRET)
            && asked.says("scope") == Some("kafka read")
            && asked.says("audience") == Some("kafka")
    });
    check(
        &format!("client_assertion: {{key: {key}, algorithm: ES256, key_id: k1}}, {extensions}"),
        |asked| {
            let assertion = asked.says("client_assertion").unwrap_or_default();
            let claims =
                assertion.split('.').nth(1).and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
            let claims: serde_json::Value =
                serde_json::from_slice(&claims.unwrap_or_default()).unwrap_or_default();
            asked.authorization.is_none()
                && asked.says("client_id") == Some("gateway")
                && asked.says("client_assertion_type")
                    == Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
                && claims["iss"] == "gateway"
                && claims["sub"] == "gateway"
                && claims["aud"].as_str().is_some_and(|url| url.ends_with("/token"))
        },
    );
}

/// Neither the secret nor the token is told.
#[track_caller]
fn assert_silent(gateway: &Gateway) {
    let basic = BASE64_STANDARD.encode(format!("gateway:{SECRET}"));
    gateway.assert_silent(&[SECRET, TOKEN, &basic]);
}

#[test]
fn a_broker_that_refuses_the_token_is_told_of_without_the_token() {
    let server = TokenServer::start(|_| Some(granted(TOKEN, "")));
    let broker = broker(0);
    broker.on::<SaslAuthenticateRequest>(|request| {
        let answer = SaslAuthenticateResponse::default();
        if request.auth_bytes == "\u{1}" {
            let text = StrBytes::from_string(format!("{TOKEN} is not good"));
            return answer.with_error_code(SASL_AUTHENTICATION_FAILED).with_error_message(Some(text));
        }
        answer.with_auth_bytes(Bytes::from_static(b"{\"status\":\"invalid_token\"}"))
    });
    let mut setup = Setup::new(&[broker.address()], "{endpoint: \"http://127.0.0.1:1/\"}");
    log_in_by(&mut setup, &by_secret(&server));
    let mut gateway = Gateway::launch(&setup.text(), setup.admin_port);
    let told = "the broker refuses the token of this backend cluster: invalid_token";
    gateway.process.wait_until("refused", |process| process.log().contains(told));
    let said: Vec<Bytes> = said(&broker).into_iter().map(|(_, message)| message).take(2).collect();
    assert_eq!(said, [first_message(TOKEN, ""), Bytes::from_static(b"\x01")]);
    wait_until("a better token is asked for", || server.asked().len() > 1);
    assert_silent(&gateway);
}

#[test]
fn connections_are_renewed_with_the_newest_token_and_clients_notice_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("token");
    fs::write(&path, "token-1\n").expect("the file can be written");
    let stage = stage(broker(1500), &format!("token_file: \"{}\"", path.display()));
    let mut client = stage.log_in("alice");
    client.ask(9, &MetadataRequest::default());
    let connection = stage.broker().expect(ApiKey::Metadata, 1)[0].connection;
    let renewed = |token: &str| {
        let message = first_message(token, "");
        said(stage.broker()).iter().filter(|said| **said == (connection, message.clone())).count()
    };
    wait_until("renewed twice", || renewed("token-1") >= 3);
    // As a kubelet does it: a new file in the place of the old one.
    let new = dir.path().join("new");
    fs::write(&new, "token-2").expect("the file can be written");
    fs::rename(&new, &path).expect("the file can be moved");
    wait_until("renewed with the new token", || renewed("token-2") >= 1);
    client.ask(9, &MetadataRequest::default());
    assert_eq!(stage.broker().expect(ApiKey::Metadata, 2)[1].connection, connection);
}

#[test]
fn without_a_token_a_client_waits_a_little_and_the_gateway_is_not_ready() {
    let server = TokenServer::start(|_| Some(granted(TOKEN, ", \"expires_in\": 2")));
    let keys = by_secret(&server);
    let stage = stage(broker(0), &keys);
    server.answers(|_| None);
    let readyz = || stage.gateway.admin("/readyz").expect("the admin port answers");
    wait_until("the token is over", || {
        readyz().1.contains("the token for backend cluster backend is not there: no answer within 1s")
    });
    assert_eq!(readyz().0, 503);
    stage.expect_metric("sluicegate_token_time_left_seconds{backend=\"backend\"}", 0.0);
    let mut client = stage.log_in("alice");
    client.expect_close();
    let closed = "sluicegate_connections_closed_total{virtual_cluster=\"team\",reason=\"no_token\"}";
    stage.expect_metric(closed, 1.0);
    let log = stage.gateway.process.log();
    assert!(log.contains("there is no token to log in with: no answer within 1s"), "{log}");
    server.answers(|_| Some(granted(TOKEN, ", \"expires_in\": 300")));
    wait_until("ready again", || readyz().0 == 200);
    stage.log_in("alice").ask(9, &MetadataRequest::default());
    assert_silent(&stage.gateway);
}

#[test]
fn what_a_token_endpoint_must_not_answer_is_no_token() {
    let huge = http(200, "application/json", &"x".repeat(300 * 1024));
    let echo = format!("{{\"error\": \"invalid_client\", \"error_description\": \"{SECRET}\"}}");
    let own_word = format!("{{\"error\": \"{SECRET}\"}}");
    let mac = format!("{{\"access_token\": \"{TOKEN}\", \"token_type\": \"MAC\"}}");
    let redirect = "HTTP/1.1 307 told\r\nlocation: /token\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    for (answer, result, why) in [
        (Some(http(500, "text/html", "<h1>sorry</h1>")), "refused", "answers 500"),
        (Some(http(401, "application/json", &echo)), "refused", "invalid_client"),
        (Some(http(400, "application/json", &own_word)), "refused", "without a word of RFC 6749"),
        (Some(redirect.to_owned()), "refused", "answers 307"),
        (Some(http(200, "text/html", "<h1>log in</h1>")), "malformed", "something else than JSON"),
        (Some(http(200, "application/json", "{}{}")), "malformed", "not one JSON object"),
        (Some(http(200, "application/json", &mac)), "malformed", "token_type is not Bearer"),
        (Some(huge), "malformed", "longer than 262144 bytes"),
        (Some(granted(&format!("{TOKEN} x"), "")), "malformed", "characters that no token has"),
        (Some(granted(TOKEN, ", \"expires_in\": 0")), "malformed", "over already"),
        (Some("nonsense".to_owned()), "unreachable", ""),
        (None, "unreachable", "no answer within 1s"),
    ] {
        let server = TokenServer::start(move |_| answer.clone());
        let mut setup = Setup::new(&["127.0.0.1:1".to_owned()], "{endpoint: \"http://127.0.0.1:1/\"}");
        log_in_by(&mut setup, &by_secret(&server));
        let gateway = Gateway::launch(&setup.text(), setup.admin_port);
        wait_until(why, || {
            let told = gateway.admin("/readyz").map(|(_, body)| body).unwrap_or_default();
            let line = told.lines().find(|line| line.starts_with("the token for backend cluster backend"));
            line.is_some_and(|line| line.contains(why) && !line.contains("being fetched"))
        });
        let (_, metrics) = gateway.admin("/metrics").expect("the admin port answers");
        let line = format!("sluicegate_token_fetches_total{{backend=\"backend\",result=\"{result}\"}} ");
        assert!(metrics.contains(&line), "{why}: {metrics}");
        assert_silent(&gateway);
    }
}

#[test]
fn a_token_that_says_no_end_counts_for_five_minutes() {
    let server = TokenServer::start(|_| Some(granted(TOKEN, "")));
    let stage = stage(broker(0), &by_secret(&server));
    let left = stage.metric("sluicegate_token_time_left_seconds{backend=\"backend\"}");
    assert!((200.0..=300.0).contains(&left), "{left}");
}

#[test]
fn a_token_endpoint_is_trusted_by_the_ca_that_the_file_names() {
    let ours = Authority::new("our authority");
    let server = TokenServer::start_tls(&ours.pair(&["127.0.0.1"]), |_| Some(granted(TOKEN, "")));
    let trusting = |authority: &Authority| format!("{}, {}", by_secret(&server), authority.trusted());
    assert_eq!(said(stage(broker(0), &trusting(&ours)).broker())[0].1, first_message(TOKEN, ""));
    let asked = server.asked().len();
    let mut setup = Setup::new(&["127.0.0.1:1".to_owned()], "{endpoint: \"http://127.0.0.1:1/\"}");
    log_in_by(&mut setup, &trusting(&Authority::new("our authority")));
    let gateway = Gateway::launch(&setup.text(), setup.admin_port);
    wait_until("not trusted", || {
        gateway.admin("/readyz").is_some_and(|(_, body)| body.contains("invalid peer certificate"))
    });
    assert_eq!(server.asked().len(), asked, "nothing is said to whom nobody vouches for");
    assert_silent(&gateway);
}

#[test]
fn a_mounted_secret_is_read_again_when_it_changes() {
    let server = TokenServer::start(|asked| {
        let secret = asked.authorization.as_deref().unwrap_or_default().to_owned();
        Some(granted(&secret.replace(':', "."), ", \"expires_in\": 300"))
    });
    let dir = tempfile::tempdir().expect("a temporary directory");
    mount(dir.path(), "..1", &server.url(), "old", "logicalCluster=lkc-1,identityPoolId=pool-1\n");
    let stage = stage(broker(1500), &format!("credentials_directory: \"{}\"", dir.path().display()));
    let extensions = "logicalCluster=lkc-1\u{1}identityPoolId=pool-1\u{1}";
    assert_eq!(said(stage.broker())[0].1, first_message("gateway.old", extensions));
    let mut client = stage.log_in("alice");
    client.ask(9, &MetadataRequest::default());
    let connection = stage.broker().expect(ApiKey::Metadata, 1)[0].connection;
    mount(dir.path(), "..2", &server.url(), "new", "");
    let renewed = (connection, first_message("gateway.new", ""));
    wait_until("renewed by the new secret", || said(stage.broker()).contains(&renewed));
    client.ask(9, &MetadataRequest::default());
}

/// Puts credentials into a directory as a kubelet does: whole, by turning one link.
fn mount(dir: &Path, generation: &str, url: &str, secret: &str, extensions: &str) {
    fs::create_dir(dir.join(generation)).expect("a directory can be made");
    for (name, text) in [
        ("method", "oidc"),
        ("client_id", "gateway"),
        ("client_secret", secret),
        ("token_endpoint_url", url),
        ("extensions", extensions),
        ("scope", ""),
    ] {
        fs::write(dir.join(generation).join(name), text).expect("the file can be written");
        let link = dir.join(name);
        if !link.exists() {
            let _ = symlink(Path::new("..data").join(name), link);
        }
    }
    let next = dir.join("..next");
    symlink(generation, &next).expect("a link can be made");
    fs::rename(next, dir.join("..data")).expect("a link can be turned");
}
