//! A secret in the cluster that this runs in, and a stand-in for its API server.

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value as Json, json};

use crate::keycloak::Keycloak;
use crate::support::rest::{Asked, RestServer};
use crate::support::tls::{Authority, server};
use crate::{PASSWORD, SECRET, TOKEN_URL, failed, register, schema, told};

/// What an API server holds, as far as secrets go.
pub struct Cluster {
    pub secrets: BTreeMap<String, Json>,
    /// What the account may do.
    pub verbs: Vec<&'static str>,
    /// Somebody else makes the secret between a look and the making.
    pub is_raced: bool,
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
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        assert!(matches!(query, "" | "dryRun=All"), "{query}");
        let path = path.strip_prefix("/api/v1/namespaces/").unwrap_or_default().to_owned();
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
                schema::assert_taken(&secret);
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
                if query.is_empty() {
                    self.secrets.insert(place, secret);
                }
                (201, json!({}))
            }
            _ => {
                assert_eq!(asked.header("content-type"), "application/merge-patch+json");
                let Some(secret) = self.secrets.get_mut(&path.replace("/secrets", "")) else {
                    return status(404, "NotFound");
                };
                if !query.is_empty() {
                    return (200, secret.clone());
                }
                for (key, value) in asked.json()["data"].as_object().expect("there is data") {
                    secret["data"][key] = value.clone();
                }
                (200, secret.clone())
            }
        }
    }
}

/// An API server, and what a pod of it has.
pub struct Pod {
    pub api: RestServer,
    cluster: Arc<Mutex<Cluster>>,
    pub folder: tempfile::TempDir,
}

impl Pod {
    pub fn start() -> Self {
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

    pub fn register(&self, keycloak: &Keycloak, words: &[&str]) -> Output {
        let port = self.api.port().to_string();
        let environment =
            [("KUBERNETES_SERVICE_HOST", "127.0.0.1"), ("KUBERNETES_SERVICE_PORT", port.as_str())];
        let folder = self.folder.path().to_str().expect("it is text");
        let usual = ["--to", "cluster", "--service-account", folder];
        let words: Vec<&str> = usual.iter().chain(words).copied().collect();
        register(&keycloak.server.url(), PASSWORD, &environment, &words)
    }

    pub fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn value(&self, place: &str, key: &str) -> String {
        let cluster = self.cluster();
        let value = cluster.secrets[place]["data"][key].as_str().expect("it is there");
        String::from_utf8(BASE64_STANDARD.decode(value).expect("it is base64")).expect("it is text")
    }
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
    let asked = pod.api.asked().into_iter().filter(|asked| !asked.path.ends_with("?dryRun=All"));
    let changes: Vec<String> = asked.map(|asked| asked.method).filter(|method| method != "GET").collect();
    assert_eq!(changes, ["POST", "PATCH"]);
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
fn without_the_right_to_write_it_is_said_which_is_missing_and_the_secret_is_not_renewed() {
    let check = |verbs: &[&'static str], is_there: bool, words: &[&str], expected: &str| {
        let (keycloak, pod) = (Keycloak::start(), Pod::start());
        pod.cluster().verbs = verbs.to_vec();
        if is_there {
            pod.cluster().secrets.insert("own/reader-app".to_owned(), json!({"data": {}}));
        }
        let words: Vec<&str> = words.iter().copied().chain(["--new-secret"]).collect();
        failed(&pod.register(&keycloak, &words), expected);
        assert!(keycloak.server.asked().is_empty(), "Keycloak is asked for nothing before that");
    };
    let told = "Access denied: this service account may not get the secret own/reader-app; give it";
    check(&[], false, &[], told);
    check(&["get"], false, &[], "may not create the secret own/reader-app");
    check(&["get", "create"], true, &[], "may not patch the secret own/reader-app");
    let all = ["get", "create", "patch"];
    check(&all, false, &["--namespace", "nowhere"], "there is no namespace \"nowhere\"");
    let (keycloak, pod) = (Keycloak::start(), Pod::start());
    fs::write(pod.folder.path().join("token"), "old").expect("the file can be written");
    failed(&pod.register(&keycloak, &[]), "does not know this service account (401)");
}

#[test]
fn outside_a_cluster_nothing_is_changed_before_that_is_said() {
    let keycloak = Keycloak::start();
    failed(&keycloak.register(&["--to", "cluster"]), "KUBERNETES_SERVICE_HOST is not set");
    assert!(keycloak.server.asked().is_empty());
}
