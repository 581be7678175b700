//! What may this principal do to that name?
//!
//! A [`Policy`] is what the operator's file says; asked with the [`Circumstances`] of one login it
//! yields [`Rights`], which then answer for each operation and name. No policy, no access; a deny
//! beats every allow. Knows names and principals. Knows no Kafka message and no token: claims are
//! just a JSON value, and names are those that the client uses.

mod condition; //  when a policy counts, and names that come from claims
mod decision; //   policies, and the decision with the rule behind it
mod expression; // the language in which both are written
mod grant; //      one rule
mod operation; //  operations and resource types, in the words of the file
mod rights; //     the rules that count for one login, ready to be asked
mod words; //      the nearest known word, for messages that help

pub use condition::{Condition, NameExpression, TextExpression, fuzz};
pub use decision::{AclPolicy, ConditionFailure, Decision, Policy, RuleRef, Standing};
pub use expression::{Circumstances, ConditionError, EvalError};
pub use grant::{Effect, InvalidRule, Rule};
pub use operation::{Operation, OperationSet, Resource, UnknownOperation, UnknownResource};
pub use rights::Rights;
pub use words::nearest;
