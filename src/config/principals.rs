//! Clients that the file knows by name and password.

use std::sync::Arc;

use super::backends::warn_inline;
use super::file;
use super::problem::Report;
use super::settings::positive;
use super::shape::Placed;
use crate::auth::{Password, Passwords, SaslPlain, is_username};

pub(super) fn sasl_plain(section: &file::PlainLogin, report: &mut Report) -> Option<SaslPlain> {
    let session_lifetime_max = positive(section.session_lifetime_max.as_ref(), report);
    let principals = section.principals.as_ref()?;
    if principals.value.written == 0 {
        report.error(principals.at, "list at least one username with its password");
    }
    let mut names: Vec<&str> = Vec::new();
    let mut all = Vec::new();
    for Placed { value: principal, .. } in &principals.value.items {
        let (Some(username), Some(written)) = (&principal.username, &principal.password) else { continue };
        let name = &username.value.text;
        if !is_username(name) {
            report.error(username.at, "a username has 1 to 256 bytes and no control characters");
        } else if names.contains(&name.as_str()) {
            report.error(username.at, format!("the username {} stands twice", username.value.shown()));
        }
        names.push(name);
        match Password::read(&written.value.secret) {
            Ok(password) => {
                if !password.is_hashed() {
                    warn_inline(Some(written), "password", report);
                }
                all.push((name.clone(), password));
            }
            Err(why) => report.error(written.at, why.to_string()),
        }
    }
    // What is broken was reported above.
    let passwords = Passwords::new(all).ok()?;
    Some(SaslPlain { passwords: Arc::new(passwords), session_lifetime_max })
}
