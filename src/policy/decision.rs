//! Policies as the file has them, and a decision with the rule behind it.

use std::fmt;
use std::sync::Arc;

use super::condition::Condition;
use super::expression::{Circumstances, EvalError};
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

    /// Which policies count for one login, in the order of the file; of those without a rule nothing is told.
    pub fn standings(&self, circumstances: &Circumstances) -> Vec<Standing> {
        match &self.0 {
            Mode::Passthrough => Vec::new(),
            Mode::Enforce(enforced) => enforced.standings(circumstances),
        }
    }
}

/// Whether a policy's rules count for one login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub policy: Arc<str>,
    /// As it is written; none means always.
    pub condition: Option<String>,
    /// Where the condition fails, allow rules do not count and deny rules do.
    pub counts: Result<bool, EvalError>,
}

impl Enforced {
    fn standings(&self, circumstances: &Circumstances) -> Vec<Standing> {
        let mut standings: Vec<Standing> = Vec::new();
        for rule in self.rules.iter() {
            if standings.iter().any(|standing| standing.policy == rule.policy) {
                continue;
            }
            let part = self.parts.iter().find(|part| part.name == rule.policy);
            let condition = part.and_then(|part| part.condition.as_ref());
            standings.push(Standing {
                policy: rule.policy.clone(),
                condition: condition.map(|condition| condition.as_str().to_owned()),
                counts: condition.map_or(Ok(true), |condition| condition.evaluate(circumstances)),
            });
        }
        standings
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Glob, Principal};
    use crate::policy::{NameExpression, Operation, Resource};
    use serde_json::{Value, json};

    fn written(effect: Effect, name: &str) -> Rule {
        Rule::new(effect, Resource::Topic, [Operation::Read], vec![Glob::new(name)]).unwrap()
    }

    fn computed(effect: Effect, expression: &str) -> Rule {
        let names = NameExpression::parse(expression).unwrap();
        Rule::with_computed_names(effect, Resource::Topic, [Operation::Read], names).unwrap()
    }

    fn policy(name: &str, condition: Option<&str>, rules: Vec<Rule>) -> AclPolicy {
        let condition = condition.map(|text| Condition::parse(text).unwrap());
        AclPolicy { name: name.into(), condition, rules }
    }

    fn rights(policy: &Policy, claims: &Value) -> Rights {
        policy.rights(&Circumstances {
            auth_type: "oauth_bearer",
            principal: &Principal::new("alice"),
            claims,
            extensions: &[],
            client_id: Some("app"),
            client_address: "10.0.0.7",
            listener: "front",
        })
    }

    fn reads(rights: &Rights, topic: &str) -> bool {
        rights.decide(Operation::Read, Resource::Topic, topic).allowed
    }

    #[test]
    fn a_policys_rules_count_while_its_condition_is_true() {
        let condition = "context.auth.token.claims.client_id == 'reader-app'";
        let policy = Policy::enforce(vec![
            policy(
                "readers",
                Some(condition),
                vec![written(Effect::Deny, "x"), written(Effect::Allow, "orders")],
            ),
            policy("all", None, vec![written(Effect::Allow, "public")]),
        ]);
        let reader = rights(&policy, &json!({"client_id": "reader-app"}));
        let decision = reader.decide(Operation::Read, Resource::Topic, "orders");
        assert!(decision.allowed);
        assert_eq!(decision.by.unwrap().to_string(), "readers rule 2");
        for claims in [json!({"client_id": "other"}), json!({}), Value::Null] {
            let other = rights(&policy, &claims);
            assert!(!reads(&other, "orders") && reads(&other, "public"), "{claims}");
            assert!(other.failures().is_empty());
        }
    }

    #[test]
    fn a_condition_that_fails_leaves_only_its_denials() {
        let policy = Policy::enforce(vec![
            policy("base", None, vec![written(Effect::Allow, "secret"), written(Effect::Allow, "orders")]),
            policy(
                "odd",
                Some("context.auth.claims.role.startsWith('x')"),
                vec![written(Effect::Allow, "extra"), written(Effect::Deny, "secret")],
            ),
        ]);
        let failed = rights(&policy, &json!({}));
        assert!(reads(&failed, "orders") && !reads(&failed, "secret") && !reads(&failed, "extra"));
        assert_eq!(failed.failures().len(), 1);
        assert_eq!(
            failed.failures()[0].to_string(),
            "condition of odd: context.auth.claims.role is null and has no startsWith()"
        );
        let absent = rights(&policy, &json!({"role": "y"}));
        assert!(reads(&absent, "secret") && !reads(&absent, "extra") && absent.failures().is_empty());
    }

    #[test]
    fn a_condition_that_is_neither_true_nor_false_fails() {
        let rules = vec![written(Effect::Allow, "*")];
        let policy = Policy::enforce(vec![policy("odd", Some("context.auth.claims.admin"), rules)]);
        assert!(reads(&rights(&policy, &json!({"admin": true})), "orders"));
        assert!(!reads(&rights(&policy, &json!({"admin": false})), "orders"));
        let text = rights(&policy, &json!({"admin": "true"}));
        assert!(!reads(&text, "orders"));
        assert_eq!(text.failures().len(), 1);
        assert!(!text.decide_on_any(Operation::Read, Resource::Topic).allowed);
    }

    #[test]
    fn names_come_from_claims_as_literal_text() {
        let rules = vec![computed(Effect::Allow, "context.auth.claims.topics")];
        let policy = Policy::enforce(vec![policy("own", None, rules)]);
        let own = rights(&policy, &json!({"topics": ["orders", "*"]}));
        assert!(reads(&own, "orders") && reads(&own, "*") && !reads(&own, "payments"));
        let none = rights(&policy, &json!({}));
        assert!(!reads(&none, "orders"));
        assert_eq!(none.failures()[0].rule, Some(0));
    }

    #[test]
    fn a_deny_whose_names_fail_covers_every_name() {
        let policy = Policy::enforce(vec![
            policy("base", None, vec![written(Effect::Allow, "*")]),
            policy("hidden", None, vec![computed(Effect::Deny, "context.auth.claims.hidden")]),
        ]);
        let fine = rights(&policy, &json!({"hidden": ["secret"]}));
        assert!(reads(&fine, "orders") && !reads(&fine, "secret"));
        let failed = rights(&policy, &json!({"hidden": 5}));
        assert!(!reads(&failed, "orders") && !reads(&failed, "secret"));
        let decision = failed.decide(Operation::Read, Resource::Topic, "orders");
        assert_eq!(decision.by.unwrap().to_string(), "hidden rule 1");
    }

    #[test]
    fn denials_with_computed_names_count_when_the_condition_fails() {
        let policy = Policy::enforce(vec![
            policy("base", None, vec![written(Effect::Allow, "*")]),
            policy(
                "odd",
                Some("context.auth.claims.n < 'x'"),
                vec![
                    computed(Effect::Deny, "context.auth.claims.hidden"),
                    computed(Effect::Allow, "context.auth.claims.nope"),
                ],
            ),
        ]);
        let failed = rights(&policy, &json!({"n": 1, "hidden": "secret"}));
        assert!(reads(&failed, "orders") && !reads(&failed, "secret"));
        assert_eq!(failed.failures().len(), 1);
    }

    #[test]
    fn passthrough_grants_everything_and_an_empty_policy_nothing() {
        let (open, closed) = (Policy::passthrough(), Policy::enforce(vec![]));
        assert!(open.is_passthrough() && !closed.is_passthrough());
        for operation in Operation::EACH {
            let everything = rights(&open, &Value::Null);
            assert!(everything.decide(operation, Resource::Cluster, Resource::CLUSTER_NAME).allowed);
            assert!(everything.decide_on_any(operation, Resource::Topic).allowed);
            let nothing = rights(&closed, &Value::Null);
            assert!(!nothing.decide(operation, Resource::Cluster, Resource::CLUSTER_NAME).allowed);
            assert!(!nothing.decide_on_any(operation, Resource::Topic).allowed);
        }
    }
}
