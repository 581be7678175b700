//! What is written down here of Kafka's messages is what Kafka's own definitions say.

use std::process::Command;

use crate::support::kafka;

/// The script that writes it down, and can compare it instead.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/messages");

#[test]
fn the_grammar_and_the_typed_messages_are_those_of_kafkas_definitions() {
    if !kafka::is_here() {
        return;
    }
    let checked = Command::new(SCRIPT).arg("--check").output().expect("scripts/messages runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
