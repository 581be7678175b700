//! Keycloak's admin API, as an admin of one realm uses it.

use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use url::Url;

use super::http::{Answer, below, client, origin};
use super::{Failure, Secret, Settings};

/// A realm of a Keycloak, with an admin logged in.
pub(super) struct Realm {
    http: reqwest::Client,
    base: Url,
    name: String,
    token: Secret,
    /// Where clients of this realm get tokens, as it says itself.
    pub token_endpoint: Url,
}

#[derive(Deserialize)]
struct Discovery {
    token_endpoint: Url,
}

#[derive(Deserialize)]
struct Granted {
    access_token: Secret,
}

impl Realm {
    /// Finds the realm, then logs in.
    pub(super) async fn enter(settings: &Settings) -> Result<Self, Failure> {
        let http = client(settings.ca_bundle.as_deref(), settings.timeout)?;
        let (base, name) = (settings.url.clone(), settings.realm.clone());
        let url = below(&base, &["realms", &name, ".well-known", "openid-configuration"]);
        let answer = Answer::to(http.get(url.clone()), &url).await?;
        let found: Discovery = match answer.status {
            200 => answer.read("the realm's addresses")?,
            // Keycloak's own sentence; beside its base path it says another.
            404 if answer.says("error").is_some_and(|text| text.contains("Realm")) => {
                return Err(Failure::NoRealm(name));
            }
            404 => return Err(Failure::NoKeycloak { at: origin(&base), path: base.path().to_owned() }),
            _ => return Err(refusal(&answer, &base, "show the realm")),
        };
        let token = log_in(&http, settings).await?;
        Ok(Self { http, base, name, token, token_endpoint: found.token_endpoint })
    }

    /// What stands at this address below the realm, if something does.
    pub(super) async fn find<T: DeserializeOwned>(&self, ask: Ask<'_>) -> Result<Option<T>, Failure> {
        let answer = self.send(Method::GET, &ask, None).await?;
        match answer.status {
            404 => Ok(None),
            _ => self.accept(&answer, &ask).and_then(|()| answer.read(ask.what)).map(Some),
        }
    }

    /// What must stand there.
    pub(super) async fn read<T: DeserializeOwned>(&self, ask: Ask<'_>) -> Result<T, Failure> {
        let answer = self.send(Method::GET, &ask, None).await?;
        self.accept(&answer, &ask)?;
        answer.read(ask.what)
    }

    /// Adds something; `false` when it is there already.
    pub(super) async fn add(&self, ask: Ask<'_>, body: &Json) -> Result<bool, Failure> {
        let answer = self.send(Method::POST, &ask, Some(body)).await?;
        if answer.status == 409 {
            return Ok(false);
        }
        self.accept(&answer, &ask).map(|()| true)
    }

    /// Makes something anew, and reads what came of it.
    pub(super) async fn renew<T: DeserializeOwned>(&self, ask: Ask<'_>) -> Result<T, Failure> {
        let answer = self.send(Method::POST, &ask, None).await?;
        self.accept(&answer, &ask)?;
        answer.read(ask.what)
    }

    pub(super) async fn replace(&self, ask: Ask<'_>, body: &Json) -> Result<(), Failure> {
        let answer = self.send(Method::PUT, &ask, Some(body)).await?;
        self.accept(&answer, &ask)
    }

    async fn send(&self, method: Method, ask: &Ask<'_>, body: Option<&Json>) -> Result<Answer, Failure> {
        let mut url = below(&self.base, &["admin", "realms", &self.name]);
        url = below(&url, ask.path);
        if let Some((name, value)) = ask.query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let mut request = self.http.request(method, url.clone()).bearer_auth(self.token.expose());
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::to(request, &url).await
    }

    fn accept(&self, answer: &Answer, ask: &Ask<'_>) -> Result<(), Failure> {
        match answer.status {
            200..300 => Ok(()),
            403 if !is_https_required(answer) => {
                Err(Failure::NotAllowed { what: ask.what, realm: self.name.clone(), needs: ask.needs })
            }
            _ => Err(refusal(answer, &self.base, ask.what)),
        }
    }

    /// Asks for a token as the client would, where this program reaches the realm.
    pub(super) async fn try_out(&self, client: &str, secret: &Secret) -> Result<(), Failure> {
        let url = token_url(&self.base, &self.name);
        let form =
            [("grant_type", "client_credentials"), ("client_id", client), ("client_secret", secret.expose())];
        let answer = Answer::to(self.http.post(url.clone()).form(&form), &url).await?;
        let (client, word) = (client.to_owned(), answer.word());
        match answer.status {
            200 => answer.read::<Granted>("a token for the client").map(drop),
            400 | 401 => {
                // Keycloak's own sentence; the words are the same for a wrong secret.
                let is_account =
                    answer.says("error_description").is_some_and(|text| text.contains("service account"));
                Err(match is_account {
                    true => Failure::TokenWithoutAccount { client, word },
                    false => Failure::TokenRefused { client, word },
                })
            }
            _ => Err(refusal(&answer, &self.base, "give the client a token")),
        }
    }
}

/// A question to the admin API.
pub(super) struct Ask<'a> {
    /// Below the realm.
    pub path: &'a [&'a str],
    pub query: Option<(&'static str, &'a str)>,
    /// In words, after `the admin may not`.
    pub what: &'static str,
    /// The role that allows it.
    pub needs: &'static str,
}

async fn log_in(http: &reqwest::Client, settings: &Settings) -> Result<Secret, Failure> {
    let realm = &settings.admin_realm;
    let url = token_url(&settings.url, realm);
    let form = [
        ("grant_type", "password"),
        ("client_id", "admin-cli"),
        ("username", &settings.admin),
        ("password", settings.password.expose()),
    ];
    let answer = Answer::to(http.post(url.clone()).form(&form), &url).await?;
    match answer.status {
        200 => answer.read::<Granted>("a token for the admin").map(|granted| granted.access_token),
        404 => Err(Failure::NoRealm(realm.clone())),
        400 | 401 => Err(Failure::AdminRefused { realm: realm.clone(), word: answer.word() }),
        _ => Err(refusal(&answer, &settings.url, "log the admin in")),
    }
}

fn token_url(base: &Url, realm: &str) -> Url {
    below(base, &["realms", realm, "protocol", "openid-connect", "token"])
}

fn refusal(answer: &Answer, base: &Url, what: &'static str) -> Failure {
    if is_https_required(answer) {
        return Failure::HttpsRequired { at: origin(base) };
    }
    answer.unexpected(what)
}

fn is_https_required(answer: &Answer) -> bool {
    answer.status == 403 && answer.says("error_description").is_some_and(|text| text == "HTTPS required")
}
