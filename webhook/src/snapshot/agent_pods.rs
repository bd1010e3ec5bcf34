//! Derives the agent of each node from the agents' pods: a node runs an agent if a Ready pod of the
//! agent's DaemonSet is on it. Pure: `now` is passed in.

use fastrak_admission::snapshot::NodeInfo;
use fastrak_admission::snapshot::agent::Agent;
use fastrak_admission::snapshot::node::Condition;
use fastrak_api::node::NodeName;
use serde::Deserialize;
use serde::de::IgnoredAny;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// A pod of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentPod {
    node: NodeName,
    is_ready: bool,
}

/// Tracks since when the agent of each node has not been Ready.
#[derive(Debug)]
pub(crate) struct AgentTracker {
    grace: Duration,
    since: BTreeMap<NodeName, Instant>,
    next: Option<Instant>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodShape {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    deletion_timestamp: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
}

impl AgentPod {
    /// Parses a pod and its name. Returns no pod until it has a node.
    pub(crate) fn read(text: &str) -> Result<(String, Option<Self>), serde_json::Error> {
        let PodShape { metadata, spec, status } = serde_json::from_str(text)?;
        let ready = status.conditions.iter().any(Condition::is_ready);
        let is_ready = ready && metadata.deletion_timestamp.is_none();
        let pod = NodeName::parse(&spec.node_name).ok().map(|node| Self { node, is_ready });
        Ok((metadata.name, pod))
    }
}

impl AgentTracker {
    /// Returns a tracker by which an agent is down once it has had no Ready pod for `grace`.
    pub(crate) const fn new(grace: Duration) -> Self {
        Self { grace, since: BTreeMap::new(), next: None }
    }

    /// Returns the agent of each node. Returns `None` if there is no pod: agents run in another
    /// way, or are not installed yet.
    pub(crate) fn track(
        &mut self,
        nodes: &BTreeMap<NodeName, NodeInfo>,
        pods: &BTreeMap<String, AgentPod>,
        now: Instant,
    ) -> Option<BTreeMap<NodeName, Agent>> {
        self.next = None;
        if pods.is_empty() {
            self.since.clear();
            return None;
        }
        let mut of_node: BTreeMap<&NodeName, (bool, &str)> = BTreeMap::new();
        for (name, pod) in pods {
            let best = of_node.entry(&pod.node).or_insert((pod.is_ready, name));
            *best = (*best).max((pod.is_ready, name));
        }
        self.since.retain(|node, _| nodes.contains_key(node));
        let hosts =
            nodes.iter().filter(|(_, info)| info.ineligible.is_none()).map(|(name, _)| name);
        let agents = hosts.map(|node| (node.clone(), self.agent(node, of_node.get(node), now)));
        Some(agents.collect())
    }

    fn agent(&mut self, node: &NodeName, pod: Option<&(bool, &str)>, now: Instant) -> Agent {
        if let Some((true, _)) = pod {
            self.since.remove(node);
            return Agent::Ready;
        }
        let since = *self.since.entry(node.clone()).or_insert(now);
        let until = since + self.grace;
        if now < until {
            self.next = Some(self.next.map_or(until, |next| next.min(until)));
            return Agent::Starting;
        }
        Agent::Down { pod: pod.map(|(_, name)| SmolStr::new(name)) }
    }

    /// Returns the time at which the next starting agent is down.
    pub(crate) const fn next(&self) -> Option<Instant> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const GRACE: Duration = Duration::from_secs(60);

    fn pod(name: &str, node: &str, ready: &str) -> Value {
        json!({
            "metadata": {"name": name, "labels": {"team": "x"}},
            "spec": {"nodeName": node, "containers": [{"name": "agent"}]},
            "status": {"phase": "Running", "conditions": [
                {"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}]},
        })
    }

    fn pods(all: &[Value]) -> BTreeMap<String, AgentPod> {
        let read = all.iter().map(|pod| AgentPod::read(&pod.to_string()).unwrap());
        read.filter_map(|(name, pod)| Some((name, pod?))).collect()
    }

    fn name(text: &str) -> NodeName {
        NodeName::parse(text).unwrap()
    }

    fn nodes(names: &[&str]) -> BTreeMap<NodeName, NodeInfo> {
        names.iter().map(|text| (name(text), NodeInfo::default())).collect()
    }

    #[test]
    fn a_pod_is_read_once_it_has_a_node() {
        let ready = AgentPod { node: name("a"), is_ready: true };
        let read = |pod: &Value| AgentPod::read(&pod.to_string()).unwrap();
        assert_eq!(read(&pod("p", "a", "True")), ("p".to_owned(), Some(ready)));
        assert!(!read(&pod("p", "a", "False")).1.unwrap().is_ready);
        let mut leaving = pod("p", "a", "True");
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(!read(&leaving).1.unwrap().is_ready);
        assert_eq!(read(&json!({"metadata": {"name": "p"}})), ("p".to_owned(), None));
    }

    #[test]
    fn a_node_runs_an_agent_while_any_pod_of_it_is_ready() {
        let mut tracker = AgentTracker::new(GRACE);
        let pods =
            pods(&[pod("old", "a", "False"), pod("new", "a", "True"), pod("b", "b", "True")]);
        let agents = tracker.track(&nodes(&["a", "b"]), &pods, Instant::now()).unwrap();
        assert_eq!(agents, [(name("a"), Agent::Ready), (name("b"), Agent::Ready)].into());
        assert_eq!(tracker.next(), None);
    }

    #[test]
    fn an_agent_that_is_not_ready_is_starting_for_a_while_and_then_down() {
        let (mut tracker, start) = (AgentTracker::new(GRACE), Instant::now());
        let (nodes, broken) = (nodes(&["a", "b"]), pods(&[pod("broken", "a", "False")]));
        let first = tracker.track(&nodes, &broken, start).unwrap();
        assert!(first.values().all(|agent| *agent == Agent::Starting));
        assert_eq!(tracker.next(), Some(start + GRACE));
        let agents = tracker.track(&nodes, &broken, start + GRACE).unwrap();
        let down = |pod: Option<&str>| Agent::Down { pod: pod.map(SmolStr::new) };
        assert_eq!(agents, [(name("a"), down(Some("broken"))), (name("b"), down(None))].into());
        assert_eq!(tracker.next(), None);
    }

    #[test]
    fn in_a_rollout_whose_pods_return_in_time_no_agent_is_down() {
        let (mut tracker, start) = (AgentTracker::new(GRACE), Instant::now());
        let nodes = nodes(&["a", "b"]);
        let ready = pod("b", "b", "True");
        for round in 0..5 {
            let now = start + GRACE * round;
            let gone = pods(std::slice::from_ref(&ready));
            let agents = tracker.track(&nodes, &gone, now).unwrap();
            assert_eq!(agents[&name("a")], Agent::Starting, "{round}");
            let back = pods(&[ready.clone(), pod(&format!("a-{round}"), "a", "True")]);
            let agents = tracker.track(&nodes, &back, now + GRACE / 2).unwrap();
            assert_eq!(agents[&name("a")], Agent::Ready, "{round}");
        }
    }

    #[test]
    fn without_pods_agents_are_unknown_and_ineligible_nodes_have_none() {
        let (mut tracker, now) = (AgentTracker::new(Duration::ZERO), Instant::now());
        assert_eq!(tracker.track(&nodes(&["a"]), &BTreeMap::new(), now), None);
        let mut nodes = nodes(&["a", "window"]);
        nodes.get_mut(&name("window")).unwrap().ineligible =
            Some(fastrak_admission::snapshot::Ineligible::NotLinux);
        let agents = tracker.track(&nodes, &pods(&[pod("a", "a", "True")]), now).unwrap();
        assert_eq!(agents, [(name("a"), Agent::Ready)].into());
    }
}
