//! A raw Kafka client: it says exactly the bytes it is told to, and waits for exactly what is expected.
//!
//! It blocks, on plain TCP or on TLS. Whatever it waits for is bounded; when time is up it panics and says so.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest, SaslHandshakeResponse};
use kafka_protocol::protocol::{Encodable, Request, StrBytes};
use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, ClientConfig, ClientConnection, ProtocolVersion, StreamOwned};
use sluicegate::wire::{
    Direction, Gather, RequestHead, RequestHeader, decode, encode_body, grammar, read_response,
    write_request, write_response,
};
use socket2::{Domain, Socket, Type};

use super::codes::ILLEGAL_SASL_STATE;

/// What a client calls itself when a test does not say otherwise.
pub const CLIENT_ID: &str = "raw-client";

/// An answer that is not here by now does not come: a machine with two cores may compile beside the tests.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a wait looks up.
const TICK: Duration = Duration::from_millis(50);

/// One connection.
pub struct Client {
    stream: Wire,
    inbox: BytesMut,
    next_correlation_id: i32,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// What came of a read that was given some time.
#[derive(Debug, PartialEq, Eq)]
enum Received {
    Some,
    NothingYet,
    Closed,
}

impl Client {
    pub fn connect(port: u16) -> Self {
        Self::over(Wire::Plain(tcp(port)))
    }

    /// Connects from another address of this machine.
    pub fn connect_from(address: [u8; 4], port: u16) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are sockets");
        socket.bind(&SocketAddr::from((address, 0)).into()).expect("all of 127 is of this machine");
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("the gateway listens");
        Self::over(Wire::Plain(ready(socket.into())))
    }

    /// Connects by TLS, and finishes the handshake; `Err` when the gateway or the client does not want it.
    pub fn connect_tls(port: u16, config: Arc<ClientConfig>) -> io::Result<Self> {
        Self::connect_tls_to(port, "localhost", config)
    }

    /// As `connect_tls`, asking for a server by its name.
    pub fn connect_tls_to(port: u16, name: &str, config: Arc<ClientConfig>) -> io::Result<Self> {
        let name = name.to_owned().try_into().expect("a test asks for a server name");
        let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut stream = tcp(port);
        let deadline = Instant::now() + PATIENCE;
        while connection.is_handshaking() {
            assert!(Instant::now() < deadline, "no TLS handshake after {PATIENCE:?}");
            match connection.complete_io(&mut stream) {
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        Ok(Self::over(Wire::Tls(Box::new(StreamOwned::new(connection, stream)))))
    }

    fn over(stream: Wire) -> Self {
        Self { stream, inbox: BytesMut::new(), next_correlation_id: 1 }
    }

    /// Says these bytes and nothing else.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send_bytes(bytes).expect("the gateway takes the bytes");
    }

    /// Says these bytes as far as somebody listens.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.as_write();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// Says these bytes behind their length.
    pub fn send_frame(&mut self, frame: &[u8]) {
        self.send_bytes(&with_length(frame));
    }

    /// Sends a request, and returns the correlation id that it bears.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        self.send_as(version, correlation_id, Some(CLIENT_ID), request);
        correlation_id
    }

    /// Sends a request with a correlation id and a client id of one's own.
    pub fn send_as<R: Request>(
        &mut self,
        version: i16,
        correlation_id: i32,
        client_id: Option<&str>,
        request: &R,
    ) {
        self.send_bytes(&request_bytes(version, correlation_id, client_id, request));
    }

    /// The next frame, without its length.
    pub fn read_frame(&mut self) -> Bytes {
        self.read_frame_or_close().expect("the gateway answers and does not close the connection")
    }

    /// The next frame, without its length; `None` when the connection ends before it.
    pub fn read_frame_or_close(&mut self) -> Option<Bytes> {
        match self.read_frame_within(PATIENCE) {
            Ok(frame) => Some(frame),
            Err(ErrorKind::UnexpectedEof) => None,
            Err(_) => panic!("no answer after {PATIENCE:?}"),
        }
    }

    /// The next frame, without its length.
    ///
    /// Errors: `UnexpectedEof` when the connection ends before it, `TimedOut` when it is not here by then.
    pub fn read_frame_within(&mut self, patience: Duration) -> Result<Bytes, ErrorKind> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(frame) = self.split_frame() {
                return Ok(frame);
            }
            match self.receive() {
                Received::Some => {}
                Received::NothingYet if Instant::now() < deadline => {}
                Received::NothingYet => return Err(ErrorKind::TimedOut),
                Received::Closed => return Err(ErrorKind::UnexpectedEof),
            }
        }
    }

    /// The answer to the request with this correlation id; any other one is wrong.
    pub fn read<R: Request>(&mut self, version: i16, correlation_id: i32) -> R::Response {
        let frame = self.read_frame();
        let (answered, response) = response_of::<R>(version, &frame);
        assert_eq!(answered, correlation_id, "another request of the connection is answered first");
        response
    }

    /// Sends a request and waits for its answer.
    pub fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let correlation_id = self.send(version, request);
        self.read::<R>(version, correlation_id)
    }

    /// Waits for the end of the connection; anything else that comes first is wrong.
    pub fn expect_close(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(self.inbox.is_empty(), "before the end came {:02x?}", &self.inbox[..]);
            match self.receive() {
                Received::Closed => return,
                _ => assert!(Instant::now() < deadline, "still open after {PATIENCE:?}"),
            }
        }
    }

    /// All that comes until the end of the connection.
    pub fn read_to_end(&mut self) -> Bytes {
        let deadline = Instant::now() + PATIENCE;
        while self.receive() != Received::Closed {
            assert!(Instant::now() < deadline, "still open after {PATIENCE:?}");
        }
        self.inbox.split().freeze()
    }

    /// The next frame, without its length, or the alert by which TLS ends before it.
    pub fn read_frame_or_alert(&mut self) -> Result<Bytes, Option<AlertDescription>> {
        let deadline = Instant::now() + PATIENCE;
        let mut chunk = [0; 1024];
        loop {
            if let Some(frame) = self.split_frame() {
                return Ok(frame);
            }
            match self.stream.as_read().read(&mut chunk) {
                Ok(0) => return Err(None),
                Ok(count) => self.inbox.extend_from_slice(&chunk[..count]),
                Err(error) if is_pause(&error) => {
                    assert!(Instant::now() < deadline, "no answer after {PATIENCE:?}");
                }
                Err(error) => return Err(alert_in(&error)),
            }
        }
    }

    /// The certificate by which the gateway proved itself.
    pub fn server_certificate(&self) -> Option<CertificateDer<'static>> {
        match &self.stream {
            Wire::Plain(_) => None,
            Wire::Tls(stream) => stream.conn.peer_certificates()?.first().cloned(),
        }
    }

    /// Whether the gateway would take data that anybody can send again.
    pub fn offered_early_data(&mut self) -> bool {
        match &mut self.stream {
            Wire::Plain(_) => false,
            Wire::Tls(stream) => stream.conn.early_data().is_some() || stream.conn.is_early_data_accepted(),
        }
    }

    /// The version of TLS that was agreed on; `None` without TLS.
    pub fn tls_version(&self) -> Option<ProtocolVersion> {
        match &self.stream {
            Wire::Plain(_) => None,
            Wire::Tls(stream) => stream.conn.protocol_version(),
        }
    }

    /// Whether nothing has come, nor the end; looks for a moment.
    pub fn is_silent(&mut self) -> bool {
        self.inbox.is_empty() && self.receive() == Received::NothingYet
    }

    /// Ends our half of the conversation: no further byte will come from this client.
    pub fn finish_sending(&mut self) {
        let stream = match &mut self.stream {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush().expect("the gateway takes the bytes");
                &mut stream.sock
            }
        };
        stream.shutdown(std::net::Shutdown::Write).expect("the connection is there");
    }

    /// Agrees on OAUTHBEARER.
    pub fn handshake(&mut self) {
        self.agree_on("OAUTHBEARER");
    }

    /// Agrees on a mechanism.
    pub fn agree_on(&mut self, mechanism: &str) {
        let answer = self.ask_for_mechanism(mechanism);
        assert_eq!(answer.error_code, 0, "{answer:?}");
    }

    pub fn ask_for_mechanism(&mut self, mechanism: &str) -> SaslHandshakeResponse {
        let mechanism = StrBytes::from_string(mechanism.to_owned());
        self.ask(1, &SaslHandshakeRequest::default().with_mechanism(mechanism))
    }

    /// Agrees on a mechanism as soon as that is allowed: a second after the last login.
    pub fn handshake_again(&mut self, mechanism: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.ask_for_mechanism(mechanism).error_code {
                0 => return,
                ILLEGAL_SASL_STATE => assert!(Instant::now() < deadline, "no second login is allowed"),
                other => panic!("a handshake is answered with {other}"),
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// One message of the mechanism, and the answer to it.
    pub fn authenticate(&mut self, message: &[u8]) -> SaslAuthenticateResponse {
        self.ask(2, &authenticate(message))
    }

    /// Logs in with a token, and returns how long the session will last, in milliseconds.
    pub fn log_in(&mut self, token: &str) -> i64 {
        self.handshake();
        let answer = self.authenticate(&client_first(token));
        assert_eq!(answer.error_code, 0, "{answer:?}");
        assert!(answer.auth_bytes.is_empty(), "the token is refused: {answer:?}");
        answer.session_lifetime_ms
    }

    /// Agrees on PLAIN, says a name and a password, and returns what comes of it.
    pub fn authenticate_by_plain(&mut self, name: &str, password: &str) -> SaslAuthenticateResponse {
        self.agree_on("PLAIN");
        self.authenticate(&plain(name, password))
    }

    /// As `wire::split_frame`, but an empty frame is one: that is what a raw login is answered with.
    fn split_frame(&mut self) -> Option<Bytes> {
        let length = i32::from_be_bytes(*self.inbox.first_chunk()?);
        let length = usize::try_from(length).expect("a frame's length is not negative");
        if self.inbox.len() < 4 + length {
            return None;
        }
        self.inbox.advance(4);
        Some(self.inbox.split_to(length).freeze())
    }

    fn receive(&mut self) -> Received {
        let mut chunk = [0; 65_536];
        match self.stream.as_read().read(&mut chunk) {
            Ok(0) => Received::Closed,
            Ok(count) => {
                self.inbox.extend_from_slice(&chunk[..count]);
                Received::Some
            }
            Err(error) if is_pause(&error) => Received::NothingYet,
            // A peer that closes with our bytes unread says so by a reset.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe
                ) =>
            {
                Received::Closed
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                panic!("TLS ends without a word: somebody could have cut it off")
            }
            Err(error) => panic!("the connection breaks: {error}"),
        }
    }
}

impl Wire {
    fn as_read(&mut self) -> &mut dyn Read {
        match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => stream,
        }
    }

    fn as_write(&mut self) -> &mut dyn Write {
        match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => stream,
        }
    }
}

fn tcp(port: u16) -> TcpStream {
    ready(TcpStream::connect(("127.0.0.1", port)).expect("the gateway listens"))
}

fn ready(stream: TcpStream) -> TcpStream {
    stream.set_nodelay(true).expect("a socket has options");
    stream.set_read_timeout(Some(TICK)).expect("a socket has options");
    stream
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// The alert that the other side sent before it went away.
pub fn alert_in(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// The client's first message of OAUTHBEARER.
///
/// Source: RFC 7628 section 3.1.
pub fn client_first(token: &str) -> Vec<u8> {
    format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}").into_bytes()
}

/// The message of PLAIN.
///
/// Source: RFC 4616 section 2.
pub fn plain(name: &str, password: &str) -> Vec<u8> {
    format!("\0{name}\0{password}").into_bytes()
}

/// A message of OAUTHBEARER with its separators, the bytes 0x01, written as `|`.
pub fn separated(message: &str) -> Vec<u8> {
    message.replace('|', "\u{1}").into_bytes()
}

pub fn authenticate(message: &[u8]) -> SaslAuthenticateRequest {
    SaslAuthenticateRequest::default().with_auth_bytes(Bytes::copy_from_slice(message))
}

pub fn with_length(frame: &[u8]) -> Vec<u8> {
    let length = i32::try_from(frame.len()).expect("a test's frame is short");
    [&length.to_be_bytes(), frame].concat()
}

/// A request as it stands on the wire, length and header included.
pub fn request_bytes<R: Request>(
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    request: &R,
) -> Vec<u8> {
    let head = RequestHead { key: R::KEY, version, correlation_id };
    let client_id = client_id.map(|id| StrBytes::from_string(id.to_owned()));
    let mut out = Gather::around(None);
    let flexible = grammar().header_flexible(R::KEY, Direction::Request, version);
    write_request(&mut out, &RequestHeader { head, client_id }, flexible);
    encode_body(&mut out, request, version).expect("a test's request can be said in its version");
    out.finish().to_vec()
}

/// A response as it stands on the wire, without its length.
pub fn response_frame<M: Encodable>(key: i16, version: i16, correlation_id: i32, response: &M) -> Bytes {
    let mut out = Gather::around(None);
    let flexible = grammar().header_flexible(key, Direction::Response, version);
    write_response(&mut out, correlation_id, flexible);
    encode_body(&mut out, response, version).expect("a test's response can be said in its version");
    Bytes::from(out.finish().to_vec()).slice(4..)
}

/// What a frame says that answers a request of this kind and version: the correlation id and the response.
pub fn response_of<R: Request>(version: i16, frame: &Bytes) -> (i32, R::Response) {
    let flexible = grammar().header_flexible(R::KEY, Direction::Response, version);
    let (correlation_id, body) = read_response(frame, flexible).expect("an answer has a header");
    (correlation_id, decode(&body, version).expect("an answer has the body of its version"))
}
