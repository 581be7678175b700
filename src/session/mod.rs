//! One client connection as a state machine: bytes and the time go in, bytes and one next step come out.
//!
//! Knows phases, frames, the queue of answers, both SASL exchanges. Knows no socket, no task and no
//! clock; `src/server/` drives it. All decisions are made here; the files beside this one are its hands
//! and do not know each other.

mod discovery; // our own question: which brokers are there?
mod in_flight; // the queue that keeps answers in order
mod login; //     our login to the broker
mod lookup; //    our own question amid the client's requests
mod outbox; //    what comes out: bytes for both sides, and what happened
mod phase; //     where a connection stands
mod sasl; //      the client's login to us

pub use discovery::{Discovered, Discovery, Found};
pub use login::LoginFailed;
pub use outbox::{Event, Next, Outbox, Reason};
pub use phase::Mechanism;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;

use crate::api::versions::{self, BrokerVersions};
use crate::api::{Admission, Conversation, Disposition, Incoming, Known, Question, Row, disposition};
use crate::auth::{ClientFirst, Identity, Method, OauthBearer, PeerCertificate, Rejected};
use crate::auth::{failure_document, is_failure_acknowledgement, may_act_as};
use crate::cluster::{Gate, Lens, Limits, Listener};
use crate::names::{Backend, Principal, Virtual};
use crate::policy::{Circumstances, Rights};
use crate::wire::{
    ApiKey, Broken, Direction, RequestHead, RequestHeader, Segments, grammar, peek_correlation_id,
    read_request, split_frame,
};
use in_flight::{Answer, Arrived, Awaited, InFlight, Slot};
use login::{Login, Progress};
use lookup::Lookup;
use phase::{Attempt, Exchange, Phase, Who};
use sasl::{OAUTHBEARER, Outcome};

/// One client connection, from its first byte to its last.
pub struct Session {
    listener: Arc<Listener>,
    limits: Arc<Limits>,
    /// What is known of the brokers behind this door, for ApiVersions before we are connected.
    versions: Option<Arc<BrokerVersions>>,
    client: Client,
    /// Set once somebody is logged in, and replaced when they log in again.
    who: Option<Who>,
    phase: Phase,
    upstream: Upstream,
    in_flight: InFlight,
    conversation: Conversation,
    /// The request that waits for an answer to our own question; no other is taken meanwhile.
    held: Option<Held>,
    /// When it was last forgotten which ids nobody has.
    absent_since: Instant,
    upstream_correlation_id: i32,
    /// As the client called itself when it logged in.
    client_id: Option<String>,
    login_ends_at: Instant,
    /// No further frame is taken; the connection ends when nothing is in flight.
    ending: Option<Reason>,
}

/// What the shell knows of a connection before its first byte.
#[derive(Debug, Clone)]
pub struct Client {
    /// Random, and shown to the client with a refused login, so that the operator finds the reason.
    pub connection_id: u64,
    pub address: String,
    /// By which it proved itself in TLS, where it did.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// Gives random bytes, for one SCRAM login at the broker each.
    pub nonce: fn() -> [u8; 24],
}

/// Our side of the conversation with the broker.
enum Upstream {
    Absent,
    LoggingIn {
        login: Box<Login>,
        ends_at: Instant,
    },
    Ready {
        versions: Arc<BrokerVersions>,
        renews_at: Option<Instant>,
    },
    /// Logging in again: what is in flight is answered first, and nothing is sent meanwhile.
    Renewing {
        login: Box<Login>,
        ends_at: Instant,
    },
}

/// A request that cannot be admitted before something is found out.
struct Held {
    row: &'static Row,
    frame: Bytes,
    head: RequestHead,
    known: Known,
    /// What the broker is being asked.
    lookup: Option<Lookup>,
}

/// A frame goes on, or the connection does not.
type Step = Result<Next, Reason>;

impl Session {
    pub fn new(
        listener: Arc<Listener>,
        limits: Arc<Limits>,
        versions: Option<Arc<BrokerVersions>>,
        client: Client,
        now: Instant,
    ) -> Self {
        let login_ends_at = now + limits.login_timeout;
        Self {
            listener,
            limits,
            versions,
            client,
            who: None,
            phase: Phase::Unauthenticated { too_new_answered: 0, api_versions_answered: false },
            upstream: Upstream::Absent,
            in_flight: InFlight::default(),
            conversation: Conversation::default(),
            held: None,
            absent_since: now,
            upstream_correlation_id: 0,
            client_id: None,
            login_ends_at,
            ending: None,
        }
    }

    /// Takes what the client sent, frame by frame, as far as it can be taken now; the rest stays.
    ///
    /// Limits: after `ANSWERS_PER_TURN_MAX` answers they are to go out before more is taken.
    pub fn on_client_bytes(&mut self, bytes: &mut BytesMut, now: Instant, out: &mut Outbox) -> Next {
        // The shell's timer waits for a pause; a client that makes none must not put a deadline off.
        if self.deadline().is_some_and(|deadline| now >= deadline)
            && let close @ Next::Close(_) = self.on_deadline(now, out)
        {
            return close;
        }
        loop {
            if !self.takes_frames() {
                return self.rest();
            }
            if self.let_anonymous_in(bytes, now, out) {
                return Next::Connect;
            }
            let frame = match split_frame(bytes, self.frame_bytes_max()) {
                Ok(Some(frame)) => frame,
                Ok(None) => return self.rest(),
                Err(malformed) => return Next::Close(client(malformed)),
            };
            match self.on_client_frame(frame, now, out) {
                Ok(Next::Read) if out.to_client.len() >= ANSWERS_PER_TURN_MAX => return self.rest(),
                Ok(Next::Read) => {}
                Ok(next) => return next,
                Err(reason) => return Next::Close(reason),
            }
        }
    }

    /// Takes what the broker sent.
    pub fn on_broker_bytes(&mut self, bytes: &mut BytesMut, now: Instant, out: &mut Outbox) -> Next {
        loop {
            let frame = match split_frame(bytes, self.limits.frame_bytes_from_broker) {
                Ok(Some(frame)) => frame,
                Ok(None) => return self.rest(),
                Err(malformed) => return Next::Close(broker(malformed)),
            };
            if let Err(reason) = self.on_broker_frame(frame, now, out).and_then(|()| self.resume(out)) {
                return Next::Close(reason);
            }
        }
    }

    /// The broker connection is up: our login goes out on it.
    pub fn on_connected(&mut self, now: Instant, out: &mut Outbox) -> Next {
        match Login::start(self.listener.cluster.backend.login.clone(), (self.client.nonce)()) {
            Ok((login, first)) => {
                let ends_at = now + self.limits.login_timeout;
                self.upstream = Upstream::LoggingIn { login: Box::new(login), ends_at };
                out.to_broker.push(first);
                Next::Read
            }
            Err(why) => Next::Close(Reason::BrokerLogin(why)),
        }
    }

    /// The verdict on the token that [`Next::Verify`] handed out.
    pub fn on_verdict(
        &mut self,
        verdict: Result<Identity, Rejected>,
        now: Instant,
        out: &mut Outbox,
    ) -> Next {
        let Phase::Authenticating(Exchange { raw, awaiting_verdict: Some(attempt) }) = &mut self.phase else {
            return self.rest();
        };
        let raw = *raw;
        let attempt = std::mem::take(attempt);
        let step = match verdict {
            Ok(identity) => self.logged_in(identity, &attempt, raw, now, out),
            Err(rejected) => self.rejected(rejected.label(), rejected.to_string(), &attempt, raw, out),
        };
        step.unwrap_or_else(Next::Close)
    }

    /// When the shell must call [`Session::on_deadline`], if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        let of_client = match (&self.who, &self.phase) {
            (Some(who), Phase::Ready) => who.ends_at,
            // A login that is under way at the session's end may finish.
            (Some(who), _) => Some(who.ends_at.map_or(self.login_ends_at, |end| end.max(self.login_ends_at))),
            (None, _) => Some(self.login_ends_at),
        };
        let of_upstream = match &self.upstream {
            Upstream::LoggingIn { ends_at, .. } | Upstream::Renewing { ends_at, .. } => Some(*ends_at),
            Upstream::Ready { renews_at, .. } => *renews_at,
            Upstream::Absent => None,
        };
        [of_client, of_upstream].into_iter().flatten().min()
    }

    pub fn on_deadline(&mut self, now: Instant, out: &mut Outbox) -> Next {
        match &self.upstream {
            Upstream::LoggingIn { ends_at, .. } | Upstream::Renewing { ends_at, .. } if now >= *ends_at => {
                return Next::Close(Reason::BrokerLogin(LoginFailed::Timeout));
            }
            Upstream::Ready { versions, renews_at: Some(at) } if now >= *at => {
                let login = self.listener.cluster.backend.login.clone();
                match Login::again(login, (self.client.nonce)(), versions.clone()) {
                    Ok((login, first)) => {
                        out.to_broker.push(first);
                        let ends_at = now + self.limits.login_timeout;
                        self.upstream = Upstream::Renewing { login: Box::new(login), ends_at };
                    }
                    Err(why) => return Next::Close(Reason::BrokerLogin(why)),
                }
            }
            _ => {}
        }
        match self.deadline() {
            Some(deadline) if now >= deadline => {
                Next::Close(if self.who.is_some() { Reason::SessionExpired } else { Reason::LoginTimeout })
            }
            _ => self.rest(),
        }
    }

    /// Takes no further request; ends when those in flight are answered.
    pub fn drain(&mut self) -> Next {
        if self.ending.is_none() {
            self.ending = Some(Reason::Drained);
        }
        self.rest()
    }

    /// Whether the client's bytes are wanted: the shell's backpressure is to leave them unread.
    pub fn takes_frames(&self) -> bool {
        let is_busy = match &self.phase {
            Phase::Ready => self.held.is_some() || !matches!(self.upstream, Upstream::Ready { .. }),
            Phase::Authenticating(exchange) => exchange.awaiting_verdict.is_some(),
            Phase::Unauthenticated { .. } | Phase::Failing { .. } => false,
        };
        !is_busy && self.ending.is_none() && self.in_flight.len() < self.limits.requests_in_flight
    }

    /// Whether no further request is taken, and only answers are awaited.
    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    pub fn principal(&self) -> Option<&Principal> {
        self.who.as_ref().map(|who| &who.principal)
    }

    /// As the client called itself when it logged in.
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    fn frame_bytes_max(&self) -> usize {
        if self.who.is_some() { self.limits.frame_bytes } else { self.limits.frame_bytes_before_login }
    }

    /// Nothing more to do with what is there.
    fn rest(&mut self) -> Next {
        match self.ending.take() {
            Some(reason) if self.in_flight.is_empty() && self.held.is_none() => Next::Close(reason),
            ending => {
                self.ending = ending;
                Next::Read
            }
        }
    }

    fn on_client_frame(&mut self, frame: Bytes, now: Instant, out: &mut Outbox) -> Step {
        if let Phase::Authenticating(Exchange { raw: true, .. }) = &self.phase {
            return self.on_raw_token(&frame, out);
        }
        let head = RequestHead::peek(&frame).map_err(client)?;
        let Ok(key) = ApiKey::try_from(head.key) else { return Err(Reason::UnknownApi { key: head.key }) };
        match disposition(key) {
            Disposition::Answer => self.on_own_request(key, &frame, head, now, out),
            Disposition::Serve(row) if row.is_offered(&self.listener.cluster.opt_ins) => {
                if !matches!(self.phase, Phase::Ready) {
                    return Err(Reason::NotAuthenticated { api: row.name });
                }
                if self.who.as_ref().is_some_and(|who| who.is_over(now)) {
                    return Err(Reason::SessionExpired);
                }
                if now.duration_since(self.absent_since) >= ABSENT_FOR {
                    self.conversation.forget_absent();
                    self.absent_since = now;
                }
                self.on_request(row, frame, head, Known::default(), out)
            }
            Disposition::Serve(_) | Disposition::Withhold if matches!(self.phase, Phase::Ready) => {
                out.events.push(Event::Withheld { key });
                Err(Reason::Withheld { key: head.key })
            }
            Disposition::Serve(_) | Disposition::Withhold => {
                Err(Reason::NotAuthenticated { api: "a withheld API" })
            }
        }
    }

    /// ApiVersions, SaslHandshake and SaslAuthenticate are about the connection itself.
    fn on_own_request(
        &mut self,
        key: ApiKey,
        frame: &Bytes,
        head: RequestHead,
        now: Instant,
        out: &mut Outbox,
    ) -> Step {
        let readable = versions::own_range(key).is_some_and(|range| range.contains(&head.version));
        if key == ApiKey::ApiVersions {
            return self.on_api_versions(frame, head, readable, now, out);
        }
        if !readable {
            return Err(Reason::UnsupportedVersion { key: head.key, version: head.version });
        }
        let flexible = grammar().header_flexible(head.key, Direction::Request, head.version);
        let (header, body) = read_request(frame, flexible).map_err(client)?;
        out.events.push(Event::Request { key: head.key, bytes: frame.len() });
        self.client_id = header.client_id.as_deref().filter(|id| !id.is_empty()).map(shortened);
        match key {
            ApiKey::SaslHandshake => self.on_handshake(&header, &body, now, out),
            _ => self.on_authenticate(&header, &body, out),
        }
    }

    fn on_api_versions(
        &mut self,
        frame: &Bytes,
        head: RequestHead,
        readable: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Step {
        match &mut self.phase {
            Phase::Unauthenticated { too_new_answered, api_versions_answered } => {
                // A stranger who could ask for ever would never let the deadline have its turn.
                if *api_versions_answered || *too_new_answered == TOO_NEW_ANSWERED_MAX {
                    return Err(Reason::NotAuthenticated { api: "ApiVersions, once more" });
                }
                *api_versions_answered = readable;
                *too_new_answered += u8::from(!readable);
            }
            Phase::Ready if self.who.as_ref().is_some_and(|who| who.is_over(now)) => {
                return Err(Reason::SessionExpired);
            }
            Phase::Ready => {}
            Phase::Authenticating(_) | Phase::Failing { .. } => {
                return Err(Reason::NotAuthenticated { api: "ApiVersions, inside a login" });
            }
        }
        out.events.push(Event::Request { key: head.key, bytes: frame.len() });
        let (header, body) = if readable {
            let flexible = grammar().header_flexible(head.key, Direction::Request, head.version);
            read_request(frame, flexible).map_err(client)?
        } else {
            // What a newer header looks like is not known; the answer needs no more than its start.
            (RequestHeader { head, client_id: None }, Bytes::new())
        };
        let answer =
            versions::respond(&header, &body, &self.listener.cluster.opt_ins, self.versions.as_deref())
                .map_err(client)?;
        self.answer(head.key, Virtual::shown_to_client(answer), out);
        Ok(Next::Read)
    }

    fn on_handshake(&mut self, header: &RequestHeader, body: &Bytes, now: Instant, out: &mut Outbox) -> Step {
        let refuse = |error, mechanisms: &[&'static str]| {
            sasl::handshake_answer(header, Some(error), mechanisms).map_err(client)
        };
        let is_again = match &self.phase {
            Phase::Unauthenticated { .. } => false,
            Phase::Ready => true,
            Phase::Authenticating(_) | Phase::Failing { .. } => {
                let answer = refuse(ResponseError::IllegalSaslState, &[])?;
                self.answer(header.head.key, answer, out);
                return self.end(Reason::OutOfTurn);
            }
        };
        let may_begin = match &self.who {
            Some(who) if is_again => who.mechanism == Mechanism::OauthBearer && who.may_log_in_again(now),
            _ => true,
        };
        if !may_begin {
            let answer = refuse(ResponseError::IllegalSaslState, &[])?;
            self.answer(header.head.key, answer, out);
            return Ok(Next::Read);
        }
        let mechanism = sasl::read_handshake(header, body).map_err(client)?;
        let offered: &[&'static str] = if self.oauth_bearer().is_some() { &[OAUTHBEARER] } else { &[] };
        if !offered.contains(&mechanism.as_str()) {
            let answer = refuse(ResponseError::UnsupportedSaslMechanism, offered)?;
            self.answer(header.head.key, answer, out);
            out.events.push(Event::LoginFailed {
                id: self.failure_id(),
                mechanism: None,
                why: "unsupported_mechanism",
                detail: format!("the client asks for {:?}", shortened(&mechanism)),
            });
            return self.end(Reason::UnsupportedMechanism);
        }
        let answer = sasl::handshake_answer(header, None, offered).map_err(client)?;
        self.answer(header.head.key, answer, out);
        if is_again {
            self.login_ends_at = now + self.limits.login_timeout;
        }
        // A raw exchange has no room for a second login's answers among others.
        let raw = header.head.version == 0 && !is_again;
        self.phase = Phase::Authenticating(Exchange { raw, awaiting_verdict: None });
        Ok(Next::Read)
    }

    fn on_authenticate(&mut self, header: &RequestHeader, body: &Bytes, out: &mut Outbox) -> Step {
        let message = sasl::read_authenticate(header, body).map_err(client)?;
        match &self.phase {
            Phase::Failing { id } => {
                let text = failure_text(id);
                let reason = if is_failure_acknowledgement(&message) {
                    Reason::LoginFailed
                } else {
                    Reason::OutOfTurn
                };
                self.fail(header, ResponseError::SaslAuthenticationFailed, &text, out)?;
                self.end(reason)
            }
            Phase::Authenticating(Exchange { raw: false, awaiting_verdict: None }) => {
                self.on_client_first(&message, header.clone(), out)
            }
            Phase::Ready => {
                // Outside of a login a broker says so, and serves on.
                let text = "SaslAuthenticate is not expected after a login";
                self.fail(header, ResponseError::IllegalSaslState, text, out)?;
                Ok(Next::Read)
            }
            Phase::Unauthenticated { .. } | Phase::Authenticating(_) => {
                let text = "SaslHandshake comes before SaslAuthenticate";
                self.fail(header, ResponseError::IllegalSaslState, text, out)?;
                self.end(Reason::OutOfTurn)
            }
        }
    }

    fn on_raw_token(&mut self, frame: &Bytes, out: &mut Outbox) -> Step {
        out.events.push(Event::Request { key: ApiKey::SaslAuthenticate as i16, bytes: frame.len() });
        let head = RequestHead { key: ApiKey::SaslAuthenticate as i16, version: 0, correlation_id: 0 };
        self.on_client_first(frame, RequestHeader { head, client_id: None }, out)
    }

    /// The client's first message of the mechanism: a token, handed out for its verdict.
    fn on_client_first(&mut self, message: &Bytes, header: RequestHeader, out: &mut Outbox) -> Step {
        let raw = matches!(self.phase, Phase::Authenticating(Exchange { raw: true, .. }));
        match ClientFirst::parse(message, self.limits.token_bytes) {
            Ok(first) => {
                self.phase = Phase::Authenticating(Exchange {
                    raw,
                    awaiting_verdict: Some(Attempt {
                        correlation_id: header.head.correlation_id,
                        version: header.head.version,
                        authzid: first.authzid,
                        extensions: first.extensions,
                    }),
                });
                Ok(Next::Verify(first.token))
            }
            Err(invalid) => {
                let id = self.failure_id();
                out.events.push(Event::LoginFailed {
                    id: id.clone(),
                    mechanism: Some(Mechanism::OauthBearer),
                    why: invalid.label(),
                    detail: invalid.to_string(),
                });
                if !raw {
                    self.fail(&header, ResponseError::SaslAuthenticationFailed, &failure_text(&id), out)?;
                }
                self.end(Reason::LoginFailed)
            }
        }
    }

    fn logged_in(
        &mut self,
        identity: Identity,
        attempt: &Attempt,
        raw: bool,
        now: Instant,
        out: &mut Outbox,
    ) -> Step {
        if !may_act_as(attempt.authzid.as_deref(), &identity.principal) {
            let detail = "the client wants to act as another than the token's principal".to_owned();
            return self.rejected("authzid_mismatch", detail, attempt, raw, out);
        }
        let again = self.who.is_some();
        let is_other =
            |who: &Who| who.principal != identity.principal || who.issuer.as_deref() != identity.issuer();
        if self.who.as_ref().is_some_and(is_other) {
            let detail = "a session is renewed by the principal that began it".to_owned();
            return self.rejected("principal_changed", detail, attempt, raw, out);
        }
        let rights = self.rights_of(Mechanism::OauthBearer, &identity.principal, &identity.claims, attempt);
        out.events.push(Event::LoggedIn {
            mechanism: Mechanism::OauthBearer,
            again,
            lifetime: Some(identity.lifetime),
            conditions_failed: rights.failures().to_vec(),
        });
        self.who = Some(Who {
            issuer: identity.issuer().map(str::to_owned),
            principal: identity.principal,
            mechanism: Mechanism::OauthBearer,
            rights,
            ends_at: Some(now + identity.lifetime),
            since: now,
        });
        self.phase = Phase::Ready;
        let answer = if raw {
            sasl::raw_answer(&[])
        } else {
            let lifetime_ms = i64::try_from(identity.lifetime.as_millis()).unwrap_or(i64::MAX).max(1);
            sasl::authenticate_answer(&attempt.header(), Outcome::Success { lifetime_ms }).map_err(client)?
        };
        self.answer(ApiKey::SaslAuthenticate as i16, answer, out);
        Ok(if again { Next::Read } else { Next::Connect })
    }

    /// Refuses a token the way of RFC 7628: first in the mechanism's own words, then in Kafka's.
    fn rejected(
        &mut self,
        why: &'static str,
        detail: String,
        attempt: &Attempt,
        raw: bool,
        out: &mut Outbox,
    ) -> Step {
        let id = self.failure_id();
        out.events.push(Event::LoginFailed {
            id: id.clone(),
            mechanism: Some(Mechanism::OauthBearer),
            why,
            detail,
        });
        if raw {
            return Err(Reason::LoginFailed); // there is no error in a bare frame
        }
        let answer = sasl::authenticate_answer(&attempt.header(), Outcome::Challenge(failure_document()))
            .map_err(client)?;
        self.answer(ApiKey::SaslAuthenticate as i16, answer, out);
        self.phase = Phase::Failing { id };
        Ok(Next::Read)
    }

    /// Lets a client in that logs in by nothing, where the file allows that; true when it is in.
    fn let_anonymous_in(&mut self, bytes: &BytesMut, now: Instant, out: &mut Outbox) -> bool {
        let methods = &self.listener.cluster.authentication.methods;
        if !matches!(self.phase, Phase::Unauthenticated { .. })
            || !methods.iter().any(|method| matches!(method, Method::Anonymous))
        {
            return false;
        }
        // The key stands behind the length. A login goes first where there is a way to log in.
        let Some(key) = bytes.get(4..6).map(|key| i16::from_be_bytes([key[0], key[1]])) else { return false };
        let is_own = ApiKey::try_from(key).is_ok_and(|key| matches!(disposition(key), Disposition::Answer));
        if is_own && self.oauth_bearer().is_some() {
            return false;
        }
        let principal = Principal::anonymous();
        let attempt = Attempt::default();
        let rights = self.rights_of(Mechanism::Anonymous, &principal, &serde_json::Value::Null, &attempt);
        out.events.push(Event::LoggedIn {
            mechanism: Mechanism::Anonymous,
            again: false,
            lifetime: None,
            conditions_failed: rights.failures().to_vec(),
        });
        self.who = Some(Who {
            principal,
            issuer: None,
            mechanism: Mechanism::Anonymous,
            rights,
            ends_at: None,
            since: now,
        });
        self.phase = Phase::Ready;
        true
    }

    fn rights_of(
        &self,
        mechanism: Mechanism,
        principal: &Principal,
        claims: &serde_json::Value,
        attempt: &Attempt,
    ) -> Rights {
        self.listener.cluster.policy.rights(&Circumstances {
            auth_type: mechanism.as_str(),
            principal,
            claims,
            extensions: &attempt.extensions,
            client_id: self.client_id.as_deref(),
            client_address: &self.client.address,
            listener: &self.listener.name,
        })
    }

    /// A request for the broker: through its family, and on.
    fn on_request(
        &mut self,
        row: &'static Row,
        frame: Bytes,
        head: RequestHead,
        known: Known,
        out: &mut Outbox,
    ) -> Step {
        let RequestHead { key, version, .. } = head;
        let Some(who) = &self.who else { return Err(Reason::NotAuthenticated { api: row.name }) };
        if !self.versions.as_ref().is_some_and(|known| known.supports(row, head.version)) {
            return Err(if row.versions.contains(&version) {
                Reason::UnspokenVersion { key, version }
            } else {
                Reason::UnsupportedVersion { key, version }
            });
        }
        let flexible = grammar().header_flexible(head.key, Direction::Request, head.version);
        let (mut header, body) = read_request(&frame, flexible).map_err(client)?;
        if header.client_id.as_deref() == Some(ADMIN_CLIENT) {
            header.client_id = Some(StrBytes::from_static_str("admin_client"));
        }
        let gate = Gate::new(&self.listener.cluster, &who.rights);
        let lens = Lens::new(&self.listener.cluster, &who.rights, &self.listener.book);
        let incoming =
            Incoming { frame: &frame, header: &header, body, limits: &self.limits, known: Some(&known) };
        let id = &mut self.upstream_correlation_id;
        let mut next_id = || {
            *id = id.wrapping_add(1) & i32::MAX;
            *id
        };
        let admitted =
            (row.admit)(&incoming, gate, &lens, &mut self.conversation, &mut next_id).map_err(client)?;
        if let Admission::Ask(question) = admitted.admission {
            return self.look_up(
                Held { row, frame, head, known, lookup: None },
                question,
                header.client_id,
                out,
            );
        }
        out.events.push(Event::Request { key: head.key, bytes: frame.len() });
        if admitted.refused.is_some() || !admitted.denials.is_empty() {
            out.events.push(Event::Refused {
                key: head.key,
                why: admitted.refused,
                denials: admitted.denials,
            });
        }
        match admitted.admission {
            Admission::Forward { requests, pending } => {
                let rights = who.rights.clone();
                let (asked, requests): (Vec<i32>, Vec<_>) = requests.into_iter().unzip();
                out.to_broker.extend(requests);
                self.in_flight.push(Slot::Awaiting(Awaited {
                    key: head.key,
                    correlation_id: head.correlation_id,
                    asked,
                    frames: Vec::new(),
                    pending,
                    rights,
                }));
            }
            Admission::Answer(answer) => self.answer(head.key, answer, out),
            Admission::Ask(_) => {} // asked above
            Admission::Unanswered { request, close } => {
                out.to_broker.extend(request);
                out.events.push(Event::Unanswered);
                if close {
                    return self.end(Reason::UnansweredRefusal);
                }
            }
        }
        Ok(Next::Read)
    }

    /// Asks the broker what a request cannot be admitted without, and keeps the request until then.
    fn look_up(
        &mut self,
        mut held: Held,
        question: Question,
        client_id: Option<StrBytes>,
        out: &mut Outbox,
    ) -> Step {
        let Upstream::Ready { versions, .. } = &self.upstream else { return Err(Reason::BrokerOutOfOrder) };
        self.upstream_correlation_id = self.upstream_correlation_id.wrapping_add(1) & i32::MAX;
        let id = self.upstream_correlation_id;
        let (lookup, request) = Lookup::ask(question, versions, id, client_id).map_err(broker)?;
        out.to_broker.push(request);
        self.in_flight.push(Slot::Asked(id));
        held.lookup = Some(lookup);
        self.held = Some(held);
        Ok(Next::Read)
    }

    /// Takes the broker's answer to our own question.
    fn on_told(&mut self, frame: &Bytes) -> Result<(), Reason> {
        let Some(Held { lookup, known, .. }) = &mut self.held else { return Err(Reason::BrokerOutOfOrder) };
        let Some(lookup) = lookup.take() else { return Err(Reason::BrokerOutOfOrder) };
        let cluster = &self.listener.cluster;
        let answered = lookup.answered(frame, &self.limits, cluster).map_err(broker)?;
        self.conversation.note_absent(&answered.absent);
        *known = std::mem::take(known).and(answered.known);
        Ok(())
    }

    /// Lets the request go on that waited for our own question, once that is answered.
    fn resume(&mut self, out: &mut Outbox) -> Result<(), Reason> {
        if !matches!(self.upstream, Upstream::Ready { .. }) {
            return Ok(()); // between the steps of our login nothing else may be sent
        }
        match self.held.take() {
            Some(Held { row, frame, head, known, lookup: None }) => {
                match self.on_request(row, frame, head, known, out)? {
                    Next::Close(reason) => Err(reason),
                    _ => Ok(()),
                }
            }
            waiting => {
                self.held = waiting;
                Ok(())
            }
        }
    }

    fn on_broker_frame(&mut self, frame: Bytes, now: Instant, out: &mut Outbox) -> Result<(), Reason> {
        let login = match &mut self.upstream {
            Upstream::Absent => return Err(Reason::BrokerOutOfOrder),
            Upstream::Ready { .. } => return self.on_broker_answer(frame, out),
            // The broker answers in order: what was asked before the login comes before its answers.
            Upstream::Renewing { .. } if !self.in_flight.is_empty() => {
                return self.on_broker_answer(frame, out);
            }
            Upstream::LoggingIn { login, .. } | Upstream::Renewing { login, .. } => login,
        };
        match login.on_frame(&frame).map_err(Reason::BrokerLogin)? {
            Progress::Send(message) => out.to_broker.push(message),
            Progress::Done { versions, lifetime } => {
                let renews_at = lifetime.map(|lifetime| now + lifetime.mul_f64(RENEWED_AFTER));
                self.versions = Some(versions.clone());
                self.upstream = Upstream::Ready { versions: versions.clone(), renews_at };
                out.events.push(Event::BrokerReady(versions));
            }
        }
        Ok(())
    }

    fn on_broker_answer(&mut self, frame: Bytes, out: &mut Outbox) -> Result<(), Reason> {
        let correlation_id = peek_correlation_id(&frame).map_err(broker)?;
        match self.in_flight.arrived(correlation_id, Backend::said_by_broker(frame)) {
            Arrived::Partly => Ok(()),
            Arrived::Told(frame) => {
                self.on_told(frame.as_ref())?;
                self.send_answers(out);
                Ok(())
            }
            Arrived::Unasked => Err(Reason::BrokerOutOfOrder),
            Arrived::Complete(awaited) => {
                let Awaited { key, correlation_id, frames, pending, rights, .. } = awaited;
                let lens = Lens::new(&self.listener.cluster, &rights, &self.listener.book);
                let answer = pending
                    .reveal(&frames, correlation_id, &lens, &self.limits, &mut self.conversation)
                    .map_err(broker)?;
                send(Answer { key, segments: answer }, out);
                self.send_answers(out);
                Ok(())
            }
        }
    }

    /// An answer made here, in its turn.
    fn answer(&mut self, key: i16, segments: Virtual<Segments>, out: &mut Outbox) {
        self.in_flight.push(Slot::Answered(Answer { key, segments }));
        self.send_answers(out);
    }

    fn send_answers(&mut self, out: &mut Outbox) {
        while let Some(answer) = self.in_flight.next_answer() {
            send(answer, out);
        }
    }

    fn fail(
        &mut self,
        header: &RequestHeader,
        error: ResponseError,
        text: &str,
        out: &mut Outbox,
    ) -> Result<(), Reason> {
        let answer = sasl::authenticate_answer(header, Outcome::Failure { error, text }).map_err(client)?;
        self.answer(ApiKey::SaslAuthenticate as i16, answer, out);
        Ok(())
    }

    /// Takes no further frame, and ends when what is in flight is answered.
    fn end(&mut self, reason: Reason) -> Step {
        self.ending = Some(reason);
        Ok(self.rest())
    }

    fn oauth_bearer(&self) -> Option<&OauthBearer> {
        self.listener.cluster.authentication.methods.iter().find_map(|method| match method {
            Method::OauthBearer(bearer) => Some(bearer),
            Method::Anonymous => None,
        })
    }

    fn failure_id(&self) -> String {
        format!("{:016x}", self.client.connection_id)
    }
}

fn client(broken: impl Into<Broken>) -> Reason {
    Reason::ClientMalformed(broken.into())
}

fn broker(broken: impl Into<Broken>) -> Reason {
    Reason::BrokerMalformed(broken.into())
}

fn send(answer: Answer, out: &mut Outbox) {
    out.events.push(Event::Answer { key: answer.key, bytes: answer.segments.as_ref().len_bytes() });
    out.to_client.push(answer.segments);
}

/// What a client is told whose login is refused: where to ask, and nothing of why.
fn failure_text(id: &str) -> String {
    format!("Authentication failed; the gateway's audit log has the reason under id {id}")
}

/// A client's word, cut to what a log line has room for.
fn shortened(text: &str) -> String {
    text.chars().take(CLIENT_WORD_CHARACTERS_MAX).collect()
}

/// A client whose version is too new is told ours at the first try.
const TOO_NEW_ANSWERED_MAX: u8 = 4;

const CLIENT_WORD_CHARACTERS_MAX: usize = 128;

/// A question of 14 bytes has an answer of 600, and a read brings many questions.
const ANSWERS_PER_TURN_MAX: usize = 64;

/// Part of our session's lifetime at a broker after which we log in again; Kafka's clients take 0.85 to 0.95.
const RENEWED_AFTER: f64 = 0.85;

/// How long an id is taken for nobody's without asking again.
const ABSENT_FOR: Duration = Duration::from_secs(1);

/// The client id for which brokers let writes into internal topics; nobody is that from outside.
const ADMIN_CLIENT: &str = "__admin_client";

#[cfg(test)]
mod tests;
