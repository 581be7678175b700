//! What an answer tells that it should not.

use sluicegate::wire::sample::{Leaf, LeafValue};

use crate::support::sense::Request;
use crate::support::words::Answer;

/// What came of a request; `None` when the connection ended instead of an answer.
pub type Outcome = Option<Answer>;

/// The marks in an answer that the client has not said itself.
pub fn leaks(outcome: &Outcome, request: &Request, marks: &[(String, Vec<u8>)], port: u16) -> Vec<String> {
    let Some(answer) = outcome else { return Vec::new() };
    let excused: Vec<_> = request.said.iter().flat_map(|said| places(&answer.frame, said)).collect();
    let is_excused = |(begin, end): &(usize, usize)| {
        excused.iter().any(|(said_begin, said_end)| said_begin <= begin && end <= said_end)
    };
    let tells = |(_, bytes): &&(String, Vec<u8>)| !places(&answer.frame, bytes).iter().all(is_excused);
    let mut leaks: Vec<_> = marks.iter().filter(tells).map(|(mark, _)| format!("tells of {mark}")).collect();
    let is_port = |leaf: &&Leaf| leaf.path.ends_with("Port") && leaf.value == LeafValue::Int(port.into());
    leaks.extend(
        answer.leaves.iter().filter(is_port).map(|leaf| format!("{} is the broker's port", leaf.path)),
    );
    leaks
}

/// Where some bytes stand in others; where nothing was said, nowhere.
fn places(frame: &[u8], bytes: &[u8]) -> Vec<(usize, usize)> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let windows = frame.windows(bytes.len()).enumerate();
    windows.filter(|(_, window)| *window == bytes).map(|(at, _)| (at, at + bytes.len())).collect()
}

/// Where two answers differ, when what was asked is the same in both.
pub fn difference(
    (first, of_first): (&Outcome, &Request),
    (second, of_second): (&Outcome, &Request),
    noise: &[&str],
) -> Option<String> {
    let (first, second) = match (first, second) {
        (None, None) => return None,
        (Some(_), None) => return Some("is answered, and the other one ends the connection".to_owned()),
        (None, Some(_)) => return Some("ends the connection, and the other one is answered".to_owned()),
        (Some(first), Some(second)) => (shape(first, of_first, noise), shape(second, of_second, noise)),
    };
    // Brokers tell of several names in any order, and of ids in the order in which they were asked.
    let in_order = |lines: &[String]| {
        let mut lines = lines.to_vec();
        lines.sort();
        lines
    };
    let is_by_name = of_first.is_beside_own && !of_first.is_by_id;
    let (first, second) = if is_by_name { (in_order(&first), in_order(&second)) } else { (first, second) };
    if first == second {
        return None;
    }
    let at = first.iter().zip(&second).position(|(first, second)| first != second);
    let at = at.unwrap_or(first.len().min(second.len()));
    let none = "nothing".to_owned();
    Some(format!(
        "says {}, and the other one {}",
        first.get(at).unwrap_or(&none),
        second.get(at).unwrap_or(&none)
    ))
}

/// An answer with numbers in place of what the client has said, and without what is never the same.
fn shape(answer: &Answer, request: &Request, noise: &[&str]) -> Vec<String> {
    let mut said: Vec<_> = request.said.iter().enumerate().filter(|(_, said)| said.len() > 2).collect();
    said.sort_by_key(|(_, said)| std::cmp::Reverse(said.len()));
    let line = |leaf: &Leaf| {
        let name = leaf.path.rsplit('.').next().unwrap_or(&leaf.path);
        let value = match &leaf.value {
            _ if noise.contains(&name) => "noise".to_owned(),
            // Batches tell of the producer.
            LeafValue::Bytes(bytes) if name == "Records" => format!("{} bytes", bytes.len()),
            LeafValue::Text(text) => without_said(text.as_bytes(), &said),
            LeafValue::Bytes(bytes) => without_said(bytes, &said),
            LeafValue::Uuid(id) if id.is_nil() => "nil".to_owned(),
            LeafValue::Uuid(id) => match said.iter().find(|(_, said)| *said == id.as_bytes()) {
                Some((place, _)) => format!("said {place}"),
                None => "some id".to_owned(),
            },
            value => format!("{value:?}"),
        };
        format!("{}: {value}", leaf.path)
    };
    answer.leaves.iter().map(line).collect()
}

fn without_said(bytes: &[u8], said: &[(usize, &Vec<u8>)]) -> String {
    let mut shape = String::new();
    let mut rest = bytes;
    'bytes: while let Some((first, behind)) = rest.split_first() {
        for (_, word) in said {
            if let Some(behind) = rest.strip_prefix(word.as_slice()) {
                // The same word may have been said in two places.
                let place = said.iter().filter(|(_, other)| other == word).map(|(place, _)| place).min();
                shape.push_str(&format!("{{{}}}", place.expect("it was said")));
                rest = behind;
                continue 'bytes;
            }
        }
        shape.extend(std::ascii::escape_default(*first).map(char::from));
        rest = behind;
    }
    shape
}

/// Is never the same.
pub const NOISE: &[&str] = &[
    "ThrottleTimeMs",
    "ProducerId",
    "MemberId",
    "Leader",
    "GenerationId",
    "LogAppendTimeMs",
    "PartitionSize",
    "TransactionStartTimeMs",
    "LastTimestamp",
];

/// Changes by what the probes do to our own.
pub const NOISE_OVER_TIME: &[&str] = &[
    "ThrottleTimeMs",
    "ProducerId",
    "ProducerEpoch",
    "MemberId",
    "Leader",
    "BaseOffset",
    "GenerationId",
    "HighWatermark",
    "LastStableOffset",
    "LogStartOffset",
    "LowWatermark",
    "LogAppendTimeMs",
    "PartitionSize",
    "TransactionStartTimeMs",
    "LastTimestamp",
    "Records",
    "MemberEpoch",
];
