//! Where clients' names and passwords are exchanged for tokens.

use url::Url;

use super::backends::check_certificates;
use super::bearer::{proxy_url, shown_url};
use super::file;
use super::problem::Report;
use super::settings::positive;
use super::shape::Placed;
use super::yaml::Text;
use crate::auth::discovery::{InvalidIssuer, check_address};
use crate::auth::{HttpSettings, LoginEndpoint, is_scope};

/// Reads the token endpoint of a section.
pub(super) fn login_endpoint(
    section: &file::LoginEndpointSection,
    report: &mut Report,
) -> Option<LoginEndpoint> {
    let http = http(section, report);
    let scope = section.scope.as_ref().filter(|scope| !scope.value.text.is_empty());
    if let Some(Placed { at, value }) = scope
        && !is_scope(&value.text)
    {
        report.error(*at, "a scope is words with one space between them");
    }
    if let Some(Placed { at, value }) = &section.audience
        && value.text.is_empty()
    {
        report.error(*at, "the audience is empty");
    }
    let word = section.client_authentication.as_ref().map(|word| word.value);
    Some(LoginEndpoint {
        url: url(section.endpoint.as_ref()?, http.insecure_allow_http, report)?,
        sends_in_body: word == Some(file::ClientAuthenticationWord::Post),
        scope: scope.map(|scope| scope.value.text.clone()),
        audience: section.audience.as_ref().map(|audience| audience.value.text.clone()),
        http,
    })
}

fn http(section: &file::LoginEndpointSection, report: &mut Report) -> HttpSettings {
    let default = HttpSettings::default();
    let bundle = section.tls.as_ref().and_then(|tls| tls.value.ca_bundle.as_ref());
    let bundle = bundle.filter(|bundle| check_certificates(bundle, report));
    if let Some(Placed { at, value: true }) = &section.insecure_allow_http {
        report.warn(*at, "over plain http clients' secrets can be read by anybody on the way");
    }
    HttpSettings {
        timeout: positive(section.timeout.as_ref(), report).unwrap_or(default.timeout),
        ca_bundle: bundle.map(|bundle| bundle.value.text.as_str().into()),
        proxy: section.proxy.as_ref().and_then(|proxy| proxy_url(proxy, report)),
        insecure_allow_http: section.insecure_allow_http.as_ref().is_some_and(|allowed| allowed.value),
    }
}

fn url(written: &Placed<Text>, may_be_http: bool, report: &mut Report) -> Option<Url> {
    let Placed { at, value: text } = written;
    let parsed = Url::parse(&text.text).map_err(|_| InvalidIssuer::NoUrl);
    let message = match parsed.and_then(|url| check_address(&url, may_be_http).map(|()| url)) {
        Ok(url) if url.fragment().is_some() => "the URL must have no part behind #".to_owned(),
        Ok(url) => return Some(url),
        Err(InvalidIssuer::NoUrl) => format!("{} is no URL like https://idp.example/token", shown_url(text)),
        Err(InvalidIssuer::PlainHttp) => "this is plain http to another machine, so anybody on the way could read clients' secrets; use https, or insecure_allow_http: true".to_owned(),
        Err(why) => why.to_string(),
    };
    report.error(*at, message);
    None
}
