//! The walls between tenants, on the way back: whatever a broker says, a client is told of nothing but its own.
//!
//! For every served API, version and field of an answer that can name something, the broker answers a plain question
//! about own things with a message in which that one field is somebody else's, and everything else is right. The list
//! is made from the table of fields.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sluicegate::api::{Row, rows};
use sluicegate::wire::Direction;
use sluicegate::wire::sample::{Filler, Leaf, LeafValue, body};
use uuid::Uuid;

use crate::support::broker::topic_id;
use crate::support::client::Client;
use crate::support::entities::{Entity, entities};
use crate::support::sense::{self, Aims, Own, assignment, subscription};
use crate::support::stage::Stage;
use crate::support::walled;
use crate::support::words::{Answer, ask_body, is_within};

const OURS: &str = "qzx-";
const THEIR_TOPIC: &str = "wvk-harbour";
/// In an element that bears somebody else's name all that is said is theirs.
const THEIR_TEXT: &str = "cargo";
const THEIR_NUMBER: i64 = 0x5ec2_675e_4d4f;
const BACKEND_HOST: &str = "10.99.98.97";
const BACKEND_PORT: i64 = 0x5eed;
const BACKEND_CLUSTER: &str = "backend-cluster";
const BACKEND_OPERATIONS: i64 = 0x5a5a_5a5a;
/// A broker that clients have no address of.
const HIDDEN_NODE: i64 = 4242;

/// What no client may be told.
const MARKS: &[&str] =
    &[OURS, "wvk-", "harbour", "tugboat", BACKEND_CLUSTER, BACKEND_HOST, "127.0.0.1", THEIR_TEXT];

/// Kinds of fields that say nothing of anybody else, and why.
const PASSES: &[(&str, &str)] = &[
    ("node_id", "the brokers are shown to everybody; only their addresses are ours"),
    ("rack", "as the brokers' ids"),
    ("member_id", "it stands beside the members of one's own group"),
    ("instance_id", "as a member's id"),
    ("client_id", "as a member's id"),
    ("acl_host", "an address of a client, and none of a broker"),
    ("app_endpoint", "the address of the client's own application"),
];

#[test]
fn a_client_is_told_of_nothing_but_its_own() {
    let stage = Stage::start_with(1, |setup, _| {
        setup.tenant().namespace = format!("{{mode: hide_prefix, prefix: \"{OURS}\"}}");
        setup.tenant().more.extend(walled::lines());
        setup.tenant().mapping = "advertised_host: localhost, min_broker_id: 1".to_owned();
    });
    stage.broker().has_topics(&[&format!("{OURS}orders"), THEIR_TOPIC]);
    let client = stage.log_in("some-app");
    let mut walls = Walls { stage, client, script: Arc::default(), complaints: Vec::new() };
    let mut report = Vec::new();
    for row in rows().iter().filter(|row| walled::is_offered(row)) {
        walls.script(row);
        let count: usize = row.versions.clone().map(|version| walls.besiege(row, version)).sum();
        report.push(format!("{} {count}", row.name));
    }
    println!("probes: {}; complaints: {}", report.join(", "), walls.complaints.len());
    assert!(walls.complaints.is_empty(), "{}", walls.complaints.join("\n"));
}

struct Walls {
    stage: Stage,
    client: Client,
    script: Arc<Mutex<Script>>,
    complaints: Vec<String>,
}

/// What the broker is to say, and whether it has.
#[derive(Default)]
struct Script {
    variant: Variant,
    said: bool,
    aimed: bool,
}

/// One way to put somebody else's into an answer.
#[derive(Clone, Copy, Default)]
struct Variant {
    field: Option<&'static Entity>,
    of_type: Option<i64>,
    code: i64,
    node: Option<i64>,
}

impl Walls {
    /// Has the broker answer an API by what stands in the script.
    fn script(&self, row: &'static Row) {
        let (script, port) = (self.script.clone(), self.stage.broker().port());
        self.stage.broker().on_clients_key(row.key, move |asked| {
            let mut script = lock(&script);
            let variant = script.variant;
            let mut answer =
                Answering { key: row.key as i16, version: asked.version(), port, variant, aimed: false };
            let body = body(row.key as i16, Direction::Response, asked.version(), &mut answer);
            script.said = true;
            script.aimed = answer.aimed;
            asked.reply_with_body(&body.expect("the broker was asked in a version that it has"))
        });
    }

    /// Probes all fields of an API's answers in one version, and returns how many ways there were.
    fn besiege(&mut self, row: &'static Row, version: i16) -> usize {
        let title = format!("{} v{version}", row.name);
        let (plain, script) = self.ask(row, version, Variant::default());
        if !script.said {
            return 0; // the gateway answers by itself
        }
        if let Err(why) = plain {
            self.complaints.push(format!("{title}: a plain answer {why}"));
        }
        let upstream = (row.upstream_version)(version);
        let fields = entities(row.key as i16, Direction::Response, upstream);
        let fields = fields.filter(|field| !PASSES.iter().any(|(kind, _)| *kind == field.kind));
        let variants: Vec<_> = fields.flat_map(variants).collect();
        for variant in &variants {
            let (outcome, script) = self.ask(row, version, *variant);
            let Entity { path, kind, .. } = variant.field.expect("variants are those of fields");
            if script.said && !script.aimed {
                self.complaints.push(format!("{title} {path}: nobody knows how to aim a {kind}"));
            }
            if let Err(why) = outcome {
                self.complaints.push(format!("{title} {path}: an answer {why}"));
            }
        }
        variants.len()
    }

    /// Asks a plain question, and says what is wrong with its answer.
    fn ask(&mut self, row: &Row, version: i16, variant: Variant) -> (Result<(), String>, Script) {
        *lock(&self.script) = Script { variant, ..Script::default() };
        let request = sense::request(row.key, version, &own(), &Aims::new(), variant.of_type);
        let answer = ask_body(&mut self.client, row.key as i16, version, &request.body);
        if answer.is_none() {
            self.client = self.stage.log_in("some-app");
        }
        let outcome = match (&answer, variant.field) {
            (Some(answer), _) => tells_nothing(answer, self.stage.broker().port()),
            (None, None) => Err("ends the connection".to_owned()),
            (None, Some(_)) => Ok(()), // then nothing is told
        };
        (outcome, std::mem::take(&mut *lock(&self.script)))
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

fn variants(field: &'static Entity) -> Vec<Variant> {
    let plain = Variant { field: Some(field), ..Variant::default() };
    match field.kind {
        "config_resource" => [2, 16, 32].map(|of_type| Variant { of_type: Some(of_type), ..plain }).into(),
        "resource_name" => [2, 3, 5].map(|of_type| Variant { of_type: Some(of_type), ..plain }).into(),
        "error_message" => [0, 36].map(|code| Variant { code, ..plain }).into(),
        "host" | "port" => [None, Some(HIDDEN_NODE)].map(|node| Variant { node, ..plain }).into(),
        _ => vec![plain],
    }
}

fn tells_nothing(answer: &Answer, broker_port: u16) -> Result<(), String> {
    let has = |bytes: &[u8]| answer.frame.windows(bytes.len()).any(|window| window == bytes);
    if let Some(mark) = MARKS.iter().find(|mark| has(mark.as_bytes())) {
        return Err(format!("tells of {mark}"));
    }
    if has(topic_id(THEIR_TOPIC).as_bytes()) {
        return Err("tells of their topic's id".to_owned());
    }
    // Also where a field has only half of its bytes.
    let is_theirs =
        |leaf: &&Leaf| [THEIR_NUMBER, THEIR_NUMBER & 0xffff_ffff].map(LeafValue::Int).contains(&leaf.value);
    if let Some(leaf) = answer.leaves.iter().find(is_theirs) {
        return Err(format!("has their {}", leaf.path));
    }
    let is_of_the_backend = |leaf: &&Leaf| match leaf.value {
        LeafValue::Int(port) if leaf.path.ends_with("Port") => {
            port == BACKEND_PORT || port == i64::from(broker_port)
        }
        LeafValue::Int(operations) => operations == BACKEND_OPERATIONS,
        _ => false,
    };
    match answer.leaves.iter().find(is_of_the_backend) {
        Some(leaf) => Err(format!("has the backend's {}", leaf.path)),
        None => Ok(()),
    }
}

fn own() -> Own {
    Own {
        topic: "orders".to_owned(),
        topic_id: topic_id(&format!("{OURS}orders")),
        group: "readers".to_owned(),
        joiners: "readers".to_owned(),
        spare: "orders".to_owned(),
        transaction: "till".to_owned(),
        producer: (7, 0),
        member: "member-1".to_owned(),
        generation: 1,
        is_member: false,
        log_dir: "/logs".to_owned(),
        new_member: "member-2".to_owned(),
    }
}

/// A broker's answer about our own things, but for one field.
struct Answering {
    key: i16,
    version: i16,
    port: u16,
    variant: Variant,
    /// Whether the field was there.
    aimed: bool,
}

impl Answering {
    fn kind(&self, path: &str) -> Option<&'static str> {
        let mut entities = entities(self.key, Direction::Response, self.version);
        entities.find(|entity| entity.path == path).map(|entity| entity.kind)
    }

    /// Whether it is the field; what names the same thing beside it is somebody else's as well.
    fn aims(&mut self, path: &str) -> bool {
        let Some(field) = self.variant.field else { return false };
        let is_topic = |kind: Option<&str>| matches!(kind, Some("topic_name" | "topic_id"));
        let is_it = field.path == path;
        self.aimed |= is_it;
        is_it || is_topic(Some(field.kind)) && is_topic(self.kind(path)) && parent(path) == parent(field.path)
    }

    /// Whether something is said of the thing that the field names, and only of that.
    fn is_theirs(&self, path: &str) -> bool {
        const NAMES: &[&str] =
            &["topic_name", "topic_id", "group_id", "transactional_id", "resource_name", "config_resource"];
        self.variant.field.is_some_and(|field| {
            // A list of mere names says nothing beside them.
            NAMES.contains(&field.kind)
                && !field.path.ends_with("[]")
                && parent(field.path).is_some_and(|of| is_within(path, of))
        })
    }
}

fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('.').map(|(parent, _)| parent)
}

impl Filler for Answering {
    fn text(&mut self, path: &str) -> String {
        let aims = self.aims(path);
        let own = |name: &str| format!("{OURS}{name}");
        match self.kind(path) {
            Some("topic_name" | "group_id" | "transactional_id" | "config_resource" | "resource_name")
                if aims =>
            {
                THEIR_TOPIC.to_owned()
            }
            Some("topic_name" | "config_resource" | "resource_name") => own("orders"),
            Some("group_id") => own("readers"),
            Some("transactional_id") => own("till"),
            Some("principal") if aims => "User:tugboat".to_owned(),
            Some("principal") => "User:some-app".to_owned(),
            Some("regex") if aims => "wvk-.*".to_owned(),
            Some("regex") => format!("{OURS}(?:.*)"),
            Some("host" | "client_host" | "log_dir") if aims => BACKEND_HOST.to_owned(),
            Some("host" | "client_host" | "log_dir") => "127.0.0.1".to_owned(),
            Some("cluster_id") => BACKEND_CLUSTER.to_owned(),
            Some("error_message") if aims => format!("{OURS}orders, {THEIR_TOPIC} at {BACKEND_HOST}"),
            Some("error_message") => "it failed".to_owned(),
            Some("member_id") => "member-1".to_owned(),
            Some(_) => {
                self.aimed &= !aims;
                "word".to_owned()
            }
            None if path.ends_with("ProtocolType") => "consumer".to_owned(),
            None if self.is_theirs(path) => THEIR_TEXT.to_owned(),
            None => "word".to_owned(),
        }
    }

    fn uuid(&mut self, path: &str) -> Uuid {
        let aims = self.aims(path);
        match self.kind(path) {
            Some("topic_id") if aims => topic_id(THEIR_TOPIC),
            Some("topic_id") => topic_id(&format!("{OURS}orders")),
            _ => Uuid::nil(),
        }
    }

    fn bytes(&mut self, path: &str) -> Vec<u8> {
        let aims = self.aims(path);
        let topic = if aims { THEIR_TOPIC.to_owned() } else { format!("{OURS}orders") };
        let mut entities = entities(self.key, Direction::Response, self.version);
        match entities.find(|entity| entity.path == path).map(|entity| entity.note) {
            Some(note) if note.contains("Subscription bytes") => subscription(&topic),
            Some(note) if note.contains("Assignment bytes") => assignment(&topic),
            _ if self.is_theirs(path) => THEIR_TEXT.as_bytes().to_vec(),
            _ => {
                self.aimed &= !aims;
                Vec::new()
            }
        }
    }

    fn int(&mut self, path: &str) -> i64 {
        let aims = self.aims(path);
        let name = path.rsplit('.').next().unwrap_or(path);
        match self.kind(path) {
            Some("node_id") => return self.variant.node.unwrap_or(1),
            Some("port") if aims => return BACKEND_PORT,
            Some("port") => return self.port.into(),
            Some("authorized_ops") => return BACKEND_OPERATIONS,
            _ => {}
        }
        match name {
            "ResourceType" => self.variant.of_type.unwrap_or(2),
            "PatternType" => 3,
            _ if name.ends_with("ErrorCode") => self.variant.code,
            _ if self.is_theirs(path) => THEIR_NUMBER,
            _ => 0,
        }
    }
}
