//! What whoever makes a claim is told, and that it is told once.

use super::*;

#[test]
fn every_change_and_every_skip_that_matters_is_told_in_words() {
    let pinned = annotated(&claim_of(Some("waits")), &[(NODE, "a")]);
    let forged = with_labels(&claim_of(Some("waits")), &[(NODE, "b")]);
    let odd = annotated(&claim_of(Some("waits")), &[(SELECTED_NODE, "../..")]);
    let gone = annotated(&claim_of(Some("waits")), &[(SELECTED_NODE, "gone")]);
    for (object, facts, text) in [
        (pinned, two_nodes(), "pinned it to node a, as it asks"),
        (claim_of(Some("waits")), one_node(), "pinned it to node a: no other can hold it"),
        (claim_of(None), two_nodes(), "set class local-storage, since it names none"),
        (
            claim_of(Some("waits")),
            facts(&[]),
            "left it without a node: none can hold class waits now; add one",
        ),
        (
            forged,
            two_nodes(),
            "removed what was left of a pin; annotation fastrak.io/node pins a claim",
        ),
        (
            odd,
            two_nodes(),
            "left it without a node: volume.kubernetes.io/selected-node names none; take it off",
        ),
        (gone, two_nodes(), "left it on node gone, which does not exist"),
    ] {
        assert_eq!(warned(&create(&object, &facts)), [format!("fastrak: {text}")], "{object}");
    }
}

#[test]
fn an_update_that_brings_nothing_new_is_told_nothing() {
    let malformed = annotated(&claim_of(Some("waits")), &[(NODE, "A B")]);
    let odd = annotated(&claim_of(Some("waits")), &[(SELECTED_NODE, "../..")]);
    for (object, facts) in
        [(malformed, two_nodes()), (odd, two_nodes()), (claim_of(Some("waits")), facts(&[]))]
    {
        let changed = with_labels(&object, &[("other", "change")]);
        let verdict = update(&object, &changed, &facts);
        assert_eq!(warned(&verdict), [""; 0], "{object}");
    }
}

#[test]
fn what_a_new_claim_bears_already_is_not_told() {
    let object = claim_of(None);
    let changed = after(&object, &create(&object, &one_node()));
    is_silent(&create(&changed, &one_node()), Reason::OnlyNode);
}

proptest! {
    #[test]
    fn what_was_told_is_not_told_again(
        object in any_claim(), facts in any_facts(), operation in any_operation(),
    ) {
        let changed = after(&object, &decide(operation, None, &object, &facts));
        // A node that a new claim was told is mirrored only by its first update.
        let changed = after(&changed, &update(&changed, &changed, &facts));
        let again = update(&changed, &changed, &facts);
        prop_assert_eq!((&again.outcome, warned(&again)), (&Outcome::Untouched, vec![]), "{}", changed);
    }
}
