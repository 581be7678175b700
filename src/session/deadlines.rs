//! What becomes of a session when time goes by.
//!
//! A part of the master: each side has deadlines of its own, and the next of them all is the shell's timer.

use std::time::{Duration, Instant};

use super::login::Login;
use super::phase::{Exchange, Phase, Stage};
use super::requests::Held;
use super::{LoginFailed, Next, Outbox, Reason, Session, Upstream};
use crate::auth::Refused;

impl Session {
    /// When the shell must call [`Session::on_deadline`], if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        let of_client = match (&self.who, &self.phase) {
            (Some(who), Phase::Ready) => who.ends_at,
            // Who was refused has the time of a login to say that it heard.
            (Some(_), Phase::Failing { .. }) => Some(self.login_ends_at),
            // A login that is under way at the session's end may finish.
            (Some(who), _) => Some(who.ends_at.map_or(self.login_ends_at, |end| end.max(self.login_ends_at))),
            (None, _) => Some(self.login_ends_at),
        };
        let of_upstream = match &self.upstream {
            Upstream::LoggingIn { ends_at, .. } => Some(*ends_at),
            Upstream::Renewing { ends_at, .. } => *ends_at,
            Upstream::Ready { renewal, .. } => renewal.map(|renewal| renewal.at),
            Upstream::Absent => None,
        };
        let of_lookup = self.held.as_ref().and_then(|held| held.ends_at);
        [of_client, of_upstream, of_lookup, self.left_until].into_iter().flatten().min()
    }

    pub fn on_deadline(&mut self, now: Instant, out: &mut Outbox) -> Next {
        if let Err(reason) = self.on_upstream_deadline(now, out) {
            return Next::Close(reason);
        }
        let is_over = |end: Option<Instant>| end.is_some_and(|end| now >= end);
        if is_over(self.left_until) {
            return Next::Close(Reason::ClientLeft);
        }
        if is_over(self.held.as_ref().and_then(|held| held.ends_at)) {
            return Next::Close(Reason::LookupTimeout);
        }
        match self.deadline() {
            Some(deadline) if now >= deadline => {
                self.tell_unverified(out);
                Next::Close(if self.who.is_some() { Reason::SessionExpired } else { Reason::LoginTimeout })
            }
            _ => self.rest(),
        }
    }

    /// A login of which nobody could say in time whether it is right has its line in the audit log.
    fn tell_unverified(&mut self, out: &mut Outbox) {
        if let Phase::Authenticating(Exchange { mechanism, stage: Stage::AwaitingVerdict(_), .. }) =
            self.phase
        {
            let detail =
                "it was not found out within limits.login_timeout whether it is right; is its issuer slow?";
            self.tell_refused(&Refused::new("timeout", detail), mechanism, out);
        }
    }

    fn on_upstream_deadline(&mut self, now: Instant, out: &mut Outbox) -> Result<(), Reason> {
        let how = &self.cluster.backend.login;
        match &mut self.upstream {
            Upstream::LoggingIn { ends_at, .. } | Upstream::Renewing { ends_at: Some(ends_at), .. }
                if now >= *ends_at =>
            {
                Err(Reason::BrokerLogin(LoginFailed::Timeout))
            }
            // It would end when this one does. A newer token may come until then.
            Upstream::Ready { renewal: Some(renewal), .. }
                if now >= renewal.at && !how.outlasts(renewal.ends_at) =>
            {
                if now >= renewal.ends_at {
                    return Err(Reason::BrokerLogin(LoginFailed::NoToken));
                }
                renewal.at = renewal.ends_at.min(now + BETWEEN_LOOKS_FOR_A_TOKEN);
                Ok(())
            }
            Upstream::Ready { versions, renewal: Some(renewal) } if now >= renewal.at => {
                let again = Login::again(how.clone(), (self.client.nonce)(), versions.clone());
                let (login, first) = again.map_err(Reason::BrokerLogin)?;
                out.to_broker.push(first);
                self.upstream = Upstream::Renewing { login: Box::new(login), ends_at: None };
                self.start_clocks(now);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Lets the time that the broker has for our own words run, once it has answered all before them.
    pub(super) fn start_clocks(&mut self, now: Instant) {
        if let Upstream::Renewing { ends_at: ends_at @ None, .. } = &mut self.upstream
            && self.in_flight.is_empty()
        {
            *ends_at = Some(now + self.limits.login_timeout);
        }
        if let Some(Held { ends_at: ends_at @ None, .. }) = &mut self.held
            && self.in_flight.is_our_turn()
        {
            *ends_at = Some(now + LOOKUP_TIMEOUT);
        }
    }
}

/// How often a session that waits for a newer token looks whether it is there.
const BETWEEN_LOOKS_FOR_A_TOKEN: Duration = Duration::from_millis(200);

/// How long a broker may take to answer a question of our own: Kafka's clients wait for 30 s.
pub(super) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);
