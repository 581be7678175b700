//! From where a tenant sends its requests: before the gateway, or right before the broker.

use sluicegate::wire::sample::{Leaf, LeafValue};
use uuid::Uuid;

use super::aims::Probe;
use super::judge::Outcome;
use super::neighbour::{Neighbour, OURS, OWN_GROUP, OWN_TOPIC, OWN_TRANSACTION, TWINS};
use crate::site::{self, CLIENT, Front};
use crate::support::client::Client;
use crate::support::kafka::Kafka;
use crate::support::process::Issuer;
use crate::support::sense::{JOINS, Own, Request, request, request_beside_own};
use crate::support::words::ask_body;

pub struct Camp<'c> {
    connect: Box<dyn Fn() -> Client + 'c>,
    client: Client,
    /// What stands before the names of our own where they are said.
    prefix: &'static str,
    /// How often a heartbeat is said until it is given something of others.
    patience: usize,
}

impl<'c> Camp<'c> {
    pub fn before_the_gateway(front: &'c Front<'c>, issuer: &Issuer) -> Self {
        let (port, token) = (front.setup.tenants[0].port, issuer.token(CLIENT, site::SECRET));
        let connect = move || {
            let mut client = Client::connect(port);
            client.log_in(&token);
            client
        };
        Self { client: connect(), connect: Box::new(connect), prefix: "", patience: HEARTBEATS }
    }

    pub fn before_the_broker(kafka: &Kafka) -> Self {
        let port = kafka.port("PLAINTEXT");
        let connect = move || Client::connect(port);
        // Here it is given something, sooner or later.
        Self { client: connect(), connect: Box::new(connect), prefix: OURS, patience: 10_000 }
    }

    /// Sends a probe as the first of the twins, and another one as the second.
    pub fn say_both(
        &mut self,
        probe: &Probe,
        other: &Probe,
        neighbour: &mut Neighbour,
    ) -> [(Request, Outcome); 2] {
        let said = [(probe, 0), (other, 1)].map(|(probe, twin)| self.say(probe, neighbour, twin));
        // Who has joined a group would be in it when it is joined next.
        if JOINS.contains(&probe.key) {
            neighbour.tidy_groups(OWN_GROUP);
        }
        said
    }

    fn say(&mut self, probe: &Probe, neighbour: &Neighbour, twin: usize) -> (Request, Outcome) {
        let own = self.own(neighbour, twin, probe.is_of_the_crew());
        let write = if probe.beside_own { request_beside_own } else { request };
        let request = write(probe.key, probe.version, &own, &probe.aims, probe.of_type);
        let mut outcome = None;
        let times = match (probe.is_told_later(), twin) {
            (false, _) => 1,
            (true, 0) => self.patience,
            (true, _) => HEARTBEATS,
        };
        for _ in 0..times {
            outcome = ask_body(&mut self.client, probe.key as i16, probe.version, &request.body);
            let Some(answer) = &outcome else {
                self.client = (self.connect)();
                break;
            };
            if answer.leaves.iter().any(|leaf| is_foreign(leaf, &neighbour.own_topic_ids)) {
                break;
            }
        }
        (request, outcome)
    }

    /// Of two requests that are compared each is about own things of its own.
    fn own(&self, neighbour: &Neighbour, twin: usize, is_member: bool) -> Own {
        let own = |word: &str| format!("{}{word}{}", self.prefix, TWINS[twin]);
        Own {
            topic: own(OWN_TOPIC),
            topic_id: neighbour.own_topic_ids[twin],
            group: own(OWN_GROUP),
            joiners: own("joiners"),
            spare: own("spare"),
            transaction: own(OWN_TRANSACTION),
            producer: neighbour.producer,
            member: neighbour.member.clone(),
            generation: neighbour.generation,
            is_member,
            log_dir: neighbour.log_dir.clone(),
            new_member: Uuid::from_u128(0xabcd_0000_0000 + twin as u128).to_string(),
        }
    }
}

/// More than a broker needs to look at what was asked for.
const HEARTBEATS: usize = 25;

/// Whether a topic is told of by an id that is none of ours.
fn is_foreign(leaf: &Leaf, ours: &[Uuid]) -> bool {
    matches!(leaf.value, LeafValue::Uuid(id) if !ours.contains(&id))
}
