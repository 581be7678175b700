//! The steps of a login: what the client shows, what is found of it, and what it is told.
//!
//! A part of the master, as `entry.rs`.

use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;

use super::phase::{Attempt, Exchange, Phase, Stage, Who};
use super::sasl::{self, Outcome};
use super::{Event, Mechanism, Next, Outbox, Reason, Session, Step, Upstream, client};
use crate::auth::{ClientFirst, Evidence, Method, PlainMessage, Proven, Refused, SaslScram};
use crate::auth::{ScramMechanism, ScramServer, Verdict};
use crate::auth::{failure_document, is_failure_acknowledgement, may_act_as};
use crate::policy::{Circumstances, Rights};
use crate::wire::{ApiKey, RequestHead, RequestHeader};

impl Session {
    pub(super) fn on_authenticate(
        &mut self,
        header: &RequestHeader,
        body: &Bytes,
        now: Instant,
        out: &mut Outbox,
    ) -> Step {
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
            Phase::Authenticating(Exchange {
                mechanism,
                raw: false,
                stage: Stage::First | Stage::AwaitingProof(_) | Stage::AwaitingClient(_),
            }) => {
                let attempt = Attempt::new(*mechanism, false, header);
                self.on_message(&message, attempt, now, out)
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

    /// A message in a bare frame, after SaslHandshake 0.
    pub(super) fn on_raw_message(
        &mut self,
        frame: &Bytes,
        mechanism: Mechanism,
        now: Instant,
        out: &mut Outbox,
    ) -> Step {
        out.events.push(Event::Request { key: ApiKey::SaslAuthenticate as i16, bytes: frame.len() });
        let head = RequestHead { key: ApiKey::SaslAuthenticate as i16, version: 0, correlation_id: 0 };
        let attempt = Attempt::new(mechanism, true, &RequestHeader { head, client_id: None });
        self.on_message(frame, attempt, now, out)
    }

    /// A message of the client's mechanism, the first or a later one.
    fn on_message(&mut self, message: &Bytes, attempt: Attempt, now: Instant, out: &mut Outbox) -> Step {
        if self.who.as_ref().is_some_and(|who| who.mechanism != attempt.mechanism) {
            let detail = "a session is renewed by the mechanism that began it";
            return self.refuse_at_once(&Refused::new("mechanism_changed", detail), &attempt, out);
        }
        if let Phase::Authenticating(exchange) = &mut self.phase
            && matches!(exchange.stage, Stage::AwaitingClient(_))
            && let Stage::AwaitingClient(relayed) = std::mem::replace(&mut exchange.stage, Stage::First)
        {
            return self.pass_on(relayed, message, attempt, out);
        }
        if let Some(how) = self.passed_through(attempt.mechanism) {
            return self.pass_through(&how, message, attempt, out);
        }
        match attempt.mechanism {
            Mechanism::OauthBearer => self.on_token(message, attempt, out),
            Mechanism::SaslPlain => self.on_password(message, attempt, out),
            Mechanism::SaslScram(mechanism) => self.on_scram(mechanism, message, &attempt, now, out),
            // These have no messages.
            Mechanism::Anonymous | Mechanism::ClientCertificate => Err(Reason::OutOfTurn),
        }
    }

    fn on_token(&mut self, message: &Bytes, attempt: Attempt, out: &mut Outbox) -> Step {
        match ClientFirst::parse(message, self.limits.token_bytes) {
            Ok(ClientFirst { authzid, token, extensions }) => {
                let forwarded = self.cluster.authentication.forwards_tokens.then(|| message.clone());
                let attempt = Attempt { authzid, extensions, forwarded, ..attempt };
                self.verify(Evidence::Token(token), attempt)
            }
            Err(invalid) => {
                self.refuse_at_once(&Refused::new(invalid.label(), invalid.to_string()), &attempt, out)
            }
        }
    }

    fn on_password(&mut self, message: &Bytes, attempt: Attempt, out: &mut Outbox) -> Step {
        match PlainMessage::parse(message) {
            Ok(PlainMessage { username, password }) => {
                self.verify(Evidence::Password { username, password }, attempt)
            }
            Err(invalid) => {
                self.refuse_at_once(&Refused::new(invalid.label(), invalid.to_string()), &attempt, out)
            }
        }
    }

    /// The client's name, which is answered whether it is known or not; then its proof.
    fn on_scram(
        &mut self,
        mechanism: ScramMechanism,
        message: &Bytes,
        attempt: &Attempt,
        now: Instant,
        out: &mut Outbox,
    ) -> Step {
        let method = self.listener.cluster.authentication.methods.iter().find_map(|method| match method {
            Method::SaslScram(scram) if scram.users.mechanism() == mechanism => Some(scram.clone()),
            _ => None,
        });
        let Some(SaslScram { users, session_lifetime_max }) = method else { return Err(Reason::OutOfTurn) };
        let stage = match &mut self.phase {
            Phase::Authenticating(exchange) => std::mem::replace(&mut exchange.stage, Stage::First),
            _ => Stage::First,
        };
        let refused = match stage {
            Stage::AwaitingProof(server) => match server.finish(message) {
                Ok((principal, last)) => {
                    let proven = Proven::named(principal, session_lifetime_max);
                    return self.logged_in(proven, attempt, last, now, out);
                }
                Err(refused) => refused,
            },
            _ => match ScramServer::start(users, message, (self.client.nonce)()) {
                Ok((server, first)) => {
                    self.phase = Phase::Authenticating(Exchange {
                        mechanism: attempt.mechanism,
                        raw: attempt.raw,
                        stage: Stage::AwaitingProof(Box::new(server)),
                    });
                    self.reply(attempt, Outcome::Challenge(first), out)?;
                    return Ok(Next::Read);
                }
                Err(refused) => refused,
            },
        };
        self.refuse_at_once(&Refused::new(refused.label(), refused.to_string()), attempt, out)
    }

    /// Has the shell find out whether what the client shows is true.
    fn verify(&mut self, evidence: Evidence, attempt: Attempt) -> Step {
        let Attempt { mechanism, raw, .. } = attempt;
        self.phase =
            Phase::Authenticating(Exchange { mechanism, raw, stage: Stage::AwaitingVerdict(attempt) });
        Ok(Next::Verify(evidence))
    }

    /// The verdict on what [`Next::Verify`] handed out.
    pub fn on_verdict(&mut self, verdict: Verdict, now: Instant, out: &mut Outbox) -> Next {
        let Phase::Authenticating(exchange) = &mut self.phase else { return self.rest() };
        let attempt = match std::mem::replace(&mut exchange.stage, Stage::First) {
            Stage::AwaitingVerdict(attempt) => attempt,
            other => {
                exchange.stage = other;
                return self.rest();
            }
        };
        let step = match verdict {
            Ok(proven) => match &attempt.forwarded {
                // A broker that gave no end to the login refuses another.
                Some(message) if self.who.is_none() || self.broker_takes_another => {
                    let message = message.clone();
                    self.forward(proven, attempt, message, out)
                }
                _ => self.logged_in(proven, &attempt, Vec::new(), now, out),
            },
            Err(refused) => self.refused(&refused, &attempt, out),
        };
        step.unwrap_or_else(Next::Close)
    }

    /// Lets the client in, and tells it with the last message of its mechanism.
    pub(super) fn logged_in(
        &mut self,
        proven: Proven,
        attempt: &Attempt,
        message: Vec<u8>,
        now: Instant,
        out: &mut Outbox,
    ) -> Step {
        if let Err(refused) = self.may_be(&proven, attempt) {
            return self.refused(&refused, attempt, out);
        }
        let lifetime = proven.lifetime;
        if let Err(refused) = self.become_known(attempt.mechanism, proven, &attempt.extensions, now, out) {
            return self.refused(&refused, attempt, out);
        }
        // Kafka's 0 means no end.
        let milliseconds = lifetime.map(|lifetime| i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX));
        let lifetime_ms = milliseconds.map_or(0, |milliseconds| milliseconds.max(1));
        self.reply(attempt, Outcome::Success { lifetime_ms, message }, out)?;
        Ok(if matches!(self.upstream, Upstream::Absent) { Next::Connect } else { Next::Read })
    }

    /// Whether somebody who proves this name may have it here: whom it wants to act as, and who was there before.
    pub(super) fn may_be(&self, proven: &Proven, attempt: &Attempt) -> Result<(), Refused> {
        if !may_act_as(attempt.authzid.as_deref(), &proven.principal) {
            let detail = "the client wants to act as another than the token's principal";
            return Err(Refused::new("authzid_mismatch", detail));
        }
        let is_other = |who: &Who| who.principal != proven.principal || who.issuer != proven.issuer;
        if self.who.as_ref().is_some_and(is_other) {
            let detail = "a session is renewed by the principal that began it";
            return Err(Refused::new("principal_changed", detail));
        }
        Ok(())
    }

    /// From here on the client is who it has proven to be, and may do what the rules say of it.
    ///
    /// Errors: it belongs to no tenant, and nothing has changed.
    pub(super) fn become_known(
        &mut self,
        mechanism: Mechanism,
        proven: Proven,
        extensions: &[(String, String)],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Refused> {
        let rights = self.enter(mechanism, &proven, extensions)?;
        out.events.push(Event::LoggedIn {
            mechanism,
            again: self.who.is_some(),
            lifetime: proven.lifetime,
            conditions_failed: rights.failures().to_vec(),
        });
        self.who = Some(Who {
            issuer: proven.issuer,
            principal: proven.principal,
            mechanism,
            rights,
            ends_at: proven.lifetime.map(|lifetime| now + lifetime),
            since: now,
        });
        self.phase = Phase::Ready;
        Ok(())
    }

    /// Enters the tenant's world; who logs in again stays in it.
    fn enter(
        &mut self,
        mechanism: Mechanism,
        proven: &Proven,
        extensions: &[(String, String)],
    ) -> Result<Rights, Refused> {
        let circumstances = Circumstances {
            auth_type: mechanism.as_str(),
            principal: &proven.principal,
            claims: &proven.claims,
            extensions,
            client_id: self.client_id.as_deref(),
            client_address: &self.client.address,
            listener: &self.listener.name,
        };
        let world = self.listener.cluster.for_login(&circumstances);
        let world = world.map_err(|why| Refused::new("no_tenant", why.to_string()))?;
        if self.who.is_some() && world.namespace.prefix() != self.cluster.namespace.prefix() {
            let detail = "a session is renewed by the tenant that began it";
            return Err(Refused::new("tenant_changed", detail));
        }
        let rights = world.policy.rights(&circumstances);
        self.cluster = world;
        Ok(rights)
    }

    /// Refuses a login; a token the way of RFC 7628: first in the mechanism's own words, then in Kafka's.
    pub(super) fn refused(&mut self, refused: &Refused, attempt: &Attempt, out: &mut Outbox) -> Step {
        if attempt.mechanism != Mechanism::OauthBearer || attempt.raw {
            return self.refuse_at_once(refused, attempt, out);
        }
        let id = self.tell_refused(refused, attempt.mechanism, out);
        self.reply(attempt, Outcome::Challenge(failure_document().to_vec()), out)?;
        self.phase = Phase::Failing { id };
        Ok(Next::Read)
    }

    /// Refuses a login in Kafka's words; in a bare frame there are none.
    pub(super) fn refuse_at_once(&mut self, refused: &Refused, attempt: &Attempt, out: &mut Outbox) -> Step {
        let id = self.tell_refused(refused, attempt.mechanism, out);
        if !attempt.raw {
            let text = failure_text(&id);
            self.fail(&attempt.header(), ResponseError::SaslAuthenticationFailed, &text, out)?;
        }
        self.end(Reason::LoginFailed)
    }

    /// Answers a message of the mechanism; in a bare frame by a bare one.
    pub(super) fn reply(
        &mut self,
        attempt: &Attempt,
        outcome: Outcome<'_>,
        out: &mut Outbox,
    ) -> Result<(), Reason> {
        let answer = match (attempt.raw, outcome) {
            (true, Outcome::Success { message, .. } | Outcome::Challenge(message)) => {
                sasl::raw_answer(&message)
            }
            (_, outcome) => sasl::authenticate_answer(&attempt.header(), outcome).map_err(client)?,
        };
        self.answer(ApiKey::SaslAuthenticate as i16, answer, out);
        Ok(())
    }

    /// Returns the id under which the reason is found.
    pub(super) fn tell_refused(&self, refused: &Refused, mechanism: Mechanism, out: &mut Outbox) -> String {
        let id = self.failure_id();
        out.events.push(Event::LoginFailed {
            id: id.clone(),
            mechanism: Some(mechanism),
            why: refused.label,
            detail: refused.detail.clone(),
        });
        id
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
}

/// What a client is told whose login is refused: where to ask, and nothing of why.
fn failure_text(id: &str) -> String {
    format!("Authentication failed; the gateway's audit log has the reason under id {id}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::{BufMut, BytesMut};
    use kafka_protocol::messages::{
        SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
    };
    use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

    use super::super::tests::{bearer, session};
    use super::*;
    use crate::auth::{
        Password, Passwords, SaslPlain, ScramClient, ScramCredentials, ScramSecret, ScramUsers,
    };
    use crate::names::{Principal, Secret};

    #[expect(clippy::disallowed_methods, reason = "an Instant can only be had from the clock")]
    fn now() -> Instant {
        Instant::now()
    }

    fn plain() -> Method {
        let password = Password::read(&Secret::new("pencil")).unwrap();
        let passwords = Passwords::new(vec![("alice".to_owned(), password)]).unwrap();
        Method::SaslPlain(SaslPlain { passwords: Arc::new(passwords), session_lifetime_max: None })
    }

    /// A frame of a request without tagged fields.
    fn frame(key: ApiKey, version: i16, body: &impl Encodable) -> BytesMut {
        let mut request = BytesMut::new();
        request.put_i16(key as i16);
        request.put_i16(version);
        request.put_i32(7);
        request.put_i16(-1);
        body.encode(&mut request, version).unwrap();
        let mut frame = BytesMut::new();
        frame.put_u32(request.len() as u32);
        frame.unsplit(request);
        frame
    }

    /// Sends a frame, and returns the next step and the bodies of what is answered.
    fn say(session: &mut Session, mut frame: BytesMut, now: Instant) -> (Next, Vec<Bytes>) {
        let mut out = Outbox::default();
        let next = session.on_client_bytes(&mut frame, now, &mut out);
        (next, answers(out))
    }

    fn answers(out: Outbox) -> Vec<Bytes> {
        let body = |answer: crate::names::Virtual<crate::wire::Segments>| {
            Bytes::from(answer.into_inner().to_vec()).slice(8..)
        };
        out.to_client.into_iter().map(body).collect()
    }

    fn handshake(session: &mut Session, mechanism: &'static str, now: Instant) -> (Next, i16, Vec<String>) {
        let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism));
        let (next, mut answers) = say(session, frame(ApiKey::SaslHandshake, 1, &request), now);
        let answer = SaslHandshakeResponse::decode(&mut answers.remove(0), 1).unwrap();
        (next, answer.error_code, answer.mechanisms.iter().map(ToString::to_string).collect())
    }

    /// One message of a mechanism, and its answer.
    fn exchange(session: &mut Session, message: &[u8], now: Instant) -> (Next, SaslAuthenticateResponse) {
        let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::copy_from_slice(message));
        let (next, mut answers) = say(session, frame(ApiKey::SaslAuthenticate, 1, &request), now);
        (next, SaslAuthenticateResponse::decode(&mut answers.remove(0), 1).unwrap())
    }

    fn authenticate(session: &mut Session, message: &[u8], now: Instant) -> (Next, Option<i16>) {
        let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::copy_from_slice(message));
        let (next, answers) = say(session, frame(ApiKey::SaslAuthenticate, 1, &request), now);
        let code = |body: &Bytes| SaslAuthenticateResponse::decode(&mut body.clone(), 1).unwrap().error_code;
        (next, answers.first().map(code))
    }

    #[test]
    fn each_mechanism_of_the_file_is_offered_once_in_its_order() {
        for (methods, expected) in [
            (vec![bearer(), plain()], &["OAUTHBEARER", "PLAIN"][..]),
            (vec![plain(), Method::Anonymous, bearer(), bearer()], &["PLAIN", "OAUTHBEARER"]),
        ] {
            let mut session = session(methods, now());
            let (next, code, offered) = handshake(&mut session, "GSSAPI", now());
            assert!(matches!(next, Next::Close(Reason::UnsupportedMechanism)), "{next:?}");
            assert_eq!(
                (code, &offered[..]),
                (33, &expected.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..])
            );
        }
    }

    #[test]
    fn a_password_is_handed_out_and_no_frame_is_taken_before_the_verdict() {
        let now = now();
        let mut session = session(vec![plain()], now);
        assert_eq!(handshake(&mut session, "PLAIN", now).1, 0);
        let (next, answer) = authenticate(&mut session, b"\0alice\0pencil", now);
        let Next::Verify(Evidence::Password { username, password }) = next else { panic!("{next:?}") };
        assert_eq!((username.as_str(), password.expose(), answer), ("alice", "pencil", None));
        assert!(!session.takes_frames());
        let mut out = Outbox::default();
        let proven = Proven::named(Principal::new("alice"), Some(Duration::from_secs(9)));
        let next = session.on_verdict(Ok(proven), now, &mut out);
        assert!(matches!(next, Next::Connect), "{next:?}");
        let answer = SaslAuthenticateResponse::decode(&mut answers(out)[0].clone(), 1).unwrap();
        assert_eq!((answer.error_code, answer.session_lifetime_ms), (0, 9_000));
        assert_eq!(session.principal().map(Principal::name), Some("alice"));
        assert_eq!(session.deadline(), Some(now + Duration::from_secs(9)));
    }

    #[test]
    fn a_verdict_that_nobody_awaits_changes_nothing() {
        let now = now();
        let mut session = session(vec![plain(), bearer()], now);
        let verdict = || Ok(Proven::named(Principal::new("mallory"), None));
        let mut out = Outbox::default();
        assert!(matches!(session.on_verdict(verdict(), now, &mut out), Next::Read));
        handshake(&mut session, "PLAIN", now);
        assert!(matches!(session.on_verdict(verdict(), now, &mut out), Next::Read));
        assert!(session.principal().is_none() && out.to_client.is_empty());
        assert!(matches!(authenticate(&mut session, b"\0alice\0pencil", now).0, Next::Verify(_)));
    }

    #[test]
    fn a_password_that_is_wrong_is_refused_without_the_document_of_tokens() {
        let now = now();
        let mut session = session(vec![plain()], now);
        handshake(&mut session, "PLAIN", now);
        authenticate(&mut session, b"\0alice\0pen", now);
        let mut out = Outbox::default();
        let next = session.on_verdict(Err(Refused::new("wrong_password", "no")), now, &mut out);
        assert!(matches!(next, Next::Close(Reason::LoginFailed)), "{next:?}");
        let answer = SaslAuthenticateResponse::decode(&mut answers(out)[0].clone(), 1).unwrap();
        assert_eq!((answer.error_code, answer.auth_bytes.len()), (58, 0));
    }

    fn scram() -> Method {
        let alice = ("alice".to_owned(), ScramSecret::Password(Secret::new("pencil")));
        let users = ScramUsers::new(ScramMechanism::Sha512, &[alice]).unwrap();
        let session_lifetime_max = Some(Duration::from_secs(5));
        Method::SaslScram(SaslScram { users: Arc::new(users), session_lifetime_max })
    }

    #[test]
    fn a_proof_is_taken_where_its_exchange_began() {
        let now = now();
        for (name, password, expected) in
            [("alice", "pencil", true), ("alice", "pen", false), ("stranger", "pencil", false)]
        {
            let mut session = session(vec![scram()], now);
            assert_eq!(handshake(&mut session, "SCRAM-SHA-512", now).1, 0);
            let credentials = ScramCredentials::new(ScramMechanism::Sha512, name, Secret::new(password));
            let mut client = ScramClient::new(credentials, [1; 24]);
            let (next, answer) = exchange(&mut session, &client.first(), now);
            assert!(matches!(next, Next::Read), "{next:?}");
            assert_eq!(answer.error_code, 0);
            let proof = client.on_challenge(&answer.auth_bytes).unwrap();
            let (next, answer) = exchange(&mut session, &proof, now);
            if expected {
                assert!(matches!(next, Next::Connect), "{next:?}");
                client.on_final(&answer.auth_bytes).unwrap();
                assert_eq!(answer.session_lifetime_ms, 5_000);
            } else {
                assert!(matches!(next, Next::Close(Reason::LoginFailed)), "{next:?}");
                assert_eq!((answer.error_code, answer.auth_bytes.len()), (58, 0));
            }
            assert_eq!(session.principal().is_some(), expected);
        }
    }

    #[test]
    fn a_proof_without_its_exchange_is_none() {
        let now = now();
        let mut session = session(vec![scram()], now);
        handshake(&mut session, "SCRAM-SHA-512", now);
        let (next, answer) = exchange(&mut session, b"c=biws,r=abc,p=AAAA", now);
        assert!(matches!(next, Next::Close(Reason::LoginFailed)), "{next:?}");
        assert_eq!(answer.error_code, 58);
    }
}
