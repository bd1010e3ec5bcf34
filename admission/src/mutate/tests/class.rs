//! Tests of the class that a claim gets.

use super::*;

#[test]
fn an_unset_class_is_set_at_creation_and_by_repairs_but_by_no_update() {
    let object = claim_of(None);
    for (operation, class) in [
        (Operation::Create, Some(CLASS_DEFAULT)),
        (Operation::Repair, Some(CLASS_DEFAULT)),
        (Operation::Update, None),
    ] {
        let verdict = decide(operation, Some(&object), &object, &two_nodes());
        let changed = after(&object, &verdict);
        assert_eq!(changed["spec"]["storageClassName"].as_str(), class, "{operation:?}");
    }
    assert_eq!(create(&object, &two_nodes()).reason, Reason::DefaultClass);
}

#[test]
fn a_marked_default_class_is_left_to_the_cluster() {
    let snapshot = marked(&two_nodes(), "foreign", "2026-01-01T00:00:00Z");
    let verdict = create(&claim_of(None), &snapshot);
    is_silent(&verdict, Reason::ClusterDefault);
}

#[test]
fn without_our_class_nothing_is_set() {
    let mut snapshot = two_nodes();
    std::sync::Arc::make_mut(&mut snapshot.classes).remove(CLASS_DEFAULT);
    let object = claim_of(None);
    let text =
        "fastrak: left it without a class: no class is the default; set spec.storageClassName";
    assert_eq!(warned(&create(&object, &snapshot)), [text]);
    is_silent(&update(&object, &object, &snapshot), Reason::NoClass);
}

#[test]
fn the_class_and_the_pin_come_in_one_patch() {
    let object = claim_of(None);
    let verdict = create(&object, &one_node());
    assert_eq!(verdict.reason, Reason::OnlyNode);
    let changed = after(&object, &verdict);
    assert_eq!(changed["spec"]["storageClassName"], json!(CLASS_DEFAULT));
    assert_eq!(pin_of(&changed), (Some("a"), Some("only-node"), Some("a")));
}

#[test]
fn a_claim_of_one_of_two_default_classes_gets_a_warning() {
    let one = marked(&two_nodes(), "waits", "2026-01-01T00:00:00Z");
    let two = marked(&one, "foreign", "2026-02-01T00:00:00Z");
    let wanted = ["fastrak: several default StorageClasses: foreign, waits; foreign wins"];
    for class in ["waits", "foreign"] {
        let object = claim_of(Some(class));
        assert_eq!(warned(&create(&object, &one)), [""; 0], "{class}");
        assert_eq!(warned(&create(&object, &two)), wanted, "{class}");
        assert_eq!(warned(&update(&object, &object, &two)), [""; 0], "{class}");
    }
    let other = warned(&create(&claim_of(Some("now")), &two));
    assert!(!other.iter().any(|text| text.contains("several")), "{other:?}");
}
