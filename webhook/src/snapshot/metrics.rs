//! The metrics of the snapshot: default classes and agents.

use fastrak_admission::snapshot::Snapshot;
use fastrak_admission::snapshot::agent::Agent;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

crate::metrics::metric_table! {
    /// The metrics of the snapshot.
    pub struct SnapshotMetrics {
        default_classes: Gauge, "default_classes",
            "StorageClasses marked as the default; more than one is a mistake";
        /// Absent while the agents are unknown.
        agents: Family<AgentLabel, Gauge>, "agents", "Nodes, by the state of their agent";
    }
}

/// The label of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AgentLabel {
    /// Its state.
    pub state: AgentState,
}

fastrak_api::text_enum! {
    /// The state of an agent.
    pub enum AgentState {
        /// One of its pods is Ready.
        Ready = "ready",
        /// It has had no Ready pod for a short time.
        Starting = "starting",
        /// It has had no Ready pod for longer than the grace period.
        Down = "down",
    }
}

impl SnapshotMetrics {
    /// Shows the number of default classes.
    pub fn show_defaults(&self, snapshot: &Snapshot) {
        let defaults = snapshot.defaults().len();
        self.default_classes.set(i64::try_from(defaults).unwrap_or(i64::MAX));
    }

    /// Shows the agents by state.
    pub fn show_agents(&self, snapshot: &Snapshot) {
        let Some(agents) = &snapshot.agents else { return self.agents.clear() };
        for state in AgentState::ALL {
            let count = agents.values().filter(|agent| AgentState::from(*agent) == state).count();
            let gauge = self.agents.get_or_create_owned(&AgentLabel { state });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

impl From<&Agent> for AgentState {
    fn from(agent: &Agent) -> Self {
        match agent {
            Agent::Ready => Self::Ready,
            Agent::Starting => Self::Starting,
            Agent::Down { .. } => Self::Down,
        }
    }
}
