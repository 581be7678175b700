//! How a client gets in: what it may ask before its login, and by which mechanism it may log in.
//!
//! A part of the master: it decides what becomes of each message, and `sasl.rs` says how messages look.
//! The login itself is in `exchange.rs`.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;

use super::phase::{Exchange, Phase, Stage};
use super::sasl;
use super::{Event, Mechanism, Next, Outbox, Reason, Session, Step, client};
use crate::api::{Disposition, disposition, versions};
use crate::auth::{Method, Proven, Refused};
use crate::names::{Principal, Virtual};
use crate::wire::{ApiKey, Direction, RequestHead, RequestHeader, grammar, read_request};

impl Session {
    /// ApiVersions, SaslHandshake and SaslAuthenticate are about the connection itself.
    pub(super) fn on_own_request(
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
            _ => self.on_authenticate(&header, &body, now, out),
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
            Phase::Authenticating(_) | Phase::Failing { .. } if !readable => {
                return Err(Reason::NotAuthenticated { api: "ApiVersions, inside a login" });
            }
            Phase::Authenticating(_) | Phase::Failing { .. } => {
                out.events.push(Event::Request { key: head.key, bytes: frame.len() });
                let answer = versions::refuse(&head, ResponseError::IllegalSaslState).map_err(client)?;
                self.answer(head.key, Virtual::shown_to_client(answer), out);
                return self.end(Reason::OutOfTurn);
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
        let answer = versions::respond(&header, &body, &self.cluster.opt_ins, self.versions.as_deref())
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
            // Where the broker decides and takes no other login, it would say no.
            Some(who) if is_again => {
                let is_taken = self.broker_takes_another || self.passed_through(who.mechanism).is_none();
                who.mechanism.sasl_name().is_some() && who.may_log_in_again(now) && is_taken
            }
            _ => true,
        };
        if !may_begin {
            let answer = refuse(ResponseError::IllegalSaslState, &[])?;
            self.answer(header.head.key, answer, out);
            return Ok(Next::Read);
        }
        let asked = sasl::read_handshake(header, body).map_err(client)?;
        let offered = self.offered();
        let Some(mechanism) = offered.iter().find(|(name, _)| *name == asked.as_str()).map(|found| found.1)
        else {
            let answer = refuse(ResponseError::UnsupportedSaslMechanism, &names(&offered))?;
            self.answer(header.head.key, answer, out);
            out.events.push(Event::LoginFailed {
                id: self.failure_id(),
                mechanism: None,
                why: "unsupported_mechanism",
                detail: format!("the client asks for {:?}", shortened(&asked)),
            });
            return self.end(Reason::UnsupportedMechanism);
        };
        let answer = sasl::handshake_answer(header, None, &names(&offered)).map_err(client)?;
        self.answer(header.head.key, answer, out);
        if is_again {
            self.login_ends_at = now + self.limits.login_timeout;
        }
        // A raw exchange has no room for a second login's answers among others.
        let raw = header.head.version == 0 && !is_again;
        self.phase = Phase::Authenticating(Exchange { mechanism, raw, stage: Stage::First });
        Ok(Next::Read)
    }

    /// The mechanisms of SASL by which a client may log in, in the order of the file, each once.
    fn offered(&self) -> Vec<(&'static str, Mechanism)> {
        let mut offered: Vec<(&'static str, Mechanism)> = Vec::new();
        for method in &self.cluster.authentication.methods {
            let mechanism = Mechanism::of(method);
            if let Some(name) = mechanism.sasl_name()
                && !offered.iter().any(|(other, _)| *other == name)
            {
                offered.push((name, mechanism));
            }
        }
        offered
    }

    /// Lets a client in that does not log in, by its certificate or by nothing, where the file allows that;
    /// true when it is in.
    pub(super) fn let_in(
        &mut self,
        bytes: &BytesMut,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<bool, Reason> {
        if !matches!(self.phase, Phase::Unauthenticated { .. }) {
            return Ok(false);
        }
        let Some((mechanism, proven)) = self.known_without_login() else { return Ok(false) };
        // The key stands behind the length. A login goes first where there is a way to log in.
        let Some(key) = bytes.get(4..6).map(|key| i16::from_be_bytes([key[0], key[1]])) else {
            return Ok(false);
        };
        let is_own = ApiKey::try_from(key).is_ok_and(|key| matches!(disposition(key), Disposition::Answer));
        if is_own && !self.offered().is_empty() {
            return Ok(false);
        }
        match proven.and_then(|proven| self.become_known(mechanism, proven, &[], now, out)) {
            Ok(()) => Ok(true),
            Err(refused) => {
                self.tell_refused(&refused, mechanism, out);
                Err(Reason::LoginFailed)
            }
        }
    }

    /// Whether somebody may be let in once the key of this frame is here, whose length alone is too much for
    /// one who is not.
    pub(super) fn awaits_key(&self, bytes: &BytesMut) -> bool {
        let announced =
            bytes.get(..4).map(|length| i32::from_be_bytes([length[0], length[1], length[2], length[3]]));
        let may_come = announced.and_then(|length| usize::try_from(length).ok());
        bytes.len() < 6
            && may_come.is_some_and(|length| length <= self.limits.frame_bytes)
            && matches!(self.phase, Phase::Unauthenticated { .. })
            && self.known_without_login().is_some()
    }

    /// The first method of the file that asks for no login and fits: a certificate fits where there is one.
    fn known_without_login(&self) -> Option<(Mechanism, Result<Proven, Refused>)> {
        self.cluster.authentication.methods.iter().find_map(|method| {
            let principal = match (method, &self.client.certificate) {
                (Method::ClientCertificate(mapping), Some(certificate)) => mapping
                    .principal(&certificate.subject)
                    .map_err(|why| Refused::new(why.label(), why.to_string())),
                (Method::Anonymous, _) => Ok(Principal::anonymous()),
                _ => return None,
            };
            Some((Mechanism::of(method), principal.map(|principal| Proven::named(principal, None))))
        })
    }

    pub(super) fn failure_id(&self) -> String {
        format!("{:016x}", self.client.connection_id)
    }
}

fn names(offered: &[(&'static str, Mechanism)]) -> Vec<&'static str> {
    offered.iter().map(|(name, _)| *name).collect()
}

/// A client's word, cut to what a log line has room for.
fn shortened(text: &str) -> String {
    text.chars().take(CLIENT_WORD_CHARACTERS_MAX).collect()
}

/// A client whose version is too new is told ours at the first try.
const TOO_NEW_ANSWERED_MAX: u8 = 4;

const CLIENT_WORD_CHARACTERS_MAX: usize = 128;
