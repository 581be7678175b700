//! How an OAuth server is asked over HTTP: at which URL, trusting whom, for how long.

use url::Url;

use super::backends::check_certificates;
use super::file;
use super::measure::Span;
use super::problem::Report;
use super::settings::positive;
use super::shape::Placed;
use super::yaml::Text;
use crate::auth::discovery::{InvalidIssuer, check_address};
use crate::auth::{HttpSettings, is_in_clear};

/// What a section says of how an OAuth server is asked.
pub(super) struct Asking<'s> {
    pub timeout: Option<&'s Placed<Span>>,
    pub tls: Option<&'s Placed<file::IssuerTls>>,
    pub proxy: Option<&'s Placed<Text>>,
    pub insecure_allow_http: Option<&'s Placed<bool>>,
}

impl Asking<'_> {
    /// Shape: `in_clear` is the warning where plain http is allowed.
    pub fn read(&self, in_clear: &str, report: &mut Report) -> HttpSettings {
        let default = HttpSettings::default();
        let bundle = self.tls.and_then(|tls| tls.value.ca_bundle.as_ref());
        let bundle = bundle.filter(|bundle| check_certificates(bundle, report));
        if let Some(Placed { at, value: true }) = self.insecure_allow_http {
            report.warn(*at, in_clear);
        }
        HttpSettings {
            timeout: positive(self.timeout, report).unwrap_or(default.timeout),
            ca_bundle: bundle.map(|bundle| bundle.value.text.as_str().into()),
            proxy: self.proxy.and_then(|proxy| proxy_url(proxy, report)),
            insecure_allow_http: self.insecure_allow_http.is_some_and(|allowed| allowed.value),
        }
    }
}

/// An address of an OAuth server that the file names itself.
///
/// Shape: `danger` is what others could do to what goes there by plain http.
pub(super) fn server_url(
    written: &Placed<Text>,
    example: &str,
    danger: &str,
    http: &HttpSettings,
    report: &mut Report,
) -> Option<Url> {
    let Placed { at, value: text } = written;
    let parsed = Url::parse(&text.text).map_err(|_| InvalidIssuer::NoUrl);
    let may_be_http = http.insecure_allow_http;
    let goes_far = |url: &Url| url.scheme() == "http" && http.proxy.as_ref().is_some_and(is_in_clear);
    let message = match parsed.and_then(|url| check_address(&url, may_be_http).map(|()| url)) {
        Ok(url) if url.fragment().is_some() => "the URL must have no part behind #".to_owned(),
        Ok(url) if goes_far(&url) && !may_be_http => format!(
            "this goes by plain http to a proxy on another machine, so anybody on the way could {danger}; leave the proxy out, use https, or insecure_allow_http: true"
        ),
        Ok(url) => return Some(url),
        Err(InvalidIssuer::NoUrl) => format!("{} is no URL like {example}", shown_url(text)),
        Err(InvalidIssuer::PlainHttp) => format!(
            "this is plain http to another machine, so anybody on the way could {danger}; use https, or insecure_allow_http: true"
        ),
        Err(why) => why.to_string(),
    };
    report.error(*at, message);
    None
}

fn proxy_url(written: &Placed<Text>, report: &mut Report) -> Option<Url> {
    let Placed { at, value: text } = written;
    let url = Url::parse(&text.text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
    let Some(url) = url else {
        report.error(*at, format!("{} is no URL of a proxy like http://proxy.example:3128", shown_url(text)));
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        report.error(*at, "a proxy with a user or a password is not supported");
        return None;
    }
    Some(url)
}

/// What is no URL may still hold a password.
pub(super) fn shown_url(text: &Text) -> String {
    if text.text.contains('@') { "this".to_owned() } else { text.shown() }
}

/// Which of several places one is, for metrics: issuers may share a host.
pub(super) fn place_name(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}{}", url.host_str().unwrap_or_default(), url.path())
}

/// What others could do to what an issuer says, and the warning where they may.
pub(super) const FORGE: &str = "forge tokens";
pub(super) const FORGED: &str =
    "what comes over plain http can be forged by anybody on the way, keys and tokens with it";
