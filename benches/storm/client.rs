//! One client of a storm, and the issuer that gives it its token.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use kafka_protocol::messages::{
    ApiVersionsRequest, MetadataRequest, SaslAuthenticateRequest, SaslAuthenticateResponse,
    SaslHandshakeRequest,
};
use kafka_protocol::protocol::{Request, StrBytes};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sluicegate::wire::{
    Direction, Gather, RequestHead, RequestHeader, decode, encode_body, grammar, read_response, write_request,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A token, as its issuer wrote it.
pub type Token = Rc<str>;

/// Where clients come in.
#[derive(Clone)]
pub struct Door {
    port: u16,
    tls: TlsConnector,
}

/// A client that is inside, for as long as the value lives.
pub struct Client {
    stream: TlsStream<TcpStream>,
}

impl Door {
    pub fn new(port: u16, ca: &[u8]) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca) {
            roots.add(certificate.expect("it is PEM")).expect("it is a certificate");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Each client is another machine, that was never here.
        config.resumption = Resumption::disabled();
        Self { port, tls: Arc::new(config).into() }
    }

    /// Connects, logs in where there is a token, and asks the broker one thing.
    pub async fn enter(&self, token: Option<&Token>) -> io::Result<Client> {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).await?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").expect("it is a name");
        let mut client = Client { stream: self.tls.connect(name, socket).await? };
        client.ask(0, &ApiVersionsRequest::default()).await?;
        if let Some(token) = token {
            let mechanism = StrBytes::from_static_str("OAUTHBEARER");
            client.ask(1, &SaslHandshakeRequest::default().with_mechanism(mechanism)).await?;
            let message = format!("n,,\x01auth=Bearer {token}\x01\x01");
            let request = SaslAuthenticateRequest::default().with_auth_bytes(message.into_bytes().into());
            let answer: SaslAuthenticateResponse = client.ask(1, &request).await?;
            if answer.error_code != 0 || !answer.auth_bytes.is_empty() {
                return Err(io::Error::other("the login is refused"));
            }
        }
        client.ask(1, &MetadataRequest::default().with_topics(Some(Vec::new()))).await?;
        Ok(client)
    }
}

impl Client {
    async fn ask<R: Request>(&mut self, version: i16, request: &R) -> io::Result<R::Response> {
        let head = RequestHead { key: R::KEY, version, correlation_id: 1 };
        let header = RequestHeader { head, client_id: Some(StrBytes::from_static_str("storm")) };
        let mut out = Gather::around(None);
        write_request(&mut out, &header, grammar().header_flexible(R::KEY, Direction::Request, version));
        encode_body(&mut out, request, version).map_err(io::Error::other)?;
        self.stream.write_all(&out.finish().to_vec()).await?;
        let length = self.stream.read_u32().await?;
        let mut frame = vec![0; length as usize];
        self.stream.read_exact(&mut frame).await?;
        let flexible = grammar().header_flexible(R::KEY, Direction::Response, version);
        let (_, body) = read_response(&frame.into(), flexible).map_err(io::Error::other)?;
        decode(&body, version).map_err(io::Error::other)
    }
}

/// The development issuer.
#[derive(Clone)]
pub struct Issuer {
    http: reqwest::Client,
    url: Rc<str>,
}

impl Issuer {
    pub fn new(url: String) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self { http: reqwest::Client::new(), url: url.into() }
    }

    pub async fn token(&self) -> Token {
        let form = [("grant_type", "client_credentials"), ("client_id", "storm"), ("client_secret", "storm")];
        let answer = self.http.post(format!("{}/token", self.url)).form(&form).send().await;
        let answer: serde_json::Value =
            answer.expect("the issuer answers").json().await.expect("the issuer answers with JSON");
        answer["access_token"].as_str().expect("there is a token").into()
    }

    /// So many, no two of which are the same.
    pub async fn tokens(&self, count: usize) -> Vec<Token> {
        let mut fetching = JoinSet::new();
        for _ in 0..AT_ONCE {
            let issuer = self.clone();
            fetching.spawn_local(async move {
                let mut some = Vec::new();
                while some.len() < count.div_ceil(AT_ONCE) {
                    some.push(issuer.token().await);
                }
                some
            });
        }
        let mut tokens: Vec<_> = fetching.join_all().await.concat();
        tokens.truncate(count);
        tokens
    }

    /// From now on tokens are signed with another key.
    pub async fn rotate(&self) {
        let answer = self.http.post(format!("{}/rotate", self.url)).send().await;
        answer.and_then(reqwest::Response::error_for_status).expect("the issuer changes its key");
    }
}

const AT_ONCE: usize = 16;
