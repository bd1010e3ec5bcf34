//! Tests of choices of fastrak and the scheduler that cannot be served.

use super::*;

const CHOICES: [&str; 4] = ["only-node", "policy", "sibling", "scheduler"];

/// Returns a claim of a backup, pinned to node `a`.
fn restored(class: &str, by: &str, label: Option<&str>, selected: bool) -> Value {
    let object = annotated(&claim_of(Some(class)), &[(NODE, "a"), (PINNED_BY, by)]);
    let object = label.map_or(object.clone(), |key| with_labels(&object, &[(NODE, key)]));
    if selected { annotated(&object, &[(SELECTED_NODE, "a")]) } else { object }
}

fn every(class: &str, mut check: impl FnMut(Value)) {
    for by in CHOICES {
        for (label, selected) in
            [(None, false), (None, true), (Some("a"), false), (Some("a"), true)]
        {
            check(restored(class, by, label, selected));
        }
    }
}

#[test]
fn a_restored_claim_whose_node_is_gone_is_decided_again() {
    let mut leaving = node("a");
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let rest = [node("b"), node("c")];
    let down = Snapshot {
        agents: Some(Arc::new([(NodeName::parse("a").unwrap(), Agent::Down { pod: None })].into())),
        ..snapshot(&[node("a"), node("b"), node("c")])
    };
    let leaving = snapshot(&[leaving, node("b"), node("c")]);
    for snapshot in [snapshot(&rest), leaving, down] {
        every("waits", |object| {
            let verdict = create(&object, &snapshot);
            let changed = after(&object, &verdict);
            let found = (verdict.reason, pin_of(&changed), annotation(&changed, SELECTED_NODE));
            assert_eq!(found, (Reason::StalePin, (None, None, None), None), "{object}");
            let text = "removed node a, which cannot serve it; another node is chosen";
            assert_eq!(warned(&verdict), [format!("fastrak: {text}")]);
        });
        every("now", |object| {
            let changed = after(&object, &create(&object, &snapshot));
            assert!(["b", "c"].contains(&pin_of(&changed).0.unwrap()), "{changed}");
            assert_eq!(annotation(&changed, SELECTED_NODE), pin_of(&changed).0);
        });
    }
    every("waits", |object| {
        let changed = after(&object, &create(&object, &snapshot(&[node("b")])));
        assert_eq!(pin_of(&changed), (Some("b"), Some("only-node"), Some("b")), "{object}");
    });
}

#[test]
fn a_restored_claim_keeps_a_node_that_can_serve_it_and_its_record() {
    for by in CHOICES {
        let object = restored("waits", by, Some("a"), false);
        let changed = after(&object, &create(&object, &two_nodes()));
        assert_eq!(pin_of(&changed), (Some("a"), Some(by), Some("a")));
    }
}

#[test]
fn a_pin_of_a_user_is_not_fastraks_choice_even_if_recorded_so() {
    let without = snapshot(&[node("b"), node("c")]);
    for object in [
        restored("waits", "user", Some("a"), true),
        restored("waits", "nonsense", Some("a"), false),
        // The node of a restored claim that its user has changed.
        restored("waits", "scheduler", Some("b"), false),
    ] {
        denial(&create(&object, &without));
    }
}

#[test]
fn a_repair_withdraws_the_choice_of_a_node_that_is_gone() {
    let without = snapshot(&[node("b"), node("c")]);
    for by in CHOICES {
        let object = restored("waits", by, Some("a"), true);
        let verdict = repair(&object, &without);
        let changed = after(&object, &verdict);
        assert_eq!(verdict.reason, Reason::StalePin, "{by}");
        assert_eq!(pin_of(&changed), (None, None, None));
        assert_eq!(annotation(&changed, SELECTED_NODE), None);
        let one = snapshot(&[node("b")]);
        let changed = after(&object, &repair(&object, &one));
        assert_eq!(pin_of(&changed), (Some("b"), Some("only-node"), Some("b")));
        assert_eq!(annotation(&changed, SELECTED_NODE), Some("b"));
    }
    let unseen = annotated(&claim_of(Some("waits")), &[(SELECTED_NODE, "gone")]);
    assert_eq!(annotation(&after(&unseen, &repair(&unseen, &without)), SELECTED_NODE), None);
    // What the user wrote meanwhile counts.
    let moved = annotated(&restored("waits", "scheduler", Some("a"), true), &[(NODE, "b")]);
    let moved = annotated(&moved, &[(PINNED_BY, "user")]);
    let changed = after(&moved, &repair(&moved, &without));
    assert_eq!(pin_of(&changed), (Some("b"), Some("user"), Some("b")));
    assert_eq!(annotation(&changed, SELECTED_NODE), Some("b"));
    let by_user = restored("waits", "user", Some("a"), true);
    assert_eq!(repair(&by_user, &without).outcome, Outcome::Untouched);
}

#[test]
fn the_choice_of_an_existing_node_stands_even_if_its_agent_is_down() {
    let name = |text: &str| NodeName::parse(text).unwrap();
    let agents = [(name("a"), Agent::Down { pod: None }), (name("b"), Agent::Ready)];
    let snapshot = Snapshot { agents: Some(Arc::new(agents.into())), ..two_nodes() };
    let object = restored("waits", "scheduler", Some("a"), true);
    assert_eq!(repair(&object, &snapshot).outcome, Outcome::Untouched);
}

#[test]
fn an_update_withdraws_nothing() {
    let object = restored("waits", "scheduler", Some("a"), true);
    let new = with_labels(&object, &[("other", "change")]);
    assert_eq!(update(&object, &new, &snapshot(&[node("b")])).outcome, Outcome::Untouched);
}
