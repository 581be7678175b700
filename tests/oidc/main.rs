//! The npm package oidc-provider as the issuer: its tokens at the gateway, and the gateway as its client.
//!
//! `scripts/test` provides it; a bare `cargo test` leaves these cases out and says so.
#![allow(clippy::disallowed_methods, reason = "a dialogue is had with real processes, by the real clock")]

#[path = "../support/mod.rs"]
mod support;

mod backend; // the gateway as its client, for the brokers' sake
mod introspection; // tokens about which it is asked
mod logins; //  whose tokens are taken
mod passwords; // its clients' ids and secrets by PLAIN
mod site; //    gateways that take its tokens
