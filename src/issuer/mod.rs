//! The development issuer: a small OAuth server behind `sluicegate issuer`.
//!
//! Gives out access tokens by client credentials, publishes the keys that verify them and says of each
//! whether it is active, so that a demo or a test needs no identity provider. It forgets its keys and
//! its tokens when it ends, and guards nothing but the clients' secrets: it is not for production, and
//! says so at every start.
//!
//! Knows nothing of the house; to the gateway it is an issuer like any other.
#![allow(clippy::disallowed_methods)] // a server: tokens are stamped with the time of day

mod endpoints; // the addresses under which all this is served
mod issued; //    which tokens were given out and are still good
mod keys; //      the signing key, and the set that verifies what it and its forerunners signed
mod request; //   who asks for a token or about one, and for what; every way to refuse
mod settings; //  what the operator asks for, and the words of the command line
mod token; //     what a token says

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use settings::{Algorithm, Args, Client, Secret, Settings};

/// Binds, says where it listens and that it is not for production, and serves until `shutdown`.
pub async fn run(
    settings: Settings,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), IssuerError> {
    let issuer = Issuer::bind(settings).await?;
    eprint!("{}", issuer.greeting());
    issuer.serve(shutdown).await
}

/// An issuer that has its address and its first key.
pub struct Issuer {
    listener: TcpListener,
    local_addr: SocketAddr,
    desk: Arc<endpoints::Desk>,
}

impl Issuer {
    /// Shape: port 0 asks the system for a free one; [`Issuer::local_addr`] then says which.
    pub async fn bind(settings: Settings) -> Result<Self, IssuerError> {
        settings.check()?;
        let cannot_bind = |source| IssuerError::Bind { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(cannot_bind)?;
        let local_addr = listener.local_addr().map_err(cannot_bind)?;
        let desk = Arc::new(endpoints::Desk::open(settings, local_addr).await?);
        Ok(Self { listener, local_addr, desk })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The `iss` of every token, and the address from which discovery starts.
    pub fn url(&self) -> &str {
        self.desk.issuer_url()
    }

    /// Limits: requests that are still going on `GRACE` after `shutdown` are cut off.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), IssuerError> {
        let (told, mut hears) = oneshot::channel::<()>();
        let stop = async move {
            shutdown.await;
            drop(told);
        };
        let server = axum::serve(self.listener, endpoints::router(self.desk)).with_graceful_shutdown(stop);
        let too_late = async {
            // An error, for the sender is dropped: shutdown has begun.
            let _ = (&mut hears).await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            served = server => served.map_err(IssuerError::Serve),
            () = too_late => Ok(()),
        }
    }

    /// What is said at every start.
    fn greeting(&self) -> String {
        let url = self.url().trim_end_matches('/');
        let mut text = String::from(
            "sluicegate issuer: for development and tests only, NOT FOR PRODUCTION: \
             secrets stand on the command line, tokens go over plain HTTP, anybody may rotate the keys\n",
        );
        if !self.local_addr.ip().is_loopback() {
            text.push_str("sluicegate issuer: WARNING: listens beyond loopback; others can reach it\n");
        }
        let client = self.desk.clients().next().unwrap_or("CLIENT");
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "issuer {} listens on {}\n  keys   {url}/.well-known/jwks\n  token  \
             curl -u {client} -d grant_type=client_credentials {url}/token   (curl asks for the secret)\n  ask    \
             curl -u {client} -d token=TOKEN {url}/introspect",
            self.url(),
            self.local_addr,
        );
        text
    }
}

/// Why the issuer did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    #[error("--client number {0} is not ID:SECRET; both parts are needed, with a colon between them")]
    ClientForm(usize),
    #[error("client {0:?} is named twice; give each --client an id of its own")]
    ClientTwice(String),
    #[error("--claim {0:?} is not ID:NAME=VALUE")]
    ClaimForm(String),
    #[error("--claim {claim:?} is for {client:?}, and there is no such --client")]
    ClaimWithoutClient { claim: String, client: String },
    #[error("claim {0:?} is the issuer's own; extra claims may be any but iss, iat and exp")]
    ClaimReserved(String),
    #[error(
        "issuer {0:?} will not do; give an http or https URL of plain characters without query or fragment"
    )]
    IssuerUrl(String),
    #[error("token lifetime {}s is outside 1s to 3650d", .0.as_secs())]
    Lifetime(Duration),
    #[error("can not listen on {address}: {source}; choose another with --listen")]
    Bind { address: SocketAddr, source: std::io::Error },
    #[error("the system's cryptography could not make or use a {0} key")]
    Key(Algorithm),
    #[error("the system has no random numbers to give")]
    Random,
    #[error("serving ended: {0}")]
    Serve(std::io::Error),
}

/// Ample for a token; a client that keeps a connection open must not keep the process.
const GRACE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
