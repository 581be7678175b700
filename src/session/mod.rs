//! One client connection as a state machine: bytes and the time go in, bytes and one next step come out.
//!
//! Knows phases, frames, the queue of answers, both SASL exchanges. Knows no socket, no task and no
//! clock; `src/server/` drives it. All decisions are made here, in `deadlines.rs`, `entry.rs`,
//! `exchange.rs`, `relay.rs` and `requests.rs`; the other files are their hands and do not know each other.

mod deadlines; // what becomes of it when time goes by
mod discovery; // our own question: which brokers are there?
mod entry; //     how a client gets in: what it may ask before its login
mod exchange; //  the steps of a login
mod in_flight; // the queue that keeps answers in order
mod login; //     our login to the broker
mod lookup; //    our own question amid the client's requests
mod outbox; //    what comes out: bytes for both sides, and what happened
mod phase; //     where a connection stands
mod relay; //     a client's login that goes on to the broker
mod requests; //  a request on its way to the broker, and its answer back
mod sasl; //      the client's login to us

pub use discovery::{Discovered, Discovery, Found};
pub use login::LoginFailed;
pub use outbox::{Event, Next, Outbox, Reason};
pub use phase::Mechanism;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::api::versions::BrokerVersions;
use crate::api::{Conversation, Disposition, Known, disposition};
use crate::auth::PeerCertificate;
use crate::cluster::{Limits, Listener, VirtualCluster};
use crate::names::{Principal, Virtual};
use crate::wire::{ApiKey, Broken, RequestHead, Segments, split_frame};
use in_flight::{Answer, InFlight, Slot};
use login::{Login, Progress};
use phase::{Exchange, Phase, Stage, Who};
use requests::Held;

/// One client connection, from its first byte to its last.
pub struct Session {
    listener: Arc<Listener>,
    /// The tenant's world, from its first login on.
    cluster: Arc<VirtualCluster>,
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
    /// Whether the broker gave a login that went on to it an end, and so takes another (KIP-368).
    broker_takes_another: bool,
    /// As the client called itself when it logged in.
    client_id: Option<String>,
    login_ends_at: Instant,
    /// Set once the client has left while its request was held: how long the request is kept.
    left_until: Option<Instant>,
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
    /// When that certificate ends, if the clock knows such a time.
    pub certificate_ends_at: Option<Instant>,
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
        renewal: Option<Renewal>,
    },
    /// Logging in again: what is in flight is answered first, and nothing is sent meanwhile.
    Renewing {
        login: Box<Login>,
        /// Not set while the broker may wait, for a fetch say, before it comes to the login.
        ends_at: Option<Instant>,
    },
}

/// When we log in again at the broker, before our session there ends.
#[derive(Clone, Copy)]
struct Renewal {
    at: Instant,
    ends_at: Instant,
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
            cluster: listener.cluster.clone(),
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
            broker_takes_another: false,
            client_id: None,
            login_ends_at,
            left_until: None,
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
        let next = self.take_client_frames(bytes, now, out);
        self.start_clocks(now);
        next
    }

    fn take_client_frames(&mut self, bytes: &mut BytesMut, now: Instant, out: &mut Outbox) -> Next {
        loop {
            if !self.takes_frames() {
                return self.rest();
            }
            match self.let_in(bytes, now, out) {
                Ok(true) => return Next::Connect,
                Ok(false) => {}
                Err(reason) => return Next::Close(reason),
            }
            let frame = match split_frame(bytes, self.frame_bytes_max()) {
                Ok(Some(frame)) => frame,
                Ok(None) => return self.rest(),
                // Whose request it is, and how long it may be, its header says, which is not here yet.
                Err(_) if self.awaits_header(bytes) => return self.rest(),
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
            self.start_clocks(now);
        }
    }

    /// The broker connection is up: our login goes out on it.
    pub fn on_connected(&mut self, now: Instant, out: &mut Outbox) -> Next {
        let started = match &self.phase {
            Phase::Authenticating(Exchange { mechanism, stage: Stage::AwaitingBroker(relayed), .. }) => {
                let mechanism = mechanism.sasl_name().unwrap_or_default();
                Login::relay(mechanism, relayed.message.clone(), None)
            }
            _ => Login::start(self.cluster.backend.login.clone(), (self.client.nonce)()),
        };
        match started {
            Ok((login, first)) => {
                let ends_at = now + self.limits.login_timeout;
                self.upstream = Upstream::LoggingIn { login: Box::new(login), ends_at };
                out.to_broker.push(first);
                Next::Read
            }
            Err(why) => Next::Close(Reason::BrokerLogin(why)),
        }
    }

    /// By which the client proved itself in TLS, where it did.
    pub fn certificate(&self) -> Option<&Arc<PeerCertificate>> {
        self.client.certificate.as_ref()
    }

    /// Whether what the client sent waits for the broker's answer to words of our own, or for a verdict.
    pub fn is_held(&self) -> bool {
        let is_renewing = matches!(self.upstream, Upstream::Renewing { .. });
        self.held.is_some() || is_renewing || self.is_being_verified()
    }

    fn is_being_verified(&self) -> bool {
        matches!(self.phase, Phase::Authenticating(Exchange { stage: Stage::AwaitingVerdict(_), .. }))
    }

    /// The client has left while it was held. What it sent is still meant, above all by a producer that
    /// wants no answer, but not for long; who is not logged in has sent nothing that is.
    pub fn on_client_left(&mut self, now: Instant) {
        let waits = if self.who.is_some() { LEFT_FOR } else { Duration::ZERO };
        self.left_until.get_or_insert(now + waits);
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
            Phase::Authenticating(exchange) => {
                matches!(exchange.stage, Stage::AwaitingVerdict(_) | Stage::AwaitingBroker(_))
            }
            Phase::Unauthenticated { .. } | Phase::Failing { .. } => false,
        };
        !is_busy && self.ending.is_none() && self.in_flight.len() < self.limits.requests_in_flight
    }

    /// Whether no further request is taken, and only answers are awaited.
    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Whether the broker is to be reached by the client's own login.
    pub fn is_relayed(&self) -> bool {
        matches!(&self.phase, Phase::Authenticating(Exchange { stage: Stage::AwaitingBroker(_), .. }))
    }

    /// Whether nothing is known of who is to reach the broker, and the broker alone can say.
    pub fn is_unverified(&self) -> bool {
        match &self.phase {
            Phase::Authenticating(Exchange { stage: Stage::AwaitingBroker(relayed), .. }) => {
                relayed.attempt.forwarded.is_none()
            }
            _ => false,
        }
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
        if let Phase::Authenticating(Exchange { mechanism, raw: true, .. }) = self.phase {
            return self.on_raw_message(&frame, mechanism, now, out);
        }
        let head = RequestHead::peek(&frame).map_err(client)?;
        let Ok(key) = ApiKey::try_from(head.key) else { return Err(Reason::UnknownApi { key: head.key }) };
        match disposition(key) {
            Disposition::Answer => self.on_own_request(key, &frame, head, now, out),
            Disposition::Serve(row) if row.is_offered(&self.cluster.opt_ins) => {
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
            Progress::Said(said) => return self.on_broker_said(said, now, out),
            Progress::Done { versions, lifetime } => {
                let renewal = lifetime.map(|lifetime| Renewal {
                    at: now + lifetime.mul_f64(RENEWED_AFTER),
                    ends_at: now + lifetime,
                });
                self.versions = Some(versions.clone());
                self.upstream = Upstream::Ready { versions: versions.clone(), renewal };
                out.events.push(Event::BrokerReady(versions));
            }
        }
        Ok(())
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

    /// Takes no further frame, and ends when what is in flight is answered.
    fn end(&mut self, reason: Reason) -> Step {
        self.ending = Some(reason);
        Ok(self.rest())
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

/// A question of 14 bytes has an answer of 600, and a read brings many questions.
const ANSWERS_PER_TURN_MAX: usize = 64;

/// Part of our session's lifetime at a broker after which we log in again; Kafka's clients take 0.85 to 0.95.
const RENEWED_AFTER: f64 = 0.85;

/// How long a request is kept whose sender has left.
const LEFT_FOR: Duration = Duration::from_secs(5);

/// How long an id is taken for nobody's without asking again.
const ABSENT_FOR: Duration = Duration::from_secs(1);

#[cfg(test)]
mod exchange_tests;
#[cfg(test)]
mod relay_tests;
#[cfg(test)]
mod tests;
