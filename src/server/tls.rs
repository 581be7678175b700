//! TLS for both sides, from the file's PEM texts.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::cluster::{CertificateFacts, ClientAuthentication, Pem, ServerTls, TlsVersions, UpstreamTls};

/// Why certificates or keys can not be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("this holds no certificate, or no list of revoked ones, in PEM form: {0}")]
    Certificate(#[from] rustls::pki_types::pem::Error),
    #[error("the key is not a PEM private key")]
    Key,
    #[error("the certificate and its key can not be used: {0}")]
    Unusable(#[from] rustls::Error),
    #[error("the trust bundle, or its list of revoked certificates, can not be used: {0}")]
    TrustBundle(#[from] rustls::server::VerifierBuilderError),
    #[error("neither TLS 1.2 nor TLS 1.3 is allowed; name at least one")]
    NoVersion,
}

/// How a listener accepts TLS.
pub fn server_config(tls: &ServerTls) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = provider();
    let keys = tls
        .certificates
        .iter()
        .map(|certificate| certified_key(&certificate.chain, &certificate.key, &provider))
        .collect::<Result<Vec<_>, _>>()?;
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(tls.versions)?)?
        .with_client_cert_verifier(client_verifier(tls.client_authentication.as_ref(), provider)?)
        .with_cert_resolver(Arc::new(Certificates::new(keys)));
    // What comes early can be played again.
    config.max_early_data_size = 0;
    if tls.client_authentication.is_some() {
        // A session that is taken up again brings its certificate along, and nobody looks whether it has ended since.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}

/// Who vouches for clients, if they are asked for certificates.
fn client_verifier(
    wanted: Option<&ClientAuthentication>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(wanted) = wanted else { return Ok(WebPkiClientVerifier::no_client_auth()) };
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(&wanted.trust_bundle)?), provider);
    let builder = if wanted.is_required { builder } else { builder.allow_unauthenticated() };
    let builder = match &wanted.crl {
        // A certificate of which no list speaks, or only one that is too old, is not taken.
        Some(crl) => builder.with_crls(crl.revocation_lists()?).enforce_revocation_expiration(),
        None => builder,
    };
    Ok(builder.build()?)
}

/// How the gateway speaks TLS to brokers.
pub fn client_config(tls: &UpstreamTls) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(tls.versions)?)?;
    let builder = if tls.insecure_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider.clone())))
    } else if let Some(bundle) = &tls.ca_bundle {
        builder.with_root_certificates(roots(bundle)?)
    } else {
        builder.with_platform_verifier()?
    };
    let config = match &tls.client_identity {
        Some(identity) => builder
            .with_client_auth_cert(identity.certificate.certificates()?, private_key(&identity.key)?)?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// The certificates of a listener, one of which is chosen by the name that a client asks for.
#[derive(Debug)]
struct Certificates {
    /// In the order of the file: clients that ask for no name, or for one that is nobody's, get the first.
    all: Vec<Arc<CertifiedKey>>,
    /// By the hosts that they are good for; `*.rest` is one of them.
    by_host: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl Certificates {
    fn new(all: Vec<Arc<CertifiedKey>>) -> Self {
        let mut by_host: HashMap<String, Vec<_>> = HashMap::new();
        for key in &all {
            let facts = key.cert.first().and_then(|leaf| CertificateFacts::from_der(leaf));
            for host in facts.into_iter().flat_map(|facts| facts.hosts) {
                by_host.entry(host).or_default().push(key.clone());
            }
        }
        Self { all, by_host }
    }

    /// Those that a client may take, the best first: by its whole name, by a wildcard, any.
    fn for_host(&self, host: Option<&str>) -> impl Iterator<Item = &Arc<CertifiedKey>> {
        let host = host.map(|host| host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase());
        let exact = host.as_ref().and_then(|host| self.by_host.get(host));
        let rest = host.as_ref().and_then(|host| host.split_once('.'));
        let wild = rest.and_then(|(_, rest)| self.by_host.get(&format!("*.{rest}")));
        exact.into_iter().chain(wild).flatten().chain(&self.all)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let mut fitting = self.for_host(hello.server_name());
        fitting.find(|key| key.key.choose_scheme(schemes).is_some()).cloned()
    }
}

/// Takes any certificate: what `insecure_skip_verify` asks for.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn versions(allowed: TlsVersions) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let mut versions = Vec::new();
    if allowed.tls13 {
        versions.push(&rustls::version::TLS13);
    }
    if allowed.tls12 {
        versions.push(&rustls::version::TLS12);
    }
    if versions.is_empty() { Err(TlsError::NoVersion) } else { Ok(versions) }
}

fn certified_key(
    certificate: &Pem,
    key: &Pem,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    Ok(Arc::new(CertifiedKey::from_der(certificate.certificates()?, private_key(key)?, provider)?))
}

fn roots(bundle: &Pem) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in bundle.certificates()? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, TlsError> {
    pem.private_key().ok_or(TlsError::Key)
}
