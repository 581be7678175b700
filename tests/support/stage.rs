//! The stage of a dialogue: the gateway's binary between a raw client and scripted brokers, with an issuer's keys.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::broker::Broker;
use super::client::{Client, client_first};
use super::issuer::{ES256, KeyServer, claims};
use super::process::Gateway;
use super::setup::Setup;

/// An answer that is not here by now does not come: a machine with two cores may compile beside the tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// All that a dialogue needs, until it is dropped.
pub struct Stage {
    pub gateway: Gateway,
    pub brokers: Vec<Broker>,
    pub keys: KeyServer,
    /// As the gateway runs with it.
    pub setup: Setup,
}

impl Stage {
    /// One broker, one tenant with prefix `my-`, everything allowed.
    pub fn start() -> Self {
        Self::start_with(1, |_, _| {})
    }

    /// So many brokers, and the file as the test changes it, knowing the `jwks` item of the issuer.
    pub fn start_with(brokers: i32, change: impl FnOnce(&mut Setup, &str)) -> Self {
        Self::before(Broker::cluster(brokers), change)
    }

    /// Before brokers that have their script already.
    pub fn before(brokers: Vec<Broker>, change: impl FnOnce(&mut Setup, &str)) -> Self {
        let keys = KeyServer::start(&[&ES256]);
        // A second between two fetches, so that a test can see more than one.
        let jwks = format!("{{endpoint: \"{}\", timeout: 5s, refresh_interval_min: 1s}}", keys.url());
        let bootstrap: Vec<String> = brokers.iter().map(Broker::address).collect();
        let mut setup = Setup::new(&bootstrap, &jwks);
        change(&mut setup, &jwks);
        let gateway = Gateway::start(&setup.text(), setup.admin_port);
        Self { gateway, brokers, keys, setup }
    }

    /// The only broker, or the first.
    pub fn broker(&self) -> &Broker {
        &self.brokers[0]
    }

    /// A connection to the first tenant's bootstrap port, on which nothing was said yet.
    pub fn connect(&self) -> Client {
        Client::connect(self.setup.tenants[0].port)
    }

    /// A connection to the first tenant, logged in.
    pub fn log_in(&self, principal: &str) -> Client {
        self.log_in_at(self.setup.tenants[0].port, &token(principal))
    }

    /// A connection to any port, logged in by any token.
    pub fn log_in_at(&self, port: u16, token: &str) -> Client {
        let mut client = Client::connect(port);
        client.log_in(token);
        client
    }

    /// Whether a token opens a session with the first tenant.
    pub fn is_let_in(&self, token: &str) -> bool {
        self.is_let_in_at(self.setup.tenants[0].port, token)
    }

    /// Whether a token opens a session at any port.
    pub fn is_let_in_at(&self, port: u16, token: &str) -> bool {
        let mut client = Client::connect(port);
        client.handshake();
        client.authenticate(&client_first(token)).auth_bytes.is_empty()
    }

    /// The audit log so far, line by line.
    pub fn audit(&self) -> Vec<Value> {
        self.gateway.audit()
    }

    /// Waits for an audit line, and returns it.
    pub fn expect_audit(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.gateway.expect_audit(what, is_it)
    }

    /// The value of a metric's line, which is its name with its labels as they are shown; 0 while it is not there.
    pub fn metric(&self, line: &str) -> f64 {
        let (code, text) = self.gateway.admin("/metrics").expect("the admin port answers");
        assert_eq!(code, 200);
        let value = text.lines().find_map(|shown| shown.strip_prefix(line)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a metric is a number"))
    }

    /// Waits until a metric's line has this value.
    pub fn expect_metric(&self, line: &str, value: f64) {
        let deadline = Instant::now() + PATIENCE;
        while (self.metric(line) - value).abs() > f64::EPSILON {
            assert!(Instant::now() < deadline, "{line} is {}, not {value}", self.metric(line));
            sleep(Duration::from_millis(10));
        }
    }

    /// How many logins at the first tenant have succeeded by this mechanism.
    pub fn logins(&self, mechanism: &str) -> f64 {
        self.metric(&self.counter_of_logins(mechanism, "success", ""))
    }

    /// How many logins at the first tenant were refused by this mechanism for this reason.
    pub fn refused_logins(&self, mechanism: &str, reason: &str) -> f64 {
        self.metric(&self.counter_of_logins(mechanism, "failure", reason))
    }

    /// Waits until so many were.
    pub fn expect_refused_logins(&self, mechanism: &str, reason: &str, count: f64) {
        self.expect_metric(&self.counter_of_logins(mechanism, "failure", reason), count);
    }

    fn counter_of_logins(&self, mechanism: &str, result: &str, reason: &str) -> String {
        let cluster = &self.setup.tenants[0].name;
        format!(
            "sluicegate_logins_total{{virtual_cluster=\"{cluster}\",mechanism=\"{mechanism}\",\
             result=\"{result}\",reason=\"{reason}\"}}"
        )
    }
}

/// Waits until something holds that nobody tells of.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not {what} after {PATIENCE:?}");
        sleep(Duration::from_millis(5));
    }
}

/// A good token for a principal, for an hour.
pub fn token(principal: &str) -> String {
    ES256.token(&claims(principal, 3600))
}
