//! The walls between tenants, before real Kafka: whatever a tenant says, nothing of the others is reached or told.
//!
//! For every API, version and field of a request that can name something, probes are made from the table of fields,
//! and sent by a tenant who may do everything in its own virtual cluster. Each is had twice, about somebody else's
//! things and about things that exist nowhere. No answer may hold a mark of the others, the two answers are the same,
//! and when an API is through, everything of the others is as it was.

mod aims; //      all the ways to point at somebody else's things
mod camp; //      from where a tenant sends its requests
mod deeds; //     what is said to the broker itself
mod judge; //     what an answer tells that it should not
mod leave; //     how a group is emptied
mod neighbour; // what stands on the other side
mod teeth; //     whether the probes find out a wall that is not there
mod unaimed; //   what is not aimed at anybody, and why

use std::collections::{BTreeMap, BTreeSet};

use sluicegate::api::{Row, rows};
use sluicegate::wire::ApiKey;
use sluicegate::wire::sample::{Leaf, LeafValue};

use self::aims::{Probe, Verdict, probes};
use self::camp::Camp;
use self::judge::{NOISE, NOISE_OVER_TIME, Outcome, difference, leaks};
use self::neighbour::{INTERNAL_TOPICS, Neighbour, OURS, OWN_TOPIC, THEIRS};
use self::unaimed::is_told_apart;
use crate::site::{self, Front};
use crate::support::client::Client;
use crate::support::kafka::{self, Kafka};
use crate::support::process::Issuer;
use crate::support::sense::Aim;
use crate::support::setup::Tenant;
use crate::support::walled;

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
    let swept = walls.sweep();
    let mut report = Vec::new();
    // What is made here can be removed again, but for transactional ids: they come last.
    let (last, first): (Vec<_>, Vec<_>) = rows().iter().partition(|row| row.key == ApiKey::InitProducerId);
    for row in first.into_iter().chain(last) {
        let count = walls.besiege(row);
        report.push(format!("{} {count}", row.name));
    }
    let leaks = walls.leaks;
    println!("probes: {}; for all there is: {swept}; leaks: {}", report.join(", "), leaks.len());
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    let blunt = teeth::blunt(&kafka, &mut walls.neighbour);
    assert!(blunt.is_empty(), "these probes see no difference where no wall is:\n{}", blunt.join("\n"));
}

/// The properties that the broker has beyond those of the script.
const SETTINGS: &[&str] = &[
    "auto.create.topics.enable=true",
    // The time that a test's records bear is long ago, and so they would be removed.
    "log.message.timestamp.type=LogAppendTime",
    // Our own member of the classic protocol leaves soon, and theirs of all others stay without a word.
    "group.min.session.timeout.ms=1",
    "group.consumer.max.session.timeout.ms=1800000",
    "group.share.max.session.timeout.ms=1800000",
    "group.streams.max.session.timeout.ms=1800000",
    // What a member is given to do does not depend on the time.
    "group.consumer.assignor.offload.enable=false",
    "group.consumer.assignment.interval.ms=0",
    "group.share.assignor.offload.enable=false",
    "group.share.assignment.interval.ms=0",
    "group.streams.assignor.offload.enable=false",
    "group.streams.assignment.interval.ms=0",
    "group.streams.initial.rebalance.delay.ms=0",
    "offsets.topic.num.partitions=1",
    "transaction.state.log.num.partitions=1",
    "share.coordinator.state.topic.num.partitions=1",
];

/// Both tenants live here, and the clients of the first one are told of no address but `localhost`.
fn front<'i>(kafka: &Kafka, issuer: &'i Issuer) -> Front<'i> {
    let mut setup = site::setup(kafka, issuer, OURS);
    let authentication = setup.tenant().authentication.clone();
    setup.tenant().mapping = "advertised_host: localhost, min_broker_id: 1".to_owned();
    setup.tenant().more.extend(walled::lines());
    let mut theirs = Tenant::new("theirs", THEIRS, "");
    theirs.authentication = authentication;
    setup.tenants.push(theirs);
    Front::start(setup, issuer)
}

struct Walls<'w> {
    camp: Camp<'w>,
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
        let camp = Camp::before_the_gateway(front, issuer);
        Self { camp, neighbour, broker_port, before: BTreeMap::new(), leaks: Vec::new() }
    }

    /// Asks for all there is, while nobody else is there. Twice: the first time changes what is ours.
    fn sweep_before(&mut self) {
        for _ in 0..2 {
            for probe in self.sweeping() {
                let [(_, outcome), _] = self.camp.say_both(&probe, &probe, &mut self.neighbour);
                self.before.insert(probe.title, outcome);
            }
            self.neighbour.tidy();
        }
    }

    /// Asks for all there is again, and returns how often: before anything else changes what is ours.
    fn sweep(&mut self) -> usize {
        let before = self.neighbour.state();
        let probes = self.sweeping();
        probes.iter().for_each(|probe| self.probe(probe));
        self.neighbour.tidy();
        let after = self.neighbour.state();
        self.changed("who asks for all there is", &before, &after);
        probes.len()
    }

    fn sweeping(&self) -> Vec<Probe> {
        let rows = rows().iter().flat_map(|row| row.versions.clone().map(move |version| (row, version)));
        let probes =
            rows.flat_map(|(row, version)| probes(row, version, &self.neighbour).unwrap_or_default());
        let mut probes: Vec<_> = probes.filter(|probe| probe.verdict == Verdict::AsBefore).collect();
        // Lists come before what others make that would be on them.
        probes.sort_by_key(|probe| !probe.aims.is_empty());
        probes
    }

    /// Sends all other probes of an API, and returns how many.
    fn besiege(&mut self, row: &'static Row) -> usize {
        self.neighbour.tidy();
        let before = self.neighbour.state();
        let mut count = 0;
        for version in row.versions.clone() {
            let probes = match probes(row, version, &self.neighbour) {
                Ok(probes) => probes,
                Err(why) => {
                    self.leaks.push(why);
                    continue;
                }
            };
            for probe in probes.iter().filter(|probe| probe.verdict != Verdict::AsBefore) {
                count += 1;
                self.probe(probe);
            }
            // The next version finds nothing there as well.
            self.neighbour.tidy_topics(OWN_TOPIC);
        }
        let after = self.neighbour.state();
        self.changed(row.name, &before, &after);
        count
    }

    fn changed(&mut self, who: &str, before: &BTreeSet<String>, after: &BTreeSet<String>) {
        let gone = before.difference(after).map(|line| format!("{who} has changed: was {line}"));
        let new = after.difference(before).map(|line| format!("{who} has changed: is {line}"));
        self.leaks.extend(gone.chain(new));
    }

    /// Sends a probe, and the same about nowhere: also where only one of them counts, so that both have had the same.
    fn probe(&mut self, probe: &Probe) {
        let nowhere = probe.nowhere();
        let [(first, outcome), (second, other)] = self.camp.say_both(probe, &nowhere, &mut self.neighbour);
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
        self.await_what_is_made([(probe, &outcome), (&nowhere, &other)]);
    }

    /// Waits for topics that are made only because a request names them, sooner or later.
    fn await_what_is_made(&mut self, said: [(&Probe, &Outcome); 2]) {
        let names: Vec<_> = said.iter().flat_map(|(probe, outcome)| made_by(probe, outcome)).collect();
        for name in &names {
            self.neighbour.await_topic(&format!("{OURS}{name}"));
        }
        // Whether they are there is told by the members of every Streams group that names them.
        if said[0].0.key == ApiKey::StreamsGroupHeartbeat && !names.is_empty() {
            self.neighbour.tidy_topics(OWN_TOPIC);
            self.neighbour.tell_coordinators();
        }
    }
}

/// The names of the topics that a broker makes by itself for a request.
fn made_by(probe: &Probe, outcome: &Outcome) -> Vec<String> {
    let is_missing = |leaf: &Leaf| {
        leaf.path == "Status[].StatusCode" && leaf.value == LeafValue::Int(INTERNAL_TOPICS_ARE_MISSING)
    };
    let paths: &[&str] = match probe.key {
        ApiKey::Metadata if probe.version < 4 => &["Topics[].Name"],
        ApiKey::StreamsGroupHeartbeat
            if outcome.as_ref().is_some_and(|answer| answer.leaves.iter().any(is_missing)) =>
        {
            &[
                "Topology.Subtopologies[].StateChangelogTopics[].Name",
                "Topology.Subtopologies[].RepartitionSourceTopics[].Name",
            ]
        }
        _ => &[],
    };
    let name = |path: &&str| match probe.aims.get(*path) {
        Some(Aim::Text(name)) => Some(name.clone()),
        _ => None,
    };
    let is_made = |name: &String| !name.is_empty() && !INTERNAL_TOPICS.contains(&name.as_str());
    paths.iter().filter_map(name).filter(is_made).collect()
}

/// Of a Streams group that waits for topics of its own, which the broker makes.
const INTERNAL_TOPICS_ARE_MISSING: i64 = 3;
