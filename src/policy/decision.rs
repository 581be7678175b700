//! Policies as the file has them, and a decision with the rule behind it.

use std::fmt;
use std::sync::Arc;

use super::condition::{Circumstances, Condition, EvalError};
use super::grant::{Effect, Rule};
use super::rights::{Index, Rights, Share};

/// All that the file says about who may do what in one virtual cluster.
///
/// Shape: cheap to clone; what does not depend on the login is indexed once.
#[derive(Clone, Debug)]
pub struct Policy(Mode);

#[derive(Clone, Debug)]
enum Mode {
    Passthrough,
    Enforce(Arc<Enforced>),
}

/// Rules that count while a condition is true.
#[derive(Clone, Debug)]
pub struct AclPolicy {
    pub name: Arc<str>,
    /// None: always true.
    pub condition: Option<Condition>,
    pub rules: Vec<Rule>,
}

#[derive(Debug)]
struct Enforced {
    /// Every rule of every policy, in the order of the file; indexes point here.
    rules: Arc<[RuleRef]>,
    /// The written rules of the policies without a condition.
    always: Arc<Index>,
    parts: Vec<Part>,
}

/// A policy that each login must be held against.
#[derive(Debug)]
struct Part {
    name: Arc<str>,
    condition: Option<Condition>,
    /// Its written rules; none where they are in `always`.
    written: Arc<Index>,
    /// Its rules whose names an expression yields.
    computed: Vec<(u32, Rule)>,
}

impl Policy {
    /// Decides here: what no rule allows is refused.
    pub fn enforce(policies: Vec<AclPolicy>) -> Self {
        let mut rules = Vec::new();
        let mut always = Index::default();
        let mut parts = Vec::new();
        for AclPolicy { name, condition, rules: own_rules } in policies {
            let mut own = Index::default();
            let mut computed = Vec::new();
            for (at, rule) in own_rules.into_iter().enumerate() {
                let number = rules.len() as u32;
                rules.push(RuleRef { policy: name.clone(), rule: at });
                if rule.computed_names().is_some() {
                    computed.push((number, rule));
                } else {
                    let index = if condition.is_some() { &mut own } else { &mut always };
                    index.add_written(number, &rule);
                }
            }
            if condition.is_some() || !computed.is_empty() {
                parts.push(Part { name, condition, written: Arc::new(own), computed });
            }
        }
        Self(Mode::Enforce(Arc::new(Enforced { rules: rules.into(), always: Arc::new(always), parts })))
    }

    /// Leaves it to the broker: everything is granted here.
    pub fn passthrough() -> Self {
        Self(Mode::Passthrough)
    }

    pub fn is_passthrough(&self) -> bool {
        matches!(self.0, Mode::Passthrough)
    }

    /// The rules that count for one login.
    ///
    /// Errors: where an expression fails, its allow rules do not count and its deny rules do; the
    /// failure is among [`Rights::failures`].
    pub fn rights(&self, circumstances: &Circumstances) -> Rights {
        match &self.0 {
            Mode::Passthrough => Rights::everything(),
            Mode::Enforce(enforced) => enforced.rights(circumstances),
        }
    }
}

impl Enforced {
    fn rights(&self, circumstances: &Circumstances) -> Rights {
        let mut shares = vec![Share { index: self.always.clone(), denies_only: false }];
        let mut own = Index::default();
        let mut failures = Vec::new();
        for part in &self.parts {
            let holds =
                part.condition.as_ref().map_or(Ok(true), |condition| condition.evaluate(circumstances));
            let denies_only = match holds {
                Ok(true) => false,
                Ok(false) => continue,
                Err(error) => {
                    failures.push(ConditionFailure { policy: part.name.clone(), rule: None, error });
                    true
                }
            };
            shares.push(Share { index: part.written.clone(), denies_only });
            for (number, rule) in &part.computed {
                if denies_only && rule.effect() == Effect::Allow {
                    continue;
                }
                if let Err(error) = own.add_computed(*number, rule, circumstances) {
                    let rule = Some(self.rules[*number as usize].rule);
                    failures.push(ConditionFailure { policy: part.name.clone(), rule, error });
                }
            }
        }
        if !own.is_empty() {
            shares.push(Share { index: Arc::new(own), denies_only: false });
        }
        shares.retain(|share| !share.index.is_empty());
        Rights::ruled(self.rules.clone(), shares, failures)
    }
}

/// Yes or no, and which rule said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    /// None: no rule matched, or the broker decides.
    pub by: Option<RuleRef>,
}

/// Which rule decided.
///
/// Units: `rule` counts from 0; shown to people it counts from 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RuleRef {
    pub policy: Arc<str>,
    pub rule: usize,
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rule {}", self.policy, self.rule + 1)
    }
}

/// A policy that could not be held against a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionFailure {
    pub policy: Arc<str>,
    /// The rule whose names failed, counted from 0; none where the condition did.
    pub rule: Option<usize>,
    pub error: EvalError,
}

impl fmt::Display for ConditionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule {
            None => write!(f, "condition of {}: {}", self.policy, self.error),
            Some(rule) => write!(f, "names of {} rule {}: {}", self.policy, rule + 1, self.error),
        }
    }
}
