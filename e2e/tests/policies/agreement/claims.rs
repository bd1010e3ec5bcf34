//! The claims that are sent, and the differences between policies and webhook for them.

use super::cases::{Case, product, some};
use super::cluster::{AT_ONCE, FOREIGN, LONG, NODES, ONE_NODE, Space, UNNAMED};
use super::differences::{Difference, Then};
use fastrak_api::claim::PinnedBy;
use fastrak_api::names::kubernetes::{
    SELECTED_NODE, STORAGE_CLASS_BETA, STORAGE_PROVISIONER, STORAGE_PROVISIONER_BETA,
};
use fastrak_api::names::{self, CLASS_DEFAULT, CLASS_RETAIN, NODE, PINNED_BY};
use fastrak_api::node::NodeName;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::ApiResource;
use serde_json::{Value, json};

/// A node that does not exist.
const GHOST: &str = "ghost";
/// An invalid node name.
const BAD: &str = "Not A Node";

pub(crate) fn resource() -> ApiResource {
    ApiResource::erase::<PersistentVolumeClaim>(&())
}

fn claim(class: Option<&str>) -> Value {
    let mut claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    if let Some(class) = class {
        claim["spec"]["storageClassName"] = json!(class);
    }
    claim
}

pub(crate) fn pinned_to(node: &str) -> Value {
    annotated(claim(Some(CLASS_DEFAULT)), &[(NODE, node)])
}

pub(crate) fn without_class() -> Value {
    claim(None)
}

fn with(mut object: Value, map: &str, entries: &[(&str, &str)]) -> Value {
    for (key, value) in entries {
        object["metadata"][map][*key] = json!(value);
    }
    object
}

fn annotated(object: Value, entries: &[(&str, &str)]) -> Value {
    with(object, "annotations", entries)
}

fn labelled(object: Value, entries: &[(&str, &str)]) -> Value {
    with(object, "labels", entries)
}

/// Pin, selected node, reason, label.
type Marks<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<&'a str>);

fn marked(mut object: Value, (pin, selected, why, label): Marks<'_>) -> Value {
    for (key, value) in [(NODE, pin), (SELECTED_NODE, selected), (PINNED_BY, why)] {
        object = value.map_or(object.clone(), |value| annotated(object, &[(key, value)]));
    }
    label.map_or(object.clone(), |label| labelled(object, &[(NODE, label)]))
}

/// Every mix of marks.
fn mixes() -> Vec<Marks<'static>> {
    let pins = ["node-a", "node-b", GHOST, BAD, LONG, ""].map(Some);
    let nodes = ["node-a", "node-b", LONG, BAD, ""].map(Some);
    let whys = ["user", "scheduler", "only-node", "nonsense"].map(Some);
    let labels = ["node-a", "node-b", ""].map(Some);
    let mut all = vec![(None, None, None, None)];
    all = product(all, &pins, |mix, pin| (pin, mix.1, mix.2, mix.3));
    all = product(all, &nodes, |mix, selected| (mix.0, selected, mix.2, mix.3));
    all = product(all, &whys, |mix, why| (mix.0, mix.1, why, mix.3));
    product(all, &labels, |mix, label| (mix.0, mix.1, mix.2, label))
}

fn creates() -> Vec<Case> {
    let ours = || claim(Some(CLASS_DEFAULT));
    let mut odd = claim(None);
    odd["metadata"]["annotations"] = json!({});
    odd["metadata"]["labels"] = json!({});
    let mut volume = pinned_to("node-a");
    volume["spec"]["volumeName"] = json!("some-volume");
    let mut cases: Vec<_> = [
        ours(),
        odd,
        claim(None),
        claim(Some("")),
        claim(Some(CLASS_RETAIN)),
        claim(Some(FOREIGN)),
        claim(Some("no-such-class")),
        claim(Some(ONE_NODE)),
        claim(Some(AT_ONCE)),
        claim(Some(UNNAMED)),
        annotated(claim(Some(UNNAMED)), &[(NODE, "node-a")]),
        annotated(claim(Some(FOREIGN)), &[(NODE, "node-a")]),
        annotated(claim(Some("")), &[(NODE, "node-a")]),
        annotated(claim(Some(ONE_NODE)), &[(NODE, "node-a")]),
        annotated(claim(Some(ONE_NODE)), &[(NODE, "node-b")]),
        annotated(claim(Some(AT_ONCE)), &[(NODE, "node-b")]),
        annotated(claim(None), &[(NODE, "node-a")]),
        annotated(claim(None), &[(NODE, BAD)]),
        annotated(claim(None), &[(SELECTED_NODE, "")]),
        annotated(claim(None), &[(STORAGE_CLASS_BETA, CLASS_DEFAULT)]),
        annotated(ours(), &[(STORAGE_CLASS_BETA, "x"), (NODE, "node-a")]),
        annotated(
            pinned_to("node-a"),
            &[(STORAGE_PROVISIONER, "other"), (STORAGE_PROVISIONER_BETA, "other")],
        ),
        annotated(pinned_to("node-a"), &[("own.io/x~y", "kept"), ("own.io/a", "")]),
        labelled(pinned_to("node-a"), &[(names::ADMISSION, names::ADMISSION_DISABLED)]),
        labelled(pinned_to("node-a"), &[(names::ADMISSION, "enabled")]),
        labelled(claim(None), &[(names::ADMISSION, names::ADMISSION_DISABLED)]),
        volume,
    ]
    .map(Case::create)
    .into();
    for space in [Space::OptedOut, Space::Classy] {
        let classes = [None, Some(CLASS_DEFAULT), Some(CLASS_RETAIN), Some(FOREIGN), Some("")];
        cases.extend(classes.map(|class| Case::create(claim(class)).within(space)));
        let pinned = classes.map(|class| annotated(claim(class), &[(NODE, "node-a")]));
        cases.extend(pinned.map(|claim| Case::create(claim).within(space)));
    }
    let mixed = mixes().into_iter().map(|marks| Case::create(marked(ours(), marks)));
    cases.extend(some(mixed.collect(), 200));
    cases
}

fn updates() -> Vec<Case> {
    let ours = || claim(Some(CLASS_DEFAULT));
    let scheduled =
        || marked(ours(), (Some("node-a"), Some("node-a"), Some("scheduler"), Some("node-a")));
    let by_user = || marked(ours(), (Some("node-a"), Some("node-a"), Some("user"), Some("node-a")));
    let fresh = |selected| annotated(ours(), &[(SELECTED_NODE, selected)]);
    let opted = |claim| labelled(claim, &[(names::ADMISSION, names::ADMISSION_DISABLED)]);
    let mut cases = vec![
        // The scheduler's choice, and its withdrawal.
        Case::update(ours(), fresh("node-a")),
        Case::update(ours(), fresh(LONG)),
        Case::update(ours(), fresh(BAD)),
        Case::update(
            scheduled(),
            marked(ours(), (Some("node-a"), None, Some("scheduler"), Some("node-a"))),
        ),
        Case::update(
            by_user(),
            marked(ours(), (Some("node-a"), None, Some("user"), Some("node-a"))),
        ),
        Case::update(scheduled(), ours()),
        // The controller manager writes to a claim that was never mirrored.
        Case::update(fresh("node-a"), annotated(fresh("node-a"), &[(STORAGE_PROVISIONER, "x")])),
        // No field of fastrak changes.
        Case::update(ours(), annotated(ours(), &[("own.io/x", "y")])),
        Case::update(scheduled(), annotated(scheduled(), &[("own.io/x", "y")])),
        Case::update(
            claim(Some(FOREIGN)),
            annotated(claim(Some(FOREIGN)), &[(SELECTED_NODE, "node-a")]),
        ),
        Case::update(
            claim(Some(UNNAMED)),
            annotated(claim(Some(UNNAMED)), &[(SELECTED_NODE, "node-a")]),
        ),
        Case::update(claim(Some("")), annotated(claim(Some("")), &[(SELECTED_NODE, "node-a")])),
        Case::update(claim(Some(ONE_NODE)), annotated(claim(Some(ONE_NODE)), &[(PINNED_BY, "x")])),
        Case::update(claim(Some(AT_ONCE)), labelled(claim(Some(AT_ONCE)), &[(NODE, "node-a")])),
        // A class is set later.
        Case::update(claim(None), ours()),
        Case::update(claim(None), fresh("node-a")),
        Case::update(claim(None), annotated(claim(None), &[(SELECTED_NODE, "node-a")])),
        Case::update(claim(None), annotated(claim(None), &[(NODE, "node-a")])),
        // It opts out or in.
        Case::update(ours(), opted(fresh("node-a"))),
        Case::update(opted(ours()), fresh("node-a")),
        Case::update(opted(ours()), opted(fresh("node-a"))),
        Case::update(ours(), fresh("node-a")).within(Space::OptedOut),
        Case::update(ours(), fresh("node-a")).within(Space::Classy),
    ];
    let before = [
        (None, None, None, None),
        (Some("node-a"), Some("node-a"), Some("scheduler"), Some("node-a")),
        (Some("node-a"), Some("node-a"), Some("user"), Some("node-a")),
        (Some("node-a"), None, Some("user"), Some("node-a")),
        (Some("node-a"), None, Some("scheduler"), Some("node-b")),
        (None, Some("node-b"), None, None),
        (Some(LONG), Some(LONG), Some("scheduler"), None),
        (Some(BAD), None, None, None),
        (None, None, Some("scheduler"), Some("node-a")),
    ];
    for old in before {
        let olds = marked(ours(), old);
        let mixed = mixes().into_iter().map(|new| Case::update(olds.clone(), marked(ours(), new)));
        cases.extend(some(mixed.collect(), 60));
    }
    cases
}

pub(crate) fn all() -> Vec<Case> {
    creates().into_iter().chain(updates()).collect()
}

fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][key].as_str()
}

fn label(object: &Value) -> Option<&str> {
    object["metadata"]["labels"][NODE].as_str()
}

fn class(case: &Case) -> Option<&str> {
    case.new["spec"]["storageClassName"].as_str()
}

fn pin(case: &Case) -> Option<&str> {
    annotation(&case.new, NODE)
}

fn selected(case: &Case) -> Option<&str> {
    annotation(&case.new, SELECTED_NODE)
}

/// Returns whether this request writes the pin.
fn brings_pin(case: &Case) -> bool {
    pin(case).is_some() && case.old.as_ref().is_none_or(|old| annotation(old, NODE) != pin(case))
}

fn is_name(text: &str) -> bool {
    NodeName::parse(text).is_ok()
}

fn is_long(text: &str) -> bool {
    is_name(text) && text.len() > 63
}

/// A difference, its condition, and its effect.
type Row = (&'static str, fn(&Case) -> bool, Then);

/// Returns the differences. The first that applies to a case must explain the results.
pub(crate) fn differences() -> Vec<Difference> {
    let rows: [Row; 12] = [
        (
            "a claim of a class that `--class` does not name",
            |case| class(case) == Some(UNNAMED),
            Then::PoliciesLeaveIt,
        ),
        (
            "a new claim in a namespace with a default class of its own",
            is_of_another_default,
            Then::PoliciesLeaveIt,
        ),
        (
            "a new claim with a pin that fastrak recorded, as a backup keeps it",
            is_restored,
            Then::PoliciesLeaveIt,
        ),
        (
            "a node with a name longer than 63 characters",
            |case| [selected(case), pin(case)].into_iter().flatten().any(is_long),
            Then::PoliciesLeaveIt,
        ),
        ("a new claim with a pin and another selected node", contradicts, Then::WebhookRefuses),
        ("a pin that is no node's name", brings_nonsense, Then::WebhookRefuses),
        (
            "a new claim with a selected node and no pin",
            |case| case.old.is_none() && selected(case).is_some() && pin(case).is_none(),
            Then::PoliciesLeaveIt,
        ),
        (
            "a pin that is written on an existing claim",
            |case| case.old.is_some() && brings_pin(case) && selected(case).is_none(),
            Then::PoliciesLeaveIt,
        ),
        (
            "a pin to a node that does not exist, or can never hold the claim",
            brings_impossible,
            Then::WebhookRefusesPoliciesPin,
        ),
        (
            "such a claim, in an update that brings only a reason or a label",
            |case| is_chosen_for(case) && case.old.is_some() && bears_remains(case),
            Then::UndoneForBoth,
        ),
        (
            "a claim that a single node could hold",
            |case| class(case) == Some(ONE_NODE) && is_chosen_for(case),
            Then::PoliciesLeaveIt,
        ),
        (
            "a claim of a class that binds immediately",
            |case| class(case) == Some(AT_ONCE) && is_chosen_for(case),
            Then::WebhookChooses,
        ),
    ];
    rows.map(|(what, applies, then)| Difference { what, applies, then }).into()
}

fn is_of_another_default(case: &Case) -> bool {
    let other = class(case).is_none_or(|class| class == CLASS_DEFAULT);
    case.space == Space::Classy && case.old.is_none() && other
}

fn is_restored(case: &Case) -> bool {
    let by = annotation(&case.new, PINNED_BY).and_then(PinnedBy::parse);
    let labelled = label(&case.new).is_none_or(|label| Some(label) == pin(case));
    case.old.is_none()
        && pin(case).is_some()
        && labelled
        && by.is_some_and(|by| by != PinnedBy::User)
}

fn contradicts(case: &Case) -> bool {
    let differs = pin(case).is_some_and(|pin| selected(case) != Some(pin));
    case.old.is_none() && selected(case).is_some_and(is_name) && differs
}

fn brings_nonsense(case: &Case) -> bool {
    brings_pin(case) && selected(case).is_none() && pin(case).is_some_and(|pin| !is_name(pin))
}

fn brings_impossible(case: &Case) -> bool {
    let able = |pin: &str| match class(case) {
        Some(ONE_NODE) => pin == NODES[0],
        _ => NODES.contains(&pin),
    };
    brings_pin(case) && pin(case).is_some_and(|pin| !able(pin))
}

/// Returns whether the webhook chooses the claim's node itself.
fn is_chosen_for(case: &Case) -> bool {
    matches!(class(case), Some(ONE_NODE | AT_ONCE)) && pin(case).or(selected(case)).is_none()
}

fn bears_remains(case: &Case) -> bool {
    annotation(&case.new, PINNED_BY).or(label(&case.new)).is_some()
}

/// Returns whether a result has a complete pin.
pub(crate) fn is_pinned(result: &Value) -> bool {
    let node = annotation(result, NODE);
    node.is_some()
        && node == annotation(result, SELECTED_NODE)
        && node == label(result)
        && annotation(result, PINNED_BY).and_then(PinnedBy::parse).is_some()
}

/// Returns whether the webhook has chosen one of several nodes.
pub(crate) fn is_chosen(result: &Value) -> bool {
    annotation(result, NODE).is_some_and(|node| NODES.contains(&node))
        && annotation(result, PINNED_BY) == Some(PinnedBy::Policy.as_str())
}
