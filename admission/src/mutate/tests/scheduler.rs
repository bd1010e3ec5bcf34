//! Tests of the scheduler's choice.

use super::*;

#[test]
fn its_choice_is_mirrored() {
    let old = claim_of(Some("waits"));
    let new = annotated(&old, &[(SELECTED_NODE, "b")]);
    let verdict = update(&old, &new, &two_nodes());
    assert_eq!(verdict.reason, Reason::Mirrored);
    let changed = after(&new, &verdict);
    assert_eq!(pin_of(&changed), (Some("b"), Some("scheduler"), Some("b")));
    // The controller manager would write them next.
    assert_eq!(annotation(&changed, STORAGE_PROVISIONER), Some(PROVISIONER));
    assert_eq!(annotation(&changed, STORAGE_PROVISIONER_BETA), Some(PROVISIONER));
}

#[test]
fn its_choice_of_a_node_that_is_not_known_yet_is_mirrored_too() {
    let old = claim_of(Some("waits"));
    let new = annotated(&old, &[(SELECTED_NODE, "brand-new")]);
    let changed = after(&new, &update(&old, &new, &two_nodes()));
    assert_eq!(pin_of(&changed).0, Some("brand-new"));
}

#[test]
fn its_choice_wins_over_a_pin() {
    let base = annotated(&claim_of(Some("waits")), &[(NODE, "a"), (PINNED_BY, "user")]);
    let old = with_labels(&base, &[(NODE, "a")]);
    let new = annotated(&old, &[(SELECTED_NODE, "b")]);
    let changed = after(&new, &update(&old, &new, &two_nodes()));
    assert_eq!(pin_of(&changed), (Some("b"), Some("scheduler"), Some("b")));
}

#[test]
fn its_choice_of_the_pinned_node_changes_nothing() {
    let base = annotated(&claim_of(Some("waits")), &[(NODE, "a"), (PINNED_BY, "user")]);
    let old = with_labels(&base, &[(NODE, "a")]);
    let new = annotated(&old, &[(SELECTED_NODE, "a")]);
    let changed = after(&new, &update(&old, &new, &two_nodes()));
    assert_eq!(pin_of(&changed), pin_of(&old));
    assert_eq!(update(&old, &changed, &two_nodes()).outcome, Outcome::Untouched);
}

#[test]
fn a_user_who_writes_another_node_then_gets_a_warning_and_no_move() {
    let old = claim_of(Some("waits"));
    let scheduled = annotated(&old, &[(SELECTED_NODE, "a")]);
    let old = after(&scheduled, &update(&old, &scheduled, &two_nodes()));
    let new = annotated(&old, &[(NODE, "b")]);
    let verdict = update(&old, &new, &two_nodes());
    assert_eq!(pin_of(&after(&new, &verdict)), (Some("a"), Some("scheduler"), Some("a")));
    let text = "it stays on node a; to move it, delete it and create it again with fastrak.io/node";
    assert_eq!(warned(&verdict), [format!("fastrak: {text}")]);
}

#[test]
fn a_user_may_replace_a_node_that_is_gone() {
    let old = claim_of(Some("waits"));
    let scheduled = annotated(&old, &[(SELECTED_NODE, "a")]);
    let old = after(&scheduled, &update(&old, &scheduled, &two_nodes()));
    let new = annotated(&old, &[(NODE, "b")]);
    let without_a = snapshot(&[node("b"), node("c")]);
    let changed = after(&new, &update(&old, &new, &without_a));
    assert_eq!(pin_of(&changed), (Some("b"), Some("user"), Some("b")));
    assert_eq!(annotation(&changed, SELECTED_NODE), Some("b"));
    let worse = annotated(&old, &[(NODE, "x")]);
    denial(&update(&old, &worse, &without_a));
    // The scheduler may know of a node that has just joined.
    let new = annotated(&new, &[(SELECTED_NODE, "d")]);
    let changed = after(&new, &update(&old, &new, &without_a));
    assert_eq!(pin_of(&changed).0, Some("d"));
}

#[test]
fn a_withdrawn_choice_is_removed() {
    let plain = claim_of(Some("waits"));
    let scheduled = annotated(&plain, &[(SELECTED_NODE, "a")]);
    let old = after(&scheduled, &update(&plain, &scheduled, &two_nodes()));
    let mut new = old.clone();
    new["metadata"]["annotations"].as_object_mut().unwrap().remove(SELECTED_NODE);
    for verdict in [update(&old, &new, &two_nodes()), repair(&new, &two_nodes())] {
        assert_eq!(verdict.reason, Reason::PinWithdrawn);
        assert_eq!(pin_of(&after(&new, &verdict)), (None, None, None));
    }
}

#[test]
fn a_user_pin_outlives_a_withdrawn_choice_but_does_not_undo_it_at_once() {
    let plain = annotated(&claim_of(Some("waits")), &[(NODE, "a")]);
    let old = after(&plain, &create(&plain, &two_nodes()));
    let mut new = old.clone();
    new["metadata"]["annotations"].as_object_mut().unwrap().remove(SELECTED_NODE);
    let changed = after(&new, &update(&old, &new, &two_nodes()));
    assert_eq!(pin_of(&changed), (Some("a"), Some("user"), Some("a")));
    assert_eq!(annotation(&changed, SELECTED_NODE), None);
    let repaired = after(&changed, &repair(&changed, &two_nodes()));
    assert_eq!(annotation(&repaired, SELECTED_NODE), Some("a"));
}

#[test]
fn a_malformed_choice_is_never_refused() {
    let old = claim_of(Some("waits"));
    let new = annotated(&old, &[(SELECTED_NODE, "../..")]);
    for verdict in [create(&new, &two_nodes()), update(&old, &new, &two_nodes())] {
        assert_eq!(verdict.reason, Reason::MalformedSelectedNode);
        assert_eq!(verdict.outcome, Outcome::Untouched);
        assert_eq!(verdict.messages.len(), 1);
    }
}

#[test]
fn a_choice_that_a_new_claim_brings_is_its_users() {
    let object = annotated(&claim_of(Some("waits")), &[(SELECTED_NODE, "b")]);
    let changed = after(&object, &create(&object, &two_nodes()));
    assert_eq!(pin_of(&changed), (Some("b"), Some("user"), Some("b")));
    let object = annotated(&claim_of(Some("waits")), &[(SELECTED_NODE, "gone")]);
    let verdict = create(&object, &two_nodes());
    assert_eq!((verdict.outcome, verdict.messages.len()), (Outcome::Untouched, 1));
}
