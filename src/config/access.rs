//! How the clients of a virtual cluster log in.

use std::sync::Arc;

use super::problem::{Place, Report};
use super::shape::{List, Placed};
use super::stand_in::Elsewhere;
use super::{bearer, file, principals};
use crate::auth::{Authentication, Method, Passthrough};

/// What is known beside the section itself.
pub(super) struct Around<'a> {
    pub elsewhere: &'a Elsewhere<'a>,
    pub token_bytes: usize,
    /// The backend, if it does not allow anonymous clients before it.
    pub forbids_anonymous: Option<&'a str>,
}

/// Reads the ways in.
pub(super) fn authentication(
    sections: &Placed<List<file::Authentication>>,
    around: &Around<'_>,
    report: &mut Report,
) -> Option<Arc<Authentication>> {
    if sections.value.written == 0 {
        report.error(sections.at, "list at least one way to log in");
        return None;
    }
    let mut methods = Vec::new();
    let mut taken: Vec<&'static str> = Vec::new();
    for Placed { at, value: section } in &sections.value.items {
        match section {
            file::Authentication::AnonymousSection(_) => {
                if let Some(backend) = around.forbids_anonymous {
                    report.error(*at, format!("clients may be anonymous only where the backend cluster {backend} says insecure_allow_anonymous_virtual_cluster_auth: true"));
                }
                methods.push(Method::Anonymous);
            }
            file::Authentication::OauthBearerSection(section) if is_passed_through(section) => {
                take("OAUTHBEARER", *at, &mut taken, report);
                let rules = bearer::passed_through(section, around, report);
                methods.push(Method::Passthrough(Passthrough::OauthBearer(Box::new(rules))));
            }
            file::Authentication::OauthBearerSection(section) => {
                methods.extend(bearer::oauth_bearer(section, *at, around, report).map(Method::OauthBearer));
            }
            file::Authentication::PlainLogin(section) => {
                take("PLAIN", *at, &mut taken, report);
                methods.extend(principals::by_plain(section, *at, report));
            }
            file::Authentication::CertificateLogin(section) => {
                let mapping = principals::client_certificate(section, report);
                methods.extend(mapping.map(Method::ClientCertificate));
            }
            file::Authentication::ScramLogin(section) => {
                if let Some(mechanism) = principals::mechanism(section) {
                    take(mechanism.name(), *at, &mut taken, report);
                }
                methods.extend(principals::by_scram(section, *at, report));
            }
        }
    }
    let bearers = || {
        sections.value.items.iter().filter_map(|Placed { at, value }| match value {
            file::Authentication::OauthBearerSection(section) => Some((*at, &**section)),
            _ => None,
        })
    };
    for Placed { value: section, .. } in &sections.value.items {
        if let file::Authentication::PlainLogin(section) = section
            && let Some(Placed { at, .. }) = &section.token_endpoint
            && !bearers().any(|(_, section)| mediation(section) == file::Mediation::Terminate)
        {
            report.error(*at, "nobody here verifies the tokens that come of this; add an oauth_bearer with mediation: terminate, and there their issuer's validate, with its jwks or introspection");
        }
    }
    if let Some((at, _)) = bearers().filter(|(_, section)| section.introspection.is_some()).nth(1) {
        report.warn(at, "about a token that no key can verify all introspection endpoints are asked, so each of these issuers is shown the tokens of the others' clients, and can log in as them; have one with introspection");
    }
    let mut mediations = bearers().map(|(at, section)| (at, mediation(section)));
    if let Some((_, first)) = mediations.next()
        && let Some((at, _)) = mediations.find(|(_, other)| *other != first)
    {
        report.error(at, "what becomes of tokens is the same for all issuers of a virtual cluster; give each oauth_bearer the same mediation");
    }
    bearer::tell_issuers_apart(bearers().filter(|(_, section)| !is_passed_through(section)), report);
    let forwards_tokens =
        bearers().any(|(_, section)| mediation(section) == file::Mediation::ValidateForward);
    Some(Arc::new(Authentication { methods, forwards_tokens }))
}

fn mediation(section: &file::OauthBearerSection) -> file::Mediation {
    section.mediation.as_ref().map_or(file::Mediation::Terminate, |mediation| mediation.value)
}

fn is_passed_through(section: &file::OauthBearerSection) -> bool {
    mediation(section) == file::Mediation::Passthrough
}

/// A mechanism has one list of those who may log in by it.
fn take(mechanism: &'static str, at: Place, taken: &mut Vec<&'static str>, report: &mut Report) {
    if taken.contains(&mechanism) {
        report.error(
            at,
            format!("{mechanism} is offered twice in this virtual cluster; list all principals in one"),
        );
    }
    taken.push(mechanism);
}
