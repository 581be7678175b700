//! What a naive gateway gets wrong before real software, one case for each way; the numbers are those of the
//! protocol notes.

use std::time::Duration;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::direct::until_within;
use crate::site::{self, Front, site};
use crate::support::clients::Tool::{JavaAdmin, JavaFlow, Librdkafka};
use crate::world::Way;

cases! {
    hazard_2_a_topic_that_a_group_reads_is_not_taken_from_it
    hazard_12_a_denied_write_without_answer_closes_the_connection
    hazard_24_asking_for_a_topic_creates_none_without_the_right
    hazard_24_writing_creates_a_topic_with_the_right
    hazard_29_no_error_text_names_the_backend
    hazard_31_a_name_too_long_for_the_backend_is_refused
}

#[test]
fn hazard_1_offsets_of_a_live_group_do_not_expire() {
    let Some(site) = site() else { return };
    let front = site.front(site.setup("quiet-"));
    let mut direct = site.direct();
    direct.create("quiet-orders");
    let mut member = front.converse(JavaFlow);
    assert_eq!(member.say("join orders live"), "ok");
    assert_eq!(direct.committed("quiet-live", "quiet-orders"), Some(0));
    // Committed later, and by nobody who stays: when this one is gone, the other one's time was up as well.
    direct.commit("abandoned", "quiet-orders", 7);
    assert_eq!(direct.describe_group("quiet-live").group_state.as_str(), "Stable");
    until_within(RETENTION, "the abandoned offset expires", || {
        direct.committed("abandoned", "quiet-orders").is_none().then_some(())
    });
    let group = direct.describe_group("quiet-live");
    assert_eq!(group.group_state.as_str(), "Stable", "{group:?}");
    assert_eq!(member.say("committed orders"), "ok 0", "{group:?}");
    assert_eq!(direct.committed("quiet-live", "quiet-orders"), Some(0));
}

#[test]
fn hazard_6_librdkafka_compresses() {
    let Some(site) = site() else { return };
    let front = site.front(site.setup("packed-"));
    let mut direct = site.direct();
    for (codec, bits) in [("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4)] {
        direct.create(&format!("packed-{codec}"));
        front.check(Librdkafka, &format!("produce-compressed {codec} {codec} -> ok"));
        let batch = direct.first_batch(&format!("packed-{codec}"));
        // The attributes of a batch stand behind offset, length, epoch, magic and checksum.
        assert_eq!(batch[22] & 0b111, bits, "{codec}");
        assert!(batch.len() < 1000, "{codec} makes no less of it: {} bytes", batch.len());
    }
}

#[test]
fn hazard_36_who_logs_in_again_is_never_cut_off() {
    let Some(site) = site() else { return };
    let issuer = site::issuer("10s");
    let mut setup = site::setup(&site.kafka, &issuer, "renewed-");
    // Without leeway, so that the session is as short as the token.
    setup.tenant().authentication = vec![site::authentication(&issuer, ", clock_skew: 0s")];
    let front = Front::start(setup, &issuer);
    let mut direct = site.direct();
    direct.create("renewed-java");
    direct.create("renewed-rd");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            front.check(JavaFlow, "keep-producing java 25 -> ok connections=2 logged-in-again=true")
        });
        scope.spawn(|| front.check(Librdkafka, "keep-producing rd 25 -> ok cuts=0"));
    });
    // Each of the two has two connections or more, of which the busy one logs in twice again.
    assert!(
        front.count("sluicegate_logins_total", "result=\"success\"") > 7.5,
        "{:?}",
        front.gateway.admin("/metrics")
    );
}

fn hazard_2_a_topic_that_a_group_reads_is_not_taken_from_it(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-subscribed 1 {brokers} -> ok
         create readable-unsubscribed 1 {brokers} -> ok",
    );
    let mut member = way.converse(JavaFlow, "reader-app");
    assert_eq!(member.say("join readable-subscribed reader-subscribed"), "ok");
    way.check(
        JavaAdmin,
        "cleaner-app",
        "forget reader-subscribed readable-subscribed readable-unsubscribed -> ok GROUP_SUBSCRIBED_TO_TOPIC ok",
    );
    assert_eq!(member.say("committed readable-subscribed"), "ok 0");
}

fn hazard_12_a_denied_write_without_answer_closes_the_connection(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create visible-acks 1 {brokers} -> ok");
    way.check(JavaFlow, "reader-app", "produce-unanswered visible-acks one -> ok closed");
    way.check(JavaFlow, "producer-app", "produce-unanswered visible-acks one -> ok");
}

fn hazard_24_asking_for_a_topic_creates_none_without_the_right(way: &Way<'_>) {
    let mut client = way.log_in("reader-app");
    let name = |name: &str| TopicName(StrBytes::from_string(name.to_owned()));
    let mut codes = Vec::new();
    for (version, topic) in [(1, "readable-ghost-1"), (9, "readable-ghost-9")] {
        let request = MetadataRequest::default()
            .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(name(topic)))]))
            .with_allow_auto_topic_creation(true);
        let answer = client.ask(version, &request);
        codes.push((answer.topics[0].name.clone(), answer.topics[0].error_code));
    }
    assert_eq!(codes, [(Some(name("readable-ghost-1")), 29), (Some(name("readable-ghost-9")), 29)]);
    // Made after them, and seen: so they would be there as well.
    let fence = format!("readable-fence-{}", way.prefix());
    way.check(JavaAdmin, "admin-app", &format!("create {fence} 1 {{brokers}} -> ok"));
    let topics = way.direct().topics();
    assert!(topics.contains(&format!("{}{fence}", way.prefix())), "{topics:?}");
    assert!(!topics.iter().any(|topic| topic.contains("ghost")), "{topics:?}");
}

fn hazard_24_writing_creates_a_topic_with_the_right(way: &Way<'_>) {
    let topic = format!("readable-auto-{}x", way.prefix());
    way.check(JavaFlow, "producer-app", &format!("produce {topic} one -> ok"));
    let topics = way.direct().topics();
    assert!(topics.contains(&format!("{}{topic}", way.prefix())), "{topics:?}");
    assert_eq!(topics.iter().filter(|found| found.ends_with(&topic)).count(), 1, "{topics:?}");
}

// The texts that a client was told are looked through after each dialogue.
fn hazard_29_no_error_text_names_the_backend(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable.text 1 {brokers} -> ok
         create readable.text 1 {brokers} -> TOPIC_ALREADY_EXISTS
         create readable_text 1 {brokers} -> INVALID_TOPIC_EXCEPTION
         try-create readable_text 1 {brokers} -> INVALID_TOPIC_EXCEPTION
         partitions readable.text 1 -> INVALID_PARTITIONS
         set-config readable.text retention.ms soon -> INVALID_CONFIG
         delete-group reader-text -> GROUP_ID_NOT_FOUND
         group reader-text -> GROUP_ID_NOT_FOUND",
    );
}

fn hazard_31_a_name_too_long_for_the_backend_is_refused(way: &Way<'_>) {
    let longest = format!("{:x<1$}", "readable-", 249 - way.prefix().len());
    way.check(
        JavaAdmin,
        "admin-app",
        &format!(
            "create {longest} 1 {{brokers}} -> ok
             create {longest}x 1 {{brokers}} -> INVALID_TOPIC_EXCEPTION
             try-create {longest}x 1 {{brokers}} -> INVALID_TOPIC_EXCEPTION"
        ),
    );
}

/// The other tenants' topics do not exist, and yet a name may collide with one of them.
#[test]
fn hazard_29_a_collision_names_nobody_elses_topic() {
    let Some(site) = site() else { return };
    let front = site.front(site.setup("mine."));
    site.direct().create("mine_orders.theirs");
    let aside = front.check_at(0, JavaAdmin, "create orders.theirs 1 1 -> INVALID_TOPIC_EXCEPTION");
    assert!(!aside.contains("mine"), "{aside}");
    assert!(!site.direct().topics().iter().any(|topic| topic.starts_with("mine.")));
}

/// A minute, after which offsets expire, and what a busy broker may take until it has looked.
const RETENTION: Duration = Duration::from_secs(120);
