//! Tests that existing volumes that fit come before new ones.

use super::*;
use fastrak_api::names::{ADOPT, kubernetes::HOSTNAME};

/// Nodes with a hostname label.
fn nodes(names: &[&str]) -> Snapshot {
    snapshot(&names.iter().map(|name| labelled(name, HOSTNAME, name)).collect::<Vec<_>>())
}

/// One node, and one volume on it.
fn with(volume: &Value) -> Snapshot {
    with_volumes(&nodes(&["a"]), std::slice::from_ref(volume))
}

fn changed(object: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut object = object.clone();
    change(&mut object);
    object
}

#[track_caller]
fn is_left(object: &Value, verdict: &Verdict) -> Value {
    assert_eq!(verdict.reason, Reason::ExistingVolume);
    let left = after_or_same(object, verdict);
    assert_eq!((annotation(&left, SELECTED_NODE), label(&left, NODE)), (None, None));
    left
}

fn after_or_same(object: &Value, verdict: &Verdict) -> Value {
    match &verdict.outcome {
        Outcome::Patched(_) => after(object, verdict),
        Outcome::Untouched => object.clone(),
        Outcome::Denied(message) => panic!("{message}"),
    }
}

#[test]
fn a_claim_that_an_existing_volume_fits_is_not_pinned_and_the_warning_names_it() {
    for class in ["waits", "now"] {
        let snapshot = with(&volume("pv-x", class, "a"));
        let object = claim_of(Some(class));
        for operation in [Operation::Create, Operation::Repair] {
            let verdict = decide(operation, None, &object, &snapshot);
            assert_eq!(verdict.outcome, Outcome::Untouched);
            is_left(&object, &verdict);
        }
        let text = "fastrak: left it unpinned: existing PersistentVolume pv-x fits it";
        assert_eq!(warned(&create(&object, &snapshot)), [text]);
    }
}

#[test]
fn a_volume_that_does_not_fit_counts_for_nothing() {
    let fits = volume("pv-x", "waits", "a");
    let spec = |key: &str, value: Value| changed(&fits, |object| object["spec"][key] = value);
    for (what, volume) in [
        ("its size", spec("capacity", json!({"storage": "1023Mi"}))),
        ("no size", spec("capacity", json!({}))),
        ("its class", spec("storageClassName", json!("now"))),
        ("no class", spec("storageClassName", json!(null))),
        ("its mode", spec("volumeMode", json!("Block"))),
        ("its access", spec("accessModes", json!(["ReadWriteMany", "ReadOnlyMany"]))),
        ("its attributes", spec("volumeAttributesClassName", json!("gold"))),
        ("its node", volume("pv-x", "waits", "gone")),
        ("another claim", reserved(&fits, "other", None)),
        ("another claim of that name", reserved(&fits, "data", Some("u-9"))),
        (
            "its deletion",
            changed(&fits, |object| {
                object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            }),
        ),
    ] {
        let object = claim_of(Some("waits"));
        let verdict = create(&object, &with(&volume));
        assert_eq!(verdict.reason, Reason::OnlyNode, "{what}");
        assert_eq!(annotation(&after(&object, &verdict), SELECTED_NODE), Some("a"), "{what}");
    }
}

#[test]
fn a_claim_gets_a_volume_with_all_that_it_requests() {
    let fits = volume("pv-x", "waits", "a");
    let asks = |key: &str, value: Value| {
        changed(&claim_of(Some("waits")), |claim| claim["spec"][key] = value)
    };
    let labelled = with_labels(&fits, &[("tier", "db")]);
    let selects = |tier: &str| asks("selector", json!({"matchLabels": {"tier": tier}}));
    let shared = changed(&fits, |volume| volume["spec"]["accessModes"] = json!(["ReadWriteMany"]));
    let block = changed(&fits, |volume| volume["spec"]["volumeMode"] = json!("Block"));
    for (what, object, volume, is_left) in [
        ("labels", selects("db"), &labelled, true),
        ("other labels", selects("web"), &labelled, false),
        ("labels that none has", selects("db"), &fits, false),
        ("a mode of access", asks("accessModes", json!(["ReadWriteMany"])), &shared, true),
        ("another mode", asks("accessModes", json!(["ReadWriteMany"])), &fits, false),
        ("an unknown mode", asks("accessModes", json!(["Novel"])), &fits, false),
        ("a block device", asks("volumeMode", json!("Block")), &block, true),
        ("no block device", asks("volumeMode", json!("Filesystem")), &block, false),
        ("no size", asks("resources", json!({})), &fits, false),
        ("data", asks("dataSource", json!({"kind": "VolumeSnapshot", "name": "s"})), &fits, false),
    ] {
        let verdict = create(&object, &with(volume));
        assert_eq!(verdict.reason == Reason::ExistingVolume, is_left, "{what}: {verdict:?}");
        // An existing volume may serve what no new one can.
        assert!(!is_left || verdict.messages.len() == 1, "{what}: {:?}", verdict.messages);
    }
    let adopts = annotated(&claim_of(Some("waits")), &[(ADOPT, "pvc-x")]);
    assert_eq!(create(&adopts, &with(&fits)).reason, Reason::OnlyNode);
}

#[test]
fn a_volume_that_is_reserved_for_the_claim_needs_no_class_no_labels_and_no_node() {
    let odd = changed(&volume("pv-x", "elsewhere", "gone"), |volume| {
        volume["spec"]["accessModes"] = json!(["ReadWriteOnce", "ReadWriteMany"]);
    });
    let object = changed(&claim_of(Some("waits")), |claim| {
        claim["spec"]["selector"] = json!({"matchLabels": {"tier": "db"}});
    });
    is_left(&object, &create(&object, &with(&reserved(&odd, "data", None))));
    is_left(&object, &create(&object, &with(&reserved(&odd, "data", Some("")))));
    let small = changed(&odd, |volume| volume["spec"]["capacity"]["storage"] = json!("1Mi"));
    assert_eq!(create(&object, &with(&reserved(&small, "data", None))).reason, Reason::OnlyNode);
    // An existing claim has a uid to compare.
    let known = changed(&object, |claim| claim["metadata"]["uid"] = json!("u-1"));
    is_left(&known, &repair(&known, &with(&reserved(&odd, "data", Some("u-1")))));
    let other = with(&reserved(&odd, "data", Some("u-2")));
    assert_eq!(repair(&known, &other).reason, Reason::OnlyNode);
}

#[test]
fn a_node_that_a_new_claim_selects_counts_as_a_pin() {
    let fits = volume("pv-x", "waits", "a");
    let selects = |node: &str| annotated(&claim_of(Some("waits")), &[(SELECTED_NODE, node)]);
    for volume in [&fits, &reserved(&fits, "data", None)] {
        let left = is_left(&selects("a"), &create(&selects("a"), &with(volume)));
        assert_eq!(pin_of(&left), (Some("a"), Some("user"), None));
    }
    let stale =
        is_left(&selects("x"), &create(&selects("x"), &with(&reserved(&fits, "data", None))));
    assert_eq!(pin_of(&stale), (None, None, None));
    assert_eq!(create(&selects("x"), &with(&fits)).reason, Reason::StaleSelectedNode);
}

#[test]
fn the_named_volume_is_the_one_that_kubernetes_binds() {
    let wide = changed(&volume("pv-a", "waits", "a"), |volume| {
        volume["spec"]["accessModes"] = json!(["ReadWriteOnce", "ReadWriteMany"]);
    });
    let large = changed(&volume("pv-b", "waits", "a"), |volume| {
        volume["spec"]["capacity"]["storage"] = json!("2Gi");
    });
    let small = volume("pv-c", "waits", "a");
    let kept =
        reserved(&changed(&large, |it| it["metadata"]["name"] = json!("pv-d")), "data", None);
    let object = claim_of(Some("waits"));
    let mut all = vec![wide, large, small, kept];
    for name in ["pv-d", "pv-c", "pv-b", "pv-a"] {
        let verdict = create(&object, &with_volumes(&nodes(&["a"]), &all));
        assert_eq!(verdict.about, name);
        all.retain(|volume| volume["metadata"]["name"] != name);
    }
}

#[test]
fn a_users_pin_is_kept_and_selects_no_node_while_a_volume_fits_there() {
    let two = with_volumes(&nodes(&["a", "b"]), &[volume("pv-x", "waits", "b")]);
    let plain = claim_of(Some("waits"));
    let object = annotated(&plain, &[(NODE, "b")]);
    let held = is_left(&object, &create(&object, &two));
    assert_eq!(pin_of(&held), (Some("b"), Some("user"), None));
    assert_eq!(repair(&held, &two).outcome, Outcome::Untouched);
    // An update may bring the pin too.
    assert_eq!(pin_of(&is_left(&object, &update(&plain, &object, &two))), pin_of(&held));
    // A volume on another node does not fit a pin to this one.
    let elsewhere = annotated(&plain, &[(NODE, "a")]);
    let pinned = after(&elsewhere, &create(&elsewhere, &two));
    assert_eq!(annotation(&pinned, SELECTED_NODE), Some("a"));
    // Another claim is bound to the volume: now a new one is created.
    for verdict in [repair(&held, &nodes(&["a", "b"])), update(&held, &held, &nodes(&["a", "b"]))] {
        let pinned = after(&held, &verdict);
        assert_eq!(pin_of(&pinned), (Some("b"), Some("user"), Some("b")));
        assert_eq!(annotation(&pinned, SELECTED_NODE), Some("b"));
    }
    // The user replaces a node that is gone.
    let old = with_labels(&annotated(&plain, &[(NODE, "x"), (SELECTED_NODE, "x")]), &[(NODE, "x")]);
    let moved = annotated(&old, &[(NODE, "b")]);
    let changed = is_left(&moved, &update(&old, &moved, &two));
    assert_eq!(pin_of(&changed), pin_of(&held));
    assert_eq!(update(&old, &changed, &two).outcome, Outcome::Untouched);
    denial(&create(&annotated(&plain, &[(NODE, "gone")]), &two));
}

#[test]
fn a_class_that_binds_at_once_takes_a_volume_wherever_it_is() {
    let two = with_volumes(&nodes(&["a", "b"]), &[volume("pv-x", "now", "b")]);
    let object = annotated(&claim_of(Some("now")), &[(NODE, "a")]);
    let held = is_left(&object, &create(&object, &two));
    assert_eq!(pin_of(&held), (Some("a"), Some("user"), None));
}

#[test]
fn the_scheduler_sends_a_pod_to_the_node_of_its_claims_user() {
    let two = with_volumes(&nodes(&["a", "b"]), &[volume("pv-x", "waits", "b")]);
    let object = annotated(&claim_of(Some("waits")), &[(NODE, "b")]);
    let held = after(&object, &create(&object, &two));
    for (chosen, by) in [("a", "user"), ("b", "user")] {
        let new = annotated(&held, &[(SELECTED_NODE, chosen)]);
        let pinned = after(&new, &update(&held, &new, &two));
        assert_eq!(pin_of(&pinned), (Some("b"), Some(by), Some("b")), "{chosen}");
        assert_eq!(annotation(&pinned, SELECTED_NODE), Some("b"), "{chosen}");
    }
    // On a node that is gone no pod can be.
    let new = annotated(&held, &[(SELECTED_NODE, "a")]);
    let mirrored = after(&new, &update(&held, &new, &nodes(&["a"])));
    assert_eq!(pin_of(&mirrored), (Some("a"), Some("scheduler"), Some("a")));
}

#[test]
fn a_claim_of_a_backup_gets_the_volume_of_the_backup() {
    let snapshot = with(&volume("pv-x", "waits", "a"));
    for node in ["a", "gone"] {
        for by in ["scheduler", "only-node"] {
            let pin = [(NODE, node), (PINNED_BY, by), (SELECTED_NODE, node)];
            let object = with_labels(&annotated(&claim_of(Some("waits")), &pin), &[(NODE, node)]);
            let left = is_left(&object, &create(&object, &snapshot));
            assert_eq!(pin_of(&left), (None, None, None), "{node} {by}");
        }
    }
}

#[test]
fn a_claim_that_an_agent_may_be_serving_stays_as_it_is() {
    let snapshot = with(&volume("pv-x", "waits", "a"));
    let plain = claim_of(Some("waits"));
    let pinned = after(&plain, &create(&plain, &one_node()));
    assert_eq!(repair(&pinned, &snapshot).outcome, Outcome::Untouched);
    let new = with_labels(&pinned, &[("other", "change")]);
    assert_eq!(update(&pinned, &new, &snapshot).outcome, Outcome::Untouched);
    let scheduled = annotated(&plain, &[(SELECTED_NODE, "a")]);
    let verdict = update(&plain, &scheduled, &snapshot);
    assert_eq!(pin_of(&after(&scheduled, &verdict)), (Some("a"), Some("scheduler"), Some("a")));
}

#[test]
fn without_a_list_of_volumes_a_claim_is_pinned() {
    let snapshot = Snapshot { volumes: None, ..one_node() };
    assert_eq!(create(&claim_of(Some("waits")), &snapshot).reason, Reason::OnlyNode);
}
