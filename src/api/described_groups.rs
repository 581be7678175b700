//! Groups that are named in a list: what those APIs have in common that describe groups of one kind or another.

use kafka_protocol::messages::GroupId;

use super::operations::{GROUP_OPERATIONS, NOT_ASKED};
use super::{Api, Pass, Refusal};
use crate::cluster::{Gate, Lens};
use crate::policy::{Operation, Resource};

/// What a request asked for beside the groups that went on to the broker.
pub struct DescribedAside {
    /// Whether it wants to know what it may do with each.
    pub operations: bool,
    pub refused: Vec<(GroupId, Refusal)>,
}

impl DescribedAside {
    /// Keeps the groups that may be described, renamed, and sets the others aside; a broker is not asked what
    /// may be done with them.
    pub fn take(groups: &mut Vec<GroupId>, operations: &mut bool, gate: &Gate<'_>) -> Self {
        let operations = std::mem::take(operations);
        Self { operations, refused: admit_groups(Operation::Describe, groups, gate) }
    }

    /// The request goes on with the groups that are left, if any are or none was asked for.
    pub fn pass<A: Api<Aside = Self>>(self, request: A::Request, left: usize) -> Pass<A> {
        if left == 0 && !self.refused.is_empty() { Pass::Answer(self) } else { Pass::Forward(request, self) }
    }
}

/// Keeps the groups that pass, renamed, and hands back the others with the reason.
pub fn admit_groups(need: Operation, groups: &mut Vec<GroupId>, gate: &Gate<'_>) -> Vec<(GroupId, Refusal)> {
    let mut refused = Vec::new();
    groups.retain_mut(|group| match gate.one(need, &mut *group) {
        Ok(()) => true,
        Err(no) => {
            refused.push((group.clone(), no.into()));
            false
        }
    });
    refused
}

/// The bit field of a group that is told of with this code: what the client may do with it, where it asked.
pub fn group_operations(is_asked: bool, code: i16, group: &GroupId, lens: &Lens<'_>) -> i32 {
    match is_asked && code == 0 {
        true => lens.authorized_operations(Resource::Group, &group.0, &GROUP_OPERATIONS),
        false => NOT_ASKED,
    }
}
