//! From an accepted connection to a stream at a door: what is behind a port, and the TLS before it.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::{Accept, LazyConfigAcceptor, TlsAcceptor};

use super::stream::Stream;
use crate::cluster::{Door, ServerNames};

/// TLS toward clients, as its files are now; whoever connects next gets the newest.
pub type ServerSide = Arc<ArcSwap<ServerConfig>>;

/// What is behind a port.
#[derive(Clone)]
pub enum Entry {
    /// A door of one virtual cluster, by its place among the listeners.
    Port { place: usize, door: Door, tls: Option<ServerSide> },
    /// Whatever the server name says that a client asks for.
    Names { names: Arc<ServerNames>, tls: ServerSide },
}

/// A client whose door is known.
pub struct Arrival {
    pub place: usize,
    pub door: Door,
    greeting: Greeting,
}

enum Greeting {
    Plain(TcpStream),
    Tls(Box<Accept<TcpStream>>),
}

/// Why no door was found for a client.
#[derive(Debug, thiserror::Error)]
pub enum NoDoor {
    #[error("{0}")]
    Tls(#[from] io::Error),
    #[error("no TLS handshake in time")]
    TooLate,
    #[error("the client asks for the server name {0:?}, which leads nowhere")]
    UnknownName(String),
    #[error("the client asks for no server name")]
    NoName,
}

impl NoDoor {
    /// The metric label.
    pub fn label(&self) -> &'static str {
        match self {
            NoDoor::Tls(_) | NoDoor::TooLate => "tls_failed",
            NoDoor::UnknownName(_) => "unknown_server_name",
            NoDoor::NoName => "no_server_name",
        }
    }

    /// The whole TLS record that says so.
    ///
    /// Source: RFC 8446 sections 5.1, 6 and 9.2; before the keys are agreed on, it is the same in all versions.
    fn alert(&self) -> Option<[u8; 7]> {
        let description = match self {
            NoDoor::Tls(_) | NoDoor::TooLate => return None,
            NoDoor::UnknownName(_) => UNRECOGNIZED_NAME,
            NoDoor::NoName => MISSING_EXTENSION,
        };
        Some([ALERT, 3, 3, 0, 2, FATAL, description])
    }
}

impl Entry {
    /// Finds out which door the client stands at. Nobody is led to one that he did not ask for.
    pub async fn meet(self, stream: TcpStream) -> Result<Arrival, NoDoor> {
        match self {
            Entry::Port { place, door, tls: None } => {
                Ok(Arrival { place, door, greeting: Greeting::Plain(stream) })
            }
            Entry::Port { place, door, tls: Some(tls) } => {
                let accept = TlsAcceptor::from(tls.load_full()).accept(stream);
                Ok(Arrival { place, door, greeting: Greeting::Tls(Box::new(accept)) })
            }
            Entry::Names { names, tls } => {
                let mut start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
                let name = start.client_hello().server_name().map(str::to_owned);
                let found = match &name {
                    None => Err(NoDoor::NoName),
                    Some(name) => names.find(name).ok_or_else(|| NoDoor::UnknownName(name.clone())),
                };
                if let Some(alert) = found.as_ref().err().and_then(NoDoor::alert) {
                    // A client that is gone does not hear it.
                    let _ = start.io.write_all(&alert).await;
                    let _ = start.io.shutdown().await;
                }
                let (place, door) = found?;
                let accept = start.into_stream(tls.load_full());
                Ok(Arrival { place, door, greeting: Greeting::Tls(Box::new(accept)) })
            }
        }
    }
}

impl Arrival {
    /// Finishes the handshake, if there is one.
    pub async fn shake_hands(self) -> io::Result<Stream> {
        match self.greeting {
            Greeting::Plain(stream) => Ok(Stream::Plain(stream)),
            Greeting::Tls(accept) => Ok(Stream::Accepted(Box::new(accept.await?))),
        }
    }
}

/// Source: RFC 8446 section 6.
const ALERT: u8 = 21;
const FATAL: u8 = 2;
const MISSING_EXTENSION: u8 = 109;
const UNRECOGNIZED_NAME: u8 = 112;
