//! A token endpoint, or one for introspection, that answers whatever a test says, and remembers how it was asked.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::tls::Pair;

/// A token endpoint on a port of its own.
pub struct TokenServer {
    port: u16,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
}

struct State {
    answer: Answer,
    asked: Vec<Question>,
    is_gone: bool,
}

type Answer = Arc<dyn Fn(&Question) -> Option<String> + Send + Sync>;

/// One request for a token, or about one.
#[derive(Clone, Debug)]
pub struct Question {
    /// The request's first line.
    pub line: String,
    /// What stands in the header `authorization`, in clear where it is HTTP Basic.
    pub authorization: Option<String>,
    pub form: Vec<(String, String)>,
    /// How many were there before it.
    pub earlier: usize,
}

impl Question {
    /// A parameter's value.
    pub fn says(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl TokenServer {
    /// Answers with these bytes; where there are none, it never answers.
    pub fn start(answer: impl Fn(&Question) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::open(None, Arc::new(answer))
    }

    /// The same behind TLS.
    pub fn start_tls(
        pair: &Pair,
        answer: impl Fn(&Question) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let certificates = CertificateDer::pem_slice_iter(pair.certificate.as_bytes());
        let certificates = certificates.collect::<Result<Vec<_>, _>>().expect("it is PEM");
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("it is PEM");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .expect("they belong together");
        Self::open(Some(Arc::new(config)), Arc::new(answer))
    }

    fn open(tls: Option<Arc<ServerConfig>>, answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(Mutex::new(State { answer, asked: Vec::new(), is_gone: false }));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if locked(&shared).is_gone {
                    return;
                }
                let (shared, tls) = (shared.clone(), tls.clone());
                // Who asks may go away before the answer; that is his affair.
                thread::spawn(move || match tls {
                    None => drop(serve(stream, &shared)),
                    Some(config) => {
                        let connection = ServerConnection::new(config).expect("the settings are good");
                        drop(serve(StreamOwned::new(connection, stream), &shared));
                    }
                });
            }
        });
        Self { port, scheme, state }
    }

    /// From now on it answers so.
    pub fn answers(&self, answer: impl Fn(&Question) -> Option<String> + Send + Sync + 'static) {
        locked(&self.state).answer = Arc::new(answer);
    }

    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}/token", self.scheme, self.port)
    }

    /// The same server, as an introspection endpoint.
    pub fn introspection_url(&self) -> String {
        format!("{}://127.0.0.1:{}/introspect", self.scheme, self.port)
    }

    pub fn asked(&self) -> Vec<Question> {
        locked(&self.state).asked.clone()
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        locked(&self.state).is_gone = true;
        // Wakes the thread that accepts, so that it sees the end.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// An answer by HTTP, which ends the connection.
pub fn http(status: u16, content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} told\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The answer that grants a token, with more members of its document, each with a comma before it.
pub fn granted(token: &str, more: &str) -> String {
    let body = format!("{{\"access_token\": \"{token}\", \"token_type\": \"Bearer\"{more}}}");
    http(200, "application/json", &body)
}

fn serve(mut stream: impl Read + Write, state: &Mutex<State>) -> std::io::Result<()> {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    let (head, body) = loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        text.extend_from_slice(&chunk[..count]);
        let said = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = said.split_once("\r\n\r\n") else { continue };
        let length = header(head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            break (head.to_owned(), body.to_owned());
        }
    };
    let line = head.lines().next().unwrap_or_default().to_owned();
    assert!(matches!(&*line, "POST /token HTTP/1.1" | "POST /introspect HTTP/1.1"), "{head}");
    let question = {
        let mut state = locked(state);
        let question = Question {
            line,
            authorization: header(&head, "authorization").map(in_clear),
            form: url::form_urlencoded::parse(body.as_bytes()).into_owned().collect(),
            earlier: state.asked.len(),
        };
        state.asked.push(question.clone());
        question
    };
    let answer = locked(state).answer.clone();
    match answer(&question) {
        Some(answer) => stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()),
        // Until whoever asks has had enough.
        None => stream.read(&mut chunk).map(drop),
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn in_clear(authorization: &str) -> String {
    let decoded = authorization.strip_prefix("Basic ").and_then(|text| BASE64_STANDARD.decode(text).ok());
    decoded.map_or(authorization.to_owned(), |text| String::from_utf8_lossy(&text).into_owned())
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
