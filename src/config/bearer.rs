//! Access tokens as a way in: what they must say, and where their issuer's keys are.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::access::Around;
use super::backends::is_loopback;
use super::file;
use super::problem::{Place, Report};
use super::settings::positive;
use super::shape::Placed;
use super::stand_in::Elsewhere;
use super::yaml::Text;
use crate::auth::{KeyRing, KeySet, KeySource, OauthBearer, Rules, Verifier};

/// With several issuers the `iss` of a token says whose keys verify it.
pub(super) fn tell_issuers_apart<'s>(
    sections: impl Iterator<Item = (Place, &'s file::OauthBearerSection)>,
    report: &mut Report,
) {
    let issuers: Vec<(Place, Option<&Placed<Text>>)> = sections
        .map(|(at, section)| {
            (at, section.validate.as_ref().and_then(|validate| validate.value.issuer.as_ref()))
        })
        .collect();
    if issuers.len() < 2 {
        return;
    }
    let mut seen: Vec<&str> = Vec::new();
    for (at, issuer) in issuers {
        match issuer {
            None => report.error(at, "of several issuers each needs its validate.issuer, by which its tokens are told from others'"),
            Some(issuer) if seen.contains(&issuer.value.text.as_str()) => {
                report.error(issuer.at, format!("the issuer {} stands twice in this virtual cluster", issuer.value.shown()));
            }
            Some(issuer) => seen.push(&issuer.value.text),
        }
    }
}

/// Reads one issuer's tokens: what they must say, and where the keys are.
pub(super) fn oauth_bearer(
    section: &file::OauthBearerSection,
    at: Place,
    around: &Around<'_>,
    report: &mut Report,
) -> Option<OauthBearer> {
    let mut rules = Rules { token_bytes_max: around.token_bytes, ..Rules::default() };
    validate(section.validate.as_ref(), at, &mut rules, report);
    if let Some(skew) = &section.clock_skew {
        rules.clock_skew = skew.value.0;
        if skew.value.0 > CLOCK_SKEW_MAX {
            report.error(skew.at, "clocks that are more than five minutes off want repair, not tolerance");
        }
    }
    rules.session_lifetime_max = positive(section.session_lifetime_max.as_ref(), report);
    if let Some(Placed { value: mapping, .. }) = &section.claims_mapping {
        for (written, claim) in
            [(&mapping.sub, &mut rules.principal_claim), (&mapping.scope, &mut rules.scope_claim)]
        {
            let Some(Placed { at, value }) = written else { continue };
            if value.text.is_empty() {
                report.error(*at, "a claim has a name");
            }
            *claim = value.text.clone();
        }
    }
    let (source, name) = key_source(section.jwks.as_ref()?, around.elsewhere, report)?;
    Some(OauthBearer {
        verifier: Verifier::new(rules, Arc::new(KeyRing::empty())),
        source,
        name: name.into(),
    })
}

fn validate(section: Option<&Placed<file::Validate>>, at: Place, rules: &mut Rules, report: &mut Report) {
    let place = section.map_or(at, |section| section.at);
    let section = section.map(|section| &section.value);
    match section.and_then(|section| section.issuer.as_ref()) {
        Some(issuer) if issuer.value.text.is_empty() => report.error(issuer.at, "the issuer is empty"),
        Some(issuer) => rules.issuer = Some(issuer.value.text.clone()),
        None => report.warn(place, "the issuer of tokens is not checked; set validate.issuer"),
    }
    match section.and_then(|section| section.audiences.as_ref()) {
        Some(audiences) if audiences.value.written == 0 => {
            report.error(audiences.at, "list at least one audience, or leave the key out");
        }
        Some(audiences) => {
            let names = audiences.value.items.iter().filter_map(|audience| audience.value.name.as_ref());
            for Placed { at, value } in names {
                if value.text.is_empty() {
                    report.error(*at, "the audience is empty");
                }
                rules.audiences.push(value.text.clone());
            }
        }
        None => report.warn(place, "the audience of tokens is not checked, so a token for any other service opens this one; set validate.audiences"),
    }
    let lifetime_max = section.and_then(|section| section.lifetime_max.as_ref());
    if let Some(lifetime_max) = positive(lifetime_max, report) {
        rules.lifetime_max = Some(lifetime_max);
    }
}

fn key_source(
    jwks: &Placed<file::Jwks>,
    elsewhere: &Elsewhere<'_>,
    report: &mut Report,
) -> Option<(KeySource, String)> {
    let Placed { at, value: jwks } = jwks;
    let timeout = positive(jwks.timeout.as_ref(), report);
    let cache_expiration = positive(jwks.cache_expiration.as_ref(), report);
    let refresh_interval_min = positive(jwks.refresh_interval_min.as_ref(), report);
    let stale_max = positive(jwks.stale_max.as_ref(), report);
    match (&jwks.endpoint, &jwks.file) {
        (Some(endpoint), None) => {
            let url = endpoint_url(endpoint, report)?;
            let name = match (url.host_str(), url.port()) {
                (Some(host), Some(port)) => format!("{host}:{port}"),
                (host, _) => host.unwrap_or_default().to_owned(),
            };
            let cache_expiration = cache_expiration.unwrap_or(Duration::from_secs(3600));
            let stale_max = stale_max.unwrap_or(Duration::from_secs(24 * 3600).max(cache_expiration));
            if stale_max < cache_expiration {
                report.error(*at, "stale_max is shorter than cache_expiration: keys would be let go before they are fetched again");
            }
            let source = KeySource::Endpoint {
                url,
                timeout: timeout.unwrap_or(Duration::from_secs(10)),
                cache_expiration,
                refresh_interval_min: refresh_interval_min.unwrap_or(Duration::from_secs(30)),
                stale_max,
            };
            Some((source, name))
        }
        (None, Some(file)) => {
            if file.value.text.is_empty() {
                report.error(file.at, "the path is empty");
                return None;
            }
            let set = (elsewhere.files)(&file.value.text);
            let read = |set: String| KeySet::from_jwks(set.as_bytes()).map_err(|why| why.to_string());
            if let Err(why) = set.and_then(read) {
                report.error(file.at, format!("{} holds no key set: {why}", file.value.shown()));
                return None;
            }
            let path = elsewhere.directory.join(&file.value.text);
            Some((KeySource::File { path }, file.value.text.clone()))
        }
        (Some(_), Some(file)) => {
            report.error(file.at, "the keys come from an endpoint or from a file; keep one of the two");
            None
        }
        (None, None) => {
            report.error(*at, "set endpoint, the URL of the issuer's key set, or file; the endpoint is not looked up by the issuer");
            None
        }
    }
}

fn endpoint_url(endpoint: &Placed<Text>, report: &mut Report) -> Option<Url> {
    let Placed { at, value: text } = endpoint;
    let url = match Url::parse(&text.text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host_str().is_some() => url,
        _ => {
            report.error(*at, format!("{} is no URL like https://idp.example/jwks", shown_url(text)));
            return None;
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        report.error(*at, "a URL with a user or a password is not supported; key sets are public");
        return None;
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    if url.scheme() == "http" && !is_loopback(host) {
        report.warn(*at, "the keys come over plain http, so anybody on the way can forge tokens; use https");
    }
    Some(url)
}

/// What is no URL may still hold a password.
fn shown_url(text: &Text) -> String {
    if text.text.contains('@') { "this".to_owned() } else { text.shown() }
}

/// More is taken for as much by the verifier.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);
