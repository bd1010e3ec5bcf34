//! Reports agents that are down: a metric on every replica; on the leader also a log line and an
//! event on the node, once each time its agent goes down. Only nodes with a pod that is not Ready
//! are reported: the DaemonSet may leave out a node without a pod, and `repair/` reports claims
//! that wait there.

use super::metrics::SnapshotMetrics;
use super::updates::Updates;
use super::watcher::SnapshotStore;
use crate::event::{Action, Events};
use fastrak_admission::snapshot::agent::Agent;
use fastrak_admission::snapshot::{Availability, Snapshot};
use fastrak_api::node::NodeName;
use fastrak_api::reason::EventReason;
use fastrak_runtime::lease::Leadership;
use fastrak_runtime::shutdown::Shutdown;
use k8s_openapi::api::core::v1::ObjectReference;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

/// The maximum number of events at a time. If a whole rollout fails, the log has the number.
const MOST_EVENTS: usize = 10;

/// Nodes whose agent is down, with the pod that is not Ready.
type DownAgents = BTreeMap<NodeName, SmolStr>;

/// The task that reports agents.
pub struct AgentsWatch {
    /// The snapshot of the cluster.
    pub store: SnapshotStore,
    /// The metrics.
    pub metrics: SnapshotMetrics,
    /// The event queue.
    pub events: Events,
    /// Whether this replica leads.
    pub leadership: Leadership,
    /// The namespace of the agents.
    pub namespace: String,
    /// How long an agent may be not Ready before it is down.
    pub grace: Duration,
}

impl AgentsWatch {
    /// Watches until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut updates = Updates::at(&self.store, &self.leadership, shutdown);
        let mut reported = DownAgents::new();
        while let Some(leads) = updates.next().await {
            reported = self.look(leads, reported);
        }
        Ok(())
    }

    /// Shows the agents in the metrics, and reports those that have gone down since the last call.
    fn look(&self, leads: bool, reported: DownAgents) -> DownAgents {
        let Some(snapshot) = self.store.latest() else { return reported };
        self.metrics.show_agents(&snapshot);
        if !leads {
            return DownAgents::new();
        }
        let down = down(&snapshot);
        let new: Vec<_> = down.iter().filter(|(node, _)| !reported.contains_key(*node)).collect();
        if new.is_empty() {
            return down;
        }
        let nodes: Vec<_> = new.iter().take(MOST_EVENTS).map(|(node, _)| node.as_str()).collect();
        tracing::warn!(agents = new.len(), ?nodes, "agents are not Ready");
        for (node, pod) in new.into_iter().take(MOST_EVENTS) {
            self.record(node, pod);
        }
        down
    }

    fn record(&self, node: &NodeName, pod: &str) {
        let (namespace, seconds) = (&self.namespace, self.grace.as_secs());
        let note = format!(
            "the agent of node {node} has not been Ready for {seconds}s: claims and deleted volumes of \
             the node wait for it; see kubectl --namespace {namespace} describe pod {pod}"
        );
        let regarding = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(node.to_string()),
            // The kubelet uses the node name as UID, and `kubectl describe node` looks for these
            // events too.
            uid: Some(node.to_string()),
            ..ObjectReference::default()
        };
        self.events.record(regarding, EventReason::AgentNotReady, Action::Watching, note);
    }
}

/// Returns the nodes to report. An agent on a node that is not available is not reported.
fn down(snapshot: &Snapshot) -> DownAgents {
    let agents = snapshot.agents.iter().flat_map(|agents| agents.iter());
    let down = agents.filter_map(|(node, agent)| match agent {
        Agent::Down { pod: Some(pod) } => Some((node.clone(), pod.clone())),
        Agent::Down { pod: None } | Agent::Starting | Agent::Ready => None,
    });
    let available = |node: &NodeName| {
        let info = snapshot.nodes.get(node);
        info.is_some_and(|info| info.availability != Availability::Unavailable)
    };
    down.filter(|(node, _)| available(node)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrak_admission::fixtures::{node, snapshot};
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn a_pod_that_is_not_ready_is_reported_on_a_node_that_takes_pods() {
        let mut cordoned = node("cordoned");
        cordoned["spec"] = json!({"unschedulable": true});
        let snapshot = snapshot(&[node("broken"), node("bare"), node("good"), cordoned]);
        let name = |text: &str| NodeName::parse(text).unwrap();
        let broken = Agent::Down { pod: Some("pod-1".into()) };
        let agents = [
            (name("broken"), broken.clone()),
            (name("cordoned"), broken),
            (name("bare"), Agent::Down { pod: None }),
            (name("good"), Agent::Ready),
        ];
        let snapshot = Snapshot { agents: Some(Arc::new(agents.into())), ..snapshot };
        assert_eq!(down(&snapshot), [(name("broken"), "pod-1".into())].into());
        assert_eq!(down(&Snapshot { agents: None, ..snapshot }), DownAgents::new());
    }
}
