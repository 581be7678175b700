//! Every field of Kafka's messages that names something, as the table beside the APIs has it.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use sluicegate::wire::Direction;

/// A field that can name something, in the versions that have it.
pub struct Entity {
    pub key: i16,
    pub direction: Direction,
    pub versions: RangeInclusive<i16>,
    /// As the grammar spells it: `Topics[].Name`.
    pub path: &'static str,
    /// What it names: `topic_name`, `group_id`, `host`, …
    pub kind: &'static str,
    pub note: &'static str,
}

/// The fields of one message in one version.
pub fn entities(key: i16, direction: Direction, version: i16) -> impl Iterator<Item = &'static Entity> {
    static TABLE: LazyLock<Vec<Entity>> = LazyLock::new(|| {
        include_str!("../../src/api/entity-fields.tsv").lines().filter_map(entity).collect()
    });
    TABLE.iter().filter(move |entity| {
        entity.key == key && entity.direction == direction && entity.versions.contains(&version)
    })
}

/// `None` for the head of the table and for what stands inside blobs.
fn entity(line: &'static str) -> Option<Entity> {
    let columns: Vec<_> = line.split('\t').collect();
    let &[key, _, direction, versions, path, kind, _, _, _, note] = &columns[..] else {
        panic!("the table has ten columns: {line}");
    };
    let direction = match direction {
        "request" => Direction::Request,
        "response" => Direction::Response,
        _ => return None,
    };
    let (first, last) = versions.split_once('-').unwrap_or((versions, versions));
    let number = |text: &str| text.parse::<i16>().expect("versions are numbers");
    let key = key.parse().expect("a key is a number");
    Some(Entity { key, direction, versions: number(first)..=number(last), path, kind, note })
}
