//! Tests of the settings of namespaces.

use super::*;

/// Returns a claim without a class after the API server's plugin has filled in the default `class`.
fn filled_in(class: &str) -> Value {
    let mut object = claim_of(Some(class));
    object["metadata"]["managedFields"] = json!([
        {"manager": "m", "operation": "Update", "fieldsType": "FieldsV1",
         "fieldsV1": {"f:spec": {"f:accessModes": {}}}},
    ]);
    object
}

fn defaulting(snapshot: &Snapshot, class: &str) -> Snapshot {
    with_namespace(snapshot, &json!({"annotations": {names::NAMESPACE_CLASS: class}}))
}

fn default_is_waits() -> Snapshot {
    marked(&two_nodes(), "waits", "2026-01-01T00:00:00Z")
}

fn class_after(object: &Value) -> Option<&str> {
    object["spec"]["storageClassName"].as_str()
}

#[test]
fn a_claim_without_a_class_gets_its_namespaces() {
    let snapshot = defaulting(&two_nodes(), "now");
    let object = claim_of(None);
    for operation in [Operation::Create, Operation::Repair] {
        let verdict = decide(operation, None, &object, &snapshot);
        assert_eq!(class_after(&after(&object, &verdict)), Some("now"), "{operation:?}");
    }
    let texts = warned(&create(&object, &snapshot));
    assert_eq!(texts[0], "fastrak: set class now, the default of its namespace");
    assert!(texts[1].starts_with("fastrak: pinned it to node"), "{texts:?}");
    assert!(matches!(update(&object, &object, &snapshot).outcome, Outcome::Untouched));
}

#[test]
fn a_filled_in_class_is_replaced_by_the_namespaces_class() {
    let snapshot = defaulting(&default_is_waits(), "foreign");
    let object = filled_in("waits");
    let verdict = create(&object, &snapshot);
    assert_eq!(verdict.reason, Reason::NamespaceClass);
    let changed = after(&object, &verdict);
    assert_eq!(class_after(&changed), Some("foreign"));
    assert_eq!(pin_of(&changed), (None, None, None), "it is another provisioner's now");
    assert_eq!(create(&changed, &snapshot).outcome, Outcome::Untouched);
    // After its creation the class is the claim's own.
    for operation in [Operation::Update, Operation::Repair] {
        let verdict = decide(operation, Some(&object), &object, &snapshot);
        assert_eq!(class_after(&after(&object, &verdict)), Some("waits"), "{operation:?}");
    }
}

#[test]
fn a_chosen_class_stays() {
    let snapshot = defaulting(&default_is_waits(), "now");
    let mut chosen = filled_in("waits");
    chosen["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:storageClassName"] = json!({});
    let unrecorded = claim_of(Some("waits"));
    // A class that another webhook wrote has no owner either, but is not the cluster's default.
    let by_another_hand = filled_in("east");
    for object in [chosen, unrecorded, by_another_hand, claim_of(Some("foreign"))] {
        let class = class_after(&object);
        assert_eq!(class_after(&after(&object, &create(&object, &snapshot))), class, "{object}");
    }
    is_silent(&create(&claim_of(Some("")), &snapshot), Reason::EmptyClass);
}

#[test]
fn a_namespaces_class_that_does_not_exist_counts_as_none_with_a_warning() {
    for name in ["nobody", "", "Not A Class"] {
        let text = format!(
            "fastrak: fastrak.io/default-class of the namespace is ignored: class {name:?} does not exist"
        );
        for (snapshot, object, class) in [
            (two_nodes(), claim_of(None), CLASS_DEFAULT),
            (default_is_waits(), filled_in("waits"), "waits"),
        ] {
            let snapshot = defaulting(&snapshot, name);
            let verdict = create(&object, &snapshot);
            assert_eq!(class_after(&after(&object, &verdict)), Some(class));
            assert_eq!(warned(&verdict).last(), Some(&text));
            assert!(!warned(&update(&object, &object, &snapshot)).contains(&text));
        }
        let chosen = claim_of(Some("waits"));
        is_silent(&create(&chosen, &defaulting(&two_nodes(), name)), Reason::WaitsForPod);
    }
}

#[test]
fn a_namespace_that_opts_out_keeps_its_claims() {
    let out = json!({"labels": {names::ADMISSION: names::ADMISSION_DISABLED}});
    let snapshot = with_namespace(&one_node(), &out);
    let enabled = with_labels(&claim_of(None), &[(names::ADMISSION, "enabled")]);
    for object in [claim_of(None), enabled] {
        for verdict in [create(&object, &snapshot), repair(&object, &snapshot)] {
            is_silent(&verdict, Reason::OptedOut);
        }
    }
}

#[test]
fn a_denial_has_no_warnings() {
    let object = annotated(&claim_of(None), &[(NODE, "gone")]);
    let verdict = create(&object, &defaulting(&two_nodes(), "waits"));
    assert!(denial(&verdict).contains("node gone does not exist"));
    assert_eq!(warned(&verdict), [""; 0]);
}
