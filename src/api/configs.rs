//! The configuration of topics and groups.
//!
//! Brokers, their loggers and client metrics have one too, and it is every tenant's: these are
//! refused, whoever asks.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, alter_configs_request,
    alter_configs_response,
};
use kafka_protocol::protocol::StrBytes;

use super::parts::Parting;
use super::{Api, Asking, Pass, Refusal, Showing, standard_text};
use crate::names::Kind;
use crate::policy::{Operation, Resource};
use crate::wire::ApiKey;

/// The refused resources of a request, by type and name.
pub type Refused = BTreeMap<(i8, StrBytes), Refusal>;

/// Configurations read.
pub struct DescribeConfigs;

impl Api for DescribeConfigs {
    type Request = DescribeConfigsRequest;
    type Response = DescribeConfigsResponse;
    type Aside = Refused;

    const KEY: ApiKey = ApiKey::DescribeConfigs;
    const VERSIONS: RangeInclusive<i16> = 1..=4;

    fn part(
        request: &mut DescribeConfigsRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<DescribeConfigsRequest> {
        let others = names.named(&mut request.resources, |resource| {
            topic(resource.resource_type, &resource.resource_name)
        })?;
        Some(request.clone().with_resources(others))
    }

    fn admit(mut request: DescribeConfigsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let mut refused = Refused::new();
        request.resources.retain_mut(|resource| {
            let (r#type, name) = (resource.resource_type, &mut resource.resource_name);
            admit(Operation::DescribeConfigs, r#type, name, ask, &mut refused)
        });
        let nothing_left = request.resources.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(response: &mut DescribeConfigsResponse, refused: Refused, show: &Showing<'_>) {
        response.results.retain_mut(|result| {
            result.error_message = result.error_message.take().and_then(|_| standard_text(result.error_code));
            reveal(result.resource_type, &mut result.resource_name, show)
        });
        response.results.extend(refused.into_iter().map(undescribed));
    }

    fn refuse(request: DescribeConfigsRequest, why: Refusal, _version: i16) -> DescribeConfigsResponse {
        let results = request
            .resources
            .into_iter()
            .map(|resource| undescribed(((resource.resource_type, resource.resource_name), why)));
        DescribeConfigsResponse::default().with_results(results.collect())
    }

    fn join(first: &mut DescribeConfigsResponse, later: DescribeConfigsResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        first.results.extend(later.results);
    }
}

fn undescribed(((r#type, name), why): ((i8, StrBytes), Refusal)) -> DescribeConfigsResult {
    DescribeConfigsResult::default()
        .with_resource_type(r#type)
        .with_resource_name(name)
        .with_error_code(why.code())
        .with_error_message(Some(StrBytes::from_string(why.text())))
}

/// Configurations changed, key by key.
pub struct IncrementalAlterConfigs;

impl Api for IncrementalAlterConfigs {
    type Request = IncrementalAlterConfigsRequest;
    type Response = IncrementalAlterConfigsResponse;
    type Aside = Refused;

    const KEY: ApiKey = ApiKey::IncrementalAlterConfigs;
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    fn part(
        request: &mut IncrementalAlterConfigsRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<IncrementalAlterConfigsRequest> {
        let others = names.named(&mut request.resources, |resource| {
            topic(resource.resource_type, &resource.resource_name)
        })?;
        Some(request.clone().with_resources(others))
    }

    fn admit(
        mut request: IncrementalAlterConfigsRequest,
        ask: &mut Asking<'_>,
    ) -> Result<Pass<Self>, Refusal> {
        let mut refused = Refused::new();
        request.resources.retain_mut(|resource| {
            let (r#type, name) = (resource.resource_type, &mut resource.resource_name);
            admit(Operation::AlterConfigs, r#type, name, ask, &mut refused)
        });
        let nothing_left = request.resources.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(response: &mut IncrementalAlterConfigsResponse, refused: Refused, show: &Showing<'_>) {
        response.responses.retain_mut(|result| {
            result.error_message = result.error_message.take().and_then(|_| standard_text(result.error_code));
            reveal(result.resource_type, &mut result.resource_name, show)
        });
        response.responses.extend(refused.into_iter().map(unaltered));
    }

    fn refuse(
        request: IncrementalAlterConfigsRequest,
        why: Refusal,
        _version: i16,
    ) -> IncrementalAlterConfigsResponse {
        let responses = request
            .resources
            .into_iter()
            .map(|resource| unaltered(((resource.resource_type, resource.resource_name), why)));
        IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
    }

    fn join(first: &mut IncrementalAlterConfigsResponse, later: IncrementalAlterConfigsResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        first.responses.extend(later.responses);
    }
}

fn unaltered(((r#type, name), why): ((i8, StrBytes), Refusal)) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse::default()
        .with_resource_type(r#type)
        .with_resource_name(name)
        .with_error_code(why.code())
        .with_error_message(Some(StrBytes::from_string(why.text())))
}

/// Configurations replaced, all of a resource at once: what is not named becomes a default again.
pub struct AlterConfigs;

impl Api for AlterConfigs {
    type Request = AlterConfigsRequest;
    type Response = AlterConfigsResponse;
    type Aside = Refused;

    const KEY: ApiKey = ApiKey::AlterConfigs;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    fn part(
        request: &mut AlterConfigsRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<AlterConfigsRequest> {
        let others = names.named(&mut request.resources, |resource| {
            topic(resource.resource_type, &resource.resource_name)
        })?;
        Some(request.clone().with_resources(others))
    }

    fn admit(mut request: AlterConfigsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let mut refused = Refused::new();
        request.resources.retain_mut(|resource| {
            if !is_well_formed(resource) {
                let about = (resource.resource_type, resource.resource_name.clone());
                refused.insert(about, Refusal::InvalidRequest);
                return false;
            }
            let (r#type, name) = (resource.resource_type, &mut resource.resource_name);
            admit(Operation::AlterConfigs, r#type, name, ask, &mut refused)
        });
        let nothing_left = request.resources.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(response: &mut AlterConfigsResponse, refused: Refused, show: &Showing<'_>) {
        response.responses.retain_mut(|result| {
            result.error_message = result.error_message.take().and_then(|_| standard_text(result.error_code));
            reveal(result.resource_type, &mut result.resource_name, show)
        });
        response.responses.extend(refused.into_iter().map(unreplaced));
    }

    fn refuse(request: AlterConfigsRequest, why: Refusal, _version: i16) -> AlterConfigsResponse {
        let responses = request
            .resources
            .into_iter()
            .map(|resource| unreplaced(((resource.resource_type, resource.resource_name), why)));
        AlterConfigsResponse::default().with_responses(responses.collect())
    }

    fn join(first: &mut AlterConfigsResponse, later: AlterConfigsResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        first.responses.extend(later.responses);
    }
}

/// What a broker looks at before it asks for rights: this call knows no loggers, and no null.
fn is_well_formed(resource: &alter_configs_request::AlterConfigsResource) -> bool {
    let is_known = resource.resource_type != BROKER_LOGGER;
    is_known && resource.configs.iter().all(|config| config.value.is_some())
}

fn unreplaced(
    ((r#type, name), why): ((i8, StrBytes), Refusal),
) -> alter_configs_response::AlterConfigsResourceResponse {
    alter_configs_response::AlterConfigsResourceResponse::default()
        .with_resource_type(r#type)
        .with_resource_name(name)
        .with_error_code(why.code())
        .with_error_message(Some(StrBytes::from_string(why.text())))
}

/// The topic that a resource is, if it is one.
fn topic(r#type: i8, name: &StrBytes) -> Option<StrBytes> {
    (kind(r#type) == Some(Kind::Topic)).then(|| name.clone())
}

/// Lets a resource through to the broker, renamed, or sets it aside.
fn admit(need: Operation, r#type: i8, name: &mut StrBytes, ask: &Asking<'_>, refused: &mut Refused) -> bool {
    let verdict = match kind(r#type) {
        // To let an additional topic forget its records is to delete it by halves.
        Some(Kind::Topic) if need == Operation::AlterConfigs && is_additional(name, ask) => {
            let granted = ask.gate.ask(need, Resource::Topic, name).map_err(Refusal::from);
            granted.and(Err(Refusal::AdditionalTopic))
        }
        Some(kind) => ask.gate.one(need, kind.at(name)).map_err(Refusal::from),
        // Asked so that the audit log hears of it; refused even where it is granted.
        None => ask.gate.ask_cluster(need).map_err(Refusal::from).and(Err(Refusal::ClusterDenied)),
    };
    match verdict {
        Ok(()) => true,
        Err(why) => {
            refused.insert((r#type, name.clone()), why);
            false
        }
    }
}

fn is_additional(name: &str, ask: &Asking<'_>) -> bool {
    ask.gate.cluster().namespace.is_additional(Kind::Topic, name)
}

/// Writes the client's name of a resource in place of the broker's; false where it has none.
fn reveal(r#type: i8, name: &mut StrBytes, show: &Showing<'_>) -> bool {
    kind(r#type).is_some_and(|kind| show.lens.one(kind.at(name)))
}

/// What a resource's name names; `None` for what is not a tenant's.
///
/// Source: `ConfigResource.Type` of the Kafka clients.
fn kind(r#type: i8) -> Option<Kind> {
    match r#type {
        2 => Some(Kind::Topic),
        32 => Some(Kind::Group),
        _ => None,
    }
}

/// `ConfigResource.Type` of the log levels of a broker.
const BROKER_LOGGER: i8 = 8;

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
    use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
    use kafka_protocol::messages::incremental_alter_configs_request::{
        AlterConfigsResource, AlterableConfig,
    };

    use super::*;
    use crate::api::testing::{World, text as name};

    const TOPIC: i8 = 2;
    const BROKER: i8 = 4;
    const CLIENT_METRICS: i8 = 16;
    const GROUP: i8 = 32;

    fn world(operation: Operation) -> World {
        World::allowing(&[
            (operation, Resource::Topic, "orders"),
            (operation, Resource::Topic, "extra_topic"),
            (operation, Resource::Group, "readers"),
            (operation, Resource::Cluster, "kafka-cluster"),
        ])
    }

    const ASKED: [(i8, &str); 11] = [
        (TOPIC, "orders"),
        (TOPIC, "secret"),
        (TOPIC, "extra_topic"),
        (TOPIC, "readers"),
        (BROKER, "1"),
        (BROKER, ""),
        (BROKER_LOGGER, "1"),
        (CLIENT_METRICS, "all"),
        (GROUP, "readers"),
        (GROUP, ""),
        (77, "orders"),
    ];
    const SENT: [(i8, &str); 3] = [(TOPIC, "my-orders"), (TOPIC, "extra_topic"), (GROUP, "my-readers")];
    const ANSWERED: [(i8, &str, i16); 6] = [
        (TOPIC, "my-orders", 0),
        (TOPIC, "extra_topic", 0),
        (GROUP, "my-readers", 42),
        (TOPIC, "their-orders", 0),
        (GROUP, "their-readers", 0),
        (BROKER, "1", 0),
    ];
    const SEEN: [(i8, &str, i16); 11] = [
        (TOPIC, "orders", 0),
        (TOPIC, "extra_topic", 0),
        (GROUP, "readers", 42),
        (TOPIC, "readers", 29),
        (TOPIC, "secret", 29),
        (BROKER, "", 31),
        (BROKER, "1", 31),
        (BROKER_LOGGER, "1", 31),
        (CLIENT_METRICS, "all", 31),
        (GROUP, "", 30),
        (77, "orders", 31),
    ];

    /// The backend's name stands in what the broker says.
    fn message(code: i16, resource: &str) -> Option<StrBytes> {
        (code != 0).then(|| name(&format!("{resource} is not right")))
    }

    #[test]
    fn topics_and_groups_are_described_and_nothing_else() {
        for version in DescribeConfigs::VERSIONS {
            let asked = ASKED.map(|(r#type, resource)| {
                DescribeConfigsResource::default()
                    .with_resource_type(r#type)
                    .with_resource_name(name(resource))
            });
            let answered = ANSWERED.map(|(r#type, resource, code)| {
                DescribeConfigsResult::default()
                    .with_resource_type(r#type)
                    .with_resource_name(name(resource))
                    .with_error_code(code)
                    .with_error_message(message(code, resource))
                    .with_configs(vec![
                        DescribeConfigsResourceResult::default().with_name(name("retention.ms")),
                    ])
            });
            let talk = world(Operation::DescribeConfigs).talk::<DescribeConfigs>(
                version,
                &DescribeConfigsRequest::default().with_resources(asked.to_vec()),
                &DescribeConfigsResponse::default().with_results(answered.to_vec()),
            );
            let sent = talk.sent().resources.iter();
            let sent: Vec<_> =
                sent.map(|resource| (resource.resource_type, resource.resource_name.as_str())).collect();
            assert_eq!(sent, SENT);
            let seen = talk.seen.results.iter();
            let seen: Vec<_> = seen
                .map(|result| (result.resource_type, result.resource_name.as_str(), result.error_code))
                .collect();
            assert_eq!(seen, SEEN);
            assert_eq!(talk.seen.results[0].configs[0].name.as_str(), "retention.ms");
            assert_eq!(talk.seen.results[2].error_message.as_deref(), standard_text(42).as_deref());
        }
    }

    #[test]
    fn topics_and_groups_are_altered_and_nothing_else() {
        for version in IncrementalAlterConfigs::VERSIONS {
            let change =
                AlterableConfig::default().with_name(name("retention.ms")).with_value(Some(name("1")));
            let asked = ASKED.map(|(r#type, resource)| {
                AlterConfigsResource::default()
                    .with_resource_type(r#type)
                    .with_resource_name(name(resource))
                    .with_configs(vec![change.clone()])
            });
            let answered = [ANSWERED[0], ANSWERED[2], ANSWERED[3], ANSWERED[4], ANSWERED[5]].map(
                |(r#type, resource, code)| {
                    AlterConfigsResourceResponse::default()
                        .with_resource_type(r#type)
                        .with_resource_name(name(resource))
                        .with_error_code(code)
                        .with_error_message(message(code, resource))
                },
            );
            let talk = world(Operation::AlterConfigs).talk::<IncrementalAlterConfigs>(
                version,
                &IncrementalAlterConfigsRequest::default().with_resources(asked.to_vec()),
                &IncrementalAlterConfigsResponse::default().with_responses(answered.to_vec()),
            );
            let sent = talk.sent().resources.iter();
            let sent: Vec<_> =
                sent.map(|resource| (resource.resource_type, resource.resource_name.as_str())).collect();
            assert_eq!(sent, [SENT[0], SENT[2]]);
            assert!(talk.sent().resources.iter().all(|resource| resource.configs == [change.clone()]));
            let seen = talk.seen.responses.iter();
            let seen: Vec<_> = seen
                .map(|result| (result.resource_type, result.resource_name.as_str(), result.error_code))
                .collect();
            // What is shared is read here and managed on the backend.
            assert_eq!(seen[..3], [SEEN[0], SEEN[2], (TOPIC, "extra_topic", 44)]);
            assert_eq!(seen[3..], SEEN[3..]);
            assert_eq!(talk.seen.responses[1].error_message.as_deref(), standard_text(42).as_deref());
        }
    }

    #[test]
    fn topics_and_groups_have_their_configs_replaced_and_nothing_else() {
        for version in AlterConfigs::VERSIONS {
            let change = alter_configs_request::AlterableConfig::default()
                .with_name(name("retention.ms"))
                .with_value(Some(name("1")));
            let asked = ASKED.map(|(r#type, resource)| {
                alter_configs_request::AlterConfigsResource::default()
                    .with_resource_type(r#type)
                    .with_resource_name(name(resource))
                    .with_configs(vec![change.clone()])
            });
            let answered = [ANSWERED[0], ANSWERED[2], ANSWERED[3], ANSWERED[4], ANSWERED[5]].map(
                |(r#type, resource, code)| {
                    alter_configs_response::AlterConfigsResourceResponse::default()
                        .with_resource_type(r#type)
                        .with_resource_name(name(resource))
                        .with_error_code(code)
                        .with_error_message(message(code, resource))
                },
            );
            let talk = world(Operation::AlterConfigs).talk::<AlterConfigs>(
                version,
                &AlterConfigsRequest::default().with_resources(asked.to_vec()).with_validate_only(true),
                &AlterConfigsResponse::default().with_responses(answered.to_vec()),
            );
            let sent = talk.sent().resources.iter();
            let sent: Vec<_> =
                sent.map(|resource| (resource.resource_type, resource.resource_name.as_str())).collect();
            assert_eq!(sent, [SENT[0], SENT[2]]);
            assert!(talk.sent().validate_only);
            assert!(talk.sent().resources.iter().all(|resource| resource.configs == [change.clone()]));
            let seen = talk.seen.responses.iter();
            let seen: Vec<_> = seen
                .map(|result| (result.resource_type, result.resource_name.as_str(), result.error_code))
                .collect();
            let unknown_to_this_call = |seen: (i8, &'static str, i16)| match seen {
                (BROKER_LOGGER, resource, _) => (BROKER_LOGGER, resource, 42),
                other => other,
            };
            assert_eq!(seen[..3], [SEEN[0], SEEN[2], (TOPIC, "extra_topic", 44)]);
            assert_eq!(seen[3..], *SEEN.map(unknown_to_this_call).split_at(3).1);
            assert_eq!(talk.seen.responses[1].error_message.as_deref(), standard_text(42).as_deref());
        }
    }

    #[test]
    fn a_config_without_a_value_is_refused_before_rights_are_asked_for() {
        let config = alter_configs_request::AlterableConfig::default().with_name(name("retention.ms"));
        let asked = ["orders", "secret"].map(|topic| {
            alter_configs_request::AlterConfigsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(name(topic))
                .with_configs(vec![config.clone().with_value(None)])
        });
        let talk = world(Operation::AlterConfigs).talk::<AlterConfigs>(
            2,
            &AlterConfigsRequest::default().with_resources(asked.to_vec()),
            &AlterConfigsResponse::default(),
        );
        let codes: Vec<_> = talk.seen.responses.iter().map(|result| result.error_code).collect();
        assert_eq!((talk.sent.len(), codes, talk.denials.len()), (0, vec![42, 42], 0));
    }

    #[test]
    fn the_right_to_describe_is_not_the_right_to_alter() {
        let resource =
            AlterConfigsResource::default().with_resource_type(TOPIC).with_resource_name(name("orders"));
        let talk = world(Operation::DescribeConfigs).talk::<IncrementalAlterConfigs>(
            1,
            &IncrementalAlterConfigsRequest::default().with_resources(vec![resource]),
            &IncrementalAlterConfigsResponse::default(),
        );
        assert!(talk.sent.is_empty());
        assert_eq!(talk.seen.responses[0].error_code, 29);
        assert_eq!(talk.seen.responses[0].error_message.as_deref(), Some("Authorization failed."));
    }

    #[test]
    fn who_may_not_alter_a_shared_topic_is_told_no_more_than_that() {
        let shared =
            AlterConfigsResource::default().with_resource_type(TOPIC).with_resource_name(name("extra_topic"));
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![shared]);
        let talk = World::allowing(&[]).talk::<IncrementalAlterConfigs>(1, &request, &Default::default());
        assert_eq!((talk.sent.len(), talk.seen.responses[0].error_code), (0, 29));
        assert_eq!(talk.denials.len(), 1);
    }

    #[test]
    fn a_brokers_configs_are_heard_of_in_the_audit_log() {
        let resource =
            DescribeConfigsResource::default().with_resource_type(BROKER).with_resource_name(name("1"));
        let talk = World::allowing(&[]).talk::<DescribeConfigs>(
            4,
            &DescribeConfigsRequest::default().with_resources(vec![resource]),
            &DescribeConfigsResponse::default(),
        );
        assert_eq!(talk.denials[0].resource, Resource::Cluster);
    }
}
