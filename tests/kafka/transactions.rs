//! Transactions of real producers, of both generations of the protocol, and what administrators see of them.

use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::protocol::StrBytes;

use crate::site::site;
use crate::support::clients::Tool::{JavaAdmin, JavaFlow, Librdkafka};
use crate::support::setup::Tenant;
use crate::world::{self, Way};

cases! {
    a_consumer_sees_what_a_transaction_committed
    librdkafka_commits_and_aborts
    hazard_10_offsets_are_committed_with_what_was_written
    a_second_producer_fences_the_first
    a_transaction_needs_its_id_its_topics_and_its_group
    an_administrator_lists_transactions_by_patterns
    an_administrator_sees_an_open_transaction_with_its_topics
}

/// The same on a broker whose producers announce what a transaction has.
mod before_kip_890 {
    use super::*;

    fn compare(case: fn(&Way<'_>)) {
        if let Some(world) = world::older_transactions() {
            world.compare(case);
        }
    }

    #[test]
    fn a_consumer_sees_what_a_transaction_committed() {
        compare(super::a_consumer_sees_what_a_transaction_committed);
    }

    #[test]
    fn hazard_10_offsets_are_committed_with_what_was_written() {
        compare(super::hazard_10_offsets_are_committed_with_what_was_written);
    }

    #[test]
    fn a_second_producer_fences_the_first() {
        compare(super::a_second_producer_fences_the_first);
    }

    #[test]
    fn a_transaction_needs_its_id_its_topics_and_its_group() {
        compare(super::a_transaction_needs_its_id_its_topics_and_its_group);
    }

    #[test]
    fn hazard_10_producers_speak_the_generation_of_the_broker() {
        let (Some(older), Some(newer)) = (world::older_transactions(), world::one_broker()) else { return };
        older.compare(|way| {
            assert_eq!(generation(way), Some(1));
            way.check(JavaAdmin, "admin-app", "create writable-generation 1 {brokers} -> ok");
            way.check(
                JavaFlow,
                "mover-app",
                "transact mover-generation commit writable-generation one -> ok",
            );
            assert!(way.requests("AddPartitionsToTxn") > 0.5 || !way.is_gateway());
        });
        newer.compare(|way| assert_eq!(generation(way), Some(2)));
    }

    /// The level of the feature by which a producer chooses.
    fn generation(way: &Way<'_>) -> Option<i16> {
        let software = || StrBytes::from_static_str("raw-client");
        let request = ApiVersionsRequest::default()
            .with_client_software_name(software())
            .with_client_software_version(software());
        let features = way.log_in("mover-app").ask(4, &request).finalized_features;
        let found = features.iter().find(|feature| feature.name.as_str() == "transaction.version");
        found.map(|feature| feature.max_version_level)
    }
}

fn a_consumer_sees_what_a_transaction_committed(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create writable-seen-a 2 {brokers} -> ok
         create writable-seen-b 1 {brokers} -> ok",
    );
    way.check(
        JavaFlow,
        "mover-app",
        "transact mover-seen abort writable-seen-a no writable-seen-b never -> ok
         transact mover-seen commit writable-seen-a one writable-seen-b two -> ok
         transact mover-seen-left leave writable-seen-b open -> ok
         consume-committed writable-seen-a mover-seen 1 -> ok one
         consume-committed writable-seen-b mover-seen 1 -> ok two
         consume writable-seen-b mover-seen-all 3 -> ok never two open",
    );
}

fn librdkafka_commits_and_aborts(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create writable-rdtx-a 1 {brokers} -> ok
         create writable-rdtx-b 1 {brokers} -> ok",
    );
    way.check(
        Librdkafka,
        "mover-app",
        "transact mover-rd abort writable-rdtx-a no -> ok
         transact mover-rd commit writable-rdtx-a one writable-rdtx-a two -> ok
         consume writable-rdtx-a mover-rd 2 -> ok one two
         move mover-rd-b writable-rdtx-a mover-rd-b 2 writable-rdtx-b -> ok 2
         consume writable-rdtx-b mover-rd 2 -> ok one two
         fence mover-rd-c writable-rdtx-b -> _FENCED
         transact other-rd commit writable-rdtx-a one -> TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    );
}

fn hazard_10_offsets_are_committed_with_what_was_written(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create writable-from 1 {brokers} -> ok
         create writable-to 1 {brokers} -> ok",
    );
    way.check(
        JavaFlow,
        "mover-app",
        "transact mover-source commit writable-from one writable-from two -> ok
         move mover-on writable-from mover-on 2 writable-to -> ok 2
         consume-committed writable-to mover-check 2 -> ok one two
         commit-offset mover-on mover-alone writable-from 1 -> ok",
    );
    // The third offset is that of the marker by which the transaction was committed.
    way.check(
        JavaAdmin,
        "mover-app",
        "committed mover-on -> ok {writable-from-0=3}
         committed mover-alone -> ok {writable-from-0=1}",
    );
}

fn a_second_producer_fences_the_first(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create writable-fence 1 {brokers} -> ok");
    way.check(
        JavaFlow,
        "mover-app",
        "fence mover-fence writable-fence -> PRODUCER_FENCED
         transact mover-fence commit writable-fence last -> ok
         consume-committed writable-fence mover-fence 1 -> ok last",
    );
}

fn a_transaction_needs_its_id_its_topics_and_its_group(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create writable-needs 1 {brokers} -> ok
         create readable-needs 1 {brokers} -> ok
         create hidden-needs 1 {brokers} -> ok",
    );
    // Of a commit of offsets the Java producer expects no error of a topic, and has no name for it.
    way.check(
        JavaFlow,
        "mover-app",
        "transact other-needs commit writable-needs no -> TRANSACTIONAL_ID_AUTHORIZATION_FAILED
         transact mover-needs commit readable-needs no -> TOPIC_AUTHORIZATION_FAILED
         transact mover-needs commit writable-needs no readable-needs no -> TOPIC_AUTHORIZATION_FAILED
         transact mover-needs commit writable-needs no hidden-needs no -> TOPIC_AUTHORIZATION_FAILED
         commit-offset mover-needs other-needs readable-needs 0 -> GROUP_AUTHORIZATION_FAILED
         commit-offset mover-needs mover-needs hidden-needs 0 -> UNKNOWN_SERVER_ERROR
         commit-offset other-needs mover-needs readable-needs 0 -> TRANSACTIONAL_ID_AUTHORIZATION_FAILED
         transact mover-needs commit writable-needs yes -> ok
         consume-committed writable-needs mover-needs 1 -> ok yes",
    );
    way.check(
        JavaFlow,
        "reader-app",
        "transact mover-needs commit writable-needs no -> TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    );
}

fn an_administrator_lists_transactions_by_patterns(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create writable-list 1 {brokers} -> ok");
    way.check(
        JavaFlow,
        "admin-app",
        "transact mover-list-1 commit writable-list one -> ok
         transact mover-list-2 leave writable-list two -> ok
         transact other-list-1 commit writable-list three -> ok",
    );
    let lines = r"transactions mover-list-.* -> ok mover-list-1 mover-list-2
         transactions mover-list -> ok
         transactions mover-list-1|mover-list-2 -> ok mover-list-1 mover-list-2
         transactions ^mover-list-1$ -> ok mover-list-1
         transactions \bmover-list-\d\b -> ok mover-list-1 mover-list-2
         transactions \Qmover-list-1\E -> ok mover-list-1
         transactions (?i)MOVER-LIST-[^1] -> ok mover-list-2
         transactions [[:alpha:]]+-list-\d -> ok {all}
         transactions .*-list-[a[1] -> ok {ones}
         transactions-in Ongoing mover-list -> ok mover-list-2
         transactions a)|(.* -> INVALID_REGULAR_EXPRESSION
         transactions ( -> INVALID_REGULAR_EXPRESSION
         transactions a** -> INVALID_REGULAR_EXPRESSION
         transactions (?x)a -> INVALID_REGULAR_EXPRESSION
         transactions a{1001} -> INVALID_REGULAR_EXPRESSION";
    let of = |all: &str, ones: &str| lines.replace("{all}", all).replace("{ones}", ones);
    way.check(
        JavaAdmin,
        "admin-app",
        &of("mover-list-1 mover-list-2 other-list-1", "mover-list-1 other-list-1"),
    );
    way.check(JavaAdmin, "reader-app", &of("mover-list-1 mover-list-2", "mover-list-1"));
    way.check(
        JavaAdmin,
        "stranger-app",
        "transactions .*list.* -> ok
         transactions ( -> INVALID_REGULAR_EXPRESSION",
    );
}

fn an_administrator_sees_an_open_transaction_with_its_topics(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-open 2 {brokers} -> ok
         create visible-open 1 {brokers} -> ok
         create hidden-open 1 {brokers} -> ok",
    );
    way.check(
        JavaFlow,
        "admin-app",
        "transact mover-open leave visible-open a hidden-open b -> ok
         transact other-open leave visible-open a -> ok",
    );
    way.check(
        JavaAdmin,
        "admin-app",
        "transaction mover-open -> ok state=Ongoing hidden-open-0 visible-open-0
         transaction mover-not -> TRANSACTIONAL_ID_NOT_FOUND",
    );
    way.check(
        JavaAdmin,
        "reader-app",
        "transaction mover-open -> ok state=Ongoing visible-open-0
         transaction other-open -> TRANSACTIONAL_ID_AUTHORIZATION_FAILED
         transaction other-not -> TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    );
}

#[test]
fn two_tenants_with_one_transactional_id_do_not_fence_each_other() {
    let Some(site) = site() else { return };
    let mut setup = site.setup("txone-");
    let mut other = Tenant::new("other", "txtwo-", "");
    other.authentication = setup.tenant().authentication.clone();
    setup.tenants.push(other);
    let front = site.front(setup);
    for topic in ["txone-orders", "txtwo-orders"] {
        site.direct().create(topic);
    }
    let mut first = front.converse(JavaFlow);
    assert_eq!(first.say("open mover orders one"), "ok");
    front.check_at(1, JavaFlow, "transact mover commit orders two -> ok");
    assert_eq!(first.say("commit"), "ok");
    front.check_at(0, JavaFlow, "consume-committed orders readers 1 -> ok one");
    front.check_at(1, JavaFlow, "consume-committed orders readers 1 -> ok two");
    for tenant in [0, 1] {
        front.check_at(tenant, JavaAdmin, "transactions .* -> ok mover");
    }
    // Whom a second producer of one's own takes the id from is told.
    assert_eq!(first.say("open mover orders one"), "ok");
    front.check_at(0, JavaFlow, "transact mover commit orders three -> ok");
    assert_eq!(first.say("commit"), "PRODUCER_FENCED");
}
