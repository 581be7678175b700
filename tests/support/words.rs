//! Messages said by the paths of their fields, with no type for each: `("Topics[].Name", "orders")`.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use sluicegate::wire::sample::{Filler, Leaf, LeafValue, body, leaves};
use sluicegate::wire::{
    Direction, Gather, RequestHead, RequestHeader, grammar, read_response, write_request,
};
use uuid::Uuid;

use super::client::{CLIENT_ID, Client};

/// What stands in a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    Null,
    /// Of a list.
    Empty,
    Int(i64),
    Text(String),
    Uuid(Uuid),
    Bytes(Vec<u8>),
}

impl From<i64> for Word {
    fn from(int: i64) -> Self {
        Word::Int(int)
    }
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        Word::Text(text.to_owned())
    }
}

impl From<Uuid> for Word {
    fn from(uuid: Uuid) -> Self {
        Word::Uuid(uuid)
    }
}

impl From<Vec<u8>> for Word {
    fn from(bytes: Vec<u8>) -> Self {
        Word::Bytes(bytes)
    }
}

/// The fields of a message that are more than nothing; an array has one element when something in it is said.
pub struct Words(BTreeMap<&'static str, Word>);

impl Words {
    pub fn of(words: Vec<(&'static str, Word)>) -> Self {
        Self(words.into_iter().collect())
    }

    fn says_within(&self, path: &str) -> bool {
        self.0.iter().any(|(said, word)| *word != Word::Null && is_within(said, path))
    }
}

/// Whether a path is another one, or leads into it.
pub fn is_within(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

impl Filler for Words {
    fn text(&mut self, path: &str) -> String {
        match self.0.get(path) {
            Some(Word::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }

    fn uuid(&mut self, path: &str) -> Uuid {
        match self.0.get(path) {
            Some(Word::Uuid(uuid)) => *uuid,
            _ => Uuid::nil(),
        }
    }

    fn bytes(&mut self, path: &str) -> Vec<u8> {
        match self.0.get(path) {
            Some(Word::Bytes(bytes)) => bytes.clone(),
            _ => Vec::new(),
        }
    }

    fn int(&mut self, path: &str) -> i64 {
        match self.0.get(path) {
            Some(Word::Int(int)) => *int,
            _ => 0,
        }
    }

    fn count(&mut self, path: &str) -> usize {
        usize::from(self.0.get(path) != Some(&Word::Empty) && self.says_within(path))
    }

    fn present(&mut self, path: &str) -> bool {
        self.says_within(path)
    }
}

/// An answer, as it came and as it reads.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Without length; with its header.
    pub frame: Bytes,
    pub leaves: Vec<Leaf>,
}

impl Answer {
    /// The first value at a path.
    pub fn at(&self, path: &str) -> Option<&LeafValue> {
        self.leaves.iter().find(|leaf| leaf.path == path).map(|leaf| &leaf.value)
    }

    /// The first number at a path, which is there.
    pub fn int(&self, path: &str) -> i64 {
        match self.at(path) {
            Some(LeafValue::Int(int)) => *int,
            other => panic!("{path} is {other:?} in {self:?}"),
        }
    }

    /// The first text at a path, which is there.
    pub fn text(&self, path: &str) -> &str {
        match self.at(path) {
            Some(LeafValue::Text(text)) => text,
            other => panic!("{path} is {other:?} in {self:?}"),
        }
    }

    /// The elements of an array, one after the other; their first fields are no arrays.
    pub fn elements(&self, array: &str) -> Vec<Vec<Leaf>> {
        let mut elements: Vec<Vec<Leaf>> = Vec::new();
        for leaf in self.leaves.iter().filter(|leaf| is_within(&leaf.path, array)) {
            let begins = elements.last().is_none_or(|element| element[0].path == leaf.path);
            match elements.last_mut() {
                Some(element) if !begins => element.push(leaf.clone()),
                _ => elements.push(vec![leaf.clone()]),
            }
        }
        elements
    }
}

/// Says a body, and waits for its answer; `None` when the connection ends instead.
pub fn ask_body(client: &mut Client, key: i16, version: i16, body: &[u8]) -> Option<Answer> {
    client.try_send_bytes(&request(key, version, body)).ok()?;
    let frame = client.read_frame_or_close()?;
    let flexible = grammar().header_flexible(key, Direction::Response, version);
    let (correlation_id, body) = read_response(&frame, flexible).expect("an answer has a header");
    assert_eq!(correlation_id, CORRELATION_ID, "another request of the connection is answered first");
    let leaves = leaves(key, Direction::Response, version, &body).unwrap_or_else(|why| {
        panic!("the answer to key {key} version {version} is broken: {why}: {frame:02x?}")
    });
    Some(Answer { frame, leaves })
}

/// Says some words, and waits for their answer.
pub fn ask(client: &mut Client, key: i16, version: i16, words: Vec<(&'static str, Word)>) -> Answer {
    let body = body(key, Direction::Request, version, &mut Words::of(words)).expect("the grammar knows it");
    ask_body(client, key, version, &body).expect("there is an answer")
}

/// A request as it stands on the wire.
fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let head = RequestHead { key, version, correlation_id: CORRELATION_ID };
    let header = RequestHeader { head, client_id: Some(StrBytes::from_static_str(CLIENT_ID)) };
    let mut out = Gather::around(None);
    write_request(&mut out, &header, grammar().header_flexible(key, Direction::Request, version));
    let head = out.finish().to_vec();
    let length = i32::try_from(head.len() - 4 + body.len()).expect("a test's frame is short");
    [&length.to_be_bytes(), &head[4..], body].concat()
}

/// Each answer is awaited before the next request, so all may have the same.
const CORRELATION_ID: i32 = 77;
