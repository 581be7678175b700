//! Groups whose coordinator assigns the partitions (KIP-848), with Kafka's own consumer.

use crate::support::clients::Conversation;
use crate::support::clients::Tool::{JavaAdmin, JavaFlow};
use crate::world::Way;

cases! {
    a_group_is_read_committed_for_and_deleted
    two_members_share_what_they_read
    a_member_that_may_not_know_of_something_is_refused
    a_static_member_keeps_its_place
    a_pattern_finds_what_the_client_may_know_of
    hazard_3_members_of_both_protocols_share_a_group
    hazard_19_a_pattern_stays_in_the_namespace
    hazard_20_a_pattern_is_taken_back
}

/// Says these lines in a conversation, and compares the outcomes.
fn check(member: &mut Conversation, dialogue: &str) {
    for line in dialogue.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (said, expected) = line.split_once(" -> ").expect("a line has an outcome");
        assert_eq!(member.say(said), expected, "{said}");
    }
}

fn a_group_is_read_committed_for_and_deleted(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create readable-new 1 {brokers} -> ok");
    way.check(
        JavaFlow,
        "producer-app",
        "produce readable-new one two -> ok
         consume-assigned readable-new reader-new 2 -> ok one two",
    );
    way.check(
        JavaAdmin,
        "admin-app",
        "groups reader-new -> ok reader-new
         group reader-new -> ok state=Empty members=0
         committed reader-new -> ok {readable-new-0=2}
         delete-group reader-new -> ok
         groups reader-new -> ok",
    );
}

fn two_members_share_what_they_read(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-shared 2 {brokers} -> ok
         create hidden-shared 1 {brokers} -> ok",
    );
    let mut members = way.converse(JavaFlow, "reader-app");
    check(
        &mut members,
        "subscribe one reader-shared readable-shared -> ok
         assigned 2 -> ok one=2 readable-shared-0 readable-shared-1
         subscribe two reader-shared readable-shared -> ok
         assigned 2 -> ok one=1 two=1 readable-shared-0 readable-shared-1",
    );
    way.check(JavaAdmin, "reader-app", "group reader-shared -> ok state=Stable members=2");
    way.check(JavaAdmin, "stranger-app", "group reader-shared -> GROUP_AUTHORIZATION_FAILED");
    check(
        &mut members,
        "leave one -> ok
         assigned 2 -> ok two=2 readable-shared-0 readable-shared-1",
    );
    let mut hidden = way.converse(JavaFlow, "admin-app");
    check(
        &mut hidden,
        "subscribe one reader-hiding hidden-shared -> ok
         assigned 1 -> ok one=1 hidden-shared-0",
    );
    way.check(JavaAdmin, "reader-app", "group reader-hiding -> TOPIC_AUTHORIZATION_FAILED");
    way.check(JavaAdmin, "admin-app", "group reader-hiding -> ok state=Stable members=1");
}

fn a_member_that_may_not_know_of_something_is_refused(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-unknown 1 {brokers} -> ok
         create hidden-unknown 1 {brokers} -> ok",
    );
    way.check(
        JavaFlow,
        "reader-app",
        "consume-assigned readable-unknown other-unknown 1 -> GROUP_AUTHORIZATION_FAILED
         consume-assigned hidden-unknown reader-unknown 1 -> TOPIC_AUTHORIZATION_FAILED",
    );
}

fn a_static_member_keeps_its_place(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create readable-static 1 {brokers} -> ok");
    let mut members = way.converse(JavaFlow, "reader-app");
    check(
        &mut members,
        "subscribe-static one reader-static readable-static desk -> ok
         assigned 1 -> ok one=1 readable-static-0
         subscribe-static two reader-static readable-static desk -> ok
         assigned 2 -> UNRELEASED_INSTANCE_ID
         leave two -> ok
         leave one -> ok
         subscribe-static three reader-static readable-static desk -> ok
         assigned 1 -> ok three=1 readable-static-0",
    );
}

/// One client may know of every topic, so that the broker looks for them; the other of some.
fn a_pattern_finds_what_the_client_may_know_of(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-found-a 1 {brokers} -> ok
         create hidden-found-b 1 {brokers} -> ok",
    );
    let mut all = way.converse(JavaFlow, "producer-app");
    let mut some = way.converse(JavaFlow, "reader-app");
    check(
        &mut all,
        "subscribe-pattern all reader-found-all .*-found-.* -> ok
         assigned 2 -> ok all=2 hidden-found-b-0 readable-found-a-0",
    );
    check(
        &mut some,
        "subscribe-pattern some reader-found-some .*-found-.* -> ok
         assigned 1 -> ok some=1 readable-found-a-0",
    );
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-found-c 1 {brokers} -> ok
         create hidden-found-d 1 {brokers} -> ok",
    );
    check(
        &mut all,
        "assigned 4 -> ok all=4 hidden-found-b-0 hidden-found-d-0 readable-found-a-0 readable-found-c-0",
    );
    check(&mut some, "assigned 2 -> ok some=2 readable-found-a-0 readable-found-c-0");
    way.check(JavaAdmin, "reader-app", "group reader-found-some -> ok state=Stable members=1");
}

/// The reference listener, which comes first, leaves a topic with the same name and no prefix on the backend.
fn hazard_3_members_of_both_protocols_share_a_group(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create readable-mixed 2 {brokers} -> ok");
    let mut members = way.converse(JavaFlow, "reader-app");
    check(
        &mut members,
        "subscribe-classic old reader-mixed readable-mixed -> ok
         assigned 2 -> ok old=2 readable-mixed-0 readable-mixed-1
         subscribe new reader-mixed readable-mixed -> ok
         assigned 2 -> ok new=1 old=1 readable-mixed-0 readable-mixed-1",
    );
    way.check(JavaAdmin, "reader-app", "group reader-mixed -> ok state=Stable members=2");
    check(
        &mut members,
        "leave new -> ok
         assigned 2 -> ok old=2 readable-mixed-0 readable-mixed-1
         subscribe new reader-mixed readable-mixed -> ok
         assigned 2 -> ok new=1 old=1 readable-mixed-0 readable-mixed-1
         leave old -> ok
         assigned 2 -> ok new=2 readable-mixed-0 readable-mixed-1",
    );
}

fn hazard_19_a_pattern_stays_in_the_namespace(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create readable-walled 1 {brokers} -> ok");
    for client in ["producer-app", "reader-app"] {
        let mut member = way.converse(JavaFlow, client);
        let group = format!("reader-walled-{client}");
        check(
            &mut member,
            &format!(
                "subscribe-pattern wild {group} a)|(.*walled -> ok
                 assigned 1 -> INVALID_REGULAR_EXPRESSION
                 leave wild -> ok
                 subscribe-pattern one {group} x|.*-walled -> ok
                 assigned 1 -> ok one=1 readable-walled-0"
            ),
        );
    }
}

fn hazard_20_a_pattern_is_taken_back(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-taken-a 1 {brokers} -> ok
         create readable-taken-b 1 {brokers} -> ok",
    );
    for client in ["producer-app", "reader-app"] {
        let mut member = way.converse(JavaFlow, client);
        let group = format!("reader-taken-{client}");
        check(
            &mut member,
            &format!(
                "subscribe-pattern one {group} readable-taken-.* -> ok
                 assigned 2 -> ok one=2 readable-taken-a-0 readable-taken-b-0
                 unsubscribe one -> ok
                 assigned 0 -> ok one=0
                 subscribe one {group} readable-taken-b -> ok
                 assigned 1 -> ok one=1 readable-taken-b-0
                 unsubscribe one -> ok
                 subscribe-pattern one {group} .*-taken-a -> ok
                 assigned 1 -> ok one=1 readable-taken-a-0"
            ),
        );
    }
}
