//! Sluicegate, a Kafka gateway: OAuth login, virtual clusters, ACLs over a token's claims.
//!
//! The map of the house, in reading order. `ARCHITECTURE.md` walks through it with one request.
//! Everything but [`server`], [`issuer`] and [`keycloak`] is plain, synchronous code: it is handed bytes and the
//! time, and gives back bytes and one next step.

#![deny(unsafe_code)]

pub mod api; //       one file per family of Kafka APIs
pub mod auth; //      who are you?
pub mod cluster; //   what one tenant sees, as one immutable value
pub mod config; //    the operator's file, turned into values that cannot be wrong
pub mod issuer; //    the development issuer
pub mod keycloak; //  clients of Keycloak, and where their secrets go
pub mod names; //     virtual and backend: whose a name is, and the one door between the two
pub mod policy; //    what may you do?
pub mod server; //    the shell: sockets, TLS, tasks, time
pub mod session; //   one client connection as a state machine
pub mod telemetry; // every metric's name and labels, logs, the audit log
pub mod wire; //      frames, headers, the grammar every body is walked against, typed bodies
