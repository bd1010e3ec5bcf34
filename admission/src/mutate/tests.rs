use super::*;
use crate::fixtures::{
    after, annotated, annotation, claim as claim_of, denial, is_silent, label, labelled, marked,
    node, reserved, snapshot, volume, warned, with_labels, with_namespace, with_volumes,
};
use crate::snapshot::agent::Agent;
use fastrak_api::names::kubernetes::{
    self, SELECTED_NODE, STORAGE_PROVISIONER, STORAGE_PROVISIONER_BETA,
};
use fastrak_api::names::{CLASS_DEFAULT, NODE, PINNED_BY, PROVISIONER};
use fastrak_api::node::NodeName;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

fn view(object: &Value) -> Claim {
    Claim::parse(&object.to_string()).unwrap()
}

fn decide(
    operation: Operation,
    old: Option<&Value>,
    object: &Value,
    snapshot: &Snapshot,
) -> Verdict {
    let (object, old) = (view(object), old.map(view));
    let request = ClaimRequest { claim: &object, old: old.as_ref(), operation, uid: "r-1" };
    claim(&request, snapshot)
}

fn create(object: &Value, snapshot: &Snapshot) -> Verdict {
    decide(Operation::Create, None, object, snapshot)
}

fn update(old: &Value, new: &Value, snapshot: &Snapshot) -> Verdict {
    decide(Operation::Update, Some(old), new, snapshot)
}

fn repair(object: &Value, snapshot: &Snapshot) -> Verdict {
    decide(Operation::Repair, None, object, snapshot)
}

/// Returns the annotations of node and reason, and the label of a claim.
fn pin_of(object: &Value) -> (Option<&str>, Option<&str>, Option<&str>) {
    (annotation(object, NODE), annotation(object, PINNED_BY), label(object, NODE))
}

fn one_node() -> Snapshot {
    snapshot(&[node("a")])
}

fn two_nodes() -> Snapshot {
    snapshot(&[node("a"), node("b")])
}

mod chosen;
mod class;
mod existing;
mod explicit;
mod labels;
mod namespaces;
mod scheduler;
mod scope;
mod stale_pin;
mod warnings;

/// Generates claims as tenants, schedulers and older versions may leave them.
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

fn any_facts() -> impl Strategy<Value = Snapshot> {
    let names = proptest::sample::subsequence(vec!["a", "b", "c"], 0..=3);
    (names, any_volumes(), any::<bool>()).prop_map(|(names, volumes, default)| {
        let node = |name: &&str| {
            let mut node = labelled(name, "zone", "east");
            node["metadata"]["labels"][kubernetes::HOSTNAME] = json!(name);
            node
        };
        let snapshot = snapshot(&names.iter().map(node).collect::<Vec<_>>());
        let snapshot = with_volumes(&snapshot, &volumes);
        if default { marked(&snapshot, "waits", "2026-01-01T00:00:00Z") } else { snapshot }
    })
}

/// Generates volumes that are free, or reserved for the claim or another.
fn any_volumes() -> impl Strategy<Value = Vec<Value>> {
    let class = prop_oneof![Just("waits"), Just("now"), Just("east")];
    let node = prop_oneof![Just("a"), Just("b"), Just("gone")];
    let wanted = prop_oneof![Just(None), Just(Some("data")), Just(Some("other"))];
    let volume = (class, node, wanted).prop_map(|(class, node, wanted)| {
        let free = volume(&format!("{class}-{node}"), class, node);
        wanted.map_or(free.clone(), |claim| reserved(&free, claim, None))
    });
    prop_oneof![3 => Just(Vec::new()), 2 => proptest::collection::vec(volume, 1..3)]
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![Just(Operation::Create), Just(Operation::Update), Just(Operation::Repair)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_decision_over_its_own_result_changes_nothing(
        old in any_claim(), object in any_claim(), snapshot in any_facts(), operation in any_operation(),
    ) {
        let old = (operation == Operation::Update).then_some(&old);
        let first = decide(operation, old, &object, &snapshot);
        let changed = after(&object, &first);
        let second = decide(operation, old, &changed, &snapshot);
        if matches!(first.outcome, Outcome::Denied(_)) {
            prop_assert_eq!(first.outcome, second.outcome);
        } else {
            prop_assert_eq!(second.outcome, Outcome::Untouched, "{}", changed);
        }
    }

    #[test]
    fn an_update_changes_no_spec(old in any_claim(), new in any_claim(), snapshot in any_facts()) {
        let verdict = update(&old, &new, &snapshot);
        prop_assert_eq!(&after(&new, &verdict)["spec"], &new["spec"]);
    }

    #[test]
    fn what_others_wrote_stays(object in any_claim(), snapshot in any_facts(), operation in any_operation()) {
        let changed = after(&object, &decide(operation, None, &object, &snapshot));
        prop_assert_eq!(annotation(&changed, "own.io/x"), annotation(&object, "own.io/x"));
        prop_assert_eq!(&changed["spec"]["resources"], &object["spec"]["resources"]);
    }

    #[test]
    fn the_label_of_a_claim_of_ours_is_the_key_of_its_pin(
        object in any_claim(), snapshot in any_facts(), operation in any_operation(),
    ) {
        let old = object.clone();
        let verdict = decide(operation, Some(&old), &object, &snapshot);
        let malformed = matches!(verdict.reason, Reason::MalformedPin | Reason::MalformedSelectedNode);
        let beside = verdict.reason.rule() != crate::verdict::Rule::Pin
            || verdict.reason == Reason::ExistingVolume;
        // A selected node that a new claim brings and that does not exist is left as it is.
        let stale = verdict.reason == Reason::StaleSelectedNode;
        if !(malformed || beside || stale || matches!(verdict.outcome, Outcome::Denied(_))) {
            let changed = after(&object, &verdict);
            prop_assert_eq!(annotation(&changed, NODE), label(&changed, NODE));
        }
    }

    #[test]
    fn warnings_are_short(object in any_claim(), snapshot in any_facts(), operation in any_operation()) {
        let verdict = decide(operation, None, &object, &snapshot);
        for warning in verdict.warnings(false).chain(verdict.warnings(true)) {
            let warning = warning.to_string();
            prop_assert!(warning.chars().count() <= 120 && !warning.contains(char::is_control));
        }
    }
}
