//! Tokens about which an OAuth server is asked: where, as whom, and for how long its word counts.

use super::file;
use super::http::{Asking, FORGE, FORGED, place_name, server_url};
use super::oauth_client::Client;
use super::problem::Report;
use super::shape::Placed;
use super::stand_in::Elsewhere;
use crate::auth::Introspection;

/// Reads an introspection endpoint, and who asks there.
pub(super) fn introspection(
    section: &Placed<file::IntrospectionSection>,
    elsewhere: &Elsewhere<'_>,
    report: &mut Report,
) -> Option<Introspection> {
    let Placed { at, value: section } = section;
    let asking = Asking {
        timeout: section.timeout.as_ref(),
        tls: section.tls.as_ref(),
        proxy: section.proxy.as_ref(),
        insecure_allow_http: section.insecure_allow_http.as_ref(),
    };
    let http = asking.read(FORGED, report);
    let endpoint = section.endpoint.as_ref();
    let endpoint = endpoint.and_then(|url| server_url(url, EXAMPLE, FORGE, &http, report));
    let client = Client {
        id: section.client_id.as_ref(),
        secret: section.client_secret.as_ref(),
        authentication: section.client_authentication.as_ref(),
        assertion: section.client_assertion.as_ref(),
    };
    let client = client.read(endpoint.as_ref(), *at, elsewhere, report);
    let mut kept_max = Introspection::KEPT_MAX;
    if let Some(Placed { at, value }) = &section.cache_lifetime_max {
        if value.0 > Introspection::KEPT_MAX {
            report.error(*at, "at most 60s: for as long a token that was revoked would still log in");
        }
        kept_max = value.0;
    }
    let (endpoint, (client_id, proof)) = (endpoint?, client?);
    Some(Introspection { name: place_name(&endpoint).into(), endpoint, client_id, proof, http, kept_max })
}

const EXAMPLE: &str = "https://idp.example/introspect";
