//! One API in one version on its way through the gateway.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;

use super::case::{Absent, Case};
use super::filler::{ACLS, ALIASED_PREFIX, FOREIGN_PREFIX, MARKERS_MAX, Markers, OWN_PREFIX, marker};
use super::judge::{Judge, Said, leak};
use super::register::{Meaning, Place, Register};
use crate::api::testing::World;
use crate::api::{Admission, Admitted, Conversation, Incoming, Known, Row};
use crate::cluster::Limits;
use crate::names::Backend;
use crate::policy::{Operation, Resource};
use crate::wire::sample::{self, LeafValue};
use crate::wire::{
    ApiKey, Direction, RequestHead, RequestHeader, Segments, grammar, read_request, read_response,
};

/// One API in one version, filled as a case says.
pub struct Passage<'a> {
    pub register: &'a Register,
    pub row: &'static Row,
    pub version: i16,
    pub case: &'a Case,
}

impl Passage<'_> {
    pub fn place(&self, direction: Direction) -> Place {
        Place::Message(self.row.key as i16, direction)
    }

    /// Metadata has ids from version 10 on, and brokers take them from 12 on.
    pub fn is_said_by_nobody(&self) -> bool {
        self.row.key == ApiKey::Metadata
            && (10..=11).contains(&self.version)
            && self.case.absent == Absent::Names
    }

    pub fn upstream(&self) -> i16 {
        (self.row.upstream_version)(self.version)
    }

    pub fn judge(&self, direction: Direction) -> Judge<'_> {
        let to_client = direction == Direction::Response;
        Judge { register: self.register, place: self.place(direction), to_client, case: self.case }
    }

    pub fn filled(&self, direction: Direction, version: i16) -> Bytes {
        let mut markers = Markers::of(self.register, self.place(direction), version, self.case);
        sample::body(self.row.key as i16, direction, version, &mut markers)
            .expect("it is a served version")
            .into()
    }

    pub fn said(&self, direction: Direction, version: i16, body: &[u8]) -> Said {
        let leaves = sample::leaves(self.row.key as i16, direction, version, body);
        Said { version, leaves: leaves.unwrap_or_else(|why| panic!("{}: {why}", self.title())) }
    }

    /// A client that may do everything; about ACLs the broker must decide, or there are none.
    fn world(&self) -> World {
        let world = if ACLS.contains(&(self.row.key as i16)) { World::passthrough() } else { world() };
        if self.case.names_aliases { with_aliases(world) } else { world }
    }

    pub fn title(&self) -> String {
        format!("{} v{}, {}", self.row.name, self.version, self.case.name)
    }

    /// Has brokers tell whose topics the ids in a message are.
    fn tell_ids(&self, world: &World, direction: Direction, said: &Said) {
        if self.case.names_aliases && direction == Direction::Request {
            return; // its brokers have told
        }
        let place = self.place(direction);
        for leaf in &said.leaves {
            let LeafValue::Uuid(id) = &leaf.value else { continue };
            let is_foreign = match direction {
                Direction::Request => self.case.ids_foreign,
                // The id of what another's name stands beside is another's.
                Direction::Response => self.case.foreign.as_ref().is_some_and(|(at, name)| {
                    let parent = |path: &str| path.rsplit_once('.').map(|(parent, _)| parent.to_owned());
                    *at == place && parent(name) == parent(&leaf.path)
                }),
            };
            let prefix = if is_foreign { FOREIGN_PREFIX } else { OWN_PREFIX };
            world.learn(*id, &format!("{prefix}of-{}", id.as_u128()));
        }
    }

    /// The request as the client says it, and what becomes of it.
    pub fn admit(&self, world: &World) -> (Said, Admitted) {
        let body = self.filled(Direction::Request, self.version);
        let said = self.said(Direction::Request, self.version, &body);
        self.tell_ids(world, Direction::Request, &said);
        let head = RequestHead { key: self.row.key as i16, version: self.version, correlation_id: 7 };
        let header = RequestHeader { head, client_id: Some(StrBytes::from_static_str("plain")) };
        let own = if self.case.names_aliases { ALIASED_PREFIX } else { OWN_PREFIX };
        let backend = [own, FOREIGN_PREFIX].map(|prefix| format!("{prefix}n1"));
        let backend = backend.map(|name| Backend::said_by_broker(StrBytes::from_string(name)));
        // Foreign ids are asked about before they are refused.
        let ids = self.case.ids_foreign;
        let known = Known { topics: Some(backend.to_vec()), ids, ..Known::default() };
        let incoming = Incoming {
            frame: &body,
            header: &header,
            body: body.clone(),
            limits: &Limits::default(),
            known: Some(&known),
        };
        let mut conversation = Conversation::default();
        let admitted =
            (self.row.admit)(&incoming, world.gate(), &world.lens(), &mut conversation, &mut || {
                CORRELATION_ID
            });
        (said, admitted.unwrap_or_else(|why| panic!("{}: {why}", self.title())))
    }

    /// What the broker is sent.
    pub fn sent(&self, request: Segments) -> Said {
        let frame = unframed(request);
        let version = self.upstream();
        let flexible = grammar().header_flexible(self.row.key as i16, Direction::Request, version);
        let (header, body) = read_request(&frame, flexible).expect("it was just written");
        let expected = RequestHead { key: self.row.key as i16, version, correlation_id: CORRELATION_ID };
        assert_eq!((header.head, header.client_id.as_deref()), (expected, Some("plain")));
        self.said(Direction::Request, version, &body)
    }

    /// What the client is shown, and the bytes of it.
    pub fn shown(&self, response: Segments) -> (Said, Bytes) {
        let frame = unframed(response);
        let flexible = grammar().header_flexible(self.row.key as i16, Direction::Response, self.version);
        let (correlation_id, body) = read_response(&frame, flexible).expect("it was just written");
        assert_eq!(correlation_id, 7, "{}", self.title());
        (self.said(Direction::Response, self.version, &body), frame)
    }

    /// Everything that is wrong with the request on its way to the broker.
    pub fn request_complaints(&self) -> Vec<String> {
        let (said, admitted) = self.admit(&self.world());
        let requests = match admitted.admission {
            Admission::Forward { requests, .. } => requests.into_iter().map(|(_, request)| request).collect(),
            Admission::Unanswered { requests, .. } if !requests.is_empty() => requests,
            _ => return vec!["it was not forwarded".to_owned()],
        };
        let mut sent = Said { version: self.upstream(), leaves: Vec::new() };
        for request in requests {
            sent.leaves.extend(self.sent(request.into_inner()).leaves);
        }
        self.judge(Direction::Request).complaints(&said, &sent)
    }

    /// Everything that is wrong with the response on its way to the client.
    pub fn response_complaints(&self) -> Vec<String> {
        let world = self.world();
        let (_, admitted) = self.admit(&world);
        let Admission::Forward { requests, pending } = admitted.admission else {
            return vec!["it was not forwarded".to_owned()];
        };
        let body = self.filled(Direction::Response, self.upstream());
        let said = self.said(Direction::Response, self.upstream(), &body);
        self.tell_ids(&world, Direction::Response, &said);
        let frames: Vec<_> = requests.iter().map(|_| Backend::said_by_broker(self.answer(&body))).collect();
        let response =
            pending.reveal(&frames, 7, &world.lens(), &Limits::default(), &mut Conversation::default());
        let response = response.unwrap_or_else(|why| panic!("{}: {why}", self.title())).into_inner();
        let (shown, bytes) = self.shown(response);
        let mut complaints = self.judge(Direction::Response).complaints(&said, &shown);
        complaints.extend(leak(&bytes).map(|mark| format!("{mark:?} stands in the client's bytes")));
        complaints
    }

    /// A broker's frame around a body.
    pub fn answer(&self, body: &[u8]) -> Bytes {
        let mut frame = BytesMut::new();
        frame.put_i32(CORRELATION_ID);
        if grammar().header_flexible(self.row.key as i16, Direction::Response, self.upstream()) {
            frame.put_u8(0);
        }
        frame.put_slice(body);
        frame.freeze()
    }

    /// Where the response names something.
    pub fn names_of_response(&self) -> Vec<(Place, String)> {
        let place = self.place(Direction::Response);
        let mut names = Vec::new();
        for entity in self.register.entities_of(place, self.upstream()) {
            let by_id = self.register.is_only_id(place, self.upstream(), entity.path);
            if entity.meaning.is_name() || by_id {
                names.push((place, entity.path.to_owned()));
            }
            if let Meaning::Blob(embedded) = entity.meaning {
                let place = Place::Blob(embedded);
                let inside = (0..=3).flat_map(|version| self.register.entities_of(place, version));
                names.extend(
                    inside
                        .filter(|entity| entity.meaning.is_name())
                        .map(|entity| (place, entity.path.to_owned())),
                );
            }
        }
        names.sort_by_key(|(place, path)| (format!("{place:?}"), path.clone()));
        names.dedup();
        names
    }
}

/// A frame without its length.
fn unframed(segments: Segments) -> Bytes {
    Bytes::from(segments.to_vec()).slice(4..)
}

/// The same client, to whom every topic that it names has its name as an alias.
fn with_aliases(world: World) -> World {
    let real = ALIASED_PREFIX.strip_prefix(OWN_PREFIX).expect("it is one of ours");
    let places = 1..=MARKERS_MAX;
    let world = places
        .clone()
        .fold(world, |world, place| world.with_alias(&format!("n{place}"), &format!("{real}n{place}")));
    places.for_each(|place| world.learn(marker(true, place), &format!("{ALIASED_PREFIX}n{place}")));
    world
}

/// A client that may do everything.
pub fn world() -> World {
    let resources = [Resource::Topic, Resource::Group, Resource::TransactionalId];
    let mut rules = resources.map(|resource| (Operation::All, resource, "*")).to_vec();
    rules.push((Operation::All, Resource::Cluster, Resource::CLUSTER_NAME));
    World::allowing(&rules)
}

/// The broker's; the client's own is 7.
const CORRELATION_ID: i32 = 4711;
