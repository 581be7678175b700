//! Topics as they are described: what Metadata and DescribeTopicPartitions have in common.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{BrokerId, TopicName};

use super::{Asking, Refusal};
use crate::cluster::{Cause, Lens};
use crate::names::{InvalidName, Kind};
use crate::policy::{Operation, Resource};

/// Lets a name through to the broker, or says with which code it is answered here; a topic is answered for
/// under each of its names.
pub fn admit_name(ask: &Asking<'_>, name: &mut TopicName) -> Result<(), i16> {
    admit_one_of(ask, name)?;
    ask.gate.rename_again(Operation::Describe, name.into()).map_err(|no| Refusal::from(no).code())
}

fn admit_one_of(ask: &Asking<'_>, name: &TopicName) -> Result<(), i16> {
    ask.gate.ask(Operation::Describe, Resource::Topic, &name.0).map_err(|no| Refusal::from(no).code())?;
    match ask.gate.cluster().namespace.check(Kind::Topic, &name.0) {
        Ok(()) => {}
        Err(InvalidName::OutsidePrefix) => {
            ask.gate.note(Operation::Describe, Resource::Topic, &name.0, Cause::OutsideNamespace);
            return Err(Refusal::TopicDenied.code());
        }
        Err(InvalidName::Internal) => return Err(ResponseError::UnknownTopicOrPartition.code()),
        Err(why) => {
            ask.gate.note(Operation::Describe, Resource::Topic, &name.0, Cause::InvalidName(why));
            return Err(Refusal::InvalidTopic(why).code());
        }
    }
    Ok(())
}

/// A leader that clients do not find is none, and the partition has one again when it moves.
pub fn hide_lost_leader(leader: &mut BrokerId, code: &mut i16, lens: &Lens<'_>) {
    if leader.0 >= 0 && !lens.has_door(leader.0) {
        *leader = BrokerId(-1);
        *code = ResponseError::LeaderNotAvailable.code();
    }
}
