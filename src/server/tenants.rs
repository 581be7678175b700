//! The listeners as they are now: their virtual clusters change when a conflict of names is found.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::warn;

use crate::cluster::{BackendCluster, Directory, Listener, VirtualCluster};
use crate::telemetry::Metrics;

/// Every listener's newest snapshot.
pub struct Tenants {
    listeners: Vec<ArcSwap<Listener>>,
}

impl Tenants {
    pub fn new(directory: &Directory) -> Self {
        Self { listeners: directory.listeners.iter().cloned().map(ArcSwap::new).collect() }
    }

    pub fn listener(&self, place: usize) -> Arc<Listener> {
        self.listeners[place].load_full()
    }

    pub fn listeners_of_backend(&self, backend: &BackendCluster) -> Vec<Arc<Listener>> {
        let listeners = self.listeners.iter().map(ArcSwap::load_full);
        listeners.filter(|listener| listener.cluster.backend.name == backend.name).collect()
    }

    pub fn of_backend(&self, backend: &BackendCluster) -> Vec<Arc<VirtualCluster>> {
        let listeners = self.listeners_of_backend(backend);
        listeners.into_iter().map(|listener| listener.cluster.clone()).collect()
    }

    /// Where a real topic is called like an additional one or an alias, it wins from the next connection on.
    pub fn learn_conflicts(&self, backend: &BackendCluster, topics: &[String], metrics: &Metrics) {
        for held in &self.listeners {
            let listener = held.load_full();
            let cluster = &listener.cluster;
            if cluster.backend.name != backend.name {
                continue;
            }
            let conflicts: BTreeSet<String> = cluster.namespace.conflicts(topics.iter().map(String::as_str));
            metrics.namespace_conflicts(&cluster.name, conflicts.len());
            if conflicts == *cluster.namespace.known_conflicts() {
                continue;
            }
            if cluster.warns_of_conflicts && !conflicts.is_empty() {
                warn!(
                    virtual_cluster = &*cluster.name,
                    topics = ?conflicts,
                    "these additional topics or aliases stand behind topics of the same name under the prefix; \
                     rename one of each pair"
                );
            }
            let namespace = cluster.namespace.with_conflicts(conflicts);
            let cluster = Arc::new(VirtualCluster { namespace, ..(**cluster).clone() });
            held.store(Arc::new(Listener { cluster, ..(*listener).clone() }));
        }
    }
}
