//! Certificates for tests: an authority of their own, what it vouches for, clients that trust it, and TLS before a
//! broker.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};

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
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key can be made");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("an authority can be made") }
    }

    /// As PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The line of a section that trusts this authority alone, for a file to which nothing is mounted.
    pub fn trusted(&self) -> String {
        format!("tls: {{ca_bundle: {}}}", inline(&self.pem()))
    }

    /// A list that revokes the certificates of these numbers, and is good for so many seconds, as PEM.
    pub fn revokes(&self, numbers: &[u64], seconds: i64) -> String {
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later");
        let end = i64::try_from(since_1970.as_secs()).expect("seconds are few") + seconds;
        let revoked = |number: &u64| RevokedCertParams {
            serial_number: (*number).into(),
            revocation_time: epoch,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: epoch,
            next_update: epoch + Duration::from_secs(end.unsigned_abs()),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: numbers.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).and_then(|list| list.pem()).expect("a list can be made")
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

/// PEM as a text of the gateway's file, in one line.
pub fn inline(pem: &str) -> String {
    format!("\"{}\"", pem.replace('\n', "\\n"))
}

/// A port that speaks TLS before a broker that does not.
pub struct TlsFront {
    port: u16,
    config: Arc<Mutex<Arc<ServerConfig>>>,
}

impl TlsFront {
    pub fn before(broker: u16, config: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let front = Self { port, config: Arc::new(Mutex::new(config)) };
        let serving = front.config.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let config = serving.lock().expect("nobody panics with it").clone();
                thread::spawn(move || carry(client, broker, config));
            }
        });
        front
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Meets whoever connects from now on like this.
    pub fn serve(&self, config: Arc<ServerConfig>) {
        *self.config.lock().expect("nobody panics with it") = config;
    }
}

/// How a server proves itself by this pair, and whom it asks for a certificate.
pub fn server(pair: &Pair, clients: Option<&Authority>) -> Arc<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = clients.map_or_else(WebPkiClientVerifier::no_client_auth, |clients| {
        let mut roots = RootCertStore::empty();
        roots.add(clients.issuer.der().clone()).expect("an authority of our own");
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        builder.build().expect("an authority of our own")
    });
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has these versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(pair.chain(), pair.private_key());
    Arc::new(config.expect("a pair of our own"))
}

/// Carries bytes both ways until one side is gone.
fn carry(client: TcpStream, broker: u16, config: Arc<ServerConfig>) {
    let carried = || -> io::Result<()> {
        let broker = TcpStream::connect(("127.0.0.1", broker))?;
        for stream in [&client, &broker] {
            stream.set_read_timeout(Some(Duration::from_millis(2)))?;
            stream.set_nodelay(true)?;
        }
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut inside = StreamOwned::new(connection, client);
        let mut outside = broker;
        while pass(&mut inside, &mut outside)? && pass(&mut outside, &mut inside)? {}
        Ok(())
    };
    // A side that breaks off is what some tests want.
    let _ = carried();
}

/// Passes on what is there; `false` at the end.
fn pass(from: &mut impl Read, to: &mut impl Write) -> io::Result<bool> {
    let mut chunk = [0; 16_384];
    match from.read(&mut chunk) {
        Ok(0) => Ok(false),
        Ok(count) => {
            to.write_all(&chunk[..count])?;
            to.flush()?;
            Ok(true)
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(true),
        Err(error) => Err(error),
    }
}
