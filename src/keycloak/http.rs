//! One client for each server, and bodies that are read with a limit.

use std::time::Duration;

use serde::de::DeserializeOwned;
use url::Url;
use zeroize::Zeroizing;

use super::Failure;

/// A client that follows no redirect, takes no proxy from the environment, and waits no longer than this.
///
/// Shape: trusts the certificates in `ca_bundle`, as PEM, and no others; without it, the system's own.
pub(super) fn client(ca_bundle: Option<&str>, timeout: Duration) -> Result<reqwest::Client, Failure> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .timeout(timeout)
        .user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")));
    if let Some(bundle) = ca_bundle {
        let certificates = reqwest::Certificate::from_pem_bundle(bundle.as_bytes());
        builder = builder.tls_certs_only(certificates.map_err(|error| Failure::Client(told(error)))?);
    }
    builder.build().map_err(|error| Failure::Client(told(error)))
}

/// Whether there is a certificate in this text, and every one can be read.
pub(super) fn is_bundle(text: &str) -> bool {
    text.contains("-----BEGIN CERTIFICATE-----")
        && reqwest::Certificate::from_pem_bundle(text.as_bytes()).is_ok_and(|found| !found.is_empty())
}

/// What a server said.
///
/// Never shown: it may hold secrets.
pub(super) struct Answer {
    pub status: u16,
    at: String,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// Sends what was asked and reads the answer, whatever its status.
    ///
    /// Limits: `BODY_BYTES_MAX` of it.
    pub(super) async fn to(request: reqwest::RequestBuilder, url: &Url) -> Result<Self, Failure> {
        let at = origin(url);
        let mut response = request.send().await.map_err(|error| failure(&at, error))?;
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(&at, error))? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                let why = format!("the answer is longer than {BODY_BYTES_MAX} bytes");
                return Err(Failure::Unreachable { at, why });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status: response.status().as_u16(), at, body })
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Errors: what stands in the body is not told, only where it ceased to make sense.
    pub(super) fn read<T: DeserializeOwned>(&self, what: &'static str) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let why = format!("not what it should be at line {}, column {}", error.line(), error.column());
            Failure::Unreadable { at: self.at.clone(), what, why }
        })
    }

    /// A member of the document, if it is one and the member a text.
    pub(super) fn says(&self, member: &str) -> Option<String> {
        let document: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        document.get(member)?.as_str().map(str::to_owned)
    }

    /// The word for what is wrong, as OAuth and Kubernetes have one; anything else is not repeated.
    pub(super) fn word(&self) -> String {
        let word = self.says("error").or_else(|| self.says("reason")).unwrap_or_default();
        let is_word = (1..=64).contains(&word.len())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_word { word } else { "without a word why".to_owned() }
    }

    pub(super) fn unexpected(&self, what: &'static str) -> Failure {
        Failure::Unexpected { at: self.at.clone(), status: self.status, word: self.word(), what }
    }
}

/// Where a server is, without what one asks of it.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// An address below another, each segment as it must be written in a path.
pub(super) fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

fn failure(at: &str, error: reqwest::Error) -> Failure {
    let why = told(error);
    let at = at.to_owned();
    // What rustls and the verifiers of the system say of a certificate; neither has a type that gets here.
    if why.contains("certificate") {
        Failure::NotTrusted { at, why }
    } else {
        Failure::Unreachable { at, why }
    }
}

/// The whole chain of causes, without the address: the first alone says only that it did not work.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(why) = cause {
        text.push_str(": ");
        text.push_str(&why.to_string());
        cause = why.source();
    }
    text
}

/// A client with all its mappers is some kilobytes.
const BODY_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Answer {
        Answer { status: 400, at: "http://kc".to_owned(), body: Zeroizing::new(body.as_bytes().to_vec()) }
    }

    #[test]
    fn only_a_plain_word_of_an_answer_is_repeated() {
        let check = |body: &str, expected: &str| assert_eq!(answer(body).word(), expected, "{body}");
        check(r#"{"error": "invalid_grant", "error_description": "hunter2"}"#, "invalid_grant");
        check(r#"{"kind": "Status", "reason": "Forbidden"}"#, "Forbidden");
        check(r#"{"error": "secret: hunter2"}"#, "without a word why");
        check(r#"{"error": 5}"#, "without a word why");
        check("<html>", "without a word why");
    }

    #[test]
    fn of_an_answer_that_makes_no_sense_nothing_is_repeated() {
        let failure = answer(r#"{"value": ["hunter2"]}"#).read::<Vec<String>>("the secret").unwrap_err();
        let text = failure.to_string();
        assert!(text.contains("line 1") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn what_stands_in_a_path_does_not_leave_its_place_there() {
        let check = |base: &str, segments: &[&str], expected: &str| {
            assert_eq!(below(&base.parse().unwrap(), segments).as_str(), expected);
        };
        check("http://kc:8080", &["realms", "kafka"], "http://kc:8080/realms/kafka");
        check("http://kc:8080/auth/", &["realms", "a/b?c#d"], "http://kc:8080/auth/realms/a%2Fb%3Fc%23d");
    }

    #[test]
    fn a_bundle_holds_a_certificate() {
        let certificate = rcgen::generate_simple_self_signed(vec!["kc".to_owned()]).unwrap().cert.pem();
        assert!(is_bundle(&certificate));
        assert!(!is_bundle(""));
        assert!(!is_bundle("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"));
    }
}
