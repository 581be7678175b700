//! The Kafka APIs, one file per family: what may go in, what may come out, how it says no.
//!
//! A family says where the names stand in its messages and what is needed there; the gate asks and
//! renames on the way in, the lens hides and renames on the way back. Knows no session and no token.
//! No family knows another.
//!
//! In reading order: the contract (this file), every "no" ([`Refusal`]), the table of all APIs, then
//! the families.

mod refusal; //  every way we say no
mod table; //    every ApiKey: serve, answer, or withhold
pub mod versions; // what we advertise

mod acls; //          DescribeAcls, CreateAcls, DeleteAcls
mod blobs; //         topics inside the bytes of group members
mod called; //        a topic under each of its names
mod client_telemetry; // GetTelemetrySubscriptions, PushTelemetry
mod cluster; //       FindCoordinator, DescribeCluster
mod commits; //       OffsetCommit, OffsetFetch
mod configs; //       DescribeConfigs, AlterConfigs, IncrementalAlterConfigs
mod consumer_groups; // ConsumerGroupHeartbeat, ConsumerGroupDescribe
mod described; //     topics as they are described
mod described_groups; // groups as they are described
mod fetch; //         Fetch
mod group_admin; //   DescribeGroups, ListGroups, DeleteGroups, OffsetDelete
mod groups; //        JoinGroup, SyncGroup, Heartbeat, LeaveGroup
mod log_admin; //     DeleteRecords, DescribeProducers, DescribeLogDirs
mod metadata; //      Metadata
mod offsets; //       ListOffsets, OffsetForLeaderEpoch
mod operations; //    the authorized-operations bit fields
mod operator; //      calls about the whole Kafka cluster
mod partitions; //    DescribeTopicPartitions
mod parts; //         a request that names a topic by several names
mod produce; //       Produce
pub mod regex; //     a client's pattern over names
mod share_fetch; //   ShareFetch, ShareAcknowledge
mod share_groups; //  ShareGroupHeartbeat, ShareGroupDescribe
mod share_offsets; // DescribeShareGroupOffsets, AlterShareGroupOffsets, DeleteShareGroupOffsets
mod streams_groups; // StreamsGroupHeartbeat, StreamsGroupDescribe
mod subscriptions; // what members subscribe to by a pattern
mod topics; //        CreateTopics, DeleteTopics, CreatePartitions
mod transaction_admin; // DescribeTransactions, ListTransactions
mod transactions; //  InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit

#[cfg(test)]
mod census; // every string of every message is accounted for
#[cfg(test)]
mod testing; // a small virtual cluster for the tests of the families

pub use refusal::{Refusal, standard_text};
pub use table::{Disposition, Row, disposition, rows};

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;

use bytes::Bytes;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use uuid::Uuid;

use self::parts::{Course, Parting};
use self::subscriptions::Subscriptions;
use crate::cluster::{Denial, Gate, Lens, Limits, Spoken};
use crate::names::{Backend, Virtual};
use crate::wire::{
    ApiKey, Broken, Direction, Gather, Malformed, Measure, RequestHead, RequestHeader, Segments, decode,
    encode_body, grammar, read_response, write_request, write_response,
};

/// One Kafka API: the one place where its names, its permissions and its refusals are said.
pub trait Api: Sized + 'static {
    type Request: Decodable + Encodable;
    type Response: Decodable + Encodable + Default;
    /// What is kept of a request until its answer comes: above all, the part that was refused.
    type Aside: Send + 'static;

    const KEY: ApiKey;
    /// The versions whose every field has been read for names. No other is advertised or served.
    const VERSIONS: RangeInclusive<i16>;
    /// Whether the broker itself says whose a request's ids are, so that only those of aliases must be
    /// known before.
    const ASKS_BY_ID: bool = false;

    /// The version in which a request goes on to the broker.
    fn upstream_version(version: i16) -> i16 {
        version
    }

    /// What else a broker must speak for a version of this API to be served: what the gateway asks it
    /// by itself on the same connection.
    fn needs(_version: i16) -> Option<(ApiKey, i16)> {
        None
    }

    /// The part of a body that a broker reads, where a client in use writes more than its version has.
    fn read_by_brokers(body: Bytes, _version: i16) -> Bytes {
        body
    }

    /// The topics that a request names by their ids. Those that are not known are asked about before the
    /// request is admitted.
    fn ids(_request: &Self::Request, _version: i16, _tell: &mut dyn FnMut(Uuid)) {}

    /// The ids that earlier requests named, and that this one stands on too.
    fn ids_kept(_request: &Self::Request, _conversation: &Conversation, _tell: &mut dyn FnMut(Uuid)) {}

    /// Takes out what names a topic by another name than the rest of the request does, as a request of its
    /// own; [`Api::join`] brings the answers together. Where one request must say it all nothing is taken
    /// out, and a second name is refused.
    fn part(_request: &mut Self::Request, _version: i16, _names: &mut Parting<'_>) -> Option<Self::Request> {
        None
    }

    /// Lets the granted part through, renamed, and sets the refused part aside. `Err` refuses it all.
    fn admit(request: Self::Request, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal>;

    /// Keeps in mind what a broker's answer means for later requests of the connection.
    fn remember(_response: &Self::Response, _aside: &Self::Aside, _conversation: &mut Conversation) {}

    /// Leaves in the response what this client may see, under the names it knows, and adds an answer
    /// for what was set aside. Where nothing was left to ask, the response comes in empty.
    fn reveal(response: &mut Self::Response, aside: Self::Aside, show: &Showing<'_>);

    /// The answer when all of a request is refused, from the request as the client sent it.
    fn refuse(request: Self::Request, why: Refusal, version: i16) -> Self::Response;

    /// Brings a later answer into the first, for the API that asks several times: as brokers say them where
    /// a request goes on twice, as clients see them where it goes on in parts.
    fn join(_first: &mut Self::Response, _later: Self::Response) {}
}

/// Without it the gateway cannot ask whose topic an id is.
const METADATA_BY_ID: (ApiKey, i16) = (ApiKey::Metadata, 12);

/// What becomes of an admitted request.
pub enum Pass<A: Api> {
    /// Goes on to the broker.
    Forward(A::Request, A::Aside),
    /// Goes on as two requests, whose answers are joined.
    ForwardBoth(A::Request, A::Request, A::Aside),
    /// Goes on, or does not, and is never answered. `close` when something was refused: Kafka's only
    /// way to tell a client that does not listen.
    Unanswered { request: Option<A::Request>, close: bool },
    /// Nothing is left to ask the broker.
    Answer(A::Aside),
    /// Nothing can be said before it is known which topics there are: `Asking::topics` was none. The
    /// request comes again with them.
    AskTopics,
    /// Nothing can be said before it is known which of these topics there are.
    AskNamed(Vec<Backend<StrBytes>>),
    /// Nothing can be said before it is known what this streams group makes: `Asking::internal_topics`
    /// was none.
    AskInternalTopics(Backend<StrBytes>),
}

/// What a family is handed with a request.
pub struct Asking<'a> {
    pub gate: &'a Gate<'a>,
    pub version: i16,
    pub conversation: &'a mut Conversation,
    /// All topics of the backend, once [`Pass::AskTopics`] has asked for them; those of some that there
    /// are, once [`Pass::AskNamed`] has.
    pub topics: Option<&'a [Backend<StrBytes>]>,
    /// What [`Pass::AskInternalTopics`] has asked for.
    pub internal_topics: Option<&'a InternalTopics>,
}

/// What a family is handed with a response.
pub struct Showing<'a> {
    pub lens: &'a Lens<'a>,
    pub version: i16,
}

/// What a connection has said before and a later request stands on.
#[derive(Debug, Default)]
pub struct Conversation {
    /// Whether a group's members speak the consumer protocol, from the last JoinGroup: SyncGroup
    /// says it itself only from version 5 on.
    consumer_protocol: HashMap<String, bool>,
    /// Ids of which it was lately asked in vain whose they are: nobody's, or another tenant's.
    absent_ids: HashSet<Uuid>,
    /// By which names the client called topics that have several.
    spoken: Spoken,
    /// By which names producers called them, that must go on so.
    producers: produce::Producers,
    fetch_sessions: fetch::Sessions,
    /// What share consumers read on this connection.
    share_sessions: share_fetch::ShareSessions,
    subscriptions: Subscriptions,
    /// What the coordinator makes for streams groups, as long as somebody is in them.
    internal_topics: HashMap<String, Vec<Backend<StrBytes>>>,
}

/// Puts what was refused before what the broker has answered, as brokers do in most answers.
fn put_first<T>(answered: &mut Vec<T>, refused: impl IntoIterator<Item = T>) {
    answered.splice(0..0, refused);
}

/// Puts each of the refused where it stood in the request, for brokers that answer in its order.
///
/// Assumes: the places rise.
fn put_back<T>(answered: &mut Vec<T>, refused: impl IntoIterator<Item = (usize, T)>) {
    let mut before = std::mem::take(answered).into_iter();
    for (place, refused) in refused {
        let missing = place.saturating_sub(answered.len());
        answered.extend(before.by_ref().take(missing));
        answered.push(refused);
    }
    answered.extend(before);
}

impl Conversation {
    pub fn note_protocol(&mut self, group: &str, is_consumer: bool) {
        if self.consumer_protocol.len() < GROUPS_REMEMBERED_MAX || self.consumer_protocol.contains_key(group)
        {
            self.consumer_protocol.insert(group.to_owned(), is_consumer);
        }
    }

    /// Keeps in mind that no topic of the virtual cluster has these ids, so that they are not asked about with each request.
    pub fn note_absent(&mut self, ids: &[Uuid]) {
        let room = ABSENT_IDS_MAX.saturating_sub(self.absent_ids.len());
        self.absent_ids.extend(ids.iter().take(room));
    }

    /// A new topic is on all brokers within moments: what was absent may be asked about again.
    pub fn forget_absent(&mut self) {
        self.absent_ids.clear();
    }

    /// Keeps in mind what a streams group makes.
    ///
    /// Limits: of what is too much nothing is kept, and it is asked about again.
    pub fn note_internal_topics(&mut self, group: &str, topics: &[Backend<StrBytes>]) {
        self.internal_topics.remove(group);
        let kept: usize = self.internal_topics.values().map(Vec::len).sum();
        let has_room = self.internal_topics.len() < GROUPS_REMEMBERED_MAX
            && kept + topics.len() <= INTERNAL_TOPICS_REMEMBERED_MAX;
        if has_room {
            // Copied: a name may be a slice of a whole frame.
            let copies = topics.iter().map(|topic| topic.as_ref().as_str().to_owned());
            let copies = copies.map(|name| Backend::meant_for_broker(StrBytes::from_string(name)));
            self.internal_topics.insert(group.to_owned(), copies.collect());
        }
    }

    pub fn internal_topics(&self, group: &str) -> Option<&[Backend<StrBytes>]> {
        self.internal_topics.get(group).map(Vec::as_slice)
    }

    pub fn speaks_consumer_protocol(&self, group: &str) -> Option<bool> {
        self.consumer_protocol.get(group).copied()
    }
}

/// A consumer has one group on a connection; a tool has a handful.
const GROUPS_REMEMBERED_MAX: usize = 64;

/// A large topology has some dozens.
const INTERNAL_TOPICS_REMEMBERED_MAX: usize = 10_000;

/// A consumer's topics, were they all deleted at once.
const ABSENT_IDS_MAX: usize = 10_000;

/// A request of a client, its header read and its body untouched.
pub struct Incoming<'a> {
    pub frame: &'a Bytes,
    pub header: &'a RequestHeader,
    pub body: Bytes,
    pub limits: &'a Limits,
    /// What was found out for it, when it could not be admitted at once.
    pub known: Option<&'a Known>,
}

/// What must be asked of the broker before a request can be admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Which topics have these ids?
    Ids(Vec<Uuid>),
    /// Which ids have these topics? Those of their aliases follow from them.
    Aliased(Vec<Backend<StrBytes>>),
    /// Which topics are there?
    Topics,
    /// Which of these topics are there?
    Named(Vec<Backend<StrBytes>>),
    /// Which topics does the coordinator make for this streams group?
    InternalTopics(Backend<StrBytes>),
}

/// The broker's answers to our questions about one request.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Whether ids were asked about: what is still not known is nobody's.
    pub ids: bool,
    /// Whether the topics behind aliases were asked about, from which the aliases' own ids follow.
    pub aliased: bool,
    /// All topics there are, when they were asked for.
    pub topics: Option<Vec<Backend<StrBytes>>>,
    /// What the coordinator makes for a streams group, when that was asked.
    pub internal_topics: Option<InternalTopics>,
}

/// The topics that a coordinator makes for a streams group; none where it has no such group, or none that
/// is ready, and Kafka's code where it does not say.
pub type InternalTopics = Result<Option<Vec<Backend<StrBytes>>>, i16>;

impl Known {
    /// Both of what was found before and now.
    pub fn and(self, other: Known) -> Known {
        Known {
            ids: self.ids || other.ids,
            aliased: self.aliased || other.aliased,
            topics: self.topics.or(other.topics),
            internal_topics: self.internal_topics.or(other.internal_topics),
        }
    }
}

/// What the session does with a request next.
pub enum Admission {
    /// To the broker, in this order; the answers come back to [`Pending::reveal`].
    Forward { requests: Vec<(i32, Backend<Segments>)>, pending: Box<dyn Pending> },
    /// To the broker, as far as there is something to send; no answer comes from anywhere.
    Unanswered { requests: Vec<Backend<Segments>>, close: bool },
    /// To the client, in its turn.
    Answer(Virtual<Segments>),
    /// Not yet: this is asked first, and the request comes again with what was found.
    Ask(Question),
}

/// An admission, and what was refused on the way to it.
pub struct Admitted {
    pub admission: Admission,
    pub denials: Vec<Denial>,
    /// Set when all of the request was refused.
    pub refused: Option<Refusal>,
}

/// A forwarded request that waits for its answer.
pub trait Pending: Send {
    /// Turns the broker's frames, one for each request forwarded, into the client's answer.
    fn reveal(
        self: Box<Self>,
        frames: &[Backend<Bytes>],
        correlation_id: i32,
        lens: &Lens<'_>,
        limits: &Limits,
        conversation: &mut Conversation,
    ) -> Result<Virtual<Segments>, Broken>;
}

struct Awaiting<A: Api> {
    /// What is kept of each part, and how many of the frames answer it.
    parts: Vec<(usize, A::Aside, Spoken)>,
    version: i16,
}

/// Takes one request through its family: walk, decode, admit, encode.
///
/// Limits: no more elements and names than [`Limits`] allow; checked before anything is allocated.
/// Errors: `Broken` when the body is not what its grammar says; the connection is to be closed.
fn admit<A: Api>(
    incoming: &Incoming<'_>,
    gate: Gate<'_>,
    lens: &Lens<'_>,
    conversation: &mut Conversation,
    next_correlation_id: &mut dyn FnMut() -> i32,
) -> Result<Admitted, Broken> {
    let RequestHead { key, version, correlation_id } = incoming.header.head;
    let said = A::read_by_brokers(incoming.body.clone(), version);
    let (body, measure) =
        walked(key, Direction::Request, version, &said, incoming.limits.elements_per_request)?;
    if measure.strings > incoming.limits.names_per_request {
        return Err(Malformed::TooManyElements { max: incoming.limits.names_per_request }.into());
    }
    let request = decode::<A::Request>(&body, version)?;
    if let Some(unknown) = unknown_ids::<A>(&request, version, &gate, conversation, incoming) {
        return Ok(Admitted { admission: Admission::Ask(unknown), denials: Vec::new(), refused: None });
    }
    let topics = incoming.known.and_then(|known| known.topics.as_deref());
    let internal_topics = incoming.known.and_then(|known| known.internal_topics.as_ref());
    let mut asking = Asking { gate: &gate, version, conversation, topics, internal_topics };
    let course = parts::admitted::<A>(parts::split::<A>(request, version, &gate), &mut asking)?;
    let mut refused = None;
    let mut upstream = |request: &A::Request| -> Result<(i32, Backend<Segments>), Broken> {
        let id = next_correlation_id();
        Ok((id, to_broker::<A>(request, incoming, id, measure)?))
    };
    let admission = match course {
        Course::Ask(question) => Admission::Ask(question),
        Course::Unanswered { requests, close } => {
            let requests = requests.iter().map(|request| Ok(upstream(request)?.1));
            Admission::Unanswered { requests: requests.collect::<Result<_, Broken>>()?, close }
        }
        Course::Parts(parts) => {
            let sent = parts.iter().flat_map(|part| &part.requests).map(upstream);
            let requests = sent.collect::<Result<Vec<_>, _>>()?;
            let parts = parts.into_iter().map(|part| (part.requests.len(), part.aside, part.spoken));
            let awaiting = Awaiting::<A> { parts: parts.collect(), version };
            match requests.is_empty() {
                true => Admission::Answer(awaiting.told(correlation_id, lens)?),
                false => Admission::Forward { requests, pending: Box::new(awaiting) },
            }
        }
        Course::Refused(why) => {
            // The request was renamed as far as it went; its bytes still say what the client said.
            refused = Some(why);
            let response = A::refuse(decode::<A::Request>(&body, version)?, why, version);
            Admission::Answer(to_client::<A>(&response, None, correlation_id, version)?)
        }
    };
    Ok(Admitted { admission, denials: gate.into_denials(), refused })
}

/// The ids in a request that are to be asked about, if there are any.
fn unknown_ids<A: Api>(
    request: &A::Request,
    version: i16,
    gate: &Gate<'_>,
    conversation: &Conversation,
    incoming: &Incoming<'_>,
) -> Option<Question> {
    let namespace = &gate.cluster().namespace;
    let asked = |what: fn(&Known) -> bool| incoming.known.is_some_and(what);
    let aliases_wanted = namespace.has_aliases() && !asked(|known| known.aliased);
    let ids_wanted = !A::ASKS_BY_ID && !asked(|known| known.ids);
    if !aliases_wanted && !ids_wanted {
        return None;
    }
    let mut unknown = BTreeSet::new();
    let mut told = |id| {
        if !gate.knows_id(id) && !conversation.absent_ids.contains(&id) {
            unknown.insert(id);
        }
    };
    A::ids(request, version, &mut told);
    A::ids_kept(request, conversation, &mut told);
    // What cannot be kept in mind is not asked about: it would be asked about again with each request.
    let room = ABSENT_IDS_MAX.saturating_sub(conversation.absent_ids.len());
    if unknown.is_empty() || (room == 0 && !aliases_wanted) {
        return None;
    }
    Some(match aliases_wanted {
        true => Question::Aliased(namespace.aliased_topics().collect()),
        false => Question::Ids(unknown.into_iter().take(room).collect()),
    })
}

impl<A: Api> Awaiting<A> {
    /// The answer where the broker is asked nothing.
    fn told(self, correlation_id: i32, lens: &Lens<'_>) -> Result<Virtual<Segments>, Broken> {
        let version = self.version;
        let mut answer = Joined::<A>::default();
        for (_, aside, spoken) in self.parts {
            let mut response = A::Response::default();
            A::reveal(&mut response, aside, &Showing { lens: &lens.speaking(&spoken), version });
            answer.add(response);
        }
        to_client::<A>(&answer.response(), None, correlation_id, version)
    }
}

impl<A: Api> Pending for Awaiting<A> {
    fn reveal(
        self: Box<Self>,
        frames: &[Backend<Bytes>],
        correlation_id: i32,
        lens: &Lens<'_>,
        limits: &Limits,
        conversation: &mut Conversation,
    ) -> Result<Virtual<Segments>, Broken> {
        let (mut answer, mut source) = (Joined::<A>::default(), None);
        let mut left = frames;
        for (count, aside, spoken) in self.parts {
            let (own, later) = left.split_at_checked(count).ok_or(Malformed::Undecodable)?;
            left = later;
            let mut said = Joined::<A>::default();
            for frame in own {
                let (response, measure) = read::<A>(frame, self.version, limits)?;
                source = Some((frame.as_ref(), measure));
                said.add(response);
            }
            let mut response = said.response();
            A::remember(&response, &aside, conversation);
            let lens = lens.speaking(&spoken);
            A::reveal(&mut response, aside, &Showing { lens: &lens, version: self.version });
            answer.add(response);
        }
        // A joined answer owns pieces of several frames; only one can lend its bytes.
        let source = source.filter(|_| frames.len() == 1);
        to_client::<A>(&answer.response(), source, correlation_id, self.version)
    }
}

/// One answer out of several.
struct Joined<A: Api>(Option<A::Response>);

impl<A: Api> Default for Joined<A> {
    fn default() -> Self {
        Self(None)
    }
}

impl<A: Api> Joined<A> {
    fn add(&mut self, later: A::Response) {
        match &mut self.0 {
            None => self.0 = Some(later),
            Some(first) => A::join(first, later),
        }
    }

    fn response(self) -> A::Response {
        self.0.unwrap_or_default()
    }
}

/// A broker's answer, walked before it is decoded.
fn read<A: Api>(
    frame: &Backend<Bytes>,
    version: i16,
    limits: &Limits,
) -> Result<(A::Response, Measure), Broken> {
    let version = A::upstream_version(version);
    let key = A::KEY as i16;
    let flexible = grammar().header_flexible(key, Direction::Response, version);
    let (_, body) = read_response(frame.as_ref(), flexible)?;
    let (body, measure) = walked(key, Direction::Response, version, &body, limits.elements_per_response)?;
    Ok((decode::<A::Response>(&body, version)?, measure))
}

/// A body that its grammar allows, without the tagged fields that nobody here has read.
fn walked(
    key: i16,
    direction: Direction,
    version: i16,
    body: &Bytes,
    elements_max: usize,
) -> Result<(Bytes, Measure), Malformed> {
    let measure = grammar().walk(key, direction, version, body, elements_max)?;
    if measure.unknown_tags == 0 {
        return Ok((body.clone(), measure));
    }
    Ok((grammar().without_unknown_tags(key, direction, version, body)?, measure))
}

fn to_broker<A: Api>(
    request: &A::Request,
    incoming: &Incoming<'_>,
    correlation_id: i32,
    measure: Measure,
) -> Result<Backend<Segments>, Broken> {
    let version = A::upstream_version(incoming.header.head.version);
    let head = RequestHead { key: A::KEY as i16, version, correlation_id };
    let header = RequestHeader { head, client_id: incoming.header.client_id.clone() };
    let mut out = Gather::around_measured(incoming.frame, measure);
    let flexible = grammar().header_flexible(head.key, Direction::Request, version);
    write_request(&mut out, &header, flexible);
    encode_body(&mut out, request, version)?;
    Ok(Backend::meant_for_broker(out.finish()))
}

fn to_client<A: Api>(
    response: &A::Response,
    source: Option<(&Bytes, Measure)>,
    correlation_id: i32,
    version: i16,
) -> Result<Virtual<Segments>, Broken> {
    let mut out = match source {
        Some((frame, measure)) => Gather::around_measured(frame, measure),
        None => Gather::around(None),
    };
    let flexible = grammar().header_flexible(A::KEY as i16, Direction::Response, version);
    write_response(&mut out, correlation_id, flexible);
    encode_body(&mut out, response, version)?;
    Ok(Virtual::shown_to_client(out.finish()))
}
