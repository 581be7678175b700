//! What the integration tests stand on: the real binary between real clients and real Kafka, or between a raw client
//! and a scripted broker, and ports for all of them.
//!
//! What starts a process ends it: when its value is dropped, and also when the test binary ends in whatever way.
//! Knows no test case and, but for Kafka's bytes, nothing of the gateway's inside.
#![allow(dead_code, reason = "each test binary takes its own part of this")]
#![allow(clippy::disallowed_methods, reason = "these wait for real processes, by the real clock")]

pub mod bearer_broker; // a scripted broker at which one logs in with a token
pub mod broker; //  a scripted broker that remembers what reached it
pub mod client; //  a raw Kafka client, byte by byte
pub mod clients; // Kafka's tools, the Java admin client and librdkafka, told what to do by lines
pub mod codes; //   error codes by their names
pub mod entities; // the fields that name something
pub mod hostile; // an issuer that answers as badly as a test wants
pub mod issuer; //  signs any token, and serves its keys with any fault
pub mod kafka; //   one broker or three, with the listener on which Kafka itself checks tokens
pub mod keycloak; // Keycloak with realms of its own, and what its administrator does
pub mod oidc; //    the npm package oidc-provider, with keys and clients of a test
pub mod ports; //   ranges of ports that nobody else takes
pub mod process; // the sluicegate binary: gateway, issuer, and commands that end
pub mod provided; // what `scripts/test` provides, for those who need it
pub mod rest; //    a server that answers in JSON whatever a test says
pub mod rotation; // clients that log in while an issuer changes its keys
pub mod sense; //   requests that make sense to a broker, for every API and version
pub mod setup; //   the file of a gateway for dialogues
pub mod stage; //   gateway, broker and issuer together, for one dialogue
pub mod tls; //     an authority, its certificates, and clients that trust it
pub mod token_server; // a token endpoint that answers whatever a test says
pub mod walled; //  which APIs keep tenants apart
pub mod words; //   messages said by the paths of their fields
