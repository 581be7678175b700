//! All the ways to point at somebody else's things, for every field of a request that can.
//!
//! The list is made from the table of fields and from the grammar; nothing in it is written by hand.

use std::collections::BTreeMap;

use sluicegate::api::Row;
use sluicegate::wire::{ApiKey, Definition, Direction, Embedded, Field, FieldKind, grammar};
use uuid::Uuid;

use super::neighbour::Neighbour;
use super::unaimed::{goes_with_others, is_unaimed};
use crate::support::entities::{Entity, entities};
use crate::support::sense::{self, Aim, Aims};
use crate::support::words::is_within;

/// One request that tries to reach beyond the wall.
#[derive(Clone, Debug)]
pub struct Probe {
    pub key: ApiKey,
    pub version: i16,
    /// The field and what it says, for the report.
    pub title: String,
    pub aims: Aims,
    pub verdict: Verdict,
    /// What `ResourceType` or `KeyType` is, where the field means something else by it.
    pub of_type: Option<i64>,
    /// Whether something of our own comes first in the list that it aims into.
    pub beside_own: bool,
}

/// By what the answer is judged, beside its marks and what it has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What exists nowhere is answered in the same way.
    AsNowhere,
    /// It was answered in the same way before anybody was there.
    AsBefore,
    /// What it points at is not anybody's.
    Marks,
}

impl Probe {
    /// The same about things that exist nowhere.
    pub fn nowhere(&self) -> Self {
        let aims = self.aims.iter().map(|(path, aim)| (path.clone(), nowhere(aim))).collect();
        Self { aims, ..self.clone() }
    }

    /// Whether all that it aims at is what a member subscribes to, and is given by a later heartbeat only.
    pub fn is_told_later(&self) -> bool {
        let path = match self.key {
            ApiKey::ConsumerGroupHeartbeat => "SubscribedTopicRegex",
            ApiKey::ShareGroupHeartbeat => "SubscribedTopicNames[]",
            _ => return false,
        };
        let is_it = self.aims.len() == 1 && self.aims.contains_key(path);
        is_it && self.verdict != Verdict::AsBefore && !self.beside_own
    }

    /// Whether it speaks as a member of their live group.
    pub fn is_of_the_crew(&self) -> bool {
        self.aims
            .values()
            .any(|aim| matches!(aim, Aim::Text(text) if text.ends_with("crew") || text.ends_with("perj")))
    }
}

fn nowhere(aim: &Aim) -> Aim {
    match aim {
        Aim::Text(text) => Aim::Text(turned(text)),
        Aim::Topic(embedded, text) => Aim::Topic(*embedded, turned(text)),
        Aim::Uuid(uuid) => Aim::Uuid(Uuid::from_u128(!uuid.as_u128())),
        Aim::Int(_) | Aim::Null | Aim::Empty => aim.clone(),
    }
}

/// As long as the text, and nobody's name; what letters mean in a pattern is left.
pub fn turned(text: &str) -> String {
    let turn = |letter: char| match letter {
        'a'..='m' | 'A'..='M' => char::from(letter as u8 + 13),
        'n'..='z' | 'N'..='Z' => char::from(letter as u8 - 13),
        other => other,
    };
    for meant in ["User:", "\\A", "(?s)"] {
        if let Some(name) = text.strip_prefix(meant) {
            return format!("{meant}{}", turned(name));
        }
    }
    let (text, meant) = text.strip_suffix("\\z").map_or((text, ""), |text| (text, "\\z"));
    text.chars().map(turn).chain(meant.chars()).collect()
}

/// A probe of every kind for one API in one version; what cannot be aimed is told by its name.
pub fn probes(row: &Row, version: i16, neighbour: &Neighbour) -> Result<Vec<Probe>, String> {
    let key = row.key as i16;
    let probe = |title: String, aims: Aims, verdict, of_type| Probe {
        key: row.key,
        version,
        title: format!("{} v{version} {title}", row.name),
        aims,
        verdict,
        of_type,
        beside_own: false,
    };
    let definition = grammar().definition(key, Direction::Request).expect("it is served");
    let mut probes = Vec::new();
    // First what asks for all there is: what the others make of our own would be in it.
    for (path, aim) in sweeps(definition, key, version) {
        let title = format!("{path} is {aim:?}");
        probes.push(probe(title, BTreeMap::from([(path, aim)]), Verdict::AsBefore, None));
    }
    // Who names nothing asks for all there is, too.
    let names_nothing = entities(key, Direction::Request, version).next().is_none();
    let verdict = if names_nothing { Verdict::AsBefore } else { Verdict::Marks };
    probes.push(probe("as it is".to_owned(), Aims::new(), verdict, None));
    let mut ways: Vec<Vec<(&Entity, Way)>> = Vec::new();
    for entity in entities(key, Direction::Request, version) {
        let aims = ways_of(entity, neighbour);
        if aims.is_empty() && !is_unaimed(entity) {
            return Err(format!(
                "{} v{version} {}: nobody knows how to aim a {}",
                row.name, entity.path, entity.kind
            ));
        }
        for (place, way) in aims.into_iter().enumerate() {
            let aimed = BTreeMap::from([(entity.path.to_owned(), way.aim.clone())]);
            let title = format!("{} = {}", entity.path, way.title);
            let alone = probe(title, aimed, way.verdict, way.of_type);
            // One way of several is enough to see how two are put together, but ids are told in an order of their own.
            if way.verdict == Verdict::AsNowhere
                && entity.path.contains("[]")
                && entity.kind != "blob" // a member names each of its protocols once
                && row.key != ApiKey::WriteTxnMarkers // brokers count answers by producer, and here is one
                && (place == 0 || entity.kind == "topic_id")
            {
                let title = format!("{} beside our own", alone.title);
                probes.push(Probe { title, beside_own: true, ..alone.clone() });
            }
            probes.push(alone);
            if !goes_with_others(entity) {
                continue;
            }
            if ways.len() <= place {
                ways.push(Vec::new());
            }
            ways[place].push((entity, way));
        }
    }
    // All of it at once: what is behind one wrong name may show only by another.
    for (number, ways) in ways.into_iter().enumerate().filter(|(_, ways)| ways.len() > 1) {
        let of_type = ways.iter().find_map(|(_, way)| way.of_type);
        let aims = together(&ways);
        let verdict = ways.iter().map(|(_, way)| way.verdict).find(|verdict| *verdict != Verdict::Marks);
        probes.push(probe(format!("everything, {number}"), aims, verdict.unwrap_or(Verdict::Marks), of_type));
    }
    Ok(probes)
}

/// A name and an id of the same thing do not stand in one request.
fn together(ways: &[(&Entity, Way)]) -> Aims {
    let has_name = |id: &str| {
        let parent = id.rsplit_once('.').map(|(parent, _)| parent);
        ways.iter().any(|(entity, _)| {
            entity.kind == "topic_name" && entity.path.rsplit_once('.').map(|(parent, _)| parent) == parent
        })
    };
    ways.iter()
        .filter(|(entity, _)| entity.kind != "topic_id" || !has_name(entity.path))
        .map(|(entity, way)| (entity.path.to_owned(), way.aim.clone()))
        .collect()
}

/// One thing to say in a field.
struct Way {
    title: String,
    aim: Aim,
    verdict: Verdict,
    of_type: Option<i64>,
}

fn ways_of(entity: &Entity, neighbour: &Neighbour) -> Vec<Way> {
    let way =
        |of_type: Option<i64>, aim: Aim, verdict| Way { title: format!("{aim:?}"), aim, verdict, of_type };
    let texts = |of_type: Option<i64>, texts: &[&str]| -> Vec<Way> {
        let aim = |text: &&str| way(of_type, Aim::Text((*text).to_owned()), Verdict::AsNowhere);
        texts.iter().map(aim).collect()
    };
    let of_types = |lists: &[(i64, &[&str])]| -> Vec<Way> {
        lists.iter().flat_map(|(of_type, list)| texts(Some(*of_type), list)).collect()
    };
    let coordinator = entity.note.contains("KeyType=").then(|| {
        (0..3).find(|number| entity.note.contains(&format!("KeyType={number}"))).expect("it says which")
    });
    match entity.kind {
        "group_id" if coordinator == Some(2) => texts(Some(2), &["wvk-crew:AAAAAAAAAAAAAAAAAAAAAQ:0"]),
        "topic_name" => texts(None, TOPICS),
        "group_id" => texts(coordinator, GROUPS),
        "transactional_id" => texts(coordinator, TRANSACTIONS),
        "topic_id" => {
            neighbour.topic_ids.iter().map(|id| way(None, Aim::Uuid(*id), Verdict::AsNowhere)).collect()
        }
        "config_resource" => {
            let mut ways = of_types(&[
                (sense::TOPIC_CONFIGS, TOPICS),
                (sense::GROUP_CONFIGS, GROUPS),
                (sense::CLIENT_METRICS, &["wvk-gauges", "gauges"]),
            ]);
            let visible = [(sense::BROKER_CONFIGS, "1"), (sense::BROKER_CONFIGS, ""), (BROKER_LOGGERS, "1")];
            ways.extend(
                visible.map(|(of_type, name)| way(Some(of_type), Aim::Text(name.to_owned()), Verdict::Marks)),
            );
            ways
        }
        "resource_name" => of_types(&[
            (2, TOPICS),
            (3, GROUPS),
            (5, TRANSACTIONS),
            (7, &["User:tugboat", "tugboat"]),
            (4, &["kafka-cluster"]),
        ]),
        "principal" => texts(None, &["User:tugboat", "tugboat", "ANONYMOUS"]),
        "member_id" => texts(None, &[&neighbour.member]),
        "instance_id" => texts(None, &["wvk-statics", "statics"]),
        "cluster_id" => texts(None, &[&neighbour.cluster_id]),
        "regex" => {
            REGEXES.iter().map(|regex| way(None, Aim::Text((*regex).to_owned()), Verdict::Marks)).collect()
        }
        "node_id" => [0, 1, 2].map(|node| way(None, Aim::Int(node), Verdict::Marks)).into(),
        "blob" if entity.note.contains("Subscription bytes") => blobs(Embedded::Subscription),
        "blob" if entity.note.contains("Assignment bytes") => blobs(Embedded::Assignment),
        _ => Vec::new(),
    }
}

fn blobs(embedded: Embedded) -> Vec<Way> {
    let way = |topic: &&str| Way {
        title: format!("{embedded:?} {topic}"),
        aim: Aim::Topic(embedded, (*topic).to_owned()),
        verdict: Verdict::AsNowhere,
        of_type: None,
    };
    TOPICS.iter().map(way).collect()
}

/// Null and empty lists, and null names, wherever something is named: they may mean all there is.
fn sweeps(definition: &Definition, key: i16, version: i16) -> Vec<(String, Aim)> {
    fn collect(fields: &[Field], parent: &str, key: i16, version: i16, sweeps: &mut Vec<(String, Aim)>) {
        for field in fields.iter().filter(|field| field.versions.contains(version)) {
            let dot = if parent.is_empty() { "" } else { "." };
            let path = format!("{parent}{dot}{}", field.name);
            let names = entities(key, Direction::Request, version).any(|entity| {
                is_within(entity.path, &path) && entity.kind != "node_id" && !is_unaimed(entity)
            });
            let inner = if field.array { format!("{path}[]") } else { path.clone() };
            if names && field.nullable.contains(version) {
                sweeps.push((path.clone(), Aim::Null));
            }
            if names && field.array {
                sweeps.push((inner.clone(), Aim::Empty));
            } else if names && field.kind == FieldKind::Text {
                sweeps.push((path, Aim::Text(String::new())));
            }
            collect(&field.fields, &inner, key, version, sweeps);
        }
    }
    let mut sweeps = Vec::new();
    collect(&definition.fields, "", key, version, &mut sweeps);
    sweeps
}

/// As the backend calls it, as its owner does, with our own prefix; then one more, and one of nobody.
const TOPICS: &[&str] = &[
    "wvk-harbour",
    "harbour",
    "qzx-harbour",
    "wvk-quay",
    "barge",
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
];
const GROUPS: &[&str] = &[
    "wvk-anchors",
    "anchors",
    "qzx-anchors",
    "wvk-crew",
    "barge-hands",
    "wvk-flock",
    "wvk-shoal",
    "wvk-creek",
];
const TRANSACTIONS: &[&str] = &["wvk-voyage", "voyage", "qzx-voyage", "wvk-homeward", "barge-trip"];

const REGEXES: &[&str] =
    &[".*", "wvk-.*", "harbour", "a)|(.*", "x|.*", "^.*$", "(?s).*", "qzx-|wvk-.*", "\\Awvk-harbour\\z", ""];

const BROKER_LOGGERS: i64 = 8;
