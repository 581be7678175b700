//! Where clients' names and passwords are exchanged for tokens.

use super::file;
use super::http::{Asking, server_url};
use super::oauth_client::{audience, scope};
use super::problem::Report;
use crate::auth::LoginEndpoint;

/// Reads the token endpoint of a section.
pub(super) fn login_endpoint(
    section: &file::LoginEndpointSection,
    report: &mut Report,
) -> Option<LoginEndpoint> {
    let asking = Asking {
        timeout: section.timeout.as_ref(),
        tls: section.tls.as_ref(),
        proxy: section.proxy.as_ref(),
        insecure_allow_http: section.insecure_allow_http.as_ref(),
    };
    let http = asking.read("over plain http clients' secrets can be read by anybody on the way", report);
    let scope = scope(section.scope.as_ref(), report);
    let audience = audience(section.audience.as_ref(), report);
    let word = section.client_authentication.as_ref().map(|word| word.value);
    let endpoint = section.endpoint.as_ref()?;
    Some(LoginEndpoint {
        url: server_url(endpoint, EXAMPLE, "read clients' secrets", &http, report)?,
        sends_in_body: word == Some(file::ClientAuthenticationWord::Post),
        scope,
        audience,
        http,
    })
}

const EXAMPLE: &str = "https://idp.example/token";
