//! Tests of claims whose users name the node.

use super::*;

#[test]
fn a_node_that_the_user_wrote_is_kept_and_labelled() {
    let object = annotated(&claim_of(Some("waits")), &[(NODE, "b")]);
    let verdict = create(&object, &two_nodes());
    assert_eq!(verdict.reason, Reason::UserPin);
    let changed = after(&object, &verdict);
    assert_eq!(pin_of(&changed), (Some("b"), Some("user"), Some("b")));
    assert_eq!(annotation(&changed, SELECTED_NODE), Some("b"));
    assert_eq!(annotation(&changed, STORAGE_PROVISIONER), Some(PROVISIONER));
    assert_eq!(annotation(&changed, STORAGE_PROVISIONER_BETA), Some(PROVISIONER));
}

#[test]
fn a_long_node_name_is_a_short_label() {
    let name = format!("{}.example", "n".repeat(80));
    let object = annotated(&claim_of(Some("waits")), &[(NODE, &name)]);
    let changed = after(&object, &create(&object, &snapshot(&[node(&name), node("a")])));
    assert_eq!(annotation(&changed, NODE), Some(name.as_str()));
    assert_eq!(label(&changed, NODE).unwrap().len(), 63);
}

#[test]
fn a_node_that_can_never_hold_it_is_refused_with_those_that_can() {
    let mut leaving = labelled("leaving", "zone", "east");
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut windows = labelled("windows", "zone", "east");
    windows["metadata"]["labels"]["kubernetes.io/os"] = json!("windows");
    let nodes = [labelled("e", "zone", "east"), labelled("w", "zone", "west"), leaving, windows];
    for (name, reason, why) in [
        ("x", Reason::UnknownNode, "node x does not exist"),
        ("w", Reason::ImpossibleNode, "node w is not among those that the class allows"),
        ("leaving", Reason::ImpossibleNode, "node leaving is being deleted"),
        ("windows", Reason::ImpossibleNode, "node windows does not run Linux"),
        ("Not A Node", Reason::MalformedPin, "is \"Not A Node\": a node name consists of"),
        ("", Reason::MalformedPin, "a node name cannot be empty"),
    ] {
        let object = annotated(&claim_of(Some("east")), &[(NODE, name)]);
        let verdict = create(&object, &snapshot(&nodes));
        assert_eq!(verdict.reason, reason, "{name}");
        let message = denial(&verdict);
        assert!(message.contains(why), "{message}");
        assert!(message.ends_with("eligible nodes for class east: e"), "{message}");
    }
}

#[test]
fn a_refusal_names_ten_nodes_and_counts_the_rest() {
    let nodes: Vec<_> = (10..25).map(|n| node(&format!("n{n}"))).collect();
    let object = annotated(&claim_of(Some("waits")), &[(NODE, "x")]);
    let verdict = create(&object, &snapshot(&nodes));
    let message = denial(&verdict);
    assert!(
        message.ends_with("n10, n11, n12, n13, n14, n15, n16, n17, n18, n19 and 5 more"),
        "{message}"
    );
    let verdict = create(&object, &snapshot(&[]));
    assert!(denial(&verdict).ends_with("no node is eligible for class waits"));
}

#[test]
fn a_cordoned_or_tainted_node_is_as_good_as_any() {
    let mut cordoned = node("c");
    cordoned["spec"] = json!({"unschedulable": true});
    let object = annotated(&claim_of(Some("waits")), &[(NODE, "c")]);
    let verdict = create(&object, &snapshot(&[node("a"), cordoned]));
    assert_eq!(pin_of(&after(&object, &verdict)).0, Some("c"));
}

#[test]
fn a_pin_and_a_selected_node_that_differ_are_refused() {
    for selected in ["a", "x", "b.example"] {
        let object = annotated(&claim_of(Some("waits")), &[(NODE, "b"), (SELECTED_NODE, selected)]);
        let verdict = create(&object, &two_nodes());
        assert_eq!(verdict.reason, Reason::ContradictoryPin);
        assert!(denial(&verdict).contains("remove one of them"));
    }
}

#[test]
fn an_update_may_bring_a_pin_and_is_judged_like_a_creation() {
    let old = claim_of(Some("waits"));
    let good = annotated(&old, &[(NODE, "b")]);
    assert_eq!(
        pin_of(&after(&good, &update(&old, &good, &two_nodes()))),
        (Some("b"), Some("user"), Some("b"))
    );
    for (bad, reason) in [("x", Reason::UnknownNode), ("A B", Reason::MalformedPin)] {
        let new = annotated(&old, &[(NODE, bad)]);
        let verdict = update(&old, &new, &two_nodes());
        denial(&verdict);
        assert_eq!(verdict.reason, reason);
    }
}

#[test]
fn nothing_that_was_there_before_can_block_an_update_or_a_repair() {
    for bad in ["x", "A B"] {
        let old = annotated(&claim_of(Some("waits")), &[(NODE, bad)]);
        let new = with_labels(&old, &[("other", "change")]);
        for verdict in [update(&old, &new, &two_nodes()), repair(&new, &two_nodes())] {
            assert!(!matches!(verdict.outcome, Outcome::Denied(_)), "{bad}");
        }
        let scheduled = annotated(&new, &[(SELECTED_NODE, "a")]);
        let verdict = update(&new, &scheduled, &two_nodes());
        assert_eq!(
            pin_of(&after(&scheduled, &verdict)),
            (Some("a"), Some("scheduler"), Some("a")),
            "{bad}"
        );
    }
}
