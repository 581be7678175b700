//! The gateway as a client of an OAuth server: its id, and how it proves that it is it.

use url::Url;

use super::backends::warn_inline;
use super::file;
use super::measure::SecretText;
use super::problem::{Place, Report};
use super::shape::Placed;
use super::stand_in::Elsewhere;
use super::yaml::Text;
use crate::auth::{Algorithm, ClientAssertion, ClientProof, is_client_id, is_scope};

/// What a section says of the client that the gateway is.
pub(super) struct Client<'s> {
    pub id: Option<&'s Placed<Text>>,
    pub secret: Option<&'s Placed<SecretText>>,
    pub authentication: Option<&'s Placed<file::ClientAuthenticationWord>>,
    pub assertion: Option<&'s Placed<file::ClientAssertionSection>>,
}

impl Client<'_> {
    /// The client's id and its proof; an assertion is for the URL where nothing else is said.
    pub fn read(
        &self,
        url: Option<&Url>,
        at: Place,
        elsewhere: &Elsewhere<'_>,
        report: &mut Report,
    ) -> Option<(String, ClientProof)> {
        if self.id.is_none() {
            report.error(at, "\"client_id\" is missing here");
        }
        let id = self.id.filter(|id| {
            let is_one = is_client_id(&id.value.text);
            if !is_one {
                report.error(id.at, "a client id is printable ASCII, at least one character");
            }
            is_one
        });
        let proof = proof(self, url, at, elsewhere, report);
        Some((id?.value.text.clone(), proof?))
    }
}

fn proof(
    section: &Client<'_>,
    url: Option<&Url>,
    at: Place,
    elsewhere: &Elsewhere<'_>,
    report: &mut Report,
) -> Option<ClientProof> {
    warn_inline(section.secret, "client secret", report);
    match (section.secret, section.assertion) {
        (Some(secret), None) => {
            let secret = secret.value.secret.clone();
            let word = section.authentication.map(|word| word.value);
            Some(match word {
                Some(file::ClientAuthenticationWord::Post) => ClientProof::Post(secret),
                Some(file::ClientAuthenticationWord::Basic) | None => ClientProof::Basic(secret),
            })
        }
        (None, Some(written)) => {
            if let Some(word) = section.authentication {
                report.error(word.at, "client_authentication is about a secret; leave it out");
            }
            assertion(written, url, elsewhere, report)
        }
        _ => {
            report.error(at, "set one of client_secret and client_assertion");
            None
        }
    }
}

fn assertion(
    section: &Placed<file::ClientAssertionSection>,
    url: Option<&Url>,
    elsewhere: &Elsewhere<'_>,
    report: &mut Report,
) -> Option<ClientProof> {
    let Placed { at, value: section } = section;
    warn_inline(section.key.as_ref(), "private key", report);
    match (&section.key, &section.file) {
        (Some(key), None) => {
            let Some(algorithm) = &section.algorithm else {
                report.error(*at, "\"algorithm\" is missing here");
                return None;
            };
            let said = section.audience.as_ref().map(|audience| audience.value.text.clone());
            let audience = said.or_else(|| url.map(Url::to_string))?;
            let key_id = section.key_id.as_ref().map(|id| id.value.text.clone());
            let algorithm = algorithm_of(algorithm.value);
            let made = ClientAssertion::new(algorithm, &key.value.secret, key_id, audience);
            made.map_err(|why| report.error(key.at, why.to_string())).ok().map(ClientProof::Assertion)
        }
        (None, Some(path)) => {
            for (key, is_set) in [
                ("algorithm", section.algorithm.is_some()),
                ("key_id", section.key_id.is_some()),
                ("audience", section.audience.is_some()),
            ] {
                if is_set {
                    report.error(*at, format!("{key} is about a key; an assertion from a file has its own"));
                }
            }
            let path = readable(path, elsewhere, report)?;
            Some(ClientProof::AssertionFile(elsewhere.directory.join(path)))
        }
        _ => {
            report.error(*at, "set one of key and file");
            None
        }
    }
}

fn algorithm_of(word: file::SigningAlgorithm) -> Algorithm {
    match word {
        file::SigningAlgorithm::Rs256 => Algorithm::Rs256,
        file::SigningAlgorithm::Rs384 => Algorithm::Rs384,
        file::SigningAlgorithm::Rs512 => Algorithm::Rs512,
        file::SigningAlgorithm::Ps256 => Algorithm::Ps256,
        file::SigningAlgorithm::Ps384 => Algorithm::Ps384,
        file::SigningAlgorithm::Ps512 => Algorithm::Ps512,
        file::SigningAlgorithm::Es256 => Algorithm::Es256,
        file::SigningAlgorithm::Es384 => Algorithm::Es384,
        file::SigningAlgorithm::EdDsa => Algorithm::EdDsa,
    }
}

/// What a token is to be good for; an empty text asks for nothing.
pub(super) fn scope(written: Option<&Placed<Text>>, report: &mut Report) -> Option<String> {
    let Placed { at, value } = written.filter(|scope| !scope.value.text.is_empty())?;
    if !is_scope(&value.text) {
        report.error(*at, "a scope is words with one space between them");
    }
    Some(value.text.clone())
}

/// For whom a token is to be.
pub(super) fn audience(written: Option<&Placed<Text>>, report: &mut Report) -> Option<String> {
    let Placed { at, value } = written?;
    if value.text.is_empty() {
        report.error(*at, "the audience is empty");
    }
    Some(value.text.clone())
}

/// A path; of a file that is not there a warning only, for somebody else may yet write it.
pub(super) fn readable<'p>(
    path: &'p Placed<Text>,
    elsewhere: &Elsewhere<'_>,
    report: &mut Report,
) -> Option<&'p str> {
    if path.value.text.is_empty() {
        report.error(path.at, "the path is empty");
        return None;
    }
    if let Err(why) = (elsewhere.files)(&path.value.text) {
        report.warn(path.at, format!("{} can not be read yet: {why}", path.value.shown()));
    }
    Some(&path.value.text)
}
