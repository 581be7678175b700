//! Producers' identities.

use std::ops::RangeInclusive;

use crate::wire::ApiKey;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::{Api, Asking, Pass, Refusal, Showing};
use crate::policy::{Operation, Resource};

/// A producer's id and epoch, for idempotent and transactional writes.
pub struct InitProducerId;

impl Api for InitProducerId {
    type Request = InitProducerIdRequest;
    type Response = InitProducerIdResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::InitProducerId;
    /// 6 is unstable: two-phase commit (KIP-939).
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    fn admit(mut request: InitProducerIdRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        match &mut request.transactional_id {
            Some(id) => ask.gate.one(Operation::Write, id)?,
            // A new producer has no topic yet: the right to write to any will do.
            None if ask.gate.grants_cluster(Operation::IdempotentWrite) => {}
            None => {
                ask.gate.ask_any(Operation::Write, Resource::Topic).map_err(|_| Refusal::ClusterDenied)?
            }
        }
        Ok(Pass::Forward(request, ()))
    }

    fn reveal(_response: &mut InitProducerIdResponse, (): (), _show: &Showing<'_>) {}

    fn refuse(_request: InitProducerIdRequest, why: Refusal, _version: i16) -> InitProducerIdResponse {
        InitProducerIdResponse::default()
            .with_error_code(why.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TransactionalId;

    use super::*;
    use crate::api::testing::{World, text};
    use crate::names::Mode;

    type Right = (Operation, Resource, &'static str);

    const ANY_WRITE: Right = (Operation::Write, Resource::Topic, "*");

    /// Initialises a producer; what goes on as its id, and the code that it reads.
    fn check(allowed: &[Right], denied: &[Right], id: Option<&str>, expected: Result<Option<&str>, i16>) {
        for version in InitProducerId::VERSIONS {
            let request = InitProducerIdRequest::default()
                .with_transactional_id(id.map(|id| TransactionalId(text(id))));
            let answer = InitProducerIdResponse::default().with_producer_id(ProducerId(5));
            let talk = World::with(Mode::HidePrefix, allowed, denied)
                .talk::<InitProducerId>(version, &request, &answer);
            let seen = match talk.sent.first() {
                Some(sent) => {
                    assert_eq!(talk.seen, answer);
                    Ok(sent.transactional_id.as_ref().map(|id| id.0.as_str()))
                }
                None => {
                    assert_eq!((talk.seen.producer_id.0, talk.seen.producer_epoch), (-1, -1));
                    Err(talk.seen.error_code)
                }
            };
            assert_eq!(seen, expected, "{id:?} in version {version}");
        }
    }

    #[test]
    fn a_transactional_producer_needs_the_right_to_its_id() {
        let mover = (Operation::Write, Resource::TransactionalId, "mover");
        check(&[mover], &[], Some("mover"), Ok(Some("my-mover")));
        check(&[mover], &[], Some("other"), Err(53));
        check(&[mover], &[], Some(""), Err(42));
        check(&[ANY_WRITE], &[], Some("mover"), Err(53));
    }

    #[test]
    fn an_idempotent_producer_needs_some_topic_to_write_to() {
        check(&[(Operation::Write, Resource::Topic, "orders-*")], &[], None, Ok(None));
        check(&[(Operation::IdempotentWrite, Resource::Cluster, "kafka-cluster")], &[], None, Ok(None));
        check(&[(Operation::Read, Resource::Topic, "*")], &[], None, Err(31));
        check(&[ANY_WRITE], &[ANY_WRITE], None, Err(31));
    }
}
