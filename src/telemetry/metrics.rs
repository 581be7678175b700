//! Every metric's name, labels and help.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::audit::Audit;
use super::timing::Timing;

/// Everything that is counted; a handle, cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    families: Families,
    clusters: Mutex<HashMap<Arc<str>, ClusterMetrics>>,
    /// When the key set in use was fetched, by source; their age is reckoned at each scrape.
    key_sets: Mutex<HashMap<Arc<str>, Instant>>,
    /// When the token for a backend's brokers ends, by backend.
    tokens: Mutex<HashMap<Arc<str>, Instant>>,
    audit: OnceLock<Audit>,
}

#[derive(Clone, Debug, Default)]
struct Families {
    connections_open: Family<Cluster, Gauge>,
    connections_accepted: Family<Cluster, Counter>,
    connections_closed: Family<Closed, Counter>,
    logins: Family<Login, Counter>,
    requests: Family<ClusterApi, Counter>,
    request_bytes: Family<ClusterApi, Counter>,
    response_bytes: Family<ClusterApi, Counter>,
    requests_in_flight: Family<Cluster, Gauge>,
    refusals: Family<Refusal, Counter>,
    gateway_time: Family<Api, Timing>,
    upstream_connects: Family<Outcome, Counter>,
    key_set_age: Family<Source, Gauge<f64, AtomicU64>>,
    key_set_stale: Family<Source, Gauge>,
    key_fetches: Family<Fetch, Counter>,
    token_lookups: Family<Fetch, Counter>,
    introspections: Family<Introspection, Counter>,
    token_time_left: Family<Backend, Gauge<f64, AtomicU64>>,
    token_fetches: Family<TokenFetch, Counter>,
    login_token_fetches: Family<LoginTokenFetch, Counter>,
    namespace_conflicts: Family<Cluster, Gauge>,
    condition_failures: Family<Policy, Counter>,
    backend_up: Family<Backend, Gauge>,
    backend_unverified: Family<Backend, Gauge>,
    certificate_expiry: Family<Certificate, Gauge>,
    certificate_reloads: Family<Reload, Counter>,
    audit_lines_lost: Counter,
}

impl Metrics {
    pub fn new() -> Self {
        let families = Families::default();
        let registry = families.registered();
        Self(Arc::new(Inner {
            registry,
            families,
            clusters: Mutex::default(),
            key_sets: Mutex::default(),
            tokens: Mutex::default(),
            audit: OnceLock::new(),
        }))
    }

    /// The counters of one virtual cluster, to be kept by whoever counts often.
    pub fn for_cluster(&self, name: &str) -> ClusterMetrics {
        let mut clusters = locked(&self.0.clusters);
        if let Some(metrics) = clusters.get(name) {
            return metrics.clone();
        }
        let name: Arc<str> = name.into();
        let metrics = ClusterMetrics::new(name.clone(), &self.0.families);
        clusters.insert(name, metrics.clone());
        metrics
    }

    pub fn connection_opened(&self, cluster: &str) {
        let labels = Cluster::named(cluster);
        self.0.families.connections_open.get_or_create(&labels).inc();
        self.0.families.connections_accepted.get_or_create(&labels).inc();
    }

    pub fn connection_closed(&self, cluster: &str, reason: &'static str) {
        self.0.families.connections_open.get_or_create(&Cluster::named(cluster)).dec();
        self.connection_turned_away(cluster, reason);
    }

    /// A connection that was closed as soon as it was there, and never counted as open.
    pub fn connection_turned_away(&self, cluster: &str, reason: &'static str) {
        let closed = Closed { virtual_cluster: cluster.into(), reason };
        self.0.families.connections_closed.get_or_create(&closed).inc();
    }

    /// Shape: the reason is empty for a login that went well.
    pub fn login(&self, cluster: &str, mechanism: &'static str, result: &'static str, reason: &'static str) {
        let login = Login { virtual_cluster: cluster.into(), mechanism, result, reason };
        self.0.families.logins.get_or_create(&login).inc();
    }

    pub fn upstream_connect(&self, result: &'static str) {
        self.0.families.upstream_connects.get_or_create(&Outcome { result }).inc();
    }

    pub fn keys_fetched(&self, source: &str, result: &'static str) {
        let fetch = Fetch { source: source.into(), result };
        self.0.families.key_fetches.get_or_create(&fetch).inc();
    }

    /// A token was looked for among those that were verified before.
    pub fn token_looked_up(&self, source: &str, result: &'static str) {
        let lookup = Fetch { source: source.into(), result };
        self.0.families.token_lookups.get_or_create(&lookup).inc();
    }

    /// An endpoint was asked about a token.
    ///
    /// Shape: the result is what it said, or a kind of failure.
    pub fn introspected(&self, endpoint: &str, result: &'static str) {
        let introspection = Introspection { endpoint: endpoint.into(), result };
        self.0.families.introspections.get_or_create(&introspection).inc();
    }

    /// Whether the last fetch failed while an older set serves on.
    pub fn keys_stale(&self, source: &str, stale: bool) {
        self.0.families.key_set_stale.get_or_create(&Source { source: source.into() }).set(stale.into());
    }

    /// A new key set is in use from now on.
    pub fn keys_renewed(&self, source: &str, now: Instant) {
        locked(&self.0.key_sets).insert(source.into(), now);
    }

    /// The file no longer names this source.
    pub fn keys_gone(&self, source: &str) {
        locked(&self.0.key_sets).remove(source);
        self.0.families.key_set_age.remove(&Source { source: source.into() });
        self.0.families.key_set_stale.remove(&Source { source: source.into() });
    }

    /// Shape: the result is a kind of failure, or `success`.
    pub fn token_fetched(&self, backend: &str, result: &'static str) {
        let fetch = TokenFetch { backend: backend.into(), result };
        self.0.families.token_fetches.get_or_create(&fetch).inc();
    }

    /// A client's name and password were to be exchanged for a token.
    ///
    /// Shape: the result is a kind of failure, or `success`.
    pub fn login_token_fetched(&self, cluster: &str, result: &'static str) {
        let fetch = LoginTokenFetch { virtual_cluster: cluster.into(), result };
        self.0.families.login_token_fetches.get_or_create(&fetch).inc();
    }

    /// A new token for a backend's brokers is in use from now on.
    pub fn token_held(&self, backend: &str, ends_at: Instant) {
        locked(&self.0.tokens).insert(backend.into(), ends_at);
    }

    /// There is no token for this backend's brokers.
    pub fn token_gone(&self, backend: &str) {
        locked(&self.0.tokens).remove(backend);
        self.0.families.token_time_left.get_or_create(&Backend { backend: backend.into() }).set(0.0);
    }

    pub fn namespace_conflicts(&self, cluster: &str, count: usize) {
        let gauge = self.0.families.namespace_conflicts.get_or_create_owned(&Cluster::named(cluster));
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The file no longer names this virtual cluster; its connections still count until they close.
    pub fn cluster_gone(&self, cluster: &str) {
        locked(&self.0.clusters).remove(cluster);
        self.0.families.namespace_conflicts.remove(&Cluster::named(cluster));
    }

    pub fn condition_failed(&self, policy: &str) {
        self.0.families.condition_failures.get_or_create(&Policy { policy: policy.into() }).inc();
    }

    pub fn backend_up(&self, backend: &str, up: bool) {
        self.0.families.backend_up.get_or_create(&Backend { backend: backend.into() }).set(up.into());
    }

    /// Whether any certificate of a backend cluster's brokers is taken for good.
    pub fn backend_unverified(&self, backend: &str, unverified: bool) {
        let gauge =
            self.0.families.backend_unverified.get_or_create_owned(&Backend { backend: backend.into() });
        gauge.set(unverified.into());
    }

    /// A certificate is good until then, in seconds since 1970; `certificate` is its key in the file.
    pub fn certificate_ends(&self, owner: CertificateOwner, name: &str, certificate: &str, end: i64) {
        let labels =
            Certificate { owner: owner.as_str(), name: name.into(), certificate: certificate.into() };
        self.0.families.certificate_expiry.get_or_create(&labels).set(end);
    }

    /// Changed files were taken into use, or not.
    pub fn certificates_read(&self, owner: CertificateOwner, name: &str, result: &'static str) {
        let labels = Reload { owner: owner.as_str(), name: name.into(), result };
        self.0.families.certificate_reloads.get_or_create(&labels).inc();
    }

    /// The file no longer names this backend cluster.
    pub fn backend_gone(&self, backend: &str) {
        self.0.families.backend_up.remove(&Backend { backend: backend.into() });
    }

    /// Shows from now on how many lines this audit log has lost; only the first one is watched.
    pub fn watch_audit(&self, audit: &Audit) {
        self.0.audit.get_or_init(|| audit.clone());
    }

    /// The whole in the text format of OpenMetrics, which Prometheus reads.
    ///
    /// Shape: to be served as [`METRICS_CONTENT_TYPE`].
    pub fn render(&self, now: Instant) -> String {
        for (source, renewed) in locked(&self.0.key_sets).iter() {
            let age = self.0.families.key_set_age.get_or_create_owned(&Source { source: source.clone() });
            age.set(now.saturating_duration_since(*renewed).as_secs_f64());
        }
        for (backend, ends_at) in locked(&self.0.tokens).iter() {
            let left =
                self.0.families.token_time_left.get_or_create_owned(&Backend { backend: backend.clone() });
            left.set(ends_at.saturating_duration_since(now).as_secs_f64());
        }
        if let Some(audit) = self.0.audit.get() {
            // The audit log counts for itself, and its count only grows.
            self.0.families.audit_lines_lost.inner().store(audit.lost(), Ordering::Relaxed);
        }
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut text, &self.0.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Families {
    /// A registry of them all, under their names; counters are shown with `_total` behind these.
    fn registered(&self) -> Registry {
        let all = self.clone();
        let mut registry = Registry::with_prefix("sluicegate");
        let r = &mut registry;
        r.register("connections_open", "Client connections that are open", all.connections_open);
        r.register("connections_accepted", "Client connections accepted", all.connections_accepted);
        r.register("connections_closed", "Client connections closed, by reason", all.connections_closed);
        r.register("logins", "Logins and re-authentications, by mechanism and result", all.logins);
        r.register("requests", "Requests from clients", all.requests);
        r.register_with_unit("request", "Size of requests from clients", Unit::Bytes, all.request_bytes);
        r.register_with_unit("response", "Size of answers to clients", Unit::Bytes, all.response_bytes);
        r.register("requests_in_flight", "Requests that await their answer", all.requests_in_flight);
        r.register("refusals", "Requests, or parts of them, refused by the gateway", all.refusals);
        let help = "Time spent in the gateway on one request or one answer, without the broker's";
        r.register_with_unit("gateway_time", help, Unit::Seconds, all.gateway_time);
        r.register("upstream_connects", "Connections to brokers tried, by result", all.upstream_connects);
        let help = "Time since the key set in use was fetched";
        r.register_with_unit("key_set_age", help, Unit::Seconds, all.key_set_age);
        let help = "Whether an old key set serves on: 1 or 0";
        r.register("key_set_stale", help, all.key_set_stale);
        r.register("key_fetches", "Fetches of key sets, by result", all.key_fetches);
        let help = "Tokens looked for among those verified before, by result";
        r.register("token_lookups", help, all.token_lookups);
        let help = "Tokens about which an introspection endpoint was to be asked, by result";
        r.register("introspections", help, all.introspections);
        let help = "Time until the gateway's own token for a backend's brokers ends";
        r.register_with_unit("token_time_left", help, Unit::Seconds, all.token_time_left);
        let help = "Fetches of tokens for a backend's brokers, by result";
        r.register("token_fetches", help, all.token_fetches);
        let help = "Tokens asked for with names and passwords of clients, by result";
        r.register("login_token_fetches", help, all.login_token_fetches);
        let help = "Additional topics that a prefixed topic of the same name hides";
        r.register("namespace_conflicts", help, all.namespace_conflicts);
        r.register("condition_failures", "Policy conditions that did not evaluate", all.condition_failures);
        r.register("backend_up", "Whether a backend cluster answers: 1 or 0", all.backend_up);
        let help = "Whether any certificate of a backend cluster's brokers is accepted: 1 or 0";
        r.register("backend_tls_unverified", help, all.backend_unverified);
        let help = "When a certificate ends, in seconds since 1970";
        r.register_with_unit("certificate_expiry_timestamp", help, Unit::Seconds, all.certificate_expiry);
        let help = "Changed files of certificates and keys, by what became of them";
        r.register("certificate_reloads", help, all.certificate_reloads);
        r.register("audit_lines_lost", "Audit lines that could not be written", all.audit_lines_lost);
        registry
    }
}

/// One virtual cluster's counters; a handle, cheap to clone.
///
/// Shape: counting a request is a few relaxed additions; only the first request of an API looks up
/// its labels.
#[derive(Clone, Debug)]
pub struct ClusterMetrics(Arc<ClusterInner>);

#[derive(Debug)]
struct ClusterInner {
    name: Arc<str>,
    families: Families,
    in_flight: Gauge,
    /// By API key; the last is for keys beyond.
    apis: [OnceLock<ApiCounters>; API_KEYS + 1],
}

#[derive(Debug)]
struct ApiCounters {
    requests: Counter,
    request_bytes: Counter,
    response_bytes: Counter,
    gateway_time: Timing,
}

impl ClusterMetrics {
    fn new(name: Arc<str>, families: &Families) -> Self {
        let in_flight = families.requests_in_flight.get_or_create_owned(&Cluster::named(&name));
        let apis = [const { OnceLock::new() }; API_KEYS + 1];
        Self(Arc::new(ClusterInner { name, families: families.clone(), in_flight, apis }))
    }

    /// A request came in; `api` is the name that belongs to `api_key`.
    pub fn request(&self, api_key: i16, api: &'static str, bytes: usize) {
        let counters = self.counters(api_key, api);
        counters.requests.inc();
        counters.request_bytes.inc_by(bytes as u64);
    }

    /// An answer went out, by whomever it was given.
    pub fn response(&self, api_key: i16, api: &'static str, bytes: usize) {
        self.counters(api_key, api).response_bytes.inc_by(bytes as u64);
    }

    /// What the gateway itself added to one request and its answer.
    pub fn gateway_time(&self, api_key: i16, api: &'static str, took: Duration) {
        self.counters(api_key, api).gateway_time.observe(took);
    }

    /// Requests that now await their answer.
    pub fn in_flight_more(&self, count: usize) {
        self.0.in_flight.inc_by(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Requests that were answered, or whose connection is gone.
    pub fn in_flight_less(&self, count: usize) {
        self.0.in_flight.dec_by(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A request, or a part of it, was refused.
    pub fn refused(&self, api: &'static str, reason: &'static str) {
        let refusal = Refusal { virtual_cluster: self.0.name.clone(), api, reason };
        self.0.families.refusals.get_or_create(&refusal).inc();
    }

    fn counters(&self, api_key: i16, api: &'static str) -> &ApiCounters {
        let slot = usize::try_from(api_key).map_or(API_KEYS, |key| key.min(API_KEYS));
        let api = if slot == API_KEYS { "unknown" } else { api };
        self.0.apis[slot].get_or_init(|| {
            let families = &self.0.families;
            let labels = ClusterApi { virtual_cluster: self.0.name.clone(), api };
            ApiCounters {
                requests: families.requests.get_or_create_owned(&labels),
                request_bytes: families.request_bytes.get_or_create_owned(&labels),
                response_bytes: families.response_bytes.get_or_create_owned(&labels),
                gateway_time: families.gateway_time.get_or_create_owned(&Api { api }),
            }
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cluster {
    virtual_cluster: Arc<str>,
}

impl Cluster {
    fn named(name: &str) -> Self {
        Self { virtual_cluster: name.into() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Closed {
    virtual_cluster: Arc<str>,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Login {
    virtual_cluster: Arc<str>,
    mechanism: &'static str,
    result: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterApi {
    virtual_cluster: Arc<str>,
    api: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    virtual_cluster: Arc<str>,
    api: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Api {
    api: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Source {
    source: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Introspection {
    endpoint: Arc<str>,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fetch {
    source: Arc<str>,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenFetch {
    backend: Arc<str>,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoginTokenFetch {
    virtual_cluster: Arc<str>,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Policy {
    policy: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Backend {
    backend: Arc<str>,
}

/// Whose certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateOwner {
    Listener,
    BackendCluster,
}

impl CertificateOwner {
    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            CertificateOwner::Listener => "listener",
            CertificateOwner::BackendCluster => "backend_cluster",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Certificate {
    owner: &'static str,
    name: Arc<str>,
    certificate: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reload {
    owner: &'static str,
    name: Arc<str>,
    result: &'static str,
}

/// No panic leaves these maps half-changed, so a poisoned one is as good as any.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The content type of what [`Metrics::render`] gives.
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Kafka's API keys go from 0 to 94.
const API_KEYS: usize = 95;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(metrics: &Metrics, now: Instant, expected: &[&str]) {
        let shown = metrics.render(now);
        for line in expected {
            assert!(shown.lines().any(|found| found == *line), "{line} in {shown}");
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a test has to begin at some time")]
    fn some_time() -> Instant {
        Instant::now()
    }

    #[test]
    fn connections_and_logins_are_counted() {
        let metrics = Metrics::new();
        metrics.connection_opened("team");
        metrics.connection_opened("team");
        metrics.connection_closed("team", "peer_closed");
        metrics.login("team", "OAUTHBEARER", "rejected", "expired");
        metrics.upstream_connect("ok");
        check(
            &metrics,
            some_time(),
            &[
                r#"sluicegate_connections_open{virtual_cluster="team"} 1"#,
                r#"sluicegate_connections_accepted_total{virtual_cluster="team"} 2"#,
                r#"sluicegate_connections_closed_total{virtual_cluster="team",reason="peer_closed"} 1"#,
                r#"sluicegate_logins_total{virtual_cluster="team",mechanism="OAUTHBEARER",result="rejected",reason="expired"} 1"#,
                r#"sluicegate_upstream_connects_total{result="ok"} 1"#,
            ],
        );
    }

    #[test]
    fn requests_are_counted_by_api_and_cluster() {
        let metrics = Metrics::new();
        let (team, other) = (metrics.for_cluster("team"), metrics.for_cluster("other"));
        team.request(0, "Produce", 100);
        metrics.for_cluster("team").request(0, "Produce", 11);
        other.request(0, "Produce", 7);
        team.response(0, "Produce", 50);
        team.gateway_time(0, "Produce", Duration::from_micros(3));
        other.gateway_time(0, "Produce", Duration::from_micros(30));
        team.refused("Produce", "topic_authorization");
        team.in_flight_more(3);
        team.in_flight_less(2);
        check(
            &metrics,
            some_time(),
            &[
                r#"sluicegate_requests_total{virtual_cluster="team",api="Produce"} 2"#,
                r#"sluicegate_requests_total{virtual_cluster="other",api="Produce"} 1"#,
                r#"sluicegate_request_bytes_total{virtual_cluster="team",api="Produce"} 111"#,
                r#"sluicegate_response_bytes_total{virtual_cluster="team",api="Produce"} 50"#,
                r#"sluicegate_refusals_total{virtual_cluster="team",api="Produce",reason="topic_authorization"} 1"#,
                r#"sluicegate_requests_in_flight{virtual_cluster="team"} 1"#,
                r#"sluicegate_gateway_time_seconds_bucket{le="0.000005",api="Produce"} 1"#,
                r#"sluicegate_gateway_time_seconds_count{api="Produce"} 2"#,
            ],
        );
    }

    #[test]
    fn keys_that_kafka_does_not_have_share_one_series() {
        let metrics = Metrics::new();
        let team = metrics.for_cluster("team");
        for key in [-1, i16::MIN, 95, i16::MAX] {
            team.request(key, "whatever", 1);
        }
        team.request(94, "Last", 1);
        check(
            &metrics,
            some_time(),
            &[
                r#"sluicegate_requests_total{virtual_cluster="team",api="unknown"} 4"#,
                r#"sluicegate_requests_total{virtual_cluster="team",api="Last"} 1"#,
            ],
        );
    }

    #[test]
    fn a_key_sets_age_is_that_at_the_scrape() {
        let metrics = Metrics::new();
        let start = some_time();
        metrics.keys_renewed("https://idp", start);
        metrics.keys_fetched("https://idp", "ok");
        check(
            &metrics,
            start + Duration::from_secs(90),
            &[
                r#"sluicegate_key_set_age_seconds{source="https://idp"} 90.0"#,
                r#"sluicegate_key_fetches_total{source="https://idp",result="ok"} 1"#,
            ],
        );
        metrics.keys_renewed("https://idp", start + Duration::from_secs(100));
        check(&metrics, start, &[r#"sluicegate_key_set_age_seconds{source="https://idp"} 0.0"#]);
        metrics.keys_gone("https://idp");
        assert!(!metrics.render(start).contains("key_set_age_seconds{"));
    }

    #[test]
    fn states_are_shown_until_their_owner_is_gone() {
        let metrics = Metrics::new();
        metrics.namespace_conflicts("team", 2);
        metrics.backend_up("local", true);
        metrics.condition_failed("readers");
        let now = some_time();
        check(
            &metrics,
            now,
            &[
                r#"sluicegate_namespace_conflicts{virtual_cluster="team"} 2"#,
                r#"sluicegate_backend_up{backend="local"} 1"#,
                r#"sluicegate_condition_failures_total{policy="readers"} 1"#,
            ],
        );
        metrics.backend_up("local", false);
        check(&metrics, now, &[r#"sluicegate_backend_up{backend="local"} 0"#]);
        metrics.cluster_gone("team");
        metrics.backend_gone("local");
        let shown = metrics.render(now);
        assert!(!shown.contains("conflicts{") && !shown.contains("backend_up{"), "{shown}");
    }

    #[test]
    fn every_metric_has_its_name_and_a_help() {
        let metrics = Metrics::new();
        let now = some_time();
        let team = metrics.for_cluster("team");
        team.request(3, "Metadata", 1);
        team.refused("Metadata", "r");
        metrics.connection_opened("team");
        metrics.connection_closed("team", "r");
        metrics.login("team", "PLAIN", "accepted", "");
        metrics.upstream_connect("ok");
        metrics.keys_fetched("s", "ok");
        metrics.keys_renewed("s", now);
        metrics.keys_stale("s", false);
        metrics.token_looked_up("s", "known");
        metrics.namespace_conflicts("team", 0);
        metrics.condition_failed("p");
        metrics.backend_up("b", true);
        metrics.backend_unverified("b", false);
        metrics.certificate_ends(CertificateOwner::Listener, "front", "certificates[0]", 1);
        metrics.certificates_read(CertificateOwner::BackendCluster, "b", "ok");
        let shown = metrics.render(now);
        let said = |word: &str| -> Vec<(&str, &str)> {
            let lines = shown.lines().filter_map(|line| line.strip_prefix(word));
            lines.filter_map(|line| line.split_once(' ')).collect()
        };
        assert_eq!(
            said("# TYPE "),
            [
                ("sluicegate_connections_open", "gauge"),
                ("sluicegate_connections_accepted", "counter"),
                ("sluicegate_connections_closed", "counter"),
                ("sluicegate_logins", "counter"),
                ("sluicegate_requests", "counter"),
                ("sluicegate_request_bytes", "counter"),
                ("sluicegate_response_bytes", "counter"),
                ("sluicegate_requests_in_flight", "gauge"),
                ("sluicegate_refusals", "counter"),
                ("sluicegate_gateway_time_seconds", "histogram"),
                ("sluicegate_upstream_connects", "counter"),
                ("sluicegate_key_set_age_seconds", "gauge"),
                ("sluicegate_key_set_stale", "gauge"),
                ("sluicegate_key_fetches", "counter"),
                ("sluicegate_token_lookups", "counter"),
                ("sluicegate_namespace_conflicts", "gauge"),
                ("sluicegate_condition_failures", "counter"),
                ("sluicegate_backend_up", "gauge"),
                ("sluicegate_backend_tls_unverified", "gauge"),
                ("sluicegate_certificate_expiry_timestamp_seconds", "gauge"),
                ("sluicegate_certificate_reloads", "counter"),
                ("sluicegate_audit_lines_lost", "counter"),
            ]
        );
        let helps = said("# HELP ");
        assert!(helps.len() == 22 && helps.iter().all(|(_, help)| help.len() > 10), "{helps:?}");
        assert!(shown.ends_with("# EOF\n"));
    }

    #[test]
    fn a_label_can_not_break_out_of_its_quotes() {
        let metrics = Metrics::new();
        metrics.condition_failed("a\"} 1\nfake_metric 7");
        check(
            &metrics,
            some_time(),
            &[r#"sluicegate_condition_failures_total{policy="a\"} 1\nfake_metric 7"} 1"#],
        );
    }
}
