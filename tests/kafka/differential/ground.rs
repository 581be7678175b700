//! The ground on which the two worlds stand: one broker, an issuer, a gateway, and the same grants on both ways in.

use kafka_protocol::messages::CreateAclsRequest;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::protocol::StrBytes;

use super::names::{OTHER_PREFIX, PREFIX};
use crate::site;
use crate::support::client::Client;
use crate::support::kafka::Kafka;
use crate::support::process::{Gateway, Issuer};
use crate::support::setup::{Policy, rule};

/// One of the two ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    Reference,
    Gateway,
}

pub const WAYS: [Way; 2] = [Way::Reference, Way::Gateway];

impl Way {
    /// What stands before a name of this world on the broker.
    pub fn prefix(self) -> &'static str {
        match self {
            Way::Reference => "",
            Way::Gateway => PREFIX,
        }
    }
}

/// Whom the worlds see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// May do with each name what its beginning says.
    User,
    /// May do everything with names that begin with `d-`.
    Owner,
    /// The same, and everything with the cluster.
    Operator,
    Nobody,
}

pub const ROLES: [Role; 4] = [Role::User, Role::Owner, Role::Operator, Role::Nobody];

impl Role {
    fn client(self) -> &'static str {
        match self {
            Role::User => "user-app",
            Role::Owner => "owner-app",
            Role::Operator => "operator-app",
            Role::Nobody => "nobody-app",
        }
    }
}

struct Grant(Role, &'static str, &'static str, &'static str);

/// Role, kind, what names begin with, operation. Operations imply others as Kafka has it.
const GRANTS: &[Grant] = &[
    Grant(Role::User, "topic", "d-full-", "all"),
    Grant(Role::User, "topic", "d-read-", "read"),
    Grant(Role::User, "topic", "d-write-", "write"),
    Grant(Role::User, "topic", "d-see-", "describe"),
    Grant(Role::User, "group", "d-full-", "all"),
    Grant(Role::User, "group", "d-read-", "read"),
    Grant(Role::User, "group", "d-see-", "describe"),
    Grant(Role::User, "transactional_id", "d-full-", "all"),
    Grant(Role::User, "transactional_id", "d-write-", "write"),
    Grant(Role::User, "transactional_id", "d-see-", "describe"),
    Grant(Role::Owner, "topic", "d-", "all"),
    Grant(Role::Owner, "group", "d-", "all"),
    Grant(Role::Owner, "transactional_id", "d-", "all"),
    Grant(Role::Operator, "topic", "d-", "all"),
    Grant(Role::Operator, "group", "d-", "all"),
    Grant(Role::Operator, "transactional_id", "d-", "all"),
    Grant(Role::Operator, "cluster", "", "all"),
];

/// What takes time out of the broker: groups are assigned at once, and no member is ever missed in the course of a round.
const SETTINGS: [&str; 10] = [
    "group.consumer.assignment.interval.ms=0",
    "group.share.assignment.interval.ms=0",
    "group.streams.assignment.interval.ms=0",
    "group.streams.initial.rebalance.delay.ms=0",
    "group.consumer.max.session.timeout.ms=3600000",
    "group.consumer.session.timeout.ms=3600000",
    "group.share.max.session.timeout.ms=3600000",
    "group.share.session.timeout.ms=3600000",
    "group.streams.max.session.timeout.ms=3600000",
    "group.streams.session.timeout.ms=3600000",
];

const SECRET: &str = "differential-secret";

/// Broker, issuer and gateway, for as long as the value lives.
pub struct Ground {
    pub kafka: Kafka,
    issuer: Issuer,
    pub gateway: Gateway,
    gateway_port: u16,
}

impl Ground {
    pub fn start() -> Self {
        let clients: Vec<String> = ROLES.iter().map(|role| format!("{}:{SECRET}", role.client())).collect();
        let clients: Vec<&str> = clients.iter().map(String::as_str).collect();
        let issuer = Issuer::start(&clients, &["--token-lifetime", "12h"]);
        let settings: Vec<&str> = SETTINGS.iter().flat_map(|setting| ["--set", setting]).collect();
        let kafka = Kafka::start(1, &issuer, site::AUDIENCE, &settings);
        allow(&mut Client::connect(kafka.port("PLAINTEXT")));
        let mut setup = site::setup(&kafka, &issuer, PREFIX);
        setup.tenant().policies = ROLES.iter().copied().filter_map(policy).collect();
        let mut other = crate::support::setup::Tenant::new("other", OTHER_PREFIX, "");
        other.authentication = setup.tenant().authentication.clone();
        setup.tenants.push(other);
        let gateway = Gateway::start(&setup.text(), setup.admin_port);
        let gateway_port = setup.tenant().broker_port(1);
        Self { kafka, issuer, gateway, gateway_port }
    }

    /// A connection on one of the ways, logged in.
    pub fn log_in(&self, role: Role, way: Way) -> Client {
        let port = match way {
            Way::Reference => self.kafka.port("OAUTH"),
            Way::Gateway => self.gateway_port,
        };
        let mut connection = Client::connect(port);
        connection.log_in(&self.issuer.token(role.client(), SECRET));
        connection
    }

    pub fn gateway_log(&self) -> String {
        let log = self.gateway.process.log();
        let last: Vec<&str> = log.lines().rev().take(10).collect();
        last.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// The grants of a role as the gateway's policy.
fn policy(role: Role) -> Option<Policy> {
    let rules: Vec<String> = GRANTS
        .iter()
        .filter(|Grant(of, ..)| *of == role)
        .map(|Grant(_, kind, beginning, operation)| rule("allow", kind, operation, &format!("{beginning}*")))
        .collect();
    let condition = format!("context.auth.token.claims.client_id == '{}'", role.client());
    (!rules.is_empty()).then(|| Policy::new(role.client(), Some(&condition), &rules))
}

/// The grants as Kafka's own ACLs, for the reference listener.
fn allow(admin: &mut Client) {
    let creations = GRANTS.iter().map(|Grant(role, kind, beginning, operation)| {
        let (kind, pattern) = match *kind {
            "topic" => (2, PREFIXED),
            "group" => (3, PREFIXED),
            "cluster" => (4, LITERAL),
            _ => (5, PREFIXED),
        };
        let operation = match *operation {
            "all" => 2,
            "read" => 3,
            "write" => 4,
            _ => 8,
        };
        let name = if pattern == LITERAL { "kafka-cluster" } else { beginning };
        AclCreation::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_resource_pattern_type(pattern)
            .with_principal(text(&format!("User:{}", role.client())))
            .with_host(text("*"))
            .with_operation(operation)
            .with_permission_type(ALLOW)
    });
    let answer = admin.ask(3, &CreateAclsRequest::default().with_creations(creations.collect()));
    assert!(answer.results.iter().all(|result| result.error_code == 0), "{answer:?}");
}

const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
const ALLOW: i8 = 3;

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
