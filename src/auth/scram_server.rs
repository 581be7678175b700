//! A client's login by SCRAM-SHA-256 or SCRAM-SHA-512: the server's side of one exchange.
//!
//! Source: RFC 5802, RFC 7677; like Kafka without channel binding, and with names as they are.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::bearer::{InvalidMessage, authzid, unescaped};
use super::plain::is_username;
use super::scram_users::{ScramUsers, StoredKeys};
use crate::names::Principal;

/// One exchange whose client has said its name and is to prove itself.
///
/// ```text
/// start(client-first) ──▶ server-first ──▶ finish(client-final) ──▶ server-final
///  anybody's name goes      the salt          proves the password     proves our keys
/// ```
pub struct ScramServer {
    users: Arc<ScramUsers>,
    name: String,
    keys: Arc<StoredKeys>,
    gs2_header: String,
    first_bare: String,
    server_first: String,
    nonce: String,
}

impl ScramServer {
    /// Takes the client's first message, and returns what it is answered; the nonce must be random and used once.
    ///
    /// Limits: messages of 4 KiB.
    /// Errors: none that depends on whether the name is known.
    pub fn start(
        users: Arc<ScramUsers>,
        message: &[u8],
        nonce: [u8; 24],
    ) -> Result<(Self, Vec<u8>), ScramRefused> {
        Self::start_with(users, message, &STANDARD.encode(nonce))
    }

    fn start_with(
        users: Arc<ScramUsers>,
        message: &[u8],
        our_nonce: &str,
    ) -> Result<(Self, Vec<u8>), ScramRefused> {
        let ClientFirst { gs2_header, bare, name, nonce } = ClientFirst::parse(message)?;
        let nonce = format!("{nonce}{our_nonce}");
        let keys = users.keys(&name);
        let server_first = format!("r={nonce},s={},i={}", STANDARD.encode(&keys.salt), keys.iterations);
        let answer = server_first.clone().into_bytes();
        let (gs2_header, first_bare) = (gs2_header.to_owned(), bare.to_owned());
        Ok((Self { users, name, keys, gs2_header, first_bare, server_first, nonce }, answer))
    }

    /// Takes the client's proof, and returns who it is and what it is answered.
    pub fn finish(self, message: &[u8]) -> Result<(Principal, Vec<u8>), ScramRefused> {
        let text = text(message)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramRefused::Malformed)?;
        let proof = STANDARD.decode(proof).map_err(|_| ScramRefused::Malformed)?;
        let mut attributes = without_proof.split(',');
        let mut attribute = |name| attributes.next().and_then(|next| next.strip_prefix(name));
        let binding = attribute("c=").ok_or(ScramRefused::Malformed)?;
        let nonce = attribute("r=").ok_or(ScramRefused::Malformed)?;
        if STANDARD.decode(binding).ok().as_deref() != Some(self.gs2_header.as_bytes()) {
            return Err(ScramRefused::ChannelBinding);
        }
        if nonce != self.nonce {
            return Err(ScramRefused::Nonce);
        }
        let auth_message = format!("{},{},{without_proof}", self.first_bare, self.server_first);
        let (hmac_algorithm, digest_algorithm, _) = self.users.mechanism().algorithms();
        let signature =
            hmac::sign(&hmac::Key::new(hmac_algorithm, &self.keys.stored_key), auth_message.as_bytes());
        if proof.len() != signature.as_ref().len() {
            return Err(ScramRefused::Malformed);
        }
        let client_key: Vec<u8> =
            proof.iter().zip(signature.as_ref()).map(|(proof, sign)| proof ^ sign).collect();
        let stored_key = digest::digest(digest_algorithm, &client_key);
        let fits = constant_time::verify_slices_are_equal(stored_key.as_ref(), &self.keys.stored_key).is_ok();
        if !(fits & self.keys.is_real) {
            return Err(ScramRefused::WrongPassword);
        }
        let ours = hmac::sign(&self.keys.server_key, auth_message.as_bytes());
        Ok((Principal::new(self.name), format!("v={}", STANDARD.encode(ours)).into_bytes()))
    }
}

impl fmt::Debug for ScramServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScramServer({})", self.users.mechanism().name())
    }
}

/// Whom a client-first message names, where a broker is to find out whether it is true.
pub fn scram_username(message: &[u8]) -> Result<String, ScramRefused> {
    ClientFirst::parse(message).map(|first| first.name)
}

/// The client-first message.
struct ClientFirst<'m> {
    gs2_header: &'m str,
    bare: &'m str,
    name: String,
    nonce: &'m str,
}

impl<'m> ClientFirst<'m> {
    fn parse(message: &'m [u8]) -> Result<Self, ScramRefused> {
        let text = text(message)?;
        let second_comma = text.match_indices(',').nth(1).map(|(at, _)| at).ok_or(ScramRefused::Malformed)?;
        let (gs2_header, bare) = text.split_at(second_comma + 1);
        let authzid = authzid(gs2_header).map_err(|invalid| match invalid {
            InvalidMessage::ChannelBinding => ScramRefused::ChannelBinding,
            _ => ScramRefused::Malformed,
        })?;
        // A mandatory extension, `m=`, would stand first and is refused with whatever else does.
        let mut attributes = bare.split(',');
        let mut attribute = |name| attributes.next().and_then(|next| next.strip_prefix(name));
        let name = attribute("n=").ok_or(ScramRefused::Malformed)?;
        let nonce = attribute("r=").ok_or(ScramRefused::Malformed)?;
        let name = unescaped(name).ok().filter(|name| is_username(name)).ok_or(ScramRefused::Malformed)?;
        let is_nonce = (1..=NONCE_BYTES_MAX).contains(&nonce.len());
        if !is_nonce || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ScramRefused::Malformed);
        }
        for extension in attributes {
            let (key, _) = extension.split_once('=').ok_or(ScramRefused::Malformed)?;
            if key == DELEGATION_TOKEN {
                return Err(ScramRefused::DelegationToken);
            }
        }
        if authzid.is_some_and(|authzid| authzid != name) {
            return Err(ScramRefused::Authzid);
        }
        Ok(Self { gs2_header, bare, name, nonce })
    }
}

/// Why a client's login by SCRAM is refused; the client is told none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramRefused {
    #[error("the SCRAM message is malformed or too long")]
    Malformed,
    #[error("the client asks for channel binding, or not twice for the same")]
    ChannelBinding,
    #[error("the client's nonce is not the one that was agreed on")]
    Nonce,
    #[error("the client wants to act as another than it logs in as")]
    Authzid,
    #[error("the client logs in by a delegation token, which only a broker knows")]
    DelegationToken,
    #[error("there is no such name, or its password is another")]
    WrongPassword,
}

impl ScramRefused {
    /// The value of the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::ChannelBinding => "channel_binding",
            Self::Nonce => "nonce",
            Self::Authzid => "authzid_mismatch",
            Self::DelegationToken => "delegation_token",
            Self::WrongPassword => "wrong_password",
        }
    }
}

fn text(message: &[u8]) -> Result<&str, ScramRefused> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(ScramRefused::Malformed);
    }
    std::str::from_utf8(message).map_err(|_| ScramRefused::Malformed)
}

const MESSAGE_BYTES_MAX: usize = 4 * 1024;
const NONCE_BYTES_MAX: usize = 512;
/// Kafka's extension for logins by a delegation token (KIP-48).
const DELEGATION_TOKEN: &str = "tokenauth";

#[cfg(test)]
mod tests {
    use super::super::minting::Noise;
    use super::super::scram_users::ScramSecret;
    use super::super::{ScramClient, ScramCredentials, ScramMechanism};
    use super::*;
    use crate::names::Secret;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";

    /// What RFC 7677's server knows of `pencil`.
    const CREDENTIAL: &str = "salt=W22ZaJ0SNY7soEsUEjb6gQ==,stored_key=WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,\
                              server_key=wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=,iterations=4096";

    fn users(mechanism: ScramMechanism) -> Arc<ScramUsers> {
        let known_by = match mechanism {
            ScramMechanism::Sha256 => ScramSecret::Credential(Secret::new(CREDENTIAL)),
            ScramMechanism::Sha512 => ScramSecret::Password(Secret::new("pencil")),
        };
        let alice = ("a=b,c".to_owned(), ScramSecret::Password(Secret::new("x y")));
        Arc::new(ScramUsers::new(mechanism, &[("user".to_owned(), known_by), alice]).unwrap())
    }

    fn start(message: &str) -> Result<(ScramServer, String), ScramRefused> {
        let users = users(ScramMechanism::Sha256);
        ScramServer::start_with(users, message.as_bytes(), "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
            .map(|(server, answer)| (server, String::from_utf8(answer).unwrap()))
    }

    #[test]
    fn the_example_of_rfc_7677_is_reproduced() {
        let (server, first) = start(FIRST).unwrap();
        assert_eq!(
            first,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let proof = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let (principal, last) = server.finish(proof.as_bytes()).unwrap();
        assert_eq!(
            (principal.name(), &last[..]),
            ("user", &b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="[..])
        );
    }

    /// A whole exchange with our own client.
    fn check(mechanism: ScramMechanism, name: &str, password: &str, expected: Result<(), ScramRefused>) {
        let credentials = ScramCredentials::new(mechanism, name, Secret::new(password));
        let mut client = ScramClient::new(credentials, [1; 24]);
        let (server, first) = ScramServer::start(users(mechanism), &client.first(), [2; 24]).unwrap();
        let proof = client.on_challenge(&first).unwrap();
        let finished = server.finish(&proof);
        assert_eq!(
            finished.as_ref().map(|(principal, _)| principal.name()).map_err(|why| *why),
            expected.map(|()| name)
        );
        if let Ok((_, last)) = finished {
            client.on_final(&last).unwrap();
        }
    }

    #[test]
    fn a_client_that_knows_the_password_gets_in_and_no_other() {
        for mechanism in [ScramMechanism::Sha256, ScramMechanism::Sha512] {
            check(mechanism, "user", "pencil", Ok(()));
            check(mechanism, "a=b,c", "x y", Ok(()));
            for (name, password) in
                [("user", "Pencil"), ("User", "pencil"), ("stranger", "pencil"), ("a=b,c", "pencil")]
            {
                check(mechanism, name, password, Err(ScramRefused::WrongPassword));
            }
        }
    }

    #[test]
    fn a_first_message_of_another_form_is_refused() {
        for (message, expected) in [
            ("", ScramRefused::Malformed),
            ("n,,", ScramRefused::Malformed),
            ("n=user,r=abc", ScramRefused::Malformed),
            ("x,,n=user,r=abc", ScramRefused::Malformed),
            ("n,,n=user", ScramRefused::Malformed),
            ("n,,n=user,r=", ScramRefused::Malformed),
            ("n,,n=user,r=a b", ScramRefused::Malformed),
            ("n,,n=,r=abc", ScramRefused::Malformed),
            ("n,,n=us=er,r=abc", ScramRefused::Malformed),
            ("n,,n=us\ner,r=abc", ScramRefused::Malformed),
            ("n,,m=x,n=user,r=abc", ScramRefused::Malformed),
            ("n,,r=abc,n=user", ScramRefused::Malformed),
            ("n,,n=user,r=abc,x", ScramRefused::Malformed),
            ("p=tls-unique,,n=user,r=abc", ScramRefused::ChannelBinding),
            ("n,a=root,n=user,r=abc", ScramRefused::Authzid),
            ("n,,n=user,r=abc,tokenauth=true", ScramRefused::DelegationToken),
        ] {
            assert_eq!(start(message).err(), Some(expected), "{message}");
        }
        for message in ["y,,n=user,r=abc", "n,a=user,n=user,r=abc", "n,,n=user,r=abc,x=later"] {
            assert!(start(message).is_ok(), "{message}");
        }
        let long = format!("n,,n=user,r={}", "x".repeat(NONCE_BYTES_MAX + 1));
        assert_eq!(start(&long).err(), Some(ScramRefused::Malformed));
        assert_eq!(start(&"x".repeat(1 << 20)).err(), Some(ScramRefused::Malformed));
    }

    #[test]
    fn a_proof_of_another_exchange_is_refused() {
        let nonce = format!("{NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        for (message, expected) in [
            (format!("c=biws,r={NONCE},p={proof}"), ScramRefused::Nonce),
            (format!("c=biws,r={nonce}x,p={proof}"), ScramRefused::Nonce),
            (format!("c=eSws,r={nonce},p={proof}"), ScramRefused::ChannelBinding),
            (format!("c=!,r={nonce},p={proof}"), ScramRefused::ChannelBinding),
            (format!("c=biws,r={nonce}"), ScramRefused::Malformed),
            (format!("r={nonce},c=biws,p={proof}"), ScramRefused::Malformed),
            (format!("c=biws,r={nonce},p="), ScramRefused::Malformed),
            (format!("c=biws,r={nonce},p=!"), ScramRefused::Malformed),
            (format!("c=biws,r={nonce},p=AAAA"), ScramRefused::Malformed),
            (format!("c=biws,r={nonce},x=1,p={proof}"), ScramRefused::WrongPassword),
            (String::new(), ScramRefused::Malformed),
        ] {
            let (server, _) = start(FIRST).unwrap();
            assert_eq!(server.finish(message.as_bytes()).err(), Some(expected), "{message}");
        }
        let (server, _) = start(FIRST).unwrap();
        assert_eq!(server.finish(b"\xff").err(), Some(ScramRefused::Malformed));
    }

    #[test]
    fn noise_is_never_a_panic_and_never_a_login() {
        let (mut noise, users) = (Noise::new(), users(ScramMechanism::Sha256));
        for _ in 0..2_000 {
            if let Ok((server, _)) =
                ScramServer::start(users.clone(), &noise.mutated(FIRST.as_bytes()), [3; 24])
            {
                assert_eq!(format!("{server:?}"), "ScramServer(SCRAM-SHA-256)");
                let proof = format!("c=biws,r={},p={}", server.nonce, STANDARD.encode([7; 32]));
                assert!(server.finish(&noise.mutated(proof.as_bytes())).is_err());
            }
        }
    }
}
