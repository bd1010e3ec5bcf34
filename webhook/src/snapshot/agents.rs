//! Reports agents that are down: a gauge of every replica's; by the leader also a line in the log and
//! an event on the node, once for each time that its agent goes down. It looks at nodes on which a pod
//! of the agent is not Ready. A node without such a pod may be one that the DaemonSet leaves out; a
//! claim that waits there is reported by `repair/`.

use super::looks::Looks;
use super::metrics::SnapshotMetrics;
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

/// How many nodes get an event at a time: where a whole rollout fails, the log has the number.
const MOST_EVENTS: usize = 10;

/// Nodes whose agent is down, with the pod that is not Ready.
type DownAgents = BTreeMap<NodeName, SmolStr>;

/// The task that reports agents.
pub struct AgentsWatch {
    /// Where the snapshot are.
    pub store: SnapshotStore,
    /// What is measured.
    pub metrics: SnapshotMetrics,
    /// The event queue.
    pub events: Events,
    /// Whether this replica leads. Every replica counts, one reports.
    pub leadership: Leadership,
    /// The namespace of the agents.
    pub namespace: String,
    /// How long an agent has not been Ready when it counts as down.
    pub grace: Duration,
}

impl AgentsWatch {
    /// Watches until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut looks = Looks::at(&self.store, &self.leadership, shutdown);
        let mut reported = DownAgents::new();
        while let Some(leads) = looks.next().await {
            reported = self.look(leads, reported);
        }
        Ok(())
    }

    /// Counts the agents, and reports those that have gone down since the last look.
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
            // As the kubelet does: `kubectl describe node` looks for events of this uid too.
            uid: Some(node.to_string()),
            ..ObjectReference::default()
        };
        self.events.record(regarding, EventReason::AgentNotReady, Action::Watching, note);
    }
}

/// Returns the nodes to report. On a node that takes no pods itself, an agent that is not Ready is no
/// news.
fn down(snapshot: &Snapshot) -> DownAgents {
    let agents = snapshot.agents.iter().flat_map(|agents| agents.iter());
    let down = agents.filter_map(|(node, agent)| match agent {
        Agent::Down { pod: Some(pod) } => Some((node.clone(), pod.clone())),
        Agent::Down { pod: None } | Agent::Starting | Agent::Ready => None,
    });
    let available = |node: &NodeName| {
        let fact = snapshot.nodes.get(node);
        fact.is_some_and(|fact| fact.availability != Availability::Unavailable)
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
