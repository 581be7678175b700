//! `sluicegate keycloak register` beside servers that speak the paths of Keycloak and of Kubernetes, and the manifests
//! that bring it into a cluster.

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value as Json, json};

use support::process::SLUICEGATE;
use support::rest::{Asked, RestServer};
use support::tls::{Authority, server};

const PASSWORD: &str = "admin-4711";
const SECRET: &str = "s3cret-0815";
const TOKEN_URL: &str = "https://idp.example/realms/kafka/protocol/openid-connect/token";

/// What a Keycloak holds.
#[derive(Default)]
struct Realm {
    clients: Vec<Json>,
    /// By the path that they are under.
    roles: BTreeMap<String, Vec<Json>>,
    /// The status that the admin API answers with, whatever is asked.
    refuses: Option<u16>,
    /// What it answers when a client asks for a token.
    no_token: Option<(&'static str, &'static str)>,
    secrets: usize,
}

impl Realm {
    fn answer(&mut self, asked: &Asked) -> (u16, Json) {
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
    fn names(&self, path: &str) -> Vec<&str> {
        let roles = self.roles.get(path).into_iter().flatten();
        roles.map(|role| role["name"].as_str().expect("it has a name")).collect()
    }
}

fn wrong(error: &str, description: &str) -> Json {
    json!({"error": error, "error_description": description})
}

/// A Keycloak with one realm, `kafka`.
struct Keycloak {
    server: RestServer,
    realm: Arc<Mutex<Realm>>,
}

impl Keycloak {
    fn start() -> Self {
        let realm = Arc::new(Mutex::new(Realm::default()));
        let shared = realm.clone();
        let server = RestServer::start(None, move |asked| locked(&shared).answer(asked));
        Self { server, realm }
    }

    /// One in which this client is already.
    fn with(client: Json) -> Self {
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

    fn register(&self, words: &[&str]) -> Output {
        register(&self.server.url(), PASSWORD, &[], words)
    }
}

fn locked(realm: &Mutex<Realm>) -> MutexGuard<'_, Realm> {
    realm.lock().unwrap_or_else(PoisonError::into_inner)
}

fn register(url: &str, password: &str, environment: &[(&str, &str)], words: &[&str]) -> Output {
    let usual = ["keycloak", "register", "--realm", "kafka", "--client", "reader-app"];
    let repeated = |word: &str| words.iter().any(|said| said.split('=').next() == Some(word));
    let usual: Vec<&str> = usual.chunks(2).filter(|pair| !repeated(pair[0])).flatten().copied().collect();
    Command::new(SLUICEGATE)
        .args(usual)
        .args(words)
        .env_clear()
        .envs([("KEYCLOAK_URL", url), ("KEYCLOAK_ADMIN", "admin"), ("KEYCLOAK_PASSWORD", password)])
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("sluicegate starts")
}

/// What it wrote, when all was well.
fn written(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

/// It failed, wrote nothing, said this, and no secret.
fn failed(output: &Output, expected: &str) {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert!(told.contains(expected), "{told}");
    for secret in [PASSWORD, SECRET, "adm1n", "k8s-t0ken"] {
        assert!(!told.contains(secret), "{told}");
    }
}

#[test]
fn a_client_is_made_as_asked_for_and_its_secret_handed_on() {
    let keycloak = Keycloak::start();
    let words = ["--role", "reader", "--client-role", "ops", "--audience", "kafka", "--scope", "email"];
    let text = written(&keycloak.register(&words));
    assert_eq!(
        text,
        format!(
            "method=oidc\nclient_id=reader-app\nclient_secret={SECRET}\ntoken_endpoint_url={TOKEN_URL}\n\
             extensions=\nscope=email\n"
        )
    );
    let realm = locked(&keycloak.realm);
    let client = &realm.clients[0];
    for (name, value) in [
        ("publicClient", false),
        ("serviceAccountsEnabled", true),
        ("standardFlowEnabled", false),
        ("implicitFlowEnabled", false),
        ("directAccessGrantsEnabled", false),
        ("enabled", true),
    ] {
        assert_eq!(client[name], value, "{name}");
    }
    let mapper = &client["protocolMappers"][0];
    assert_eq!(mapper["protocolMapper"], "oidc-audience-mapper");
    let config = json!({"included.custom.audience": "kafka", "access.token.claim": "true"});
    assert_eq!(mapper["config"], config);
    assert_eq!(realm.names("users/user/role-mappings/realm"), ["reader"]);
    assert_eq!(realm.names("users/user/role-mappings/clients/id-0"), ["ops"]);
}

#[test]
fn what_is_there_already_is_left_as_it_is() {
    let keycloak = Keycloak::start();
    let words = ["--role", "reader", "--client-role", "ops"];
    let first = written(&keycloak.register(&words));
    let count = keycloak.server.asked().len();
    assert_eq!(written(&keycloak.register(&words)), first);
    let again = &keycloak.server.asked()[count..];
    let changes: Vec<&Asked> =
        again.iter().filter(|asked| asked.method != "GET" && !asked.path.ends_with("/token")).collect();
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn a_mapper_that_was_changed_says_the_audience_again() {
    let mapper = json!({"id": "mapper", "name": "audience http://kafka.dev", "protocolMapper": "oidc-audience-mapper",
        "config": {"included.custom.audience": "http://kafka.dev", "access.token.claim": "false"}});
    let keycloak = Keycloak::with(json!({"protocolMappers": [mapper]}));
    written(&keycloak.register(&[]));
    assert_eq!(
        locked(&keycloak.realm).clients[0]["protocolMappers"][0]["config"]["access.token.claim"],
        "true"
    );
}

#[test]
fn a_new_secret_is_handed_on_when_one_is_asked_for() {
    let keycloak = Keycloak::with(json!({}));
    let text = written(&keycloak.register(&["--new-secret", "--preset", "phoenix"]));
    assert_eq!(
        text,
        format!("PHOENIX_OAUTH2_CLIENT_ID=reader-app\nPHOENIX_OAUTH2_CLIENT_SECRET={SECRET}-1\n")
    );
}

#[test]
fn a_client_that_others_use_is_changed_only_when_told_so() {
    let check = |client: Json, expected: &str| {
        let keycloak = Keycloak::with(client);
        let before = locked(&keycloak.realm).clients[0].clone();
        failed(&keycloak.register(&[]), expected);
        assert_eq!(locked(&keycloak.realm).clients[0], before);
        let text = written(&keycloak.register(&["--adopt"]));
        assert!(text.contains(SECRET), "{text}");
        let realm = locked(&keycloak.realm);
        let client = &realm.clients[0];
        assert_eq!((&client["publicClient"], &client["standardFlowEnabled"]), (&json!(false), &json!(false)));
        assert_eq!(client["serviceAccountsEnabled"], true);
        assert_eq!(client["description"], before["description"], "what it has besides stays");
    };
    check(json!({"publicClient": true, "description": "a shop"}), "is public");
    check(json!({"serviceAccountsEnabled": false, "description": "a shop"}), "its service account is off");
    check(json!({"standardFlowEnabled": true, "description": "a shop"}), "logins by a browser");
    let keycloak = Keycloak::with(json!({"enabled": false}));
    failed(&keycloak.register(&["--adopt"]), "is disabled; enable it in Keycloak");
}

#[test]
fn of_each_usual_failure_it_is_said_what_to_do() {
    let keycloak = Keycloak::with(json!({}));
    let url = keycloak.server.url();
    failed(&register(&url, "wrong", &[], &[]), "invalid_grant; check KEYCLOAK_ADMIN and KEYCLOAK_PASSWORD");
    failed(&keycloak.register(&["--realm", "nowhere"]), "there is no realm \"nowhere\"; make it");
    let with_path = format!("{url}/auth");
    failed(&register(&with_path, PASSWORD, &[], &[]), "is no Keycloak: nothing answers under /auth");
    failed(&register("http://127.0.0.1:1", PASSWORD, &[], &[]), "http://127.0.0.1:1 is unreachable");
    let tokens = |error, description, expected: &str| {
        locked(&keycloak.realm).no_token = Some((error, description));
        failed(&keycloak.register(&[]), expected);
    };
    let account = "Client not enabled to retrieve service account";
    tokens("unauthorized_client", account, "(unauthorized_client): its service account is off");
    let stale = "Invalid client or Invalid client credentials";
    tokens("unauthorized_client", stale, "(unauthorized_client): the secret is stale");
    tokens("invalid_grant", "", "(invalid_grant): the secret is stale");
    locked(&keycloak.realm).refuses = Some(403);
    failed(
        &keycloak.register(&[]),
        "the admin may not see clients in realm \"kafka\"; give this user the role",
    );
    locked(&keycloak.realm).refuses = Some(500);
    failed(&keycloak.register(&[]), "answers 500 unknown_error when asked to see clients");
}

#[test]
fn a_certificate_of_a_stranger_is_not_trusted_and_one_of_the_bundle_is() {
    let authority = Authority::new("authority");
    let realm = Arc::new(Mutex::new(Realm::default()));
    let tls = server(&authority.pair(&["127.0.0.1"]), None);
    let keycloak = RestServer::start(Some(tls), move |asked| locked(&realm).answer(asked));
    let folder = tempfile::tempdir().expect("a temporary directory");
    let bundle = |name: &str, authority: &Authority| {
        let path = folder.path().join(name);
        fs::write(&path, authority.pem()).expect("the file can be written");
        path.to_str().expect("it is text").to_owned()
    };
    let (own, other) = (bundle("own", &authority), bundle("other", &Authority::new("stranger")));
    let ask = |bundle: &str| register(&keycloak.url(), PASSWORD, &[], &["--ca-bundle", bundle]);
    failed(&ask(&other), "SSL certificate problem: ");
    failed(&ask(&other), "--ca-bundle");
    assert!(written(&ask(&own)).contains(SECRET));
    let by_variable = [("KEYCLOAK_CA_BUNDLE", own.as_str())];
    assert!(written(&register(&keycloak.url(), PASSWORD, &by_variable, &[])).contains(SECRET));
}

/// What an API server holds, as far as secrets go.
struct Cluster {
    secrets: BTreeMap<String, Json>,
    /// What the account may do.
    verbs: Vec<&'static str>,
    /// Somebody else makes the secret between a look and the making.
    is_raced: bool,
}

impl Cluster {
    fn answer(&mut self, asked: &Asked) -> (u16, Json) {
        let status =
            |code: u16, reason: &str| (code, json!({"kind": "Status", "code": code, "reason": reason}));
        if asked.header("authorization") != "Bearer k8s-t0ken" {
            return status(401, "Unauthorized");
        }
        let verb = match asked.method.as_str() {
            "GET" => "get",
            "POST" => "create",
            "PATCH" => "patch",
            _ => return status(405, "MethodNotAllowed"),
        };
        if !self.verbs.contains(&verb) {
            return status(403, "Forbidden");
        }
        let path = asked.path.strip_prefix("/api/v1/namespaces/").unwrap_or_default().to_owned();
        let Some((namespace, name)) = path.split_once("/secrets") else { return status(404, "NotFound") };
        let name = name.trim_start_matches('/');
        match verb {
            "get" if !self.is_raced => match self.secrets.get(&format!("{namespace}/{name}")) {
                Some(secret) => (200, secret.clone()),
                None => status(404, "NotFound"),
            },
            "get" => status(404, "NotFound"),
            "create" => {
                let secret = asked.json();
                assert_eq!(asked.header("content-type"), "application/json");
                assert_eq!((&secret["apiVersion"], &secret["kind"]), (&json!("v1"), &json!("Secret")));
                assert_eq!(secret["type"], "Opaque");
                assert_eq!(secret["metadata"]["namespace"], namespace);
                let place =
                    format!("{namespace}/{}", secret["metadata"]["name"].as_str().expect("it has a name"));
                if !matches!(namespace, "kafka" | "own") {
                    return status(404, "NotFound");
                }
                if self.secrets.contains_key(&place) {
                    return status(409, "AlreadyExists");
                }
                self.secrets.insert(place, secret);
                (201, json!({}))
            }
            _ => {
                assert_eq!(asked.header("content-type"), "application/merge-patch+json");
                let Some(secret) = self.secrets.get_mut(&path.replace("/secrets", "")) else {
                    return status(404, "NotFound");
                };
                for (key, value) in asked.json()["data"].as_object().expect("there is data") {
                    secret["data"][key] = value.clone();
                }
                (200, secret.clone())
            }
        }
    }
}

/// An API server, and what a pod of it has.
struct Pod {
    api: RestServer,
    cluster: Arc<Mutex<Cluster>>,
    folder: tempfile::TempDir,
}

impl Pod {
    fn start() -> Self {
        let verbs = vec!["get", "create", "patch"];
        let cluster = Arc::new(Mutex::new(Cluster { secrets: BTreeMap::new(), verbs, is_raced: false }));
        let shared = cluster.clone();
        let authority = Authority::new("cluster");
        let tls = server(&authority.pair(&["127.0.0.1"]), None);
        let answer = move |asked: &Asked| shared.lock().unwrap_or_else(PoisonError::into_inner).answer(asked);
        let api = RestServer::start(Some(tls), answer);
        let folder = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in
            [("ca.crt", authority.pem().as_str()), ("token", "k8s-t0ken"), ("namespace", "own")]
        {
            fs::write(folder.path().join(name), text).expect("the file can be written");
        }
        Self { api, cluster, folder }
    }

    fn register(&self, keycloak: &Keycloak, words: &[&str]) -> Output {
        let port = self.api.port().to_string();
        let environment =
            [("KUBERNETES_SERVICE_HOST", "127.0.0.1"), ("KUBERNETES_SERVICE_PORT", port.as_str())];
        let folder = self.folder.path().to_str().expect("it is text");
        let usual = ["--to", "cluster", "--service-account", folder];
        let words: Vec<&str> = usual.iter().chain(words).copied().collect();
        register(&keycloak.server.url(), PASSWORD, &environment, &words)
    }

    fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn value(&self, place: &str, key: &str) -> String {
        let cluster = self.cluster();
        let value = cluster.secrets[place]["data"][key].as_str().expect("it is there");
        String::from_utf8(BASE64_STANDARD.decode(value).expect("it is base64")).expect("it is text")
    }
}

/// It went well, wrote nothing, and told this.
fn told(output: &Output, expected: &str) {
    assert_eq!(written(output), "");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains(expected) && !told.contains(SECRET), "{told}");
}

#[test]
fn the_secret_is_written_into_the_cluster_and_changed_only_where_it_differs() {
    let (keycloak, pod) = (Keycloak::start(), Pod::start());
    let words = ["--namespace", "kafka", "--secret-name", "sluicegate-kafka"];
    told(&pod.register(&keycloak, &words), "secret kafka/sluicegate-kafka made");
    assert_eq!(pod.value("kafka/sluicegate-kafka", "client_secret"), SECRET);
    assert_eq!(pod.value("kafka/sluicegate-kafka", "token_endpoint_url"), TOKEN_URL);
    assert_eq!(pod.value("kafka/sluicegate-kafka", "scope"), "");
    told(&pod.register(&keycloak, &words), "secret kafka/sluicegate-kafka is as it should be");
    pod.cluster().secrets.get_mut("kafka/sluicegate-kafka").expect("it was made")["data"]["other"] =
        "eA==".into();
    let renewed: Vec<&str> = words.iter().copied().chain(["--new-secret"]).collect();
    told(&pod.register(&keycloak, &renewed), "secret kafka/sluicegate-kafka changed");
    assert_eq!(pod.value("kafka/sluicegate-kafka", "client_secret"), format!("{SECRET}-1"));
    assert_eq!(pod.value("kafka/sluicegate-kafka", "other"), "x", "what others wrote stays");
    let methods: Vec<String> = pod.api.asked().into_iter().map(|asked| asked.method).collect();
    assert_eq!(methods, ["GET", "POST", "GET", "GET", "PATCH"]);
}

#[test]
fn by_default_it_is_the_namespace_of_the_pod_and_the_name_of_the_client() {
    let (keycloak, pod) = (Keycloak::start(), Pod::start());
    let words = ["--key", "client-id=client_id", "--key", "pass=client_secret"];
    told(&pod.register(&keycloak, &words), "secret own/reader-app made");
    assert_eq!(pod.value("own/reader-app", "client-id"), "reader-app");
    assert_eq!(pod.value("own/reader-app", "pass"), SECRET);
}

#[test]
fn a_secret_that_somebody_makes_meanwhile_is_changed() {
    let (keycloak, pod) = (Keycloak::start(), Pod::start());
    pod.cluster().is_raced = true;
    pod.cluster().secrets.insert("own/reader-app".to_owned(), json!({"data": {}}));
    told(&pod.register(&keycloak, &[]), "secret own/reader-app changed");
    assert_eq!(pod.value("own/reader-app", "client_secret"), SECRET);
}

#[test]
fn without_the_right_to_write_it_is_said_which_is_missing() {
    let check = |verbs: &[&'static str], is_there: bool, expected: &str| {
        let (keycloak, pod) = (Keycloak::start(), Pod::start());
        pod.cluster().verbs = verbs.to_vec();
        if is_there {
            pod.cluster().secrets.insert("own/reader-app".to_owned(), json!({"data": {}}));
        }
        failed(&pod.register(&keycloak, &[]), expected);
    };
    check(&[], false, "Access denied: this service account may not get the secret own/reader-app; give it");
    check(&["get"], false, "may not create the secret own/reader-app");
    check(&["get", "create"], true, "may not patch the secret own/reader-app");
    let (keycloak, pod) = (Keycloak::start(), Pod::start());
    failed(&pod.register(&keycloak, &["--namespace", "nowhere"]), "there is no namespace \"nowhere\"");
    fs::write(pod.folder.path().join("token"), "old").expect("the file can be written");
    failed(&pod.register(&keycloak, &[]), "does not know this service account (401)");
}

#[test]
fn outside_a_cluster_nothing_is_changed_before_that_is_said() {
    let keycloak = Keycloak::start();
    failed(&keycloak.register(&["--to", "cluster"]), "KUBERNETES_SERVICE_HOST is not set");
    assert!(keycloak.server.asked().is_empty());
}

#[test]
fn wrong_use_is_not_a_failure() {
    let check = |environment: &[(&str, &str)], words: &[&str], expected: &str| {
        let output = register("http://127.0.0.1:1", PASSWORD, environment, words);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(expected) && !told.contains(PASSWORD), "{told}");
    };
    check(&[("KEYCLOAK_PASSWORD", "")], &[], "KEYCLOAK_PASSWORD is not set");
    check(&[("KEYCLOAK_URL", "http://admin:admin-4711@kc")], &[], "--keycloak-url is no address");
    check(&[], &["--preset", "redis"], "otel-collector");
    check(&[], &["--preset", "kafka", "--key", "A=scope"], "cannot be used with");
    check(&[], &["--namespace", "kafka"], "--namespace is for --to manifest");
}

/// Every document of a file in `deploy/keycloak/`.
fn documents(name: &str) -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/keycloak").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let documents = text.split("\n---\n");
    documents
        .map(|text| serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}")))
        .collect()
}

#[test]
fn the_account_may_write_one_secret_where_it_is_read_and_nothing_else() {
    let documents = documents("rbac.yaml");
    let [account, role, binding] = documents.as_slice() else { panic!("{documents:?}") };
    assert_eq!((&account["apiVersion"], &account["kind"]), (&json!("v1"), &json!("ServiceAccount")));
    for document in [role, binding] {
        assert_eq!(document["apiVersion"], "rbac.authorization.k8s.io/v1");
        assert_eq!(document["metadata"]["namespace"], "kafka", "the target's");
    }
    assert_eq!(role["kind"], "Role");
    let secret = json!(["sluicegate-kafka"]);
    assert_eq!(
        role["rules"],
        json!([
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": secret, "verbs": ["get", "update", "patch"]},
        ])
    );
    assert_eq!(binding["kind"], "RoleBinding");
    let to =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role["metadata"]["name"]});
    assert_eq!(binding["roleRef"], to);
    let (name, namespace) = (&account["metadata"]["name"], &account["metadata"]["namespace"]);
    assert_eq!(namespace, "keycloak", "the account's own");
    assert_eq!(
        binding["subjects"],
        json!([{"kind": "ServiceAccount", "name": name, "namespace": namespace}])
    );
}

#[test]
fn both_jobs_say_what_the_command_line_takes() {
    for (name, url, bundle) in [
        ("job-internal-url.yaml", "http://keycloak.keycloak.svc:8080", None),
        ("job-ca-bundle.yaml", "https://idp.example", Some("/etc/keycloak/ca.pem")),
    ] {
        let job = documents(name).remove(0);
        assert_eq!((&job["apiVersion"], &job["kind"]), (&json!("batch/v1"), &json!("Job")));
        assert_eq!(job["metadata"]["namespace"], "keycloak");
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], "sluicegate-register");
        assert_eq!(pod["restartPolicy"], "Never");
        let container = &pod["containers"][0];
        let variable = |name: &str| {
            let list = container["env"].as_array().expect("there are some");
            list.iter().find(|variable| variable["name"] == name).cloned()
        };
        let value = |name: &str| variable(name).and_then(|found| found["value"].as_str().map(str::to_owned));
        assert_eq!(value("KEYCLOAK_URL").as_deref(), Some(url));
        assert_eq!(value("KEYCLOAK_CA_BUNDLE").as_deref(), bundle);
        for name in ["KEYCLOAK_ADMIN", "KEYCLOAK_PASSWORD"] {
            let from = &variable(name).expect("it is there")["valueFrom"]["secretKeyRef"]["name"];
            assert_eq!(from, "keycloak-admin", "{name} comes from a secret");
        }
        if let Some(bundle) = bundle {
            let mount = &container["volumeMounts"][0];
            let folder = mount["mountPath"].as_str().expect("it is mounted somewhere");
            assert!(bundle.starts_with(folder), "{bundle} is in {folder}");
            assert_eq!(mount["name"], pod["volumes"][0]["name"]);
            assert!(pod["volumes"][0]["configMap"]["name"].is_string());
        }
        // The words of the Job, in a pod: the program takes them, and writes where the Role lets it.
        let arguments = container["args"].as_array().expect("there are some");
        let arguments: Vec<&str> = arguments.iter().map(|word| word.as_str().expect("a word")).collect();
        assert_eq!(arguments[..2], ["keycloak", "register"]);
        let (keycloak, pod) = (Keycloak::start(), Pod::start());
        let mut words = arguments[2..].to_vec();
        words.retain(|word| *word != "--to=cluster");
        let output = pod.register(&keycloak, &words);
        told(&output, "secret kafka/sluicegate-kafka made");
    }
}

/// The code spans in the first cells of the rows below the header that begins so.
fn first_cells(page: &'static str, header: &str) -> Vec<&'static str> {
    let start = page.find(header).unwrap_or_else(|| panic!("there is no table {header}"));
    let rows = page[start..].lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('`').nth(1).expect("it begins with code")).collect()
}

#[test]
fn the_page_says_what_the_program_says() {
    const PAGE: &str = include_str!("../docs/keycloak.md");
    let source = include_str!("../src/keycloak/failure.rs").replace("\\\n", "");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = words(&source);
    let told = first_cells(PAGE, "| it says |");
    assert!(told.len() > 10, "{told:?}");
    for sentence in told {
        assert!(said.contains(sentence.trim_end_matches(" …")), "no failure says {sentence}");
    }
    let help = Command::new(SLUICEGATE).args(["keycloak", "register", "--help"]).output();
    let help = words(&String::from_utf8(help.expect("sluicegate starts").stdout).expect("it is text"));
    for word in first_cells(PAGE, "| `--to` |").into_iter().chain(first_cells(PAGE, "| `--preset` |")) {
        assert!(help.contains(&format!("- {word}: ")), "{word} is no word of the command line");
    }
    for name in first_cells(PAGE, "| Job |") {
        documents(name);
    }
}
