//! Logging in, and each way in which it can fail.

use kafka_protocol::messages::{ApiKey, MetadataRequest};

use crate::support::stage::Stage;

#[test]
fn a_good_token_opens_the_session() {
    let stage = Stage::start();
    let mut client = stage.log_in("alice");
    let answer = client.ask(9, &MetadataRequest::default().with_topics(Some(vec![])));
    assert_eq!(answer.brokers.len(), 1);
    stage.broker().expect(ApiKey::Metadata, 1);
}
