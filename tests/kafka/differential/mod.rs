//! The gateway against Kafka itself: the same requests, made at random from the grammar, and the same answers.
//!
//! Two worlds on one broker: on the reference listener a client says `d-full-7-a`, and Kafka applies its ACLs; through
//! the gateway the same name stands behind a hidden prefix. Topics, groups and transactional ids are the same in both,
//! as are the grants. Error codes, names, shape and order must be the same too, but for `differences.tsv`.
//!
//! A round is made from its seed alone. `scripts/differential` plays as many as there is time for, `scripts/test` the first.

mod backstage; //   what is really there, seen past both ways
mod conversations; // requests that stand on what was answered before
mod differences; // where answers differ, and what of it is known
mod generator; //   requests from the grammar, in symbols
mod ground; //      broker, issuer, gateway, grants
mod meaning; //     what fields mean
mod names; //       names of every standing
mod player; //      one request in both worlds
mod random; //      seeded numbers
mod round; //       everything once, from one seed
mod tree; //        answers as trees, without what must differ
mod values; //      numbers and words for fields

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use kafka_protocol::messages::ApiVersionsRequest;

use crate::support::client::Client;
use crate::support::kafka;
use backstage::Backstage;
use differences::Known;
use ground::Ground;
use round::{Round, Tally};

/// How many failures are shown in full.
const SHOWN: usize = 40;

#[test]
fn both_worlds_answer_alike() {
    if !kafka::is_here() {
        return;
    }
    let number = |name: &str| {
        let value = std::env::var(name).ok()?;
        Some(value.parse::<u64>().unwrap_or_else(|_| panic!("{name} is a number, and not {value}")))
    };
    let first = number(SEED);
    match (number(MINUTES), first) {
        (Some(minutes), first) => play(first.unwrap_or(1)..=u64::MAX, Some(minutes)),
        (None, Some(seed)) => play(seed..=seed, None),
        (None, None) => play(1..=1, None),
    }
}

/// How long to play, and the seed of the first or only round, as `scripts/differential` says them.
const MINUTES: &str = "SLUICEGATE_DIFFERENTIAL_MINUTES";
const SEED: &str = "SLUICEGATE_DIFFERENTIAL_SEED";

/// Plays these rounds, and more of them until the time is up.
#[allow(clippy::disallowed_methods, reason = "it is told how long to play, by the real clock")]
fn play(seeds: RangeInclusive<u64>, minutes: Option<u64>) {
    let begin = Instant::now();
    let ground = Ground::start();
    let mut backstage = Backstage::enter(&ground);
    let broker = spoken(&ground);
    let known = Known::read();
    let mut tally = Tally::default();
    let until = minutes.map(|minutes| begin + Duration::from_secs(60 * minutes));
    for seed in seeds {
        let mut round = Round::begin(seed, &ground, &mut backstage, &known, &mut tally, &broker);
        round.play_all();
        round.converse(2);
        round.end();
        if until.is_some_and(|until| Instant::now() > until) {
            break;
        }
    }
    report(&tally, &known, begin.elapsed());
    assert!(
        tally.failures.is_empty(),
        "{} cases are answered otherwise\n{}",
        tally.failures.len(),
        ground.gateway_log()
    );
}

fn report(tally: &Tally, known: &Known, time: Duration) {
    println!("{} cases of {} keys and versions in {time:?}", tally.cases, tally.pairs.len());
    for (api, (count, time)) in &tally.by_api {
        println!("{count:6} {api}, in {time:?}");
    }
    for (line, count) in known.told() {
        println!("{count:6} times explained by {line}");
    }
    for case in &tally.unanswered {
        println!("UNANSWERED {case}");
    }
    let mut kinds: Vec<(&str, &str, Vec<&round::Failure>)> = Vec::new();
    for failure in &tally.failures {
        match kinds.iter_mut().find(|(api, path, _)| *api == failure.api && *path == failure.path) {
            Some((.., failures)) => failures.push(failure),
            None => kinds.push((failure.api, &failure.path, vec![failure])),
        }
    }
    for (api, path, failures) in &kinds {
        let mut versions: Vec<i16> = failures.iter().map(|failure| failure.version).collect();
        versions.sort_unstable();
        versions.dedup();
        println!("{:6} DIFFER {api} {path}, versions {versions:?}", failures.len());
    }
    for (.., failures) in kinds.iter().take(SHOWN) {
        for failure in failures.iter().take(3) {
            println!("{}", failure.text);
        }
    }
}

/// Which versions the broker speaks.
fn spoken(ground: &Ground) -> HashMap<i16, RangeInclusive<i16>> {
    let mut broker = Client::connect(ground.kafka.port("PLAINTEXT"));
    let answer = broker.ask(0, &ApiVersionsRequest::default());
    answer.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version)).collect()
}
