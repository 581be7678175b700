//! Every string, id and blob of every served message is accounted for.
//!
//! For each API and version a message is made from the grammar in which every field holds a marker of
//! its own. It goes through the real `admit`, or `reveal`; what comes out is read by the same grammar,
//! and each marker must have changed sides, be an address of ours, or be known as plain text. No
//! message is written by hand: a field that is new, or that a family forgot, fails by its name.
//!
//! In reading order: what is known of fields (register), the ways to fill a message (case, filler),
//! what is asked of each field (judge), the way through the gateway (passage); the tests stand here.

mod case; //     what a message is filled with
mod filler; //   fills every field with a marker of its own
mod judge; //    holds what came out against what went in
mod passage; //  one API in one version on its way through the gateway
mod register; // what each field means

use self::case::{Absent, Case, alias_cases, cases};
use self::judge::{Judge, NO_DOOR, Said, leak};
use self::passage::{Passage, world};
use self::register::{Meaning, PLAIN, Place, Register};
use super::testing::World;
use super::{Admission, rows};
use crate::wire::sample::{Leaf, LeafValue};
use crate::wire::{ApiKey, Direction, Embedded, FieldKind};

/// Lets something be asked of every API in every version that is served, and tells all that is wrong.
fn check(cases: &[Case], complaints: impl Fn(&Passage<'_>) -> Vec<String>) {
    let register = Register::read();
    let found: Vec<_> = cases.iter().flat_map(|case| found(&register, case, &complaints)).collect();
    assert!(found.is_empty(), "{} complaints:\n{}", found.len(), found.join("\n"));
}

fn found(register: &Register, case: &Case, complaints: impl Fn(&Passage<'_>) -> Vec<String>) -> Vec<String> {
    let mut found = Vec::new();
    for row in rows() {
        for version in row.versions.clone() {
            let passage = Passage { register, row, version, case };
            if passage.is_said_by_nobody() {
                continue;
            }
            found.extend(complaints(&passage).into_iter().map(|why| format!("{}: {why}", passage.title())));
        }
    }
    found
}

#[test]
fn every_field_of_every_served_message_is_known() {
    let register = Register::read();
    let strangers = strangers(&register);
    assert!(strangers.is_empty(), "read what these are, and say so in the register: {strangers:#?}");
}

/// The strings, ids and blobs that no list knows.
fn strangers(register: &Register) -> Vec<String> {
    let mut strangers = Vec::new();
    let mut ask = |title: String, place: Place, version| {
        for (path, kind) in place.fields(version) {
            let counts = matches!(kind, FieldKind::Text | FieldKind::Uuid | FieldKind::Blob);
            if counts && register.meaning(place, version, &path).is_none() {
                strangers.push(format!("{title} v{version}: {path}"));
            }
        }
    };
    for row in rows() {
        for version in row.versions.clone() {
            ask(format!("{} request", row.name), Place::Message(row.key as i16, Direction::Request), version);
            ask(
                format!("{} response", row.name),
                Place::Message(row.key as i16, Direction::Response),
                version,
            );
        }
    }
    for embedded in [Embedded::Subscription, Embedded::Assignment] {
        (0..=3).for_each(|version| ask(format!("{embedded:?}"), Place::Blob(embedded), version));
    }
    strangers
}

#[test]
fn what_is_listed_as_plain_text_is_a_field_of_a_served_message() {
    for (key, path, why) in PLAIN {
        let row = rows().iter().find(|row| row.key == *key).expect("it is served");
        let is_there = [Direction::Request, Direction::Response].iter().any(|direction| {
            let place = Place::Message(*key as i16, *direction);
            row.versions.clone().any(|version| place.fields(version).iter().any(|(at, _)| at == path))
        });
        assert!(is_there, "no served {key:?} has {path}; take it off the list ({why})");
    }
}

#[test]
fn whatever_a_client_says_reaches_the_broker_in_the_brokers_names() {
    check(&cases(), |passage| passage.request_complaints());
}

#[test]
fn what_wants_no_answer_is_renamed_too() {
    let case = Case { name: "no answer is wanted", acks: 0, ..Case::FULL };
    check(&[case], |passage| passage.request_complaints());
}

#[test]
fn an_additional_topic_is_a_topic_and_nothing_else() {
    let topics = Case { name: "all names are alike", names_additional: true, ..Case::FULL };
    let groups = Case { resource_type: Case::GROUP_CONFIGS, ..topics.clone() };
    check(&[topics, groups], |passage| {
        let mut complaints = passage.request_complaints();
        // Who shares a topic does not manage it.
        let manages = match passage.row.key {
            ApiKey::StreamsGroupHeartbeat
            | ApiKey::CreateTopics
            | ApiKey::DeleteTopics
            | ApiKey::CreatePartitions
            | ApiKey::DeleteRecords => true,
            ApiKey::ElectLeaders | ApiKey::AlterPartitionReassignments => true,
            ApiKey::AlterConfigs
            | ApiKey::IncrementalAlterConfigs
            | ApiKey::CreateAcls
            | ApiKey::DeleteAcls => passage.case.resource_type != Case::GROUP_CONFIGS,
            ApiKey::AlterReplicaLogDirs | ApiKey::WriteTxnMarkers => true,
            _ => false,
        };
        if manages {
            assert_eq!(complaints, ["it was not forwarded"], "{}", passage.title());
            return Vec::new();
        }
        complaints.extend(passage.response_complaints());
        complaints
    });
}

#[test]
fn a_topic_that_is_called_by_an_alias_is_its_topic() {
    check(&alias_cases(), |passage| {
        let mut complaints = passage.request_complaints();
        // Nothing is created under an alias.
        if passage.row.key == ApiKey::CreateTopics {
            assert_eq!(complaints, ["it was not forwarded"], "{}", passage.title());
            return Vec::new();
        }
        complaints.extend(passage.response_complaints());
        complaints
    });
}

#[test]
fn no_id_of_a_foreign_or_refused_topic_reaches_the_broker() {
    let foreign = Case { name: "ids are foreign", absent: Absent::Names, ids_foreign: true, ..Case::FULL };
    let denied = Case { name: "ids are denied", ids_foreign: false, ..foreign.clone() };
    check(&[foreign, denied], |passage| {
        let world = if passage.case.ids_foreign { world() } else { World::allowing(&[]) };
        let (said, admitted) = passage.admit(&world);
        let place = passage.place(Direction::Request);
        let sent: Vec<Vec<u8>> = match admitted.admission {
            Admission::Forward { requests, .. } => {
                requests.into_iter().map(|(_, request)| request.into_inner().to_vec()).collect()
            }
            Admission::Unanswered { requests, .. } => {
                requests.into_iter().map(|request| request.into_inner().to_vec()).collect()
            }
            Admission::Answer(_) => vec![],
            Admission::Ask(question) => return vec![format!("it asks {question:?}")],
        };
        let ids = said.leaves.iter().filter_map(|leaf| match &leaf.value {
            LeafValue::Uuid(id) if !id.is_nil() => Some((&leaf.path, id)),
            _ => None,
        });
        // Whose a topic is that Metadata is asked for by its id, shows in the broker's answer.
        let is_asked_for = passage.row.key == ApiKey::Metadata;
        let of_topics = ids.filter(|(path, _)| {
            !is_asked_for && passage.register.meaning(place, said.version, path) == Some(Meaning::TopicId)
        });
        let reached = of_topics.filter(|(_, id)| sent.iter().any(|bytes| has(bytes, id.as_bytes())));
        reached.map(|(path, id)| format!("{path}: {id} reached the broker")).collect()
    });
}

#[test]
fn the_configs_of_brokers_are_asked_of_no_broker() {
    let case =
        Case { name: "configs are those of brokers", resource_type: Case::BROKER_CONFIGS, ..Case::FULL };
    check(&[case], |passage| {
        let is_about_configs = matches!(
            passage.row.key,
            ApiKey::DescribeConfigs | ApiKey::AlterConfigs | ApiKey::IncrementalAlterConfigs
        );
        match passage.admit(&world()).1.admission {
            Admission::Answer(_) => vec![],
            _ if !is_about_configs => vec![],
            _ => vec!["it was forwarded".to_owned()],
        }
    });
}

#[test]
fn no_name_that_is_refused_reaches_the_broker() {
    check(&[Case::FULL], |passage| {
        let (said, admitted) = passage.admit(&World::allowing(&[]));
        let names = names(passage, &said);
        let sent: Vec<Vec<u8>> = match admitted.admission {
            Admission::Forward { requests, .. } => {
                requests.into_iter().map(|(_, request)| request.into_inner().to_vec()).collect()
            }
            Admission::Unanswered { requests, .. } => {
                requests.into_iter().map(|request| request.into_inner().to_vec()).collect()
            }
            Admission::Ask(_) => vec![], // whose an id is, is asked about it alone
            Admission::Answer(response) => {
                let (_, bytes) = passage.shown(response.into_inner()); // it can be read in its version
                assert_eq!(leak(&bytes), None, "{}", passage.title());
                vec![]
            }
        };
        let is_sent = |name: &&String| sent.iter().any(|bytes| has(bytes, name.as_bytes()));
        names.iter().filter(is_sent).map(|name| format!("{name} reached the broker")).collect()
    });
}

fn names(passage: &Passage<'_>, said: &Said) -> Vec<String> {
    let place = passage.place(Direction::Request);
    let is_name = |leaf: &&Leaf| {
        let meaning = passage.register.meaning(place, said.version, &leaf.path);
        meaning.is_some_and(Meaning::is_name)
    };
    let texts = said.leaves.iter().filter(is_name).filter_map(|leaf| match &leaf.value {
        LeafValue::Text(name) => Some(name.clone()),
        _ => None,
    });
    texts.collect()
}

fn has(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

#[test]
fn whatever_a_broker_says_reaches_the_client_in_the_clients_names() {
    check(&cases(), |passage| passage.response_complaints());
}

#[test]
fn errors_are_told_in_our_own_words() {
    let case = Case { name: "everything failed", error_code: 36, ..Case::FULL };
    check(&[case], |passage| passage.response_complaints());
}

#[test]
fn a_broker_without_a_door_is_not_shown() {
    let case = Case { name: "no broker has a door", nodes: NO_DOOR, ..Case::FULL };
    check(&[case], |passage| passage.response_complaints());
}

#[test]
fn what_is_another_tenants_vanishes_with_all_that_belongs_to_it() {
    let register = Register::read();
    let mut found = Vec::new();
    for row in rows() {
        for version in row.versions.clone() {
            let names = Passage { register: &register, row, version, case: &Case::FULL }.names_of_response();
            for foreign in names {
                for absent in [Absent::Nothing, Absent::Everything] {
                    let case = Case {
                        name: "a name is foreign",
                        foreign: Some(foreign.clone()),
                        absent,
                        ..Case::FULL
                    };
                    let passage = Passage { register: &register, row, version, case: &case };
                    let complaints = passage.response_complaints().into_iter();
                    found.extend(complaints.map(|why| format!("{} ({}): {why}", passage.title(), foreign.1)));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} complaints:\n{}", found.len(), found.join("\n"));
}

/// The fields that are complained of when a message passes as it is.
fn check_untouched(key: ApiKey, direction: Direction, version: i16, expected: &[&str]) {
    let row = rows().iter().find(|row| row.key == key).unwrap();
    let passage = Passage { register: &Register::read(), row, version, case: &Case::FULL };
    let body = passage.filled(direction, version);
    let said = || passage.said(direction, version, &body);
    let mut complaints = passage.judge(direction).complaints(&said(), &said());
    complaints.sort();
    let fields: Vec<_> = complaints.iter().map(|why| why.split(": ").next().unwrap()).collect();
    assert_eq!(fields, expected, "{complaints:#?}");
}

#[test]
fn a_gateway_that_changes_nothing_is_found_out_field_by_field() {
    use Direction::{Request, Response};
    check_untouched(
        ApiKey::Fetch,
        Request,
        12,
        &["ClusterId", "ForgottenTopicsData[].Topic", "ReplicaId", "Topics[].Topic"],
    );
    check_untouched(ApiKey::JoinGroup, Request, 9, &["GroupId", "Protocols[].Metadata"]);
    check_untouched(ApiKey::SyncGroup, Response, 0, &["Assignment"]);
    check_untouched(ApiKey::InitProducerId, Request, 5, &["TransactionalId"]);
    check_untouched(ApiKey::ListTransactions, Request, 2, &["TransactionalIdPattern"]);
    check_untouched(
        ApiKey::ConsumerGroupHeartbeat,
        Request,
        1,
        &["GroupId", "SubscribedTopicNames[]", "SubscribedTopicRegex"],
    );
    check_untouched(ApiKey::IncrementalAlterConfigs, Request, 1, &["Resources[].ResourceName"]);
    check_untouched(
        ApiKey::DescribeGroups,
        Response,
        6,
        &[
            "Groups[].AuthorizedOperations",
            "Groups[].ErrorMessage",
            "Groups[].GroupId",
            "Groups[].Members[].ClientHost",
            "Groups[].Members[].MemberAssignment",
            "Groups[].Members[].MemberMetadata",
        ],
    );
    check_untouched(
        ApiKey::Metadata,
        Response,
        10,
        &[
            "Brokers[].Host",
            "Brokers[].Port",
            "ClusterAuthorizedOperations",
            "ClusterId",
            "Topics[].Name",
            "Topics[].TopicAuthorizedOperations",
        ],
    );
}

#[test]
fn a_gateway_that_loses_something_is_found_out() {
    let row = rows().iter().find(|row| row.key == ApiKey::Produce).unwrap();
    let passage = Passage { register: &Register::read(), row, version: 9, case: &Case::FULL };
    let body = passage.filled(Direction::Request, 9);
    let said = passage.said(Direction::Request, 9, &body);
    let complaints =
        passage.judge(Direction::Request).complaints(&said, &Said { version: 9, leaves: Vec::new() });
    let fields: Vec<_> = complaints.iter().map(|why| why.split(": ").next().unwrap()).collect();
    assert_eq!(fields, ["TopicData[].Name", "TopicData[].PartitionData[].Records", "TransactionalId"]);
}

#[test]
fn a_field_that_nobody_has_read_fails_by_its_name() {
    let strangers = strangers(&Register::read().without("Members[].GroupInstanceId"));
    assert_eq!(
        strangers.first().map(String::as_str),
        Some("JoinGroup response v5: Members[].GroupInstanceId")
    );
    assert!(strangers.contains(&"LeaveGroup request v3: Members[].GroupInstanceId".to_owned()));

    let text =
        |path: &str, text: &str| Leaf { path: path.to_owned(), value: LeafValue::Text(text.to_owned()) };
    let said = |leaves| Said { version: 4, leaves };
    let place = Place::Message(ApiKey::Heartbeat as i16, Direction::Request);
    let judge = Judge { register: &Register::read(), place, to_client: false, case: &Case::FULL };
    let before = said(vec![text("GroupId", "n1"), text("Nickname", "n2")]);
    let after = said(vec![text("GroupId", "my-n1"), text("Nickname", "n2")]);
    let complaints = judge.complaints(&before, &after);
    assert_eq!(complaints, ["Nickname: neither the entity table nor the list of plain text knows it"]);
}

#[test]
fn a_mark_of_the_backend_is_found_wherever_it_stands() {
    for (bytes, expected) in [
        (&b"\0\x06orders"[..], None),
        (b"\0\x09my-orders", Some("my-")),
        (b"\0\x09xtheir-n1", Some("their-")),
        (b"\0\x0ebackend-host-1", Some("backend-host")),
        (b"\0\x11backend-cluster-1", Some("backend-cluster")),
        (b"\0\x5a\x5a\x5a\x5a\0", Some("the broker's operations")),
    ] {
        assert_eq!(leak(bytes), expected, "{bytes:?}");
    }
}
