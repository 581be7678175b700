//! Says one request in both worlds, and hears what comes of it.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use sluicegate::wire::sample::{LeafValue, leaves};
use sluicegate::wire::{
    ApiKey, Direction, Gather, RequestHead, RequestHeader, grammar, read_response, write_request,
};

use super::ground::{Ground, Role, WAYS, Way};
use crate::support::client::Client;

/// What comes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Answer(Bytes),
    Closed,
    /// No answer, and the connection serves on.
    Silence,
    /// Neither an answer nor an end, however long one waits.
    Nothing,
}

/// The connections of a round: one for each client, way and lane.
pub struct Player<'g> {
    ground: &'g Ground,
    lines: HashMap<(Role, Way, u8), Client>,
    next_correlation_id: i32,
}

/// Where a request goes: a client has more than one connection where somebody has to wait for another.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    pub role: Role,
    pub lane: u8,
}

impl<'g> Player<'g> {
    pub fn new(ground: &'g Ground) -> Self {
        Self { ground, lines: HashMap::new(), next_correlation_id: 1 }
    }

    /// Says both before it listens, so that neither world is behind the other.
    pub fn play(&mut self, line: Line, key: ApiKey, version: i16, bodies: &[Vec<u8>; 2]) -> [Outcome; 2] {
        for (way, body) in WAYS.into_iter().zip(bodies) {
            self.say(line, way, key, version, body);
        }
        let answered = !is_unanswered(key, version, &bodies[0]);
        WAYS.map(|way| self.hear(line, way, key, version, answered))
    }

    /// Says it once more in one world.
    pub fn play_again(&mut self, line: Line, way: Way, key: ApiKey, version: i16, body: &[u8]) -> Outcome {
        self.say(line, way, key, version, body);
        self.hear(line, way, key, version, !is_unanswered(key, version, body))
    }

    fn say(&mut self, line: Line, way: Way, key: ApiKey, version: i16, body: &[u8]) {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let ground = self.ground;
        let place = (line.role, way, line.lane);
        let client = self.lines.entry(place).or_insert_with(|| ground.log_in(line.role, way));
        let said = frame(key, version, correlation_id, body);
        if client.try_send_bytes(&said).is_err() {
            // The connection had ended after the answer before: then this is said on another one.
            let mut fresh = ground.log_in(line.role, way);
            fresh.send_bytes(&said);
            self.lines.insert(place, fresh);
        }
    }

    fn hear(&mut self, line: Line, way: Way, key: ApiKey, version: i16, answered: bool) -> Outcome {
        let place = (line.role, way, line.lane);
        let client = self.lines.get_mut(&place).expect("something was just said here");
        if !answered {
            // What an unanswered request did to the connection, the next one shows.
            if client.try_send_bytes(&frame(ApiKey::Metadata, 0, PROBE, &NO_TOPICS)).is_ok()
                && client.read_frame_or_close().is_some()
            {
                return Outcome::Silence;
            }
            self.lines.remove(&place);
            return Outcome::Closed;
        }
        let frame = match client.read_frame_within(PATIENCE) {
            Ok(frame) => frame,
            Err(kind) => {
                self.lines.remove(&place);
                return if kind == ErrorKind::TimedOut { Outcome::Nothing } else { Outcome::Closed };
            }
        };
        let flexible = grammar().header_flexible(key as i16, Direction::Response, version);
        let (_, body) = read_response(&frame, flexible).expect("an answer has a header");
        Outcome::Answer(body)
    }
}

/// Whether a request is a Produce that wants no answer.
fn is_unanswered(key: ApiKey, version: i16, body: &[u8]) -> bool {
    let said = leaves(key as i16, Direction::Request, version, body).unwrap_or_default();
    key == ApiKey::Produce && said.iter().any(|leaf| leaf.path == "Acks" && leaf.value == LeafValue::Int(0))
}

fn frame(key: ApiKey, version: i16, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let head = RequestHead { key: key as i16, version, correlation_id };
    let client_id = Some(super::ground::text("differential"));
    let flexible = grammar().header_flexible(key as i16, Direction::Request, version);
    let mut out = Gather::around(None);
    write_request(&mut out, &RequestHeader { head, client_id }, flexible);
    let mut said = out.finish().to_vec();
    said.extend(body);
    let length = i32::try_from(said.len() - 4).expect("a request is short");
    said[..4].copy_from_slice(&length.to_be_bytes());
    said
}

/// Metadata 0 for a topic that nobody may see: it makes none, and its answer is short.
const NO_TOPICS: [u8; 8] = [0, 0, 0, 1, 0, 2, b'z', b'z'];
const PROBE: i32 = -7;

/// Longer than anybody waits for others in a group here.
const PATIENCE: Duration = Duration::from_secs(30);
