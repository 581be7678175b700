//! Share groups of real consumers (KIP-932), and what administrators see and change of them.

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{GroupId, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use sluicegate::wire::messages::share_acknowledge_request::{AcknowledgePartition, AcknowledgeTopic};
use sluicegate::wire::messages::share_fetch_request::{
    AcknowledgementBatch, FetchPartition, FetchTopic, ForgottenTopic,
};
use sluicegate::wire::messages::{ShareAcknowledgeRequest, ShareFetchRequest, share_acknowledge_request};
use uuid::Uuid;

use crate::direct::until;
use crate::site::site;
use crate::support::client::Client;
use crate::support::clients::Tool::{JavaAdmin, JavaFlow, JavaShare};
use crate::support::setup::Tenant;
use crate::world::{self, Way};

cases! {
    members_share_what_is_written
    a_member_accepts_releases_rejects_and_renews
    a_member_needs_its_group_and_its_topics
    hazard_38_the_end_of_one_member_leaves_the_other_what_it_holds
    an_administrator_sees_share_groups
    an_administrator_sets_how_far_share_groups_have_read
    an_administrator_is_refused_share_groups
}

fn members_share_what_is_written(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create readable-pooled 1 {brokers} -> ok");
    way.check(JavaFlow, "producer-app", "produce readable-pooled one two three four -> ok");
    way.check(JavaShare, "admin-app", "prepare reader-pooled -> ok");
    way.check(
        JavaShare,
        "reader-app",
        "consume readable-pooled reader-pooled 4 -> ok one two three four
         groups reader-pooled -> ok reader-pooled
         offsets reader-pooled readable-pooled -> ok {readable-pooled-0=0/0}",
    );
    way.check(JavaFlow, "producer-app", "produce readable-pooled five -> ok");
    way.check(JavaShare, "reader-app", "consume readable-pooled reader-pooled 1 -> ok five");
}

fn a_member_accepts_releases_rejects_and_renews(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create readable-pair 1 {brokers} -> ok");
    way.check(JavaFlow, "producer-app", "produce readable-pair one two three four -> ok");
    way.check(JavaShare, "admin-app", "prepare reader-pair -> ok");
    way.check(
        JavaShare,
        "reader-app",
        "join a reader-pair readable-pair -> ok
         join b reader-pair readable-pair -> ok
         take a -> ok one/1
         take b -> ok two/1
         reject b -> ok
         release a -> ok
         take b -> ok one/2
         accept b -> ok
         take a -> ok three/1
         renew a -> ok
         take b -> ok four/1
         leave a -> ok
         release b -> ok
         take b 2 -> ok three/2 four/2
         accept b -> ok",
    );
}

fn a_member_needs_its_group_and_its_topics(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-unshared 1 {brokers} -> ok
         create visible-unshared 1 {brokers} -> ok
         create hidden-unshared 1 {brokers} -> ok",
    );
    way.check(
        JavaShare,
        "reader-app",
        "consume visible-unshared reader-unshared 1 -> TOPIC_AUTHORIZATION_FAILED
         consume hidden-unshared reader-unshared 1 -> TOPIC_AUTHORIZATION_FAILED
         consume readable-unshared other-unshared 1 -> GROUP_AUTHORIZATION_FAILED",
    );
}

fn hazard_38_the_end_of_one_member_leaves_the_other_what_it_holds(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create readable-held 1 {brokers} -> ok");
    way.check(JavaFlow, "producer-app", "produce readable-held one two -> ok");
    way.check(JavaShare, "admin-app", "prepare reader-held -> ok");
    let [mut first, mut second] = [(); 2].map(|()| way.converse(JavaShare, "reader-app"));
    for (member, record) in [(&mut first, "ok one/1"), (&mut second, "ok two/1")] {
        assert_eq!(member.say("join m reader-held readable-held"), "ok");
        assert_eq!(member.say("take m"), record);
    }
    // Its connection ends, and with that its session: what it held is free long before the minute is over.
    drop(first);
    assert_eq!(second.say("accept m"), "ok");
    assert_eq!(second.say("take m"), "ok one/2");
    assert_eq!(second.say("accept m"), "ok");
}

fn an_administrator_sees_share_groups(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-told 1 {brokers} -> ok
         create hidden-told 1 {brokers} -> ok",
    );
    way.check(JavaFlow, "admin-app", "produce readable-told one -> ok");
    let mut admin = way.converse(JavaShare, "admin-app");
    for group in ["reader-told", "other-told"] {
        assert_eq!(admin.say(&format!("prepare {group}")), "ok");
        assert_eq!(admin.say(&format!("join {group} {group} readable-told")), "ok");
        assert_eq!(admin.say(&format!("take {group}")), "ok one/1");
    }
    assert_eq!(admin.say("join hidden reader-told-2 hidden-told"), "ok");
    until("the group reads the hidden topic", || {
        // It joins while it polls.
        admin.say("poll hidden");
        (admin.say("group reader-told-2") == "ok state=Stable members=1 hidden-told-0").then_some(())
    });
    way.check(
        JavaShare,
        "reader-app",
        "groups reader-told -> ok reader-told reader-told-2
         groups other-told -> ok
         group reader-told -> ok state=Stable members=1 readable-told-0
         operations reader-told -> ok DESCRIBE READ
         group reader-told-2 -> TOPIC_AUTHORIZATION_FAILED
         group other-told -> GROUP_AUTHORIZATION_FAILED
         group reader-told-not -> GROUP_ID_NOT_FOUND",
    );
    assert_eq!(admin.say("operations reader-told"), "ok ALTER_CONFIGS DELETE DESCRIBE DESCRIBE_CONFIGS READ");
    assert_eq!(admin.say("leave reader-told"), "ok");
    assert_eq!(admin.say("group reader-told"), "ok state=Empty members=0");
}

fn an_administrator_sets_how_far_share_groups_have_read(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-far 1 {brokers} -> ok
         create visible-far 1 {brokers} -> ok
         create hidden-far 1 {brokers} -> ok",
    );
    way.check(JavaFlow, "admin-app", "produce readable-far one two -> ok");
    way.check(JavaFlow, "admin-app", "produce visible-far one -> ok");
    way.check(
        JavaShare,
        "admin-app",
        "prepare reader-far -> ok
         consume readable-far reader-far 2 -> ok one two
         consume visible-far reader-far 1 -> ok one
         offsets reader-far -> ok {readable-far-0=0/0, visible-far-0=0/0}
         set-offset reader-far 1 readable-far readable-far-not -> ok ok UNKNOWN_TOPIC_OR_PARTITION
         offsets reader-far readable-far -> ok {readable-far-0=1/1}
         consume readable-far reader-far 1 -> ok two
         forget reader-far readable-far readable-far-not -> ok ok UNKNOWN_TOPIC_OR_PARTITION
         offsets reader-far -> ok {visible-far-0=0/0}
         delete-group reader-far -> ok
         groups reader-far -> ok",
    );
}

fn an_administrator_is_refused_share_groups(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-firm 1 {brokers} -> ok
         create visible-firm 1 {brokers} -> ok
         create hidden-firm 1 {brokers} -> ok",
    );
    let topics = ["readable-firm", "visible-firm", "hidden-firm"];
    for topic in topics {
        way.check(JavaFlow, "admin-app", &format!("produce {topic} one -> ok"));
        way.check(
            JavaShare,
            "admin-app",
            &format!(
                "prepare reader-firm -> ok
                 consume {topic} reader-firm 1 -> ok one"
            ),
        );
    }
    let (all, denied) = (topics.join(" "), "TOPIC_AUTHORIZATION_FAILED");
    let other = "GROUP_AUTHORIZATION_FAILED";
    way.check(
        JavaShare,
        "reader-app",
        &format!(
            "offsets reader-firm -> ok {{readable-firm-0=0/0, visible-firm-0=0/0}}
             offsets reader-firm visible-firm -> ok {{visible-firm-0=0/0}}
             offsets reader-firm {all} -> ok {{readable-firm-0=0/0, visible-firm-0=0/0}}
             offsets reader-firm hidden-firm -> ok {{}}
             offsets other-firm -> {other}
             set-offset reader-firm 0 {all} -> ok ok {denied} {denied}
             set-offset reader-firm 0 hidden-firm -> ok {denied}
             set-offset other-firm 0 readable-firm -> ok {other}
             forget reader-firm {all} -> ok {other} {other} {other}
             delete-group reader-firm -> {other}"
        ),
    );
    way.check(
        JavaShare,
        "cleaner-app",
        &format!(
            "forget reader-firm {all} -> ok ok {denied} {denied}
             forget reader-firm hidden-firm -> ok {denied}
             forget reader-firm-not hidden-firm -> ok GROUP_ID_NOT_FOUND
             set-offset reader-firm 0 readable-firm -> ok {other}"
        ),
    );
    way.check(JavaShare, "admin-app", "offsets reader-firm -> ok {hidden-firm-0=0/0, visible-firm-0=0/0}");
}

#[test]
fn a_share_session_tells_of_what_may_not_be_read_until_it_is_forgotten() {
    if let Some(world) = world::one_broker() {
        world.compare(tells_until_forgotten);
    }
}

/// One partition: the topic's number, the codes of the fetch and of what was acknowledged.
type Told = Vec<(usize, i16, i16)>;

struct Session {
    client: Client,
    topics: Vec<Uuid>,
    version: i16,
}

impl Session {
    /// Topics by their numbers, those that acknowledge something by the negative of them, from 1 on.
    fn fetch(&mut self, epoch: i32, topics: &[i32], forgotten: &[usize]) -> (i16, Told) {
        let topics = topics.iter().map(|number| {
            let batch = AcknowledgementBatch::default().with_last_offset(0).with_acknowledge_types(vec![1]);
            let batches = if *number < 0 { vec![batch] } else { vec![] };
            let partition = FetchPartition::default().with_acknowledgement_batches(batches);
            FetchTopic::default()
                .with_topic_id(self.topics[number.unsigned_abs() as usize - 1])
                .with_partitions(vec![partition])
        });
        let forgotten = forgotten.iter().map(|number| {
            ForgottenTopic::default().with_topic_id(self.topics[number - 1]).with_partitions(vec![0])
        });
        let request = ShareFetchRequest::default()
            .with_group_id(Some(GroupId(StrBytes::from_static_str("reader-raw"))))
            .with_member_id(Some(StrBytes::from_static_str("AAAAAAAAAAAAAAAAAAAAAQ")))
            .with_share_session_epoch(epoch)
            .with_max_wait_ms(100)
            .with_max_records(10)
            .with_batch_size(10)
            .with_topics(topics.collect())
            .with_forgotten_topics_data(forgotten.collect());
        let answer = self.client.ask(self.version, &request);
        let mut told = Told::new();
        for topic in &answer.responses {
            let number = self.topics.iter().position(|id| *id == topic.topic_id).expect("it was asked for");
            told.extend(
                topic
                    .partitions
                    .iter()
                    .map(|partition| (number + 1, partition.error_code, partition.acknowledge_error_code)),
            );
        }
        told.sort_unstable();
        (answer.error_code, told)
    }

    fn acknowledge(&mut self, epoch: i32, topics: &[usize]) -> (i16, Vec<(usize, i16)>) {
        let topics = topics.iter().map(|number| {
            let batch = share_acknowledge_request::AcknowledgementBatch::default();
            let batch = batch.with_acknowledge_types(vec![1]);
            let partition = AcknowledgePartition::default().with_acknowledgement_batches(vec![batch]);
            AcknowledgeTopic::default()
                .with_topic_id(self.topics[number - 1])
                .with_partitions(vec![partition])
        });
        let request = ShareAcknowledgeRequest::default()
            .with_group_id(Some(GroupId(StrBytes::from_static_str("reader-raw"))))
            .with_member_id(Some(StrBytes::from_static_str("AAAAAAAAAAAAAAAAAAAAAQ")))
            .with_share_session_epoch(epoch)
            .with_topics(topics.collect());
        let answer = self.client.ask(self.version, &request);
        let mut told = Vec::new();
        for topic in &answer.responses {
            let number = self.topics.iter().position(|id| *id == topic.topic_id).expect("it was asked for");
            told.extend(topic.partitions.iter().map(|partition| (number + 1, partition.error_code)));
        }
        told.sort_unstable();
        (answer.error_code, told)
    }
}

fn ids(client: &mut Client, names: &[&str]) -> Vec<Uuid> {
    let topics = names.iter().map(|name| {
        let name = StrBytes::from_string((*name).to_owned());
        MetadataRequestTopic::default().with_name(Some(TopicName(name)))
    });
    let request = MetadataRequest::default().with_topics(Some(topics.collect()));
    let answer = client.ask(12, &request);
    let id = |name: &&str| {
        let found =
            answer.topics.iter().find(|topic| topic.name.as_ref().is_some_and(|n| n.as_str() == *name));
        found.expect("it was asked for").topic_id
    };
    names.iter().map(id).collect()
}

fn tells_until_forgotten(way: &Way<'_>) {
    const READABLE: usize = 1;
    const VISIBLE: usize = 2;
    const HIDDEN: usize = 3;
    const NOBODYS: usize = 4;
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-pool 1 {brokers} -> ok
         create visible-pool 1 {brokers} -> ok
         create hidden-pool 1 {brokers} -> ok",
    );
    // Before its first member a group has no such partition.
    way.check(JavaFlow, "producer-app", "produce readable-pool one -> ok");
    way.check(JavaShare, "admin-app", "prepare reader-raw -> ok");
    way.check(JavaShare, "reader-app", "consume readable-pool reader-raw 1 -> ok one");
    let mut topics = ids(&mut way.log_in("admin-app"), &["readable-pool", "visible-pool", "hidden-pool"]);
    topics.push(Uuid::from_u128(0x5eed));
    for version in 1..=2 {
        let mut session = Session { client: way.log_in("reader-app"), topics: topics.clone(), version };
        let refused = [(VISIBLE, 29, 0), (HIDDEN, 29, 0)];
        let opened = vec![(READABLE, 0, 0), (VISIBLE, 29, 0), (HIDDEN, 29, 0)];
        assert_eq!(session.fetch(0, &[1, 2, 3], &[]), (0, opened.clone()), "{version}");
        assert_eq!(session.fetch(1, &[], &[]), (0, refused.to_vec()));
        assert_eq!(session.fetch(2, &[], &[VISIBLE]), (0, vec![(HIDDEN, 29, 0)]));
        assert_eq!(session.fetch(2, &[], &[]), (123, vec![]));
        assert_eq!(session.fetch(3, &[-2, -3], &[HIDDEN]), (0, vec![(VISIBLE, 29, 29), (HIDDEN, 0, 29)]));
        assert_eq!(session.acknowledge(4, &[2, 3]), (0, vec![(VISIBLE, 29), (HIDDEN, 29)]));
        assert_eq!(session.fetch(5, &[], &[]), (0, vec![(VISIBLE, 29, 0)]));
        assert_eq!(session.acknowledge(-1, &[2]), (0, vec![(VISIBLE, 29)]));
        assert_eq!(session.fetch(6, &[], &[]), (122, vec![]));
        assert_eq!(session.acknowledge(6, &[2]), (122, vec![]));
        assert_eq!(session.fetch(0, &[2, 3], &[]), (0, refused.to_vec()));
        assert_eq!(session.fetch(1, &[1], &[]), (0, opened));
        assert_eq!(session.fetch(0, &[-2], &[]), (42, vec![]));
        assert_eq!(session.fetch(-1, &[-2], &[]), (0, vec![(VISIBLE, 0, 29)]));
        assert_eq!(session.fetch(-1, &[], &[]), (122, vec![]));
        // A broker fails at an id that nobody has; here it is refused like any other topic.
        if way.is_gateway() {
            assert_eq!(session.fetch(0, &[2, 4], &[]), (0, vec![(VISIBLE, 29, 0), (NOBODYS, 100, 0)]));
        }
    }
}

#[test]
fn two_tenants_with_one_share_group_do_not_share() {
    let Some(site) = site() else { return };
    let mut setup = site.setup("shone-");
    let mut other = Tenant::new("other", "shtwo-", "");
    other.authentication = setup.tenant().authentication.clone();
    setup.tenants.push(other);
    let front = site.front(setup);
    for topic in ["shone-orders", "shtwo-orders"] {
        site.direct().create(topic);
    }
    for tenant in [0, 1] {
        front.check_at(tenant, JavaFlow, &format!("produce orders of-{tenant} -> ok"));
        front.check_at(tenant, JavaShare, "prepare readers -> ok");
    }
    // Each takes its own, while the other holds it.
    let mut first = front.converse(JavaShare);
    assert_eq!(first.say("join m readers orders"), "ok");
    assert_eq!(first.say("take m"), "ok of-0/1");
    front.check_at(
        1,
        JavaShare,
        "join m readers orders -> ok
         take m -> ok of-1/1
         accept m -> ok
         groups -> ok readers
         group readers -> ok state=Stable members=1 orders-0
         offsets readers -> ok {orders-0=0/0}",
    );
    assert_eq!(first.say("group readers"), "ok state=Stable members=1 orders-0");
    assert_eq!(first.say("accept m"), "ok");
}
