//! Tests of the warnings for the creator of a claim, each once.

use super::*;

#[test]
fn every_change_and_every_skip_that_matters_has_a_warning() {
    let pinned = annotated(&claim_of(Some("waits")), &[(NODE, "a")]);
    let forged = with_labels(&claim_of(Some("waits")), &[(NODE, "b")]);
    let odd = annotated(&claim_of(Some("waits")), &[(SELECTED_NODE, "../..")]);
    let gone = annotated(&claim_of(Some("waits")), &[(SELECTED_NODE, "gone")]);
    for (object, snapshot, text) in [
        (pinned, two_nodes(), "pinned it to node a, as requested"),
        (claim_of(Some("waits")), one_node(), "pinned it to node a, the only eligible node"),
        (
            claim_of(None),
            two_nodes(),
            "set class local-storage: it has no class, and this is the default",
        ),
        (
            claim_of(Some("waits")),
            snapshot(&[]),
            "left it without a node: no node is eligible for class waits; add one",
        ),
        (
            forged,
            two_nodes(),
            "removed a withdrawn pin; to pin the claim, set annotation fastrak.io/node",
        ),
        (
            odd,
            two_nodes(),
            "left it without a node: volume.kubernetes.io/selected-node is not a node name; remove it",
        ),
        (gone, two_nodes(), "left it on node gone, which does not exist; remove selected-node"),
    ] {
        assert_eq!(warned(&create(&object, &snapshot)), [format!("fastrak: {text}")], "{object}");
    }
}

#[test]
fn an_update_without_news_has_no_warning() {
    let malformed = annotated(&claim_of(Some("waits")), &[(NODE, "A B")]);
    let odd = annotated(&claim_of(Some("waits")), &[(SELECTED_NODE, "../..")]);
    for (object, snapshot) in
        [(malformed, two_nodes()), (odd, two_nodes()), (claim_of(Some("waits")), snapshot(&[]))]
    {
        let changed = with_labels(&object, &[("other", "change")]);
        let verdict = update(&object, &changed, &snapshot);
        assert_eq!(warned(&verdict), [""; 0], "{object}");
    }
}

#[test]
fn a_new_claim_that_needs_no_change_has_no_warning() {
    let object = claim_of(None);
    let changed = after(&object, &create(&object, &one_node()));
    is_silent(&create(&changed, &one_node()), Reason::OnlyNode);
}

#[test]
fn a_claim_that_cannot_be_served_is_warned_of_once() {
    let with = |key: &str, value: Value| {
        let mut object = claim_of(Some("waits"));
        object["spec"][key] = value;
        object
    };
    let source = |kind: &str| json!({"kind": kind, "name": "old"});
    for (object, says) in [
        (with("accessModes", json!(["ReadWriteMany"])), "access mode ReadWriteMany is not served"),
        (with("volumeMode", json!("Block")), "volumeMode Block is not served"),
        (with("dataSource", source("VolumeSnapshot")), "dataSource VolumeSnapshot/old is not"),
        (
            with("dataSourceRef", source("PersistentVolumeClaim")),
            "dataSource PersistentVolumeClaim/old is not",
        ),
        (with("selector", json!({"matchLabels": {"a": "b"}})), "spec.selector is not served"),
        (with("volumeAttributesClassName", json!("gold")), "volumeAttributesClassName is not"),
    ] {
        let warnings = warned(&create(&object, &two_nodes()));
        assert!(warnings.len() == 1 && warnings[0].contains(says), "{warnings:?}");
        assert!(!warnings[0].ends_with('…'), "{warnings:?}");
        let changed = with_labels(&object, &[("other", "change")]);
        assert_eq!(warned(&update(&object, &changed, &two_nodes())), [""; 0], "{object}");
        assert_eq!(warned(&repair(&object, &two_nodes())), [""; 0], "{object}");
        // A class of ours that is created later is reported too.
        let mut unset = object.clone();
        unset["spec"].as_object_mut().unwrap().remove("storageClassName");
        let warnings = warned(&update(&unset, &object, &two_nodes()));
        assert!(warnings.len() == 1 && warnings[0].contains(says), "{warnings:?}");
        // A class of another provisioner is not judged.
        let mut foreign = object;
        foreign["spec"]["storageClassName"] = json!("foreign");
        assert_eq!(warned(&create(&foreign, &two_nodes())), [""; 0]);
    }
    for object in [with("selector", json!({})), with("dataSourceRef", source("Populator"))] {
        assert_eq!(warned(&create(&object, &two_nodes())), [""; 0], "{object}");
    }
}

#[test]
fn unknown_parameters_are_warned_of_to_users_of_the_class() {
    let class = json!({
        "metadata": {"name": "odd"},
        "provisioner": PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "parameters": {"qouta": "off"},
    });
    let snapshot = crate::fixtures::with_classes(&[class], &[node("a"), node("b")]);
    let object = claim_of(Some("odd"));
    let warnings = warned(&create(&object, &snapshot));
    let says = "fastrak: class odd has unknown parameter \"qouta\"; known parameters: pool";
    assert!(warnings.len() == 1 && warnings[0].starts_with(says), "{warnings:?}");
    assert_eq!(warned(&update(&object, &object, &snapshot)), [""; 0]);
}

proptest! {
    #[test]
    fn no_warning_is_repeated(
        object in any_claim(), snapshot in any_facts(), operation in any_operation(),
    ) {
        let changed = after(&object, &decide(operation, None, &object, &snapshot));
        // The selected node of a new claim is mirrored only by its first update.
        let changed = after(&changed, &update(&changed, &changed, &snapshot));
        let again = update(&changed, &changed, &snapshot);
        prop_assert_eq!((&again.outcome, warned(&again)), (&Outcome::Untouched, vec![]), "{}", changed);
    }
}
