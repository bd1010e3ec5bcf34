//! Reports agents that are down: a log line and an event on the node, once each time its agent goes
//! down. Only nodes with a pod that is not Ready
//! are reported: the DaemonSet may leave out a node without a pod, and `repair/` reports claims
//! that wait there.

use super::reporter::SnapshotReporter;
use crate::event::Action;
use fastrak_admission::snapshot::agent::Agent;
use fastrak_admission::snapshot::{Availability, Snapshot};
use fastrak_api::node::NodeName;
use fastrak_api::reason::EventReason;
use k8s_openapi::api::core::v1::ObjectReference;
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// The maximum number of events at a time. If a whole rollout fails, the log has the number.
const MAX_EVENTS: usize = 10;

/// Nodes whose agent is down, with the pod that is not Ready.
pub(super) type DownAgents = BTreeMap<NodeName, SmolStr>;

impl SnapshotReporter {
    /// Reports the agents that are down and not among the reported ones. Returns all that are down.
    pub(super) fn report_agents(&self, snapshot: &Snapshot, reported: &DownAgents) -> DownAgents {
        let down = down(snapshot);
        let new: Vec<_> = down.iter().filter(|(node, _)| !reported.contains_key(*node)).collect();
        if new.is_empty() {
            return down;
        }
        let nodes: Vec<_> = new.iter().take(MAX_EVENTS).map(|(node, _)| node.as_str()).collect();
        tracing::warn!(agents = new.len(), ?nodes, "found agents that are not Ready");
        for (node, pod) in new.into_iter().take(MAX_EVENTS) {
            self.record_down(node, pod);
        }
        down
    }

    fn record_down(&self, node: &NodeName, pod: &str) {
        let (namespace, seconds) = (&self.namespace, self.agent_grace.as_secs());
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
