//! Keycloak as the issuer: its tokens at the gateway, and what its administrator changes while clients are there.
//!
//! One Keycloak serves all of these cases; whoever changes a realm or a client has one of his own. `scripts/test`
//! provides it, and Kafka; a bare `cargo test` leaves these cases out and says so.
#![allow(clippy::disallowed_methods, reason = "a dialogue is had with real processes, by the real clock")]

#[path = "../support/mod.rs"]
mod support;

mod changes; // clients, roles, secrets and keys that the administrator changes
mod clients; // Kafka's clients and librdkafka, with a real Kafka behind the gateway
mod https; // by an authority that nobody else knows
mod introspection; // Keycloak asked about its tokens
mod logins; // whose tokens are taken, and what they grant
mod oauth_over_plain; // client ids and secrets that come as names and passwords
mod register; // clients that the binary registers, and what it tells when Keycloak says no
mod site; // the one Keycloak, and gateways that take its tokens
