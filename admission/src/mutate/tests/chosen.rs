//! Tests of the node that fastrak chooses.

use super::*;

#[test]
fn the_only_node_is_chosen_at_once() {
    let mut windows = node("w");
    windows["metadata"]["labels"]["kubernetes.io/os"] = json!("windows");
    let object = claim_of(Some("waits"));
    let verdict = create(&object, &snapshot(&[node("a"), windows]));
    let changed = after(&object, &verdict);
    assert_eq!(pin_of(&changed), (Some("a"), Some("only-node"), Some("a")));
    assert_eq!(annotation(&changed, SELECTED_NODE), Some("a"));
}

/// Returns a node that not every pod can use.
fn limited(name: &str, spec: &Value) -> Value {
    let mut object = node(name);
    object["spec"] = spec.clone();
    object
}

fn tainted(name: &str) -> Value {
    let taint = json!({"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"});
    limited(name, &json!({"taints": [taint]}))
}

fn cordoned(name: &str) -> Value {
    limited(name, &json!({"unschedulable": true}))
}

fn not_ready(name: &str) -> Value {
    let mut object = node(name);
    object["status"]["conditions"][0]["status"] = json!("Unknown");
    object
}

#[test]
fn a_claim_that_can_wait_for_its_pod_is_not_pinned_to_a_node_that_the_pod_may_not_tolerate() {
    for limited in [tainted("a"), cordoned("a"), not_ready("a")] {
        let snapshot = snapshot(std::slice::from_ref(&limited));
        is_silent(&create(&claim_of(Some("waits")), &snapshot), Reason::WaitsForPod);
        // The choices of the scheduler and the user stand.
        let object = annotated(&claim_of(Some("waits")), &[(SELECTED_NODE, "a")]);
        let changed = after(&object, &update(&claim_of(Some("waits")), &object, &snapshot));
        assert_eq!(pin_of(&changed).1, Some("scheduler"), "{limited}");
        let object = annotated(&claim_of(Some("waits")), &[(NODE, "a")]);
        let changed = after(&object, &create(&object, &snapshot));
        assert_eq!(pin_of(&changed).1, Some("user"), "{limited}");
    }
}

#[test]
fn what_the_scheduler_knows_does_not_narrow_its_choice() {
    for limited in [tainted("b"), cordoned("b"), not_ready("b")] {
        let verdict = create(&claim_of(Some("waits")), &snapshot(&[node("a"), limited]));
        is_silent(&verdict, Reason::WaitsForPod);
    }
}

#[test]
fn an_immediate_class_takes_an_open_node_then_a_tainted_one_and_waits_for_the_others() {
    let object = claim_of(Some("now"));
    let pin = |nodes: &[Value]| {
        let verdict = create(&object, &snapshot(nodes));
        (verdict.reason, pin_of(&after(&object, &verdict)).0.map(str::to_owned))
    };
    let at = |reason: Reason, node: &str| (reason, Some(node.to_owned()));
    for limited in [tainted("b"), cordoned("b"), not_ready("b")] {
        assert_eq!(pin(&[node("a"), limited]), at(Reason::Policy, "a"));
    }
    assert_eq!(pin(&[tainted("a")]), at(Reason::OnlyNode, "a"));
    assert_eq!(pin(&[tainted("a"), cordoned("b")]), at(Reason::Policy, "a"));
    for nodes in [vec![cordoned("a")], vec![not_ready("a")], vec![cordoned("a"), not_ready("b")]] {
        assert_eq!(pin(&nodes), (Reason::NoNodeAvailable, None));
    }
    // It is repaired once a node is back.
    assert_eq!(repair(&object, &one_node()).reason, Reason::OnlyNode);
    let text = "left it without a node: all nodes for class now are cordoned or not Ready";
    let verdict = create(&object, &snapshot(&[cordoned("a")]));
    assert_eq!(warned(&verdict), [format!("fastrak: {text}")]);
}

#[test]
fn only_nodes_with_an_agent_count_once_agents_are_known() {
    let nodes = [node("a"), node("b"), node("c")];
    let with = |agents: &[(&str, Agent)]| {
        let name = |text: &str| NodeName::parse(text).unwrap();
        let agents = agents.iter().map(|(text, agent)| (name(text), agent.clone()));
        Snapshot { agents: Some(Arc::new(agents.collect())), ..snapshot(&nodes) }
    };
    let down = Agent::Down { pod: None };
    let one = with(&[("a", down.clone()), ("b", Agent::Ready), ("c", down.clone())]);
    for class in ["waits", "now"] {
        let object = claim_of(Some(class));
        let changed = after(&object, &create(&object, &one));
        assert_eq!(pin_of(&changed), (Some("b"), Some("only-node"), Some("b")), "{class}");
    }
    let two = with(&[("a", Agent::Starting), ("b", Agent::Ready), ("c", down.clone())]);
    is_silent(&create(&claim_of(Some("waits")), &two), Reason::WaitsForPod);
    let none = with(&[("a", down.clone()), ("b", down.clone()), ("c", down)]);
    for class in ["waits", "now"] {
        let verdict = create(&claim_of(Some(class)), &none);
        assert_eq!((verdict.reason, verdict.messages.len()), (Reason::NoAgent, 1), "{class}");
    }
    let object = annotated(&claim_of(Some("waits")), &[(NODE, "x")]);
    let message = denial(&create(&object, &one)).to_owned();
    assert!(message.ends_with("eligible nodes for class waits: b"), "{message}");
}

#[test]
fn of_several_nodes_the_scheduler_chooses() {
    let verdict = create(&claim_of(Some("waits")), &two_nodes());
    is_silent(&verdict, Reason::WaitsForPod);
}

#[test]
fn an_immediate_class_gets_a_node() {
    let object = claim_of(Some("now"));
    let verdict = create(&object, &two_nodes());
    assert_eq!(verdict.reason, Reason::Policy);
    let (pin, by, key) = pin_of(&after(&object, &verdict)).clone_out();
    assert!(["a", "b"].contains(&pin.as_str()) && pin == key, "{pin} {key}");
    assert_eq!(by, "policy");
}

#[test]
fn the_claims_of_one_replica_get_one_node() {
    let all: Vec<_> = (0..8).map(|n| node(&format!("n{n}"))).collect();
    let snapshot = snapshot(&all);
    for replica in 0..20 {
        let pins: Vec<_> = ["data", "log"]
            .map(|template| {
                let mut object = claim_of(Some("now"));
                object["metadata"]["name"] = json!(format!("{template}-my-web-{replica}"));
                let (pin, by, _) = pin_of(&after(&object, &create(&object, &snapshot))).clone_out();
                assert_eq!(by, "sibling");
                pin
            })
            .into();
        assert_eq!(pins[0], pins[1], "{replica}");
    }
}

#[test]
fn without_a_node_a_claim_is_allowed_with_a_warning() {
    for class in ["waits", "now"] {
        let verdict = create(&claim_of(Some(class)), &snapshot(&[]));
        assert_eq!(verdict.reason, Reason::NoEligibleNode);
        assert_eq!((verdict.outcome, verdict.messages.len()), (Outcome::Untouched, 1));
    }
}

trait CloneOut {
    fn clone_out(&self) -> (String, String, String);
}

impl CloneOut for (Option<&str>, Option<&str>, Option<&str>) {
    fn clone_out(&self) -> (String, String, String) {
        let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
        (text(self.0), text(self.1), text(self.2))
    }
}
