//! What real clients see of names: enforced prefixes, additional names, two backends.

use crate::site::site;
use crate::support::clients::Tool::{JavaAdmin, JavaFlow, Librdkafka};
use crate::support::setup::Tenant;
use crate::world;

#[test]
fn an_enforced_prefix_shows_full_names_and_nothing_else() {
    let Some(site) = site() else { return };
    let mut setup = site.setup("");
    setup.tenant().namespace = "{mode: enforce_prefix, prefix: \"full-\"}".to_owned();
    let front = site.front(setup);
    site.direct().create("elsewhere-orders");
    front.check(
        JavaAdmin,
        "create full-orders 1 1 -> ok
         topics -> ok full-orders
         create orders 1 1 -> INVALID_TOPIC_EXCEPTION
         topic elsewhere-orders -> TOPIC_AUTHORIZATION_FAILED
         delete elsewhere-orders -> TOPIC_AUTHORIZATION_FAILED",
    );
    front.check(
        JavaFlow,
        "produce full-orders one -> ok
         consume full-orders full-readers 1 -> ok one",
    );
    front.check(
        JavaAdmin,
        "groups -> ok full-readers
         committed full-readers -> ok {full-orders-0=1}",
    );
    let topics = site.direct().topics();
    assert!(topics.iter().any(|topic| topic == "full-orders"), "{topics:?}");
    assert!(!topics.iter().any(|topic| topic == "full-full-orders"), "{topics:?}");
}

#[test]
fn additional_topics_and_groups_keep_their_own_names() {
    let Some(site) = site() else { return };
    let mut setup = site.setup("");
    setup.tenant().namespace = "{mode: hide_prefix, prefix: \"add-\", additional: {\
         topics: [{type: exact_list, exact_list: [{backend: extra_topic}]}, {type: glob, glob: \"shared-*\"}], \
         consumer_groups: [{type: glob, glob: \"legacy-*\"}]}}"
        .to_owned();
    let front = site.front(setup);
    for topic in ["extra_topic", "shared-facts", "unshared-facts"] {
        site.direct().create(topic);
    }
    front.check(
        Librdkafka,
        "create orders 1 1 -> ok
         topics -> ok extra_topic orders shared-facts
         produce extra_topic one -> ok
         produce shared-facts two -> ok
         consume extra_topic legacy-readers 1 -> ok one
         consume shared-facts readers 1 -> ok two
         groups -> ok legacy-readers readers
         create shared-more 1 1 -> POLICY_VIOLATION
         delete extra_topic -> POLICY_VIOLATION",
    );
    // Java's admin client asks without making what it asks for.
    front.check(JavaAdmin, "topic unshared-facts -> UNKNOWN_TOPIC_OR_PARTITION");
    let mut direct = site.direct();
    assert_eq!(direct.committed("legacy-readers", "extra_topic"), Some(1));
    assert_eq!(direct.committed("add-readers", "shared-facts"), Some(1));
    let topics = direct.topics();
    assert!(topics.iter().any(|topic| topic == "add-orders"), "{topics:?}");
    assert!(!topics.iter().any(|topic| topic.starts_with("add-shared")), "{topics:?}");
}

#[test]
fn hazard_33_one_client_has_a_topic_under_both_its_names() {
    let Some(site) = site() else { return };
    let mut setup = site.setup("alias-");
    setup.tenant().more.push("topic_aliases: [{alias: orders, topic: orders-v2}]".to_owned());
    let front = site.front(setup);
    front.check(
        JavaAdmin,
        "create orders-v2 1 1 -> ok
         topics -> ok orders orders-v2
         topic orders -> ok partitions=1 replicas=1
         create orders 1 1 -> TOPIC_ALREADY_EXISTS",
    );
    front.check(
        JavaFlow,
        "produce orders one -> ok
         produce orders-v2 two -> ok
         consume orders alias-readers 2 -> ok one two
         consume orders-v2 topic-readers 2 -> ok one two
         consume orders,orders-v2 both-readers 2 -> ok one two",
    );
    front.check(JavaAdmin, "committed alias-readers -> ok {orders-v2-0=2}");
    front.check(Librdkafka, "topics -> ok orders orders-v2\n consume orders more-readers 2 -> ok one two");
    assert_eq!(site.direct().committed("alias-alias-readers", "alias-orders-v2"), Some(2));
}

#[test]
fn hazard_33_who_says_both_names_of_a_topic_is_told_of_both() {
    let Some(site) = site() else { return };
    let mut setup = site.setup("names-");
    setup.tenant().more.push("topic_aliases: [{alias: orders, topic: orders-v2}]".to_owned());
    let front = site.front(setup);
    front.check(
        JavaAdmin,
        "create orders-v2 1 1 -> ok
         described orders orders-v2 -> ok 1 1",
    );
    front.check(
        JavaFlow,
        "produce orders one two -> ok
         assign - orders:1 orders-v2:1 -> ok
         poll 4 -> ok one two one two
         produce orders-v2 three -> ok
         poll 2 -> ok three three
         consume orders,orders-v2 both-readers 3 -> ok one two three
         consume-assigned orders,orders-v2 both-assigned 3 -> ok one two three
         subscribe-pattern found both-found ord..s -> ok
         assigned 1 -> ok found=1 orders-0
         leave found -> ok",
    );
    front.check(
        JavaAdmin,
        "committed both-readers -> ok {orders-v2-0=3}
         committed both-assigned -> ok {orders-v2-0=3}
         forget both-readers orders orders-v2 -> ok ok ok",
    );
    assert_eq!(site.direct().committed("both-both-readers", "both-orders-v2"), None);
    // A producer that numbers its records begins at zero by either name.
    front.check(JavaFlow, "transact both-mover commit orders four orders-v2 five -> INVALID_REQUEST");
    front.check(Librdkafka, "consume orders,orders-v2 both-more 3 -> ok one two three");
}

#[test]
fn two_virtual_clusters_stand_before_two_backends() {
    let (Some(site), Some(other)) = (site(), world::one_broker()) else { return };
    let mut setup = site.setup("twin-");
    let brokers = vec![other.kafka().bootstrap("PLAINTEXT").to_owned()];
    setup.more_backends = vec![("elsewhere".to_owned(), brokers)];
    let mut twin = Tenant::new("twin", "twin-", "");
    twin.destination = "elsewhere".to_owned();
    twin.authentication = setup.tenant().authentication.clone();
    setup.tenants.push(twin);
    let front = site.front(setup);
    for (tenant, value) in [(0, "here"), (1, "there")] {
        front.check_at(
            tenant,
            Librdkafka,
            &format!("create orders 1 1 -> ok\nproduce orders {value} -> ok\ncreate only-{value} 1 1 -> ok"),
        );
    }
    for (tenant, value) in [(0, "here"), (1, "there")] {
        front.check_at(
            tenant,
            Librdkafka,
            &format!("topics -> ok only-{value} orders\nconsume orders readers 1 -> ok {value}"),
        );
    }
}
