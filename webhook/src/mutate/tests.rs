use super::*;
use crate::facts::agent::Agent;
use crate::fixtures::{
    after, annotated, annotation, claim as claim_of, denial, facts, is_silent, label, labelled,
    marked, node, saying, warned, with_labels,
};
use fastrak_api::names::{CLASS_DEFAULT, NODE, PINNED_BY, PROVISIONER};
use fastrak_api::node::NodeName;
use kubernetes::{SELECTED_NODE, STORAGE_PROVISIONER, STORAGE_PROVISIONER_BETA};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

/// A claim as a review has it, which is less of it than a client reads.
fn reviewed(object: &Value) -> Claim {
    Claim::of(&serde_json::from_str(&object.to_string()).unwrap())
}

fn read(object: &Value) -> Claim {
    Claim::read(&serde_json::from_value(object.clone()).unwrap())
}

fn decide(operation: Operation, old: Option<&Value>, object: &Value, facts: &Facts) -> Verdict {
    let decide = |view: fn(&Value) -> Claim| {
        let (object, old) = (view(object), old.map(view));
        claim(&ClaimAsk { claim: &object, old: old.as_ref(), operation, request: "r-1" }, facts)
    };
    let verdict = decide(read);
    assert_eq!(decide(reviewed), verdict, "a review decides by as much");
    verdict
}

fn create(object: &Value, facts: &Facts) -> Verdict {
    decide(Operation::Create, None, object, facts)
}

fn update(old: &Value, new: &Value, facts: &Facts) -> Verdict {
    decide(Operation::Update, Some(old), new, facts)
}

fn repair(object: &Value, facts: &Facts) -> Verdict {
    decide(Operation::Repair, None, object, facts)
}

/// Node, why and label of a claim.
fn pin_of(object: &Value) -> (Option<&str>, Option<&str>, Option<&str>) {
    (annotation(object, NODE), annotation(object, PINNED_BY), label(object, NODE))
}

fn one_node() -> Facts {
    facts(&[node("a")])
}

fn two_nodes() -> Facts {
    facts(&[node("a"), node("b")])
}

mod namespaces;
mod told;

mod scope {
    use super::*;

    #[test]
    fn a_probe_is_answered_in_its_own_namespace_whatever_the_cluster_is_like() {
        use fastrak_api::names::{PROBE, PROBE_ASKS, PROBE_NAMESPACE, PROBE_SEEN};
        let mut probe = with_labels(&claim_of(Some("")), &[(PROBE, PROBE_ASKS)]);
        assert_eq!(create(&probe, &two_nodes()).reason, Reason::ClassRefused, "elsewhere");
        probe["metadata"]["namespace"] = json!(PROBE_NAMESPACE);
        for facts in [facts(&[]), two_nodes(), Facts::default()] {
            let verdict = create(&probe, &facts);
            assert_eq!(verdict.reason, Reason::Probe);
            let answered = after(&probe, &verdict);
            assert_eq!(annotation(&answered, PROBE), Some(PROBE_SEEN));
            assert_eq!(create(&answered, &facts).outcome, Outcome::Untouched);
        }
        assert_eq!(repair(&probe, &two_nodes()).outcome, Outcome::Untouched);
    }

    #[test]
    fn what_is_none_of_our_business_is_untouched() {
        let plain = claim_of(Some("waits"));
        let mut volume = plain.clone();
        volume["spec"]["volumeName"] = json!("pv-1");
        let mut deleting = plain.clone();
        deleting["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let system = |namespace: &str| {
            let mut claim = plain.clone();
            claim["metadata"]["namespace"] = json!(namespace);
            claim
        };
        for (object, reason) in [
            (claim_of(Some("")), Reason::ClassRefused),
            (
                annotated(&plain, &[(kubernetes::STORAGE_CLASS_BETA, "foreign")]),
                Reason::ForeignClass,
            ),
            (
                annotated(&plain, &[(kubernetes::STORAGE_CLASS_BETA, "nobody")]),
                Reason::UnknownClass,
            ),
            (volume, Reason::VolumeNamed),
            (deleting, Reason::Deleting),
            (claim_of(Some("foreign")), Reason::ForeignClass),
            (claim_of(Some("nobody")), Reason::UnknownClass),
            (with_labels(&plain, &[(names::ADMISSION, "disabled")]), Reason::OptedOut),
            (system("kube-system"), Reason::SystemNamespace),
            (system("kube-node-lease"), Reason::SystemNamespace),
            (system(names::NAMESPACE), Reason::SystemNamespace),
        ] {
            for operation in [Operation::Create, Operation::Update, Operation::Repair] {
                let verdict = decide(operation, Some(&object), &object, &one_node());
                is_silent(&verdict, reason);
            }
        }
    }

    #[test]
    fn a_class_of_ours_in_the_old_annotation_is_left_alone_with_a_word() {
        let object =
            annotated(&claim_of(Some("waits")), &[(kubernetes::STORAGE_CLASS_BETA, "waits")]);
        let verdict = create(&object, &one_node());
        assert_eq!((verdict.reason, &verdict.outcome), (Reason::BetaClass, &Outcome::Untouched));
        let text = "left it alone: an old annotation names its class; use spec.storageClassName";
        assert_eq!(warned(&verdict), [format!("fastrak: {text}")]);
        is_silent(&update(&object, &object, &one_node()), Reason::BetaClass);
    }

    #[test]
    fn a_pin_on_a_claim_of_another_provisioner_is_not_ours_to_judge() {
        let object = annotated(&claim_of(Some("foreign")), &[(NODE, "Not A Node")]);
        assert_eq!(create(&object, &one_node()).outcome, Outcome::Untouched);
    }
}

mod class {
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
    fn a_marked_default_is_left_to_whoever_sets_it() {
        let facts = marked(&two_nodes(), "foreign", "2026-01-01T00:00:00Z");
        let verdict = create(&claim_of(None), &facts);
        is_silent(&verdict, Reason::DefaultElsewhere);
    }

    #[test]
    fn without_our_class_nothing_is_set() {
        let mut facts = two_nodes();
        std::sync::Arc::make_mut(&mut facts.classes).remove(CLASS_DEFAULT);
        let object = claim_of(None);
        let text = "fastrak: left it without a class: there is none to give; name one";
        assert_eq!(warned(&create(&object, &facts)), [text]);
        is_silent(&update(&object, &object, &facts), Reason::NoClass);
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
    fn two_defaults_are_told_to_whoever_makes_a_claim_of_one_of_them() {
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
}

mod explicit {
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
        let changed = after(&object, &create(&object, &facts(&[node(&name), node("a")])));
        assert_eq!(annotation(&changed, NODE), Some(name.as_str()));
        assert_eq!(label(&changed, NODE).unwrap().len(), 63);
    }

    #[test]
    fn a_node_that_can_never_hold_it_is_refused_with_those_that_can() {
        let mut leaving = labelled("leaving", "zone", "east");
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let mut windows = labelled("windows", "zone", "east");
        windows["metadata"]["labels"]["kubernetes.io/os"] = json!("windows");
        let nodes =
            [labelled("e", "zone", "east"), labelled("w", "zone", "west"), leaving, windows];
        for (name, reason, why) in [
            ("x", Reason::UnknownNode, "node x does not exist"),
            ("w", Reason::ImpossibleNode, "node w is not among those that the class allows"),
            ("leaving", Reason::ImpossibleNode, "node leaving is being deleted"),
            ("windows", Reason::ImpossibleNode, "node windows does not run Linux"),
            ("Not A Node", Reason::MalformedPin, "is \"Not A Node\": a node name consists of"),
            ("", Reason::MalformedPin, "a node name cannot be empty"),
        ] {
            let object = annotated(&claim_of(Some("east")), &[(NODE, name)]);
            let verdict = create(&object, &facts(&nodes));
            assert_eq!(verdict.reason, reason, "{name}");
            let message = denial(&verdict);
            assert!(message.contains(why), "{message}");
            assert!(message.ends_with("nodes that would do for class east: e"), "{message}");
        }
    }

    #[test]
    fn a_refusal_names_ten_nodes_and_counts_the_rest() {
        let nodes: Vec<_> = (10..25).map(|n| node(&format!("n{n}"))).collect();
        let object = annotated(&claim_of(Some("waits")), &[(NODE, "x")]);
        let verdict = create(&object, &facts(&nodes));
        let message = denial(&verdict);
        assert!(
            message.ends_with("n10, n11, n12, n13, n14, n15, n16, n17, n18, n19 and 5 more"),
            "{message}"
        );
        let verdict = create(&object, &facts(&[]));
        assert!(denial(&verdict).ends_with("no node would do for class waits"));
    }

    #[test]
    fn a_cordoned_or_tainted_node_is_as_good_as_any() {
        let mut cordoned = node("c");
        cordoned["spec"] = json!({"unschedulable": true});
        let object = annotated(&claim_of(Some("waits")), &[(NODE, "c")]);
        let verdict = create(&object, &facts(&[node("a"), cordoned]));
        assert_eq!(pin_of(&after(&object, &verdict)).0, Some("c"));
    }

    #[test]
    fn a_pin_and_a_selected_node_that_differ_are_refused() {
        for selected in ["a", "x", "b.example"] {
            let object =
                annotated(&claim_of(Some("waits")), &[(NODE, "b"), (SELECTED_NODE, selected)]);
            let verdict = create(&object, &two_nodes());
            assert_eq!(verdict.reason, Reason::ContradictoryPin);
            assert!(denial(&verdict).contains("leave one of them out"));
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
}

mod scheduler {
    use super::*;

    #[test]
    fn its_choice_is_mirrored() {
        let old = claim_of(Some("waits"));
        let new = annotated(&old, &[(SELECTED_NODE, "b")]);
        let verdict = update(&old, &new, &two_nodes());
        assert_eq!(verdict.reason, Reason::Mirrored);
        let changed = after(&new, &verdict);
        assert_eq!(pin_of(&changed), (Some("b"), Some("scheduler"), Some("b")));
        assert_eq!(annotation(&changed, STORAGE_PROVISIONER), None);
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
        assert_eq!(update(&old, &new, &two_nodes()).outcome, Outcome::Untouched);
    }

    #[test]
    fn a_user_who_writes_another_node_then_is_told_the_way_and_not_obeyed() {
        let old = claim_of(Some("waits"));
        let scheduled = annotated(&old, &[(SELECTED_NODE, "a")]);
        let old = after(&scheduled, &update(&old, &scheduled, &two_nodes()));
        let new = annotated(&old, &[(NODE, "b")]);
        let verdict = update(&old, &new, &two_nodes());
        assert_eq!(pin_of(&after(&new, &verdict)), (Some("a"), Some("scheduler"), Some("a")));
        let text =
            "it stays on node a; to move it, delete it and create it again with fastrak.io/node";
        assert_eq!(warned(&verdict), [format!("fastrak: {text}")]);
    }

    #[test]
    fn a_user_who_writes_another_node_in_place_of_one_that_is_gone_is_obeyed() {
        let old = claim_of(Some("waits"));
        let scheduled = annotated(&old, &[(SELECTED_NODE, "a")]);
        let old = after(&scheduled, &update(&old, &scheduled, &two_nodes()));
        let new = annotated(&old, &[(NODE, "b")]);
        let without_a = facts(&[node("b"), node("c")]);
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
    fn what_it_takes_back_is_taken_off() {
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
        let mended = after(&changed, &repair(&changed, &two_nodes()));
        assert_eq!(annotation(&mended, SELECTED_NODE), Some("a"));
    }

    #[test]
    fn a_malformed_choice_is_never_refused() {
        let old = claim_of(Some("waits"));
        let new = annotated(&old, &[(SELECTED_NODE, "../..")]);
        for verdict in [create(&new, &two_nodes()), update(&old, &new, &two_nodes())] {
            assert_eq!(verdict.reason, Reason::MalformedSelectedNode);
            assert_eq!(verdict.outcome, Outcome::Untouched);
            assert_eq!(verdict.said.len(), 1);
        }
    }

    #[test]
    fn a_choice_that_a_new_claim_brings_is_its_users() {
        let object = annotated(&claim_of(Some("waits")), &[(SELECTED_NODE, "b")]);
        let changed = after(&object, &create(&object, &two_nodes()));
        assert_eq!(pin_of(&changed), (Some("b"), Some("user"), Some("b")));
        let object = annotated(&claim_of(Some("waits")), &[(SELECTED_NODE, "gone")]);
        let verdict = create(&object, &two_nodes());
        assert_eq!((verdict.outcome, verdict.said.len()), (Outcome::Untouched, 1));
    }
}

/// Choices of fastrak's and the scheduler's that cannot be served.
mod void {
    use super::*;

    const CHOICES: [&str; 4] = ["only-node", "policy", "sibling", "scheduler"];

    /// A claim as a backup has it, pinned to node `a`.
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
    fn a_restored_claim_whose_node_is_gone_is_decided_about_again() {
        let mut leaving = node("a");
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let rest = [node("b"), node("c")];
        let down = Facts {
            agents: Some(Arc::new(
                [(NodeName::parse("a").unwrap(), Agent::Down { pod: None })].into(),
            )),
            ..facts(&[node("a"), node("b"), node("c")])
        };
        let leaving = facts(&[leaving, node("b"), node("c")]);
        for facts in [facts(&rest), leaving, down] {
            every("waits", |object| {
                let verdict = create(&object, &facts);
                let changed = after(&object, &verdict);
                let found = (verdict.reason, pin_of(&changed), annotation(&changed, SELECTED_NODE));
                assert_eq!(found, (Reason::NodeVoid, (None, None, None), None), "{object}");
                let text = "removed its node a, which cannot serve it; another is to be chosen";
                assert_eq!(warned(&verdict), [format!("fastrak: {text}")]);
            });
            every("now", |object| {
                let changed = after(&object, &create(&object, &facts));
                assert!(["b", "c"].contains(&pin_of(&changed).0.unwrap()), "{changed}");
                assert_eq!(annotation(&changed, SELECTED_NODE), pin_of(&changed).0);
            });
        }
        every("waits", |object| {
            let changed = after(&object, &create(&object, &facts(&[node("b")])));
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
    fn what_a_user_wrote_is_no_choice_of_fastraks_whatever_is_recorded() {
        let without = facts(&[node("b"), node("c")]);
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
        let without = facts(&[node("b"), node("c")]);
        for by in CHOICES {
            let object = restored("waits", by, Some("a"), true);
            let verdict = repair(&object, &without);
            let changed = after(&object, &verdict);
            assert_eq!(verdict.reason, Reason::NodeVoid, "{by}");
            assert_eq!(pin_of(&changed), (None, None, None));
            assert_eq!(annotation(&changed, SELECTED_NODE), None);
            let one = facts(&[node("b")]);
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
    fn the_choice_of_a_node_that_is_there_stands_whatever_its_agent_does() {
        let name = |text: &str| NodeName::parse(text).unwrap();
        let agents = [(name("a"), Agent::Down { pod: None }), (name("b"), Agent::Ready)];
        let facts = Facts { agents: Some(Arc::new(agents.into())), ..two_nodes() };
        let object = restored("waits", "scheduler", Some("a"), true);
        assert_eq!(repair(&object, &facts).outcome, Outcome::Untouched);
    }

    #[test]
    fn an_update_withdraws_nothing() {
        let object = restored("waits", "scheduler", Some("a"), true);
        let new = with_labels(&object, &[("other", "change")]);
        assert_eq!(update(&object, &new, &facts(&[node("b")])).outcome, Outcome::Untouched);
    }
}

mod labels {
    use super::*;

    #[test]
    fn a_label_that_a_tenant_wrote_is_corrected_or_taken_off() {
        let forged = with_labels(&claim_of(Some("waits")), &[(NODE, "b")]);
        let changed = after(&forged, &create(&forged, &two_nodes()));
        assert_eq!(pin_of(&changed), (None, None, None));

        let pinned = annotated(&forged, &[(NODE, "a")]);
        let changed = after(&pinned, &create(&pinned, &two_nodes()));
        assert_eq!(pin_of(&changed), (Some("a"), Some("user"), Some("a")));

        let old = changed;
        let new = with_labels(&old, &[(NODE, "b")]);
        let changed = after(&new, &update(&old, &new, &two_nodes()));
        assert_eq!(label(&changed, NODE), Some("a"));
    }
}

mod chosen {
    use super::*;

    #[test]
    fn the_only_node_is_chosen_at_once() {
        let mut windows = node("w");
        windows["metadata"]["labels"]["kubernetes.io/os"] = json!("windows");
        let object = claim_of(Some("waits"));
        let verdict = create(&object, &facts(&[node("a"), windows]));
        let changed = after(&object, &verdict);
        assert_eq!(pin_of(&changed), (Some("a"), Some("only-node"), Some("a")));
        assert_eq!(annotation(&changed, SELECTED_NODE), Some("a"));
    }

    /// A node that not every pod can use.
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
            let facts = facts(std::slice::from_ref(&limited));
            is_silent(&create(&claim_of(Some("waits")), &facts), Reason::WaitsForPod);
            // The scheduler's word and the user's stand.
            let object = annotated(&claim_of(Some("waits")), &[(SELECTED_NODE, "a")]);
            let changed = after(&object, &update(&claim_of(Some("waits")), &object, &facts));
            assert_eq!(pin_of(&changed).1, Some("scheduler"), "{limited}");
            let object = annotated(&claim_of(Some("waits")), &[(NODE, "a")]);
            let changed = after(&object, &create(&object, &facts));
            assert_eq!(pin_of(&changed).1, Some("user"), "{limited}");
        }
    }

    #[test]
    fn what_the_scheduler_knows_does_not_narrow_its_choice() {
        for limited in [tainted("b"), cordoned("b"), not_ready("b")] {
            let verdict = create(&claim_of(Some("waits")), &facts(&[node("a"), limited]));
            is_silent(&verdict, Reason::WaitsForPod);
        }
    }

    #[test]
    fn an_immediate_class_takes_an_open_node_then_a_tainted_one_and_waits_for_the_others() {
        let object = claim_of(Some("now"));
        let pin = |nodes: &[Value]| {
            let verdict = create(&object, &facts(nodes));
            (verdict.reason, pin_of(&after(&object, &verdict)).0.map(str::to_owned))
        };
        let at = |reason: Reason, node: &str| (reason, Some(node.to_owned()));
        for limited in [tainted("b"), cordoned("b"), not_ready("b")] {
            assert_eq!(pin(&[node("a"), limited]), at(Reason::Policy, "a"));
        }
        assert_eq!(pin(&[tainted("a")]), at(Reason::OnlyNode, "a"));
        assert_eq!(pin(&[tainted("a"), cordoned("b")]), at(Reason::Policy, "a"));
        for nodes in
            [vec![cordoned("a")], vec![not_ready("a")], vec![cordoned("a"), not_ready("b")]]
        {
            assert_eq!(pin(&nodes), (Reason::NoNodeAvailable, None));
        }
        // It is repaired once a node is back.
        assert_eq!(repair(&object, &one_node()).reason, Reason::OnlyNode);
        let text = "left it without a node until one for class now is Ready and not cordoned";
        let verdict = create(&object, &facts(&[cordoned("a")]));
        assert_eq!(warned(&verdict), [format!("fastrak: {text}")]);
    }

    #[test]
    fn only_nodes_with_an_agent_count_once_it_is_known_which_have_one() {
        let nodes = [node("a"), node("b"), node("c")];
        let with = |agents: &[(&str, Agent)]| {
            let name = |text: &str| NodeName::parse(text).unwrap();
            let agents = agents.iter().map(|(text, agent)| (name(text), agent.clone()));
            Facts { agents: Some(Arc::new(agents.collect())), ..facts(&nodes) }
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
            assert_eq!((verdict.reason, verdict.said.len()), (Reason::NoAgent, 1), "{class}");
        }
        let object = annotated(&claim_of(Some("waits")), &[(NODE, "x")]);
        let message = denial(&create(&object, &one)).to_owned();
        assert!(message.ends_with("nodes that would do for class waits: b"), "{message}");
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
        let facts = facts(&all);
        for replica in 0..20 {
            let pins: Vec<_> = ["data", "log"]
                .map(|template| {
                    let mut object = claim_of(Some("now"));
                    object["metadata"]["name"] = json!(format!("{template}-my-web-{replica}"));
                    let (pin, by, _) =
                        pin_of(&after(&object, &create(&object, &facts))).clone_out();
                    assert_eq!(by, "sibling");
                    pin
                })
                .into();
            assert_eq!(pins[0], pins[1], "{replica}");
        }
    }

    #[test]
    fn without_a_node_a_claim_is_let_through_with_a_warning() {
        for class in ["waits", "now"] {
            let verdict = create(&claim_of(Some(class)), &facts(&[]));
            assert_eq!(verdict.reason, Reason::NoNodeAble);
            assert_eq!((verdict.outcome, verdict.said.len()), (Outcome::Untouched, 1));
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
}

/// Claims as tenants, schedulers and older versions may leave them.
fn any_claim() -> impl Strategy<Value = Value> {
    let class = prop_oneof![
        Just(None),
        Just(Some("")),
        Just(Some("waits")),
        Just(Some("now")),
        Just(Some("east")),
        Just(Some("foreign")),
        Just(Some("nobody"))
    ];
    let node = || {
        let text = prop_oneof![Just("a"), Just("b"), Just("gone"), Just("NOT A NODE"), Just("")];
        proptest::option::of(text)
    };
    let by = proptest::option::of(prop_oneof![
        Just("user"),
        Just("only-node"),
        Just("policy"),
        Just("scheduler"),
        Just("nonsense")
    ]);
    (class, node(), node(), node(), by, any::<bool>()).prop_map(
        |(class, pin, selected, key, by, bare)| {
            let mut claim = claim_of(class);
            if !bare {
                claim["metadata"]["annotations"] = json!({"own.io/x": "kept"});
            }
            for (annotation, value) in [(NODE, pin), (SELECTED_NODE, selected), (PINNED_BY, by)] {
                if let Some(value) = value {
                    claim = annotated(&claim, &[(annotation, value)]);
                }
            }
            key.map_or(claim.clone(), |key| with_labels(&claim, &[(NODE, key)]))
        },
    )
}

fn any_facts() -> impl Strategy<Value = Facts> {
    (proptest::sample::subsequence(vec!["a", "b", "c"], 0..=3), any::<bool>()).prop_map(
        |(names, default)| {
            let nodes: Vec<_> = names.iter().map(|name| labelled(name, "zone", "east")).collect();
            let facts = facts(&nodes);
            if default { marked(&facts, "waits", "2026-01-01T00:00:00Z") } else { facts }
        },
    )
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![Just(Operation::Create), Just(Operation::Update), Just(Operation::Repair)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_decision_over_its_own_result_changes_nothing(
        old in any_claim(), object in any_claim(), facts in any_facts(), operation in any_operation(),
    ) {
        let old = (operation == Operation::Update).then_some(&old);
        let first = decide(operation, old, &object, &facts);
        let changed = after(&object, &first);
        let second = decide(operation, old, &changed, &facts);
        if matches!(first.outcome, Outcome::Denied(_)) {
            prop_assert_eq!(first.outcome, second.outcome);
        } else {
            prop_assert_eq!(second.outcome, Outcome::Untouched, "{}", changed);
        }
    }

    #[test]
    fn an_update_changes_no_spec(old in any_claim(), new in any_claim(), facts in any_facts()) {
        let verdict = update(&old, &new, &facts);
        prop_assert_eq!(&after(&new, &verdict)["spec"], &new["spec"]);
    }

    #[test]
    fn what_others_wrote_stays(object in any_claim(), facts in any_facts(), operation in any_operation()) {
        let changed = after(&object, &decide(operation, None, &object, &facts));
        prop_assert_eq!(annotation(&changed, "own.io/x"), annotation(&object, "own.io/x"));
        prop_assert_eq!(&changed["spec"]["resources"], &object["spec"]["resources"]);
    }

    #[test]
    fn the_label_of_a_claim_of_ours_is_the_key_of_its_pin(
        object in any_claim(), facts in any_facts(), operation in any_operation(),
    ) {
        let old = object.clone();
        let verdict = decide(operation, Some(&old), &object, &facts);
        let malformed = matches!(verdict.reason, Reason::MalformedPin | Reason::MalformedSelectedNode);
        let beside = verdict.reason.rule() != crate::verdict::Rule::Pin;
        // A selected node that a new claim brings and that does not exist is left as it is.
        let stale = verdict.reason == Reason::StaleSelectedNode;
        if !(malformed || beside || stale || matches!(verdict.outcome, Outcome::Denied(_))) {
            let changed = after(&object, &verdict);
            prop_assert_eq!(annotation(&changed, NODE), label(&changed, NODE));
        }
    }

    #[test]
    fn warnings_are_short(object in any_claim(), facts in any_facts(), operation in any_operation()) {
        let verdict = decide(operation, None, &object, &facts);
        for warning in verdict.warnings(false).chain(verdict.warnings(true)) {
            let warning = warning.to_string();
            prop_assert!(warning.chars().count() <= 120 && !warning.contains(char::is_control));
        }
    }
}
