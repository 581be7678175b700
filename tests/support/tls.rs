//! Certificates for tests: an authority of their own, what it vouches for, and clients that trust it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

/// Somebody who vouches for others.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key can be made");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("an authority can be made") }
    }

    /// As PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for these hosts, or for a client of this name, as it is after a change.
    pub fn vouch_for(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).expect("these are names");
        params.distinguished_name.push(DnType::CommonName, names.first().map_or("nobody", String::as_str));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate can be made");
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    pub fn pair(&self, names: &[&str]) -> Pair {
        self.vouch_for(names, |_| {})
    }

    /// A client that trusts this authority alone.
    pub fn client(&self) -> Arc<ClientConfig> {
        self.client_with(&[&TLS12, &TLS13], None)
    }

    /// A client that trusts this authority alone, speaks these versions, and shows a certificate.
    pub fn client_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        pair: Option<&Pair>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority of our own");
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .expect("the provider has these versions")
            .with_root_certificates(roots);
        Arc::new(match pair {
            None => config.with_no_client_auth(),
            Some(pair) => {
                config.with_client_auth_cert(pair.chain(), pair.private_key()).expect("a pair of our own")
            }
        })
    }
}

impl Pair {
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.certificate.as_bytes())
            .collect::<Result<_, _>>()
            .expect("a certificate of our own")
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key of our own")
    }

    /// Writes `NAME.crt` and `NAME.key`, and returns the item of `certificates` that reads them.
    pub fn write(&self, dir: &Path, name: &str) -> String {
        fs::write(dir.join(format!("{name}.crt")), &self.certificate).expect("the file can be written");
        fs::write(dir.join(format!("{name}.key")), &self.key).expect("the file can be written");
        let dir = dir.display();
        format!("{{certificate: \"${{file['{dir}/{name}.crt']}}\", key: \"${{file['{dir}/{name}.key']}}\"}}")
    }
}

/// Writes a text, and returns the stand-in that reads it.
pub fn written(dir: &Path, name: &str, text: &str) -> String {
    fs::write(dir.join(name), text).expect("the file can be written");
    format!("\"${{file['{}/{name}']}}\"", dir.display())
}
