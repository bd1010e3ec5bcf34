//! Explains why no agent serves a waiting claim, and what to do about it. Pure. A claim that waits
//! for its pod or for a starting agent is not reported.

use fastrak_admission::mutate::claim_pin::problem;
use fastrak_admission::snapshot::agent::Agent;
use fastrak_admission::snapshot::{Ineligible, Snapshot};
use fastrak_admission::verdict::{Reason, Verdict};
use fastrak_api::claim::Claim;
use fastrak_api::class::Class;
use fastrak_api::names::{self, kubernetes};
use fastrak_api::node::NodeName;
use fastrak_api::reason::EventReason;

/// An event on an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub reason: EventReason,
    pub note: String,
}

/// Returns the report of a claim that `verdict` does not change.
pub(super) fn claim(claim: &Claim, verdict: &Verdict, snapshot: &Snapshot) -> Option<Report> {
    let class = snapshot.class(claim.class_name()?).filter(|class| class.is_ours())?;
    match claim.served_by() {
        Some(node) => on_node(&node, class, snapshot),
        None => unserved(claim, class, verdict, snapshot),
    }
}

fn on_node(node: &NodeName, class: &Class, snapshot: &Snapshot) -> Option<Report> {
    if let Err(why) = snapshot.eligibility(node, class) {
        let note = format!(
            "no agent serves the claim: it is pinned to node {node}, which {}; {}",
            problem(why),
            match why {
                Ineligible::Unknown | Ineligible::Deleting =>
                    "add the node again, or recreate the claim",
                Ineligible::NotLinux | Ineligible::NotAllowed =>
                    "recreate the claim for another node",
            }
        );
        return Some(Report { reason: EventReason::ClaimNotServed, note });
    }
    let Agent::Down { pod } = snapshot.agent(node)? else { return None };
    let namespace = &snapshot.namespace;
    let note = match pod {
        Some(pod) => format!(
            "the claim waits for the agent of node {node}, which is not Ready; see kubectl --namespace \
             {namespace} describe pod {pod}"
        ),
        None => format!(
            "the claim waits for the agent of node {node}, which has no pod; let DaemonSet {} in namespace \
             {namespace} run there, or recreate the claim and its pod for another node",
            names::AGENT
        ),
    };
    Some(Report { reason: EventReason::AgentNotReady, note })
}

fn unserved(
    claim: &Claim,
    class: &Class,
    verdict: &Verdict,
    snapshot: &Snapshot,
) -> Option<Report> {
    let (class, namespace) = (&class.name, &claim.namespace);
    let why = match verdict.reason {
        Reason::OptedOut => format!(
            "label {}={} of the claim or of namespace {namespace} opts out; remove the label, {}",
            names::ADMISSION,
            names::ADMISSION_DISABLED,
            by_hand()
        ),
        Reason::SystemNamespace => format!(
            "fastrak does not serve namespace {namespace}; create the claim in another namespace, {}",
            by_hand()
        ),
        Reason::BetaClass => format!(
            "its class is named by annotation {}; create it again with spec.storageClassName: {class}",
            kubernetes::STORAGE_CLASS_BETA
        ),
        Reason::MalformedPin => {
            format!("annotation {} is not the name of a node; correct it", names::NODE)
        }
        Reason::MalformedSelectedNode => {
            format!("annotation {} is not the name of a node; remove it", kubernetes::SELECTED_NODE)
        }
        Reason::NoEligibleNode => format!(
            "no node is eligible for class {class}; add a Linux node that its allowedTopologies allow"
        ),
        Reason::NoAgent => format!(
            "no node that is eligible for class {class} has a Ready agent; see kubectl --namespace {} get pods \
             --selector {}={}",
            snapshot.namespace,
            kubernetes::APP_NAME,
            names::AGENT
        ),
        Reason::NoNodeAvailable => format!(
            "all nodes that are eligible for class {class} are cordoned or not Ready; uncordon or repair one, or \
             name one in annotation {}",
            names::NODE
        ),
        _ => return None,
    };
    let note = format!("no agent serves the claim: {why}");
    Some(Report { reason: EventReason::ClaimNotServed, note })
}

/// Returns the advice for a claim that the webhook skips.
fn by_hand() -> String {
    format!("or name its node in annotation and label {}", names::NODE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repair::plan::{Repair, claim as plan};
    use fastrak_admission::fixtures::{annotated, claim as claim_of, node, snapshot, with_labels};
    use fastrak_api::names::kubernetes::{SELECTED_NODE, STORAGE_CLASS_BETA};
    use fastrak_api::names::{NODE, PINNED_BY};
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn report(object: &Value, snapshot: &Snapshot) -> Option<(EventReason, String)> {
        let claim = Claim::parse(&object.to_string()).unwrap();
        match plan(&claim, snapshot) {
            Repair::Report(Report { reason, note }) => Some((reason, note)),
            Repair::Nothing => None,
            Repair::Change(edits, reason) => panic!("{reason}: {edits:?}"),
            Repair::ReadVolume(volume) => panic!("{volume}"),
        }
    }

    fn pinned(node: &str, by: &str) -> Value {
        let pin = [(NODE, node), (PINNED_BY, by), (SELECTED_NODE, node)];
        with_labels(&annotated(&claim_of(Some("waits")), &pin), &[(NODE, node)])
    }

    fn with_agents(agents: &[(&str, Agent)]) -> Snapshot {
        let name = |text: &str| NodeName::parse(text).unwrap();
        let agents = agents.iter().map(|(text, agent)| (name(text), agent.clone()));
        Snapshot {
            agents: Some(Arc::new(agents.collect())),
            ..snapshot(&[node("a"), node("b"), node("c")])
        }
    }

    #[test]
    fn a_claim_that_only_waits_is_not_reported() {
        let down = Agent::Down { pod: None };
        let snapshot = with_agents(&[("a", Agent::Ready), ("b", Agent::Starting), ("c", down)]);
        for object in [
            claim_of(Some("waits")),
            claim_of(Some("foreign")),
            claim_of(Some("nobody")),
            pinned("a", "scheduler"),
            pinned("b", "user"),
        ] {
            assert_eq!(report(&object, &snapshot), None, "{object}");
        }
        let unknown = Snapshot { agents: None, ..snapshot };
        assert_eq!(report(&pinned("c", "scheduler"), &unknown), None);
    }

    #[test]
    fn a_claim_on_a_node_whose_agent_is_down_is_reported() {
        let broken = Agent::Down { pod: Some("agent-x".into()) };
        let snapshot = with_agents(&[("a", broken), ("b", Agent::Down { pod: None })]);
        for (node, wanted) in [
            (
                "a",
                "node a, which is not Ready; see kubectl --namespace fastrak-system describe pod agent-x",
            ),
            ("b", "node b, which has no pod; let DaemonSet fastrak-agent"),
        ] {
            let (reason, note) = report(&pinned(node, "scheduler"), &snapshot).unwrap();
            assert_eq!(reason, EventReason::AgentNotReady);
            assert!(note.contains(wanted), "{note}");
        }
    }

    #[test]
    fn a_user_pin_to_a_node_that_cannot_serve_is_reported() {
        let mut windows = node("w");
        windows["metadata"]["labels"]["kubernetes.io/os"] = json!("windows");
        let snapshot = snapshot(&[node("a"), node("b"), windows]);
        for (node, wanted) in [("gone", "which does not exist"), ("w", "which does not run Linux")]
        {
            let (reason, note) = report(&pinned(node, "user"), &snapshot).unwrap();
            assert_eq!(reason, EventReason::ClaimNotServed);
            assert!(note.contains(wanted) && note.contains("recreate the claim"), "{note}");
        }
    }

    #[test]
    fn a_skipped_claim_is_reported_with_the_remedy() {
        let plain = claim_of(Some("waits"));
        let mut system = plain.clone();
        system["metadata"]["namespace"] = json!("kube-system");
        let two = snapshot(&[node("a"), node("b")]);
        for (object, snapshot, wanted) in [
            (&system, &two, "create the claim in another namespace"),
            (
                &with_labels(&plain, &[(names::ADMISSION, "disabled")]),
                &two,
                "opts out; remove the label",
            ),
            (
                &annotated(&plain, &[(STORAGE_CLASS_BETA, "waits")]),
                &two,
                "create it again with spec.storageClassName: waits",
            ),
            (&annotated(&plain, &[(NODE, "A B")]), &two, "correct it"),
            (&annotated(&plain, &[(SELECTED_NODE, "A B")]), &two, "remove it"),
            (&plain, &snapshot(&[]), "add a Linux node"),
        ] {
            let (reason, note) = report(object, snapshot).unwrap();
            assert_eq!(reason, EventReason::ClaimNotServed);
            assert!(note.contains(wanted), "{note}");
        }
        // A claim with annotation and label is served.
        let by_hand = annotated(&with_labels(&system, &[(NODE, "a")]), &[(NODE, "a")]);
        assert_eq!(report(&by_hand, &two), None);
    }
}
