//! The backend's ACLs, as far as they are about this virtual cluster.
//!
//! Where the gateway decides, it answers as a broker without an authorizer. Where the broker does, ACLs
//! on topics, groups and transactional ids are renamed both ways; those on the cluster, on users and on
//! delegation tokens are everybody's, and neither shown nor changed here. Principals and hosts are the
//! backend's and pass.

use std::ops::RangeInclusive;

use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsMatchingAcl};
use kafka_protocol::messages::{
    CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse, DescribeAclsRequest,
    DescribeAclsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{Api, Asking, Pass, Refusal, Showing, standard_text};
use crate::cluster::{Cause, Lens};
use crate::names::{InvalidPattern, Kind, Pattern};
use crate::policy::{Operation, Resource};
use crate::wire::ApiKey;

/// ACLs listed.
pub struct DescribeAcls;

impl Api for DescribeAcls {
    type Request = DescribeAclsRequest;
    type Response = DescribeAclsResponse;
    /// What is left to be sifted here, where the broker is asked for more than the client asks for.
    type Aside = Option<Filter>;

    const KEY: ApiKey = ApiKey::DescribeAcls;
    const VERSIONS: RangeInclusive<i16> = 1..=3;

    fn admit(mut request: DescribeAclsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        has_authorizer(ask)?;
        let filter = Filter {
            r#type: request.resource_type_filter,
            name: request.resource_name_filter.clone(),
            pattern: request.pattern_type_filter,
        };
        let kind = match resource_type(filter.r#type) {
            ResourceType::Named(kind) => Some(kind),
            ResourceType::Any => None,
            ResourceType::Everybodys => return Ok(about_nothing(request)),
            ResourceType::Unknown => return Err(Refusal::InvalidRequest),
        };
        if !(ANY..=PREFIXED).contains(&filter.pattern) {
            return Err(Refusal::InvalidRequest);
        }
        let exact = filter.name.as_ref().and_then(|name| pattern(filter.pattern, name.clone()));
        let (Some(kind), Some(exact)) = (kind, exact) else {
            (request.resource_name_filter, request.pattern_type_filter) = (None, ANY);
            return Ok(Pass::Forward(request, Some(filter)));
        };
        match ask.gate.pattern(kind, exact) {
            Ok(there) => {
                let (pattern, name) = spelled(there);
                (request.resource_name_filter, request.pattern_type_filter) = (Some(name), pattern);
                Ok(Pass::Forward(request, None))
            }
            // It is called the same on both sides.
            Err(InvalidPattern::Additional) => Ok(Pass::Forward(request, None)),
            Err(InvalidPattern::Outside) => Ok(about_nothing(request)),
        }
    }

    fn reveal(response: &mut DescribeAclsResponse, filter: Option<Filter>, show: &Showing<'_>) {
        reword(&mut response.error_message, response.error_code);
        response.resources.retain_mut(|resource| {
            let place = (resource.resource_type, &mut resource.pattern_type, &mut resource.resource_name);
            reveal(place, show.lens)
                && filter.as_ref().is_none_or(|filter| {
                    filter.matches(resource.resource_type, resource.pattern_type, &resource.resource_name)
                })
        });
    }

    fn refuse(_request: DescribeAclsRequest, why: Refusal, _version: i16) -> DescribeAclsResponse {
        DescribeAclsResponse::default().with_error_code(why.code()).with_error_message(text(why))
    }
}

/// Whether ACLs may be described at all is the broker's to say, even where there are none to show: it is
/// asked about a name that nothing has.
fn about_nothing(mut request: DescribeAclsRequest) -> Pass<DescribeAcls> {
    (request.resource_name_filter, request.pattern_type_filter) = (Some(StrBytes::default()), LITERAL);
    Pass::Forward(request, None)
}

/// ACLs made.
pub struct CreateAcls;

impl Api for CreateAcls {
    type Request = CreateAclsRequest;
    type Response = CreateAclsResponse;
    /// For each ACL in its turn: why it is not made, or that the broker was asked.
    type Aside = Vec<Option<Refusal>>;

    const KEY: ApiKey = ApiKey::CreateAcls;
    const VERSIONS: RangeInclusive<i16> = 1..=3;

    fn admit(mut request: CreateAclsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        has_authorizer(ask)?;
        let mut verdicts = Vec::with_capacity(request.creations.len());
        request.creations.retain_mut(|creation| {
            let (r#type, name) = (creation.resource_type, Some(creation.resource_name.clone()));
            let there = changed(r#type, name, creation.resource_pattern_type, Refusal::InvalidRequest, ask);
            verdicts.push(there.as_ref().err().copied());
            if let Ok(there) = there {
                (creation.resource_pattern_type, creation.resource_name) = spelled(there);
                return true;
            }
            false
        });
        let nothing_left = request.creations.is_empty() && !verdicts.is_empty();
        Ok(if nothing_left { Pass::Answer(verdicts) } else { Pass::Forward(request, verdicts) })
    }

    fn reveal(response: &mut CreateAclsResponse, verdicts: Vec<Option<Refusal>>, _show: &Showing<'_>) {
        let mut answers = std::mem::take(&mut response.results).into_iter();
        let results = verdicts.into_iter().filter_map(|refused| match refused {
            Some(why) => Some(not_created(why)),
            None => answers.next().map(|mut answer| {
                reword(&mut answer.error_message, answer.error_code);
                answer
            }),
        });
        response.results = results.collect();
    }

    fn refuse(request: CreateAclsRequest, why: Refusal, _version: i16) -> CreateAclsResponse {
        let results = request.creations.into_iter().map(|_| not_created(why));
        CreateAclsResponse::default().with_results(results.collect())
    }
}

fn not_created(why: Refusal) -> AclCreationResult {
    AclCreationResult::default().with_error_code(why.code()).with_error_message(text(why))
}

/// ACLs removed.
pub struct DeleteAcls;

impl Api for DeleteAcls {
    type Request = DeleteAclsRequest;
    type Response = DeleteAclsResponse;
    /// For each filter in its turn: why nothing goes by it, or that the broker was asked.
    type Aside = Vec<Option<Refusal>>;

    const KEY: ApiKey = ApiKey::DeleteAcls;
    const VERSIONS: RangeInclusive<i16> = 1..=3;

    fn admit(mut request: DeleteAclsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        has_authorizer(ask)?;
        let mut verdicts = Vec::with_capacity(request.filters.len());
        request.filters.retain_mut(|filter| {
            let (r#type, name) = (filter.resource_type_filter, filter.resource_name_filter.clone());
            let there = changed(r#type, name, filter.pattern_type_filter, Refusal::InexactFilter, ask);
            verdicts.push(there.as_ref().err().copied());
            if let Ok(there) = there {
                let (pattern, name) = spelled(there);
                (filter.pattern_type_filter, filter.resource_name_filter) = (pattern, Some(name));
                return true;
            }
            false
        });
        let nothing_left = request.filters.is_empty() && !verdicts.is_empty();
        Ok(if nothing_left { Pass::Answer(verdicts) } else { Pass::Forward(request, verdicts) })
    }

    fn reveal(response: &mut DeleteAclsResponse, verdicts: Vec<Option<Refusal>>, show: &Showing<'_>) {
        let mut answers = std::mem::take(&mut response.filter_results).into_iter();
        let results = verdicts.into_iter().filter_map(|refused| match refused {
            Some(why) => Some(not_deleted(why)),
            None => answers.next().map(|mut answer| {
                reword(&mut answer.error_message, answer.error_code);
                answer.matching_acls.retain_mut(|acl| reveal_match(acl, show.lens));
                answer
            }),
        });
        response.filter_results = results.collect();
    }

    fn refuse(request: DeleteAclsRequest, why: Refusal, _version: i16) -> DeleteAclsResponse {
        let results = request.filters.into_iter().map(|_| not_deleted(why));
        DeleteAclsResponse::default().with_filter_results(results.collect())
    }
}

fn reveal_match(acl: &mut DeleteAclsMatchingAcl, lens: &Lens<'_>) -> bool {
    reword(&mut acl.error_message, acl.error_code);
    reveal((acl.resource_type, &mut acl.pattern_type, &mut acl.resource_name), lens)
}

fn not_deleted(why: Refusal) -> DeleteAclsFilterResult {
    DeleteAclsFilterResult::default().with_error_code(why.code()).with_error_message(text(why))
}

/// Which ACLs a client asks for, by what they are about.
pub struct Filter {
    r#type: i8,
    name: Option<StrBytes>,
    pattern: i8,
}

impl Filter {
    /// Source: `ResourcePatternFilter.matches` of the Kafka clients.
    fn matches(&self, r#type: i8, pattern: i8, name: &StrBytes) -> bool {
        if self.r#type != ANY && self.r#type != r#type {
            return false;
        }
        if !matches!(self.pattern, ANY | MATCH) && self.pattern != pattern {
            return false;
        }
        let Some(asked) = &self.name else { return true };
        if self.pattern == MATCH && pattern == PREFIXED {
            return asked.starts_with(name.as_str());
        }
        asked == name || self.pattern == MATCH && name.as_str() == "*"
    }
}

/// What an ACL may be about.
enum ResourceType {
    Named(Kind),
    Any,
    /// The cluster, users and delegation tokens: no tenant has one of its own.
    Everybodys,
    Unknown,
}

/// Source: `ResourceType` of the Kafka clients.
fn resource_type(code: i8) -> ResourceType {
    match code {
        1 => ResourceType::Any,
        2 => ResourceType::Named(Kind::Topic),
        3 => ResourceType::Named(Kind::Group),
        5 => ResourceType::Named(Kind::TransactionalId),
        4 | 6 | 7 => ResourceType::Everybodys,
        _ => ResourceType::Unknown,
    }
}

/// The pattern of one type and name; none for what is not one pattern.
fn pattern(r#type: i8, name: StrBytes) -> Option<Pattern> {
    match r#type {
        LITERAL => Some(Pattern::Literal(name)),
        PREFIXED => Some(Pattern::Prefixed(name)),
        _ => None,
    }
}

fn spelled(pattern: Pattern) -> (i8, StrBytes) {
    match pattern {
        Pattern::Literal(name) => (LITERAL, name),
        Pattern::Prefixed(name) => (PREFIXED, name),
    }
}

/// The backend's pattern for ACLs that are to change; `inexact` where there is not one to be told of.
fn changed(
    r#type: i8,
    name: Option<StrBytes>,
    pattern_type: i8,
    inexact: Refusal,
    ask: &Asking<'_>,
) -> Result<Pattern, Refusal> {
    let kind = match resource_type(r#type) {
        ResourceType::Named(kind) => kind,
        ResourceType::Everybodys => {
            let name = name.as_deref().unwrap_or("*");
            ask.gate.note(Operation::Alter, Resource::Cluster, name, Cause::OutsideNamespace);
            return Err(Refusal::ClusterDenied);
        }
        ResourceType::Any => return Err(inexact),
        ResourceType::Unknown => return Err(Refusal::InvalidRequest),
    };
    let name = name.ok_or(inexact)?;
    let pattern = pattern(pattern_type, name.clone()).ok_or(inexact)?;
    ask.gate.pattern(kind, pattern).map_err(|why| {
        let (cause, refusal) = match why {
            InvalidPattern::Outside => (Cause::OutsideNamespace, Refusal::ForeignPattern),
            InvalidPattern::Additional => (Cause::Additional, Refusal::AdditionalName),
        };
        ask.gate.note(Operation::Alter, kind.into(), &name, cause);
        refusal
    })
}

/// Writes the client's pattern in place of the broker's; false where it has none.
fn reveal((r#type, pattern_type, name): (i8, &mut i8, &mut StrBytes), lens: &Lens<'_>) -> bool {
    let ResourceType::Named(kind) = resource_type(r#type) else { return false };
    let shown = pattern(*pattern_type, name.clone()).and_then(|pattern| lens.pattern(kind, pattern));
    let Some(shown) = shown else { return false };
    (*pattern_type, *name) = spelled(shown);
    true
}

/// Where the gateway decides there are no ACLs of Kafka's to speak of.
fn has_authorizer(ask: &Asking<'_>) -> Result<(), Refusal> {
    if ask.gate.cluster().policy.is_passthrough() { Ok(()) } else { Err(Refusal::NoAuthorizer) }
}

fn reword(message: &mut Option<StrBytes>, code: i16) {
    *message = message.take().and_then(|_| standard_text(code));
}

fn text(why: Refusal) -> Option<StrBytes> {
    Some(StrBytes::from_string(why.text()))
}

/// Types of patterns; a filter may ask for the first two as well.
///
/// Source: `PatternType` of the Kafka clients.
const ANY: i8 = 1;
const MATCH: i8 = 2;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::create_acls_request::AclCreation;
    use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
    use kafka_protocol::messages::describe_acls_response::{AclDescription, DescribeAclsResource};

    use super::*;
    use crate::api::testing::{World, text as name};
    use crate::names::Mode;

    const TOPIC: i8 = 2;
    const GROUP: i8 = 3;
    const CLUSTER: i8 = 4;
    const USER: i8 = 7;

    fn described(resources: &[(i8, &str, i8)]) -> DescribeAclsResponse {
        let resources = resources.iter().map(|(r#type, resource, pattern)| {
            let acl = AclDescription::default().with_principal(name("User:app")).with_host(name("10.0.0.1"));
            DescribeAclsResource::default()
                .with_resource_type(*r#type)
                .with_resource_name(name(resource))
                .with_pattern_type(*pattern)
                .with_acls(vec![acl])
        });
        DescribeAclsResponse::default().with_error_message(None).with_resources(resources.collect())
    }

    fn filter(r#type: i8, resource: Option<&str>, pattern: i8) -> DescribeAclsRequest {
        DescribeAclsRequest::default()
            .with_resource_type_filter(r#type)
            .with_resource_name_filter(resource.map(name))
            .with_pattern_type_filter(pattern)
            .with_principal_filter(Some(name("User:app")))
            .with_host_filter(Some(name("10.0.0.1")))
    }

    const STORED: [(i8, &str, i8); 11] = [
        (TOPIC, "my-orders", LITERAL),
        (TOPIC, "my-or", PREFIXED),
        (TOPIC, "my-", PREFIXED),
        (GROUP, "my-orders", LITERAL),
        (TOPIC, "extra_topic", LITERAL),
        (TOPIC, "their-orders", LITERAL),
        (TOPIC, "m", PREFIXED),
        (TOPIC, "*", LITERAL),
        (CLUSTER, "kafka-cluster", LITERAL),
        (USER, "my-user", LITERAL),
        (GROUP, "their-", PREFIXED),
    ];

    /// What is asked of the broker, and what the client sees of all that is stored.
    fn check_described(asked: (i8, Option<&str>, i8), sent: (Option<&str>, i8), seen: &[(i8, &str, i8)]) {
        for version in DescribeAcls::VERSIONS {
            let stored: &[_] = if sent.0.is_none() { &STORED } else { &STORED[..1] };
            let request = filter(asked.0, asked.1, asked.2);
            let talk = World::passthrough().talk::<DescribeAcls>(version, &request, &described(stored));
            let went = talk.sent();
            assert_eq!(went.host_filter, request.host_filter);
            assert_eq!(went.principal_filter, request.principal_filter);
            assert_eq!((went.resource_name_filter.as_deref(), went.pattern_type_filter), sent, "{asked:?}");
            let resources = talk.seen.resources.iter();
            let resources: Vec<_> = resources
                .map(|one| (one.resource_type, one.resource_name.as_str(), one.pattern_type))
                .collect();
            assert_eq!(resources, seen, "{asked:?}");
            assert!(talk.seen.resources.iter().all(|one| one.acls[0].host.as_str() == "10.0.0.1"));
        }
    }

    #[test]
    fn a_client_sees_the_acls_of_its_own_world_and_no_others() {
        let all: [(i8, &str, i8); 5] = [
            (TOPIC, "orders", LITERAL),
            (TOPIC, "or", PREFIXED),
            (TOPIC, "*", LITERAL),
            (GROUP, "orders", LITERAL),
            (TOPIC, "extra_topic", LITERAL),
        ];
        check_described((1, None, ANY), (None, ANY), &all);
        check_described((TOPIC, None, PREFIXED), (None, ANY), &all[1..2]);
        check_described((TOPIC, Some("orders"), MATCH), (None, ANY), &all[..3]);
        check_described((1, Some("orders"), MATCH), (None, ANY), &all[..4]);
        check_described((TOPIC, Some("or"), ANY), (None, ANY), &all[1..2]);
        check_described((1, Some("orders"), LITERAL), (None, ANY), &[all[0], all[3]]);
        check_described((TOPIC, Some("orders"), LITERAL), (Some("my-orders"), LITERAL), &all[..1]);
        check_described((TOPIC, Some("*"), LITERAL), (Some("my-"), PREFIXED), &all[..1]);
        check_described((TOPIC, Some("or"), PREFIXED), (Some("my-or"), PREFIXED), &all[..1]);
        check_described((TOPIC, Some("extra_topic"), LITERAL), (Some("extra_topic"), LITERAL), &all[..1]);
    }

    #[test]
    fn the_broker_says_whether_acls_may_be_described_where_there_are_none_to_show() {
        let denied = DescribeAclsResponse::default()
            .with_error_code(31)
            .with_error_message(Some(name("Request Request(my-) is not authorized.")));
        for (r#type, resource, pattern) in [
            (TOPIC, Some(""), LITERAL),
            (CLUSTER, None, ANY),
            (CLUSTER, Some("kafka-cluster"), LITERAL),
            (USER, Some("User:a"), LITERAL),
        ] {
            let request = filter(r#type, resource, pattern);
            let talk = World::passthrough().talk::<DescribeAcls>(3, &request, &denied);
            assert_eq!(talk.sent(), &filter(r#type, Some(""), LITERAL));
            assert_eq!((talk.seen.error_code, talk.seen.error_message), (31, standard_text(31)));
            // Nothing that is told nevertheless is shown.
            let stored = described(&[(CLUSTER, "kafka-cluster", LITERAL), (USER, "User:a", LITERAL)]);
            let talk = World::passthrough().talk::<DescribeAcls>(3, &request, &stored);
            assert_eq!((talk.seen.error_code, talk.seen.resources), (0, vec![]));
        }
        let outside = filter(TOPIC, Some("their-orders"), LITERAL);
        let mut world = World::passthrough_with(Mode::EnforcePrefix);
        let talk = world.talk::<DescribeAcls>(3, &outside, &denied);
        assert_eq!((talk.sent(), talk.seen.error_code), (&filter(TOPIC, Some(""), LITERAL), 31));
    }

    #[test]
    fn a_filter_that_kafka_does_not_know_is_refused() {
        for (r#type, pattern) in [(0, LITERAL), (8, LITERAL), (TOPIC, 0), (TOPIC, 5), (-1, ANY)] {
            let request = filter(r#type, Some("orders"), pattern);
            let talk = World::passthrough().talk::<DescribeAcls>(3, &request, &described(&STORED));
            assert_eq!((talk.sent.len(), talk.seen.error_code, talk.seen.resources.len()), (0, 42, 0));
        }
    }

    fn creation(r#type: i8, resource: &str, pattern: i8) -> AclCreation {
        AclCreation::default()
            .with_resource_type(r#type)
            .with_resource_name(name(resource))
            .with_resource_pattern_type(pattern)
            .with_principal(name("User:app"))
            .with_host(name("10.0.0.1"))
            .with_operation(3)
            .with_permission_type(3)
    }

    #[test]
    fn acls_are_made_inside_the_namespace_and_each_is_answered_in_its_turn() {
        let asked = [
            (TOPIC, "orders", LITERAL, 0),
            (CLUSTER, "kafka-cluster", LITERAL, 31),
            (GROUP, "*", LITERAL, 7),
            (TOPIC, "extra_topic", LITERAL, 44),
            (USER, "User:app", LITERAL, 31),
            (5, "mover", PREFIXED, 0),
            (TOPIC, "orders", MATCH, 42),
            (1, "orders", LITERAL, 42),
            (TOPIC, "", LITERAL, 42),
            (9, "orders", LITERAL, 42),
        ];
        let creations = asked.map(|(r#type, resource, pattern, _)| creation(r#type, resource, pattern));
        for version in CreateAcls::VERSIONS {
            let results = [0, 7, 0].map(|code| {
                AclCreationResult::default()
                    .with_error_code(code)
                    .with_error_message((code != 0).then(|| name("my-orders at kafka:9092")))
            });
            let talk = World::passthrough().talk::<CreateAcls>(
                version,
                &CreateAclsRequest::default().with_creations(creations.to_vec()),
                &CreateAclsResponse::default().with_results(results.to_vec()),
            );
            assert_eq!(
                talk.sent().creations,
                [
                    creation(TOPIC, "my-orders", LITERAL),
                    creation(GROUP, "my-", PREFIXED),
                    creation(5, "my-mover", PREFIXED)
                ]
            );
            let codes: Vec<_> = talk.seen.results.iter().map(|result| result.error_code).collect();
            assert_eq!(codes, asked.map(|(_, _, _, code)| code));
            assert_eq!(talk.seen.results[2].error_message, standard_text(7));
        }
    }

    fn deletion(r#type: i8, resource: Option<&str>, pattern: i8) -> DeleteAclsFilter {
        DeleteAclsFilter::default()
            .with_resource_type_filter(r#type)
            .with_resource_name_filter(resource.map(name))
            .with_pattern_type_filter(pattern)
            .with_host_filter(None)
            .with_principal_filter(None)
    }

    #[test]
    fn no_filter_that_could_match_others_acls_deletes_anything() {
        let asked = [
            (1, None, ANY, 42),
            (TOPIC, None, LITERAL, 42),
            (TOPIC, Some("orders"), MATCH, 42),
            (TOPIC, Some("orders"), ANY, 42),
            (1, Some("orders"), LITERAL, 42),
            (CLUSTER, None, ANY, 31),
            (TOPIC, Some("extra_topic"), LITERAL, 44),
            (GROUP, Some(""), PREFIXED, 42),
        ];
        let filters = asked.map(|(r#type, resource, pattern, _)| deletion(r#type, resource, pattern));
        for version in DeleteAcls::VERSIONS {
            let request = DeleteAclsRequest::default().with_filters(filters.to_vec());
            let talk = World::passthrough().talk::<DeleteAcls>(version, &request, &Default::default());
            assert!(talk.sent.is_empty());
            let codes: Vec<_> = talk.seen.filter_results.iter().map(|result| result.error_code).collect();
            assert_eq!(codes, asked.map(|(_, _, _, code)| code));
            let told = talk.seen.filter_results[0].error_message.as_deref().unwrap();
            assert!(told.contains("Name the resource exactly"), "{told}");
        }
    }

    #[test]
    fn acls_of_the_namespace_are_deleted_and_shown_by_the_clients_names() {
        let matching = |resource: &str, pattern| {
            DeleteAclsMatchingAcl::default()
                .with_error_message(None)
                .with_resource_type(TOPIC)
                .with_resource_name(name(resource))
                .with_pattern_type(pattern)
        };
        let found = DeleteAclsFilterResult::default()
            .with_error_message(None)
            .with_matching_acls(vec![matching("my-", PREFIXED), matching("their-orders", LITERAL)]);
        let failed = DeleteAclsFilterResult::default()
            .with_error_code(31)
            .with_error_message(Some(name("no, gateway")));
        for version in DeleteAcls::VERSIONS {
            let filters = vec![
                deletion(TOPIC, Some("*"), LITERAL),
                deletion(1, None, ANY),
                deletion(GROUP, Some("g"), 3),
            ];
            let talk = World::passthrough().talk::<DeleteAcls>(
                version,
                &DeleteAclsRequest::default().with_filters(filters),
                &DeleteAclsResponse::default().with_filter_results(vec![found.clone(), failed.clone()]),
            );
            let sent = &talk.sent().filters;
            assert_eq!(
                *sent,
                [deletion(TOPIC, Some("my-"), PREFIXED), deletion(GROUP, Some("my-g"), LITERAL)]
            );
            let seen = &talk.seen.filter_results;
            assert_eq!(seen.iter().map(|result| result.error_code).collect::<Vec<_>>(), [0, 42, 31]);
            let [acl] = &seen[0].matching_acls[..] else { panic!("{:?}", seen[0]) };
            assert_eq!((acl.resource_name.as_str(), acl.pattern_type), ("*", LITERAL));
            assert_eq!(seen[2].error_message, standard_text(31));
        }
    }

    #[test]
    fn where_the_gateway_decides_there_is_no_authorizer() {
        let mut world = World::allowing(&[(Operation::All, Resource::Cluster, "kafka-cluster")]);
        for version in 1..=3 {
            let talk = world.talk::<DescribeAcls>(version, &filter(TOPIC, None, ANY), &described(&STORED));
            assert_eq!((talk.sent.len(), talk.seen.error_code, talk.seen.resources.len()), (0, 54, 0));
            let request = CreateAclsRequest::default().with_creations(vec![creation(TOPIC, "a", LITERAL); 2]);
            let talk = world.talk::<CreateAcls>(version, &request, &Default::default());
            let codes: Vec<_> = talk.seen.results.iter().map(|result| result.error_code).collect();
            assert_eq!((talk.sent.len(), codes), (0, vec![54, 54]));
            let request = DeleteAclsRequest::default().with_filters(vec![deletion(TOPIC, None, ANY); 2]);
            let talk = world.talk::<DeleteAcls>(version, &request, &Default::default());
            let codes: Vec<_> = talk.seen.filter_results.iter().map(|result| result.error_code).collect();
            assert_eq!((talk.sent.len(), codes), (0, vec![54, 54]));
        }
    }
}
