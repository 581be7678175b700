//! Access tokens as a way in: what they must say, and where their issuer's keys are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::access::Around;
use super::file;
use super::http::{Asking, FORGE, FORGED, place_name, server_url};
use super::introspection::introspection;
use super::problem::{Place, Report};
use super::settings::positive;
use super::shape::Placed;
use super::stand_in::Elsewhere;
use super::yaml::Text;
use crate::auth::discovery;
use crate::auth::{
    ClaimPath, HttpSettings, KeyPlace, KeyRing, KeySet, KeySource, OauthBearer, Pace, RequiredClaim, Rules,
    TokenType, Verifier,
};

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

/// Reads how names stand in tokens that only the broker verifies.
pub(super) fn passed_through(
    section: &file::OauthBearerSection,
    around: &Around<'_>,
    report: &mut Report,
) -> Rules {
    fn at<T>(key: Option<&Placed<T>>) -> Option<Place> {
        key.map(|key| key.at)
    }
    for (key, at) in [
        ("jwks", at(section.jwks.as_ref())),
        ("introspection", at(section.introspection.as_ref())),
        ("validate", at(section.validate.as_ref())),
        ("clock_skew", at(section.clock_skew.as_ref())),
        ("session_lifetime_max", at(section.session_lifetime_max.as_ref())),
    ] {
        if let Some(at) = at {
            report.error(
                at,
                format!("{key} has no effect with passthrough, where the broker decides; leave it out"),
            );
        }
    }
    let mut rules = Rules { token_bytes_max: around.token_bytes, ..Rules::default() };
    map_claims(section, &mut rules, report);
    rules
}

fn map_claims(section: &file::OauthBearerSection, rules: &mut Rules, report: &mut Report) {
    if let Some(Placed { value: mapping, .. }) = &section.claims_mapping {
        for (written, claim) in
            [(&mapping.sub, &mut rules.principal_claim), (&mapping.scope, &mut rules.scope_claim)]
        {
            if let Some(path) = written.as_ref().and_then(|written| claim_path(written, report)) {
                *claim = path;
            }
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
    map_claims(section, &mut rules, report);
    let asked = section.introspection.as_ref();
    let asked = asked.map(|section| introspection(section, around.elsewhere, report));
    let has_keys = section.jwks.is_some() || asked.is_none();
    let keys = has_keys.then(|| key_source(section, at, around.elsewhere, report));
    if !has_keys {
        types_have_no_effect(section, report);
    }
    let introspection = match asked {
        Some(read) => Some(Arc::new(read?)),
        None => None,
    };
    let (name, source) = match keys {
        Some(keys) => keys.map(|(source, name)| (name.into(), Some(source)))?,
        None => (introspection.as_ref()?.name.clone(), None),
    };
    let verifier = Verifier::new(rules, Arc::new(KeyRing::empty()));
    Some(OauthBearer { name, verifier, source, introspection })
}

/// An endpoint says nothing of a token's header.
fn types_have_no_effect(section: &file::OauthBearerSection, report: &mut Report) {
    let types = section.validate.as_ref().and_then(|validate| validate.value.types.as_ref());
    if let Some(types) = types {
        report.error(
            types.at,
            "types has no effect where every token is introspected; leave it out, or set jwks as well",
        );
    }
}

fn claim_path(written: &Placed<Text>, report: &mut Report) -> Option<ClaimPath> {
    let Placed { at, value } = written;
    ClaimPath::parse(&value.text)
        .map_err(|why| report.error(*at, format!("{} is no path of a claim: {why}", value.shown())))
        .ok()
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
    if let Some(section) = section {
        token_types(section, rules, report);
        authorized_parties(section, rules, report);
        required_claims(section, rules, report);
    }
}

fn token_types(section: &file::Validate, rules: &mut Rules, report: &mut Report) {
    let Some(types) = &section.types else { return };
    if types.value.written == 0 {
        report.error(types.at, "list at least one type, or leave the key out");
    }
    let kind = |word: &Placed<file::TypeWord>| match word.value {
        file::TypeWord::Absent => TokenType::Absent,
        file::TypeWord::Jwt => TokenType::Jwt,
        file::TypeWord::AccessToken | file::TypeWord::WholeAccessToken => TokenType::AccessToken,
    };
    rules.types = types.value.items.iter().map(kind).collect();
}

fn authorized_parties(section: &file::Validate, rules: &mut Rules, report: &mut Report) {
    let Some(parties) = &section.authorized_parties else { return };
    if parties.value.written == 0 {
        report.error(parties.at, "list at least one client, or leave the key out");
    }
    for Placed { at, value } in &parties.value.items {
        if value.text.is_empty() {
            report.error(*at, "the client's id is empty");
        }
        rules.authorized_parties.push(value.text.clone());
    }
}

fn required_claims(section: &file::Validate, rules: &mut Rules, report: &mut Report) {
    let Some(claims) = &section.required_claims else { return };
    if claims.value.written == 0 {
        report.error(claims.at, "list at least one claim, or leave the key out");
    }
    for Placed { value: claim, .. } in &claims.value.items {
        let path = claim.name.as_ref().and_then(|name| claim_path(name, report));
        let values = match &claim.values {
            Some(values) if values.value.written == 0 => {
                report.error(values.at, "list at least one value, or leave the key out");
                Vec::new()
            }
            Some(values) => values.value.items.iter().map(|value| value.value.0.clone()).collect(),
            None => Vec::new(),
        };
        rules.required_claims.extend(path.map(|path| RequiredClaim { path, values }));
    }
}

/// Where the keys are, and what metrics call them.
fn key_source(
    section: &file::OauthBearerSection,
    at: Place,
    elsewhere: &Elsewhere<'_>,
    report: &mut Report,
) -> Option<(KeySource, String)> {
    let no_section = Placed { at, value: file::Jwks::default() };
    let Placed { at, value: jwks } = section.jwks.as_ref().unwrap_or(&no_section);
    let asking = Asking {
        timeout: jwks.timeout.as_ref(),
        tls: jwks.tls.as_ref(),
        proxy: jwks.proxy.as_ref(),
        insecure_allow_http: jwks.insecure_allow_http.as_ref(),
    };
    let http = asking.read(FORGED, report);
    let pace = pace(*at, jwks, report);
    let issuer = section.validate.as_ref().and_then(|validate| validate.value.issuer.as_ref());
    let (place, name) = match (&jwks.endpoint, &jwks.file) {
        (Some(endpoint), None) => {
            let url = server_url(endpoint, EXAMPLE, FORGE, &http, report)?;
            let name = place_name(&url);
            (KeyPlace::Endpoint { url, http }, name)
        }
        (None, Some(file)) => {
            if http != HttpSettings::default() {
                report.error(
                    *at,
                    "a file is not asked over HTTP; take out timeout, tls, proxy and insecure_allow_http",
                );
            }
            let path = key_file(file, elsewhere, report)?;
            (KeyPlace::File { path }, file.value.text.clone())
        }
        (Some(_), Some(file)) => {
            report.error(file.at, "the keys come from an endpoint or from a file; keep one of the two");
            return None;
        }
        (None, None) => {
            let Some(issuer) = issuer else {
                report.error(*at, "set endpoint, the URL of the issuer's key set, or file, or validate.issuer, whose metadata says where the keys are");
                return None;
            };
            let text = &issuer.value.text;
            if let Err(why) = discovery::metadata_urls(text, http.insecure_allow_http) {
                report.error(
                    issuer.at,
                    format!(
                        "the keys can not be found by this issuer: {why}; or set jwks.endpoint or jwks.file"
                    ),
                );
                return None;
            }
            (KeyPlace::Issuer { issuer: text.clone(), http }, text.clone())
        }
    };
    Some((KeySource { place, pace }, name))
}

fn key_file(file: &Placed<Text>, elsewhere: &Elsewhere<'_>, report: &mut Report) -> Option<PathBuf> {
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
    Some(elsewhere.directory.join(&file.value.text))
}

fn pace(at: Place, jwks: &file::Jwks, report: &mut Report) -> Pace {
    let default = Pace::default();
    let cache_expiration = positive(jwks.cache_expiration.as_ref(), report);
    let refresh_interval_min = positive(jwks.refresh_interval_min.as_ref(), report);
    let stale_max = positive(jwks.stale_max.as_ref(), report);
    let cache_expiration = cache_expiration.unwrap_or(default.cache_expiration);
    let stale_max = stale_max.unwrap_or(default.stale_max.max(cache_expiration));
    if stale_max < cache_expiration {
        report.error(
            at,
            "stale_max is shorter than cache_expiration: keys would be let go before they are fetched again",
        );
    }
    let refresh_interval_min = refresh_interval_min.unwrap_or(default.refresh_interval_min);
    Pace { cache_expiration, refresh_interval_min, stale_max }
}

const EXAMPLE: &str = "https://idp.example/jwks";
/// More is taken for as much by the verifier.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);
