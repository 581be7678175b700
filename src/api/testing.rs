//! A small virtual cluster, and a dialogue through one family, for the tests of the families.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use uuid::Uuid;

use super::parts::{self, Course};
use super::{Api, Asking, Conversation, InternalTopics, Refusal, Showing};
use crate::auth::{Authentication, BrokerLogin};
use crate::cluster::{
    AddressBook, BackendCluster, BootstrapPort, Denial, Gate, Lens, OptIns, PortMap, VirtualCluster,
};
use crate::names::{Additional, Backend, Mode, Namespace, Principal};
use crate::policy::{AclPolicy, Circumstances, Effect, Operation, Policy, Resource, Rights, Rule};

/// One client of a virtual cluster with the hidden prefix `my-` and the additional topic
/// `extra_topic`, which offers all that a file can ask for; broker 1 stands at `gateway:19093`, broker 2 at `gateway:19094`, no other has a door.
pub struct World {
    cluster: VirtualCluster,
    rights: Rights,
    book: AddressBook,
    pub conversation: Conversation,
    /// All topics of the backend, as the broker told when it was asked.
    pub topics: Option<Vec<Backend<StrBytes>>>,
    /// What the broker told of a streams group when it was asked.
    pub internal_topics: Option<InternalTopics>,
}

/// A request's way through a family: what the broker was sent, and what the client sees.
pub struct Dialogue<A: Api> {
    pub sent: Vec<A::Request>,
    pub seen: A::Response,
    pub refused: Option<Refusal>,
    pub denials: Vec<Denial>,
}

impl World {
    /// A client that may do these things and nothing else; names are globs.
    pub fn allowing(rules: &[(Operation, Resource, &str)]) -> Self {
        Self::with(Mode::HidePrefix, rules, &[])
    }

    pub fn with(
        mode: Mode,
        allowed: &[(Operation, Resource, &str)],
        denied: &[(Operation, Resource, &str)],
    ) -> Self {
        let rule = |effect, (operation, resource, name): &(Operation, Resource, &str)| {
            Rule::new(effect, *resource, [*operation], vec![crate::names::Glob::new(name)]).unwrap()
        };
        let allowed = allowed.iter().map(|words| rule(Effect::Allow, words));
        let denied = denied.iter().map(|words| rule(Effect::Deny, words));
        let rules = allowed.chain(denied).collect();
        let policy = Policy::enforce(vec![AclPolicy { name: "test".into(), condition: None, rules }]);
        let rights = policy.rights(&Circumstances {
            auth_type: "anonymous",
            principal: &Principal::new("client"),
            claims: &serde_json::Value::Null,
            extensions: &[],
            client_id: None,
            client_address: "127.0.0.1",
            listener: "front",
        });
        let topics = Additional::new(["extra_topic".to_owned()], []);
        let cluster = VirtualCluster {
            name: "team".into(),
            computed_prefix: None,
            cluster_id: "team-id".into(),
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
            namespace: Namespace::new(mode, "my-", topics, Additional::default()).unwrap(),
            policy: Arc::new(policy),
            opt_ins: OptIns::all(),
        };
        let book =
            AddressBook::Ports(PortMap::new("gateway", (19092..=19094).collect(), BootstrapPort::AtStart, 1));
        Self {
            cluster,
            rights,
            book,
            conversation: Conversation::default(),
            topics: None,
            internal_topics: None,
        }
    }

    /// A client about whom the broker decides.
    pub fn passthrough() -> Self {
        Self::passthrough_with(Mode::HidePrefix)
    }

    pub fn passthrough_with(mode: Mode) -> Self {
        let mut world = Self::with(mode, &[], &[]);
        world.cluster.policy = Arc::new(Policy::passthrough());
        world.rights = Rights::everything();
        world
    }

    /// A client that may do these things, of a virtual cluster without additional topics.
    pub fn alone(rules: &[(Operation, Resource, &str)]) -> Self {
        let mut world = Self::allowing(rules);
        let (topics, groups) = (Additional::default(), Additional::default());
        world.cluster.namespace = Namespace::new(Mode::HidePrefix, "my-", topics, groups).unwrap();
        world
    }

    /// The same client of a virtual cluster that offers these.
    pub fn with_opt_ins(mut self, opt_ins: OptIns) -> Self {
        self.cluster.opt_ins = opt_ins;
        self
    }

    /// The same client, to whom a topic has a second name.
    pub fn with_alias(mut self, alias: &str, topic: &str) -> Self {
        self.cluster.namespace.add_alias(alias, topic).unwrap();
        self
    }

    pub fn gate(&self) -> Gate<'_> {
        Gate::new(&self.cluster, &self.rights)
    }

    /// Has a broker tell that a topic has this id.
    pub fn learn(&self, id: Uuid, name: &str) {
        self.cluster.learn(id, &Backend::said_by_broker(text(name)));
    }

    /// The client logs in again, and may do these things from now on.
    pub fn log_in_again(&mut self, rules: &[(Operation, Resource, &str)]) {
        self.rights = Self::allowing(rules).rights;
    }

    pub fn lens(&self) -> Lens<'_> {
        Lens::new(&self.cluster, &self.rights, &self.book)
    }

    /// Client sends `request`; broker, if it is asked at all, answers `answer`.
    ///
    /// Every message goes through its bytes, so a field that a version does not have panics here.
    pub fn talk<A: Api>(&mut self, version: i16, request: &A::Request, answer: &A::Response) -> Dialogue<A> {
        let body = written(request, version);
        let upstream = A::upstream_version(version);
        let gate = Gate::new(&self.cluster, &self.rights);
        let topics = self.topics.as_deref();
        let internal_topics = self.internal_topics.as_ref();
        let mut ask =
            Asking { gate: &gate, version, conversation: &mut self.conversation, topics, internal_topics };
        let (mut sent, mut refused) = (Vec::new(), None);
        let requests = parts::split::<A>(read(&body, version), version, &gate);
        let course = parts::admitted::<A>(requests, &mut ask).expect("it asks no question twice");
        let seen = match course {
            Course::Parts(parts) => {
                let revealed = parts.into_iter().map(|part| {
                    let mut response = A::Response::default();
                    if let Some(others) = part.requests.len().checked_sub(1) {
                        response = said(answer, upstream);
                        (0..others).for_each(|_| A::join(&mut response, A::Response::default()));
                        A::remember(&response, &part.aside, &mut self.conversation);
                    }
                    sent.extend(part.requests.iter().map(|request| said(request, upstream)));
                    let lens = Lens::new(&self.cluster, &self.rights, &self.book);
                    let lens = lens.speaking(&part.spoken);
                    A::reveal(&mut response, part.aside, &Showing { lens: &lens, version });
                    response
                });
                let joined = revealed.reduce(|mut first, later| {
                    A::join(&mut first, later);
                    first
                });
                joined.expect("a request has a part or more")
            }
            Course::Ask(question) => panic!("this request wants to know first: {question:?}"),
            Course::Unanswered { .. } => panic!("this request is never answered"),
            Course::Refused(why) => {
                refused = Some(why);
                A::refuse(read(&body, version), why, version)
            }
        };
        Dialogue { sent, seen: said(&seen, version), refused, denials: gate.into_denials() }
    }
}

impl<A: Api> Dialogue<A> {
    /// The one request that went to the broker.
    pub fn sent(&self) -> &A::Request {
        assert_eq!(self.sent.len(), 1, "the broker is asked once");
        &self.sent[0]
    }
}

/// The message as it is after its way over the wire in this version.
pub fn said<M: Encodable + Decodable>(message: &M, version: i16) -> M {
    read(&written(message, version), version)
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn written<M: Encodable>(message: &M, version: i16) -> Bytes {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).expect("the message can be said in this version");
    bytes.freeze()
}

fn read<M: Decodable>(body: &Bytes, version: i16) -> M {
    M::decode(&mut body.clone(), version).expect("the message was just written")
}
