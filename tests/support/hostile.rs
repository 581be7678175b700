//! An issuer that answers each path as a test has it answer, over HTTP or HTTPS: well, badly, slowly or without end.
//!
//! Beside `issuer::KeyServer`, which only serves keys, and as a proxy too: what is asked for is taken as it stands.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

const PATIENCE: Duration = Duration::from_secs(30);

/// What is answered at one path.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200 with this body.
    Body(String),
    /// This code, with headers that each end a line, and this body.
    Status(u16, String, String),
    /// A body that never ends.
    Endless,
    /// The head, and then a byte now and then until it is answered otherwise.
    Dripping,
    /// Nothing, until it is answered otherwise.
    Stalled,
    /// The connection is closed.
    Dead,
}

impl Answer {
    pub fn status(code: u16) -> Self {
        Self::Status(code, String::new(), String::new())
    }

    /// 200, and headers that each end a line.
    pub fn with_headers(headers: &str, body: &str) -> Self {
        Self::Status(200, headers.to_owned(), body.to_owned())
    }

    pub fn redirect(code: u16, to: &str) -> Self {
        Self::Status(code, format!("location: {to}\r\n"), String::new())
    }
}

/// One question, as it came.
#[derive(Clone, Debug)]
pub struct Question {
    /// What stands behind the method: a path, or a whole address where a proxy is asked.
    pub target: String,
    /// The request's first line and its headers.
    pub head: String,
    pub body: String,
}

/// The issuer, until it is dropped.
pub struct HostileIssuer {
    shared: Arc<Shared>,
    /// The certificate to trust, as PEM, where it speaks TLS.
    pub certificate: Option<String>,
}

struct Shared {
    port: u16,
    tls: Option<Arc<ServerConfig>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, Answer>,
    questions: Vec<Question>,
    is_gone: bool,
}

impl HostileIssuer {
    pub fn start() -> Self {
        Self::serve(None, None)
    }

    /// Behind a certificate for `127.0.0.1` that only `certificate` vouches for.
    pub fn start_with_tls() -> Self {
        let CertifiedKey::<KeyPair> { cert, signing_key } =
            generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate can be made");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(
                vec![cert.der().clone()],
                PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into(),
            )
            .expect("a certificate and its key");
        Self::serve(Some(Arc::new(config)), Some(cert.pem()))
    }

    fn serve(tls: Option<Arc<ServerConfig>>, certificate: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared { port, tls, state: Mutex::default(), changed: Condvar::new() });
        let accepting = shared.clone();
        thread::spawn(move || accepting.accept(&listener));
        Self { shared, certificate }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}{path}", self.shared.port)
    }

    /// From now on a path is answered so, also to those who wait there; other paths are 404.
    pub fn answers(&self, target: &str, answer: Answer) {
        self.shared.state().answers.insert(target.to_owned(), answer);
        self.shared.changed.notify_all();
    }

    /// How often a path has been asked for.
    pub fn asked(&self, target: &str) -> usize {
        self.questions(target).len()
    }

    /// What was asked of a path.
    pub fn questions(&self, target: &str) -> Vec<Question> {
        let state = self.shared.state();
        state.questions.iter().filter(|question| question.target == target).cloned().collect()
    }

    /// Waits until a path has been asked for so often.
    pub fn wait_until_asked(&self, target: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        loop {
            let asked = state.questions.iter().filter(|question| question.target == target).count();
            if asked >= times {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "asked for {target} {asked} times, not {times}: {:?}", state.questions);
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for HostileIssuer {
    fn drop(&mut self) {
        self.shared.state().is_gone = true;
        self.shared.changed.notify_all();
        // Wakes the thread that accepts, so that it sees the end.
        let _ = TcpStream::connect(("127.0.0.1", self.shared.port));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.state().is_gone {
                return;
            }
            let Ok(stream) = stream else { continue };
            let shared = self.clone();
            // Who asks may go away before the answer; that is his affair.
            thread::spawn(move || match &shared.tls {
                None => drop(shared.converse(stream)),
                Some(config) => {
                    let Ok(connection) = ServerConnection::new(config.clone()) else { return };
                    drop(shared.converse(StreamOwned::new(connection, stream)));
                }
            });
        }
    }

    fn converse(&self, mut stream: impl Read + Write) -> std::io::Result<()> {
        let Some(question) = question(&mut stream)? else { return Ok(()) };
        let target = question.target.clone();
        self.state().questions.push(question);
        self.changed.notify_all();
        let (code, headers, body) = match self.answer_for(&target) {
            None | Some(Answer::Dead) => return Ok(()),
            Some(Answer::Endless) => return self.endless(&mut stream),
            Some(Answer::Dripping) => return self.dripping(&mut stream, &target),
            Some(Answer::Body(body)) => (200, String::new(), body),
            Some(Answer::Status(code, headers, body)) => (code, headers, body),
            Some(Answer::Stalled) => unreachable!("it is waited for"),
        };
        let head = format!(
            "HTTP/1.1 {code} told\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        stream.flush()
    }

    /// What a path is answered, when it is no longer stalled; nothing when the issuer is gone.
    fn answer_for(&self, target: &str) -> Option<Answer> {
        let mut state = self.state();
        while !state.is_gone && matches!(state.answers.get(target), Some(Answer::Stalled)) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_gone {
            return None;
        }
        Some(state.answers.get(target).cloned().unwrap_or(Answer::status(404)))
    }

    fn endless(&self, stream: &mut impl Write) -> std::io::Result<()> {
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        while !self.state().is_gone {
            stream.write_all(b"400\r\n")?;
            stream.write_all(&[b' '; 0x400])?;
            stream.write_all(b"\r\n")?;
        }
        Ok(())
    }

    fn dripping(&self, stream: &mut impl Write, target: &str) -> std::io::Result<()> {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")?;
        loop {
            stream.write_all(b" ")?;
            stream.flush()?;
            let state = self.state();
            if state.is_gone || !matches!(state.answers.get(target), Some(Answer::Dripping)) {
                return Ok(());
            }
            drop(self.changed.wait_timeout(state, Duration::from_millis(20)));
        }
    }
}

/// One request with its body; nothing when the other side has nothing to say.
fn question(stream: &mut impl Read) -> std::io::Result<Option<Question>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    while bytes.len() < head_end + length.unwrap_or(0) {
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
    let body = String::from_utf8_lossy(&bytes[head_end..]).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    Ok(Some(Question { target, head, body }))
}
