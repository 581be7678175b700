//! The real Kafka clusters, and the names by which others refer to them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::broker_token;
use super::file;
use super::measure::SecretText;
use super::problem::{Place, Report};
use super::shape::{List, Placed, hint, items};
use super::stand_in::Elsewhere;
use super::yaml::Text;
use crate::auth::{BrokerLogin, ScramCredentials, ScramMechanism};
use crate::cluster::{Address, BackendCluster, ClientIdentity, TlsVersions, UpstreamTls};
use crate::names::Backend;

/// Things of one kind by their names; a broken one is known by name and has no value.
pub(super) struct Named<T> {
    what: &'static str,
    first: HashMap<String, (Place, Option<T>)>,
    /// There is one whose name could not be read, so that a name which is not here may be its.
    nameless: bool,
}

impl<T: Clone> Named<T> {
    pub fn new(what: &'static str) -> Self {
        Self { what, first: HashMap::new(), nameless: false }
    }

    /// Of a list that is missing or has broken items, names are missing too.
    pub fn of_list<S>(what: &'static str, list: Option<&Placed<List<S>>>) -> Self {
        let whole = list.is_some_and(|list| list.value.items.len() == list.value.written);
        Self { nameless: !whole, ..Self::new(what) }
    }

    /// Takes note of a thing; a second one of the same name, and a name that is none, are reported.
    pub fn add(&mut self, name: Option<&Placed<Text>>, thing: Option<T>, report: &mut Report) {
        let Some(name) = name else {
            self.nameless = true;
            return;
        };
        let text = &name.value.text;
        if text.trim().is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
            self.nameless = true;
            report.error(name.at, format!("a name has 1 to {NAME_BYTES_MAX} printable characters"));
        } else if let Some((earlier, _)) = self.first.get(text) {
            let message = format!(
                "the {} {} stands twice; the first is in line {}",
                self.what,
                name.value.shown(),
                earlier.line
            );
            report.error(name.at, message);
        } else {
            self.first.insert(text.clone(), (name.at, thing));
        }
    }

    /// Whether nothing of the list is missing for being broken.
    pub fn is_whole(&self) -> bool {
        !self.nameless && self.first.values().all(|(_, thing)| thing.is_some())
    }

    /// The thing that a destination names; a name that nothing bears is reported.
    pub fn find(&self, destination: &file::Destination, report: &mut Report) -> Option<T> {
        let name = destination.name.as_ref()?;
        match self.first.get(&name.value.text) {
            Some((_, thing)) => thing.clone(),
            None if self.nameless => None,
            None => {
                let known: Vec<&str> = self.first.keys().map(String::as_str).collect();
                let hint = if name.value.stands_for.is_some() {
                    String::new()
                } else {
                    hint(&name.value.text, &known)
                };
                report.error(name.at, format!("there is no {} {}{hint}", self.what, name.value.shown()));
                None
            }
        }
    }
}

/// A backend cluster, and what the file allows before it.
#[derive(Clone)]
pub(super) struct BackendEntry {
    pub cluster: Arc<BackendCluster>,
    pub allows_anonymous: bool,
}

/// Reads the backend clusters.
pub(super) fn backends(
    sections: Option<&Placed<List<file::BackendCluster>>>,
    elsewhere: &Elsewhere<'_>,
    report: &mut Report,
) -> (Named<BackendEntry>, Vec<Arc<BackendCluster>>) {
    let mut named = Named::of_list("backend cluster", sections);
    let mut all = Vec::new();
    for Placed { value: section, .. } in items(sections, report) {
        let entry = backend(section, elsewhere, report);
        all.extend(entry.as_ref().map(|entry| entry.cluster.clone()));
        named.add(section.name.as_ref(), entry, report);
    }
    (named, all)
}

fn backend(
    section: &file::BackendCluster,
    elsewhere: &Elsewhere<'_>,
    report: &mut Report,
) -> Option<BackendEntry> {
    let bootstrap = section.bootstrap_servers.as_ref().map(|servers| bootstrap(servers, report));
    let tls = section.tls.as_ref().map(|tls| upstream_tls(&tls.value, report));
    let tls = tls.flatten();
    let login = match &section.authentication {
        Some(authentication) => login(authentication, elsewhere, report),
        None => Some(BrokerLogin::Anonymous),
    };
    let in_clear = match &login {
        Some(BrokerLogin::SaslPlain { .. }) => {
            Some("the password goes to the brokers unencrypted; switch tls on, or use sasl_scram")
        }
        Some(BrokerLogin::OauthBearer(_)) => Some("the token goes to the brokers unencrypted; switch tls on"),
        _ => None,
    };
    let far = |servers: &[Backend<Address>]| !servers.iter().all(|server| is_loopback(&server.as_ref().host));
    if let (Some(Placed { at, .. }), Some(servers)) = (&section.authentication, &bootstrap)
        && let Some(in_clear) = in_clear
        && tls.is_none()
        && far(servers)
    {
        report.warn(*at, in_clear);
    }
    let interval = section.metadata_update_interval_seconds.as_ref();
    let interval = interval.map_or(60, |seconds| seconds.value.0.unsigned_abs());
    let allowed = section.insecure_allow_anonymous_virtual_cluster_auth.as_ref();
    let cluster = BackendCluster {
        name: section.name.as_ref()?.value.text.as_str().into(),
        bootstrap: bootstrap?,
        login: login?,
        tls,
        metadata_interval: Duration::from_secs(interval),
        topic_ids: Arc::default(),
    };
    Some(BackendEntry {
        cluster: Arc::new(cluster),
        allows_anonymous: allowed.is_some_and(|allowed| allowed.value),
    })
}

fn bootstrap(servers: &Placed<List<Text>>, report: &mut Report) -> Vec<Backend<Address>> {
    if servers.value.written == 0 {
        report.error(servers.at, "list at least one broker as host:port");
    }
    let mut addresses = Vec::new();
    for Placed { at, value: text } in &servers.value.items {
        match Address::parse(&text.text) {
            Ok(address) => addresses.push(Backend::meant_for_broker(address)),
            Err(error) => report.error(*at, format!("{} is no address: {error}", text.shown())),
        }
    }
    addresses
}

fn login(
    section: &Placed<file::BackendAuthentication>,
    elsewhere: &Elsewhere<'_>,
    report: &mut Report,
) -> Option<BrokerLogin> {
    match &section.value {
        file::BackendAuthentication::NoLogin(_) => Some(BrokerLogin::Anonymous),
        file::BackendAuthentication::SaslPlain(plain) => {
            let (username, password) = (username(plain.username.as_ref(), report), plain.password.as_ref());
            warn_inline(password, "password", report);
            Some(BrokerLogin::SaslPlain { username: username?, password: password?.value.secret.clone() })
        }
        file::BackendAuthentication::SaslScram(scram) => {
            let (username, password) = (username(scram.username.as_ref(), report), scram.password.as_ref());
            warn_inline(password, "password", report);
            let mechanism = match scram.algorithm.as_ref()?.value {
                file::ScramAlgorithm::Sha256 => ScramMechanism::Sha256,
                file::ScramAlgorithm::Sha512 => ScramMechanism::Sha512,
            };
            let password = password?.value.secret.clone();
            Some(BrokerLogin::SaslScram(ScramCredentials::new(mechanism, username?, password)))
        }
        file::BackendAuthentication::SaslOauthBearer(bearer) => {
            let login = broker_token::token_login(bearer, section.at, elsewhere, report)?;
            Some(BrokerLogin::OauthBearer(Arc::new(login)))
        }
    }
}

fn username(name: Option<&Placed<Text>>, report: &mut Report) -> Option<String> {
    let name = name?;
    if name.value.text.is_empty() {
        report.error(name.at, "the username is empty");
        return None;
    }
    Some(name.value.text.clone())
}

/// Says that a secret stands in the file, where everybody who reads the file reads it.
pub(super) fn warn_inline(secret: Option<&Placed<SecretText>>, what: &str, report: &mut Report) {
    if let Some(Placed { at, value: SecretText { inline: true, .. } }) = secret {
        report.warn(
            *at,
            format!("the {what} stands in this file; better ${{env['NAME']}} or ${{file['path']}}"),
        );
    }
}

fn upstream_tls(section: &file::BackendTls, report: &mut Report) -> Option<UpstreamTls> {
    let versions = tls_versions(section.tls_versions.as_ref(), report);
    if let Some(bundle) = &section.ca_bundle {
        check_certificates(bundle, report);
    }
    let identity = section.client_identity.as_ref().and_then(|identity| {
        let (certificate, key) = (identity.value.certificate.as_ref(), identity.value.key.as_ref());
        let (certificate, key) = check_identity(certificate, key, report)?;
        Some(ClientIdentity { certificate: certificate.pem(), key: key.pem() })
    });
    let server_name = section.server_name.as_ref().and_then(|name| server_name(name, report));
    let skip = section.insecure_skip_verify.as_ref().filter(|skip| skip.value);
    if !section.enabled.as_ref().is_some_and(|enabled| enabled.value) {
        return None;
    }
    if let Some(Placed { at, .. }) = skip {
        report.warn(*at, "any certificate is accepted, so anybody on the way can read and change everything");
    }
    Some(UpstreamTls {
        ca_bundle: section.ca_bundle.as_ref().map(|bundle| bundle.value.pem()),
        insecure_skip_verify: skip.is_some(),
        versions,
        server_name,
        client_identity: identity,
    })
}

fn server_name(name: &Placed<Text>, report: &mut Report) -> Option<String> {
    let text = &name.value.text;
    if ServerName::try_from(text.as_str()).is_err() {
        let message = format!("{} is no name that a certificate could bear", name.value.shown());
        report.error(name.at, message);
        return None;
    }
    Some(text.clone())
}

pub(super) fn tls_versions(
    written: Option<&Placed<List<file::TlsVersion>>>,
    report: &mut Report,
) -> TlsVersions {
    let Some(Placed { at, value: versions }) = written else { return TlsVersions::default() };
    if versions.written == 0 {
        report.error(*at, "list at least one version, or leave the key out");
    }
    let has = |version| versions.items.iter().any(|listed| listed.value == version);
    TlsVersions { tls12: has(file::TlsVersion::Tls12), tls13: has(file::TlsVersion::Tls13) }
}

/// Whether a text holds certificates in PEM form.
pub(super) fn check_certificates(pem: &Placed<Text>, report: &mut Report) -> bool {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.value.text.as_bytes()).collect();
    let good = certificates.is_ok_and(|certificates| !certificates.is_empty());
    if !good {
        report
            .error(pem.at, "this holds no certificate in PEM form; write ${file['path']} to bring in a file");
    }
    good
}

/// A certificate and its key, if both are what they should be.
pub(super) fn check_identity<'s>(
    certificate: Option<&'s Placed<Text>>,
    key: Option<&'s Placed<SecretText>>,
    report: &mut Report,
) -> Option<(&'s Text, &'s SecretText)> {
    let certificate = certificate.filter(|certificate| check_certificates(certificate, report));
    let key = key.filter(|key| {
        let good = PrivateKeyDer::from_pem_slice(key.value.secret.expose().as_bytes()).is_ok();
        if !good {
            report.error(
                key.at,
                "this holds no private key in PEM form; write ${file['path']} to bring in a file",
            );
        }
        good
    });
    warn_inline(key, "private key", report);
    Some((&certificate?.value, &key?.value))
}

/// Whether a host is this machine, as far as its name says.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

const NAME_BYTES_MAX: usize = 255;
