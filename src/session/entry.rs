//! How a client gets in: what it may ask before its login, and by which mechanism it may log in.
//!
//! A part of the master: it decides what becomes of each message, and `sasl.rs` says how messages look.
//! The login itself is in `exchange.rs`.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;

use super::phase::{Exchange, Phase, Stage, Who};
use super::sasl;
use super::{Event, Mechanism, Next, Outbox, Reason, Session, Step, client};
use crate::api::versions;
use crate::auth::{Method, Proven, Refused};
use crate::names::{Principal, Virtual};
use crate::wire::{
    ApiKey, Direction, Malformed, RequestHead, RequestHeader, grammar, peek_client_id, read_request,
};

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
        // Who is logged in is called so until the next login, if there may be one.
        let may_be_renewed = |who: &Who| who.mechanism.sasl_name().is_some() && key == ApiKey::SaslHandshake;
        if self.who.as_ref().is_none_or(may_be_renewed) {
            self.client_id = header.client_id.as_deref().filter(|id| !id.is_empty()).map(shortened);
        }
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
    ///
    /// Shape: as soon as its first request says whose it is and what the client calls itself; the rest may be
    /// more than a stranger may send.
    pub(super) fn let_in(
        &mut self,
        bytes: &BytesMut,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<bool, Reason> {
        if !self.may_need_no_login() || self.is_of_login(bytes) {
            return Ok(false);
        }
        let client_id = match first_client_id(bytes) {
            Ok(Some(client_id)) => client_id,
            Ok(None) => return Ok(false),
            Err(malformed) => return Err(client(malformed)),
        };
        let Some((mechanism, proven)) = self.known_without_login(now) else { return Ok(false) };
        self.client_id = client_id.filter(|id| !id.is_empty()).map(shortened);
        match proven.and_then(|proven| self.become_known(mechanism, proven, &[], now, out)) {
            Ok(()) => Ok(true),
            Err(refused) => {
                self.tell_refused(&refused, mechanism, out);
                Err(Reason::LoginFailed)
            }
        }
    }

    /// Whether somebody may be let in once the header of this frame is here, whose length alone is too much
    /// for one who is not.
    pub(super) fn awaits_header(&self, bytes: &BytesMut) -> bool {
        let may_come = announced(bytes).is_some_and(|length| length <= self.limits.frame_bytes);
        may_come
            && bytes.len() < LENGTH_BYTES + self.limits.frame_bytes_before_login
            && self.may_need_no_login()
            && !self.is_of_login(bytes)
            && first_client_id(bytes) == Ok(None)
    }

    /// Whether this may be somebody who asks for no login.
    fn may_need_no_login(&self) -> bool {
        matches!(self.phase, Phase::Unauthenticated { .. })
            && self.cluster.authentication.methods.iter().any(|method| match method {
                Method::Anonymous => true,
                Method::ClientCertificate(_) => self.client.certificate.is_some(),
                _ => false,
            })
    }

    /// Whether the request is one that lets nobody in by itself: it goes before a login where there is one,
    /// or what its header looks like is not known.
    fn is_of_login(&self, bytes: &BytesMut) -> bool {
        let int16 = |at: usize| bytes.get(at..at + 2).map(|two| i16::from_be_bytes([two[0], two[1]]));
        let key = int16(LENGTH_BYTES).and_then(|key| ApiKey::try_from(key).ok());
        let Some(range) = key.and_then(versions::own_range) else { return false };
        let is_readable = int16(LENGTH_BYTES + 2).is_none_or(|version| range.contains(&version));
        !is_readable || !self.offered().is_empty()
    }

    /// The first method of the file that asks for no login and fits: a certificate fits where there is one,
    /// and lets nobody in for longer than it lasts.
    fn known_without_login(&self, now: Instant) -> Option<(Mechanism, Result<Proven, Refused>)> {
        self.cluster.authentication.methods.iter().find_map(|method| {
            let proven = match (method, &self.client.certificate) {
                (Method::ClientCertificate(mapping), Some(certificate)) => mapping
                    .principal(&certificate.subject)
                    .map_err(|why| Refused::new(why.label(), why.to_string()))
                    .and_then(|principal| self.proven_by_certificate(principal, now)),
                (Method::Anonymous, _) => Ok(Proven::named(Principal::anonymous(), None)),
                _ => return None,
            };
            Some((Mechanism::of(method), proven))
        })
    }

    fn proven_by_certificate(&self, principal: Principal, now: Instant) -> Result<Proven, Refused> {
        let lifetime = self.client.certificate_ends_at.map(|end| end.saturating_duration_since(now));
        if lifetime.is_some_and(|left| left.is_zero()) {
            return Err(Refused::new("expired", "the client's certificate has ended"));
        }
        Ok(Proven::named(principal, lifetime))
    }

    pub(super) fn failure_id(&self) -> String {
        format!("{:016x}", self.client.connection_id)
    }
}

fn names(offered: &[(&'static str, Mechanism)]) -> Vec<&'static str> {
    offered.iter().map(|(name, _)| *name).collect()
}

/// How long the first frame says that it is.
fn announced(bytes: &BytesMut) -> Option<usize> {
    let length = bytes.first_chunk::<LENGTH_BYTES>().map(|length| i32::from_be_bytes(*length));
    length.and_then(|length| usize::try_from(length).ok())
}

/// What the client calls itself in the first request; `Ok(None)` while that is not all there.
fn first_client_id(bytes: &BytesMut) -> Result<Option<Option<&str>>, Malformed> {
    let Some(length) = announced(bytes) else { return Ok(None) };
    let here = &bytes[LENGTH_BYTES..bytes.len().min(LENGTH_BYTES + length)];
    match peek_client_id(here) {
        Ok(client_id) => Ok(Some(client_id)),
        Err(Malformed::Truncated) if here.len() < length => Ok(None),
        Err(malformed) => Err(malformed),
    }
}

/// A client's word, cut to what a log line has room for.
fn shortened(text: &str) -> String {
    text.chars().take(CLIENT_WORD_CHARACTERS_MAX).collect()
}

/// A client whose version is too new is told ours at the first try.
const TOO_NEW_ANSWERED_MAX: u8 = 4;

/// What stands before each frame.
const LENGTH_BYTES: usize = 4;

const CLIENT_WORD_CHARACTERS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest};
    use kafka_protocol::protocol::Encodable;

    use super::super::tests::{bearer, session};
    use super::*;
    use crate::auth::{PeerCertificate, PrincipalMapping};
    use crate::wire::{Gather, encode_body, write_request};

    #[expect(clippy::disallowed_methods, reason = "an Instant can only be had from the clock")]
    fn now() -> Instant {
        Instant::now()
    }

    fn said(key: ApiKey, version: i16, client_id: Option<&'static str>, body: &impl Encodable) -> Vec<u8> {
        let head = RequestHead { key: key as i16, version, correlation_id: 7 };
        let client_id = client_id.map(kafka_protocol::protocol::StrBytes::from_static_str);
        let mut out = Gather::around(None);
        let flexible = grammar().header_flexible(head.key, Direction::Request, version);
        write_request(&mut out, &RequestHeader { head, client_id }, flexible);
        encode_body(&mut out, body, version).unwrap();
        out.finish().to_vec()
    }

    fn asks_for_topics(client_id: Option<&'static str>) -> Vec<u8> {
        said(ApiKey::Metadata, 9, client_id, &MetadataRequest::default())
    }

    /// Says this byte by byte, and returns what came of it, and after how many bytes something came.
    fn drip(session: &mut Session, bytes: &[u8], now: Instant) -> (Next, usize) {
        let mut inbox = BytesMut::new();
        for (at, byte) in bytes.iter().enumerate() {
            inbox.extend_from_slice(&[*byte]);
            match session.on_client_bytes(&mut inbox, now, &mut Outbox::default()) {
                Next::Read => {}
                next => return (next, at + 1),
            }
        }
        (Next::Read, bytes.len())
    }

    #[test]
    fn who_needs_no_login_is_let_in_when_it_has_said_what_it_is_called() {
        for (client_id, called, bytes) in
            [(None, None, 14), (Some(""), None, 14), (Some("batch"), Some("batch"), 19)]
        {
            for frame in [
                asks_for_topics(client_id),
                said(ApiKey::ApiVersions, 3, client_id, &ApiVersionsRequest::default()),
            ] {
                let mut session = session(vec![Method::Anonymous], now());
                let (next, after) = drip(&mut session, &frame, now());
                assert!(matches!(next, Next::Connect), "{next:?}");
                assert_eq!((session.client_id(), after), (called, bytes));
            }
        }
    }

    #[test]
    fn what_is_more_than_a_stranger_may_send_waits_for_its_header_and_no_longer() {
        let large = |header: &[u8]| [&(1024_i32 * 1024).to_be_bytes()[..], header].concat();
        let header = &asks_for_topics(Some("batch"))[4..];
        let (next, after) = drip(&mut session(vec![Method::Anonymous], now()), &large(header), now());
        assert!(matches!(next, Next::Connect), "{next:?}");
        assert_eq!(after, 19);
        // Nobody is let in whose header does not come, or makes no sense; nor without being known.
        let endless = [&header[..8], &i16::MAX.to_be_bytes(), &[b'x'; 20_000]].concat();
        let (next, after) = drip(&mut session(vec![Method::Anonymous], now()), &large(&endless), now());
        assert!(matches!(next, Next::Read), "{next:?}");
        assert_eq!(after, 4 + endless.len());
        let negative = [&header[..8], &(-2_i16).to_be_bytes()].concat();
        let no_text = [&header[..8], &[0, 1, 0xff]].concat();
        for broken in [negative, no_text] {
            let mut session = session(vec![Method::Anonymous], now());
            let (next, _) = drip(&mut session, &large(&broken), now());
            assert!(matches!(next, Next::Close(Reason::ClientMalformed(_))), "{next:?}");
            assert!(session.principal().is_none());
        }
        let (next, after) = drip(&mut session(vec![bearer()], now()), &large(header), now());
        assert!(matches!(next, Next::Close(Reason::ClientMalformed(_))), "{next:?}");
        assert_eq!(after, 4);
    }

    #[test]
    fn a_header_in_a_version_that_is_not_known_lets_nobody_in() {
        let mut frame = said(ApiKey::ApiVersions, 3, Some("batch"), &ApiVersionsRequest::default());
        frame[7] = 99;
        let mut session = session(vec![Method::Anonymous], now());
        let mut out = Outbox::default();
        let next = session.on_client_bytes(&mut BytesMut::from(&frame[..]), now(), &mut out);
        assert!(matches!(next, Next::Read), "{next:?}");
        assert_eq!((out.to_client.len(), session.principal(), session.client_id()), (1, None, None));
        let (next, _) = drip(&mut session, &asks_for_topics(Some("batch")), now());
        assert!(matches!(next, Next::Connect), "{next:?}");
        assert_eq!(session.client_id(), Some("batch"));
    }

    fn with_certificate(lasts: Option<Duration>, now: Instant) -> Session {
        let mut session = session(vec![Method::ClientCertificate(PrincipalMapping::default())], now);
        let subject = "CN=reader".to_owned();
        session.client.certificate =
            Some(Arc::new(PeerCertificate { thumbprint: [7; 32], subject, not_after: 0 }));
        session.client.certificate_ends_at = lasts.map(|lasts| now + lasts);
        session
    }

    #[test]
    fn p_06_a_session_by_certificate_ends_with_the_certificate() {
        let (now, hour) = (now(), Duration::from_secs(3600));
        let mut session = with_certificate(Some(hour), now);
        let later = now + Duration::from_secs(5);
        let (next, _) = drip(&mut session, &asks_for_topics(None), later);
        assert!(matches!(next, Next::Connect), "{next:?}");
        assert_eq!(session.who.as_ref().and_then(|who| who.ends_at), Some(now + hour));
        let next = session.on_deadline(now + hour, &mut Outbox::default());
        assert!(matches!(next, Next::Close(Reason::SessionExpired)), "{next:?}");

        let mut endless = with_certificate(None, now);
        drip(&mut endless, &asks_for_topics(None), now);
        assert_eq!((endless.principal().is_some(), endless.deadline()), (true, None));
    }

    #[test]
    fn p_06_a_certificate_that_has_ended_lets_nobody_in() {
        let now = now();
        let mut session = with_certificate(Some(Duration::from_secs(5)), now);
        let (next, _) = drip(&mut session, &asks_for_topics(None), now + Duration::from_secs(5));
        assert!(matches!(next, Next::Close(Reason::LoginFailed)), "{next:?}");
        assert!(session.principal().is_none());
    }
}
