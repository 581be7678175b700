//! What the fields of Kafka's messages mean, by the table that the gateway itself is held against.

use std::collections::HashMap;
use std::sync::LazyLock;

use sluicegate::wire::{ApiKey, Direction};

/// What a field is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    Topic,
    TopicId,
    Group,
    TransactionalId,
    /// A topic, a group or something else, as the resource's type says.
    Resource,
    Member,
    Instance,
    Host,
    Port,
    ClusterId,
    ErrorText,
    ClientHost,
    Subscription,
    Assignment,
    Rack,
    Regex,
    Other,
}

/// Everything that a field can be in a version; more than one where another field decides.
pub fn meanings(key: ApiKey, direction: Direction, version: i16, path: &str) -> Vec<Meaning> {
    let place = (key as i16, direction == Direction::Request);
    let lines = TABLE.get(&place).map_or(&[][..], Vec::as_slice);
    lines
        .iter()
        .filter(|line| line.path == path && (line.first..=line.last).contains(&version))
        .map(|line| line.meaning)
        .collect()
}

struct Line {
    path: &'static str,
    first: i16,
    last: i16,
    meaning: Meaning,
}

static TABLE: LazyLock<HashMap<(i16, bool), Vec<Line>>> = LazyLock::new(|| {
    let mut table: HashMap<(i16, bool), Vec<Line>> = HashMap::new();
    for row in include_str!("../../../src/api/entity-fields.tsv").lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [key, _, direction, versions, path, kind, .., note] = columns[..] else {
            panic!("the table of fields has other columns: {row}")
        };
        let is_request = match direction {
            "request" => true,
            "response" => false,
            _ => continue,
        };
        let (first, last) = versions.split_once('-').unwrap_or((versions, versions));
        let number = |text: &str| text.parse::<i16>().expect("the table has numbers here");
        table.entry((number(key), is_request)).or_default().push(Line {
            path,
            first: number(first),
            last: number(last),
            meaning: meaning(kind, note),
        });
    }
    table
});

fn meaning(kind: &str, note: &str) -> Meaning {
    match kind {
        "topic_name" => Meaning::Topic,
        "topic_id" => Meaning::TopicId,
        "group_id" => Meaning::Group,
        "transactional_id" => Meaning::TransactionalId,
        "config_resource" => Meaning::Resource,
        "member_id" => Meaning::Member,
        "instance_id" => Meaning::Instance,
        "host" => Meaning::Host,
        "port" => Meaning::Port,
        "cluster_id" => Meaning::ClusterId,
        "error_message" => Meaning::ErrorText,
        "client_host" => Meaning::ClientHost,
        "rack" => Meaning::Rack,
        "regex" => Meaning::Regex,
        "blob" if note.contains("Subscription bytes") => Meaning::Subscription,
        "blob" if note.contains("Assignment bytes") => Meaning::Assignment,
        _ => Meaning::Other,
    }
}
