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
            return self.pass_through(&how, message, attempt, now, out);
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
                    self.forward(proven, attempt, message, now, out)
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
