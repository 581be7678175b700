//! Clients that the file knows by name: with passwords, or by what their certificates say.

use std::sync::Arc;

use super::backends::warn_inline;
use super::file;
use super::login_endpoint::login_endpoint;
use super::measure::Span;
use super::problem::{Place, Report};
use super::settings::positive;
use super::shape::{List, Placed};
use crate::auth::{
    InvalidScramUser, Method, Passthrough, Password, Passwords, PrincipalMapping, SaslPlain, SaslScram,
    ScramMechanism, ScramSecret, ScramUsers, is_username,
};

/// Reads logins by PLAIN.
pub(super) fn by_plain(section: &file::PlainLogin, at: Place, report: &mut Report) -> Option<Method> {
    if is_passed_through(section.mediation.as_ref()) {
        check_alone(
            section.principals.as_ref().map(|key| key.at),
            section.session_lifetime_max.as_ref(),
            report,
        );
        if let Some(Placed { at, .. }) = &section.token_endpoint {
            report.error(
                *at,
                "token_endpoint has no effect with passthrough, where the broker decides; leave it out",
            );
        }
        return Some(Method::Passthrough(Passthrough::SaslPlain));
    }
    sasl_plain(section, at, report).map(Method::SaslPlain)
}

/// Reads logins by SCRAM.
pub(super) fn by_scram(section: &file::ScramLogin, at: Place, report: &mut Report) -> Option<Method> {
    if is_passed_through(section.mediation.as_ref()) {
        check_alone(
            section.principals.as_ref().map(|key| key.at),
            section.session_lifetime_max.as_ref(),
            report,
        );
        return Some(Method::Passthrough(Passthrough::SaslScram(mechanism(section)?)));
    }
    sasl_scram(section, at, report).map(Method::SaslScram)
}

fn is_passed_through(mediation: Option<&Placed<file::PasswordMediation>>) -> bool {
    matches!(mediation, Some(Placed { value: file::PasswordMediation::Passthrough, .. }))
}

/// With passthrough the broker knows who may log in, and for how long.
fn check_alone(principals: Option<Place>, lifetime: Option<&Placed<Span>>, report: &mut Report) {
    for (key, at) in [("principals", principals), ("session_lifetime_max", lifetime.map(|key| key.at))] {
        if let Some(at) = at {
            report.error(
                at,
                format!("{key} has no effect with passthrough, where the broker decides; leave it out"),
            );
        }
    }
}

fn sasl_plain(section: &file::PlainLogin, at: Place, report: &mut Report) -> Option<SaslPlain> {
    let session_lifetime_max = positive(section.session_lifetime_max.as_ref(), report);
    let endpoint = section.token_endpoint.as_ref().map(|written| login_endpoint(&written.value, report));
    if section.principals.is_none() && endpoint.is_none() {
        report.error(at, "set principals, a list of usernames with their passwords, or token_endpoint");
        return None;
    }
    let passwords = passwords(section.principals.as_ref(), report)?;
    let endpoint = match endpoint {
        Some(endpoint) => Some(Arc::new(endpoint?)),
        None => None,
    };
    Some(SaslPlain { passwords: Arc::new(passwords), endpoint, session_lifetime_max })
}

/// The usernames that the file knows, with their passwords.
fn passwords(
    principals: Option<&Placed<List<file::PlainPrincipal>>>,
    report: &mut Report,
) -> Option<Passwords> {
    if let Some(principals) = principals
        && principals.value.written == 0
    {
        report.error(principals.at, "list at least one username with its password");
    }
    let mut names: Vec<&str> = Vec::new();
    let mut all = Vec::new();
    for Placed { value: principal, .. } in principals.iter().flat_map(|list| &list.value.items) {
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
    Passwords::new(all).ok()
}

fn sasl_scram(section: &file::ScramLogin, at: Place, report: &mut Report) -> Option<SaslScram> {
    let session_lifetime_max = positive(section.session_lifetime_max.as_ref(), report);
    let mechanism = mechanism(section)?;
    let Some(principals) = &section.principals else {
        report.error(at, "\"principals\" is missing here");
        return None;
    };
    if principals.value.written == 0 {
        report.error(principals.at, "list at least one username with its password or its credential");
        return None;
    }
    let (mut all, mut places) = (Vec::new(), Vec::new());
    for Placed { at, value: principal } in &principals.value.items {
        let (known_by, place) = match (&principal.password, &principal.credential) {
            (Some(password), None) => {
                warn_inline(Some(password), "password", report);
                (ScramSecret::Password(password.value.secret.clone()), password.at)
            }
            (None, Some(credential)) => {
                (ScramSecret::Credential(credential.value.secret.clone()), credential.at)
            }
            (Some(_), Some(credential)) => {
                report
                    .error(credential.at, "a principal has a password or a credential; keep one of the two");
                continue;
            }
            (None, None) => {
                report.error(*at, "a principal needs its password, or its credential as Kafka writes it");
                continue;
            }
        };
        let Some(username) = &principal.username else { continue };
        all.push((username.value.text.clone(), known_by));
        places.push((username.at, place));
    }
    match ScramUsers::new(mechanism, &all) {
        Ok(users) => Some(SaslScram { users: Arc::new(users), session_lifetime_max }),
        Err((place, why)) => {
            let (username, secret) = *places.get(place)?;
            let is_of_name = matches!(why, InvalidScramUser::Name | InvalidScramUser::Twice);
            report.error(if is_of_name { username } else { secret }, why.to_string());
            None
        }
    }
}

/// The rules by which a certificate names a principal.
pub(super) fn client_certificate(
    section: &file::CertificateLogin,
    report: &mut Report,
) -> Option<PrincipalMapping> {
    let Some(Placed { at, value: rules }) = &section.principal_mapping else {
        return Some(PrincipalMapping::default());
    };
    if rules.written == 0 {
        report.error(*at, "list at least one rule, or leave the key out: DEFAULT is the whole subject");
        return None;
    }
    let texts: Vec<&str> = rules.items.iter().map(|rule| rule.value.text.as_str()).collect();
    let read = PrincipalMapping::parse(&texts);
    read.map_err(|(place, why)| report.error(rules.items[place].at, why.to_string())).ok()
}

/// Which of the two mechanisms a section is about.
pub(super) fn mechanism(section: &file::ScramLogin) -> Option<ScramMechanism> {
    Some(match section.algorithm.as_ref()?.value {
        file::ScramAlgorithm::Sha256 => ScramMechanism::Sha256,
        file::ScramAlgorithm::Sha512 => ScramMechanism::Sha512,
    })
}
