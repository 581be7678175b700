//! The walls between virtual clusters: no name may belong to two.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::clusters::ClusterEntry;
use super::problem::Report;
use super::shape::Placed;
use crate::cluster::BackendCluster;
use crate::names::Glob;

/// Reports virtual clusters that could see each other's names.
///
/// Shape: linear in the clusters but for sorting, so that ten thousand of them are checked at once.
pub(super) fn check(clusters: &[ClusterEntry], backends: &[Arc<BackendCluster>], report: &mut Report) {
    let kafka = same_kafka(backends);
    let kafka_of =
        |entry: &ClusterEntry| kafka.get(&entry.cluster.backend.name).copied().unwrap_or(usize::MAX);
    let mut neighbours: BTreeMap<usize, Vec<&ClusterEntry>> = BTreeMap::new();
    for entry in clusters {
        neighbours.entry(kafka_of(entry)).or_default().push(entry);
    }
    for entries in neighbours.values() {
        overlaps(entries, report);
        reaches(entries, report);
    }
    similar_elsewhere(clusters, kafka_of, report);
}

/// Which real Kafka each backend cluster is: two that share a bootstrap server are one.
fn same_kafka(backends: &[Arc<BackendCluster>]) -> HashMap<Arc<str>, usize> {
    let mut group: Vec<usize> = (0..backends.len()).collect();
    let mut by_server = HashMap::new();
    for (index, backend) in backends.iter().enumerate() {
        for server in &backend.bootstrap {
            let earlier = *by_server.entry(server.as_ref()).or_insert(index);
            let (from, to) = (group[index], group[earlier]);
            for member in &mut group {
                if *member == from {
                    *member = to;
                }
            }
        }
    }
    backends.iter().zip(group).map(|(backend, group)| (backend.name.clone(), group)).collect()
}

/// Kafka takes names that differ only in `.` and `_` for colliding, since its metrics can not tell them apart.
fn folded(prefix: &str) -> String {
    prefix.replace('.', "_")
}

fn overlaps(entries: &[&ClusterEntry], report: &mut Report) {
    for (outer, inner) in nested(entries, |entry| folded(&entry.prefix.start)) {
        let (wide, narrow) = (&outer.prefix.start, &inner.prefix.start);
        let how = if outer.prefix.end.is_some() || inner.prefix.end.is_some() {
            "can be, for some login, what meets the prefix of"
        } else if wide == narrow {
            "is the prefix of"
        } else if narrow.starts_with(wide.as_str()) {
            "begins with the prefix of"
        } else {
            "can not be told, but for '.' and '_', from the prefix of"
        };
        let message = format!(
            "the prefix {} {how} the virtual cluster {} on the same Kafka (line {}): one would see the other's names; choose prefixes of which none begins with another",
            inner.prefix.shown,
            outer.name.value.shown(),
            outer.prefix.at.line,
        );
        report.error(inner.prefix.at, message);
    }
}

/// Additional names that lie in another's prefix.
fn reaches(entries: &[&ClusterEntry], report: &mut Report) {
    let mut by_prefix: BTreeMap<&str, &ClusterEntry> = BTreeMap::new();
    for entry in entries {
        by_prefix.insert(entry.prefix.start.as_str(), entry);
    }
    for entry in entries {
        for Placed { at, value: glob } in &entry.additional {
            let is_other = |other: &&&ClusterEntry| !Arc::ptr_eq(&other.cluster, &entry.cluster);
            if let Some(other) = owners(glob, &by_prefix).filter(is_other).min_by_key(|other| other.prefix.at)
            {
                let message = format!(
                    "this reaches into the prefix {} of the virtual cluster {} on the same Kafka; choose names outside it",
                    other.prefix.shown,
                    other.name.value.shown(),
                );
                report.error(*at, message);
            }
        }
    }
}

/// The clusters under whose prefix a name that matches can lie.
fn owners<'m, 'e>(
    glob: &'m Glob,
    by_prefix: &'m BTreeMap<&'e str, &'e ClusterEntry>,
) -> impl Iterator<Item = &'m &'e ClusterEntry> {
    let pattern = glob.as_str();
    let stem = &pattern[..pattern.find(['*', '?']).unwrap_or(pattern.len())];
    // A computed prefix may begin with nothing.
    let shorter = (0..stem.len())
        .filter(|end| stem.is_char_boundary(*end))
        .filter_map(|end| by_prefix.get(&stem[..end]));
    let longer = by_prefix
        .range(stem..)
        .take_while(move |(prefix, _)| prefix.starts_with(stem))
        .map(|(_, entry)| entry);
    shorter.chain(longer).filter(move |entry| {
        let prefix = entry.prefix.start.as_str();
        if let Some(end) = &entry.prefix.end {
            // Of a pattern nobody knows which tenant's names it may match.
            let behind = pattern.strip_prefix(prefix);
            !glob.is_literal() || behind.is_some_and(|behind| behind.contains(end.as_str()))
        } else if glob.is_literal() {
            pattern.starts_with(prefix)
        } else {
            glob.can_match_beginning(prefix)
        }
    })
}

/// On different Kafkas nothing leaks, but a rule or a name is easily taken to the wrong one.
fn similar_elsewhere(
    clusters: &[ClusterEntry],
    kafka_of: impl Fn(&ClusterEntry) -> usize,
    report: &mut Report,
) {
    let all: Vec<&ClusterEntry> = clusters.iter().filter(|entry| entry.prefix.end.is_none()).collect();
    for (outer, inner) in nested(&all, |entry| entry.prefix.start.clone()) {
        let same = outer.prefix.start == inner.prefix.start;
        if !same && kafka_of(outer) != kafka_of(inner) {
            let message = format!(
                "the prefix {} begins with that of the virtual cluster {}; they are on different Kafkas, where they can not meet, but would on one",
                inner.prefix.shown,
                outer.name.value.shown(),
            );
            report.warn(inner.prefix.at, message);
        }
    }
}

/// For each cluster whose key begins with another's: that other, then the cluster itself.
fn nested<'e>(
    entries: &[&'e ClusterEntry],
    key: impl Fn(&ClusterEntry) -> String,
) -> Vec<(&'e ClusterEntry, &'e ClusterEntry)> {
    let mut sorted: Vec<(String, &ClusterEntry)> = entries.iter().map(|entry| (key(entry), *entry)).collect();
    sorted.sort_by(|(a, one), (b, other)| (a, one.at()).cmp(&(b, other.at())));
    let mut around: Vec<(String, &ClusterEntry)> = Vec::new();
    let mut pairs = Vec::new();
    for (key, entry) in sorted {
        while around.last().is_some_and(|(outer, _)| !key.starts_with(outer.as_str())) {
            around.pop();
        }
        if let Some((_, outer)) = around.last() {
            pairs.push((*outer, entry));
        }
        around.push((key, entry));
    }
    pairs
}
