//! A request on its way to the broker, and what the broker says on its way back.
//!
//! A part of the master: a family says what a request needs; here it is forwarded, answered, or held until
//! the broker has told what it cannot be admitted without.

use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

use super::in_flight::{Answer, Arrived, Awaited, Slot};
use super::lookup::Lookup;
use super::{Event, Next, Outbox, Reason, Session, Step, Upstream, broker, client, send};
use crate::api::{Admission, Admitted, Incoming, Known, Question, Row};
use crate::cluster::{Gate, Lens};
use crate::names::Backend;
use crate::policy::Rights;
use crate::wire::{Direction, RequestHead, grammar, peek_correlation_id, read_request};

/// A request that cannot be admitted before something is found out.
pub struct Held {
    row: &'static Row,
    frame: Bytes,
    head: RequestHead,
    known: Known,
    /// What the broker is being asked.
    lookup: Option<Lookup>,
    /// By when it is to answer; not set while it may wait, for a fetch say, before it comes to the question.
    pub(super) ends_at: Option<Instant>,
}

impl Session {
    /// A request for the broker: through its family, and on.
    pub(super) fn on_request(
        &mut self,
        row: &'static Row,
        frame: Bytes,
        head: RequestHead,
        known: Known,
        out: &mut Outbox,
    ) -> Step {
        let Some(who) = &self.who else { return Err(Reason::NotAuthenticated { api: row.name }) };
        self.must_be_spoken(row, head)?;
        let flexible = grammar().header_flexible(head.key, Direction::Request, head.version);
        let (mut header, body) = read_request(&frame, flexible).map_err(client)?;
        if header.client_id.as_deref() == Some(ADMIN_CLIENT) {
            header.client_id = Some(StrBytes::from_static_str("admin_client"));
        }
        let gate = Gate::new(&self.cluster, &who.rights);
        let lens = Lens::new(&self.cluster, &who.rights, &self.listener.book);
        let incoming =
            Incoming { frame: &frame, header: &header, body, limits: &self.limits, known: Some(&known) };
        let id = &mut self.upstream_correlation_id;
        let mut next_id = || {
            *id = id.wrapping_add(1) & i32::MAX;
            *id
        };
        let admitted =
            (row.admit)(&incoming, gate, &lens, &mut self.conversation, &mut next_id).map_err(client)?;
        if let Admission::Ask(question) = admitted.admission {
            return self.look_up(
                Held { row, frame, head, known, lookup: None, ends_at: None },
                question,
                header.client_id,
                out,
            );
        }
        let rights = who.rights.clone();
        out.events.push(Event::Request { key: head.key, bytes: frame.len() });
        self.send_on(admitted, head, rights, out)
    }

    /// Which versions there are, ours and the broker's; another is served in no way.
    fn must_be_spoken(&self, row: &Row, head: RequestHead) -> Result<(), Reason> {
        let RequestHead { key, version, .. } = head;
        if self.versions.as_ref().is_some_and(|known| known.supports(row, version)) {
            return Ok(());
        }
        Err(if row.versions.contains(&version) {
            Reason::UnspokenVersion { key, version }
        } else {
            Reason::UnsupportedVersion { key, version }
        })
    }

    /// Sends what was admitted of a request to the broker, and answers for what was not.
    fn send_on(&mut self, admitted: Admitted, head: RequestHead, rights: Rights, out: &mut Outbox) -> Step {
        let Admitted { admission, denials, refused } = admitted;
        if refused.is_some() || !denials.is_empty() {
            out.events.push(Event::Refused { key: head.key, why: refused, denials });
        }
        match admission {
            Admission::Forward { requests, pending } => {
                let (asked, requests): (Vec<i32>, Vec<_>) = requests.into_iter().unzip();
                out.to_broker.extend(requests);
                self.in_flight.push(Slot::Awaiting(Awaited {
                    key: head.key,
                    correlation_id: head.correlation_id,
                    asked,
                    frames: Vec::new(),
                    pending,
                    rights,
                }));
            }
            Admission::Answer(answer) => self.answer(head.key, answer, out),
            Admission::Ask(_) => {} // asked above
            Admission::Unanswered { requests, close } => {
                out.to_broker.extend(requests);
                out.events.push(Event::Unanswered);
                if close {
                    return self.end(Reason::UnansweredRefusal);
                }
            }
        }
        Ok(Next::Read)
    }

    /// Asks the broker what a request cannot be admitted without, and keeps the request until then.
    fn look_up(
        &mut self,
        mut held: Held,
        question: Question,
        client_id: Option<StrBytes>,
        out: &mut Outbox,
    ) -> Step {
        let Upstream::Ready { versions, .. } = &self.upstream else { return Err(Reason::BrokerOutOfOrder) };
        self.upstream_correlation_id = self.upstream_correlation_id.wrapping_add(1) & i32::MAX;
        let id = self.upstream_correlation_id;
        let (lookup, request) = Lookup::ask(question, versions, id, client_id).map_err(broker)?;
        out.to_broker.push(request);
        self.in_flight.push(Slot::Asked(id));
        held.lookup = Some(lookup);
        self.held = Some(held);
        Ok(Next::Read)
    }

    /// Takes the broker's answer to our own question.
    fn on_told(&mut self, frame: &Bytes) -> Result<(), Reason> {
        let Some(Held { lookup, known, .. }) = &mut self.held else { return Err(Reason::BrokerOutOfOrder) };
        let Some(lookup) = lookup.take() else { return Err(Reason::BrokerOutOfOrder) };
        let cluster = &self.cluster;
        let answered = lookup.answered(frame, &self.limits, cluster).map_err(broker)?;
        self.conversation.note_absent(&answered.absent);
        *known = std::mem::take(known).and(answered.known);
        Ok(())
    }

    /// Lets the request go on that waited for our own question, once that is answered.
    pub(super) fn resume(&mut self, out: &mut Outbox) -> Result<(), Reason> {
        if !matches!(self.upstream, Upstream::Ready { .. }) {
            return Ok(()); // between the steps of our login nothing else may be sent
        }
        match self.held.take() {
            Some(Held { row, frame, head, known, lookup: None, .. }) => {
                match self.on_request(row, frame, head, known, out)? {
                    Next::Close(reason) => Err(reason),
                    _ => Ok(()),
                }
            }
            waiting => {
                self.held = waiting;
                Ok(())
            }
        }
    }

    pub(super) fn on_broker_answer(&mut self, frame: Bytes, out: &mut Outbox) -> Result<(), Reason> {
        let correlation_id = peek_correlation_id(&frame).map_err(broker)?;
        match self.in_flight.arrived(correlation_id, Backend::said_by_broker(frame)) {
            Arrived::Partly => Ok(()),
            Arrived::Told(frame) => {
                self.on_told(frame.as_ref())?;
                self.send_answers(out);
                Ok(())
            }
            Arrived::Unasked => Err(Reason::BrokerOutOfOrder),
            Arrived::Complete(awaited) => {
                let Awaited { key, correlation_id, frames, pending, rights, .. } = awaited;
                let lens = Lens::new(&self.cluster, &rights, &self.listener.book);
                let answer = pending
                    .reveal(&frames, correlation_id, &lens, &self.limits, &mut self.conversation)
                    .map_err(broker)?;
                send(Answer { key, segments: answer }, out);
                self.send_answers(out);
                Ok(())
            }
        }
    }
}

/// The client id for which brokers let writes into internal topics; nobody is that from outside.
const ADMIN_CLIENT: &str = "__admin_client";
