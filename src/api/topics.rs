//! Topics made, removed, and given more partitions.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::parts::Parting;
use super::{Api, Asking, METADATA_BY_ID, Pass, Refusal, Showing, put_first, standard_text};
use crate::cluster::Cause;
use crate::names::{Kind, TopicSlot};
use crate::policy::{Operation, Resource};
use crate::wire::ApiKey;

/// The refused topics of a request. A broker answers for a name once, however often it is asked.
pub type Refused = BTreeMap<TopicName, Refusal>;

/// New topics.
pub struct CreateTopics;

impl Api for CreateTopics {
    type Request = CreateTopicsRequest;
    type Response = CreateTopicsResponse;
    type Aside = Refused;

    const KEY: ApiKey = ApiKey::CreateTopics;
    const VERSIONS: RangeInclusive<i16> = 2..=7;

    fn admit(mut request: CreateTopicsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let by_cluster = ask.gate.grants_cluster(Operation::Create);
        let refused = keep(
            &mut request.topics,
            |topic| &mut topic.name,
            |name| {
                if !by_cluster {
                    ask.gate.ask(Operation::Create, Resource::Topic, &name.0)?;
                }
                // The prefix would make valid what is not, and the broker's limit is for the whole name.
                if let Err(why) = ask.gate.cluster().namespace.check(Kind::Topic, &name.0) {
                    let cause = Cause::InvalidName(why);
                    ask.gate.note(Operation::Create, Resource::Topic, &name.0, cause);
                    return Err(Refusal::InvalidTopic(why));
                }
                if ask.gate.cluster().namespace.behind_alias(&name.0).is_some() {
                    return Err(Refusal::NameTaken);
                }
                refuse_additional(ask, Operation::Create, name)?;
                Ok(ask.gate.rename(Operation::Create, name.into())?)
            },
        );
        let nothing_left = request.topics.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(response: &mut CreateTopicsResponse, refused: Refused, show: &Showing<'_>) {
        // The ids are not kept: a controller makes them up for what is only tried, too.
        show.lens.echoed(&mut response.topics, |topic| (&mut topic.name).into());
        for topic in &mut response.topics {
            topic.error_message =
                topic.error_message.take().and_then(|_| text(topic.error_code, &topic.name));
            let hides_configs = show.version >= 5
                && topic.error_code == 0
                && !show.lens.grants(Operation::DescribeConfigs, Resource::Topic, &topic.name.0);
            if hides_configs {
                topic.topic_config_error_code = Refusal::TopicDenied.code();
                topic.num_partitions = -1;
                topic.replication_factor = -1;
                topic.configs = Some(Vec::new());
            }
        }
        response.topics.extend(refused.into_iter().map(uncreated));
    }

    fn refuse(request: CreateTopicsRequest, why: Refusal, _version: i16) -> CreateTopicsResponse {
        let topics = request.topics.into_iter().map(|topic| uncreated((topic.name, why)));
        CreateTopicsResponse::default().with_topics(topics.collect())
    }
}

fn uncreated((name, why): (TopicName, Refusal)) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(why.code())
        .with_error_message(Some(StrBytes::from_string(why.text())))
}

/// Topics removed.
pub struct DeleteTopics;

impl Api for DeleteTopics {
    type Request = DeleteTopicsRequest;
    type Response = DeleteTopicsResponse;
    type Aside = Vec<DeletableTopicResult>;

    const KEY: ApiKey = ApiKey::DeleteTopics;
    const VERSIONS: RangeInclusive<i16> = 1..=6;

    fn needs(version: i16) -> Option<(ApiKey, i16)> {
        (version >= DELETES_BY_ID).then_some(METADATA_BY_ID)
    }

    fn ids(request: &DeleteTopicsRequest, _version: i16, tell: &mut dyn FnMut(Uuid)) {
        request.topics.iter().for_each(|topic| tell(topic.topic_id));
    }

    /// A topic is deleted by the first of its names, and is not there any more by the others.
    fn part(
        request: &mut DeleteTopicsRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<DeleteTopicsRequest> {
        let named = names.topics(&mut request.topic_names, |name| name.into());
        let others = names.topics(&mut request.topics, |topic| match &mut topic.name {
            Some(name) => name.into(),
            None => TopicSlot::Id(&mut topic.topic_id),
        });
        if named.is_none() && others.is_none() {
            return None;
        }
        let (named, others) = (named.unwrap_or_default(), others.unwrap_or_default());
        Some(request.clone().with_topic_names(named).with_topics(others))
    }

    fn admit(mut request: DeleteTopicsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let by_cluster = ask.gate.grants_cluster(Operation::Delete);
        let refused =
            keep(&mut request.topic_names, |name| name, |name| admit_deletion(ask, by_cluster, name));
        let mut refused: Vec<_> = refused
            .into_iter()
            .map(|(name, why)| undeleted(Some(name), Uuid::nil(), why, ask.version))
            .collect();
        request.topics.retain_mut(|topic| {
            let (name, id) = (topic.name.clone(), topic.topic_id);
            let Err(why) = admit_deletion_of(ask, by_cluster, topic) else { return true };
            // Who may know of the topic reads its name beside its id.
            let behind = ask.gate.topic_behind(id).map(|name| TopicName(name.into_inner()));
            let known = behind.filter(|name| ask.gate.grants(Operation::Describe, Resource::Topic, &name.0));
            refused.push(undeleted(name.or(known), id, why, ask.version));
            false
        });
        let nothing_left = request.topic_names.is_empty() && request.topics.is_empty();
        Ok(match nothing_left && !refused.is_empty() {
            true => Pass::Answer(refused),
            false => Pass::Forward(request, refused),
        })
    }

    fn reveal(response: &mut DeleteTopicsResponse, refused: Self::Aside, show: &Showing<'_>) {
        response.responses.retain_mut(|topic| {
            let Some(name) = &mut topic.name else {
                // Asked for by an id that is gone meanwhile.
                topic.error_message =
                    topic.error_message.take().and_then(|_| standard_text(topic.error_code));
                return !topic.topic_id.is_nil() && show.lens.topic_behind(&mut topic.topic_id).is_some();
            };
            show.lens.learn(&mut topic.topic_id, &name.0);
            if !show.lens.one(&mut *name) {
                return false;
            }
            topic.error_message = topic.error_message.take().and_then(|_| text(topic.error_code, name));
            true
        });
        response.responses.extend(refused);
    }

    fn refuse(request: DeleteTopicsRequest, why: Refusal, version: i16) -> DeleteTopicsResponse {
        let named = request.topic_names.into_iter().map(|name| (Some(name), Uuid::nil()));
        let topics = named.chain(request.topics.into_iter().map(|topic| (topic.name, topic.topic_id)));
        let topics = topics.map(|(name, id)| undeleted(name, id, why, version));
        DeleteTopicsResponse::default().with_responses(topics.collect())
    }

    fn join(first: &mut DeleteTopicsResponse, later: DeleteTopicsResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        first.responses.extend(later.responses);
    }
}

fn admit_deletion(ask: &Asking<'_>, by_cluster: bool, name: &mut TopicName) -> Result<(), Refusal> {
    if !by_cluster {
        ask.gate.ask(Operation::Delete, Resource::Topic, &name.0)?;
    }
    refuse_additional(ask, Operation::Delete, name)?;
    Ok(ask.gate.rename(Operation::Delete, name.into())?)
}

/// A topic goes by its name or by its id, and never by both.
fn admit_deletion_of(
    ask: &Asking<'_>,
    by_cluster: bool,
    topic: &mut DeleteTopicState,
) -> Result<(), Refusal> {
    match &mut topic.name {
        Some(name) if topic.topic_id.is_nil() => admit_deletion(ask, by_cluster, name),
        Some(_) => Err(Refusal::InvalidRequest),
        None if topic.topic_id.is_nil() => Err(Refusal::InvalidRequest),
        None => {
            if by_cluster && let Some(name) = ask.gate.topic_behind(topic.topic_id) {
                refuse_additional(ask, Operation::Delete, &TopicName(name.into_inner()))?;
                return Ok(ask.gate.rename_id(Operation::Delete, &mut topic.topic_id)?);
            }
            ask.gate.topic_id(Operation::Delete, &mut topic.topic_id)?;
            let name = ask.gate.topic_behind(topic.topic_id).ok_or(Refusal::UnknownTopicId)?;
            refuse_additional(ask, Operation::Delete, &TopicName(name.into_inner()))
        }
    }
}

fn undeleted(name: Option<TopicName>, id: Uuid, why: Refusal, version: i16) -> DeletableTopicResult {
    DeletableTopicResult::default()
        .with_name(name)
        .with_topic_id(id)
        .with_error_code(why.code())
        .with_error_message((version >= 5).then(|| StrBytes::from_string(why.text())))
}

/// From here on a topic may go by its id (KIP-516).
const DELETES_BY_ID: i16 = 6;

/// More partitions for topics.
pub struct CreatePartitions;

impl Api for CreatePartitions {
    type Request = CreatePartitionsRequest;
    type Response = CreatePartitionsResponse;
    type Aside = Refused;

    const KEY: ApiKey = ApiKey::CreatePartitions;
    const VERSIONS: RangeInclusive<i16> = 0..=3;

    fn part(
        request: &mut CreatePartitionsRequest,
        _version: i16,
        names: &mut Parting<'_>,
    ) -> Option<CreatePartitionsRequest> {
        let others = names.topics(&mut request.topics, |topic| (&mut topic.name).into())?;
        Some(request.clone().with_topics(others))
    }

    fn admit(mut request: CreatePartitionsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let refused = keep(
            &mut request.topics,
            |topic| &mut topic.name,
            |name| {
                ask.gate.ask(Operation::Alter, Resource::Topic, &name.0)?;
                refuse_additional(ask, Operation::Alter, name)?;
                Ok(ask.gate.rename(Operation::Alter, name.into())?)
            },
        );
        let nothing_left = request.topics.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(response: &mut CreatePartitionsResponse, refused: Refused, show: &Showing<'_>) {
        show.lens.echoed(&mut response.results, |topic| (&mut topic.name).into());
        for topic in &mut response.results {
            topic.error_message =
                topic.error_message.take().and_then(|_| text(topic.error_code, &topic.name));
        }
        put_first(&mut response.results, refused.into_iter().map(unaltered));
    }

    fn refuse(request: CreatePartitionsRequest, why: Refusal, _version: i16) -> CreatePartitionsResponse {
        let topics = request.topics.into_iter().map(|topic| unaltered((topic.name, why)));
        CreatePartitionsResponse::default().with_results(topics.collect())
    }

    fn join(first: &mut CreatePartitionsResponse, later: CreatePartitionsResponse) {
        first.throttle_time_ms = first.throttle_time_ms.max(later.throttle_time_ms);
        first.results.extend(later.results);
    }
}

fn unaltered((name, why): (TopicName, Refusal)) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult::default().with_name(name).with_error_code(why.code()).with_error_message(
        match why {
            Refusal::TopicDenied => None, // a broker leaves it at the code
            _ => Some(StrBytes::from_string(why.text())),
        },
    )
}

/// Keeps the topics that are admitted, and sets the others aside.
///
/// A name that is said twice is wrong before anybody looks whose it is.
fn keep<T>(
    topics: &mut Vec<T>,
    name: impl Fn(&mut T) -> &mut TopicName,
    admit: impl Fn(&mut TopicName) -> Result<(), Refusal>,
) -> Refused {
    let mut refused = Refused::new();
    topics.retain_mut(|topic| {
        let name = name(topic);
        match admit(name) {
            Ok(()) => true,
            Err(why) => {
                let again = refused.contains_key(name);
                refused.insert(name.clone(), if again { Refusal::InvalidRequest } else { why });
                false
            }
        }
    });
    refused
}

fn refuse_additional(ask: &Asking<'_>, need: Operation, name: &TopicName) -> Result<(), Refusal> {
    if !ask.gate.cluster().namespace.is_additional(Kind::Topic, &name.0) {
        return Ok(());
    }
    ask.gate.note(need, Resource::Topic, &name.0, Cause::Additional);
    Err(Refusal::AdditionalTopic)
}

/// What the client reads in place of the broker's text, which quotes backend names.
fn text(code: i16, name: &TopicName) -> Option<StrBytes> {
    if code == ResponseError::TopicAlreadyExists.code() {
        return Some(StrBytes::from_string(format!("Topic '{}' already exists.", name.0)));
    }
    standard_text(code)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
    use kafka_protocol::messages::create_topics_request::CreatableTopic;
    use kafka_protocol::messages::create_topics_response::CreatableTopicConfigs;

    use super::*;
    use crate::api::testing::{World, text};
    use crate::names::Mode;

    type Right = (Operation, Resource, &'static str);

    const ANY_CREATE: Right = (Operation::Create, Resource::Topic, "*");
    const ANY_DELETE: Right = (Operation::Delete, Resource::Topic, "*");

    fn name(name: &str) -> TopicName {
        TopicName(text(name))
    }

    fn creation(names: &[&str]) -> CreateTopicsRequest {
        let topics = names.iter().map(|topic| CreatableTopic::default().with_name(name(topic)));
        CreateTopicsRequest::default().with_topics(topics.collect())
    }

    fn created(topics: &[(&str, i16)]) -> CreateTopicsResponse {
        let topics = topics.iter().map(|(topic, code)| {
            CreatableTopicResult::default()
                .with_name(name(topic))
                .with_error_code(*code)
                .with_error_message((*code != 0).then(|| text(&format!("about {topic}"))))
        });
        CreateTopicsResponse::default().with_topics(topics.collect())
    }

    /// Each requested name, and the code with which it is answered without a word to the broker.
    fn check_not_created(world: &mut World, expected: &[(&str, i16)]) {
        for version in CreateTopics::VERSIONS {
            for (topic, code) in expected {
                let talk = world.talk::<CreateTopics>(version, &creation(&[topic]), &created(&[]));
                assert!(talk.sent.is_empty(), "{topic:?} in version {version}");
                let seen: Vec<_> =
                    talk.seen.topics.iter().map(|topic| (topic.name.0.as_str(), topic.error_code)).collect();
                assert_eq!(seen, [(*topic, *code)], "version {version}");
            }
        }
    }

    #[test]
    fn a_refused_topic_is_answered_for_while_the_rest_is_created() {
        for version in CreateTopics::VERSIONS {
            let mut world = World::allowing(&[(Operation::Create, Resource::Topic, "orders")]);
            let request = creation(&["secret", "orders"]);
            let talk = world.talk::<CreateTopics>(version, &request, &created(&[("my-orders", 0)]));
            assert_eq!(talk.sent().topics.len(), 1);
            assert_eq!(talk.sent().topics[0].name, name("my-orders"));
            let [orders, secret] = &talk.seen.topics[..] else { panic!("{:?}", talk.seen) };
            assert_eq!((&orders.name, orders.error_code), (&name("orders"), 0));
            assert_eq!((&secret.name, secret.error_code), (&name("secret"), 29));
            assert_eq!(secret.error_message.as_deref(), Some("Authorization failed."));
            assert_eq!(talk.denials.len(), 1);
        }
    }

    #[test]
    fn the_right_to_create_on_the_cluster_is_enough() {
        let mut world = World::allowing(&[(Operation::Create, Resource::Cluster, "kafka-cluster")]);
        let talk = world.talk::<CreateTopics>(7, &creation(&["orders"]), &created(&[("my-orders", 0)]));
        assert_eq!(talk.sent().topics[0].name, name("my-orders"));
        assert_eq!(talk.seen.topics[0].error_code, 0);
    }

    #[test]
    fn a_name_that_the_prefix_would_make_valid_is_not_created() {
        let mut world = World::allowing(&[ANY_CREATE]);
        let (long, too_long) = ("a".repeat(246), "a".repeat(247));
        let names =
            [("", 17), (".", 17), ("..", 17), ("a/b", 17), ("__consumer_offsets", 17), (&too_long, 17)];
        check_not_created(&mut world, &names);
        let talk = world.talk::<CreateTopics>(7, &creation(&[&long]), &created(&[]));
        assert_eq!(talk.sent().topics[0].name.0.len(), 249);
    }

    #[test]
    fn who_may_not_create_does_not_learn_whether_the_name_would_do() {
        check_not_created(&mut World::allowing(&[]), &[("", 29), ("a/b", 29), ("extra_topic", 29)]);
    }

    #[test]
    fn an_additional_topic_is_not_created() {
        check_not_created(&mut World::allowing(&[ANY_CREATE]), &[("extra_topic", 44)]);
    }

    #[test]
    fn a_topic_outside_an_enforced_prefix_is_not_created() {
        let mut world = World::with(Mode::EnforcePrefix, &[ANY_CREATE], &[]);
        check_not_created(&mut world, &[("orders", 17)]);
    }

    #[test]
    fn a_name_asked_for_twice_is_refused_once() {
        let mut world = World::allowing(&[]);
        let talk = world.talk::<CreateTopics>(7, &creation(&["a", "b", "a"]), &created(&[]));
        assert_eq!(talk.seen.topics.len(), 2);
    }

    #[test]
    fn what_a_broker_says_of_a_topic_names_no_backend_topic() {
        let mut world = World::allowing(&[ANY_CREATE]);
        let answer = created(&[("my-a", 36), ("my-b", 17), ("my-c", 0), ("their-d", 36)]);
        let talk = world.talk::<CreateTopics>(7, &creation(&["a", "b", "c"]), &answer);
        let texts: Vec<_> = talk.seen.topics.iter().map(|topic| topic.error_message.as_deref()).collect();
        let invalid = standard_text(17);
        assert_eq!(texts, [Some("Topic 'a' already exists."), invalid.as_deref(), None]);
    }

    fn with_configs() -> CreateTopicsResponse {
        let mut answer = created(&[("my-orders", 0)]);
        answer.topics[0].num_partitions = 3;
        answer.topics[0].replication_factor = 2;
        answer.topics[0].configs =
            Some(vec![CreatableTopicConfigs::default().with_name(text("retention.ms"))]);
        answer
    }

    #[test]
    fn an_alias_is_no_name_for_a_new_topic() {
        let rights = [(Operation::Create, Resource::Topic, "*")];
        let mut world = World::allowing(&rights).with_alias("orders", "orders-v2");
        let topics = ["orders", "other"].map(|topic| CreatableTopic::default().with_name(name(topic)));
        let request = CreateTopicsRequest::default().with_topics(topics.to_vec());
        let answer = CreateTopicsResponse::default();
        let talk = world.talk::<CreateTopics>(7, &request, &answer);
        assert_eq!(talk.sent().topics.len(), 1);
        assert_eq!(talk.seen.topics[0].error_code, 36);
    }

    #[test]
    fn a_new_topics_configs_are_shown_to_those_who_may_describe_them() {
        for version in 5..=7 {
            let describe = (Operation::DescribeConfigs, Resource::Topic, "orders");
            let mut world = World::allowing(&[ANY_CREATE, describe]);
            let talk = world.talk::<CreateTopics>(version, &creation(&["orders"]), &with_configs());
            let mut expected = with_configs();
            expected.topics[0].name = name("orders");
            assert_eq!(talk.seen, expected);

            let mut world = World::allowing(&[ANY_CREATE]);
            let talk = world.talk::<CreateTopics>(version, &creation(&["orders"]), &with_configs());
            let mut expected = created(&[("orders", 0)]);
            expected.topics[0].topic_config_error_code = 29;
            assert_eq!(talk.seen, expected);
        }
    }

    #[test]
    fn an_empty_request_goes_on_to_the_broker() {
        let talk = World::allowing(&[]).talk::<CreateTopics>(7, &creation(&[]), &created(&[]));
        assert!(talk.sent().topics.is_empty());
    }

    #[test]
    fn a_topic_is_deleted_by_its_name_or_by_its_id() {
        let mut world = World::allowing(&[
            (Operation::Delete, Resource::Topic, "orders"),
            (Operation::Delete, Resource::Topic, "extra_topic"),
            (Operation::Describe, Resource::Topic, "seen"),
        ]);
        let known =
            [(1, "my-orders"), (2, "my-secret"), (3, "their-orders"), (4, "extra_topic"), (5, "my-seen")];
        known.iter().for_each(|(id, name)| world.learn(Uuid::from_u128(*id), name));
        let by = |name: Option<&str>, id| {
            let name = name.map(|name| TopicName(text(name)));
            DeleteTopicState::default().with_name(name).with_topic_id(Uuid::from_u128(id))
        };
        for (asked, sent, code, shown) in [
            (by(Some("orders"), 0), Some(by(Some("my-orders"), 0)), 0, Some("orders")),
            (by(None, 1), Some(by(None, 1)), 0, Some("orders")),
            (by(Some("secret"), 0), None, 29, Some("secret")),
            (by(None, 2), None, 29, None),
            (by(None, 5), None, 29, Some("seen")),
            (by(None, 3), None, 100, None),
            (by(None, 9), None, 100, None),
            (by(None, 4), None, 44, Some("extra_topic")),
            (by(Some("orders"), 1), None, 42, Some("orders")),
            (by(None, 0), None, 42, None),
        ] {
            let request = DeleteTopicsRequest::default().with_topics(vec![asked.clone()]);
            let deleted = DeletableTopicResult::default()
                .with_name(Some(name("my-orders")))
                .with_topic_id(Uuid::from_u128(1));
            let answer = DeleteTopicsResponse::default().with_responses(vec![deleted]);
            let talk = world.talk::<DeleteTopics>(6, &request, &answer);
            let went = talk.sent.first().map(|request| request.topics[0].clone());
            assert_eq!(went, sent, "{asked:?}");
            let [seen] = &talk.seen.responses[..] else { panic!("{:?}", talk.seen) };
            let seen = (seen.error_code, seen.name.as_ref().map(|name| name.0.as_str()));
            assert_eq!(seen, (code, shown), "{asked:?}");
        }
    }

    fn deletion(names: &[&str]) -> DeleteTopicsRequest {
        DeleteTopicsRequest::default().with_topic_names(names.iter().map(|topic| name(topic)).collect())
    }

    fn deleted(version: i16, topics: &[(&str, i16)]) -> DeleteTopicsResponse {
        let topics = topics.iter().map(|(topic, code)| {
            let message = (version >= 5 && *code != 0).then(|| text(&format!("about {topic}")));
            DeletableTopicResult::default()
                .with_name(Some(name(topic)))
                .with_error_code(*code)
                .with_error_message(message)
        });
        DeleteTopicsResponse::default().with_responses(topics.collect())
    }

    #[test]
    fn only_topics_of_ones_own_are_deleted() {
        for version in 1..=5 {
            let mut world =
                World::with(Mode::HidePrefix, &[ANY_DELETE], &[(Operation::Delete, Resource::Topic, "kept")]);
            let request = deletion(&["orders", "kept", "extra_topic", "gone"]);
            let answer = deleted(version, &[("my-gone", 3), ("my-orders", 0), ("their-orders", 0)]);
            let talk = world.talk::<DeleteTopics>(version, &request, &answer);
            assert_eq!(talk.sent().topic_names, [name("my-orders"), name("my-gone")]);
            let seen: Vec<_> = talk
                .seen
                .responses
                .iter()
                .map(|topic| (topic.name.as_ref().map_or("", |name| name.0.as_str()), topic.error_code))
                .collect();
            assert_eq!(seen, [("gone", 3), ("orders", 0), ("extra_topic", 44), ("kept", 29)]);
            let texts: Vec<_> =
                talk.seen.responses.iter().map(|topic| topic.error_message.as_deref()).collect();
            assert!(texts.iter().flatten().all(|text| !text.contains("my-")), "{texts:?}");
            assert_eq!(texts[3].is_some(), version >= 5);
        }
    }

    #[test]
    fn the_prefix_alone_is_no_topic_to_delete() {
        for topic in ["", ".", ".."] {
            let mut world = World::allowing(&[ANY_DELETE]);
            let talk = world.talk::<DeleteTopics>(5, &deletion(&[topic]), &deleted(5, &[]));
            assert!(talk.sent.is_empty());
            assert_eq!(talk.seen.responses[0].error_code, 29);
        }
    }

    #[test]
    fn a_name_that_is_said_twice_is_wrong_before_rights_are_asked_for() {
        let topics = ["secret", "other", "secret"];
        let request =
            topics.map(|topic| CreatePartitionsTopic::default().with_name(name(topic)).with_count(3));
        let request = CreatePartitionsRequest::default().with_topics(request.to_vec());
        let mut world = World::allowing(&[]);
        let talk = world.talk::<CreatePartitions>(3, &request, &CreatePartitionsResponse::default());
        let seen: Vec<_> =
            talk.seen.results.iter().map(|topic| (topic.name.0.as_str(), topic.error_code)).collect();
        assert_eq!((talk.sent.len(), seen), (0, vec![("other", 29), ("secret", 42)]));
    }

    #[test]
    fn partitions_are_added_where_the_topic_may_be_altered() {
        for version in CreatePartitions::VERSIONS {
            let request = ["orders", "secret", "extra_topic"]
                .map(|topic| CreatePartitionsTopic::default().with_name(name(topic)).with_count(3));
            let request = CreatePartitionsRequest::default().with_topics(request.to_vec());
            let answer = [("my-orders", 37), ("their-orders", 0)].map(|(topic, code)| {
                CreatePartitionsTopicResult::default()
                    .with_name(name(topic))
                    .with_error_code(code)
                    .with_error_message(Some(text("Topic my-orders has 5 partitions.")))
            });
            let answer = CreatePartitionsResponse::default().with_results(answer.to_vec());
            let mut world = World::allowing(&[
                (Operation::Alter, Resource::Topic, "orders"),
                (Operation::Alter, Resource::Topic, "extra_topic"),
            ]);
            let talk = world.talk::<CreatePartitions>(version, &request, &answer);
            let sent: Vec<_> = talk.sent().topics.iter().map(|topic| topic.name.0.as_str()).collect();
            assert_eq!(sent, ["my-orders"]);
            let seen: Vec<_> =
                talk.seen.results.iter().map(|topic| (topic.name.0.as_str(), topic.error_code)).collect();
            assert_eq!(seen, [("extra_topic", 44), ("secret", 29), ("orders", 37)]);
            assert_eq!(talk.seen.results[1].error_message, None);
            assert_eq!(talk.seen.results[2].error_message.as_deref(), standard_text(37).as_deref());
        }
    }

    #[test]
    fn a_request_refused_whole_is_refused_topic_by_topic() {
        let why = Refusal::ClusterDenied;
        for version in CreateTopics::VERSIONS {
            let seen = crate::api::testing::said(
                &CreateTopics::refuse(creation(&["a", "b"]), why, version),
                version,
            );
            assert!(seen.topics.iter().all(|topic| topic.error_code == 31));
            assert_eq!(seen.topics.len(), 2);
        }
        for version in 1..=5 {
            let seen = crate::api::testing::said(
                &DeleteTopics::refuse(deletion(&["a", "b"]), why, version),
                version,
            );
            assert!(seen.responses.iter().all(|topic| topic.error_code == 31));
            assert_eq!(seen.responses.len(), 2);
        }
    }
}
