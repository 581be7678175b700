//! Quotas of users, client ids and addresses: the backend's, under its own names.

use std::ops::RangeInclusive;

use kafka_protocol::messages::alter_client_quotas_response::{EntityData, EntryData};
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, DescribeClientQuotasRequest,
    DescribeClientQuotasResponse,
};

use super::super::{Api, Asking, Pass, Refusal, Showing};
use super::{reword, text};
use crate::cluster::OperatorApi;
use crate::wire::ApiKey;

/// Quotas read.
pub struct DescribeClientQuotas;

impl Api for DescribeClientQuotas {
    type Request = DescribeClientQuotasRequest;
    type Response = DescribeClientQuotasResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::DescribeClientQuotas;
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    fn admit(request: DescribeClientQuotasRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.ask_operator(OperatorApi::DescribeClientQuotas)?;
        Ok(Pass::Forward(request, ()))
    }

    fn reveal(response: &mut DescribeClientQuotasResponse, (): (), _show: &Showing<'_>) {
        reword(&mut response.error_message, response.error_code);
    }

    /// A broker leaves the text out here, and so does this.
    fn refuse(
        _request: DescribeClientQuotasRequest,
        why: Refusal,
        _version: i16,
    ) -> DescribeClientQuotasResponse {
        DescribeClientQuotasResponse::default().with_error_code(why.code()).with_entries(None)
    }
}

/// Quotas changed.
pub struct AlterClientQuotas;

impl Api for AlterClientQuotas {
    type Request = AlterClientQuotasRequest;
    type Response = AlterClientQuotasResponse;
    type Aside = ();

    const KEY: ApiKey = ApiKey::AlterClientQuotas;
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    fn admit(request: AlterClientQuotasRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.ask_operator(OperatorApi::AlterClientQuotas)?;
        Ok(Pass::Forward(request, ()))
    }

    fn reveal(response: &mut AlterClientQuotasResponse, (): (), _show: &Showing<'_>) {
        for entry in &mut response.entries {
            reword(&mut entry.error_message, entry.error_code);
        }
    }

    fn refuse(request: AlterClientQuotasRequest, why: Refusal, _version: i16) -> AlterClientQuotasResponse {
        let entries = request.entries.into_iter().map(|entry| {
            let entity = entry.entity.into_iter().map(|entity| {
                EntityData::default()
                    .with_entity_type(entity.entity_type)
                    .with_entity_name(entity.entity_name)
            });
            EntryData::default()
                .with_error_code(why.code())
                .with_error_message(text(why))
                .with_entity(entity.collect())
        });
        AlterClientQuotasResponse::default().with_entries(entries.collect())
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::alter_client_quotas_request;
    use kafka_protocol::messages::describe_client_quotas_response::EntryData as Described;

    use super::*;
    use crate::api::standard_text;
    use crate::api::testing::{World, text as name};
    use crate::cluster::OptIns;
    use crate::policy::{Operation, Resource};

    fn operator() -> World {
        World::allowing(&[(Operation::AlterConfigs, Resource::Cluster, "kafka-cluster")])
    }

    #[test]
    fn who_may_not_see_quotas_is_given_no_list() {
        for version in DescribeClientQuotas::VERSIONS {
            let request = DescribeClientQuotasRequest::default();
            let answer = DescribeClientQuotasResponse::default()
                .with_error_message(None)
                .with_entries(Some(vec![Described::default()]));
            let mut denied = operator().with_opt_ins(OptIns::default());
            let talk = denied.talk::<DescribeClientQuotas>(version, &request, &answer);
            assert_eq!((talk.sent.len(), talk.seen.error_code, talk.seen.entries), (0, 31, None));
            // Who may alter configs may see them.
            let talk = operator().talk::<DescribeClientQuotas>(version, &request, &answer);
            assert_eq!(talk.seen.entries.map(|entries| entries.len()), Some(1));
        }
    }

    #[test]
    fn each_entry_that_is_not_altered_is_answered_for() {
        for version in AlterClientQuotas::VERSIONS {
            let entity = alter_client_quotas_request::EntityData::default()
                .with_entity_type(name("user"))
                .with_entity_name(None);
            let entry = alter_client_quotas_request::EntryData::default().with_entity(vec![entity]);
            let request = AlterClientQuotasRequest::default().with_entries(vec![entry.clone(), entry]);
            let failed =
                EntryData::default().with_error_code(42).with_error_message(Some(name("kafka:9092 says no")));
            let answer = AlterClientQuotasResponse::default().with_entries(vec![failed]);
            let talk = World::allowing(&[]).talk::<AlterClientQuotas>(version, &request, &answer);
            let seen: Vec<_> = talk.seen.entries.iter().map(|entry| entry.error_code).collect();
            assert_eq!((talk.sent.len(), &seen[..]), (0, &[31, 31][..]));
            assert_eq!(talk.seen.entries[1].entity[0].entity_type.as_str(), "user");
            assert_eq!(talk.seen.entries[1].entity[0].entity_name, None);

            let talk = operator().talk::<AlterClientQuotas>(version, &request, &answer);
            assert_eq!(*talk.sent(), request);
            assert_eq!(talk.seen.entries[0].error_message, standard_text(42));
        }
    }
}
