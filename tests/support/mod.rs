//! What the integration tests stand on: the real binary, real Kafka, real clients, and ports for them.
//!
//! Each of these starts a process and ends it: when its value is dropped, and also when the test binary ends in
//! whatever way. Knows no test case and nothing of the gateway's inside.
#![allow(dead_code, reason = "each test binary takes its own part of this")]
#![allow(clippy::disallowed_methods, reason = "these wait for real processes, by the real clock")]

pub mod clients; // Kafka's tools, the Java admin client and librdkafka, told what to do by lines
pub mod kafka; //   one broker or three, with the listener on which Kafka itself checks tokens
pub mod ports; //   ranges of ports that nobody else takes
pub mod process; // the sluicegate binary: gateway, issuer, and commands that end
