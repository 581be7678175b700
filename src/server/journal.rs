//! What happens on a connection, told to metrics, log and audit log.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::wire::ApiKey;
use tracing::{debug, info, warn};

use super::connection::End;
use crate::api::{Disposition, Refusal, disposition};
use crate::cluster::{Denial, Listener};
use crate::names::Principal;
use crate::session::{Event, Mechanism};
use crate::telemetry::{Audit, AuditEvent, AuditLine, ClusterMetrics, Metrics};

/// One connection's account of itself.
pub struct Journal {
    listener: Arc<Listener>,
    client_address: SocketAddr,
    metrics: Metrics,
    counts: ClusterMetrics,
    audit: Audit,
    in_flight: usize,
}

impl Journal {
    pub fn open(
        listener: Arc<Listener>,
        client_address: SocketAddr,
        metrics: Metrics,
        counts: ClusterMetrics,
        audit: Audit,
    ) -> Self {
        metrics.connection_opened(&listener.cluster.name);
        Self { listener, client_address, metrics, counts, audit, in_flight: 0 }
    }

    /// Tells of what came out of one turn of the session, which began at `started`.
    pub fn tell(
        &mut self,
        events: &[Event],
        principal: Option<&Principal>,
        client_id: Option<&str>,
        started: Instant,
    ) {
        let messages = events
            .iter()
            .filter(|event| matches!(event, Event::Request { .. } | Event::Answer { .. }))
            .count();
        let each = started.elapsed() / u32::try_from(messages.max(1)).unwrap_or(u32::MAX);
        for event in events {
            match event {
                Event::Request { key, bytes } => {
                    self.counts.request(*key, name_of(*key), *bytes);
                    self.counts.gateway_time(*key, name_of(*key), each);
                    self.in_flight += 1;
                    self.counts.in_flight_more(1);
                }
                Event::Answer { key, bytes } => {
                    self.counts.response(*key, name_of(*key), *bytes);
                    self.counts.gateway_time(*key, name_of(*key), each);
                    self.in_flight = self.in_flight.saturating_sub(1);
                    self.counts.in_flight_less(1);
                }
                Event::Unanswered => {
                    self.in_flight = self.in_flight.saturating_sub(1);
                    self.counts.in_flight_less(1);
                }
                Event::Refused { key, why, denials } => {
                    self.refused(name_of(*key), *why, denials, principal, client_id);
                }
                Event::Withheld { key } => self.withheld(*key, principal, client_id),
                Event::LoggedIn { mechanism, again, lifetime, conditions_failed } => {
                    for failure in conditions_failed {
                        self.metrics.condition_failed(&failure.policy);
                        warn!(policy = &*failure.policy, why = %failure, "a condition can not be evaluated");
                    }
                    self.metrics.login(self.cluster(), mechanism.as_str(), "success", "");
                    debug!(?principal, again, ?lifetime, address = %self.client_address, "logged in");
                    self.audit.write(&AuditLine {
                        mechanism: Some(mechanism.as_str()),
                        reason: again.then_some("re-authentication"),
                        ..self.line(AuditEvent::Login, "success", principal, client_id)
                    });
                }
                Event::LoginFailed { id, mechanism, why, detail } => {
                    self.login_failed(id, *mechanism, why, detail, principal, client_id);
                }
                Event::BrokerReady(_) => {}
            }
        }
    }

    pub fn connected(&self, is_up: bool) {
        self.metrics.upstream_connect(if is_up { "success" } else { "failure" });
    }

    pub fn closed(&self, end: &End) {
        self.counts.in_flight_less(self.in_flight);
        self.metrics.connection_closed(self.cluster(), end.label());
        let (address, listener) = (self.client_address, &*self.listener.name);
        match end {
            End::NoBroker(why) | End::NoToken(why) | End::BrokerBroken(why) => {
                warn!(%address, listener, %why, "closed: {}", end.label());
            }
            End::Closed(reason) if reason.is_worth_a_warning() => {
                warn!(%address, listener, %reason, "closed: {}", end.label());
            }
            End::Closed(reason) => info!(%address, listener, %reason, "closed: {}", end.label()),
            End::ClientBroken(why) => debug!(%address, listener, %why, "closed: {}", end.label()),
            End::ClientGone | End::BrokerGone => {
                debug!(%address, listener, "closed: {}", end.label());
            }
        }
    }

    /// A connection on which no byte of Kafka was said.
    pub fn never_began(&self, why: &str) {
        self.metrics.connection_closed(self.cluster(), "tls_failed");
        info!(address = %self.client_address, listener = &*self.listener.name, why, "closed: tls_failed");
    }

    fn refused(
        &self,
        api: &'static str,
        why: Option<Refusal>,
        denials: &[Denial],
        principal: Option<&Principal>,
        client_id: Option<&str>,
    ) {
        if let Some(why) = why {
            self.counts.refused(api, why.label());
        } else {
            for denial in denials {
                self.counts.refused(api, Refusal::behind(denial).label());
            }
        }
        for denial in denials {
            let rule = denial.cause.to_string();
            self.audit.write(&AuditLine {
                api: Some(api),
                operation: Some(denial.operation.as_str()),
                resource: Some(denial.resource.as_str()),
                name: Some(&denial.name),
                policy_rule: Some(&rule),
                reason: Some(why.unwrap_or_else(|| Refusal::behind(denial)).label()),
                ..self.line(AuditEvent::Refusal, "refused", principal, client_id)
            });
        }
        if let (Some(why), true) = (why, denials.is_empty()) {
            self.audit.write(&AuditLine {
                api: Some(api),
                reason: Some(why.label()),
                ..self.line(AuditEvent::Refusal, "refused", principal, client_id)
            });
        }
    }

    fn withheld(&self, key: ApiKey, principal: Option<&Principal>, client_id: Option<&str>) {
        let api = format!("{key:?}");
        self.counts.refused(name_of(key as i16), "withheld");
        self.audit.write(&AuditLine {
            api: Some(&api),
            reason: Some("the API is not served"),
            ..self.line(AuditEvent::Refusal, "closed", principal, client_id)
        });
    }

    fn login_failed(
        &self,
        id: &str,
        mechanism: Option<Mechanism>,
        why: &'static str,
        detail: &str,
        principal: Option<&Principal>,
        client_id: Option<&str>,
    ) {
        let mechanism = mechanism.map_or("unknown", Mechanism::as_str);
        self.metrics.login(self.cluster(), mechanism, "failure", why);
        info!(address = %self.client_address, id, why, detail, "login refused");
        self.audit.write(&AuditLine {
            id: Some(id),
            mechanism: Some(mechanism),
            reason: Some(detail),
            ..self.line(AuditEvent::Login, "failure", principal, client_id)
        });
    }

    fn line<'a>(
        &'a self,
        event: AuditEvent,
        outcome: &'static str,
        principal: Option<&'a Principal>,
        client_id: Option<&'a str>,
    ) -> AuditLine<'a> {
        AuditLine {
            virtual_cluster: Some(self.cluster()),
            listener: Some(&self.listener.name),
            client_address: Some(self.client_address),
            principal: principal.map(Principal::name),
            client_id,
            ..AuditLine::new(SystemTime::now(), event, outcome)
        }
    }

    fn cluster(&self) -> &str {
        &self.listener.cluster.name
    }
}

/// An API's name as a metric label.
fn name_of(key: i16) -> &'static str {
    match ApiKey::try_from(key) {
        Ok(ApiKey::ApiVersions) => "ApiVersions",
        Ok(ApiKey::SaslHandshake) => "SaslHandshake",
        Ok(ApiKey::SaslAuthenticate) => "SaslAuthenticate",
        Ok(key) => match disposition(key) {
            Disposition::Serve(row) => row.name,
            Disposition::Answer | Disposition::Withhold => "withheld",
        },
        Err(_) => "unknown",
    }
}
