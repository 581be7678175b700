//! `docs/protocol.md` is made from the table of all APIs, the grammar and the entity table, and kept true.
//!
//! `SLUICEGATE_WRITE_PAGES=1 cargo test --test protocol` writes the page anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use sluicegate::api::{Disposition, disposition, versions};
use sluicegate::wire::{ApiKey, Direction, grammar};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/protocol.md");
const README: &str = include_str!("../README.md");
const ENTITIES: &str = include_str!("../src/api/entity-fields.tsv");

/// What happens to a kind of entity, in requests and in responses; kinds that pass are not spoken of.
const TREATMENTS: &[(&str, &str, &str)] = &[
    ("topic_name", "topics renamed", "topics renamed, others' left out"),
    ("topic_id", "topic ids checked", "others' topic ids left out"),
    ("group_id", "groups renamed", "groups renamed, others' left out"),
    ("transactional_id", "transactional ids renamed", "transactional ids renamed, others' left out"),
    ("config_resource", "topics and groups renamed", "topics and groups renamed, others' left out"),
    ("resource_name", "names and patterns of ACLs confined", "others' ACLs left out"),
    ("regex", "patterns confined", "patterns as the client said them"),
    ("blob", "topics inside members' bytes renamed", "topics inside members' bytes renamed"),
    ("host", "", "addresses of the gateway"),
    ("cluster_id", "", "the virtual cluster's id"),
    ("authorized_ops", "", "the client's own operations"),
    ("error_message", "", "texts in the gateway's words"),
    ("client_host", "", "hosts of clients blanked"),
];

#[test]
fn the_protocol_page_says_what_the_table_says() {
    let page = page();
    if std::env::var_os("SLUICEGATE_WRITE_PAGES").is_some() {
        std::fs::write(PAGE, &page).expect("the page can be written");
    }
    let told = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(told == page, "docs/protocol.md is not what the table says; SLUICEGATE_WRITE_PAGES=1 writes it");
}

fn page() -> String {
    let mut lines = String::new();
    let (mut served, mut offered) = (0, 0);
    for key in ApiKey::all() {
        let Some(of_kafka) = grammar().versions(key as i16, Direction::Request) else { continue };
        let of_kafka = without_unstable(key, of_kafka);
        let (versions, how, needs) = match disposition(key) {
            Disposition::Withhold => continue,
            Disposition::Answer => {
                let versions = versions::own_range(key).expect("the session answers it");
                (versions, "answered by the gateway".to_owned(), "–".to_owned())
            }
            Disposition::Serve(row) => (row.versions.clone(), treatment(key), needs(row.name)),
        };
        let counted = |versions: &RangeInclusive<i16>| {
            versions.clone().filter(|version| of_kafka.contains(version)).count()
        };
        served += counted(&versions);
        offered += counted(&of_kafka);
        writeln!(
            lines,
            "| {} | {key:?} | {} | {} | {how} | {needs} |",
            key as i16,
            range(&versions),
            range(&of_kafka)
        )
        .expect("a String takes all");
    }
    let withheld: Vec<String> = ApiKey::all()
        .filter(|key| matches!(disposition(*key), Disposition::Withhold))
        .map(|key| format!("{key:?} ({})", key as i16))
        .collect();
    format!(
        "# The Kafka protocol through the gateway\n\n\
         Every API that is served, the versions of it, and those of Kafka 4.3: {served} of {offered} pairs of \
         key and version. A client is told of what the broker behind its connection speaks as well. `how` says \
         what becomes of names, ids and addresses in requests and → in responses; what it does not speak of \
         passes as it is. `needs` is what a policy must allow; `\\*` is served where the file asks for it.\n\n\
         | key | API | served | Kafka 4.3 | how | needs |\n| --- | --- | --- | --- | --- | --- |\n{lines}\n\
         These are never served, and the connection that sends one is closed, as Kafka's own listeners for \
         clients do: {}.\n",
        withheld.join(", ")
    )
}

/// InitProducerId 6 (two-phase commit) is marked unstable in Kafka's definitions: no broker offers it.
fn without_unstable(key: ApiKey, versions: RangeInclusive<i16>) -> RangeInclusive<i16> {
    if key == ApiKey::InitProducerId { *versions.start()..=5 } else { versions }
}

fn range(versions: &RangeInclusive<i16>) -> String {
    match (versions.start(), versions.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    }
}

fn treatment(key: ApiKey) -> String {
    let entities = |direction: &str| -> BTreeSet<&str> {
        let lines = ENTITIES.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
        let here = lines.filter(|columns| columns[0] == (key as i16).to_string() && columns[2] == direction);
        // Of the opaque bytes only those of group members are looked into.
        let is_opaque = |columns: &Vec<&str>| columns[5] == "blob" && !columns[9].contains(" bytes");
        here.filter(|columns| !is_opaque(columns)).map(|columns| columns[5]).collect()
    };
    let (asked, answered) = (entities("request"), entities("response"));
    let words = |found: &BTreeSet<&str>, word: fn(&(&str, &'static str, &'static str)) -> &'static str| {
        let words = TREATMENTS.iter().filter(|treatment| found.contains(treatment.0)).map(word);
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ")
    };
    match (words(&asked, |treatment| treatment.1), words(&answered, |treatment| treatment.2)) {
        (request, response) if request.is_empty() && response.is_empty() => "passes".to_owned(),
        (request, response) if response.is_empty() => request,
        (request, response) if request.is_empty() => format!("→ {response}"),
        (request, response) => format!("{request} → {response}"),
    }
}

/// What the README says of an API's needs: said in one place, and shown in both.
fn needs(name: &str) -> String {
    let row = README.lines().find(|line| line.starts_with(&format!("| {name} | ")));
    let row = row.unwrap_or_else(|| panic!("README has no row for {name}"));
    row.trim_matches('|').split(" | ").nth(2).expect("the row has three columns").trim().to_owned()
}
