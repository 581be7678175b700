//! A client that looks at every byte it is sent.

use kafka_protocol::protocol::Request;

use crate::support::broker::Broker;
use crate::support::client::{Client, response_of};

/// No frame for this client may hold what is forbidden.
pub struct Wary {
    pub client: Client,
    forbidden: Vec<Vec<u8>>,
}

impl Wary {
    pub fn of(client: Client, words: &[&str]) -> Self {
        Self { client, forbidden: words.iter().map(|word| word.as_bytes().to_vec()).collect() }
    }

    /// Nor may the port of one of these be told, in the four bytes in which Kafka tells ports.
    pub fn of_ports(mut self, brokers: &[Broker]) -> Self {
        self.forbidden.extend(brokers.iter().map(|broker| i32::from(broker.port()).to_be_bytes().to_vec()));
        self
    }

    pub fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let correlation_id = self.client.send(version, request);
        let frame = self.client.read_frame();
        for word in &self.forbidden {
            let is_there = frame.windows(word.len()).any(|bytes| bytes == word);
            let (word, shown) = (String::from_utf8_lossy(word), String::from_utf8_lossy(&frame));
            assert!(!is_there, "key {} version {version} tells of {word}: {shown:?}", R::KEY);
        }
        let (answered, response) = response_of::<R>(version, &frame);
        assert_eq!(answered, correlation_id);
        response
    }
}
