//! Our login to the broker: which versions it speaks, then who we are; and again before that ends.
//!
//! Source: KIP-35 (ApiVersions), KIP-152 (SaslAuthenticate), RFC 4616 (PLAIN), RFC 5802 (SCRAM),
//! RFC 7628 (OAUTHBEARER).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, SaslAuthenticateRequest, SaslAuthenticateResponse,
    SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use crate::api::versions::BrokerVersions;
use crate::auth::{BrokerLogin, FAILURE_ACKNOWLEDGEMENT, ScramClient, encode_client_first, failure_status};
use crate::names::Backend;
use crate::wire::{
    ApiKey, Broken, Direction, Gather, Malformed, RequestHead, RequestHeader, Segments, decode, encode_body,
    grammar, read_response, write_request,
};

/// The gateway's first words on a connection to a broker.
///
/// ```text
///  ApiVersions 3 ─▶ (35) ApiVersions 0 ─▶ SaslHandshake ─▶ SaslAuthenticate … ─▶ Done
///                └──────────── anonymous ──────────────────────────────────────▶ Done
/// ```
///
/// A token is read from its cell as late as can be, so that each login goes with the newest.
pub struct Login {
    how: BrokerLogin,
    /// A client's own login goes on instead: its mechanism, and the message that begins it.
    relayed: Option<(&'static str, Bytes)>,
    nonce: [u8; 24],
    step: Step,
    versions: Arc<BrokerVersions>,
    lifetime: Option<Duration>,
    correlation_id: i32,
}

enum Step {
    Versions {
        version: i16,
    },
    Handshake,
    Plain,
    ScramFirst(ScramClient),
    ScramFinal(ScramClient),
    Token,
    /// The broker has said what is wrong with the token; that the login failed comes next.
    TokenRefused(&'static str),
    Relayed,
}

/// What the login wants next.
pub enum Progress {
    /// Another message to the broker.
    Send(Backend<Segments>),
    /// Logged in, to a broker that speaks this, for so long; `None` is for ever.
    Done { versions: Arc<BrokerVersions>, lifetime: Option<Duration> },
    /// What the broker says to a client's own login.
    Said(Said),
}

/// A broker's word on a client's own login.
pub struct Said {
    /// Its reason, where it says no.
    pub refused: Option<String>,
    pub message: Bytes,
    pub lifetime: Option<Duration>,
    pub versions: Arc<BrokerVersions>,
}

/// Why a broker does not let us in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginFailed {
    #[error("the broker's answer makes no sense: {0}")]
    Malformed(#[from] Broken),
    #[error("the broker refuses ApiVersions with {0}")]
    Versions(ResponseError),
    #[error("the broker does not offer {mechanism}; it offers {offered}")]
    Mechanism { mechanism: &'static str, offered: String },
    #[error("the broker refuses the credentials of this backend cluster")]
    Credentials,
    #[error("there is no token to log in with")]
    NoToken,
    #[error("the broker refuses the token of this backend cluster: {0}")]
    Token(&'static str),
    #[error("the broker does not answer in time")]
    Timeout,
    #[error("the broker does not prove that it knows the password: {0}")]
    Scram(String),
}

impl Login {
    /// Starts a login; the nonce is fresh and random for each.
    pub fn start(how: BrokerLogin, nonce: [u8; 24]) -> Result<(Self, Backend<Segments>), LoginFailed> {
        let mut login = Self::new(how, nonce, Step::Versions { version: 3 }, Arc::default());
        let first = login.ask_versions(3)?;
        Ok((login, first))
    }

    /// Starts a login on a connection that has one already, before its time is over (KIP-368).
    pub fn again(
        how: BrokerLogin,
        nonce: [u8; 24],
        versions: Arc<BrokerVersions>,
    ) -> Result<(Self, Backend<Segments>), LoginFailed> {
        let mut login = Self::new(how, nonce, Step::Handshake, versions);
        let first = login.ask_handshake()?;
        Ok((login, first))
    }

    /// Starts to relay a client's own login; on a connection that has one already, its versions are known.
    pub fn relay(
        mechanism: &'static str,
        message: Bytes,
        versions: Option<Arc<BrokerVersions>>,
    ) -> Result<(Self, Backend<Segments>), LoginFailed> {
        let is_first = versions.is_none();
        let step = if is_first { Step::Versions { version: 3 } } else { Step::Handshake };
        let mut login = Self::new(BrokerLogin::Anonymous, [0; 24], step, versions.unwrap_or_default());
        login.relayed = Some((mechanism, message));
        let first = if is_first { login.ask_versions(3) } else { login.ask_handshake() }?;
        Ok((login, first))
    }

    /// The client's next message.
    pub fn say(&mut self, message: Bytes) -> Result<Backend<Segments>, LoginFailed> {
        let request = SaslAuthenticateRequest::default().with_auth_bytes(message);
        let version = self.authenticate_version();
        self.write(ApiKey::SaslAuthenticate, version, &request)
    }

    fn new(how: BrokerLogin, nonce: [u8; 24], step: Step, versions: Arc<BrokerVersions>) -> Self {
        Self { how, relayed: None, nonce, step, versions, lifetime: None, correlation_id: 0 }
    }

    /// Takes the broker's next frame.
    pub fn on_frame(&mut self, frame: &Bytes) -> Result<Progress, LoginFailed> {
        match &self.step {
            Step::Versions { version } => self.on_versions(frame, *version),
            Step::Handshake => self.on_handshake(frame),
            _ => self.on_authenticate(frame),
        }
    }

    fn on_versions(&mut self, frame: &Bytes, version: i16) -> Result<Progress, LoginFailed> {
        // A broker that does not know our version answers in version 0, with error 35.
        let mut response = self.read::<ApiVersionsResponse>(ApiKey::ApiVersions, frame, version);
        if response.is_err() {
            response = self.read::<ApiVersionsResponse>(ApiKey::ApiVersions, frame, 0);
        }
        let response = response?;
        match response.error_code.err() {
            None => {}
            Some(ResponseError::UnsupportedVersion) if version > 0 => {
                self.step = Step::Versions { version: 0 };
                return Ok(Progress::Send(self.ask_versions(0)?));
            }
            Some(error) => return Err(LoginFailed::Versions(error)),
        }
        self.versions = Arc::new(BrokerVersions::from_response(&response));
        if self.mechanism().is_none() {
            return Ok(self.done());
        }
        self.step = Step::Handshake;
        Ok(Progress::Send(self.ask_handshake()?))
    }

    fn on_handshake(&mut self, frame: &Bytes) -> Result<Progress, LoginFailed> {
        let response = self.read::<SaslHandshakeResponse>(ApiKey::SaslHandshake, frame, 1)?;
        if response.error_code != 0 {
            let offered: Vec<&str> = response.mechanisms.iter().map(StrBytes::as_str).take(8).collect();
            let mechanism = self.mechanism().unwrap_or("none");
            return Err(LoginFailed::Mechanism { mechanism, offered: offered.join(", ") });
        }
        if let Some((_, message)) = &mut self.relayed {
            let message = std::mem::take(message);
            self.step = Step::Relayed;
            return Ok(Progress::Send(self.say(message)?));
        }
        let first = match &self.how {
            BrokerLogin::Anonymous => return Ok(self.done()),
            BrokerLogin::SaslPlain { username, password } => {
                self.step = Step::Plain;
                format!("\0{username}\0{}", password.expose()).into_bytes()
            }
            BrokerLogin::SaslScram(credentials) => {
                let client = ScramClient::new(credentials.clone(), self.nonce);
                let first = client.first();
                self.step = Step::ScramFirst(client);
                first
            }
            BrokerLogin::OauthBearer(login) => {
                let newest = login.cell.newest().ok_or(LoginFailed::NoToken)?;
                self.step = Step::Token;
                encode_client_first(&newest.token, &newest.extensions)
            }
        };
        self.authenticate(first)
    }

    fn on_authenticate(&mut self, frame: &Bytes) -> Result<Progress, LoginFailed> {
        let version = self.authenticate_version();
        let response = self.read::<SaslAuthenticateResponse>(ApiKey::SaslAuthenticate, frame, version)?;
        match &self.step {
            Step::Relayed => return Ok(Progress::Said(self.said(response))),
            Step::TokenRefused(status) => return Err(LoginFailed::Token(status)),
            Step::Token if response.error_code != 0 => return Err(LoginFailed::Token("without a status")),
            Step::Token if !response.auth_bytes.is_empty() => {
                self.step = Step::TokenRefused(failure_status(&response.auth_bytes));
                return self.authenticate(FAILURE_ACKNOWLEDGEMENT.to_vec());
            }
            _ if response.error_code != 0 => return Err(LoginFailed::Credentials),
            _ => {}
        }
        self.lifetime = lifetime_in(&response);
        match std::mem::replace(&mut self.step, Step::Plain) {
            Step::ScramFirst(mut client) => {
                let last = client
                    .on_challenge(&response.auth_bytes)
                    .map_err(|why| LoginFailed::Scram(why.to_string()))?;
                self.step = Step::ScramFinal(client);
                self.authenticate(last)
            }
            Step::ScramFinal(mut client) => {
                client.on_final(&response.auth_bytes).map_err(|why| LoginFailed::Scram(why.to_string()))?;
                Ok(self.done())
            }
            _ => Ok(self.done()),
        }
    }

    fn said(&self, response: SaslAuthenticateResponse) -> Said {
        let text = || response.error_message.as_deref().unwrap_or_default().chars().take(TOLD_MAX).collect();
        Said {
            refused: (response.error_code != 0).then(text),
            lifetime: lifetime_in(&response),
            message: response.auth_bytes,
            versions: self.versions.clone(),
        }
    }

    fn done(&mut self) -> Progress {
        Progress::Done { versions: self.versions.clone(), lifetime: self.lifetime }
    }

    fn mechanism(&self) -> Option<&'static str> {
        if let Some((mechanism, _)) = &self.relayed {
            return Some(mechanism);
        }
        match &self.how {
            BrokerLogin::Anonymous => None,
            BrokerLogin::SaslPlain { .. } => Some("PLAIN"),
            BrokerLogin::SaslScram(credentials) => Some(credentials.mechanism().name()),
            BrokerLogin::OauthBearer(_) => Some("OAUTHBEARER"),
        }
    }

    fn ask_versions(&mut self, version: i16) -> Result<Backend<Segments>, LoginFailed> {
        let mut request = ApiVersionsRequest::default();
        if version >= 3 {
            request.client_software_name = StrBytes::from_static_str("sluicegate");
            request.client_software_version = StrBytes::from_static_str(env!("CARGO_PKG_VERSION"));
        }
        self.write(ApiKey::ApiVersions, version, &request)
    }

    fn ask_handshake(&mut self) -> Result<Backend<Segments>, LoginFailed> {
        let mechanism = StrBytes::from_static_str(self.mechanism().unwrap_or("none"));
        let request = SaslHandshakeRequest::default().with_mechanism(mechanism);
        self.write(ApiKey::SaslHandshake, 1, &request)
    }

    fn authenticate(&mut self, bytes: Vec<u8>) -> Result<Progress, LoginFailed> {
        let request = SaslAuthenticateRequest::default().with_auth_bytes(bytes.into());
        let version = self.authenticate_version();
        Ok(Progress::Send(self.write(ApiKey::SaslAuthenticate, version, &request)?))
    }

    /// Version 1 came with Kafka 2.2.
    fn authenticate_version(&self) -> i16 {
        self.versions.range(ApiKey::SaslAuthenticate).map_or(0, |range| *range.end()).clamp(0, 1)
    }

    fn write<M: Encodable>(
        &mut self,
        key: ApiKey,
        version: i16,
        request: &M,
    ) -> Result<Backend<Segments>, LoginFailed> {
        self.correlation_id += 1;
        let head = RequestHead { key: key as i16, version, correlation_id: self.correlation_id };
        let header = RequestHeader { head, client_id: Some(StrBytes::from_static_str("sluicegate")) };
        let mut out = Gather::around(None);
        write_request(&mut out, &header, grammar().header_flexible(head.key, Direction::Request, version));
        encode_body(&mut out, request, version).map_err(Broken::from)?;
        Ok(Backend::meant_for_broker(out.finish()))
    }

    fn read<M: Decodable>(&self, key: ApiKey, frame: &Bytes, version: i16) -> Result<M, LoginFailed> {
        let flexible = grammar().header_flexible(key as i16, Direction::Response, version);
        let (correlation_id, body) = read_response(frame, flexible).map_err(Broken::from)?;
        if correlation_id != self.correlation_id {
            return Err(LoginFailed::Malformed(Malformed::Undecodable.into()));
        }
        grammar()
            .walk(key as i16, Direction::Response, version, &body, LOGIN_ELEMENTS_MAX)
            .map_err(Broken::from)?;
        Ok(decode(&body, version).map_err(Broken::from)?)
    }
}

/// A broker has about a hundred APIs and a dozen features.
const LOGIN_ELEMENTS_MAX: usize = 4096;

/// How long a broker says that a login lasts; `None` is for ever.
fn lifetime_in(response: &SaslAuthenticateResponse) -> Option<Duration> {
    let milliseconds = u64::try_from(response.session_lifetime_ms).unwrap_or(0);
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}

/// Characters of a broker's reason that an audit line has room for.
const TOLD_MAX: usize = 256;
