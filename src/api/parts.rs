//! A request that names a topic by several names, in as many parts.
//!
//! A broker knows one name and answers once, so each part names a topic by one name and goes on as a
//! request of its own; their answers are joined. Knows no message.

use kafka_protocol::protocol::StrBytes;

use super::{Api, Asking, Pass, Question, Refusal};
use crate::cluster::{Gate, Spoken};
use crate::names::TopicSlot;
use crate::wire::{Broken, Malformed};

/// The names of one part of a request: each topic's first stays, and the others are taken out.
pub struct Parting<'a> {
    pub gate: &'a Gate<'a>,
    names: Spoken,
}

impl Parting<'_> {
    /// Takes out what goes by another name than its topic does in this part; `None` where nothing does.
    pub fn topics<E>(
        &mut self,
        of: &mut Vec<E>,
        topic: impl for<'m> Fn(&'m mut E) -> TopicSlot<'m>,
    ) -> Option<Vec<E>> {
        let gate = self.gate;
        self.named(of, |element| match topic(element) {
            TopicSlot::Name(name) => Some(name.0.clone()),
            TopicSlot::Id(id) => Some(gate.topic_behind(*id)?.into_inner()),
        })
    }

    /// As [`Parting::topics`], where not every element names a topic.
    pub fn named<E>(&mut self, of: &mut Vec<E>, name: impl Fn(&mut E) -> Option<StrBytes>) -> Option<Vec<E>> {
        let (gate, names) = (self.gate, &mut self.names);
        let is_another = |element: &mut E| name(element).is_some_and(|said| !gate.keep_name(names, &said));
        let others: Vec<E> = of.extract_if(.., is_another).collect();
        (!others.is_empty()).then_some(others)
    }
}

/// The parts of a request, in each of which a topic has one name.
///
/// Limits: `PARTS_MAX`; the last one keeps what is left, in which second names are refused.
pub fn split<A: Api>(mut request: A::Request, version: i16, gate: &Gate<'_>) -> Vec<A::Request> {
    let mut parts = Vec::new();
    if gate.cluster().namespace.has_aliases() {
        while parts.len() + 1 < PARTS_MAX {
            let mut names = Parting { gate, names: Spoken::default() };
            let Some(others) = A::part(&mut request, version, &mut names) else { break };
            parts.push(std::mem::replace(&mut request, others));
        }
    }
    parts.push(request);
    parts
}

/// What becomes of a request.
pub enum Course<A: Api> {
    /// What of it goes on comes first; where nothing does, it is answered here.
    Parts(Vec<Part<A>>),
    Unanswered {
        requests: Vec<A::Request>,
        close: bool,
    },
    Ask(Question),
    Refused(Refusal),
}

/// One part of a request.
pub struct Part<A: Api> {
    /// What goes on of it: nothing, or one request, or two where the API asks twice.
    pub requests: Vec<A::Request>,
    pub aside: A::Aside,
    /// By which names the client called topics that have several.
    pub spoken: Spoken,
}

/// Has a family admit each part. What one part is refused as a whole, all of the request is.
///
/// Errors: where a family asks again what it was told: that is not to go round for ever.
pub fn admitted<A: Api>(requests: Vec<A::Request>, asking: &mut Asking<'_>) -> Result<Course<A>, Broken> {
    let mut parts = Vec::new();
    let mut unanswered: Option<(Vec<A::Request>, bool)> = None;
    for request in requests {
        let verdict = A::admit(request, asking);
        asking.conversation.spoken.update(&asking.gate.take_spoken());
        let spoken = asking.conversation.spoken.clone();
        let (requests, aside) = match verdict {
            Ok(Pass::Forward(request, aside)) => (vec![request], aside),
            Ok(Pass::ForwardBoth(first, second, aside)) => (vec![first, second], aside),
            Ok(Pass::Answer(aside)) => (Vec::new(), aside),
            Ok(Pass::Unanswered { request, close }) => {
                let (requests, closes) = unanswered.get_or_insert_default();
                requests.extend(request);
                *closes |= close;
                continue;
            }
            Ok(Pass::AskTopics) if asking.topics.is_none() => return Ok(Course::Ask(Question::Topics)),
            Ok(Pass::AskNamed(names)) if asking.topics.is_none() => {
                return Ok(Course::Ask(Question::Named(names)));
            }
            Ok(Pass::AskInternalTopics(group)) if asking.internal_topics.is_none() => {
                return Ok(Course::Ask(Question::InternalTopics(group)));
            }
            Ok(Pass::AskTopics | Pass::AskNamed(_) | Pass::AskInternalTopics(_)) => {
                return Err(Malformed::Undecodable.into());
            }
            Err(why) => return Ok(Course::Refused(why)),
        };
        parts.push(Part { requests, aside, spoken });
    }
    if let Some((requests, close)) = unanswered {
        return Ok(Course::Unanswered { requests, close });
    }
    // A broker's answer says more of all than one that was made here, to which it would be joined.
    parts.sort_by_key(|part: &Part<A>| part.requests.is_empty());
    Ok(Course::Parts(parts))
}

/// More names than anybody gives a topic: each is a request to the broker.
const PARTS_MAX: usize = 16;
