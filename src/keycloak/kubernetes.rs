//! Into a secret of the cluster that this runs in, as its service account.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use url::Url;

use super::http::{Answer, below, client, is_bundle};
use super::output::MANAGED_BY;
use super::settings::is_label;
use super::{Failure, Secret};

/// The API server, and who we are there.
pub(super) struct Cluster {
    http: reqwest::Client,
    base: Url,
    token: Secret,
    /// The one that this runs in.
    namespace: String,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    data: Map<String, Json>,
}

impl Cluster {
    /// Reads what every pod is given: `token`, `ca.crt` and `namespace` in a folder, and where the API server is.
    pub(super) fn from_inside(
        service_account: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let variable = |name: &'static str| {
            environment(name).filter(|text| !text.is_empty()).ok_or(Failure::NoCluster(name))
        };
        let (host, port) = (variable(HOST)?, variable(PORT)?);
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let base = format!("https://{host}:{port}").parse().map_err(|_| Failure::NoCluster(HOST))?;
        let read = |name: &str| {
            let path = service_account.join(name);
            std::fs::read_to_string(&path).map_err(|why| Failure::File { path, why })
        };
        let ca = read("ca.crt")?;
        if !is_bundle(&ca) {
            return Err(Failure::CaBundle(service_account.join("ca.crt")));
        }
        let token = Secret::new(read("token")?.trim());
        let namespace = read("namespace")?.trim().to_owned();
        if !is_label(&namespace) {
            return Err(Failure::NoNamespace(namespace));
        }
        Ok(Self { http: client(Some(&ca), timeout)?, base, token, namespace })
    }

    /// Asks whether the secret could be written, and writes nothing: a right that is missing is told before a
    /// client's secret is renewed that then could not be handed on.
    pub(super) async fn rehearse(&self, namespace: Option<&str>, name: &str) -> Result<(), Failure> {
        let place = Place { namespace: namespace.unwrap_or(&self.namespace), name, is_rehearsal: true };
        self.write(&place, &Map::new()).await.map(drop)
    }

    /// Makes the secret, or changes what is different in it; its other keys stay. Says what was done.
    pub(super) async fn put(
        &self,
        namespace: Option<&str>,
        name: &str,
        entries: &[(String, Secret)],
    ) -> Result<String, Failure> {
        let place = Place { namespace: namespace.unwrap_or(&self.namespace), name, is_rehearsal: false };
        let encoded = |text: &Secret| Json::from(BASE64_STANDARD.encode(text.expose()));
        let data = entries.iter().map(|(name, value)| (name.clone(), encoded(value))).collect();
        let done = self.write(&place, &data).await?;
        Ok(format!("secret {}/{name} {done}", place.namespace))
    }

    async fn write(&self, place: &Place<'_>, data: &Map<String, Json>) -> Result<&'static str, Failure> {
        let answer = self.send(Method::GET, place, None).await?;
        if answer.status == 404 {
            if self.make(place, data).await? {
                return Ok("made");
            }
        } else {
            place.accept(&answer, "get")?;
            let found: Found = answer.read("the secret as it is")?;
            let is_same = data.iter().all(|(name, value)| found.data.get(name) == Some(value));
            if is_same && !place.is_rehearsal {
                return Ok("is as it should be");
            }
        }
        let body = json!({"metadata": {"labels": {MANAGED_BY: "sluicegate"}}, "data": data});
        let answer = self.send(Method::PATCH, place, Some(&body)).await?;
        place.accept(&answer, "patch")?;
        Ok("changed")
    }

    /// `false` when somebody else made it meanwhile.
    async fn make(&self, place: &Place<'_>, data: &Map<String, Json>) -> Result<bool, Failure> {
        let body = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": place.name,
                "namespace": place.namespace,
                "labels": {MANAGED_BY: "sluicegate"},
            },
            "type": "Opaque",
            "data": data,
        });
        let answer = self.send(Method::POST, place, Some(&body)).await?;
        match answer.status {
            409 => Ok(false),
            404 => Err(Failure::NoNamespace(place.namespace.to_owned())),
            _ => place.accept(&answer, "create").map(|()| true),
        }
    }

    async fn send(&self, method: Method, place: &Place<'_>, body: Option<&Json>) -> Result<Answer, Failure> {
        let mut url = below(&self.base, &["api", "v1", "namespaces", place.namespace, "secrets"]);
        if method != Method::POST {
            url = below(&url, &[place.name]);
        }
        if place.is_rehearsal && method != Method::GET {
            url.query_pairs_mut().append_pair("dryRun", "All");
        }
        let media = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let mut request = self.http.request(method, url.clone()).bearer_auth(self.token.expose());
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, media).body(body.to_string());
        }
        Answer::to(request, &url).await
    }
}

struct Place<'p> {
    namespace: &'p str,
    name: &'p str,
    is_rehearsal: bool,
}

impl Place<'_> {
    fn accept(&self, answer: &Answer, verb: &'static str) -> Result<(), Failure> {
        match answer.status {
            _ if answer.is_success() => Ok(()),
            401 => Err(Failure::AccountUnknown),
            403 => {
                let (namespace, name) = (self.namespace.to_owned(), self.name.to_owned());
                Err(Failure::AccessDenied { verb, namespace, name })
            }
            _ => Err(answer.unexpected("write the secret")),
        }
    }
}

const HOST: &str = "KUBERNETES_SERVICE_HOST";
const PORT: &str = "KUBERNETES_SERVICE_PORT";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_a_cluster_it_is_said_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = rcgen::generate_simple_self_signed(vec!["api".to_owned()]).unwrap().cert.pem();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let open = |host: Option<&str>| {
            let environment =
                |name: &str| if name == HOST { host.map(str::to_owned) } else { Some("443".into()) };
            Cluster::from_inside(folder.path(), &environment, Duration::from_secs(1))
        };
        let check = |host: Option<&str>, expected: &str| {
            let error = open(host).map(|_| ()).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(None, "KUBERNETES_SERVICE_HOST is not set");
        check(Some(""), "KUBERNETES_SERVICE_HOST is not set");
        check(Some("10.0.0.1"), "ca.crt cannot be read");
        std::fs::write(folder.path().join("ca.crt"), "none").unwrap();
        check(Some("10.0.0.1"), "is no CA bundle");
        std::fs::write(folder.path().join("ca.crt"), certificate).unwrap();
        check(Some("10.0.0.1"), "token cannot be read");
        std::fs::write(folder.path().join("token"), "t0ken\n").unwrap();
        std::fs::write(folder.path().join("namespace"), "a/b").unwrap();
        check(Some("10.0.0.1"), "there is no namespace");
        std::fs::write(folder.path().join("namespace"), "kafka\n").unwrap();
        let cluster = open(Some("fd00::1")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(cluster.base.as_str(), "https://[fd00::1]/");
        assert_eq!((cluster.token.expose(), cluster.namespace.as_str()), ("t0ken", "kafka"));
    }
}
