//! A server that answers requests in JSON however a test says, and remembers them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value as Json;

/// A server on a port of its own; it answers one request after another.
pub struct RestServer {
    port: u16,
    scheme: &'static str,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Mutex<Box<Answer>>,
    asked: Mutex<Vec<Asked>>,
    is_gone: AtomicBool,
}

type Answer = dyn FnMut(&Asked) -> (u16, Json) + Send;

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// With the query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Asked {
    /// The value of a header, by its name in small letters.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }

    /// The value of a parameter in a form.
    pub fn form(&self, name: &str) -> String {
        let mut pairs = url::form_urlencoded::parse(self.body.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    }

    pub fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl RestServer {
    /// Answers with a status and a document, behind TLS if there is a way for it.
    pub fn start(
        tls: Option<Arc<ServerConfig>>,
        answer: impl FnMut(&Asked) -> (u16, Json) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            answer: Mutex::new(Box::new(answer)),
            asked: Mutex::default(),
            is_gone: AtomicBool::new(false),
        });
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.is_gone.load(Ordering::SeqCst) {
                    return;
                }
                let (serving, tls) = (serving.clone(), tls.clone());
                // Who asks may go away before the answer; that is his affair.
                thread::spawn(move || match tls {
                    None => drop(serve(stream, &serving)),
                    Some(config) => {
                        let connection = ServerConnection::new(config).expect("the settings are good");
                        drop(serve(StreamOwned::new(connection, stream), &serving));
                    }
                });
            }
        });
        Self { port, scheme, shared }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for RestServer {
    fn drop(&mut self) {
        self.shared.is_gone.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, so that it sees the end.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(mut stream: impl Read + Write, shared: &Shared) -> std::io::Result<()> {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    let asked = loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        text.extend_from_slice(&chunk[..count]);
        if let Some(asked) = parsed(&String::from_utf8_lossy(&text)) {
            break asked;
        }
    };
    shared.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
    let (status, body) = (shared.answer.lock().unwrap_or_else(PoisonError::into_inner))(&asked);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} told\r\ncontent-type: application/json\r\ncontent-length: {length}");
    stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n{body}").as_bytes())?;
    stream.flush()
}

/// The request, once it is there as a whole.
fn parsed(text: &str) -> Option<Asked> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(key, value)| (key.to_ascii_lowercase(), value.to_owned())).collect();
    let asked = Asked { method, path, headers, body: body.to_owned() };
    let length = asked.header("content-length").parse().unwrap_or(0);
    (body.len() >= length).then_some(asked)
}
