//! The walls between tenants, before real Kafka: whatever a tenant says, nothing of the others is reached or told.
//!
//! For every API, version and field of a request that can name something, probes are made from the table of fields,
//! and sent by a tenant who may do everything in its own virtual cluster. Each is had twice, about somebody else's
//! things and about things that exist nowhere. No answer may hold a mark of the others, the two answers are the same,
//! and when an API is through, everything of the others is as it was.

mod aims; //      all the ways to point at somebody else's things
mod judge; //     what an answer tells that it should not
mod neighbour; // what stands on the other side
mod sense; //     a request that makes sense but for where a probe aims
mod unaimed; //   what is not aimed at anybody, and why

use std::collections::{BTreeMap, BTreeSet};

use sluicegate::api::rows;
use sluicegate::wire::ApiKey;

use self::aims::{Aim, Probe, Verdict, probes};
use self::judge::{NOISE, NOISE_OVER_TIME, Outcome, difference, leaks};
use self::neighbour::{INTERNAL_TOPICS, Neighbour, OURS, THEIRS};
use self::sense::{Request, request};
use self::unaimed::is_told_apart;
use crate::site::{self, CLIENT, Front};
use crate::support::client::Client;
use crate::support::kafka::{self, Kafka};
use crate::support::process::Issuer;
use crate::support::setup::Tenant;
use crate::support::words::ask_body;

#[test]
fn nothing_of_another_tenant_is_reached_or_told() {
    if !kafka::is_here() {
        return;
    }
    let issuer = site::issuer("1h");
    let settings: Vec<&str> = SETTINGS.iter().flat_map(|setting| ["--set", setting]).collect();
    let kafka = Kafka::start(1, &issuer, site::AUDIENCE, &settings);
    let front = front(&kafka, &issuer);
    let mut walls = Walls::before(&kafka, &front, &issuer);
    walls.sweep_before();
    walls.neighbour.move_in();
    let mut report = Vec::new();
    // What is made here can be removed again, but for transactional ids: they come last.
    let (last, first): (Vec<_>, Vec<_>) = rows().iter().partition(|row| row.key == ApiKey::InitProducerId);
    for row in first.into_iter().chain(last) {
        let count = walls.besiege(row);
        report.push(format!("{} {count}", row.name));
    }
    println!("probes: {}", report.join(", "));
    let leaks = &walls.leaks;
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}

/// The properties that the broker has beyond those of the script.
const SETTINGS: &[&str] = &[
    "auto.create.topics.enable=true",
    // Our own members leave soon.
    "group.min.session.timeout.ms=1",
    "group.consumer.min.session.timeout.ms=1",
    "group.consumer.session.timeout.ms=100",
    "group.consumer.max.session.timeout.ms=1800000",
    "group.consumer.min.heartbeat.interval.ms=1",
    "group.consumer.heartbeat.interval.ms=10",
    "offsets.topic.num.partitions=1",
    "transaction.state.log.num.partitions=1",
];

/// Both tenants live here, and the clients of the first one are told of no address but `localhost`.
fn front<'i>(kafka: &Kafka, issuer: &'i Issuer) -> Front<'i> {
    let mut setup = site::setup(kafka, issuer, OURS);
    let authentication = setup.tenant().authentication.clone();
    setup.tenant().mapping = "advertised_host: localhost, min_broker_id: 1".to_owned();
    let mut theirs = Tenant::new("theirs", THEIRS, "");
    theirs.authentication = authentication;
    setup.tenants.push(theirs);
    Front::start(setup, issuer)
}

struct Walls<'w> {
    front: &'w Front<'w>,
    token: String,
    client: Client,
    neighbour: Neighbour,
    broker_port: u16,
    /// How sweeping requests were answered when nobody else was there.
    before: BTreeMap<String, Outcome>,
    leaks: Vec<String>,
}

impl<'w> Walls<'w> {
    fn before(kafka: &Kafka, front: &'w Front<'w>, issuer: &Issuer) -> Self {
        let broker_port = kafka.port("PLAINTEXT");
        let neighbour = Neighbour::before_moving_in(Client::connect(broker_port));
        let token = issuer.token(CLIENT, site::SECRET);
        let client = log_in(front, &token);
        Self { front, token, client, neighbour, broker_port, before: BTreeMap::new(), leaks: Vec::new() }
    }

    /// Asks for everything, while nobody else is there. Twice: the first time changes what is ours.
    fn sweep_before(&mut self) {
        for _ in 0..2 {
            for row in rows() {
                for version in row.versions.clone() {
                    for probe in probes(row, version, &self.neighbour).unwrap_or_default() {
                        if probe.verdict == Verdict::AsBefore {
                            let (_, outcome) = self.say(&probe, 0);
                            self.say(&probe, 1);
                            self.before.insert(probe.title, outcome);
                        }
                    }
                }
            }
        }
        self.neighbour.tidy();
    }

    /// Sends all probes of an API, and returns how many.
    fn besiege(&mut self, row: &'static sluicegate::api::Row) -> usize {
        self.neighbour.tidy();
        let before = self.neighbour.state();
        let mut count = 0;
        for version in row.versions.clone() {
            match probes(row, version, &self.neighbour) {
                Ok(probes) => {
                    count += probes.len();
                    probes.iter().for_each(|probe| self.probe(probe));
                }
                Err(why) => self.leaks.push(why),
            }
        }
        let after = self.neighbour.state();
        self.changed(row.name, &before, &after);
        count
    }

    fn changed(&mut self, api: &str, before: &BTreeSet<String>, after: &BTreeSet<String>) {
        let gone = before.difference(after).map(|line| format!("{api} has changed: was {line}"));
        let new = after.difference(before).map(|line| format!("{api} has changed: is {line}"));
        self.leaks.extend(gone.chain(new));
    }

    /// Sends a probe, and the same about nowhere: also where only one of them counts, so that both have had the same.
    fn probe(&mut self, probe: &Probe) {
        let (first, outcome) = self.say(probe, 0);
        let (second, other) = self.say(&probe.nowhere(), 1);
        let mut found = leaks(&outcome, &first, &self.neighbour.marks(), self.broker_port);
        match probe.verdict {
            Verdict::Marks => {}
            Verdict::AsBefore => {
                let before = self.before.get(&probe.title).cloned().unwrap_or_default();
                let difference = difference((&outcome, &first), (&before, &first), NOISE_OVER_TIME);
                found.extend(difference.map(|why| format!("{why} when nobody was there")));
            }
            Verdict::AsNowhere => {
                let difference = difference((&outcome, &first), (&other, &second), NOISE);
                found.extend(
                    difference.filter(|_| !is_told_apart(probe)).map(|why| format!("{why} about nowhere")),
                );
            }
        }
        self.leaks.extend(found.into_iter().map(|why| format!("{}: {why}", probe.title)));
        self.tidy(probe);
    }

    /// Removes what a probe has made of our own, so that the next one finds nothing there as well.
    fn tidy(&mut self, probe: &Probe) {
        let makes_by_asking = probe.key == ApiKey::Metadata as i16 && probe.version < 4;
        if makes_by_asking && let Some(Aim::Text(name)) = probe.aims.get("Topics[].Name") {
            for name in [name.clone(), aims::turned(name)] {
                if !name.is_empty() && !INTERNAL_TOPICS.contains(&name.as_str()) {
                    self.neighbour.await_topic(&format!("{OURS}{name}"));
                }
            }
        }
        if makes_by_asking || probe.key == ApiKey::CreateTopics as i16 {
            self.neighbour.tidy_topics();
        }
    }

    fn say(&mut self, probe: &Probe, twin: usize) -> (Request, Outcome) {
        let request = request(probe, &self.neighbour, twin);
        let outcome = ask_body(&mut self.client, probe.key, probe.version, &request.body);
        if outcome.is_none() {
            self.client = log_in(self.front, &self.token);
        }
        (request, outcome)
    }
}

fn log_in(front: &Front<'_>, token: &str) -> Client {
    let mut client = Client::connect(front.setup.tenants[0].port);
    client.log_in(token);
    client
}
