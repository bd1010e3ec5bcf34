//! The metrics of the snapshot: default classes and agents.

use crate::metrics::Labels;
use fastrak_admission::snapshot::Snapshot;
use fastrak_admission::snapshot::agent::Agent;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use std::collections::BTreeMap;

crate::metrics::metric_table! {
    /// The metrics of the snapshot.
    pub struct SnapshotMetrics {
        default_classes: Gauge, "default_classes",
            "StorageClasses marked as the default; more than one is a mistake";
        /// Absent while the agents are unknown.
        agents: Family<Labels<1>, Gauge>, "agents", "Nodes, by the state of their agent";
    }
}

impl SnapshotMetrics {
    pub fn show_defaults(&self, snapshot: &Snapshot) {
        let defaults = snapshot.defaults().len();
        self.default_classes.set(i64::try_from(defaults).unwrap_or(i64::MAX));
    }

    pub fn show_agents(&self, snapshot: &Snapshot) {
        let Some(agents) = &snapshot.agents else { return self.agents.clear() };
        let mut counts = BTreeMap::from([("ready", 0), ("starting", 0), ("down", 0)]);
        for agent in agents.values() {
            let state = match agent {
                Agent::Ready => "ready",
                Agent::Starting => "starting",
                Agent::Down { .. } => "down",
            };
            *counts.entry(state).or_default() += 1;
        }
        for (state, count) in counts {
            self.agents.get_or_create_owned(&[("state", state)]).set(count);
        }
    }
}
