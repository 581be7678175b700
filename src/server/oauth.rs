//! Asking OAuth servers for something as one of their clients.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::{http, random};
use crate::auth::{ClientProof, TokenAnswer, TokenEndpoint, refusal_word};

/// What is said in a request, by name.
pub type Form = Vec<(&'static str, Zeroizing<String>)>;

/// Why nothing was got: what kind of failure it is, and what to tell.
pub struct Failed {
    /// The value of the metric's label.
    pub outcome: &'static str,
    pub why: String,
    /// The server's word where it refuses, as [`refusal_word`] has it.
    pub word: &'static str,
}

impl Failed {
    pub fn of(outcome: &'static str) -> impl Fn(String) -> Self {
        move |why| Self { outcome, why, word: "" }
    }
}

/// Asks a token endpoint for a token, with what the client shows for itself.
///
/// Source: RFC 6749 section 4.4.
pub async fn token(
    client: &reqwest::Client,
    endpoint: &TokenEndpoint,
    patience: Duration,
) -> Result<TokenAnswer, Failed> {
    let mut form = vec![("grant_type", Zeroizing::new("client_credentials".to_owned()))];
    for (name, text) in [("scope", &endpoint.scope), ("audience", &endpoint.audience)] {
        form.extend(text.as_ref().map(|text| (name, Zeroizing::new(text.clone()))));
    }
    let body = post(client, &endpoint.url, &endpoint.client_id, &endpoint.proof, form, patience).await?;
    TokenAnswer::read(&body, SystemTime::now()).map_err(|why| Failed::of("malformed")(why.to_string()))
}

/// Posts a form to an OAuth server, and returns the JSON that it answers with.
///
/// Limits: one time for all of it, and 256 KiB.
/// Source: RFC 6749 section 2.3.1, RFC 7523 section 2.2.
pub async fn post(
    client: &reqwest::Client,
    url: &Url,
    client_id: &str,
    proof: &ClientProof,
    form: Form,
    patience: Duration,
) -> Result<Zeroizing<Vec<u8>>, Failed> {
    let late = |_| format!("no answer within {}", humantime::format_duration(patience));
    let asking = async {
        let started = Instant::now();
        // An assertion that somebody else wrote is good once.
        let may_again = !matches!(proof, ClientProof::AssertionFile(_));
        let answer = post_patiently(client, url, client_id, proof, form.clone()).await;
        // A server may close a connection at the moment at which it is used again; that is known soon, and
        // to be asked twice changes nothing there.
        match answer {
            Err(Failed { outcome: UNREACHABLE, .. }) if may_again && started.elapsed() < patience / 2 => {
                post_patiently(client, url, client_id, proof, form).await
            }
            answer => answer,
        }
    };
    let asked = timeout(patience, asking).await;
    asked.map_err(late).map_err(Failed::of(UNREACHABLE))?
}

async fn post_patiently(
    client: &reqwest::Client,
    url: &Url,
    client_id: &str,
    proof: &ClientProof,
    mut form: Form,
) -> Result<Zeroizing<Vec<u8>>, Failed> {
    let mut say = |name, text: &str| form.push((name, Zeroizing::new(text.to_owned())));
    let mut request = client.post(url.clone()).header(ACCEPT, "application/json");
    match proof {
        ClientProof::Basic(secret) => {
            request = request.header(AUTHORIZATION, basic(client_id, secret.expose()));
        }
        ClientProof::Post(secret) => {
            say("client_id", client_id);
            say("client_secret", secret.expose());
        }
        ClientProof::Assertion(key) => {
            let id = BASE64_URL_SAFE_NO_PAD.encode(random::<16>());
            let signed = key.sign(client_id, &id, SystemTime::now());
            let signed = signed.map_err(|why| Failed::of("unreadable")(why.to_string()))?;
            say("client_id", client_id);
            say("client_assertion_type", ASSERTION_TYPE);
            say("client_assertion", signed.expose());
        }
        ClientProof::AssertionFile(path) => {
            let text = read_file(path).await.map_err(Failed::of("unreadable"))?;
            say("client_id", client_id);
            say("client_assertion_type", ASSERTION_TYPE);
            say("client_assertion", text.trim());
        }
    }
    let form: Vec<(&str, &str)> = form.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let response = request.form(&form).send().await;
    let response = response.map_err(http::told).map_err(Failed::of(UNREACHABLE))?;
    let status = response.status();
    let is_json = is_json(response.headers().get(CONTENT_TYPE));
    let body = http::body(response, ANSWER_BYTES_MAX).await.map_err(Failed::of("malformed"))?;
    let body = Zeroizing::new(body);
    let host = url.host_str().unwrap_or_default();
    if !status.is_success() {
        let word = refusal_word(&body);
        let why = format!("{host} answers {status}, {word}");
        return Err(Failed { outcome: "refused", why, word });
    }
    if !is_json {
        return Err(Failed::of("malformed")(format!("{host} answers something else than JSON")));
    }
    Ok(body)
}

/// A small file, whole.
pub async fn read_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let told = |why: io::Error| format!("{} can not be read: {why}", path.display());
    let reading = async {
        let mut text = Zeroizing::new(String::new());
        let mut file = File::open(path).await?.take(FILE_BYTES_MAX + 1);
        file.read_to_string(&mut text).await?;
        Ok(text)
    };
    let late = |_| io::Error::other("the file does not end; is it a pipe?");
    let text = timeout(FILE_PATIENCE, reading).await.map_err(late).and_then(|read| read).map_err(told)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{} is longer than {FILE_BYTES_MAX} bytes", path.display()));
    }
    Ok(text)
}

/// Source: RFC 6749 section 2.3.1: both are form-encoded before they are joined.
fn basic(client_id: &str, secret: &str) -> HeaderValue {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let joined = Zeroizing::new(format!("{}:{}", encoded(client_id), encoded(secret)));
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(joined.as_bytes())))
        .expect("base64 is made of characters that a header takes");
    value.set_sensitive(true);
    value
}

fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let said = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

/// The kind of failure where nothing was answered.
const UNREACHABLE: &str = "unreachable";
/// Source: RFC 7523 section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// A file on a disk is read in no time; what takes longer is none.
const FILE_PATIENCE: Duration = Duration::from_secs(5);
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// A token of the greatest length, and what stands around it.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_and_secret_go_form_encoded_into_the_header() {
        for (id, secret, expected) in [
            ("gateway", "hunter2", "gateway:hunter2"),
            ("a:b", "c d+é%", "a%3Ab:c+d%2B%C3%A9%25"),
            ("", "", ":"),
        ] {
            let value = basic(id, secret);
            assert_eq!(value, format!("Basic {}", BASE64_STANDARD.encode(expected)));
            assert!(value.is_sensitive());
        }
    }

    #[test]
    fn json_is_known_by_its_media_type() {
        for (said, expected) in [
            (Some("application/json"), true),
            (Some("Application/JSON; charset=utf-8"), true),
            (Some("application/vnd.idp+json"), true),
            (Some("text/html"), false),
            (Some("text/html+json"), false),
            (Some("application/jwt"), false),
            (None, false),
        ] {
            let value = said.map(HeaderValue::from_static);
            assert_eq!(is_json(value.as_ref()), expected, "{said:?}");
        }
    }

    #[tokio::test]
    async fn a_file_is_read_as_text() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("plain");
        std::fs::write(&path, [0xff]).unwrap();
        let why = read_file(&path).await.unwrap_err();
        assert!(why.contains("utf-8"), "{why}");
    }
}
