//! A client's login that goes on to the broker: what was verified here, or what only the broker can know.
//!
//! A part of the master, as `exchange.rs`. The broker's verdict is the client's, and so is the lifetime that
//! it gives, where ours is not shorter; the gateway then never logs in there by itself.

use std::time::Instant;

use bytes::Bytes;

use super::login::{Login, Said};
use super::phase::{Attempt, Exchange, Phase, Relayed, Stage};
use super::sasl::Outcome;
use super::{Event, Mechanism, Next, Outbox, Reason, Session, Step, Upstream};
use crate::auth::{
    ClientFirst, Method, Passthrough, PlainMessage, Proven, Refused, Unverified, scram_username,
};
use crate::names::Principal;

impl Session {
    /// How the broker decides about logins by this mechanism, where it does.
    pub(super) fn passed_through(&self, mechanism: Mechanism) -> Option<Passthrough> {
        self.cluster.authentication.methods.iter().find_map(|method| match method {
            Method::Passthrough(how) if Mechanism::of(method) == mechanism => Some(how.clone()),
            _ => None,
        })
    }

    /// The first message of a login about which the broker decides; whom it names is not known to be true.
    pub(super) fn pass_through(
        &mut self,
        how: &Passthrough,
        message: &Bytes,
        mut attempt: Attempt,
        now: Instant,
        out: &mut Outbox,
    ) -> Step {
        match self.named_in(how, message, &mut attempt) {
            Ok(proven) => self.forward(proven, attempt, message.clone(), now, out),
            Err(refused) => self.refuse_at_once(&refused, &attempt, out),
        }
    }

    /// Whom a message names.
    fn named_in(&self, how: &Passthrough, message: &Bytes, attempt: &mut Attempt) -> Result<Proven, Refused> {
        let named = |name: String| Proven::named(Principal::new(name), None);
        match how {
            Passthrough::OauthBearer(rules) => {
                let first = ClientFirst::parse(message, self.limits.token_bytes);
                let first = first.map_err(|why| Refused::new(why.label(), why.to_string()))?;
                (attempt.authzid, attempt.extensions) = (first.authzid, first.extensions);
                let said = Unverified::read(&first.token, self.limits.token_bytes)?;
                said.check_confirmation(self.client.certificate.as_deref())?;
                let (issuer, principal) = (said.issuer().map(str::to_owned), said.principal(rules)?);
                Ok(Proven { principal, issuer, claims: said.into_claims().into(), lifetime: None })
            }
            Passthrough::SaslPlain => {
                let plain = PlainMessage::parse(message);
                let plain = plain.map_err(|why| Refused::new(why.label(), why.to_string()))?;
                Ok(named(plain.username))
            }
            Passthrough::SaslScram(_) => {
                let name = scram_username(message);
                Ok(named(name.map_err(|why| Refused::new(why.label(), why.to_string()))?))
            }
        }
    }

    /// Has the client log in at the broker by what it said here, and was found true now if it has a lifetime.
    pub(super) fn forward(
        &mut self,
        proven: Proven,
        attempt: Attempt,
        message: Bytes,
        now: Instant,
        out: &mut Outbox,
    ) -> Step {
        // Nobody becomes another there who would not be let in here.
        if let Err(refused) = self.may_be(&proven, &attempt) {
            return self.refused(&refused, &attempt, out);
        }
        let Attempt { mechanism, raw, .. } = attempt;
        let next = match &self.upstream {
            Upstream::Absent => Next::Connect,
            Upstream::Ready { versions, .. } => {
                let name = mechanism.sasl_name().unwrap_or_default();
                let relayed = Login::relay(name, message.clone(), Some(versions.clone()));
                let (login, first) = relayed.map_err(Reason::BrokerLogin)?;
                out.to_broker.push(first);
                self.upstream = Upstream::Renewing { login: Box::new(login), ends_at: None };
                Next::Read
            }
            Upstream::LoggingIn { .. } | Upstream::Renewing { .. } => return Err(Reason::OutOfTurn),
        };
        let answers_left = if matches!(mechanism, Mechanism::SaslScram(_)) { 2 } else { 1 };
        let ends_at = proven.lifetime.map(|lifetime| now + lifetime);
        let relayed = Relayed { attempt, proven, ends_at, message, answers_left };
        let stage = Stage::AwaitingBroker(Box::new(relayed));
        self.phase = Phase::Authenticating(Exchange { mechanism, raw, stage });
        Ok(next)
    }

    /// It has not come to this login's turn at the broker. The client is told nothing, for a refusal is the
    /// last word on its credentials, and it may come again.
    pub fn on_no_turn(&mut self, out: &mut Outbox) -> Reason {
        if let Phase::Authenticating(Exchange { mechanism, .. }) = &self.phase {
            let detail = "too many logins go on to the brokers at once (limits.relayed_logins)";
            self.tell_refused(&Refused::new("busy", detail), *mechanism, out);
        }
        Reason::TooManyLogins
    }

    /// The client's answer to the broker's.
    pub(super) fn pass_on(
        &mut self,
        mut relayed: Box<Relayed>,
        message: &Bytes,
        attempt: Attempt,
        out: &mut Outbox,
    ) -> Step {
        let (Upstream::LoggingIn { login, .. } | Upstream::Renewing { login, .. }) = &mut self.upstream
        else {
            return Err(Reason::OutOfTurn);
        };
        out.to_broker.push(login.say(message.clone()).map_err(Reason::BrokerLogin)?);
        let Attempt { mechanism, raw, .. } = attempt;
        relayed.attempt = attempt;
        self.phase =
            Phase::Authenticating(Exchange { mechanism, raw, stage: Stage::AwaitingBroker(relayed) });
        Ok(Next::Read)
    }

    /// What the broker says to a login that went on to it.
    pub(super) fn on_broker_said(
        &mut self,
        said: Said,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Reason> {
        let Phase::Authenticating(exchange) = &mut self.phase else { return Err(Reason::BrokerOutOfOrder) };
        let Stage::AwaitingBroker(mut relayed) = std::mem::replace(&mut exchange.stage, Stage::First) else {
            return Err(Reason::BrokerOutOfOrder);
        };
        let step = if let Some(why) = said.refused {
            let detail = format!("the broker refuses the login: {why:?}");
            self.refuse_at_once(&Refused::new("broker_refused", detail), &relayed.attempt, out)
        } else if relayed.attempt.mechanism == Mechanism::OauthBearer && !said.message.is_empty() {
            let detail = "the broker does not take the token";
            self.refused(&Refused::new("broker_refused", detail), &relayed.attempt, out)
        } else if relayed.answers_left > 1 {
            relayed.answers_left -= 1;
            self.reply(&relayed.attempt, Outcome::Challenge(said.message.to_vec()), out)?;
            if let Phase::Authenticating(exchange) = &mut self.phase {
                exchange.stage = Stage::AwaitingClient(relayed);
            }
            Ok(Next::Read)
        } else {
            self.broker_agreed(*relayed, said, now, out)
        };
        match step? {
            Next::Close(reason) => Err(reason),
            _ => Ok(()),
        }
    }

    /// The broker has let the client in; what was found here may be over meanwhile.
    fn broker_agreed(&mut self, relayed: Relayed, said: Said, now: Instant, out: &mut Outbox) -> Step {
        let Said { message, lifetime, versions, .. } = said;
        self.versions = Some(versions.clone());
        self.broker_takes_another = lifetime.is_some();
        // The gateway has nothing to log in with again.
        self.upstream = Upstream::Ready { versions: versions.clone(), renewal: None };
        out.events.push(Event::BrokerReady(versions));
        let Relayed { attempt, proven, ends_at, .. } = relayed;
        let ours = ends_at.map(|end| end.saturating_duration_since(now));
        if ours.is_some_and(|left| left.is_zero()) {
            let detail = "the token ended before the broker answered";
            return self.refused(&Refused::new("expired", detail), &attempt, out);
        }
        let lifetime = [ours, lifetime].into_iter().flatten().min();
        self.logged_in(Proven { lifetime, ..proven }, &attempt, message.to_vec(), now, out)
    }
}
