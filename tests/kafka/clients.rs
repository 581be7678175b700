//! The commonest client libraries, each as `docs/clients.md` says; `scripts/clients` runs them.

use std::process::{Command, Stdio};

use crate::support::kafka;
use crate::support::process::SLUICEGATE;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/clients");

#[test]
fn the_commonest_libraries_work_as_their_page_says() {
    if !kafka::is_here() {
        return;
    }
    // Standard input stays open as long as this waits: the script ends when the test does, however that ends.
    let script = Command::new(SCRIPT)
        .args(["--commonest", "--while-stdin-open"])
        .env("SLUICEGATE_BIN", SLUICEGATE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut script = script.expect("scripts/clients starts");
    let stdin = script.stdin.take();
    let output = script.wait_with_output().expect("a child can be waited for");
    drop(stdin);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.lines().count() >= 3, "{said}");
}
