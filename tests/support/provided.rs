//! What `scripts/test` provides to tests, and a bare `cargo test` does without.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Whether this run has what a variable says the place of. Without it the tests that need it are left out, aloud; in CI
/// they fail instead.
pub fn required(variable: &'static str, what: &str) -> bool {
    if std::env::var_os(variable).is_some() {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci.is_empty() || ci == "false"),
        "{variable} is not set, and CI leaves nothing out; run scripts/test"
    );
    static TOLD: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    if TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(variable) {
        // Written past the test harness, which shows what a passing test prints to nobody.
        let _ = writeln!(
            std::io::stderr(),
            "LEFT OUT: every test against {what}, for {variable} is not set; scripts/test runs them"
        );
    }
    false
}
