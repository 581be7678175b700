//! The configuration of topics and groups.
//!
//! Brokers, their loggers and client metrics have one too, and it is every tenant's: these are
//! refused, whoever asks.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, alter_configs_response,
};
use kafka_protocol::protocol::StrBytes;

use super::parts::Parting;
use super::{Api, Asking, Pass, Refusal, Showing, put_back, standard_text};
use crate::names::Kind;
use crate::policy::{Operation, Resource};
use crate::wire::ApiKey;

/// The refused resources of a request: place, type, name, and why.
pub type Refused = Vec<(usize, i8, StrBytes, Refusal)>;

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

    /// One resource of no type is enough for a broker to find all of a request wrong.
    fn admit(mut request: DescribeConfigsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        if !request.resources.iter().all(|resource| is_type(resource.resource_type)) {
            return Err(Refusal::InvalidRequest);
        }
        let mut refused = Refused::new();
        let mut places = 0..;
        request.resources.retain_mut(|resource| {
            let (r#type, name) = (resource.resource_type, &mut resource.resource_name);
            let verdict = admit(Operation::DescribeConfigs, r#type, name, ask);
            set_aside(verdict, places.next(), r#type, name, &mut refused)
        });
        let nothing_left = request.resources.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(response: &mut DescribeConfigsResponse, refused: Refused, show: &Showing<'_>) {
        response.results.retain_mut(|result| {
            let text = result.error_message.take().filter(|text| !text.is_empty());
            result.error_message = text.and_then(|_| standard_text(result.error_code));
            reveal(result.resource_type, &mut result.resource_name, show)
        });
        response
            .results
            .extend(refused.into_iter().map(|(_, r#type, name, why)| undescribed(r#type, name, why)));
    }

    fn refuse(request: DescribeConfigsRequest, why: Refusal, _version: i16) -> DescribeConfigsResponse {
        let results = request
            .resources
            .into_iter()
            .map(|resource| undescribed(resource.resource_type, resource.resource_name, why));
        DescribeConfigsResponse::default().with_results(results.collect())
    }

    fn join(first: &mut DescribeConfigsResponse, later: DescribeConfigsResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        first.results.extend(later.results);
    }
}

fn undescribed(r#type: i8, name: StrBytes, why: Refusal) -> DescribeConfigsResult {
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
        let twice =
            twice(request.resources.iter().map(|resource| (resource.resource_type, &resource.resource_name)));
        let mut refused = Refused::new();
        let mut places = 0..;
        request.resources.retain_mut(|resource| {
            let configs = resource
                .configs
                .iter()
                .map(|config| (&config.name, config.value.is_some() || config.config_operation == DELETE));
            let well_formed = is_type(resource.resource_type) && are_well_formed(configs);
            let (r#type, name) = (resource.resource_type, &mut resource.resource_name);
            let is_wrong = !well_formed || twice.contains(&(r#type, name.clone()));
            let verdict = admit(Operation::AlterConfigs, r#type, name, ask);
            let verdict = verdict.map_err(|why| if is_wrong { Refusal::InvalidRequest } else { why });
            set_aside(verdict, places.next(), r#type, name, &mut refused)
        });
        let nothing_left = request.resources.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(response: &mut IncrementalAlterConfigsResponse, refused: Refused, show: &Showing<'_>) {
        response.responses.retain_mut(|result| {
            result.error_message = result.error_message.take().and_then(|_| standard_text(result.error_code));
            reveal(result.resource_type, &mut result.resource_name, show)
        });
        let refused = refused.into_iter();
        let refused = refused.map(|(place, r#type, name, why)| (place, unaltered(r#type, name, why)));
        put_back(&mut response.responses, refused);
    }

    fn refuse(
        request: IncrementalAlterConfigsRequest,
        why: Refusal,
        _version: i16,
    ) -> IncrementalAlterConfigsResponse {
        let responses = request
            .resources
            .into_iter()
            .map(|resource| unaltered(resource.resource_type, resource.resource_name, why));
        IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
    }

    fn join(first: &mut IncrementalAlterConfigsResponse, later: IncrementalAlterConfigsResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        first.responses.extend(later.responses);
    }
}

fn unaltered(r#type: i8, name: StrBytes, why: Refusal) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse::default()
        .with_resource_type(r#type)
        .with_resource_name(name)
        .with_error_code(why.code())
        .with_error_message(match (r#type, why) {
            (BROKER_LOGGER, Refusal::ClusterDenied) => None, // a broker leaves it at the code
            _ => Some(StrBytes::from_string(why.text())),
        })
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
        let twice =
            twice(request.resources.iter().map(|resource| (resource.resource_type, &resource.resource_name)));
        let mut refused = Refused::new();
        let mut places = 0..;
        request.resources.retain_mut(|resource| {
            let has_values = resource.configs.iter().all(|config| config.value.is_some());
            let well_formed = is_type(resource.resource_type)
                && are_well_formed(resource.configs.iter().map(|config| (&config.name, true)));
            let (r#type, name) = (resource.resource_type, &mut resource.resource_name);
            let is_wrong = !well_formed || twice.contains(&(r#type, name.clone()));
            let verdict = match has_values && r#type != BROKER_LOGGER {
                true => admit(Operation::AlterConfigs, r#type, name, ask),
                // This call knows no loggers, and no null.
                false => Err(Refusal::InvalidRequest),
            };
            let verdict = verdict.map_err(|why| if is_wrong { Refusal::InvalidRequest } else { why });
            set_aside(verdict, places.next(), r#type, name, &mut refused)
        });
        let nothing_left = request.resources.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(response: &mut AlterConfigsResponse, refused: Refused, show: &Showing<'_>) {
        response.responses.retain_mut(|result| {
            result.error_message = result.error_message.take().and_then(|_| standard_text(result.error_code));
            reveal(result.resource_type, &mut result.resource_name, show)
        });
        let refused = refused.into_iter();
        let refused = refused.map(|(place, r#type, name, why)| (place, unreplaced(r#type, name, why)));
        put_back(&mut response.responses, refused);
    }

    fn refuse(request: AlterConfigsRequest, why: Refusal, _version: i16) -> AlterConfigsResponse {
        let responses = request
            .resources
            .into_iter()
            .map(|resource| unreplaced(resource.resource_type, resource.resource_name, why));
        AlterConfigsResponse::default().with_responses(responses.collect())
    }

    fn join(first: &mut AlterConfigsResponse, later: AlterConfigsResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        first.responses.extend(later.responses);
    }
}

fn unreplaced(
    r#type: i8,
    name: StrBytes,
    why: Refusal,
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

/// The resources that are named more than once, which a broker finds wrong before it asks for rights.
fn twice<'r>(resources: impl Iterator<Item = (i8, &'r StrBytes)>) -> BTreeSet<(i8, StrBytes)> {
    let mut seen = BTreeSet::new();
    resources.filter(|about| !seen.insert(*about)).map(|(r#type, name)| (r#type, name.clone())).collect()
}

/// What else it looks at before: each key once, and each with a value where it needs one.
fn are_well_formed<'c>(configs: impl Iterator<Item = (&'c StrBytes, bool)>) -> bool {
    let mut seen = BTreeSet::new();
    let mut configs = configs;
    configs.all(|(name, has_value)| has_value && seen.insert(name))
}

/// Whether a resource passes, renamed for the broker.
fn admit(need: Operation, r#type: i8, name: &mut StrBytes, ask: &Asking<'_>) -> Result<(), Refusal> {
    match kind(r#type) {
        // To let an additional topic forget its records is to delete it by halves.
        Some(Kind::Topic) if need == Operation::AlterConfigs && is_additional(name, ask) => {
            ask.gate.ask(need, Resource::Topic, name)?;
            Err(Refusal::AdditionalTopic)
        }
        Some(kind) => Ok(ask.gate.one(need, kind.at(name))?),
        // Asked so that the audit log hears of it; refused even where it is granted.
        None => {
            ask.gate.ask_cluster(need)?;
            Err(Refusal::ClusterDenied)
        }
    }
}

/// Whether a resource stays in the request; where it does not it is noted with its place.
fn set_aside(
    verdict: Result<(), Refusal>,
    place: Option<usize>,
    r#type: i8,
    name: &StrBytes,
    refused: &mut Refused,
) -> bool {
    refused.extend(verdict.err().map(|why| (place.unwrap_or_default(), r#type, name.clone(), why)));
    verdict.is_ok()
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

/// Whether a broker knows this type at all: topics, brokers, their loggers, client metrics, groups.
fn is_type(r#type: i8) -> bool {
    matches!(r#type, 2 | 4 | BROKER_LOGGER | 16 | 32)
}

/// `ConfigOperation` by which a key gets its default again.
const DELETE: i8 = 1;

/// `ConfigResource.Type` of the log levels of a broker.
const BROKER_LOGGER: i8 = 8;

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::alter_configs_request;
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

    /// What no broker knows comes last.
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
        (TOPIC, "secret", 29),
        (TOPIC, "extra_topic", 0),
        (TOPIC, "readers", 29),
        (BROKER, "1", 31),
        (BROKER, "", 31),
        (BROKER_LOGGER, "1", 31),
        (CLIENT_METRICS, "all", 31),
        (GROUP, "readers", 42),
        (GROUP, "", 30),
        (77, "orders", 42),
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
            let (_, asked) = asked.split_last().expect("there are some");
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
            let (answered, refused) = seen.split_at(3);
            assert_eq!(answered, [SEEN[0], SEEN[2], SEEN[8]]);
            let expected: Vec<_> =
                SEEN[..10].iter().copied().filter(|seen| !answered.contains(seen)).collect();
            assert_eq!(refused, expected);
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
            assert_eq!(seen[2], (TOPIC, "extra_topic", 44));
            assert_eq!((&seen[..2], &seen[3..]), (&SEEN[..2], &SEEN[3..]));
            assert_eq!(talk.seen.responses[8].error_message.as_deref(), standard_text(42).as_deref());
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
            assert_eq!(seen[2], (TOPIC, "extra_topic", 44));
            let expected = SEEN.map(unknown_to_this_call);
            assert_eq!((&seen[..2], &seen[3..]), (&expected[..2], &expected[3..]));
            assert_eq!(talk.seen.responses[8].error_message.as_deref(), standard_text(42).as_deref());
        }
    }

    #[test]
    fn a_resource_of_no_type_makes_all_that_is_asked_about_wrong() {
        let asked = [ASKED[0], ASKED[10]].map(|(r#type, resource)| {
            DescribeConfigsResource::default().with_resource_type(r#type).with_resource_name(name(resource))
        });
        let talk = world(Operation::DescribeConfigs).talk::<DescribeConfigs>(
            4,
            &DescribeConfigsRequest::default().with_resources(asked.to_vec()),
            &DescribeConfigsResponse::default(),
        );
        let codes: Vec<_> = talk.seen.results.iter().map(|result| result.error_code).collect();
        assert_eq!((talk.sent.len(), codes), (0, vec![42, 42]));
    }

    #[test]
    fn what_is_wrong_in_itself_is_so_before_rights_are_asked_for() {
        let config = AlterableConfig::default().with_name(name("retention.ms")).with_value(Some(name("1")));
        let resource = |topic: &str, configs: &[AlterableConfig]| {
            AlterConfigsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(name(topic))
                .with_configs(configs.to_vec())
        };
        let (one, null) = ([config.clone()], [config.clone().with_value(None)]);
        let delete = [null[0].clone().with_config_operation(DELETE)];
        let asked = vec![
            resource("secret", &one),
            resource("secret-1", &null),
            resource("secret-2", &delete),
            resource("secret-3", &[config.clone(), config.clone()]),
            resource("secret-4", &one),
            resource("secret-4", &delete),
        ];
        let talk = world(Operation::AlterConfigs).talk::<IncrementalAlterConfigs>(
            1,
            &IncrementalAlterConfigsRequest::default().with_resources(asked),
            &IncrementalAlterConfigsResponse::default(),
        );
        let codes: Vec<_> = talk.seen.responses.iter().map(|result| result.error_code).collect();
        assert_eq!((talk.sent.len(), codes), (0, vec![29, 42, 29, 42, 42, 42]));
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
