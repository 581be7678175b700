//! Whether the probes find out a wall that is not there: the same ones, sent to the broker itself.
//!
//! Every field has to be found out by one of its probes, or it stands on the list of those that cannot be.

use std::collections::{BTreeMap, BTreeSet};

use sluicegate::api::rows;
use sluicegate::wire::Direction;

use super::aims::{Probe, Verdict, probes};
use super::camp::Camp;
use super::judge::{NOISE, difference, leaks};
use super::neighbour::{Neighbour, OURS, THEIRS};
use super::unaimed::{BLUNT_KINDS, is_blunt};
use crate::support::entities::entities;
use crate::support::kafka::Kafka;
use crate::support::walled;

/// The fields by which nobody would find out that there is no wall, for each API.
///
/// What stands behind the wall is not the same afterwards.
pub fn blunt(kafka: &Kafka, neighbour: &mut Neighbour) -> Vec<String> {
    let mut camp = Camp::before_the_broker(kafka);
    let mut blunt = Vec::new();
    let mut intact = BTreeSet::new();
    for row in rows().iter().filter(|row| walled::is_offered(row)) {
        let (mut fields, mut all): (BTreeMap<_, Vec<_>>, Vec<_>) = Default::default();
        for version in row.versions.clone() {
            for probe in probes(row, version, neighbour).unwrap_or_default() {
                match field(&probe) {
                    // The newest version that has it is enough.
                    Some(field) => {
                        let of_field = fields.entry(field).or_default();
                        of_field.retain(|other: &Probe| other.version == version);
                        of_field.push(probe);
                    }
                    None if probe.aims.len() > 1 => all.push(probe),
                    None => {}
                }
            }
        }
        for (field, probes) in fields {
            let state = neighbour.state();
            if state != intact {
                neighbour.restore(&state, &intact);
                intact = neighbour.state();
            }
            neighbour.make_twins_alike();
            let version = probes[0].version;
            if is_blunt(row.key, &field) || finds(&mut camp, neighbour, &intact, &probes).is_some() {
                continue;
            }
            let with_others =
                all.iter().filter(|probe| probe.version == version && probe.aims.contains_key(&field));
            let with_others: Vec<_> = with_others.cloned().collect();
            if finds(&mut camp, neighbour, &intact, &with_others).is_none() {
                blunt.push(format!("{} {field} is not found out", row.name));
            }
        }
    }
    blunt
}

/// The one field that a probe aims at.
fn field(probe: &Probe) -> Option<String> {
    let field = probe.aims.keys().next()?;
    let mut entities = entities(probe.key as i16, Direction::Request, probe.version);
    let is_blunt = entities
        .any(|entity| entity.path == field && BLUNT_KINDS.iter().any(|(kind, _)| *kind == entity.kind));
    let counts = probe.verdict != Verdict::AsBefore && probe.aims.len() == 1 && !is_blunt;
    counts.then(|| field.clone())
}

/// What shows that somebody else's thing was reached by one of these.
fn finds(
    camp: &mut Camp<'_>,
    neighbour: &mut Neighbour,
    intact: &BTreeSet<String>,
    probes: &[Probe],
) -> Option<String> {
    let marks: Vec<_> = neighbour.marks().into_iter().filter(|(mark, _)| mark != OURS).collect();
    let told = probes.iter().find_map(|probe| {
        let [(first, outcome), (second, other)] = camp.say_both(probe, &probe.nowhere(), neighbour);
        let differs = difference((&outcome, &first), (&other, &second), NOISE);
        let differs = differs.filter(|_| probe.verdict == Verdict::AsNowhere);
        differs.or_else(|| leaks(&outcome, &first, &marks, 0).pop())
    });
    told.or_else(|| {
        (theirs(intact) != theirs(&neighbour.state())).then(|| "something has changed".to_owned())
    })
}

/// What the probes about nowhere have made is nobody's.
fn theirs(state: &BTreeSet<String>) -> Vec<&String> {
    state.iter().filter(|line| [THEIRS, "barge", "tugboat"].iter().any(|mark| line.contains(mark))).collect()
}
