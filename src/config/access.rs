//! How the clients of a virtual cluster log in.

use std::sync::Arc;

use super::problem::Report;
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
    let mut by_password = false;
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
                if std::mem::replace(&mut by_password, true) {
                    report.error(
                        *at,
                        "sasl_plain stands twice in this virtual cluster; list all principals in one",
                    );
                }
                methods.extend(principals::sasl_plain(section, report).map(Method::SaslPlain));
            }
        }
    }
    let bearers = sections.value.items.iter().filter_map(|Placed { at, value }| match value {
        file::Authentication::OauthBearerSection(section) => Some((*at, &**section)),
        file::Authentication::AnonymousSection(_) | file::Authentication::PlainLogin(_) => None,
    });
    bearer::tell_issuers_apart(bearers, report);
    Some(Arc::new(Authentication { methods }))
}
