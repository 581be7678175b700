//! How the clients of a virtual cluster log in.

use std::sync::Arc;

use super::problem::{Place, Report};
use super::shape::{List, Placed};
use super::stand_in::Elsewhere;
use super::{bearer, file, principals};
use crate::auth::{Authentication, Method};

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
            file::Authentication::OauthBearerSection(section) => {
                methods.extend(bearer::oauth_bearer(section, *at, around, report).map(Method::OauthBearer));
            }
            file::Authentication::PlainLogin(section) => {
                take("PLAIN", *at, &mut taken, report);
                methods.extend(principals::sasl_plain(section, report).map(Method::SaslPlain));
            }
            file::Authentication::CertificateLogin(section) => {
                let mapping = principals::client_certificate(section, report);
                methods.extend(mapping.map(Method::ClientCertificate));
            }
            file::Authentication::ScramLogin(section) => {
                if let Some(mechanism) = principals::mechanism(section) {
                    take(mechanism.name(), *at, &mut taken, report);
                }
                methods.extend(principals::sasl_scram(section, report).map(Method::SaslScram));
            }
        }
    }
    let bearers = sections.value.items.iter().filter_map(|Placed { at, value }| match value {
        file::Authentication::OauthBearerSection(section) => Some((*at, &**section)),
        _ => None,
    });
    bearer::tell_issuers_apart(bearers, report);
    Some(Arc::new(Authentication { methods }))
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
