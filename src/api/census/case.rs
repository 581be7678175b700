//! What a message is filled with, where the grammar leaves a choice.

use super::judge::NO_DOOR;
use super::register::{Meaning, Place};

/// One way to fill a message, and what it means for what comes out.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: &'static str,
    /// How many elements each array has.
    pub elements: usize,
    pub absent: Absent,
    pub acks: i64,
    pub key_type: i64,
    pub resource_type: i64,
    /// Whether authorized operations are asked for.
    pub operations: bool,
    pub error_code: i64,
    /// The ids of brokers, in turns.
    pub nodes: &'static [i64],
    /// Whether group members speak the consumer protocol.
    pub consumer_protocol: bool,
    /// Whether the client calls everything as it calls the additional topic.
    pub names_additional: bool,
    /// Whether the client calls all topics by their aliases.
    pub names_aliases: bool,
    /// Whether the ids in a request are those of another tenant's topics.
    pub ids_foreign: bool,
    /// Where a response names what is another tenant's; all other names are this one's.
    pub foreign: Option<(Place, String)>,
    /// Whether blobs are those of a request, and so in the client's names.
    pub blobs_of_request: bool,
}

/// Which nullable and tagged fields are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    Nothing,
    /// Topics go by their ids.
    Names,
    Everything,
}

impl Case {
    pub const TOPIC_CONFIGS: i64 = 2;
    pub const BROKER_CONFIGS: i64 = 4;
    pub const GROUP_CONFIGS: i64 = 32;

    pub const FULL: Case = Case {
        name: "everything is filled",
        elements: 2,
        absent: Absent::Nothing,
        acks: 1,
        key_type: 0,
        resource_type: Case::TOPIC_CONFIGS,
        operations: true,
        error_code: 0,
        nodes: &[1, 2],
        consumer_protocol: true,
        names_additional: false,
        names_aliases: false,
        ids_foreign: false,
        foreign: None,
        blobs_of_request: false,
    };

    pub fn is_foreign(&self, place: Place, path: &str) -> bool {
        self.foreign.as_ref().is_some_and(|(at, name)| (*at, name.as_str()) == (place, path))
    }

    /// The type of the resources that ACLs are about, which has numbers of its own.
    pub fn acl_resource_type(&self) -> i64 {
        if self.resource_type == Case::GROUP_CONFIGS { 3 } else { self.resource_type }
    }

    /// Whether a name is that of the additional topic, which is the same on both sides.
    pub fn is_additional(&self, meaning: Meaning) -> bool {
        self.names_additional && self.is_topic(meaning)
    }

    /// Whether a name is that of a topic that the client calls by an alias.
    pub fn is_alias(&self, meaning: Meaning) -> bool {
        self.names_aliases && self.is_topic(meaning)
    }

    fn is_topic(&self, meaning: Meaning) -> bool {
        match meaning {
            Meaning::Topic => true,
            Meaning::ConfigResource | Meaning::AclResource => self.resource_type == Case::TOPIC_CONFIGS,
            _ => false,
        }
    }

    /// Whether an answer may name no broker: there is an error, no broker, or no door to one.
    pub fn has_no_place(&self) -> bool {
        self.error_code != 0 || self.elements == 0 || self.nodes == NO_DOOR
    }
}

/// The cases of both directions.
pub fn cases() -> Vec<Case> {
    let full = Case::FULL;
    vec![
        full.clone(),
        Case { name: "nothing optional is there", absent: Absent::Everything, ..full.clone() },
        Case { name: "arrays are empty", elements: 0, ..full.clone() },
        Case { name: "topics go by id", absent: Absent::Names, ..full.clone() },
        Case { name: "keys are transactional ids", key_type: 1, ..full.clone() },
        Case { name: "configs are those of groups", resource_type: Case::GROUP_CONFIGS, ..full.clone() },
        Case { name: "operations are not asked for", operations: false, ..full.clone() },
        Case { name: "members speak another protocol", consumer_protocol: false, ..full },
    ]
}

/// The cases of a client that knows topics by their aliases.
pub fn alias_cases() -> Vec<Case> {
    let full = Case { name: "topics are called by aliases", names_aliases: true, ..Case::FULL };
    vec![
        Case { name: "topics go by the ids of aliases", absent: Absent::Names, ..full.clone() },
        Case { name: "all failed of topics that are called by aliases", error_code: 36, ..full.clone() },
        full,
    ]
}
