//! Which versions we advertise: what has been read here, as far as the brokers speak it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;

use super::table::{Row, rows};
use crate::cluster::OptIns;
use crate::wire::{
    ApiKey, Broken, Direction, Gather, RequestHead, RequestHeader, Segments, decode, encode_body, grammar,
    write_response,
};

/// What a broker, or a set of them, says of itself in an ApiVersions response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerVersions {
    /// By api key: the oldest and the newest version.
    apis: BTreeMap<i16, (i16, i16)>,
    /// By name: the lowest and the highest level.
    supported: BTreeMap<String, (i16, i16)>,
    finalized: BTreeMap<String, (i16, i16)>,
    /// -1 when nothing is known to be finalized.
    finalized_epoch: i64,
}

impl BrokerVersions {
    pub fn from_response(response: &ApiVersionsResponse) -> Self {
        let apis = response.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version)));
        let supported = response
            .supported_features
            .iter()
            .map(|feature| (feature.name.to_string(), (feature.min_version, feature.max_version)));
        let finalized = response.finalized_features.iter().map(|feature| {
            (feature.name.to_string(), (feature.min_version_level, feature.max_version_level))
        });
        Self {
            apis: apis.collect(),
            supported: supported.collect(),
            finalized: finalized.collect(),
            finalized_epoch: response.finalized_features_epoch,
        }
    }

    /// What every one of these brokers speaks; of no broker, nothing.
    ///
    /// Shape: finalized features are the cluster's, not a broker's, and the newest word counts.
    pub fn common(brokers: &[&BrokerVersions]) -> BrokerVersions {
        let Some((first, others)) = brokers.split_first() else { return BrokerVersions::default() };
        let mut common = (*first).clone();
        for other in others {
            intersect(&mut common.apis, &other.apis);
            intersect(&mut common.supported, &other.supported);
            if other.finalized_epoch > common.finalized_epoch {
                common.finalized = other.finalized.clone();
                common.finalized_epoch = other.finalized_epoch;
            }
        }
        common
    }

    /// Whether the other says the same, sooner or later: an epoch may pass without a change.
    pub fn is_as_good_as(&self, other: &BrokerVersions) -> bool {
        self.apis == other.apis && self.supported == other.supported && self.finalized == other.finalized
    }

    /// The versions of an API that the broker speaks.
    pub fn range(&self, key: ApiKey) -> Option<RangeInclusive<i16>> {
        self.apis.get(&(key as i16)).map(|(min, max)| *min..=*max)
    }

    /// Whether a request in this version may go to the broker, with all that it brings along.
    pub fn supports(&self, row: &Row, client_version: i16) -> bool {
        row.versions.contains(&client_version)
            && self.speaks(row.key, (row.upstream_version)(client_version))
            && (row.needs)(client_version).is_none_or(|(key, version)| self.speaks(key, version))
    }

    fn speaks(&self, key: ApiKey, version: i16) -> bool {
        self.range(key).is_some_and(|range| range.contains(&version))
    }
}

/// Leaves the ranges that both have, where they overlap.
fn intersect<K: Ord>(ranges: &mut BTreeMap<K, (i16, i16)>, others: &BTreeMap<K, (i16, i16)>) {
    ranges.retain(|key, (min, max)| {
        let Some((other_min, other_max)) = others.get(key) else { return false };
        *min = (*min).max(*other_min);
        *max = (*max).min(*other_max);
        min <= max
    });
}

/// Answers an ApiVersions request, whatever its version.
///
/// Shape: the whole frame; its header is the oldest in every version.
/// Errors: `Broken` when the body is not what its grammar says; the connection is to be closed.
pub fn respond(
    header: &RequestHeader,
    body: &Bytes,
    opt_ins: &OptIns,
    known: Option<&BrokerVersions>,
) -> Result<Segments, Broken> {
    let version = header.head.version;
    if !VERSIONS.contains(&version) {
        return written(&header.head, &too_new(), 0);
    }
    grammar().walk(ApiKey::ApiVersions as i16, Direction::Request, version, body, ELEMENTS_MAX)?;
    let request = decode::<ApiVersionsRequest>(body, version)?;
    written(&header.head, &answer(version, &request, opt_ins, known), version)
}

/// The answer to one that comes where it has no place.
pub fn refuse(head: &RequestHead, error: ResponseError) -> Result<Segments, Broken> {
    written(head, &ApiVersionsResponse::default().with_error_code(error.code()), head.version)
}

fn written(head: &RequestHead, response: &ApiVersionsResponse, version: i16) -> Result<Segments, Broken> {
    let mut out = Gather::around(None);
    write_response(&mut out, head.correlation_id, false);
    encode_body(&mut out, response, version)?;
    Ok(out.finish())
}

/// The versions of an API that the session answers by itself; none for any other.
pub fn own_range(key: ApiKey) -> Option<RangeInclusive<i16>> {
    OWN.iter().find(|(own, _)| *own == key).map(|(_, versions)| versions.clone())
}

/// What a virtual cluster that asks for these serves, as far as the brokers speak it; all of it while no
/// broker is known.
pub fn answer(
    request_version: i16,
    request: &ApiVersionsRequest,
    opt_ins: &OptIns,
    known: Option<&BrokerVersions>,
) -> ApiVersionsResponse {
    let names_itself = request_version >= 3;
    if names_itself
        && !(is_software_word(&request.client_software_name)
            && is_software_word(&request.client_software_version))
    {
        return ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code());
    }
    let mut api_keys: Vec<_> = offered(opt_ins).filter_map(|row| advertised(row, known)).collect();
    api_keys.extend(OWN.iter().map(|(key, versions)| api(*key, versions)));
    api_keys.sort_by_key(|api| api.api_key);
    let mut response = ApiVersionsResponse::default().with_api_keys(api_keys);
    if let Some(known) = known.filter(|_| request_version >= FEATURES_SINCE) {
        show_features(&mut response, known, request_version);
    }
    response
}

fn offered(opt_ins: &OptIns) -> impl Iterator<Item = &'static Row> {
    rows().iter().filter(|row| row.is_offered(opt_ins))
}

/// The answer to a version that we do not know: said in the oldest, with the newest that we do.
///
/// Source: KIP-511; clients then ask again.
pub fn too_new() -> ApiVersionsResponse {
    ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(vec![api(ApiKey::ApiVersions, &VERSIONS)])
}

/// The versions of a served API that the brokers speak too; `None` when there are none.
fn advertised(row: &Row, known: Option<&BrokerVersions>) -> Option<ApiVersion> {
    let is_spoken = |version: &i16| known.is_none_or(|known| known.supports(row, *version));
    let min = row.versions.clone().find(is_spoken)?;
    // A range has no holes: what stands behind a version that is not spoken is not shown.
    let max = (min..=*row.versions.end()).take_while(is_spoken).last().unwrap_or(min);
    // librdkafka turns compression off when it does not see Produce 0, though it never sends it.
    let min = if row.key == ApiKey::Produce { 0 } else { min };
    Some(api(row.key, &(min..=max)))
}

fn api(key: ApiKey, versions: &RangeInclusive<i16>) -> ApiVersion {
    ApiVersion::default()
        .with_api_key(key as i16)
        .with_min_version(*versions.start())
        .with_max_version(*versions.end())
}

/// Passes the brokers' features on, but for those whose APIs are not shown beside them.
fn show_features(response: &mut ApiVersionsResponse, known: &BrokerVersions, request_version: i16) {
    let is_shown = |name: &String| {
        FEATURES.iter().any(|(feature, needs)| {
            feature == name && needs.iter().all(|(key, version)| shows(&response.api_keys, *key, *version))
        })
    };
    // Clients before version 4 take a lowest level of 0 for an error.
    let is_sayable = |min: i16| min > 0 || request_version >= 4;
    let supported = known.supported.iter().filter(|(name, (min, _))| is_shown(name) && is_sayable(*min));
    let supported = supported.map(|(name, (min, max))| {
        SupportedFeatureKey::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_min_version(*min)
            .with_max_version(*max)
    });
    let finalized = known.finalized.iter().filter(|(name, _)| is_shown(name)).map(|(name, (min, max))| {
        FinalizedFeatureKey::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_min_version_level(*min)
            .with_max_version_level(*max)
    });
    let (supported, finalized) = (supported.collect(), finalized.collect());
    response.supported_features = supported;
    response.finalized_features = finalized;
    response.finalized_features_epoch = known.finalized_epoch;
}

fn shows(api_keys: &[ApiVersion], key: ApiKey, version: i16) -> bool {
    api_keys
        .iter()
        .any(|api| api.api_key == key as i16 && (api.min_version..=api.max_version).contains(&version))
}

/// Whether a client's name for its software, or for that software's version, is one.
///
/// Source: KIP-511, `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`.
fn is_software_word(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

/// The versions of ApiVersions that we speak; 5 brings the cluster's id and the node's.
const VERSIONS: RangeInclusive<i16> = 0..=4;

/// What the session answers by itself: it is about the connection.
const OWN: [(ApiKey, RangeInclusive<i16>); 3] =
    [(ApiKey::ApiVersions, VERSIONS), (ApiKey::SaslHandshake, 0..=1), (ApiKey::SaslAuthenticate, 0..=2)];

/// The first version of ApiVersions that tells of features.
const FEATURES_SINCE: i16 = 3;

/// The features that a client may see, and what a client relies on that sees one; no other passes.
const FEATURES: [(&str, &[(ApiKey, i16)]); 7] = [
    ("metadata.version", &[]),
    ("kraft.version", &[]),
    ("eligible.leader.replicas.version", &[]),
    // KIP-890: the producer no longer says which partitions its transaction has.
    ("transaction.version", &[(ApiKey::Produce, 12), (ApiKey::TxnOffsetCommit, 5), (ApiKey::EndTxn, 5)]),
    ("group.version", &[(ApiKey::ConsumerGroupHeartbeat, 0), (ApiKey::ConsumerGroupDescribe, 0)]),
    (
        "share.version",
        &[(ApiKey::ShareGroupHeartbeat, 1), (ApiKey::ShareFetch, 1), (ApiKey::ShareAcknowledge, 1)],
    ),
    ("streams.version", &[(ApiKey::StreamsGroupHeartbeat, 0), (ApiKey::StreamsGroupDescribe, 0)]),
];

/// Two strings and a handful of tagged fields, from somebody who has not logged in.
const ELEMENTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::Decodable;

    use super::*;
    use crate::api::table::row;
    use crate::api::testing::{said, text};
    use crate::api::topics::DeleteTopics;
    use crate::api::{Api, Disposition, disposition};
    use crate::wire::sample::{self, Filler};
    use crate::wire::{RequestHead, recoded};

    fn request() -> ApiVersionsRequest {
        ApiVersionsRequest::default()
            .with_client_software_name(text("apache-kafka-java"))
            .with_client_software_version(text("4.1.0"))
    }

    /// A broker that says these ranges of itself.
    fn broker(apis: &[(ApiKey, i16, i16)]) -> BrokerVersions {
        let apis = apis.iter().map(|(key, min, max)| api(*key, &(*min..=*max)));
        BrokerVersions::from_response(&ApiVersionsResponse::default().with_api_keys(apis.collect()))
    }

    fn shown(response: &ApiVersionsResponse, key: ApiKey) -> Option<(i16, i16)> {
        let api = response.api_keys.iter().find(|api| api.api_key == key as i16)?;
        Some((api.min_version, api.max_version))
    }

    fn header(version: i16) -> RequestHeader {
        let head = RequestHead { key: ApiKey::ApiVersions as i16, version, correlation_id: 7 };
        RequestHeader { head, client_id: None }
    }

    /// What a client reads behind the length, the correlation id and no tagged fields.
    fn response(version: i16, body: &[u8], read_in: i16) -> ApiVersionsResponse {
        let frame = respond(&header(version), &Bytes::copy_from_slice(body), &OptIns::default(), None)
            .unwrap()
            .to_vec();
        assert_eq!(frame[4..8], 7i32.to_be_bytes());
        let mut body = Bytes::from(frame).slice(8..);
        let response = ApiVersionsResponse::decode(&mut body, read_in).unwrap();
        assert!(body.is_empty());
        response
    }

    fn served(key: ApiKey) -> &'static Row {
        let Disposition::Serve(row) = disposition(key) else { panic!("{key:?} is served") };
        row
    }

    #[test]
    fn all_that_is_served_is_shown_while_no_broker_is_known() {
        for version in VERSIONS {
            let response = said(&answer(version, &request(), &OptIns::all(), None), version);
            for row in rows() {
                let min = if row.key == ApiKey::Produce { 0 } else { *row.versions.start() };
                assert_eq!(shown(&response, row.key), Some((min, *row.versions.end())), "{}", row.name);
            }
            assert_eq!(shown(&response, ApiKey::ApiVersions), Some((0, 4)));
            assert_eq!(shown(&response, ApiKey::SaslHandshake), Some((0, 1)));
            assert_eq!(shown(&response, ApiKey::SaslAuthenticate), Some((0, 2)));
            assert_eq!(response.api_keys.len(), rows().len() + 3);
            assert_eq!(shown(&response, ApiKey::Vote), None);
        }
    }

    #[test]
    fn what_a_file_must_ask_for_is_not_shown_by_itself() {
        let response = answer(4, &request(), &OptIns::default(), None);
        for row in rows() {
            assert_eq!(shown(&response, row.key).is_some(), row.on_request.is_none(), "{}", row.name);
        }
        assert!(rows().iter().any(|row| row.on_request.is_some()));
    }

    #[test]
    fn what_the_broker_does_not_speak_is_not_shown() {
        let known = broker(&[
            (ApiKey::Produce, 5, 20),
            (ApiKey::Fetch, 0, 8),
            (ApiKey::Metadata, 0, 7),
            (ApiKey::CreateTopics, 8, 9),
            (ApiKey::Vote, 0, 3),
        ]);
        let response = answer(3, &request(), &OptIns::default(), Some(&known));
        assert_eq!(shown(&response, ApiKey::Produce), Some((0, 12)));
        assert_eq!(shown(&response, ApiKey::Fetch), Some((4, 8)));
        assert_eq!(shown(&response, ApiKey::Metadata), Some((0, 7)));
        assert_eq!(shown(&response, ApiKey::CreateTopics), None);
        assert_eq!(shown(&response, ApiKey::DeleteTopics), None);
        assert_eq!(shown(&response, ApiKey::Vote), None);
        assert_eq!(shown(&response, ApiKey::SaslAuthenticate), Some((0, 2)));
    }

    #[test]
    fn old_metadata_is_shown_where_the_broker_speaks_what_it_becomes() {
        let metadata = served(ApiKey::Metadata);
        let known = broker(&[(ApiKey::Metadata, 4, 9)]);
        for (version, expected) in [(-1, false), (0, true), (3, true), (9, true), (10, false)] {
            assert_eq!(known.supports(metadata, version), expected, "{version}");
        }
        assert_eq!(
            shown(&answer(0, &request(), &OptIns::default(), Some(&known)), ApiKey::Metadata),
            Some((0, 9))
        );
        let known = broker(&[(ApiKey::Metadata, 0, 3)]);
        assert_eq!(shown(&answer(0, &request(), &OptIns::default(), Some(&known)), ApiKey::Metadata), None);
    }

    #[test]
    fn a_version_is_shown_where_the_broker_speaks_what_it_brings_along() {
        type Needs = fn(i16) -> Option<(ApiKey, i16)>;
        let deletes = |max| (ApiKey::DeleteTopics, 0, max);
        let metadata = |max| (ApiKey::Metadata, 0, max);
        let from_4: Needs = |version| (version >= 4).then_some((ApiKey::Metadata, 12));
        let only_3: Needs = |version| (version == 3).then_some((ApiKey::Metadata, 12));
        let all: Needs = |_| Some((ApiKey::Metadata, 12));
        let deletion = |needs| Row { needs, ..row::<DeleteTopics>("DeleteTopics") };
        let last = *DeleteTopics::VERSIONS.end();
        for (needs, apis, expected) in [
            (from_4, &[deletes(6), metadata(12)][..], Some((1, last.min(6)))),
            (from_4, &[deletes(6), metadata(11)], Some((1, 3))),
            (from_4, &[deletes(6), (ApiKey::Metadata, 13, 13)], Some((1, 3))),
            (from_4, &[deletes(6)], Some((1, 3))),
            (from_4, &[deletes(4), metadata(12)], Some((1, 4))),
            (only_3, &[deletes(6), metadata(11)], Some((1, 2))),
            (all, &[deletes(6), metadata(11)], None),
        ] {
            let known = broker(apis);
            let row = deletion(needs);
            let shown = advertised(&row, Some(&known)).map(|api| (api.min_version, api.max_version));
            assert_eq!(shown, expected, "{apis:?}");
            if let Some((min, max)) = shown {
                assert!((min..=max).all(|version| known.supports(&row, version)));
            }
        }
        let row = deletion(all);
        let (new, old) = (broker(&[deletes(6), metadata(12)]), broker(&[deletes(6), metadata(11)]));
        assert!(new.supports(&row, 1) && !BrokerVersions::common(&[&new, &old]).supports(&row, 1));
    }

    #[test]
    fn brokers_have_in_common_what_all_of_them_speak() {
        let old = broker(&[(ApiKey::Fetch, 0, 8), (ApiKey::Produce, 0, 3), (ApiKey::Metadata, 0, 5)]);
        let new = broker(&[(ApiKey::Fetch, 4, 12), (ApiKey::Produce, 4, 9), (ApiKey::JoinGroup, 0, 5)]);
        assert_eq!(BrokerVersions::common(&[&old, &new]), broker(&[(ApiKey::Fetch, 4, 8)]));
        assert_eq!(BrokerVersions::common(&[&old]), old);
        assert!(BrokerVersions::common(&[]).apis.is_empty());
    }

    #[test]
    fn a_version_that_is_too_new_is_answered_in_the_oldest() {
        for version in [5, 9, i16::MAX, -1] {
            let response = response(version, b"whatever stands here", 0);
            assert_eq!(response.error_code, 35);
            assert_eq!(response.api_keys.len(), 1);
            assert_eq!(shown(&response, ApiKey::ApiVersions), Some((0, 4)));
        }
    }

    #[test]
    fn each_version_is_answered_in_itself_behind_the_oldest_header() {
        for version in 0..=2 {
            assert_eq!(shown(&response(version, b"", version), ApiKey::Fetch), Some((4, 18)));
        }
        for version in 3..=4 {
            let response = response(version, b"\x02c\x021\x00", version);
            assert_eq!(shown(&response, ApiKey::Fetch), Some((4, 18)));
        }
        let hostile = Bytes::from_static(b"\xff\xff\xff\xff\x07c\x00");
        assert!(respond(&header(3), &hostile, &OptIns::default(), None).is_err());
    }

    #[test]
    fn a_client_says_what_it_is_in_letters_digits_dashes_and_dots() {
        for (word, expected) in [
            ("librdkafka", 0),
            ("a", 0),
            ("2.11.1-rc1", 0),
            ("", 42),
            ("-a", 42),
            ("a.", 42),
            ("a b", 42),
            ("é", 42),
            ("a\n", 42),
        ] {
            let by_name = request().with_client_software_name(text(word));
            let by_version = request().with_client_software_version(text(word));
            assert_eq!(answer(3, &by_name, &OptIns::default(), None).error_code, expected, "{word:?}");
            assert_eq!(answer(4, &by_version, &OptIns::default(), None).error_code, expected, "{word:?}");
        }
        assert_eq!(answer(2, &ApiVersionsRequest::default(), &OptIns::default(), None).error_code, 0);
    }

    fn with_features(epoch: i64, names: &[(&str, i16, i16)]) -> BrokerVersions {
        let supported = names.iter().map(|(name, min, max)| {
            SupportedFeatureKey::default().with_name(text(name)).with_min_version(*min).with_max_version(*max)
        });
        let finalized = names.iter().map(|(name, _, max)| {
            FinalizedFeatureKey::default()
                .with_name(text(name))
                .with_min_version_level(*max)
                .with_max_version_level(*max)
        });
        BrokerVersions::from_response(
            &ApiVersionsResponse::default()
                .with_supported_features(supported.collect())
                .with_finalized_features(finalized.collect())
                .with_finalized_features_epoch(epoch)
                .with_zk_migration_ready(true),
        )
    }

    fn names(response: &ApiVersionsResponse) -> (Vec<&str>, Vec<&str>) {
        let supported = response.supported_features.iter().map(|feature| feature.name.as_str());
        let finalized = response.finalized_features.iter().map(|feature| feature.name.as_str());
        (supported.collect(), finalized.collect())
    }

    #[test]
    fn features_whose_apis_are_withheld_are_withheld_too() {
        let known = with_features(
            9,
            &[
                ("metadata.version", 1, 25),
                ("kraft.version", 0, 1),
                ("transaction.version", 0, 2),
                ("group.version", 0, 1),
                ("share.version", 0, 1),
                ("streams.version", 0, 1),
                ("of.tomorrow", 0, 1),
            ],
        );
        let shown = ["kraft.version", "metadata.version"];
        let response = said(&answer(4, &request(), &OptIns::default(), Some(&known)), 4);
        assert_eq!(names(&response), (shown.to_vec(), shown.to_vec()));
        assert_eq!(response.finalized_features_epoch, 9);
        assert!(!response.zk_migration_ready);

        let response = said(&answer(3, &request(), &OptIns::default(), Some(&known)), 3);
        assert_eq!(names(&response), (vec!["metadata.version"], shown.to_vec()));
        for version in 0..3 {
            said(&answer(version, &request(), &OptIns::default(), Some(&known)), version);
        }
    }

    #[test]
    fn p_16_a_feature_is_shown_once_all_that_it_needs_is() {
        for (feature, needs) in [
            (
                "transaction.version",
                &[(ApiKey::Produce, 12), (ApiKey::TxnOffsetCommit, 5), (ApiKey::EndTxn, 5)][..],
            ),
            ("group.version", &[(ApiKey::ConsumerGroupHeartbeat, 0), (ApiKey::ConsumerGroupDescribe, 0)]),
        ] {
            let known = with_features(1, &[(feature, 1, 2)]);
            for shown in 0..=needs.len() {
                let apis = needs[..shown].iter().map(|(key, max)| api(*key, &(0..=*max)));
                let mut response = ApiVersionsResponse::default().with_api_keys(apis.collect());
                show_features(&mut response, &known, 4);
                assert_eq!(names(&response).0.is_empty(), shown < needs.len(), "{feature}");
            }
        }
    }

    #[test]
    fn the_newest_word_on_finalized_features_counts() {
        let old = with_features(3, &[("metadata.version", 1, 20)]);
        let new = with_features(4, &[("metadata.version", 7, 25)]);
        for brokers in [[&old, &new], [&new, &old]] {
            let common = BrokerVersions::common(&brokers);
            assert_eq!(common.supported["metadata.version"], (7, 20));
            assert_eq!(common.finalized["metadata.version"], (25, 25));
            assert_eq!(common.finalized_epoch, 4);
        }
    }

    #[test]
    fn an_epoch_that_changed_nothing_is_no_news() {
        let known = with_features(3, &[("metadata.version", 1, 20)]);
        assert!(known.is_as_good_as(&with_features(4, &[("metadata.version", 1, 20)])));
        assert!(!known.is_as_good_as(&with_features(3, &[("metadata.version", 1, 21)])));
        assert!(!known.is_as_good_as(&with_features(3, &[])));
        assert!(!known.is_as_good_as(&broker(&[(ApiKey::Fetch, 4, 8)])));
    }

    /// Fills a message with one of each thing, or with as little as it allows.
    struct One(bool);

    impl Filler for One {
        fn text(&mut self, _path: &str) -> String {
            "text".to_owned()
        }
        fn uuid(&mut self, _path: &str) -> uuid::Uuid {
            uuid::Uuid::from_u128(7)
        }
        fn bytes(&mut self, _path: &str) -> Vec<u8> {
            b"bytes".to_vec()
        }
        fn int(&mut self, _path: &str) -> i64 {
            1
        }
        fn count(&mut self, _path: &str) -> usize {
            self.0.into()
        }
        fn present(&mut self, _path: &str) -> bool {
            self.0
        }
    }

    /// The codec reads a message of this version, and writes it as it was.
    fn check_sayable(key: ApiKey, version: i16, full: bool) {
        for direction in [Direction::Request, Direction::Response] {
            let body = sample::body(key as i16, direction, version, &mut One(full)).unwrap();
            let again = recoded(key as i16, direction, version, &body).expect("the codec has the version");
            assert_eq!(again.as_deref(), Ok(&body[..]), "{key:?} {version}");
        }
    }

    #[test]
    fn every_advertised_version_can_be_read_and_written() {
        for row in rows() {
            for version in row.versions.clone() {
                for version in [version, (row.upstream_version)(version)] {
                    check_sayable(row.key, version, true);
                    check_sayable(row.key, version, false);
                }
            }
        }
        for (key, versions) in OWN {
            versions.for_each(|version| check_sayable(key, version, true));
        }
    }
}
