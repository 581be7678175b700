//! One client of a virtual cluster of the usual size.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sluicegate::auth::{Authentication, BrokerLogin};
use sluicegate::cluster::{
    AddressBook, BackendCluster, BootstrapPort, Gate, Lens, Limits, OptIns, PortMap, VirtualCluster,
};
use sluicegate::names::{Additional, Glob, Mode, Namespace, Principal};
use sluicegate::policy::{
    AclPolicy, Circumstances, Condition, Effect, Operation, Policy, Resource, Rights, Rule,
};

/// A client under the hidden prefix `my-`, held by two policies with ten rules.
pub struct World {
    cluster: VirtualCluster,
    book: AddressBook,
    pub rights: Rights,
    pub limits: Limits,
}

impl World {
    pub fn new() -> Self {
        let policy = policy();
        let rights = policy.rights(&Circumstances {
            auth_type: "oauth_bearer",
            principal: &Principal::new("producer-app"),
            claims: &json!({"client_id": "producer-app"}),
            extensions: &[],
            client_id: Some("bench"),
            client_address: "127.0.0.1",
            listener: "front",
        });
        let topics = Additional::new(["extra_topic".to_owned()], []);
        let namespace = Namespace::new(Mode::HidePrefix, "my-", topics, Additional::default());
        let cluster = VirtualCluster {
            name: "team".into(),
            computed_prefix: None,
            cluster_id: "virtual-id".into(),
            backend: Arc::new(BackendCluster {
                name: "local".into(),
                bootstrap: Vec::new(),
                login: BrokerLogin::Anonymous,
                tls: None,
                metadata_interval: Duration::from_secs(60),
                topic_ids: Arc::default(),
            }),
            authentication: Arc::new(Authentication::default()),
            warns_of_conflicts: true,
            namespace: namespace.expect("the prefix is a good one"),
            policy: Arc::new(policy),
            opt_ins: OptIns::default(),
        };
        let book =
            AddressBook::Ports(PortMap::new("gateway", (19092..=19192).collect(), BootstrapPort::AtStart, 1));
        Self { cluster, book, rights, limits: Limits::default() }
    }

    pub fn gate(&self) -> Gate<'_> {
        Gate::new(&self.cluster, &self.rights)
    }

    pub fn lens(&self) -> Lens<'_> {
        Lens::new(&self.cluster, &self.rights, &self.book)
    }
}

fn policy() -> Policy {
    use Effect::{Allow, Deny};
    use Operation::{Create, Describe, IdempotentWrite, Read, Write};
    use Resource::{Cluster, Group, Topic, TransactionalId};
    let rule = |effect, resource, operations: &[Operation], names: &[&str]| {
        let names = names.iter().map(|name| Glob::new(name)).collect();
        Rule::new(effect, resource, operations.iter().copied(), names).expect("the rule says something")
    };
    let own = vec![
        rule(Allow, Topic, &[Describe, Read, Write, Create], &["orders", "payments", "returns"]),
        rule(Allow, Topic, &[Describe, Read, Write, Create], &["team-*"]),
        rule(Allow, Group, &[Describe, Read], &["*"]),
        rule(Allow, TransactionalId, &[Describe, Write], &["tx-*"]),
        rule(Allow, Cluster, &[IdempotentWrite], &[]),
    ];
    let all = vec![
        rule(Allow, Topic, &[Describe, Read], &["extra_topic"]),
        rule(Allow, Topic, &[Describe], &["public-*"]),
        rule(Deny, Topic, &[Read, Write], &["*-secret"]),
        rule(Deny, Topic, &[Create], &["public-*"]),
        rule(Deny, Group, &[Read], &["admin-*"]),
    ];
    let condition = Condition::parse("context.auth.token.claims.client_id == 'producer-app'");
    Policy::enforce(vec![
        AclPolicy {
            name: "own".into(),
            condition: Some(condition.expect("the condition is an expression")),
            rules: own,
        },
        AclPolicy { name: "all".into(), condition: None, rules: all },
    ])
}
