//! What a real broker does with the ACLs of two tenants, and with calls about all of it.

use crate::site::{Site, site};
use crate::support::clients::Tool::JavaAdmin;
use crate::support::setup::{Setup, Tenant};

/// Two tenants of one broker, who both have these lines in their virtual clusters.
fn two(site: &Site, prefixes: [&str; 2], more: &str) -> Setup {
    let mut setup = site.setup(prefixes[0]);
    setup.tenant().more.push(more.to_owned());
    let mut other = Tenant::new("other", prefixes[1], "");
    other.authentication = setup.tenant().authentication.clone();
    other.more.push(more.to_owned());
    setup.tenants.push(other);
    setup
}

#[test]
fn two_tenants_have_acls_of_their_own() {
    let Some(site) = site() else { return };
    let mut setup = two(site, ["acl-a-", "acl-b-"], "acl_mode: passthrough");
    setup.tenants.iter_mut().for_each(|tenant| tenant.policies.clear());
    let front = site.front(setup);
    front.check(
        JavaAdmin,
        "acls any - ANY -> ok
         allow app topic orders LITERAL read,write -> ok
         allow app topic or PREFIXED read -> ok
         allow app topic * LITERAL describe -> ok
         allow app group readers LITERAL read -> ok
         allow app cluster kafka-cluster LITERAL alter -> CLUSTER_AUTHORIZATION_FAILED
         acls any - ANY -> ok GROUP:LITERAL:readers TOPIC:LITERAL:* TOPIC:LITERAL:orders TOPIC:PREFIXED:or
         acls topic orders MATCH -> ok TOPIC:LITERAL:* TOPIC:LITERAL:orders TOPIC:PREFIXED:or
         acls topic orders LITERAL -> ok TOPIC:LITERAL:orders
         acls cluster - ANY -> ok",
    );
    front.check_at(
        1,
        JavaAdmin,
        "acls any - ANY -> ok
         acls topic orders MATCH -> ok
         delete-acls topic orders LITERAL -> ok
         delete-acls topic * LITERAL -> ok
         delete-acls any - ANY -> INVALID_REQUEST
         delete-acls topic - LITERAL -> INVALID_REQUEST
         delete-acls topic orders MATCH -> INVALID_REQUEST
         delete-acls cluster kafka-cluster LITERAL -> CLUSTER_AUTHORIZATION_FAILED
         allow app topic * LITERAL read -> ok
         acls any - ANY -> ok TOPIC:LITERAL:*",
    );
    front.check(
        JavaAdmin,
        "acls any - ANY -> ok GROUP:LITERAL:readers TOPIC:LITERAL:* TOPIC:LITERAL:orders TOPIC:PREFIXED:or
         delete-acls topic * LITERAL -> ok TOPIC:LITERAL:*
         delete-acls topic orders LITERAL -> ok TOPIC:LITERAL:orders
         acls any - ANY -> ok GROUP:LITERAL:readers TOPIC:PREFIXED:or",
    );
    front.check_at(1, JavaAdmin, "acls any - ANY -> ok TOPIC:LITERAL:*");
}

#[test]
fn where_the_gateway_decides_kafkas_acls_are_not_to_be_had() {
    let Some(site) = site() else { return };
    site.front(site.setup("acl-none-")).check(
        JavaAdmin,
        "acls any - ANY -> SECURITY_DISABLED
         allow app topic orders LITERAL read -> SECURITY_DISABLED
         delete-acls any - ANY -> SECURITY_DISABLED",
    );
}

#[test]
fn who_is_let_works_on_the_kafka_cluster_and_sees_no_neighbours_names() {
    let Some(site) = site() else { return };
    let listed = "operator_apis: [ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments, \
                  DescribeClientQuotas, AlterClientQuotas, DescribeUserScramCredentials, \
                  AlterUserScramCredentials, DescribeQuorum, ListConfigResources]";
    let front = site.front(two(site, ["whole-a-", "whole-b-"], listed));
    front.check_at(1, JavaAdmin, "create theirs 1 1 -> ok");
    front.check(
        JavaAdmin,
        "create ours 1 1 -> ok
         elect ours 0 -> ELECTION_NOT_NEEDED
         elect theirs 0 -> UNKNOWN_TOPIC_OR_PARTITION
         elect -> INVALID_REQUEST
         move ours 0 1 -> ok
         move theirs 0 1 -> UNKNOWN_TOPIC_OR_PARTITION
         moves -> ok
         set-quota whole-user 1000000 -> ok
         quotas -> ok whole-user
         set-user whole-user whole-secret -> ok
         users whole-user -> ok whole-user
         quorum -> ok endpoints=0
         config-resources -> ok ours",
    );
}
