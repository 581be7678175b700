//! Where a broker keeps its logs, and the markers with which transactions end in them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kafka_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use kafka_protocol::messages::{
    AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, ProducerId, TopicName,
};

use super::super::{Api, Asking, Pass, Refusal, Showing};
use super::{RefusedTopic, own};
use crate::cluster::OperatorApi;
use crate::wire::ApiKey;
use crate::wire::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use crate::wire::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};

/// Partitions move to other directories of a broker.
pub struct AlterReplicaLogDirs;

impl Api for AlterReplicaLogDirs {
    type Request = AlterReplicaLogDirsRequest;
    type Response = AlterReplicaLogDirsResponse;
    type Aside = Vec<RefusedTopic>;

    const KEY: ApiKey = ApiKey::AlterReplicaLogDirs;
    const VERSIONS: RangeInclusive<i16> = 1..=2;

    fn admit(mut request: AlterReplicaLogDirsRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.ask_operator(OperatorApi::AlterReplicaLogDirs)?;
        let mut refused = Vec::new();
        request.dirs.retain_mut(|dir| {
            let asked = dir.topics.len();
            dir.topics.retain_mut(|topic| {
                let verdict = own(&mut topic.name, ask);
                refused.extend(verdict.err().map(|why| RefusedTopic {
                    name: topic.name.clone(),
                    partitions: topic.partitions.clone(),
                    why,
                }));
                verdict.is_ok()
            });
            asked == 0 || !dir.topics.is_empty()
        });
        let nothing_left = request.dirs.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(response: &mut AlterReplicaLogDirsResponse, refused: Vec<RefusedTopic>, show: &Showing<'_>) {
        show.lens.echoed(&mut response.results, |result| (&mut result.topic_name).into());
        response.results.extend(refused.into_iter().map(unmoved));
    }

    /// Shape: a broker answers for a topic once, in however many directories it was asked for.
    fn refuse(
        request: AlterReplicaLogDirsRequest,
        why: Refusal,
        _version: i16,
    ) -> AlterReplicaLogDirsResponse {
        let mut topics: BTreeMap<TopicName, Vec<i32>> = BTreeMap::new();
        for topic in request.dirs.into_iter().flat_map(|dir| dir.topics) {
            topics.entry(topic.name).or_default().extend(topic.partitions);
        }
        let results =
            topics.into_iter().map(|(name, partitions)| unmoved(RefusedTopic { name, partitions, why }));
        AlterReplicaLogDirsResponse::default().with_results(results.collect())
    }
}

fn unmoved(RefusedTopic { name, partitions, why }: RefusedTopic) -> AlterReplicaLogDirTopicResult {
    let partitions = partitions.into_iter().map(|partition| {
        AlterReplicaLogDirPartitionResult::default()
            .with_partition_index(partition)
            .with_error_code(why.code())
    });
    AlterReplicaLogDirTopicResult::default().with_topic_name(name).with_partitions(partitions.collect())
}

/// A coordinator, or one who ends a transaction in its place, says how it ended.
pub struct WriteTxnMarkers;

impl Api for WriteTxnMarkers {
    type Request = WriteTxnMarkersRequest;
    type Response = WriteTxnMarkersResponse;
    type Aside = Vec<(ProducerId, RefusedTopic)>;

    const KEY: ApiKey = ApiKey::WriteTxnMarkers;
    const VERSIONS: RangeInclusive<i16> = 1..=2;

    fn admit(mut request: WriteTxnMarkersRequest, ask: &mut Asking<'_>) -> Result<Pass<Self>, Refusal> {
        ask.gate.ask_operator(OperatorApi::WriteTxnMarkers)?;
        let mut refused = Vec::new();
        request.markers.retain_mut(|marker| {
            let (asked, producer) = (marker.topics.len(), marker.producer_id);
            marker.topics.retain_mut(|topic| {
                let verdict = own(&mut topic.name, ask);
                let refusal = |why| {
                    let (name, partitions) = (topic.name.clone(), topic.partition_indexes.clone());
                    (producer, RefusedTopic { name, partitions, why })
                };
                refused.extend(verdict.err().map(refusal));
                verdict.is_ok()
            });
            asked == 0 || !marker.topics.is_empty()
        });
        let nothing_left = request.markers.is_empty() && !refused.is_empty();
        Ok(if nothing_left { Pass::Answer(refused) } else { Pass::Forward(request, refused) })
    }

    fn reveal(
        response: &mut WriteTxnMarkersResponse,
        refused: Vec<(ProducerId, RefusedTopic)>,
        show: &Showing<'_>,
    ) {
        for marker in &mut response.markers {
            show.lens.echoed(&mut marker.topics, |topic| (&mut topic.name).into());
        }
        for (producer, topic) in refused {
            let known = response.markers.iter_mut().find(|marker| marker.producer_id == producer);
            match known {
                Some(marker) => marker.topics.push(unwritten(topic)),
                None => response.markers.push(
                    WritableTxnMarkerResult::default()
                        .with_producer_id(producer)
                        .with_topics(vec![unwritten(topic)]),
                ),
            }
        }
    }

    fn refuse(request: WriteTxnMarkersRequest, why: Refusal, _version: i16) -> WriteTxnMarkersResponse {
        let markers = request.markers.into_iter().map(|marker| {
            let topics = marker.topics.into_iter().map(|topic| {
                unwritten(RefusedTopic { name: topic.name, partitions: topic.partition_indexes, why })
            });
            WritableTxnMarkerResult::default()
                .with_producer_id(marker.producer_id)
                .with_topics(topics.collect())
        });
        WriteTxnMarkersResponse::default().with_markers(markers.collect())
    }
}

fn unwritten(RefusedTopic { name, partitions, why }: RefusedTopic) -> WritableTxnMarkerTopicResult {
    let partitions = partitions.into_iter().map(|partition| {
        WritableTxnMarkerPartitionResult::default()
            .with_partition_index(partition)
            .with_error_code(why.code())
    });
    WritableTxnMarkerTopicResult::default().with_name(name).with_partitions(partitions.collect())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::alter_replica_log_dirs_request::{
        AlterReplicaLogDir, AlterReplicaLogDirTopic,
    };

    use super::*;
    use crate::api::testing::{World, text as name};
    use crate::names::Mode;
    use crate::policy::{Operation, Resource};
    use crate::wire::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};

    const RIGHT: (Operation, Resource, &str) = (Operation::Alter, Resource::Cluster, "kafka-cluster");

    fn topic(topic: &str) -> TopicName {
        TopicName(name(topic))
    }

    #[test]
    fn partitions_move_between_directories_inside_the_namespace() {
        let dir = |path: &str, topics: &[&str]| {
            let topics = topics.iter().map(|name| {
                AlterReplicaLogDirTopic::default().with_name(topic(name)).with_partitions(vec![1])
            });
            AlterReplicaLogDir::default().with_path(name(path)).with_topics(topics.collect())
        };
        let asked = vec![dir("/a", &["orders", "extra_topic"]), dir("/b", &["extra_topic"])];
        let request = AlterReplicaLogDirsRequest::default().with_dirs(asked);
        let answer = ["my-orders", "their-orders"].map(|name| {
            unmoved(RefusedTopic { name: topic(name), partitions: vec![1], why: Refusal::InvalidRequest })
        });
        let answer = AlterReplicaLogDirsResponse::default().with_results(answer.to_vec());
        for version in AlterReplicaLogDirs::VERSIONS {
            let talk = World::allowing(&[RIGHT]).talk::<AlterReplicaLogDirs>(version, &request, &answer);
            assert_eq!(talk.sent().dirs, [dir("/a", &["my-orders"])]);
            let seen = talk.seen.results.iter();
            let seen: Vec<_> =
                seen.map(|one| (one.topic_name.as_str(), one.partitions[0].error_code)).collect();
            assert_eq!(seen, [("orders", 42), ("extra_topic", 44), ("extra_topic", 44)]);

            let talk = World::allowing(&[]).talk::<AlterReplicaLogDirs>(version, &request, &answer);
            let seen = talk.seen.results.iter();
            let seen: Vec<_> = seen.map(|one| (one.topic_name.as_str(), one.partitions.len())).collect();
            assert_eq!((talk.sent.len(), seen), (0, vec![("extra_topic", 2), ("orders", 1)]));
            assert!(talk.seen.results.iter().all(|one| one.partitions[0].error_code == 31));
        }
    }

    #[test]
    fn a_transaction_is_ended_on_its_own_topics_alone() {
        let marker = |producer: i64, topics: &[&str]| {
            let topics = topics.iter().map(|name| {
                WritableTxnMarkerTopic::default().with_name(topic(name)).with_partition_indexes(vec![0, 1])
            });
            WritableTxnMarker::default().with_producer_id(ProducerId(producer)).with_topics(topics.collect())
        };
        let request = WriteTxnMarkersRequest::default()
            .with_markers(vec![marker(7, &["my-orders", "their-orders"]), marker(8, &["their-orders"])]);
        let written = WritableTxnMarkerTopicResult::default().with_name(topic("my-orders"));
        let answered =
            WritableTxnMarkerResult::default().with_producer_id(ProducerId(7)).with_topics(vec![written]);
        let answer = WriteTxnMarkersResponse::default().with_markers(vec![answered]);
        let mut world = World::with(Mode::EnforcePrefix, &[RIGHT], &[]);
        let talk = world.talk::<WriteTxnMarkers>(1, &request, &answer);
        assert_eq!(talk.sent().markers, [marker(7, &["my-orders"])]);
        let codes = |topic: &WritableTxnMarkerTopicResult| {
            topic.partitions.iter().map(|partition| partition.error_code).collect::<Vec<_>>()
        };
        let seen = &talk.seen.markers;
        assert_eq!(seen.iter().map(|marker| marker.producer_id.0).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(
            (seen[0].topics[1].name.as_str(), codes(&seen[0].topics[1])),
            ("their-orders", vec![29, 29])
        );
        assert_eq!(codes(&seen[1].topics[0]), [29, 29]);

        let talk = World::allowing(&[]).talk::<WriteTxnMarkers>(1, &request, &answer);
        assert_eq!((talk.sent.len(), codes(&talk.seen.markers[0].topics[1])), (0, vec![31, 31]));
    }
}
