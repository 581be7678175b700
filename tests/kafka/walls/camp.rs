//! From where a tenant sends its requests: before the gateway, or right before the broker.

use super::aims::Probe;
use super::judge::Outcome;
use super::neighbour::{Neighbour, OURS};
use super::sense::{Request, request};
use crate::site::{self, CLIENT, Front};
use crate::support::client::Client;
use crate::support::kafka::Kafka;
use crate::support::process::Issuer;
use crate::support::words::ask_body;

pub struct Camp<'c> {
    connect: Box<dyn Fn() -> Client + 'c>,
    client: Client,
    /// What stands before the names of our own where they are said.
    prefix: &'static str,
}

impl<'c> Camp<'c> {
    pub fn before_the_gateway(front: &'c Front<'c>, issuer: &Issuer) -> Self {
        let (port, token) = (front.setup.tenants[0].port, issuer.token(CLIENT, site::SECRET));
        let connect = move || {
            let mut client = Client::connect(port);
            client.log_in(&token);
            client
        };
        Self { client: connect(), connect: Box::new(connect), prefix: "" }
    }

    pub fn before_the_broker(kafka: &Kafka) -> Self {
        let port = kafka.port("PLAINTEXT");
        let connect = move || Client::connect(port);
        Self { client: connect(), connect: Box::new(connect), prefix: OURS }
    }

    /// Sends the request of a probe, as the first or the second of the twins.
    pub fn say(&mut self, probe: &Probe, neighbour: &Neighbour, twin: usize) -> (Request, Outcome) {
        let request = request(probe, neighbour, self.prefix, twin);
        let outcome = ask_body(&mut self.client, probe.key, probe.version, &request.body);
        if outcome.is_none() {
            self.client = (self.connect)();
        }
        (request, outcome)
    }
}
