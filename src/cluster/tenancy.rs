//! A prefix that each login brings: one virtual cluster, any number of tenants.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::VirtualCluster;
use crate::names::InvalidNamespace;
use crate::policy::{Circumstances, EvalError, TextExpression};

/// A prefix of which a part comes from the login.
///
/// Shape: the same tenant has the same prefix at every login, and of two tenants' prefixes none begins with
/// the other, since what ends them stands nowhere else in them.
pub struct ComputedPrefix {
    start: String,
    tenant: TextExpression,
    end: String,
    /// Every tenant's world, for as long as anybody is in it.
    worlds: Mutex<HashMap<String, Weak<VirtualCluster>>>,
}

/// Why a login belongs to no tenant; what it said instead is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTenant {
    #[error("the namespace's prefix can not be computed: {0}")]
    Expression(#[from] EvalError),
    #[error("what is to be a part of the namespace's prefix is empty")]
    Empty,
    #[error(
        "what is to be a part of the namespace's prefix holds {0:?}, which ends every prefix ('.' and '_' count as one)"
    )]
    HoldsEnd(String),
    #[error(
        "what is to be a part of the namespace's prefix holds '.', which Kafka takes for '_' when names collide"
    )]
    HoldsDot,
    #[error("what is to be a part of the namespace's prefix makes none: {0}")]
    Invalid(InvalidNamespace),
}

impl ComputedPrefix {
    /// A prefix with text before and after the tenant; the text after it is not empty.
    pub fn new(start: impl Into<String>, tenant: TextExpression, end: impl Into<String>) -> Self {
        Self { start: start.into(), tenant, end: end.into(), worlds: Mutex::default() }
    }

    fn resolve(&self, circumstances: &Circumstances) -> Result<String, NoTenant> {
        let tenant = self.tenant.evaluate(circumstances)?;
        if tenant.is_empty() {
            return Err(NoTenant::Empty);
        }
        // Kafka takes names for colliding that differ only in '.' and '_', and tells of the other.
        if tenant.contains('.') {
            return Err(NoTenant::HoldsDot);
        }
        // Also where the tenant's own end and the first of that text would make it.
        let prefix = format!("{tenant}{}", self.end);
        if folded(&prefix).find(&folded(&self.end)) != Some(tenant.len()) {
            return Err(NoTenant::HoldsEnd(self.end.clone()));
        }
        Ok(format!("{}{prefix}", self.start))
    }
}

impl VirtualCluster {
    /// The tenant's world that a login enters.
    ///
    /// Errors: the login says no tenant; it is refused.
    pub fn for_login(self: &Arc<Self>, circumstances: &Circumstances) -> Result<Arc<Self>, NoTenant> {
        let Some(computed) = &self.computed_prefix else { return Ok(self.clone()) };
        let prefix = computed.resolve(circumstances)?;
        // Nothing in here leaves the map half changed.
        let mut worlds = computed.worlds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(world) = worlds.get(&prefix).and_then(Weak::upgrade) {
            return Ok(world);
        }
        let namespace = self.namespace.with_prefix(&prefix).map_err(NoTenant::Invalid)?;
        let cluster_id = format!("{}.{prefix}", self.cluster_id);
        let cluster_id = Self::derived_id(&cluster_id).into();
        let world = Arc::new(Self { namespace, cluster_id, ..(**self).clone() });
        if worlds.len() >= WORLDS_SWEPT_AT && worlds.len() == worlds.capacity() {
            worlds.retain(|_, world| world.strong_count() > 0);
        }
        worlds.insert(prefix, Arc::downgrade(&world));
        Ok(world)
    }
}

impl fmt::Debug for ComputedPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ComputedPrefix({:?}, {}, {:?})", self.start, self.tenant.as_str(), self.end)
    }
}

fn folded(text: &str) -> String {
    text.replace('.', "_")
}

/// Fewer worlds than this are not worth looking which of them are empty.
const WORLDS_SWEPT_AT: usize = 64;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use std::time::Duration;

    use super::super::{BackendCluster, OptIns};
    use crate::auth::BrokerLogin;
    use crate::names::{Mode, Namespace, Principal};
    use crate::policy::Policy;

    fn cluster(start: &str, end: &str) -> Arc<VirtualCluster> {
        let tenant = TextExpression::parse("context.auth.token.claims.tenant").unwrap();
        Arc::new(VirtualCluster {
            computed_prefix: Some(Arc::new(ComputedPrefix::new(start, tenant, end))),
            name: "team".into(),
            cluster_id: "team-id".into(),
            backend: Arc::new(BackendCluster {
                name: "local".into(),
                bootstrap: Vec::new(),
                login: BrokerLogin::Anonymous,
                tls: None,
                metadata_interval: Duration::from_secs(60),
                topic_ids: Arc::default(),
            }),
            authentication: Arc::default(),
            warns_of_conflicts: false,
            namespace: Namespace::unresolved(Mode::HidePrefix),
            policy: Arc::new(Policy::passthrough()),
            opt_ins: OptIns::default(),
        })
    }

    fn enter(cluster: &Arc<VirtualCluster>, claims: &Value) -> Result<Arc<VirtualCluster>, NoTenant> {
        cluster.for_login(&Circumstances {
            auth_type: "oauth_bearer",
            principal: &Principal::new("alice"),
            claims,
            extensions: &[],
            client_id: None,
            client_address: "127.0.0.1",
            listener: "front",
        })
    }

    fn refused(start: &str, end: &str, claims: Value, expected: &str) {
        let why = enter(&cluster(start, end), &claims).unwrap_err().to_string();
        assert!(why.contains(expected), "{claims}: {why}");
    }

    #[test]
    fn each_tenant_has_a_world_of_its_own_that_its_logins_share() {
        let cluster = cluster("t-", ".");
        let blue = enter(&cluster, &json!({"tenant": "blue"})).unwrap();
        let again = enter(&cluster, &json!({"tenant": "blue"})).unwrap();
        let red = enter(&cluster, &json!({"tenant": "red"})).unwrap();
        assert!(Arc::ptr_eq(&blue, &again));
        assert_eq!((blue.namespace.prefix(), red.namespace.prefix()), ("t-blue.", "t-red."));
        assert_ne!(blue.cluster_id, red.cluster_id);
        drop((blue, again));
        let blue = enter(&cluster, &json!({"tenant": "blue"})).unwrap();
        assert_eq!(blue.namespace.prefix(), "t-blue.");
    }

    #[test]
    fn worlds_that_nobody_is_in_are_forgotten() {
        let cluster = cluster("", ".");
        for tenant in 0..10_000 {
            enter(&cluster, &json!({"tenant": format!("t{tenant}")})).unwrap();
        }
        let computed = cluster.computed_prefix.as_ref().unwrap();
        assert!(computed.worlds.lock().unwrap().len() < 1_000);
    }

    #[test]
    fn a_login_that_says_no_tenant_is_refused() {
        for (claims, expected) in [
            (json!({}), "yields null where text is needed"),
            (json!({"tenant": 5}), "yields a number"),
            (json!({"tenant": ["blue"]}), "yields a list"),
            (json!({"tenant": {"a": "b"}}), "yields an object"),
            (json!({"tenant": true}), "yields true or false"),
            (json!({"tenant": ""}), "is empty"),
            (json!({"tenant": "a.b"}), "holds '.'"),
            (json!({"tenant": "a."}), "holds '.'"),
            (json!({"tenant": "a_b"}), "holds \".\""),
            (json!({"tenant": "*"}), "'*'"),
            (json!({"tenant": "a b"}), "' '"),
            (json!({"tenant": "a\u{0}"}), "'\\0'"),
            (json!({"tenant": "x".repeat(300)}), "301 characters"),
        ] {
            refused("", ".", claims, expected);
        }
        // "x-" and "--" hold "--" before its place.
        refused("", "--", json!({"tenant": "x-"}), "holds \"--\"");
    }

    #[test]
    fn of_two_tenants_prefixes_none_begins_with_the_other() {
        let values = ["a", "b", "ab", "a-", "-a", "a-b", "a_b", "a.b", "aa", "a_", "_", "."];
        for end in [".", "-", "--", "a", "-a", "_x_"] {
            let cluster = cluster("p.", end);
            let worlds: Vec<_> =
                values.iter().filter_map(|tenant| enter(&cluster, &json!({"tenant": tenant})).ok()).collect();
            for (at, one) in worlds.iter().enumerate() {
                for (other_at, other) in worlds.iter().enumerate() {
                    let [one, other] = [one, other].map(|world| folded(world.namespace.prefix()));
                    let begins = one.starts_with(&other);
                    assert_eq!(begins, at == other_at, "{end}: {one} {other}");
                }
            }
        }
    }

    #[test]
    fn before_a_login_no_name_is_in_it() {
        use crate::names::{Backend, Kind};
        use kafka_protocol::protocol::StrBytes;
        let cluster = cluster("t-", ".");
        for name in ["orders", "t-blue.orders", "__consumer_offsets", ""] {
            let name = Backend::said_by_broker(StrBytes::from_static_str(name));
            assert!(cluster.namespace.to_virtual(Kind::Topic, &name).is_none());
        }
    }
}
