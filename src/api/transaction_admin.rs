//! Transactions as an administrator sees them.

use std::ops::RangeInclusive;

use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ListTransactionsRequest,
    ListTransactionsResponse, TransactionalId,
};

use kafka_protocol::protocol::StrBytes;

use super::regex::{self, Confined, InvalidPattern, Matcher};
use super::{Api, Asking, Pass, Refusal, Showing, put_back};
use crate::cluster::Gate;
use crate::names::Mode;
use crate::policy::Operation;
use crate::wire::ApiKey;

/// What transactions have, and how far they are.
pub struct DescribeTransactions;

impl Api for DescribeTransactions {
    type Request = DescribeTransactionsRequest;
    type Response = DescribeTransactionsResponse;
    /// Each with its place in the request.
    type Aside = Vec<(usize, TransactionalId, Refusal)>;

    const KEY: ApiKey = ApiKey::DescribeTransactions;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn admit(mut request: DescribeTransactionsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let mut refused = Vec::new();
        let mut places = 0..;
        request.transactional_ids.retain_mut(|id| {
            let place = places.next().unwrap_or_default();
            let verdict = ask.gate.one(Operation::Describe, &mut *id);
            refused.extend(verdict.err().map(|no| (place, id.clone(), no.into())));
            verdict.is_ok()
        });
        let nothing_left = request.transactional_ids.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(response: &mut DescribeTransactionsResponse, refused: Self::Aside, show: &Showing<'_>) {
        show.lens.echoed(&mut response.transaction_states, |state| (&mut state.transactional_id).into());
        for state in &mut response.transaction_states {
            show.lens.listed(Operation::Describe, &mut state.topics, |topic| (&mut topic.topic).into());
        }
        let refused = refused.into_iter().map(|(place, id, why)| (place, undescribed((id, why))));
        put_back(&mut response.transaction_states, refused);
    }

    fn refuse(
        request: DescribeTransactionsRequest,
        why: Refusal,
        _version: i16,
    ) -> DescribeTransactionsResponse {
        let refused = request.transactional_ids.into_iter().map(|id| undescribed((id, why)));
        DescribeTransactionsResponse::default().with_transaction_states(refused.collect())
    }
}

fn undescribed((id, why): (TransactionalId, Refusal)) -> TransactionState {
    TransactionState::default().with_transactional_id(id).with_error_code(why.code())
}

/// Which transactions there are.
pub struct ListTransactions;

impl Api for ListTransactions {
    type Request = ListTransactionsRequest;
    type Response = ListTransactionsResponse;
    /// The pattern that no broker could match.
    type Aside = Option<Matcher>;

    const KEY: ApiKey = ApiKey::ListTransactions;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    fn admit(mut request: ListTransactionsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        let mut matched_here = None;
        if ask.version >= 2 {
            let (pattern, matcher) = narrowed(request.transactional_id_pattern.as_deref(), ask.gate)?;
            request.transactional_id_pattern = Some(StrBytes::from_string(pattern));
            matched_here = matcher;
        }
        Ok(Pass::Forward(request, matched_here))
    }

    fn reveal(response: &mut ListTransactionsResponse, matched_here: Option<Matcher>, show: &Showing<'_>) {
        let states = &mut response.transaction_states;
        show.lens.listed(Operation::Describe, states, |state| (&mut state.transactional_id).into());
        if let Some(matcher) = matched_here {
            states.retain(|state| matcher.matches(&state.transactional_id));
        }
    }

    fn refuse(_request: ListTransactionsRequest, why: Refusal, _version: i16) -> ListTransactionsResponse {
        ListTransactionsResponse::default().with_error_code(why.code())
    }
}

/// The pattern for the broker, so that it lists no more than it must, and what is left to match here.
fn narrowed(pattern: Option<&str>, gate: &Gate<'_>) -> Result<(String, Option<Matcher>), Refusal> {
    let namespace = &gate.cluster().namespace;
    let all = || regex::everything(namespace.prefix());
    let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty()) else { return Ok((all(), None)) };
    let confined = match namespace.mode() {
        Mode::HidePrefix => regex::confined(pattern, namespace.prefix()),
        // RE2 asks for no two things at once, and the broker is to be asked for the prefix.
        Mode::EnforcePrefix => regex::compiled(pattern).map(Confined::AtGateway),
    };
    Ok(match confined.map_err(|InvalidPattern| Refusal::InvalidPattern)? {
        Confined::Wrapped(wrapped) => (wrapped, None),
        Confined::AtGateway(matcher) => (all(), Some(matcher)),
    })
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_transactions_response::TopicData;
    use kafka_protocol::messages::list_transactions_response;

    use super::*;
    use crate::api::testing::{World, text};
    use crate::policy::Resource;

    const MAY_WATCH: &[(Operation, Resource, &str)] =
        &[(Operation::Describe, Resource::TransactionalId, "*mover-*")];

    fn world() -> World {
        World::allowing(&[
            (Operation::Write, Resource::TransactionalId, "mover-*"),
            (Operation::Describe, Resource::Topic, "orders"),
            (Operation::Describe, Resource::Topic, "extra_topic"),
        ])
    }

    fn asking(ids: &[&str]) -> DescribeTransactionsRequest {
        let ids = ids.iter().map(|id| TransactionalId(text(id)));
        DescribeTransactionsRequest::default().with_transactional_ids(ids.collect())
    }

    fn state(id: &str, code: i16, topics: &[&str]) -> TransactionState {
        let topics = topics
            .iter()
            .map(|topic| TopicData::default().with_topic(text(topic).into()).with_partitions(vec![0, 7]));
        TransactionState::default()
            .with_transactional_id(TransactionalId(text(id)))
            .with_error_code(code)
            .with_topics(topics.collect())
    }

    fn described(states: Vec<TransactionState>) -> DescribeTransactionsResponse {
        DescribeTransactionsResponse::default().with_transaction_states(states)
    }

    #[test]
    fn a_transaction_is_described_with_the_topics_that_the_client_may_know_of() {
        let topics = ["my-orders", "my-payments", "extra_topic", "their-orders", "__consumer_offsets"];
        let answer = described(vec![state("my-mover-1", 0, &topics), state("their-mover", 0, &[])]);
        let talk = world().talk::<DescribeTransactions>(0, &asking(&["mover-1"]), &answer);
        assert_eq!(talk.sent(), &asking(&["my-mover-1"]));
        assert_eq!(talk.seen, described(vec![state("mover-1", 0, &["orders", "extra_topic"])]));
    }

    #[test]
    fn an_id_that_may_not_be_described_is_answered_for_while_the_rest_is_described() {
        let answer = described(vec![state("my-mover-1", 105, &[])]);
        let talk = world().talk::<DescribeTransactions>(0, &asking(&["other", "mover-1", ""]), &answer);
        assert_eq!(talk.sent(), &asking(&["my-mover-1"]));
        let seen = vec![state("other", 53, &[]), state("mover-1", 105, &[]), state("", 53, &[])];
        assert_eq!(talk.seen, described(seen));
        let talk = world().talk::<DescribeTransactions>(0, &asking(&["other"]), &answer);
        assert_eq!(talk.sent, []);
        assert_eq!(talk.seen, described(vec![state("other", 53, &[])]));
        let talk = world().talk::<DescribeTransactions>(0, &asking(&[]), &described(vec![]));
        assert_eq!(talk.sent(), &asking(&[]));
    }

    fn listed(ids: &[&str]) -> ListTransactionsResponse {
        let states = ids.iter().map(|id| {
            list_transactions_response::TransactionState::default()
                .with_transactional_id(TransactionalId(text(id)))
                .with_transaction_state(text("Ongoing"))
        });
        ListTransactionsResponse::default()
            .with_unknown_state_filters(vec![text("Asleep")])
            .with_transaction_states(states.collect())
    }

    #[test]
    fn a_client_is_told_of_the_transactions_that_it_may_describe() {
        let answer = listed(&["my-mover-1", "my-other", "their-mover-1", "mover-1", "my-", ""]);
        for version in ListTransactions::VERSIONS {
            let request = ListTransactionsRequest::default()
                .with_state_filters(vec![text("Ongoing"), text("Asleep")])
                .with_producer_id_filters(vec![5.into()]);
            let talk = world().talk::<ListTransactions>(version, &request, &answer);
            assert_eq!(talk.sent().state_filters, request.state_filters);
            assert_eq!(talk.sent().producer_id_filters, request.producer_id_filters);
            assert_eq!(talk.seen, listed(&["mover-1"]), "{version}");
        }
    }

    /// Lists by a pattern; the pattern that goes on, and the ids that are told.
    fn check_pattern(mode: Mode, pattern: Option<&str>, expected: Result<(&str, &[&str]), i16>) {
        let answer = listed(&["my-mover-1", "my-mover-2", "my-xmover-1", "my-other", "their-mover-1"]);
        let request = ListTransactionsRequest::default().with_transactional_id_pattern(pattern.map(text));
        let talk = World::with(mode, MAY_WATCH, &[]).talk::<ListTransactions>(2, &request, &answer);
        let sent = talk.sent.first().map(|sent| sent.transactional_id_pattern.as_deref().unwrap());
        let ids: Vec<_> =
            talk.seen.transaction_states.iter().map(|state| state.transactional_id.as_str()).collect();
        let seen = sent.map(|pattern| (pattern, &ids[..])).ok_or(talk.seen.error_code);
        assert_eq!(seen, expected, "{pattern:?}");
    }

    #[test]
    fn a_pattern_is_matched_behind_the_hidden_prefix() {
        let all: &[&str] = &["mover-1", "mover-2", "xmover-1"];
        for nothing in [None, Some("")] {
            check_pattern(Mode::HidePrefix, nothing, Ok(("my-(?:(?s:.*))", all)));
        }
        // This broker matches nothing: what goes on to it is what would be matched.
        check_pattern(Mode::HidePrefix, Some("x|.*"), Ok(("my-(?:x|.*)", all)));
        check_pattern(
            Mode::HidePrefix,
            Some(r"\bmover-1|x.*"),
            Ok(("my-(?:(?s:.*))", &["mover-1", "xmover-1"])),
        );
        check_pattern(Mode::HidePrefix, Some("a)|(.*"), Err(128));
    }

    #[test]
    fn a_pattern_is_matched_with_the_enforced_prefix() {
        let all: &[&str] = &["my-mover-1", "my-mover-2", "my-xmover-1"];
        check_pattern(Mode::EnforcePrefix, None, Ok(("my-(?:(?s:.*))", all)));
        check_pattern(
            Mode::EnforcePrefix,
            Some("my-mover.*"),
            Ok(("my-(?:(?s:.*))", &["my-mover-1", "my-mover-2"])),
        );
        check_pattern(Mode::EnforcePrefix, Some("mover-1|their.*"), Ok(("my-(?:(?s:.*))", &[])));
        check_pattern(Mode::EnforcePrefix, Some("a)|(.*"), Err(128));
    }
}
