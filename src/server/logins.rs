//! Finding out whether what a client shows for itself is true.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::client_tokens::ClientTokens;
use super::issuers::Issuers;
use super::turns::{Contender, Origin, Turns};
use crate::auth::{Authentication, Evidence, Method, PeerCertificate, Proven, Refused, SaslPlain, Verdict};
use crate::names::Secret;

/// What the logins of one virtual cluster are checked with.
#[derive(Clone)]
pub struct Logins {
    pub issuers: Issuers,
    pub authentication: Arc<Authentication>,
    pub computing: Computing,
    /// Where names that the file does not know are exchanged for tokens, if the file says so.
    pub client_tokens: Option<ClientTokens>,
    /// Where the client comes from.
    pub origin: Origin,
}

impl Logins {
    /// Shape: the certificate is that of the connection; a token may be bound to it.
    pub fn verify(
        &self,
        evidence: Evidence,
        certificate: Option<Arc<PeerCertificate>>,
    ) -> impl Future<Output = Verdict> + use<> {
        let logins = self.clone();
        async move { logins.find_out(evidence, certificate.as_deref()).await }
    }

    async fn find_out(&self, evidence: Evidence, certificate: Option<&PeerCertificate>) -> Verdict {
        match evidence {
            Evidence::Token(token) => Ok(self.issuers.verify(&token, certificate, self.origin).await?.into()),
            Evidence::Password { username, password } => {
                let plain = self.authentication.methods.iter().find_map(|method| match method {
                    Method::SaslPlain(plain) => Some(plain),
                    _ => None,
                });
                match (plain, &self.client_tokens) {
                    (Some(plain), Some(tokens)) if !plain.passwords.knows(&username) => {
                        let proven =
                            tokens.verify(&self.issuers, &username, &password, self.origin, certificate);
                        let proven = proven.await?;
                        // Somebody of the file's own is known by his password and by nothing else.
                        if plain.passwords.knows(proven.principal.name()) {
                            let detail = "the token names one of the principals that the file itself knows";
                            return Err(Refused::new("principal_taken", detail));
                        }
                        let lifetime = [proven.lifetime, plain.session_lifetime_max];
                        Ok(Proven { lifetime: lifetime.into_iter().flatten().min(), ..proven })
                    }
                    (Some(plain), _) => self.computing.verify(plain, username, password).await,
                    (None, _) => Err(wrong()),
                }
            }
        }
    }
}

/// Computes passwords for one client, off the threads that carry connections.
#[derive(Clone)]
pub struct Computing(Contender);

impl Computing {
    pub fn new(turns: Turns, origin: Origin) -> Self {
        Self(Contender { turns, origin })
    }

    /// One turn for each two cores: whoever guesses passwords is not to have the machine for himself.
    pub fn turns() -> Turns {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let at_once = cores.div_ceil(2);
        Turns::new(at_once, at_once, WAITING_EACH_MAX)
    }

    async fn verify(&self, plain: &SaslPlain, username: String, password: Secret) -> Verdict {
        let passwords = plain.passwords.clone();
        let principal = if passwords.answers_at_once(&username, &password) {
            passwords.verify(&username, &password)
        } else {
            let Ok(Some(turn)) = timeout(WAIT_FOR_TURN, self.0.take()).await else {
                let detail = "too many passwords are to be computed for clients from this address; \
                              is somebody guessing?";
                return Err(Refused::new("busy", detail));
            };
            let computing = spawn_blocking(move || {
                let _turn = turn;
                passwords.verify(&username, &password)
            });
            computing.await.unwrap_or_default()
        };
        principal.map(|principal| Proven::named(principal, plain.session_lifetime_max)).ok_or_else(wrong)
    }
}

/// The same whether the name is known or not.
fn wrong() -> Refused {
    Refused::new("wrong_password", "there is no such name, or its password is another")
}

/// More than come from one place at once, unless they guess: clients behind one address log in together.
const WAITING_EACH_MAX: usize = 256;
/// A client waits about as long.
const WAIT_FOR_TURN: Duration = Duration::from_secs(10);
