//! How the gateway gets tokens of its own for brokers: at a token endpoint, from a file, by a directory.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::backends::check_certificates;
use super::file;
use super::http::shown_url;
use super::measure::Pairs;
use super::oauth_client::{Client, audience, readable, scope};
use super::problem::{Place, Report};
use super::settings::positive;
use super::shape::Placed;
use super::stand_in::Elsewhere;
use super::yaml::Text;
use crate::auth::{
    CREDENTIAL_FILES, TokenCell, TokenEndpoint, TokenLogin, TokenSource, check_extensions, endpoint_url,
    is_in_clear,
};

/// Reads a login at brokers by OAUTHBEARER.
pub(super) fn token_login(
    section: &file::SaslOauthBearer,
    at: Place,
    elsewhere: &Elsewhere<'_>,
    report: &mut Report,
) -> Option<TokenLogin> {
    let timeout = positive(section.timeout.as_ref(), report).unwrap_or(TIMEOUT);
    let bundle = section.tls.as_ref().and_then(|tls| tls.value.ca_bundle.as_ref());
    let is_good = bundle.is_none_or(|bundle| check_certificates(bundle, report));
    let extensions = extensions(section.extensions.as_ref(), report);
    let source = match (&section.token_endpoint, &section.token_file, &section.credentials_directory) {
        (Some(url), None, None) => {
            let endpoint = endpoint(section, url, at, elsewhere, report);
            TokenSource::Endpoint { endpoint: endpoint?, extensions: extensions? }
        }
        (None, Some(path), None) => {
            is_alone("token_file", &at_endpoint_only(section), report);
            token_file(path, extensions?, elsewhere, report)?
        }
        (None, None, Some(path)) => {
            is_alone("credentials_directory", &said_by_directory(section), report);
            directory(section, path, elsewhere, report)?
        }
        _ => {
            report.error(at, "set one of token_endpoint, token_file and credentials_directory");
            return None;
        }
    };
    let ca_bundle = bundle.filter(|_| is_good).map(|bundle| bundle.value.text.clone());
    is_good.then(|| TokenLogin { source, ca_bundle, timeout, cell: Arc::new(TokenCell::empty()) })
}

/// The keys of a section that are about something else, where they are set.
type Aside = Vec<(&'static str, Place)>;

fn said_by_directory(section: &file::SaslOauthBearer) -> Aside {
    fn at<T>(key: Option<&Placed<T>>) -> Option<Place> {
        key.map(|key| key.at)
    }
    let keys = [
        ("client_id", at(section.client_id.as_ref())),
        ("client_secret", at(section.client_secret.as_ref())),
        ("client_assertion", at(section.client_assertion.as_ref())),
        ("scope", at(section.scope.as_ref())),
        ("extensions", at(section.extensions.as_ref())),
    ];
    keys.into_iter().filter_map(|(key, at)| Some((key, at?))).collect()
}

fn at_endpoint_only(section: &file::SaslOauthBearer) -> Aside {
    let mut keys: Aside =
        said_by_directory(section).into_iter().filter(|(key, _)| *key != "extensions").collect();
    keys.extend(section.client_authentication.as_ref().map(|key| ("client_authentication", key.at)));
    keys.extend(section.audience.as_ref().map(|key| ("audience", key.at)));
    keys.extend(section.tls.as_ref().map(|key| ("tls", key.at)));
    keys.extend(section.timeout.as_ref().map(|key| ("timeout", key.at)));
    keys
}

fn is_alone(source: &str, aside: &Aside, report: &mut Report) {
    for (key, at) in aside {
        report.error(*at, format!("{key} has no effect beside {source}; leave it out"));
    }
}

fn endpoint(
    section: &file::SaslOauthBearer,
    url: &Placed<Text>,
    at: Place,
    elsewhere: &Elsewhere<'_>,
    report: &mut Report,
) -> Option<TokenEndpoint> {
    let url = match endpoint_url(&url.value.text) {
        Ok(read) => {
            warn_in_clear(&read, url.at, report);
            Some(read)
        }
        Err(why) => {
            report.error(url.at, format!("{} {why}", shown_url(&url.value)));
            None
        }
    };
    let client = Client {
        id: section.client_id.as_ref(),
        secret: section.client_secret.as_ref(),
        authentication: section.client_authentication.as_ref(),
        assertion: section.client_assertion.as_ref(),
    };
    let client = client.read(url.as_ref(), at, elsewhere, report);
    let scope = scope(section.scope.as_ref(), report);
    let audience = audience(section.audience.as_ref(), report);
    let (client_id, proof) = client?;
    Some(TokenEndpoint { url: url?, client_id, proof, scope, audience })
}

fn warn_in_clear(url: &Url, at: Place, report: &mut Report) {
    if is_in_clear(url) {
        report.warn(
            at,
            "the gateway's own token comes over plain http, so anybody on the way can take it; use https",
        );
    }
}

fn token_file(
    path: &Placed<Text>,
    extensions: Vec<(String, String)>,
    elsewhere: &Elsewhere<'_>,
    report: &mut Report,
) -> Option<TokenSource> {
    let path = readable(path, elsewhere, report)?;
    Some(TokenSource::File { path: elsewhere.directory.join(path), extensions })
}

fn directory(
    section: &file::SaslOauthBearer,
    path: &Placed<Text>,
    elsewhere: &Elsewhere<'_>,
    report: &mut Report,
) -> Option<TokenSource> {
    if path.value.text.is_empty() {
        report.error(path.at, "the path is empty");
        return None;
    }
    let word = section.client_authentication.as_ref().map(|word| word.value);
    let sends_in_body = word == Some(file::ClientAuthenticationWord::Post);
    let audience = audience(section.audience.as_ref(), report);
    let read = |name: &str| (elsewhere.files)(&format!("{}/{name}", path.value.text)).ok();
    let texts = CREDENTIAL_FILES.map(|name| (name, read(name)));
    let text =
        |wanted: &str| texts.iter().find(|(name, _)| *name == wanted).and_then(|(_, text)| text.as_deref());
    match TokenEndpoint::from_files(text, sends_in_body, audience.clone()) {
        Ok((endpoint, _)) => warn_in_clear(&endpoint.url, path.at, report),
        Err(why) => report.warn(path.at, format!("{} can not be used yet: {why}", path.value.shown())),
    }
    Some(TokenSource::Directory { path: elsewhere.directory.join(&path.value.text), sends_in_body, audience })
}

fn extensions(written: Option<&Placed<Pairs>>, report: &mut Report) -> Option<Vec<(String, String)>> {
    let Some(Placed { at, value: Pairs(pairs) }) = written else { return Some(Vec::new()) };
    let pairs: Vec<(String, String)> =
        pairs.iter().map(|(key, text)| (key.clone(), text.value.text.clone())).collect();
    let checked = check_extensions(&pairs);
    checked.map_err(|why| report.error(*at, format!("of the extensions {why}"))).ok().map(|()| pairs)
}

const TIMEOUT: Duration = Duration::from_secs(10);
