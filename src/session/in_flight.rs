//! The queue that keeps answers in order.
//!
//! A broker answers the requests of a connection in the order they came, and clients rely on it. An
//! answer that the gateway makes itself waits here behind the broker's earlier ones. Slots go by their
//! place: correlation ids are the client's and may repeat.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::api::Pending;
use crate::names::{Backend, Virtual};
use crate::policy::Rights;
use crate::wire::Segments;

/// The requests of one connection that are not answered yet, oldest first.
#[derive(Default)]
pub struct InFlight {
    slots: VecDeque<Slot>,
}

/// One answer that the client waits for.
pub enum Slot {
    /// Made here, and waiting for its turn.
    Answered(Answer),
    /// The broker has the request.
    Awaiting(Awaited),
    /// The broker has our own question, under this id; the client waits for no answer.
    Asked(i32),
}

/// An answer on its way to the client.
pub struct Answer {
    pub key: i16,
    pub segments: Virtual<Segments>,
}

/// A request that the broker has, and what its answer needs.
pub struct Awaited {
    pub key: i16,
    /// The client's id for the request.
    pub correlation_id: i32,
    /// The ids under which the broker answers, in order.
    pub asked: Vec<i32>,
    pub frames: Vec<Backend<Bytes>>,
    pub pending: Box<dyn Pending>,
    /// What the client might do when it asked: the answer is shown by the same rights.
    pub rights: Rights,
}

/// What a broker's frame did.
pub enum Arrived {
    /// Another frame of the same request is to come.
    Partly,
    /// The oldest request can be answered.
    Complete(Awaited),
    /// Our own question is answered.
    Told(Backend<Bytes>),
    /// Nobody asked for this frame, or not now.
    Unasked,
}

impl InFlight {
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether the broker has answered all that came before our own question.
    pub fn is_our_turn(&self) -> bool {
        matches!(self.slots.front(), Some(Slot::Asked(_)))
    }

    pub fn push(&mut self, slot: Slot) {
        self.slots.push_back(slot);
    }

    /// Gives a broker's frame to the oldest request; that one waits, for what is answered is taken out
    /// as soon as its turn has come.
    pub fn arrived(&mut self, correlation_id: i32, frame: Backend<Bytes>) -> Arrived {
        let awaited = match self.slots.front_mut() {
            Some(Slot::Awaiting(awaited)) => awaited,
            Some(Slot::Asked(id)) if *id == correlation_id => {
                self.slots.pop_front();
                return Arrived::Told(frame);
            }
            _ => return Arrived::Unasked,
        };
        if awaited.asked.get(awaited.frames.len()) != Some(&correlation_id) {
            return Arrived::Unasked;
        }
        awaited.frames.push(frame);
        if awaited.frames.len() < awaited.asked.len() {
            return Arrived::Partly;
        }
        match self.slots.pop_front() {
            Some(Slot::Awaiting(awaited)) => Arrived::Complete(awaited),
            _ => Arrived::Unasked,
        }
    }

    /// The next answer whose turn has come.
    pub fn next_answer(&mut self) -> Option<Answer> {
        match self.slots.pop_front() {
            Some(Slot::Answered(answer)) => Some(answer),
            Some(waiting) => {
                self.slots.push_front(waiting);
                None
            }
            None => None,
        }
    }
}
