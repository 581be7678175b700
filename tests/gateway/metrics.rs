//! The gateway seen from outside: is it alive, is it ready, what has it counted, who was refused by which rule, and
//! that no secret stands anywhere.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kafka_protocol::messages::*;
use serde_json::{Value, json};
use sluicegate::wire::ApiKey;

use super::families::{About, Manner, script, text};
use crate::support::broker::{Broker, Reply};
use crate::support::client::{CLIENT_ID, Client, client_first, request_bytes};
use crate::support::codes::SASL_AUTHENTICATION_FAILED;
use crate::support::issuer::{ES256, Fault, KeyServer, Signer, claims, with};
use crate::support::process::{Background, ConfigFile, SLUICEGATE, http_get};
use crate::support::setup::{Policy, Setup, oauth_bearer, rule};
use crate::support::stage::{Stage, token};

const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for an answer of `/readyz` with this code, and returns what it says.
fn ready_says(admin_port: u16, code: u16) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = http_get(admin_port, "/readyz");
        if let Some((_, said)) = answer.as_ref().filter(|(answered, _)| *answered == code) {
            return said.clone();
        }
        assert!(Instant::now() < deadline, "not {code} after {PATIENCE:?}, but {answer:?}");
        sleep(Duration::from_millis(20));
    }
}

/// Waits until `/readyz` says this and nothing else.
fn expect_missing(admin_port: u16, missing: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = ready_says(admin_port, 503);
        let lines: Vec<_> = said.lines().collect();
        if lines.len() == missing.len() && lines.iter().zip(missing).all(|(line, part)| line.contains(part)) {
            return;
        }
        assert!(Instant::now() < deadline, "not {missing:?} after {PATIENCE:?}, but {said:?}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn it_is_ready_while_backend_and_key_set_are_there_and_alive_from_the_start() {
    let broker = Broker::start();
    broker.on_key(ApiKey::Metadata, |_| Reply::Close);
    let keys = KeyServer::start(&[&ES256]);
    keys.fails(Some(Fault::Status(500)));
    let mut setup = Setup::new(&[broker.address()], "");
    let jwks = format!("{{endpoint: \"{}\", timeout: 5s, cache_expiration: 1s, stale_max: 2s}}", keys.url());
    setup.tenant().authentication = vec![oauth_bearer(&jwks, "")];
    setup.backend.push("metadata_update_interval_seconds: 1".to_owned());
    let config = ConfigFile::new(&setup.text());
    let path = config.path().to_str().expect("a path in UTF-8").to_owned();
    let mut process = Background::start(SLUICEGATE, &["run", "--config", &path]);
    let admin = setup.admin_port;
    process.wait_until("alive", |_| http_get(admin, "/livez").is_some_and(|(code, _)| code == 200));
    let (backend, key_set) = ("backend cluster backend", "key set");
    expect_missing(admin, &[backend, key_set]);
    keys.fails(None);
    expect_missing(admin, &[backend]);
    let there = Manner { nodes: vec![(1, broker.port())], ..Manner::default() };
    script::<MetadataRequest>(&broker, &there);
    ready_says(admin, 200);
    broker.on_key(ApiKey::Metadata, |_| Reply::Close);
    expect_missing(admin, &[backend]);
    script::<MetadataRequest>(&broker, &there);
    ready_says(admin, 200);
    // The last good set serves on for its time, and then no longer.
    keys.fails(Some(Fault::Status(500)));
    expect_missing(admin, &[key_set]);
    keys.fails(None);
    ready_says(admin, 200);
    drop(broker);
    expect_missing(admin, &[backend]);
    assert_eq!(http_get(admin, "/livez").map(|(code, _)| code), Some(200));
    // Log lines are one thing, metrics another: both say it.
    let (_, shown) = http_get(admin, "/metrics").expect("metrics are served");
    assert!(shown.contains("sluicegate_backend_up{backend=\"backend\"} 0"), "{shown}");
    assert!(process.log().contains("no broker of the backend answers"), "{}", process.log());
}

/// One line of the text format.
struct Sample {
    name: String,
    labels: String,
    value: f64,
}

/// Reads the text format of OpenMetrics as strictly as its readers do.
fn parsed(shown: &str) -> Vec<Sample> {
    let mut types: BTreeMap<String, String> = BTreeMap::new();
    let mut samples = Vec::new();
    assert!(shown.ends_with("# EOF\n"), "it has no end");
    for line in shown.lines().take_while(|line| *line != "# EOF") {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name) = (words.next().expect("a word"), words.next().expect("a name"));
            assert!(matches!(what, "HELP" | "TYPE" | "UNIT"), "{line}");
            if what == "TYPE" {
                let kind = words.next().expect("a type").to_owned();
                assert!(types.insert(name.to_owned(), kind).is_none(), "{name} is there twice");
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        let (name, labels) = series
            .split_once('{')
            .map_or((series, ""), |(name, labels)| (name, labels.strip_suffix('}').expect("labels end")));
        for label in labels.split("\",").filter(|label| !label.is_empty()) {
            let (key, value) = label.split_once("=\"").expect("a label has a value in quotes");
            assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
            assert!(!value.contains('\n'), "{line}");
        }
        let family = ["_total", "_bucket", "_sum", "_count"]
            .into_iter()
            .find_map(|end| name.strip_suffix(end).filter(|family| types.contains_key(*family)))
            .unwrap_or(name);
        let kind = types.get(family).unwrap_or_else(|| panic!("{line} has no type"));
        assert!(name.starts_with("sluicegate_"), "{line}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{line} is a {kind}");
        let value: f64 = value.parse().expect("a value is a number");
        samples.push(Sample { name: name.to_owned(), labels: labels.to_owned(), value });
    }
    samples
}

fn shown(stage: &Stage) -> String {
    stage.gateway.admin("/metrics").expect("the admin port answers").1
}

/// The sum of the samples with this name whose labels have all of these.
fn sum(samples: &[Sample], name: &str, labels: &[&str]) -> f64 {
    let has =
        |sample: &&Sample| sample.name == name && labels.iter().all(|label| sample.labels.contains(label));
    samples.iter().filter(has).map(|sample| sample.value).sum()
}

/// Waits until this sum has this value.
fn expect(stage: &Stage, name: &str, labels: &[&str], value: f64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = sum(&parsed(&shown(stage)), name, labels);
        if (now - value).abs() < f64::EPSILON {
            return;
        }
        assert!(Instant::now() < deadline, "{name} {labels:?} is {now}, not {value}:\n{}", shown(stage));
        sleep(Duration::from_millis(10));
    }
}

/// Who may write to `open` and read nothing.
fn writers() -> Vec<Policy> {
    vec![Policy::new(
        "writers",
        Some("context.auth.principal.name == 'alice'"),
        &[rule("allow", "topic", "write", "*"), rule("deny", "topic", "write", "shut")],
    )]
}

#[test]
fn what_happens_is_counted_by_virtual_cluster_api_and_reason() {
    let stage = Stage::start_with(1, |setup, _| setup.tenant().policies = writers());
    script::<ProduceRequest>(stage.broker(), &Manner::default());
    let team = "virtual_cluster=\"team\"";
    let mut alice = stage.log_in("alice");
    expect(&stage, "sluicegate_connections_open", &[team], 1.0);
    expect(&stage, "sluicegate_connections_accepted_total", &[team], 1.0);
    expect(&stage, "sluicegate_logins_total", &[team, "mechanism=\"oauth_bearer\"", "success"], 1.0);

    let mut mallory = stage.connect();
    mallory.handshake();
    mallory.authenticate(&client_first(&ES256.token(&claims("mallory", -60))));
    mallory.authenticate(b"\x01");
    mallory.expect_close();
    expect(&stage, "sluicegate_logins_total", &[team, "failure", "reason=\"expired\""], 1.0);
    expect(&stage, "sluicegate_logins_total", &["result=\"success\""], 1.0);
    expect(&stage, "sluicegate_connections_open", &[team], 1.0);
    expect(&stage, "sluicegate_connections_closed_total", &[team], 1.0);

    let request = ProduceRequest::about(&["open", "shut"], 9);
    // Without the four bytes of the length.
    let bytes = request_bytes(9, 3, Some(CLIENT_ID), &request).len() - 4;
    for _ in 0..3 {
        alice.ask(9, &request);
    }
    let produce = [team, "api=\"Produce\""];
    expect(&stage, "sluicegate_requests_total", &produce, 3.0);
    expect(&stage, "sluicegate_request_bytes_total", &produce, 3.0 * bytes as f64);
    expect(&stage, "sluicegate_refusals_total", &[team, "api=\"Produce\"", "reason=\"topic_denied\""], 3.0);
    let samples = parsed(&shown(&stage));
    assert!(sum(&samples, "sluicegate_response_bytes_total", &produce) > 30.0);
    assert!((sum(&samples, "sluicegate_requests_total", &["api=\"Fetch\""]) - 0.0).abs() < 0.1);
    alice.ask(4, &HeartbeatRequest::about(&["app"], 4));
    expect(&stage, "sluicegate_refusals_total", &["api=\"Heartbeat\"", "reason=\"group_denied\""], 1.0);
    drop(alice);
    expect(&stage, "sluicegate_connections_open", &[team], 0.0);
    expect(&stage, "sluicegate_connections_closed_total", &[team, "reason=\"client_gone\""], 1.0);
}

#[test]
fn time_in_the_gateway_is_a_histogram_that_leaves_the_broker_out() {
    let stage = Stage::start();
    stage.broker().hold(ApiKey::Produce);
    let mut client = stage.log_in("alice");
    let correlation_id = client.send(9, &ProduceRequest::about(&["open"], 9));
    let asked = stage.broker().expect(ApiKey::Produce, 1).remove(0);
    expect(&stage, "sluicegate_requests_in_flight", &["virtual_cluster=\"team\""], 1.0);
    let held_since = Instant::now();
    while held_since.elapsed() < Duration::from_millis(300) {
        assert!(client.is_silent());
    }
    asked.answer::<ProduceRequest>(&asked.request::<ProduceRequest>().answered(9, &Manner::default()));
    client.read::<ProduceRequest>(9, correlation_id);
    expect(&stage, "sluicegate_requests_in_flight", &["virtual_cluster=\"team\""], 0.0);
    // One observation on the way in, one on the way back.
    let of_produce = "api=\"Produce\"";
    expect(&stage, "sluicegate_gateway_time_seconds_count", &[of_produce], 2.0);
    let samples = parsed(&shown(&stage));
    let took = sum(&samples, "sluicegate_gateway_time_seconds_sum", &[of_produce]);
    assert!(took > 0.0 && took < 0.3, "{took} s");
    let buckets: Vec<f64> = samples
        .iter()
        .filter(|sample| sample.name.ends_with("gateway_time_seconds_bucket"))
        .filter(|sample| sample.labels.contains(of_produce))
        .map(|sample| sample.value)
        .collect();
    assert!(buckets.len() > 5 && buckets.is_sorted(), "{buckets:?}");
    assert!(buckets.last().is_some_and(|all| (all - 2.0).abs() < 0.1), "{buckets:?}");
}

#[test]
fn the_age_of_the_key_set_grows_and_begins_anew_with_each_fetch() {
    let stage = Stage::start();
    let age = || sum(&parsed(&shown(&stage)), "sluicegate_key_set_age_seconds", &[]);
    let until = |what: &str, holds: &dyn Fn(f64) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        while !holds(age()) {
            assert!(Instant::now() < deadline, "never {what}: {}", age());
            sleep(Duration::from_millis(10));
        }
    };
    until("more than a second", &|age| age > 1.1);
    assert!((sum(&parsed(&shown(&stage)), "sluicegate_key_fetches_total", &["success"]) - 1.0).abs() < 0.1);
    // A key that is not known is asked for, and then the set is new.
    let other = Signer::es256("other");
    stage.keys.rotate(&[&ES256, &other]);
    stage.log_in_at(stage.setup.tenants[0].port, &other.token(&claims("alice", 60)));
    until("young again", &|age| age < 1.0);
    expect(&stage, "sluicegate_key_fetches_total", &["success"], 2.0);
}

/// These fields of a line.
fn fields(line: &Value, names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| ((*name).to_owned(), line[*name].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn each_login_and_each_refusal_has_its_line() {
    let stage = Stage::start_with(1, |setup, _| setup.tenant().policies = writers());
    script::<ProduceRequest>(stage.broker(), &Manner::default());
    let mut alice = stage.log_in("alice");
    let who = json!({
        "virtual_cluster": "team", "listener": "team-listener", "principal": "alice", "client_id": CLIENT_ID,
    });
    let names = ["virtual_cluster", "listener", "principal", "client_id"];
    let login = stage.expect_audit("the login", |line| line["event"] == "login");
    assert_eq!(fields(&login, &names), who);
    assert_eq!(
        fields(&login, &["outcome", "mechanism"]),
        json!({"outcome": "success", "mechanism": "oauth_bearer"})
    );
    assert!(
        login["client_address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")),
        "{login}"
    );
    assert!(login["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{login}");

    alice.ask(9, &ProduceRequest::about(&["open", "shut"], 9));
    alice.ask(11, &FetchRequest::about(&["open"], 11));
    alice.ask(4, &IdempotentOf("other").request());
    let refused = |api: &'static str| stage.expect_audit(api, |line| line["api"] == api);
    let what = ["event", "outcome", "operation", "resource", "name", "policy_rule"];
    for (api, operation, resource, name, by) in [
        ("Produce", "write", "topic", "shut", "writers rule 2"),
        ("Fetch", "read", "topic", "open", "no rule allows it"),
        ("InitProducerId", "write", "transactional_id", "other", "no rule allows it"),
    ] {
        let line = refused(api);
        assert_eq!(fields(&line, &names), who);
        let expected = json!({
            "event": "refusal", "outcome": "refused", "operation": operation, "resource": resource, "name": name,
            "policy_rule": by,
        });
        assert_eq!(fields(&line, &what), expected);
    }
    // What is granted is no news.
    assert_eq!(stage.audit().len(), 4, "{:#?}", stage.audit());

    let mut mallory = stage.connect();
    mallory.handshake();
    mallory.authenticate(&client_first(&Signer::es256("es256").token(&claims("alice", 60))));
    let told = mallory.authenticate(b"\x01");
    let told = told.error_message.expect("it says where to look").to_string();
    let line = stage.expect_audit("the failed login", |line| line["outcome"] == "failure");
    let id = line["id"].as_str().expect("it has an id");
    assert!(told.contains(id), "{told} does not name {id}");
    assert!(!told.contains("signature"), "{told}");
    assert!(line["reason"].as_str().is_some_and(|reason| reason.contains("signature")), "{line}");
    assert_eq!(line["principal"], Value::Null);
}

/// A transactional producer's first question.
struct IdempotentOf(&'static str);

impl IdempotentOf {
    fn request(&self) -> InitProducerIdRequest {
        InitProducerIdRequest::default().with_transactional_id(Some(TransactionalId(text(self.0))))
    }
}

const PASSWORD: &str = "pass-3f9c0b-word";

/// A broker that lets in whoever says PLAIN.
fn plain() -> Broker {
    let broker = Broker::start();
    broker.on::<SaslHandshakeRequest>(|_| {
        SaslHandshakeResponse::default().with_mechanisms(vec![text("PLAIN")])
    });
    broker.on::<SaslAuthenticateRequest>(|request| {
        assert_eq!(&request.auth_bytes[..], format!("\0gateway\0{PASSWORD}").as_bytes());
        SaslAuthenticateResponse::default()
    });
    script::<ProduceRequest>(&broker, &Manner::default());
    broker
}

/// The last part of a token, which nobody may see.
fn signature(token: &str) -> &str {
    token.rsplit('.').next().expect("a token has parts")
}

/// Logs in by good and bad tokens, works, and says things that make no sense; returns the tokens.
fn live(stage: &Stage) -> Vec<String> {
    let good = token("alice");
    let port = stage.setup.tenants[0].port;
    let mut client = stage.log_in_at(port, &good);
    client.ask(9, &ProduceRequest::about(&["open"], 9));
    client.ask(9, &MetadataRequest::about(&["open"], 9));
    let again = token("alice");
    // A session is renewed after a second at the earliest.
    let deadline = Instant::now() + PATIENCE;
    while client.ask_for_mechanism("OAUTHBEARER").error_code != 0 {
        assert!(Instant::now() < deadline, "never again after {PATIENCE:?}");
        sleep(Duration::from_millis(50));
    }
    let answer = client.authenticate(&client_first(&again));
    assert_eq!(answer.error_code, 0, "{answer:?}");
    let expired = ES256.token(&claims("alice", -60));
    let forged = Signer::es256("es256").token(&claims("alice", 60));
    let strange = ES256.token(&with(claims("alice", 60), json!({"aud": "another"})));
    let unknown = Signer::es256("unknown").token(&claims("alice", 60));
    for token in [&expired, &forged, &strange, &unknown] {
        let mut client = Client::connect(port);
        client.handshake();
        client.authenticate(&client_first(token));
        client.authenticate(b"\x01");
        client.expect_close();
    }
    let garbled = token("mallory");
    for message in
        [format!("n,,\u{1}auth={garbled}\u{1}\u{1}"), format!("n,a={garbled},\u{1}auth=Bearer {garbled}")]
    {
        let mut client = Client::connect(port);
        client.handshake();
        client.authenticate(message.as_bytes());
        client.expect_close();
    }
    vec![good, again, expired, forged, strange, unknown, garbled]
}

#[test]
fn s_31_no_secret_stands_in_any_log_at_any_level() {
    for format in ["text", "json"] {
        let mut stage = Stage::before(vec![plain()], |setup, _| {
            setup.sections.push(format!("logging: {{format: {format}, level: trace}}"));
            setup.backend.push(format!(
                "authentication: {{type: sasl_plain, username: gateway, password: {PASSWORD}}}"
            ));
            setup.backend.push("metadata_update_interval_seconds: 1".to_owned());
        });
        let tokens = live(&stage);
        // A broker that does not let us in any more, and says more than it should.
        stage.broker().on::<SaslAuthenticateRequest>(|_| {
            SaslAuthenticateResponse::default()
                .with_error_code(SASL_AUTHENTICATION_FAILED)
                .with_error_message(Some(text(&format!("{PASSWORD} is wrong"))))
        });
        stage
            .gateway
            .process
            .wait_until("refused", |process| process.log().contains("the broker refuses the credentials"));
        let by_plain = STANDARD.encode(format!("\0gateway\0{PASSWORD}"));
        let mut secrets: Vec<&str> = tokens.iter().map(|token| signature(token)).collect();
        secrets.extend([PASSWORD, &by_plain]);
        stage.gateway.assert_silent(&secrets);
        // Its last words too.
        stage.gateway.process.signal("TERM");
        stage.gateway.process.wait(PATIENCE);
        stage.gateway.assert_silent(&secrets);
        // It did say something, or there is nothing to be seen.
        assert!(stage.audit().len() >= 7, "{:#?}", stage.audit());
    }
}
