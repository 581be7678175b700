//! Fills every field of a message with a marker of its own.

use uuid::Uuid;

use super::case::{Absent, Case};
use super::register::{Meaning, Place, Register};
use crate::cluster::TopicIds;
use crate::wire::sample::{self, Filler};
use crate::wire::{ApiKey, Direction, Embedded};

/// Words that stand for the backend; none of them may be seen by a client.
pub const OWN_PREFIX: &str = "my-";
pub const FOREIGN_PREFIX: &str = "their-";
pub const BACKEND_HOST: &str = "backend-host";
pub const BACKEND_CLUSTER: &str = "backend-cluster";
pub const BACKEND_PORT: i64 = 0x5eed;
pub const BACKEND_OPERATIONS: i64 = 0x5a5a_5a5a;

/// What stands on the backend before the name by which the client calls a topic that has an alias.
pub const ALIASED_PREFIX: &str = "my-real-";
/// More markers than a message has.
pub const MARKERS_MAX: usize = 150;

/// The id that a message is given in its place.
pub fn marker(is_request: bool, place: usize) -> Uuid {
    let direction = if is_request { 0x1d_0000 } else { 0x2d_0000 };
    Uuid::from_u128(direction + place as u128)
}

/// The id that a topic has under the alias of a place.
pub fn alias_id(topic: Uuid, place: usize) -> Uuid {
    TopicIds::default().learn_alias(topic, &format!("n{place}"))
}

/// DescribeAcls, CreateAcls, DeleteAcls.
pub const ACLS: [i16; 3] = [29, 30, 31];

/// Fills one message, or a blob in one.
pub struct Markers<'a> {
    register: &'a Register,
    place: Place,
    version: i16,
    case: &'a Case,
    /// How many markers were made; each has its number in it.
    made: usize,
    nodes_made: usize,
}

impl<'a> Markers<'a> {
    pub fn of(register: &'a Register, place: Place, version: i16, case: &'a Case) -> Self {
        Self { register, place, version, case, made: 0, nodes_made: 0 }
    }

    fn meaning(&self, path: &str) -> Option<Meaning> {
        self.register.meaning(self.place, self.version, path)
    }

    fn is_request(&self) -> bool {
        match self.place {
            Place::Message(_, direction) => direction == Direction::Request,
            Place::Blob(_) => self.case.blobs_of_request,
        }
    }

    fn is_of(&self, key: ApiKey) -> bool {
        matches!(self.place, Place::Message(of, _) if of == key as i16)
    }

    fn is_about_acls(&self) -> bool {
        matches!(self.place, Place::Message(key, _) if ACLS.contains(&key))
    }

    fn name(&self, meaning: Meaning, path: &str) -> String {
        let name = match self.case.names_additional {
            true => "extra_topic".to_owned(),
            // A cursor stands in one of the topics that are asked for.
            false if path == "Cursor.TopicName" => "n1".to_owned(),
            false => format!("n{}", self.made),
        };
        let prefix = match self.is_request() || self.case.is_additional(meaning) {
            true => "",
            false if self.case.is_foreign(self.place, path) => FOREIGN_PREFIX,
            false if self.case.is_alias(meaning) => ALIASED_PREFIX,
            false => OWN_PREFIX,
        };
        format!("{prefix}{name}")
    }

    fn blob(&mut self, embedded: Embedded) -> Vec<u8> {
        if !self.case.consumer_protocol {
            return format!("opaque-{}", self.made).into_bytes();
        }
        let mut case = self.case.clone();
        case.blobs_of_request = self.is_request();
        // Each version of the consumer protocol in its turn.
        let version = (self.made % 4) as i16;
        let place = Place::Blob(embedded);
        let mut inner = Markers { made: self.made, ..Markers::of(self.register, place, version, &case) };
        let blob = sample::embedded_body(embedded, version, &mut inner).expect("0 to 3 are its versions");
        self.made = inner.made;
        blob
    }
}

impl Filler for Markers<'_> {
    fn text(&mut self, path: &str) -> String {
        self.made += 1;
        let number = self.made;
        if path.ends_with("ProtocolType") {
            return if self.case.consumer_protocol { "consumer" } else { "connect" }.to_owned();
        }
        if path == "Topics[].TopicName" && self.is_of(ApiKey::DescribeQuorum) {
            return "__cluster_metadata".to_owned();
        }
        match self.meaning(path) {
            Some(meaning) if meaning.is_name() => self.name(meaning, path),
            Some(Meaning::Regex) if self.is_request() => format!("n{number}.*"),
            Some(Meaning::Regex) => format!("{OWN_PREFIX}(?:n{number}.*)"),
            Some(Meaning::Host | Meaning::ClientHost) => format!("{BACKEND_HOST}-{number}"),
            Some(Meaning::ClusterId) => format!("{BACKEND_CLUSTER}-{number}"),
            Some(Meaning::LogDir) => format!("/{BACKEND_HOST}/{number}"),
            Some(Meaning::ErrorMessage) => {
                format!("{OWN_PREFIX}e{number} and {FOREIGN_PREFIX}e{number} at {BACKEND_HOST}")
            }
            _ => format!("plain-{number}"),
        }
    }

    fn uuid(&mut self, path: &str) -> Uuid {
        self.made += 1;
        // A topic that is asked for by its name is not asked for by its id as well.
        if self.is_request()
            && self.case.absent == Absent::Nothing
            && !self.register.is_only_id(self.place, self.version, path)
        {
            return Uuid::nil();
        }
        let id = marker(self.is_request(), self.made);
        let is_of_alias =
            self.case.names_aliases && self.is_request() && self.meaning(path) == Some(Meaning::TopicId);
        if is_of_alias { alias_id(id, self.made) } else { id }
    }

    fn bytes(&mut self, path: &str) -> Vec<u8> {
        self.made += 1;
        match self.meaning(path) {
            Some(Meaning::Blob(embedded)) => self.blob(embedded),
            // Long enough to be shared and not copied.
            _ => format!("bytes-{:0>600}", self.made).into_bytes(),
        }
    }

    fn int(&mut self, path: &str) -> i64 {
        let name = path.rsplit('.').next().unwrap_or(path);
        match self.meaning(path) {
            Some(Meaning::Node) if name == "ReplicaId" => return -2, // a debugging tool
            Some(Meaning::Node) => {
                self.nodes_made += 1;
                return self.case.nodes[self.nodes_made % self.case.nodes.len()];
            }
            Some(Meaning::Port) => return BACKEND_PORT,
            Some(Meaning::AuthorizedOperations) => return BACKEND_OPERATIONS,
            _ => {}
        }
        match name {
            "Acks" => self.case.acks,
            "KeyType" => self.case.key_type,
            "ResourceType" | "ResourceTypeFilter" if self.is_about_acls() => self.case.acl_resource_type(),
            "ResourceType" => self.case.resource_type,
            "PatternType" | "PatternTypeFilter" | "ResourcePatternType" => 3, // literal
            "EndpointType" | "AllowAutoTopicCreation" => 1,                   // brokers
            // The request that opens a session acknowledges nothing yet.
            "ShareSessionEpoch" => 1,
            _ if name.starts_with("Include") => i64::from(self.case.operations),
            _ if name.ends_with("ErrorCode") => self.case.error_code,
            _ => 0,
        }
    }

    fn count(&mut self, path: &str) -> usize {
        // A topology with patterns is refused: no broker has them yet.
        if path.ends_with("SourceTopicRegex") || path.ends_with("SourceTopicRegex[]") {
            return 0;
        }
        self.case.elements
    }

    fn present(&mut self, path: &str) -> bool {
        // What is about the whole cluster goes nowhere: an election without a list, a deletion of ACLs.
        if matches!(path, "TopicPartitions" | "Filters[].ResourceNameFilter") {
            return true;
        }
        if path == "GroupId" {
            return true; // ShareFetch and ShareAcknowledge may leave it out, and are refused
        }
        match self.case.absent {
            Absent::Nothing => true,
            Absent::Names => !path.ends_with("Topics[].Name"),
            // A broker takes no null in a list that replaces all there was.
            Absent::Everything => {
                self.place == Place::Message(ApiKey::AlterConfigs as i16, Direction::Request)
                    && path.ends_with("Configs[].Value")
            }
        }
    }
}
