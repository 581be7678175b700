//! Certificates, keys and bundles that are read again when their files change, and the end of each.
//!
//! Whoever connects after a change meets the new ones; connections that are open keep what they began with.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::entrance::ServerSide;
use super::tls::{TlsError, client_config, server_config};
use super::upstream::Upstream;
use crate::cluster::{CertificateFacts, Pem, ServerTls, UpstreamTls, revocation_list_end};
use crate::telemetry::{CertificateOwner, Metrics};

/// Everything that TLS is made of, on both sides.
pub struct Certificates {
    kept: Vec<Kept>,
    metrics: Metrics,
}

/// One side's TLS, as it serves now.
struct Kept {
    owner: CertificateOwner,
    name: Arc<str>,
    material: Material,
    /// Why the newest files are not in use, if they are not.
    refused: Option<String>,
}

/// What TLS is made of, and who is to have it.
#[derive(Clone)]
enum Material {
    Listener(ServerTls, ServerSide),
    Backend(UpstreamTls, Arc<Upstream>),
}

/// What files hold now, by their paths.
type Contents = HashMap<PathBuf, Result<String, String>>;

impl Certificates {
    pub fn new(metrics: Metrics) -> Self {
        Self { kept: Vec::new(), metrics }
    }

    pub fn of_listener(&mut self, name: &Arc<str>, tls: ServerTls, serving: ServerSide) {
        self.keep(CertificateOwner::Listener, name, Material::Listener(tls, serving));
    }

    pub fn of_backend(&mut self, upstream: &Arc<Upstream>) {
        if let Some(tls) = &upstream.cluster.tls {
            let material = Material::Backend(tls.clone(), upstream.clone());
            self.keep(CertificateOwner::BackendCluster, &upstream.cluster.name, material);
        }
    }

    fn keep(&mut self, owner: CertificateOwner, name: &Arc<str>, material: Material) {
        let kept = Kept { owner, name: name.clone(), material, refused: None };
        kept.tell_of_ends(&self.metrics, SystemTime::now());
        self.kept.push(kept);
    }

    /// Looks for changes until the process ends.
    pub async fn watch(mut self) {
        let mut told = Instant::now();
        loop {
            sleep(LOOK_INTERVAL).await;
            let contents = self.read().await;
            for kept in &mut self.kept {
                kept.take(&contents, &self.metrics);
            }
            if told.elapsed() >= TELL_INTERVAL {
                told = Instant::now();
                for kept in &self.kept {
                    kept.tell_of_ends(&self.metrics, SystemTime::now());
                }
            }
        }
    }

    /// Reads every file once. A file system that hangs holds up nothing but this.
    async fn read(&mut self) -> Contents {
        let pems = self.kept.iter_mut().flat_map(|kept| kept.material.pems());
        let paths: Vec<PathBuf> =
            pems.flat_map(|pem| pem.files().map(Path::to_owned).collect::<Vec<_>>()).collect();
        let reading = tokio::task::spawn_blocking(move || {
            paths.into_iter().map(|path| (path.clone(), read_file(&path))).collect()
        });
        reading.await.unwrap_or_default()
    }
}

impl Kept {
    /// Takes what the files hold now into use, if it is something else and good.
    fn take(&mut self, contents: &Contents, metrics: &Metrics) {
        let mut newer = self.material.clone();
        let read = |path: &Path| match contents.get(path) {
            Some(Ok(text)) => Ok(text.clone()),
            Some(Err(why)) => Err(format!("{} can not be read: {why}", path.display())),
            None => Err(format!("{} was not read", path.display())),
        };
        let mut is_new = false;
        for pem in newer.pems() {
            match pem.again(read) {
                Ok(again) => {
                    is_new |= again != *pem;
                    *pem = again;
                }
                Err(why) => return self.refuse(why, metrics),
            }
        }
        if !is_new {
            self.refused = None;
            return;
        }
        if let Err(why) = newer.serve() {
            return self.refuse(why.to_string(), metrics);
        }
        self.material = newer;
        self.refused = None;
        info!(owner = self.owner.as_str(), name = &*self.name, "the changed certificates are in use");
        metrics.certificates_read(self.owner, &self.name, "ok");
        self.tell_of_ends(metrics, SystemTime::now());
    }

    /// The files may be half changed; what is said once is not said again while nothing else is wrong.
    fn refuse(&mut self, why: String, metrics: &Metrics) {
        if self.refused.as_ref() == Some(&why) {
            return;
        }
        let (owner, name) = (self.owner.as_str(), &*self.name);
        warn!(owner, name, why, "the changed certificates are not taken, and those before them serve on");
        metrics.certificates_read(self.owner, name, "refused");
        self.refused = Some(why);
    }

    fn tell_of_ends(&self, metrics: &Metrics, now: SystemTime) {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let (owner, name) = (self.owner.as_str(), &*self.name);
        for (certificate, end) in self.material.ends() {
            metrics.certificate_ends(self.owner, name, &certificate, end);
            let left = end.saturating_sub(now);
            if certificate == CRL {
                // A list is new every few days, so that it ends soon is nothing to tell of.
                if left <= 0 {
                    warn!(
                        owner,
                        name,
                        "the list of revoked certificates is too old, and nobody comes in by a certificate; replace it"
                    );
                }
            } else if left <= 0 {
                warn!(owner, name, certificate, "this certificate has expired; replace it");
            } else if left < SOON_SECONDS {
                let days = left / DAY_SECONDS;
                warn!(owner, name, certificate, days, "this certificate expires soon; replace it");
            }
        }
    }
}

impl Material {
    fn pems(&mut self) -> Box<dyn Iterator<Item = &mut Pem> + '_> {
        match self {
            Material::Listener(tls, _) => Box::new(tls.pems()),
            Material::Backend(tls, _) => Box::new(tls.pems()),
        }
    }

    /// Has whoever connects next meet this.
    fn serve(&self) -> Result<(), TlsError> {
        match self {
            Material::Listener(tls, serving) => serving.store(server_config(tls)?),
            Material::Backend(tls, upstream) => upstream.renew_tls(client_config(tls)?),
        }
        Ok(())
    }

    /// When each ends, in seconds since 1970, under its key in the file.
    fn ends(&self) -> Vec<(String, i64)> {
        let mut ends = Vec::new();
        match self {
            Material::Listener(tls, _) => {
                for (place, pair) in tls.certificates.iter().enumerate() {
                    ends.extend(first_end(&pair.chain).map(|end| (format!("certificates[{place}]"), end)));
                }
                let bundle = tls.client_authentication.as_ref().map(|wanted| &wanted.trust_bundle);
                ends.extend(bundle.and_then(last_end).map(|end| ("trust_bundle".to_owned(), end)));
                let crl = tls.client_authentication.as_ref().and_then(|wanted| wanted.crl.as_ref());
                ends.extend(crl.and_then(list_end).map(|end| (CRL.to_owned(), end)));
            }
            Material::Backend(tls, _) => {
                ends.extend(
                    tls.ca_bundle.as_ref().and_then(last_end).map(|end| ("ca_bundle".to_owned(), end)),
                );
                let identity = tls.client_identity.as_ref().map(|identity| &identity.certificate);
                ends.extend(identity.and_then(first_end).map(|end| ("client_identity".to_owned(), end)));
            }
        }
        ends
    }
}

/// A chain is good until its first certificate ends.
fn first_end(chain: &Pem) -> Option<i64> {
    each_end(chain).min()
}

/// A bundle is of use until its last certificate ends: old ones stand beside those that follow them.
fn last_end(bundle: &Pem) -> Option<i64> {
    each_end(bundle).max()
}

/// Of several lists, the first that is too old keeps somebody out.
fn list_end(crl: &Pem) -> Option<i64> {
    let lists = crl.revocation_lists().unwrap_or_default();
    lists.iter().filter_map(|der| revocation_list_end(der)).min()
}

fn each_end(pem: &Pem) -> impl Iterator<Item = i64> {
    let certificates = pem.certificates().unwrap_or_default();
    certificates.into_iter().filter_map(|der| Some(CertificateFacts::from_der(&der)?.not_after))
}

fn read_file(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|why| why.to_string())?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|why| why.to_string())?;
    Ok(text)
}

/// The key of lists of revoked certificates.
const CRL: &str = "crl";
/// Certificates are renewed days before their end, so nobody waits for this.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
const TELL_INTERVAL: Duration = Duration::from_secs(24 * 3600);
const DAY_SECONDS: i64 = 24 * 3600;
/// Long enough for somebody to come back from a holiday.
const SOON_SECONDS: i64 = 14 * DAY_SECONDS;
/// As much as the file that names it may hold.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
