//! A stand-in for Keycloak: the paths of its admin API that are asked, and what it says there.

use std::collections::BTreeMap;
use std::process::Output;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value as Json, json};

use crate::support::rest::{Asked, RestServer};
use crate::{PASSWORD, SECRET, TOKEN_URL, register};

/// What a Keycloak holds.
#[derive(Default)]
pub struct Realm {
    pub clients: Vec<Json>,
    /// By the path that they are under.
    pub roles: BTreeMap<String, Vec<Json>>,
    /// The status that the admin API answers with, whatever is asked.
    pub refuses: Option<u16>,
    /// What it answers when a client asks for a token.
    pub no_token: Option<(&'static str, &'static str)>,
    secrets: usize,
}

impl Realm {
    pub fn answer(&mut self, asked: &Asked) -> (u16, Json) {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match (asked.method.as_str(), segments.as_slice()) {
            ("GET", ["realms", "kafka", ".well-known", "openid-configuration"]) => {
                (200, json!({"issuer": "https://idp.example/realms/kafka", "token_endpoint": TOKEN_URL}))
            }
            ("POST", ["realms", "master", "protocol", "openid-connect", "token"]) => {
                match asked.form("password") == PASSWORD && asked.form("username") == "admin" {
                    true => (200, json!({"access_token": "adm1n"})),
                    false => (401, wrong("invalid_grant", "Invalid user credentials")),
                }
            }
            ("POST", ["realms", "kafka", "protocol", "openid-connect", "token"]) => self.token(asked),
            ("GET", ["realms", _, ".well-known", ..]) => (404, json!({"error": "Realm does not exist"})),
            (_, ["admin", ..]) if asked.header("authorization") != "Bearer adm1n" => (401, Json::Null),
            (_, ["admin", ..]) if self.refuses.is_some() => {
                (self.refuses.unwrap_or_default(), json!({"error": "unknown_error"}))
            }
            (method, ["admin", "realms", "kafka", rest @ ..]) => self.admin(method, rest, query, asked),
            _ => (404, json!({"error": "Unable to find matching target resource method"})),
        }
    }

    fn token(&self, asked: &Asked) -> (u16, Json) {
        if let Some((error, description)) = self.no_token {
            return (401, wrong(error, description));
        }
        let client =
            self.clients.iter().find(|client| client["clientId"] == asked.form("client_id").as_str());
        match client {
            Some(client) if client["serviceAccountsEnabled"] != true => {
                (401, wrong("unauthorized_client", "Client not enabled to retrieve service account"))
            }
            Some(client) if client["secret"] == asked.form("client_secret").as_str() => {
                assert_eq!(asked.form("grant_type"), "client_credentials");
                (200, json!({"access_token": "t0ken"}))
            }
            _ => (401, wrong("unauthorized_client", "Invalid client or Invalid client credentials")),
        }
    }

    fn admin(&mut self, method: &str, path: &[&str], query: &str, asked: &Asked) -> (u16, Json) {
        match (method, path) {
            ("GET", ["clients"]) => {
                let is_asked = |client: &&Json| {
                    query == format!("clientId={}", client["clientId"].as_str().unwrap_or_default())
                };
                (200, self.clients.iter().filter(is_asked).cloned().collect())
            }
            ("POST", ["clients"]) => {
                let mut client = asked.json();
                client["id"] = format!("id-{}", self.clients.len()).into();
                client["secret"] = SECRET.into();
                client["protocolMappers"] = json!([]);
                self.clients.push(client);
                (201, Json::Null)
            }
            (_, ["clients", id, rest @ ..]) if !matches!(rest.first(), Some(&"roles")) => {
                let Some(client) = self.clients.iter_mut().find(|client| client["id"] == *id) else {
                    return (404, Json::Null);
                };
                match (method, rest) {
                    ("PUT", []) => {
                        let secret = client["secret"].clone();
                        *client = asked.json();
                        client["secret"] = secret;
                        (204, Json::Null)
                    }
                    ("GET", ["client-secret"]) => (200, json!({"type": "secret", "value": client["secret"]})),
                    ("POST", ["client-secret"]) => {
                        self.secrets += 1;
                        client["secret"] = format!("{SECRET}-{}", self.secrets).into();
                        (200, json!({"type": "secret", "value": client["secret"]}))
                    }
                    ("GET", ["service-account-user"]) => (200, json!({"id": "user"})),
                    ("GET", ["protocol-mappers", "models"]) => (200, client["protocolMappers"].clone()),
                    ("POST", ["protocol-mappers", "models"]) => {
                        let mut mapper = asked.json();
                        mapper["id"] = "mapper".into();
                        client["protocolMappers"].as_array_mut().expect("they are a list").push(mapper);
                        (201, Json::Null)
                    }
                    ("PUT", ["protocol-mappers", "models", "mapper"]) => {
                        client["protocolMappers"] = json!([asked.json()]);
                        (204, Json::Null)
                    }
                    _ => (405, Json::Null),
                }
            }
            (method, path) => self.roles(method, &path.join("/"), asked),
        }
    }

    fn roles(&mut self, method: &str, path: &str, asked: &Asked) -> (u16, Json) {
        if path.contains("role-mappings") || path.ends_with("roles") {
            let list = self.roles.entry(path.to_owned()).or_default();
            return match method {
                "GET" => (200, list.iter().cloned().collect()),
                _ => {
                    list.extend(match asked.json() {
                        Json::Array(roles) => roles,
                        role => vec![json!({"id": format!("id-of-{}", role["name"]), "name": role["name"]})],
                    });
                    (204, Json::Null)
                }
            };
        }
        let (list, name) = path.rsplit_once('/').expect("a role is in a list");
        let found = self.roles.get(list).and_then(|roles| roles.iter().find(|role| role["name"] == name));
        found.map_or((404, json!({"error": "Could not find role"})), |role| (200, role.clone()))
    }

    /// The names of the roles under a path.
    pub fn names(&self, path: &str) -> Vec<&str> {
        let roles = self.roles.get(path).into_iter().flatten();
        roles.map(|role| role["name"].as_str().expect("it has a name")).collect()
    }
}

fn wrong(error: &str, description: &str) -> Json {
    json!({"error": error, "error_description": description})
}

/// A Keycloak with one realm, `kafka`.
pub struct Keycloak {
    pub server: RestServer,
    pub realm: Arc<Mutex<Realm>>,
}

impl Keycloak {
    pub fn start() -> Self {
        let realm = Arc::new(Mutex::new(Realm::default()));
        let shared = realm.clone();
        let server = RestServer::start(None, move |asked| locked(&shared).answer(asked));
        Self { server, realm }
    }

    /// One in which this client is already.
    pub fn with(client: Json) -> Self {
        let keycloak = Self::start();
        let mut whole = json!({
            "id": "id-0", "clientId": "reader-app", "enabled": true, "publicClient": false, "secret": SECRET,
            "serviceAccountsEnabled": true, "protocolMappers": [],
        });
        let Json::Object(change) = client else { panic!("{client} is no client") };
        whole.as_object_mut().expect("it is one").extend(change);
        locked(&keycloak.realm).clients.push(whole);
        keycloak
    }

    pub fn register(&self, words: &[&str]) -> Output {
        register(&self.server.url(), PASSWORD, &[], words)
    }
}

pub fn locked(realm: &Mutex<Realm>) -> MutexGuard<'_, Realm> {
    realm.lock().unwrap_or_else(PoisonError::into_inner)
}
