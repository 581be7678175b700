//! What the rdkafka crate's users do with it, through the gateway. Ends with a line that says what was done.

use std::collections::{BTreeSet, HashMap};
use std::env::var;
use std::time::{Duration, Instant};

use gateway::gateway;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientConfig, Message};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const KEYS: u32 = 50;
const PATIENCE: Duration = Duration::from_secs(30);

fn own(name: &str) -> String {
    var("PREFIX").expect("scripts/clients sets PREFIX") + name
}

fn config(settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = gateway();
    for (setting, value) in settings {
        config.set(*setting, *value);
    }
    config
}

async fn produce(
    producer: &FutureProducer,
    topic: &str,
    numbers: std::ops::Range<u32>,
) -> Result<(), KafkaError> {
    let mut sent = Vec::new();
    for number in numbers {
        let (key, value) = (format!("key-{}", number % KEYS), number.to_string());
        let record = FutureRecord::to(topic).key(&key).payload(&value);
        sent.push(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    for delivery in sent {
        delivery.await.expect("a producer answers while it lives").map_err(|(error, _)| error)?;
    }
    Ok(())
}

/// Reads so many records of a topic as the group, commits them, and looks whether there are more.
async fn consume(topic: &str, numbers: std::ops::Range<u32>) -> Outcome<()> {
    let group = own("readers");
    let settings =
        [("group.id", group.as_str()), ("auto.offset.reset", "earliest"), ("enable.auto.commit", "false")];
    let consumer: StreamConsumer = config(&settings).create()?;
    consumer.subscribe(&[topic])?;
    let (mut seen, mut last) = (BTreeSet::new(), HashMap::new());
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        let patience = match seen.len() < numbers.len() {
            true => deadline.saturating_duration_since(Instant::now()),
            false => Duration::from_millis(500),
        };
        let Ok(record) = tokio::time::timeout(patience, consumer.recv()).await else { break };
        let record = record?;
        let key = String::from_utf8(record.key().unwrap_or_default().to_vec())?;
        let number: u32 = String::from_utf8(record.payload().unwrap_or_default().to_vec())?.parse()?;
        if let Some(before) = last.insert(key.clone(), number)
            && before >= number
        {
            return Err(format!("{key} has {number} after {before}").into());
        }
        seen.insert(number);
    }
    if !seen.iter().copied().eq(numbers.clone()) {
        return Err(format!("{} records of {topic}, expected {numbers:?}", seen.len()).into());
    }
    consumer.commit_consumer_state(CommitMode::Sync)?;
    Ok(())
}

/// Commits one transaction and aborts another, for a reader that sees only the first.
async fn transact(paid: &str) -> Outcome<()> {
    let producer: FutureProducer = config(&[("transactional.id", &own("payments"))]).create()?;
    producer.init_transactions(PATIENCE)?;
    producer.begin_transaction()?;
    produce(&producer, paid, 0..10).await?;
    producer.commit_transaction(PATIENCE)?;
    producer.begin_transaction()?;
    produce(&producer, paid, 10..20).await?;
    producer.abort_transaction(PATIENCE)?;
    consume(paid, 0..10).await
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let (orders, lasting, paid) = (own("orders"), own("lasting"), own("paid"));
    let admin: AdminClient<DefaultClientContext> = gateway().create()?;
    let topics = [(&orders, 3), (&lasting, 1), (&paid, 1)];
    let topics = topics.map(|(name, partitions)| NewTopic::new(name, partitions, TopicReplication::Fixed(1)));
    for made in admin.create_topics(&topics, &AdminOptions::new().operation_timeout(Some(PATIENCE))).await? {
        made.map_err(|(name, error)| format!("{name} was not created: {error}"))?;
    }
    let producer: FutureProducer =
        config(&[("enable.idempotence", "true"), ("compression.type", "gzip")]).create()?;
    produce(&producer, &orders, 0..1000).await?;
    consume(&orders, 0..1000).await?;
    produce(&producer, &orders, 1000..1010).await?;
    consume(&orders, 1000..1010).await?;

    let stranger: FutureProducer = gateway().create()?;
    match produce(&stranger, &var("CLOSED")?, 0..1).await {
        Err(KafkaError::MessageProduction(RDKafkaErrorCode::TopicAuthorizationFailed)) => {}
        other => return Err(format!("a topic without rights was answered with {other:?}").into()),
    }
    let known = admin.inner().fetch_metadata(None, PATIENCE)?;
    let groups = admin.inner().fetch_group_list(None, PATIENCE)?;
    let topics: Vec<&str> = known.topics().iter().map(|topic| topic.name()).collect();
    let groups: Vec<&str> = groups.groups().iter().map(|group| group.name()).collect();
    let all_own = topics.iter().chain(&groups).all(|name| name.starts_with(&own("")));
    if !all_own || !topics.contains(&orders.as_str()) || !groups.contains(&own("readers").as_str()) {
        return Err(format!("listed {topics:?} and {groups:?}").into());
    }
    transact(&paid).await?;

    // Longer than a token is good for.
    let mut written = 0;
    let end = Instant::now() + Duration::from_secs(15);
    while Instant::now() < end {
        produce(&producer, &lasting, written..written + 1).await?;
        written += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    consume(&lasting, 0..written).await?;
    println!(
        "done: created, wrote 1000 (idempotent, gzip), read in order and none twice, was refused, committed and aborted, lasted"
    );
    Ok(())
}
