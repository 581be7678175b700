//! Why something was refused, asked without a client.

use std::process::Output;

use serde_json::json;

use crate::support::issuer::{ES256, claims, with};
use crate::support::process::sluicegate;
use crate::support::setup::{Policy, Setup, rule};
use crate::support::stage::{Stage, token};

/// A reader who may read some, a writer who may write all but one.
fn readers_and_writers(setup: &mut Setup, _: &str) {
    setup.tenant().policies = vec![
        Policy::new(
            "readers",
            Some("context.auth.token.claims.role == 'reader'"),
            &[rule("allow", "topic", "read", "open-*"), rule("allow", "group", "read", "*")],
        ),
        Policy::new(
            "writers",
            Some("context.auth.token.claims.role == 'writer'"),
            &[rule("allow", "topic", "write", "*"), rule("deny", "topic", "write", "shut")],
        ),
    ];
}

fn explain(stage: &Stage, arguments: &[&str]) -> (Option<i32>, String) {
    said(&sluicegate(&[&["explain", "-c", path(stage)], arguments].concat()))
}

fn path(stage: &Stage) -> &str {
    stage.gateway.config.path().to_str().expect("a path in UTF-8")
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("text"))
}

#[test]
fn the_rule_that_decides_is_named() {
    let stage = Stage::start_with(1, readers_and_writers);
    for (role, operation, topic, code, expected) in [
        ("reader", "read", "open-1", 0, "yes, by readers rule 1"),
        ("reader", "describe", "open-1", 0, "yes, by readers rule 1"),
        ("reader", "write", "open-1", 1, "no: no rule allows it"),
        ("writer", "write", "any", 0, "yes, by writers rule 1"),
        ("writer", "write", "shut", 1, "no, by writers rule 2"),
        ("nobody", "write", "any", 1, "no: no rule allows it"),
    ] {
        let claims = json!({"sub": "alice", "role": role}).to_string();
        let (status, text) =
            explain(&stage, &["--claims", &claims, "--operation", operation, "--topic", topic]);
        assert!(text.contains(expected), "{role} {operation} {topic}: {text}");
        assert_eq!(status, Some(code), "{text}");
        assert!(text.contains(&format!("which the broker calls my-{topic}")), "{text}");
        let counts = if role == "reader" { "readers counts" } else { "readers does not count" };
        assert!(text.contains(counts), "{text}");
    }
}

#[test]
fn a_token_is_verified_as_in_a_login_and_not_shown() {
    let stage = Stage::start_with(1, readers_and_writers);
    let reader = ES256.token(&with(claims("alice", 3600), json!({"role": "reader"})));
    let ask = ["--operation", "read", "--topic", "open-1", "--token"];
    let (status, text) = explain(&stage, &[&ask[..], &[&reader]].concat());
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("alice (its token is right, and good for "), "{text}");
    let expired = ES256.token(&claims("alice", -3600));
    let (status, text) = explain(&stage, &[&ask[..], &[&expired]].concat());
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("refused: the token has expired"), "{text}");
    let forged = format!("{}x", &reader[..reader.len() - 1]);
    for (token, code, expected) in [
        (&reader, 0, "the virtual cluster team takes the token"),
        (&expired, 1, "refuses the token: the token has expired"),
        (&forged, 1, "refuses the token: "),
    ] {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), token).expect("it can be written");
        let file = file.path().to_str().expect("a path in UTF-8");
        let output = sluicegate(&["token", "inspect", "-c", path(&stage), "--token-file", file]);
        let (status, text) = said(&output);
        assert_eq!(status, Some(code), "{text}");
        assert!(text.contains(expected), "{text}");
        let [_, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        assert!(!text.contains(payload) && !text.contains(signature), "{text}");
    }
}

#[test]
fn a_question_that_makes_no_sense_is_answered_by_how_to_ask() {
    let stage = Stage::start_with(1, readers_and_writers);
    let alice = token("alice");
    for (arguments, expected) in [
        (&["--operation", "read", "--topic", "x"][..], "--token"),
        (&["--token", &alice, "--operation", "reed", "--topic", "x"], "read"),
        (&["--token", &alice, "--operation", "read"], "--topic"),
        (&["--claims", "[]", "--operation", "read", "--topic", "x"], "one JSON object"),
        (
            &["--claims", "{}", "--operation", "read", "--topic", "x", "--virtual-cluster", "other"],
            "it has team",
        ),
    ] {
        let (status, text) = explain(&stage, arguments);
        assert_eq!(status, Some(2), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn a_computed_prefix_and_a_client_without_a_token_are_explained() {
    let stage = Stage::start_with(1, |setup, jwks| {
        readers_and_writers(setup, jwks);
        setup.tenant().namespace =
            "{mode: hide_prefix, prefix: \"${context.auth.token.claims.tenant}.\"}".to_owned();
        setup.tenant().policies.push(Policy::new(
            "operators",
            Some("context.auth.principal.name == 'ops'"),
            &[rule("allow", "cluster", "describe", "kafka-cluster")],
        ));
    });
    let claims = json!({"sub": "alice", "role": "reader", "tenant": "blue"}).to_string();
    let (_, text) = explain(&stage, &["--claims", &claims, "--operation", "read", "--topic", "open-1"]);
    assert!(text.contains("which the broker calls blue.open-1"), "{text}");
    let claims = json!({"sub": "alice", "tenant": "*"}).to_string();
    let (status, text) = explain(&stage, &["--claims", &claims, "--operation", "read", "--topic", "open-1"]);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("refused: what is to be a part of the namespace's prefix"), "{text}");
}
