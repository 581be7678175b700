//! What may this principal do to that name?
//!
//! A [`Policy`] is what the operator's file says; asked with the [`Circumstances`] of one login it
//! yields [`Rights`], which then answer for each operation and name. No policy, no access; a deny
//! beats every allow. Knows names and principals. Knows no Kafka message and no token: claims are
//! just a JSON value, and names are those that the client uses.

mod condition; // the expression language: what it can say, and to whom it listens
mod decision; //  policies, and the decision with the rule behind it
mod grant; //     one rule
mod operation; // operations and resource types, in the words of the file
mod rights; //    the rules that count for one login, ready to be asked
mod words; //     the nearest known word, for messages that help

pub use condition::{Circumstances, Condition, ConditionError, EvalError, NameExpression};
pub use decision::{AclPolicy, ConditionFailure, Decision, Policy, RuleRef};
pub use grant::{Effect, InvalidRule, Rule};
pub use operation::{Operation, OperationSet, Resource, UnknownOperation, UnknownResource};
pub use rights::Rights;
pub use words::nearest;
