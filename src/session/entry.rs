//! How a client gets in: what it may ask before, and every step of its login.
//!
//! A part of the master: it decides what becomes of each message, and `sasl.rs` says how messages look.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;

use super::phase::{Attempt, Exchange, Phase, Who};
use super::sasl::{self, OAUTHBEARER, Outcome};
use super::{Event, Mechanism, Next, Outbox, Reason, Session, Step, client};
use crate::api::{Disposition, disposition, versions};
use crate::auth::{ClientFirst, Identity, Method, OauthBearer, Rejected};
use crate::auth::{failure_document, is_failure_acknowledgement, may_act_as};
use crate::cluster::NoTenant;
use crate::names::{Principal, Virtual};
use crate::policy::{Circumstances, Rights};
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

    pub(super) fn on_raw_token(&mut self, frame: &Bytes, out: &mut Outbox) -> Step {
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
        let mechanism = Mechanism::OauthBearer;
        let rights = match self.enter(mechanism, &identity.principal, &identity.claims, attempt) {
            Ok(rights) => rights,
            Err(why) => return self.rejected(why.label(), why.to_string(), attempt, raw, out),
        };
        out.events.push(Event::LoggedIn {
            mechanism,
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
    pub(super) fn let_anonymous_in(
        &mut self,
        bytes: &BytesMut,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<bool, Reason> {
        let methods = &self.cluster.authentication.methods;
        if !matches!(self.phase, Phase::Unauthenticated { .. })
            || !methods.iter().any(|method| matches!(method, Method::Anonymous))
        {
            return Ok(false);
        }
        // The key stands behind the length. A login goes first where there is a way to log in.
        let Some(key) = bytes.get(4..6).map(|key| i16::from_be_bytes([key[0], key[1]])) else {
            return Ok(false);
        };
        let is_own = ApiKey::try_from(key).is_ok_and(|key| matches!(disposition(key), Disposition::Answer));
        if is_own && self.oauth_bearer().is_some() {
            return Ok(false);
        }
        let principal = Principal::anonymous();
        let attempt = Attempt::default();
        let claims = serde_json::Value::Null;
        let rights = match self.enter(Mechanism::Anonymous, &principal, &claims, &attempt) {
            Ok(rights) => rights,
            Err(why) => {
                out.events.push(Event::LoginFailed {
                    id: self.failure_id(),
                    mechanism: Some(Mechanism::Anonymous),
                    why: why.label(),
                    detail: why.to_string(),
                });
                return Err(Reason::LoginFailed);
            }
        };
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
        Ok(true)
    }

    /// Enters the tenant's world; who logs in again stays in it.
    fn enter(
        &mut self,
        mechanism: Mechanism,
        principal: &Principal,
        claims: &serde_json::Value,
        attempt: &Attempt,
    ) -> Result<Rights, NoEntry> {
        let circumstances = Circumstances {
            auth_type: mechanism.as_str(),
            principal,
            claims,
            extensions: &attempt.extensions,
            client_id: self.client_id.as_deref(),
            client_address: &self.client.address,
            listener: &self.listener.name,
        };
        let world = self.listener.cluster.for_login(&circumstances)?;
        if self.who.is_some() && world.namespace.prefix() != self.cluster.namespace.prefix() {
            return Err(NoEntry::OtherTenant);
        }
        let rights = world.policy.rights(&circumstances);
        self.cluster = world;
        Ok(rights)
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

    fn oauth_bearer(&self) -> Option<&OauthBearer> {
        self.cluster.authentication.methods.iter().find_map(|method| match method {
            Method::OauthBearer(bearer) => Some(bearer),
            Method::Anonymous => None,
        })
    }

    fn failure_id(&self) -> String {
        format!("{:016x}", self.client.connection_id)
    }
}

/// Why somebody who proved a name is not let in.
#[derive(Debug, thiserror::Error)]
enum NoEntry {
    #[error(transparent)]
    NoTenant(#[from] NoTenant),
    #[error("a session is renewed by the tenant that began it")]
    OtherTenant,
}

impl NoEntry {
    fn label(&self) -> &'static str {
        match self {
            NoEntry::NoTenant(_) => "no_tenant",
            NoEntry::OtherTenant => "tenant_changed",
        }
    }
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
