//! Dialogues with the real binary: a raw client says what it likes, a scripted broker answers what it is told to.
//!
//! One file for each thing that a user can see. A test whose name begins with `hazard_` and a number shows that the
//! gateway does not fall into that hazard of the Kafka protocol.
//! One whose name bears the ids of rules, like `a_11_s_08_`, shows what `docs/security.md` says of them.

#![allow(clippy::disallowed_methods, reason = "a dialogue is had with a real process, by the real clock")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole numbers")]

#[path = "../support/mod.rs"]
mod support;

mod acls; // the ACLs that Kafka itself has
mod admin_families; // what an administrator asks for, in the form of `families`
mod advertise_brokers; // brokers are reached through the gateway alone
mod advertise_versions; // what is advertised is spoken
mod aliases; // a topic under two names
mod attacks; // what strangers and clients try that are up to no good
mod authenticate; // the ways in, and the ways to be refused
mod authorize; // what one may do, for each API
mod backend_tokens; // the gateway's own tokens at brokers
mod claims_as_names; // what a token names
mod consumer_groups; // groups whose coordinator assigns the partitions
mod drain; // the end of the process
mod endurance;
mod explain; // why something is refused, asked without a client
mod families; // every served API in one form, for those that go through all of them
mod fetch_keys; // the issuer's keys, new ones and missing ones
mod fetch_sessions; // a fetch may stand on earlier ones
mod find_issuers; // where an issuer says its keys are, and how it is asked
mod hostile_bytes; // what no client and no broker would say
mod introspect; // tokens about which the issuer is asked
mod isolate_names; // each tenant sees its own
mod keep_order; // answers in the order of their requests
mod limits; // how far a peer may make something grow
mod listen_by_tls; // the same behind TLS
mod mediation; // logins that go on to the broker
mod metrics; // what an operator sees, and that no secret is in it
mod oauth_over_plain; // client ids and secrets in the place of names and passwords
mod old_brokers; // brokers that speak less than others, and brokers that change
mod operate; // calls about the whole Kafka cluster
mod own_connections; // one client, one connection to a broker
mod passwords; // names and passwords instead of tokens
mod prove_by_certificate; // clients with certificates of their own
mod reauthenticate; // a session goes on with a new token, or ends with the old one
mod renew_certificates; // files that change while the gateway runs
mod sasl_messages; // a login by token, to the letter
mod server_names; // many virtual clusters behind one port
mod share_families; // what members of share groups ask for, in the form of `families`
mod slow_verdicts; // logins of which it takes long to find out whether they are right
mod strangers; // who has not logged in
mod streams_groups; // topics that a coordinator makes for applications
mod token_rules; // what a token must say, and that none is verified twice
mod transactions; // each tenant has its own, with the rights for all that it touches
mod walls; // whatever a broker says, a client is told of nothing but its own
mod wary; // a client that looks at every byte it is sent
