//! One round: everything that is served, in every version, with names of every standing; and conversations.
#![allow(clippy::disallowed_methods, reason = "it waits for a real broker, by the real clock")]

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use sluicegate::api::{Row, rows};
use sluicegate::wire::sample::{Leaf, LeafValue, leaves};
use sluicegate::wire::{ApiKey, Direction};
use uuid::Uuid;

use super::backstage::Backstage;
use super::differences::{About, Difference, Known, OUTCOME};
use super::generator::{Policy, Spelling, Symbol, request, spelled};
use super::ground::{Ground, Role, WAYS};
use super::names::{Kind, Names, OTHERS, STANDINGS};
use super::player::{Line, Outcome, Player};
use super::random::Random;
use super::tree::{Called, Node, Normal, tree};
use super::values::last;

/// What was played, and what was wrong with it.
#[derive(Default)]
pub struct Tally {
    pub cases: usize,
    /// How many there were, and how long they took.
    pub by_api: BTreeMap<&'static str, (usize, Duration)>,
    pub pairs: std::collections::BTreeSet<(i16, i16)>,
    pub failures: Vec<Failure>,
    /// Requests that were not answered in one world or both, however long one waited.
    pub unanswered: Vec<String>,
}

/// Answers that differ without being known to.
pub struct Failure {
    pub api: &'static str,
    pub version: i16,
    pub path: String,
    pub text: String,
}

/// One world, as far as this round knows it.
#[derive(Default)]
struct World {
    ids: HashMap<String, Uuid>,
    said: HashMap<&'static str, LeafValue>,
    called: Called,
}

/// A request that is about to be played.
pub struct Case {
    pub line: Line,
    pub key: ApiKey,
    pub version: i16,
    pub symbols: Vec<Symbol>,
    /// What of the answer is kept, under which word.
    pub takes: Vec<(&'static str, &'static str)>,
    /// What must stand in the answer, for which the request is said again and again.
    pub until: Option<&'static str>,
}

pub struct Round<'r> {
    pub seed: u64,
    pub random: Random,
    pub names: Names,
    pub other_topic: Uuid,
    /// Whether a conversation about topics goes on, which are left as they are until its end.
    pub keeps_topics: bool,
    player: Player<'r>,
    backstage: &'r mut Backstage,
    known: &'r Known,
    worlds: [World; 2],
    tally: &'r mut Tally,
    broker: &'r HashMap<i16, RangeInclusive<i16>>,
}

impl<'r> Round<'r> {
    pub fn begin(
        seed: u64,
        ground: &'r Ground,
        backstage: &'r mut Backstage,
        known: &'r Known,
        tally: &'r mut Tally,
        broker: &'r HashMap<i16, RangeInclusive<i16>>,
    ) -> Self {
        backstage.prepare(seed);
        let other_topic = backstage.all_topics()[OTHERS].0;
        let mut round = Self {
            seed,
            random: Random::seeded(seed),
            names: Names::of_round(seed),
            other_topic,
            keeps_topics: false,
            player: Player::new(ground),
            backstage,
            known,
            worlds: Default::default(),
            tally,
            broker,
        };
        round.learn_ids();
        round
    }

    pub fn end(self) {
        self.backstage.clear();
    }

    /// Plays each API in each version with names of each standing.
    pub fn play_all(&mut self) {
        for row in rows() {
            if self.known.unplayed(row.name).is_some() {
                continue;
            }
            for version in self.versions(row) {
                for standing in STANDINGS {
                    self.play_one(row, version, Policy::Mostly(standing));
                }
                self.play_one(row, version, Policy::Mixed);
            }
        }
    }

    /// The versions that we serve and this broker speaks.
    pub fn versions(&self, row: &Row) -> Vec<i16> {
        let spoken = self.broker.get(&(row.key as i16));
        let spoken = |version: &i16| spoken.is_some_and(|spoken| spoken.contains(version));
        row.versions.clone().filter(spoken).collect()
    }

    fn play_one(&mut self, row: &Row, version: i16, policy: Policy) {
        self.begin_conversation();
        let roles = [Role::User; 7].into_iter().chain([Role::Owner, Role::Operator, Role::Nobody]);
        let roles: Vec<Role> =
            roles.filter(|role| !is_dangerous(row.key) || *role != Role::Operator).collect();
        let role = self.random.pick(&roles);
        self.names.for_operator = role == Role::Operator;
        let kinds = [Kind::Topic, Kind::Topic, Kind::Group, Kind::TransactionalId];
        let about = self.random.pick(&kinds);
        let mut make = || {
            let place = (&mut self.random, &mut self.names);
            request(place, (row.key, version), (policy, about), &[], self.other_topic)
        };
        let mut symbols = make();
        while is_never_answered(row.key, version, &symbols) {
            symbols = make();
        }
        let line = Line { role, lane: 0 };
        let takes = match row.key {
            ApiKey::JoinGroup => vec![("member", "MemberId")],
            _ => Vec::new(),
        };
        self.play(&Case { line, key: row.key, version, symbols, takes, until: None });
        self.leave();
    }

    /// Has everybody leave who has joined a group in passing.
    fn leave(&mut self) {
        for (way, world) in WAYS.into_iter().zip(&mut self.worlds) {
            let (member, group) = (world.said.remove("member"), world.said.remove("group"));
            if let (Some(LeafValue::Text(member)), Some(LeafValue::Text(group))) = (member, group)
                && !member.is_empty()
            {
                self.backstage.leave(&format!("{}{group}", way.prefix()), &member);
            }
        }
    }

    /// Plays a case in both worlds, and notes where they differ.
    pub fn play(&mut self, case: &Case) {
        let Case { line, key, version, .. } = *case;
        let name = rows().iter().find(|row| row.key == key).map_or("", |row| row.name);
        let mut bodies = [0, 1].map(|world| self.spelled(case, world));
        let begin = Instant::now();
        let mut outcomes = self.player.play(line, key, version, &bodies);
        self.ask_again(case, &mut bodies, &mut outcomes);
        self.tally.cases += 1;
        self.tally.pairs.insert((key as i16, version));
        let said = bodies.each_ref().map(|body| {
            leaves(key as i16, Direction::Request, version, body)
                .expect("the request was made by the grammar")
        });
        for (world, (body, outcome)) in bodies.iter().zip(&outcomes).enumerate() {
            self.take(case, world, body, outcome);
        }
        if outcomes.contains(&Outcome::Nothing) {
            self.tally.unanswered.push(format!("{name} v{version}: {:?}", said[0]));
        }
        let about = About { api: name, version, role: line.role, request: &said[0] };
        let (trees, unknown) = self.compare(&about, key, &said, &outcomes);
        if let Some(first) = unknown.first() {
            let text = self.failure(&about, &said[1], &trees, &unknown);
            self.fail(name, version, first.path.clone(), text);
        }
        if changes_topics(key, version, &said, &outcomes)
            && let Err(differs) = self.settle(&outcomes.each_ref().map(|outcome| made(key, version, outcome)))
        {
            let text = self.failure(&about, &said[1], &trees, &[]);
            self.fail(name, version, "(topics afterwards)".to_owned(), format!("{text}{differs}\n"));
        }
        let (count, time) = self.tally.by_api.entry(name).or_default();
        *count += 1;
        *time += begin.elapsed();
    }

    fn spelled(&self, case: &Case, world: usize) -> Vec<u8> {
        let World { ids, said, .. } = &self.worlds[world];
        spelled(case.key, case.version, &case.symbols, &Spelling { ids, said })
    }

    /// Asks on where the answer is: not yet. Where it stays so, it is the answer.
    fn ask_again(&mut self, case: &Case, bodies: &mut [Vec<u8>; 2], outcomes: &mut [Outcome; 2]) {
        let Case { line, key, version, .. } = *case;
        for _ in 0..100 {
            let passing = [0, 1].map(|place: usize| is_passing(case, &bodies[place], &outcomes[place]));
            if passing == [false, false] {
                break;
            }
            std::thread::sleep(Duration::from_millis(30));
            for (place, way) in WAYS.into_iter().enumerate().filter(|(place, _)| passing[*place]) {
                if case.until.is_some() {
                    self.take(case, place, &bodies[place], &outcomes[place]);
                    bodies[place] = self.spelled(case, place);
                }
                outcomes[place] = self.player.play_again(line, way, key, version, &bodies[place]);
            }
        }
    }

    fn fail(&mut self, api: &'static str, version: i16, path: String, text: String) {
        self.tally.failures.push(Failure { api, version, path, text });
    }

    /// Keeps of an answer what later requests stand on.
    fn take(&mut self, case: &Case, world: usize, body: &[u8], outcome: &Outcome) {
        let world = &mut self.worlds[world];
        let said = leaves(case.key as i16, Direction::Request, case.version, body).unwrap_or_default();
        if let Some(group) = said.into_iter().find(|leaf| leaf.path == "GroupId") {
            world.said.insert("group", group.value);
        }
        let Outcome::Answer(body) = outcome else { return };
        let found = leaves(case.key as i16, Direction::Response, case.version, body).unwrap_or_default();
        for (word, path) in &case.takes {
            if let Some(leaf) = found.iter().find(|leaf| leaf.path == *path) {
                world.said.insert(word, leaf.value.clone());
            }
        }
    }

    fn compare(
        &mut self,
        about: &About<'_>,
        key: ApiKey,
        said: &[Vec<Leaf>; 2],
        outcomes: &[Outcome; 2],
    ) -> ([Node; 2], Vec<Difference>) {
        let mut trees = [0, 1].map(|_| Node::Word("closed".to_owned()));
        for (place, way) in WAYS.into_iter().enumerate() {
            trees[place] = match &outcomes[place] {
                Outcome::Closed => continue,
                Outcome::Silence => Node::Word("silence".to_owned()),
                Outcome::Nothing => Node::Word("nothing".to_owned()),
                Outcome::Answer(body) => match tree(key, Direction::Response, about.version, body) {
                    Ok(raw) => {
                        if self.has_new_ids(&raw, place) {
                            self.backstage.pass_barrier();
                            self.learn_ids();
                        }
                        let said: Vec<LeafValue> =
                            said[place].iter().map(|leaf| leaf.value.clone()).collect();
                        let called = &mut self.worlds[place].called;
                        let mut normal = Normal { key, version: about.version, way, called, said: &said };
                        normal.node(&raw, "")
                    }
                    Err(malformed) => Node::Word(format!("malformed: {malformed}")),
                },
            };
        }
        let [reference, gateway] = &trees;
        let both_answer = [reference, gateway].iter().all(|node| matches!(node, Node::Structure(_)));
        if both_answer || reference == gateway {
            let unknown = self.known.unknown(reference, gateway, about);
            return (trees, unknown);
        }
        let brief = |node: &Node| match node {
            Node::Structure(_) => "<answer>".to_owned(),
            other => format!("{other:?}"),
        };
        let difference = Difference {
            path: OUTCOME.to_owned(),
            place: OUTCOME.to_owned(),
            reference: brief(reference),
            gateway: brief(gateway),
        };
        let unknown = if self.known.explains(&difference, about) { Vec::new() } else { vec![difference] };
        (trees, unknown)
    }

    fn has_new_ids(&self, node: &Node, world: usize) -> bool {
        match node {
            Node::Structure(fields) => fields.iter().any(|(_, node)| self.has_new_ids(node, world)),
            Node::Array(elements) => elements.iter().any(|node| self.has_new_ids(node, world)),
            Node::Leaf(LeafValue::Uuid(id)) => {
                !id.is_nil() && !self.worlds[world].called.names.contains_key(id)
            }
            _ => false,
        }
    }

    /// Which ids the topics of both worlds have.
    fn learn_ids(&mut self) {
        let all = self.backstage.all_topics();
        let both = self.backstage.topics();
        for (world, topics) in self.worlds.iter_mut().zip(both) {
            for (name, (id, _)) in &all {
                world.called.names.insert(*id, format!("{name}, elsewhere"));
            }
            for (name, (id, _)) in &topics {
                world.called.names.insert(*id, name.clone());
            }
            world.ids = topics.into_iter().map(|(name, (id, _))| (name, id)).collect();
        }
    }

    /// Waits until what was said about topics has been done, these being made among it, and undoes it.
    fn settle(&mut self, made: &[Vec<String>; 2]) -> Result<(), String> {
        self.backstage.await_topics(made);
        let restored = if self.keeps_topics {
            self.backstage.pass_barrier();
            Ok(())
        } else {
            self.backstage.restore(self.seed)
        };
        self.learn_ids();
        restored
    }

    /// Undoes what a conversation has done to topics.
    pub fn tidy_topics(&mut self) {
        if let Err(differs) = self.settle(&Default::default()) {
            let text = format!("a conversation about topics, in round {}: {differs}\n", self.seed);
            self.fail("CreateTopics", 0, "(topics afterwards)".to_owned(), text);
        }
    }

    /// Begins a conversation: members and producers of the one before mean nothing in it.
    pub fn begin_conversation(&mut self) {
        for world in &mut self.worlds {
            world.said.clear();
            world.called.forget();
        }
    }

    fn failure(
        &self,
        about: &About<'_>,
        gateway_request: &[Leaf],
        trees: &[Node; 2],
        unknown: &[Difference],
    ) -> String {
        let mut text =
            format!("{} v{} as {:?}, in round {}\n", about.api, about.version, about.role, self.seed);
        for (leaf, other) in about.request.iter().zip(gateway_request) {
            let _ = writeln!(text, "  request    {} = {}", leaf.path, shown(leaf));
            if leaf != other {
                let _ = writeln!(text, "     gateway {} = {}", other.path, shown(other));
            }
        }
        let _ = writeln!(text, "  reference  {:?}\n  gateway    {:?}", trees[0], trees[1]);
        for Difference { place, reference, gateway, .. } in unknown {
            let _ = writeln!(text, "  at {place}: {reference} and {gateway}");
        }
        let _ = writeln!(text, "  again: scripts/differential --seed {}", self.seed);
        text
    }
}

fn shown(leaf: &Leaf) -> String {
    format!("{:?}", Node::Leaf(leaf.value.clone()))
}

/// Whether brokers fail inside themselves upon a request, and leave it at that: AlterConfigs with one resource twice.
fn is_never_answered(key: ApiKey, version: i16, symbols: &[Symbol]) -> bool {
    if key != ApiKey::AlterConfigs {
        return false;
    }
    let nobody = World::default();
    let body = spelled(key, version, symbols, &Spelling { ids: &nobody.ids, said: &nobody.said });
    let said = leaves(key as i16, Direction::Request, version, &body).unwrap_or_default();
    let of = |path| said.iter().filter(move |leaf| leaf.path == path).map(|leaf| &leaf.value);
    // What is no type is one type to them, whatever its number.
    let types = of("Resources[].ResourceType").map(|found| match found {
        LeafValue::Int(found @ (2 | 4 | 8 | 16 | 32)) => *found,
        _ => 0,
    });
    let resources: Vec<_> = types.zip(of("Resources[].ResourceName")).collect();
    resources.iter().enumerate().any(|(place, resource)| resources[..place].contains(resource))
}

/// Whether an answer says: not yet. A client asks again then, and so do we.
fn is_passing(case: &Case, request: &[u8], outcome: &Outcome) -> bool {
    let Outcome::Answer(body) = outcome else { return false };
    let found = leaves(case.key as i16, Direction::Response, case.version, body).unwrap_or_default();
    let is_done = found.iter().any(|leaf| leaf.path == "ErrorCode" && leaf.value == LeafValue::Int(0));
    let lacks = |path: &str| is_done && found.iter().all(|leaf| !leaf.path.starts_with(path));
    if case.until.is_some_and(lacks) {
        return true;
    }
    let is_passing_state = |leaf: &Leaf| match &leaf.value {
        LeafValue::Text(state) => ["PrepareCommit", "PrepareAbort"].contains(&state.as_str()),
        LeafValue::Int(code) => last(&leaf.path) == "ErrorCode" && [14, 15, 16, 51, 88].contains(code),
        _ => false,
    };
    match case.key {
        ApiKey::ShareFetch => {
            // Partitions of which a share group does not yet know where it stands are left out.
            let said = leaves(case.key as i16, Direction::Request, case.version, request).unwrap_or_default();
            let opens = |leaf: &Leaf| leaf.path == "ShareSessionEpoch" && leaf.value == LeafValue::Int(0);
            let names = |leaf: &Leaf| leaf.path.starts_with("Topics[].Partitions[]");
            said.iter().any(opens) && said.iter().any(names) && lacks("Responses[]")
        }
        _ => found.iter().any(is_passing_state),
    }
}

/// The topics that are being made when Metadata says so, each by its name in this world.
fn made(key: ApiKey, version: i16, outcome: &Outcome) -> Vec<String> {
    let (ApiKey::Metadata, Outcome::Answer(body)) = (key, outcome) else { return Vec::new() };
    let found = leaves(key as i16, Direction::Response, version, body).unwrap_or_default();
    let mut made = Vec::new();
    let mut codes = found.iter().filter(|leaf| leaf.path == "Topics[].ErrorCode");
    for name in found.iter().filter(|leaf| leaf.path == "Topics[].Name") {
        let code = codes.next().map(|leaf| &leaf.value);
        if let (LeafValue::Text(name), Some(LeafValue::Int(NOT_THERE | NO_LEADER))) = (&name.value, code) {
            made.push(name.clone());
        }
    }
    made
}

/// Whether topics may be others after it: made, gone, altered, or with more partitions.
fn changes_topics(key: ApiKey, version: i16, said: &[Vec<Leaf>; 2], outcomes: &[Outcome; 2]) -> bool {
    // A topic that Metadata makes is not there yet when it says so.
    let codes: &[i64] = match key {
        ApiKey::Metadata => &[NOT_THERE, NO_LEADER],
        ApiKey::CreateTopics
        | ApiKey::DeleteTopics
        | ApiKey::CreatePartitions
        | ApiKey::AlterConfigs
        | ApiKey::IncrementalAlterConfigs => &[DONE, LATE],
        _ => return false,
    };
    let only_asks = |leaf: &Leaf| match leaf.path.as_str() {
        "AllowAutoTopicCreation" => leaf.value == LeafValue::Int(0),
        "validateOnly" | "ValidateOnly" => leaf.value == LeafValue::Int(1),
        _ => false,
    };
    if said[0].iter().any(only_asks) {
        return false;
    }
    outcomes.iter().any(|outcome| {
        let Outcome::Answer(body) = outcome else { return true };
        let found = leaves(key as i16, Direction::Response, version, body).unwrap_or_default();
        found.iter().any(|leaf| {
            last(&leaf.path) == "ErrorCode"
                && matches!(leaf.value, LeafValue::Int(code) if codes.contains(&code))
        })
    })
}

const DONE: i64 = 0;
const NOT_THERE: i64 = 3;
const NO_LEADER: i64 = 5;
const LATE: i64 = 7;

/// Whether it would change the cluster under both worlds when somebody plays it who may.
fn is_dangerous(key: ApiKey) -> bool {
    matches!(
        key,
        ApiKey::CreateAcls
            | ApiKey::DeleteAcls
            | ApiKey::ElectLeaders
            | ApiKey::AlterPartitionReassignments
            | ApiKey::AlterConfigs
            | ApiKey::IncrementalAlterConfigs
            | ApiKey::AlterClientQuotas
            | ApiKey::AlterUserScramCredentials
            | ApiKey::UpdateFeatures
            | ApiKey::UnregisterBroker
            | ApiKey::AddRaftVoter
            | ApiKey::RemoveRaftVoter
            | ApiKey::WriteTxnMarkers
            | ApiKey::CreateDelegationToken
            | ApiKey::RenewDelegationToken
            | ApiKey::ExpireDelegationToken
    )
}
