use super::*;
use crate::repair::plan::{self, Repair};
use fastrak_admission::fixtures::{
    annotated, annotation, claim as claim_of, label, snapshot, with_labels,
};
use fastrak_admission::patch::Received;
use fastrak_api::names::kubernetes::{PROVISIONED_BY, SELECTED_NODE, STORAGE_PROVISIONER};
use fastrak_api::names::{ADMISSION, ADMISSION_DISABLED, NODE, PINNED_BY, PROVISIONER};
use serde::Deserialize as _;
use serde_json::{Value, json};

const UID: &str = "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";
const VOLUME: &str = "pvc-0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";

/// A bound claim of class `class` with these annotations and labels.
fn bound(class: Option<&str>, annotations: &[(&str, &str)], labels: &[(&str, &str)]) -> Value {
    let mut object = with_labels(&annotated(&claim_of(class), annotations), labels);
    object["spec"]["volumeName"] = json!(VOLUME);
    object["status"]["phase"] = json!("Bound");
    object
}

fn view(object: &Value) -> Claim {
    Claim::parse(&object.to_string()).unwrap()
}

/// The volume of that claim, on node a.
fn volume(object: &Value) -> Value {
    json!({
        "metadata": {
            "name": VOLUME,
            "annotations": { NODE: "a", PROVISIONED_BY: PROVISIONER },
        },
        "spec": { "claimRef": {
            "namespace": object["metadata"]["namespace"],
            "name": object["metadata"]["name"],
            "uid": UID,
        } },
    })
}

fn restored(object: &Value, volume: &Value) -> Option<(Value, String)> {
    let volume = serde_json::from_value(volume.clone()).unwrap();
    let Restoration { edits, report } = restore(&view(object), UID, &volume)?;
    let mut object = object.clone();
    let operations = Received::deserialize(&object).unwrap().patch(&edits).unwrap();
    json_patch::patch(&mut object, &operations).unwrap();
    Some((object, report.note))
}

fn reads_volume(object: &Value) -> bool {
    let known = snapshot(&[]);
    let repair = plan::claim(&view(object), &known);
    assert!(matches!(repair, Repair::Nothing | Repair::ReadVolume(_)), "{repair:?}");
    repair == Repair::ReadVolume(VOLUME.to_owned())
}

#[test]
fn the_volume_of_a_bound_claim_is_read_only_if_label_or_annotation_is_missing_or_wrong() {
    let ours = Some("waits");
    for (annotations, labels, is_read) in [
        (&[(NODE, "a")][..], &[(NODE, "a")][..], false),
        (&[(NODE, "a"), (SELECTED_NODE, "a")], &[(NODE, "a")], false),
        (&[(NODE, "a")], &[], true),
        (&[], &[(NODE, "a")], true),
        (&[], &[], true),
        (&[(NODE, "b")], &[(NODE, "a")], true),
        (&[(NODE, "b"), (SELECTED_NODE, "a")], &[(NODE, "b")], true),
        (&[(NODE, "A B")], &[(NODE, "A B")], true),
        (&[], &[(ADMISSION, ADMISSION_DISABLED)], false),
    ] {
        let object = bound(ours, annotations, labels);
        assert_eq!(reads_volume(&object), is_read, "{object}");
    }
}

#[test]
fn the_volumes_of_claims_of_other_provisioners_are_not_read() {
    let by = |provisioner| [(STORAGE_PROVISIONER, provisioner)];
    for (class, annotations, is_read) in [
        (Some("foreign"), &[][..], false),
        (Some("foreign"), &by("example.com/other"), false),
        // The class was deleted, and perhaps recreated by another provisioner.
        (Some("foreign"), &by(PROVISIONER), true),
        (Some("gone"), &by(PROVISIONER), true),
        (Some("gone"), &by("example.com/other"), false),
        (Some("gone"), &[], true),
        (Some(""), &[], false),
        (None, &[], false),
    ] {
        let object = bound(class, annotations, &[]);
        assert_eq!(reads_volume(&object), is_read, "{object}");
    }
}

#[test]
fn a_claim_that_is_not_bound_to_a_volume_of_such_a_name_reads_none() {
    let lost = bound(Some("waits"), &[], &[]);
    assert!(reads_volume(&lost));
    let with = |path: &str, value: Value| {
        let mut object = lost.clone();
        *object.pointer_mut(path).unwrap() = value;
        object
    };
    let mut deleting = lost.clone();
    deleting["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    for object in [
        with("/spec/volumeName", json!("nfs-1")),
        with("/status/phase", json!("Pending")),
        with("/status/phase", json!("Lost")),
        with("/metadata/namespace", json!("kube-system")),
        deleting,
    ] {
        assert!(!reads_volume(&object), "{object}");
    }
}

#[test]
fn label_and_annotation_are_restored_as_the_volume_has_them() {
    for (annotations, labels, wanted) in [
        (&[][..], &[][..], "restored label and annotation fastrak.io/node"),
        (&[(NODE, "a")], &[], "restored label fastrak.io/node"),
        (&[], &[(NODE, "a")], "restored annotation fastrak.io/node"),
        (&[(NODE, "b")], &[(NODE, "b")], "restored label and annotation fastrak.io/node"),
    ] {
        let object = bound(Some("waits"), annotations, labels);
        let (after, note) = restored(&object, &volume(&object)).unwrap();
        assert_eq!(
            (annotation(&after, NODE), label(&after, NODE)),
            (Some("a"), Some("a")),
            "{after}"
        );
        assert!(note.starts_with(wanted) && note.contains("on node a"), "{note}");
        assert_eq!(restored(&after, &volume(&object)), None, "it is restored once");
        assert!(!reads_volume(&after), "{after}");
    }
}

#[test]
fn a_restored_pin_is_a_user_pin_only_if_it_was_one() {
    for (annotations, by) in [
        (&[][..], Some("scheduler")),
        (&[(PINNED_BY, "user")], Some("user")),
        (&[(NODE, "a")], None),
    ] {
        let object = bound(Some("waits"), annotations, &[]);
        let (after, _) = restored(&object, &volume(&object)).unwrap();
        assert_eq!(annotation(&after, PINNED_BY), by, "{object}");
    }
}

#[test]
fn a_node_with_a_long_name_gets_its_key_as_the_label() {
    let name = format!("{}.example.com", "n".repeat(60));
    let object = bound(Some("waits"), &[], &[]);
    let mut volume = volume(&object);
    volume["metadata"]["annotations"][NODE] = json!(name);
    let (after, _) = restored(&object, &volume).unwrap();
    let key = NodeName::parse(&name).unwrap().key();
    assert_eq!((annotation(&after, NODE), label(&after, NODE)), (Some(&*name), Some(key.as_str())));
}

#[test]
fn only_a_volume_of_fastrak_for_this_claim_restores_it() {
    let object = bound(Some("waits"), &[], &[]);
    let own = volume(&object);
    assert!(restored(&object, &own).is_some());
    for (path, value) in [
        ("/metadata/name", json!("pvc-1b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59")),
        ("/metadata/annotations/pv.kubernetes.io~1provisioned-by", json!("example.com/other")),
        ("/metadata/annotations/fastrak.io~1node", json!("A B")),
        ("/spec/claimRef/uid", json!("1b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59")),
        ("/spec/claimRef/uid", Value::Null),
        ("/spec/claimRef/namespace", json!("other")),
        ("/spec/claimRef/name", json!("other")),
        ("/spec/claimRef", Value::Null),
        ("/metadata/annotations", Value::Null),
    ] {
        let mut other = own.clone();
        *other.pointer_mut(path).unwrap() = value;
        assert_eq!(restored(&object, &other), None, "{path}: {other}");
    }
}
