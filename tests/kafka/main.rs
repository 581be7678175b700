//! Real clients and real Kafka: what the gateway answers is what Kafka itself answers to the same token and grants.
//!
//! Each case is written once, as lines with their outcomes, and had twice: on the reference listener of the brokers,
//! where Kafka checks the token and its own ACLs, and through the gateway; and all that on one broker and on three.
//! What has no counterpart there, or needs a Kafka of its own, is in the files beside this one.
//! `scripts/test` provides Kafka and librdkafka; a bare `cargo test` leaves these cases out and says so.

#[path = "../support/mod.rs"]
mod support;

/// Each case becomes a test on one broker and one on three.
macro_rules! cases {
    ($($name:ident)*) => {
        mod on_one_broker {
            $(#[test]
            fn $name() {
                if let Some(world) = crate::world::one_broker() {
                    world.compare(super::$name);
                }
            })*
        }
        mod on_three_brokers {
            $(#[test]
            fn $name() {
                if let Some(world) = crate::world::three_brokers() {
                    world.compare(super::$name);
                }
            })*
        }
    };
}

mod administration; // logs, offsets, whole configs, disks
mod backends; //   how the gateway gets in at brokers
mod clients; //    libraries that others wrote, each as its page says
mod consumer_groups; // groups whose coordinator assigns the partitions
mod definitions; // what is written down of Kafka's messages
mod differential; // the same requests at random, and the same answers
mod direct; //     a conversation with a broker past the gateway
mod elastic; //    brokers that come and go
mod fetching; //   by name and by id, in sessions, from the nearest replica
mod fronts; //     TLS toward clients
mod hazards; //    what a naive gateway gets wrong, by the number it has in the protocol notes
mod logins; //    whom the gateway lets in, by each way there is
mod messages; //   of a login, one by one
mod namespaces; // enforced prefixes, additional names, two backends
mod oauth_over_plain; // clients that have a client id and know only passwords
mod old; //       Kafka 3.9: alone, and beside 4.3
mod operate; //    ACLs of the backend, and calls about the whole Kafka cluster
mod relayed; //    whom the broker lets in, by what the client says
mod renewals; //   sessions that are prolonged by either side's clock
mod rolling; //   brokers that become another version, one by one
mod server_names; // one port before three brokers
mod sharing; //   share groups
mod site; //       one broker with every listener, and gateways as cases want them
mod streams; //    applications whose coordinator makes topics (KIP-1071)
mod transactions; // of both generations, and what administrators see of them
mod visitors; //  clients that log in as their page says
mod walls; //      what a tenant cannot reach, for every field of every request
mod world; //      brokers, issuer and gateway, with the same grants on both ways in

use support::clients::Tool::{Console, JavaAdmin, Librdkafka};
use world::Way;

cases! {
    the_console_tools_create_write_and_read
    the_console_tools_are_refused
    librdkafka_creates_writes_and_reads
    librdkafka_is_refused
    librdkafka_administers_topics_and_groups
    the_java_admin_client_administers_topics
    the_java_admin_client_administers_groups
    the_java_admin_client_is_told_what_went_wrong
    the_java_admin_client_is_refused_topics
    the_java_admin_client_is_refused_groups
    a_client_without_grants_sees_nothing
    a_client_sees_what_it_may_describe
    a_topic_tells_what_a_client_may_do_with_it
    who_has_no_right_to_the_cluster_does_nothing_to_it
    a_token_for_another_audience_is_refused
}

fn the_console_tools_create_write_and_read(way: &Way<'_>) {
    way.check(
        Console,
        "producer-app",
        "create readable-console 1 {brokers} -> ok
         produce readable-console one two three -> ok
         topics readable-console -> ok readable-console",
    );
    way.check(
        Console,
        "reader-app",
        "consume readable-console reader-console 3 -> ok one two three
         groups reader-console -> ok reader-console",
    );
    // What the group has read is committed: it goes on behind it.
    way.check(Console, "producer-app", "produce readable-console four -> ok");
    way.check(Console, "reader-app", "consume readable-console reader-console 1 -> ok four");
}

fn the_console_tools_are_refused(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create readable-closed 1 {brokers} -> ok");
    way.check(JavaAdmin, "admin-app", "create visible-closed 1 {brokers} -> ok");
    way.check(
        Console,
        "reader-app",
        "produce hidden-closed one -> TOPIC_AUTHORIZATION_FAILED
         produce readable-closed one -> CLUSTER_AUTHORIZATION_FAILED
         consume visible-closed reader-closed 1 -> TOPIC_AUTHORIZATION_FAILED
         consume readable-closed other-closed 1 -> GROUP_AUTHORIZATION_FAILED
         create hidden-closed 1 {brokers} -> TOPIC_AUTHORIZATION_FAILED",
    );
}

fn librdkafka_creates_writes_and_reads(way: &Way<'_>) {
    way.check(
        Librdkafka,
        "producer-app",
        "create readable-rd 1 {brokers} -> ok
         produce readable-rd one -> ok
         produce readable-rd two -> ok
         consume readable-rd any-rd 2 -> ok one two",
    );
    way.check(
        Librdkafka,
        "reader-app",
        "consume readable-rd reader-rd 2 -> ok one two
         topic readable-rd -> ok partitions=1 replicas={brokers}",
    );
}

fn librdkafka_is_refused(way: &Way<'_>) {
    way.check(Librdkafka, "admin-app", "create readable-no 1 {brokers} -> ok");
    way.check(
        Librdkafka,
        "reader-app",
        "produce readable-no one -> TOPIC_AUTHORIZATION_FAILED
         produce hidden-no one -> TOPIC_AUTHORIZATION_FAILED
         consume hidden-no reader-no 1 -> TOPIC_AUTHORIZATION_FAILED
         consume readable-no other-no 1 -> GROUP_AUTHORIZATION_FAILED
         create readable-no-more 1 {brokers} -> TOPIC_AUTHORIZATION_FAILED
         delete readable-no -> TOPIC_AUTHORIZATION_FAILED
         partitions readable-no 3 -> TOPIC_AUTHORIZATION_FAILED
         configs readable-no retention.ms -> TOPIC_AUTHORIZATION_FAILED
         set-config readable-no retention.ms 1000 -> TOPIC_AUTHORIZATION_FAILED
         delete-group other-no -> GROUP_AUTHORIZATION_FAILED",
    );
}

fn librdkafka_administers_topics_and_groups(way: &Way<'_>) {
    way.check(
        Librdkafka,
        "admin-app",
        "create readable-rdadmin 1 {brokers} -> ok
         produce readable-rdadmin one -> ok
         consume readable-rdadmin reader-rdadmin 1 -> ok one
         groups reader-rdadmin -> ok reader-rdadmin
         delete-group reader-rdadmin -> ok
         groups reader-rdadmin -> ok
         set-config readable-rdadmin retention.ms 7200000 -> ok
         configs readable-rdadmin retention.ms -> ok 7200000
         partitions readable-rdadmin 2 -> ok
         delete readable-rdadmin -> ok
         delete readable-rdadmin-not -> UNKNOWN_TOPIC_OR_PART",
    );
}

fn the_java_admin_client_administers_topics(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "cluster -> ok brokers={brokers}
         try-create readable-java 1 {brokers} -> ok
         topic readable-java -> UNKNOWN_TOPIC_OR_PARTITION
         create readable-java 1 {brokers} -> ok
         topic readable-java -> ok partitions=1 replicas={brokers}
         topics readable-java -> ok readable-java
         offsets readable-java 0 -> ok 0 0
         configs readable-java cleanup.policy -> ok delete
         set-config readable-java cleanup.policy compact -> ok
         configs readable-java cleanup.policy -> ok compact
         partitions readable-java 4 -> ok
         topic readable-java -> ok partitions=4 replicas={brokers}
         delete readable-java -> ok
         topics readable-java -> ok
         topic readable-java -> UNKNOWN_TOPIC_OR_PARTITION",
    );
}

fn the_java_admin_client_administers_groups(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create readable-groups 1 {brokers} -> ok");
    way.check(Console, "producer-app", "produce readable-groups one two -> ok");
    way.check(Console, "reader-app", "consume readable-groups reader-groups 2 -> ok one two");
    way.check(
        JavaAdmin,
        "admin-app",
        "offsets readable-groups 0 -> ok 0 2
         groups reader-groups -> ok reader-groups
         group reader-groups -> ok state=Empty members=0
         committed reader-groups -> ok {readable-groups-0=2}
         commit reader-groups readable-groups 1 -> ok
         committed reader-groups -> ok {readable-groups-0=1}
         delete-group reader-groups -> ok
         groups reader-groups -> ok
         committed reader-groups -> ok {}",
    );
}

fn the_java_admin_client_is_told_what_went_wrong(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-wrong 2 {brokers} -> ok
         create readable-wrong 2 {brokers} -> TOPIC_ALREADY_EXISTS
         create readable-wrong-2 2 9 -> INVALID_REPLICATION_FACTOR
         create readable-wrong-2 0 {brokers} -> INVALID_PARTITIONS
         create readable/wrong 1 {brokers} -> INVALID_TOPIC_EXCEPTION
         partitions readable-wrong 1 -> INVALID_PARTITIONS
         partitions readable-wrong-3 2 -> UNKNOWN_TOPIC_OR_PARTITION
         set-config readable-wrong retention.ms soon -> INVALID_CONFIG
         set-config readable-wrong-3 retention.ms 1000 -> UNKNOWN_TOPIC_OR_PARTITION
         configs readable-wrong-3 retention.ms -> UNKNOWN_TOPIC_OR_PARTITION
         delete readable-wrong-3 -> UNKNOWN_TOPIC_OR_PARTITION
         group reader-wrong -> {no-group}
         delete-group reader-wrong -> GROUP_ID_NOT_FOUND",
    );
}

fn the_java_admin_client_is_refused_topics(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-refused 1 {brokers} -> ok
         create hidden-refused 1 {brokers} -> ok",
    );
    way.check(
        JavaAdmin,
        "reader-app",
        "create readable-refused-2 1 {brokers} -> TOPIC_AUTHORIZATION_FAILED
         try-create readable-refused-2 1 {brokers} -> TOPIC_AUTHORIZATION_FAILED
         create readable-refused 1 {brokers} -> TOPIC_AUTHORIZATION_FAILED
         topic hidden-refused -> TOPIC_AUTHORIZATION_FAILED
         topic hidden-refused-not -> TOPIC_AUTHORIZATION_FAILED
         delete readable-refused -> TOPIC_AUTHORIZATION_FAILED
         delete hidden-refused -> TOPIC_AUTHORIZATION_FAILED
         delete hidden-refused-not -> TOPIC_AUTHORIZATION_FAILED
         partitions readable-refused 3 -> TOPIC_AUTHORIZATION_FAILED
         partitions hidden-refused 3 -> TOPIC_AUTHORIZATION_FAILED
         configs readable-refused retention.ms -> TOPIC_AUTHORIZATION_FAILED
         configs hidden-refused retention.ms -> TOPIC_AUTHORIZATION_FAILED
         set-config readable-refused retention.ms 1000 -> TOPIC_AUTHORIZATION_FAILED
         set-config hidden-refused retention.ms 1000 -> TOPIC_AUTHORIZATION_FAILED
         offsets hidden-refused 0 -> TOPIC_AUTHORIZATION_FAILED
         cluster -> ok brokers={brokers}",
    );
    // All of it is still there.
    way.check(
        JavaAdmin,
        "admin-app",
        "topic readable-refused -> ok partitions=1 replicas={brokers}
         topic hidden-refused -> ok partitions=1 replicas={brokers}",
    );
}

fn the_java_admin_client_is_refused_groups(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-kept 1 {brokers} -> ok
         create hidden-kept 1 {brokers} -> ok
         commit reader-kept readable-kept 0 -> ok
         commit reader-kept hidden-kept 0 -> ok
         commit other-kept readable-kept 0 -> ok",
    );
    way.check(
        JavaAdmin,
        "reader-app",
        "group other-kept -> GROUP_AUTHORIZATION_FAILED
         committed other-kept -> GROUP_AUTHORIZATION_FAILED
         commit other-kept readable-kept 0 -> GROUP_AUTHORIZATION_FAILED
         commit reader-kept hidden-kept 0 -> TOPIC_AUTHORIZATION_FAILED
         commit reader-kept visible-kept 0 -> TOPIC_AUTHORIZATION_FAILED
         committed reader-kept -> ok {readable-kept-0=0}
         groups other-kept -> ok
         groups reader-kept -> ok reader-kept
         delete-group other-kept -> GROUP_AUTHORIZATION_FAILED
         delete-group reader-kept -> GROUP_AUTHORIZATION_FAILED",
    );
}

fn a_client_without_grants_sees_nothing(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create readable-nobody 1 {brokers} -> ok");
    way.check(
        JavaAdmin,
        "stranger-app",
        "topics readable-nobody -> ok
         topic readable-nobody -> TOPIC_AUTHORIZATION_FAILED
         create readable-nobody-2 1 {brokers} -> TOPIC_AUTHORIZATION_FAILED
         delete readable-nobody -> TOPIC_AUTHORIZATION_FAILED
         groups reader -> ok
         group reader-nobody -> GROUP_AUTHORIZATION_FAILED
         cluster -> ok brokers={brokers}",
    );
    way.check(
        Librdkafka,
        "stranger-app",
        "produce readable-nobody one -> TOPIC_AUTHORIZATION_FAILED
         consume readable-nobody reader-nobody 1 -> GROUP_AUTHORIZATION_FAILED
         topics readable-nobody -> ok",
    );
}

fn a_client_sees_what_it_may_describe(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-seen 1 {brokers} -> ok
         create visible-seen 1 {brokers} -> ok
         create hidden-seen 1 {brokers} -> ok",
    );
    for tool in [Console, JavaAdmin, Librdkafka] {
        way.check(
            tool,
            "reader-app",
            "topics readable-seen -> ok readable-seen
             topics visible-seen -> ok visible-seen
             topics hidden-seen -> ok",
        );
    }
}

fn a_topic_tells_what_a_client_may_do_with_it(way: &Way<'_>) {
    way.check(
        JavaAdmin,
        "admin-app",
        "create readable-ops 1 {brokers} -> ok
         operations readable-ops -> ok ALTER ALTER_CONFIGS CREATE DELETE DESCRIBE DESCRIBE_CONFIGS READ WRITE",
    );
    way.check(JavaAdmin, "producer-app", "operations readable-ops -> ok CREATE DESCRIBE READ WRITE");
    way.check(JavaAdmin, "reader-app", "operations readable-ops -> ok DESCRIBE READ");
}

fn who_has_no_right_to_the_cluster_does_nothing_to_it(way: &Way<'_>) {
    way.check(JavaAdmin, "admin-app", "create readable-whole 1 {brokers} -> ok");
    way.check(
        JavaAdmin,
        "reader-app",
        "elect readable-whole 0 -> CLUSTER_AUTHORIZATION_FAILED
         elect -> CLUSTER_AUTHORIZATION_FAILED
         move readable-whole 0 1 -> CLUSTER_AUTHORIZATION_FAILED
         moves -> CLUSTER_AUTHORIZATION_FAILED
         quotas -> CLUSTER_AUTHORIZATION_FAILED
         set-quota reader 1000000 -> CLUSTER_AUTHORIZATION_FAILED
         users -> CLUSTER_AUTHORIZATION_FAILED
         users reader -> CLUSTER_AUTHORIZATION_FAILED
         set-user reader secret -> CLUSTER_AUTHORIZATION_FAILED",
    );
}

fn a_token_for_another_audience_is_refused(way: &Way<'_>) {
    way.check(JavaAdmin, "elsewhere-app", "topics readable -> SASL_AUTHENTICATION_FAILED");
    way.check(Console, "elsewhere-app", "topics readable -> SASL_AUTHENTICATION_FAILED");
    way.check(Librdkafka, "elsewhere-app", "produce readable-aud one -> SASL_AUTHENTICATION_FAILED");
}
