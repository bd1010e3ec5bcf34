//! Test fixtures: a small cluster, claims, and the application of a decision to an object, as by
//! the API server.

use crate::mutate::service::Settings;
use crate::patch::Received;
use crate::snapshot::namespace::NamespaceInfo;
use crate::snapshot::node::PartialNode;
use crate::snapshot::volume::PartialVolume;
use crate::snapshot::{ClassInfo, NodeInfo, Snapshot};
use crate::verdict::{Outcome, Reason, Verdict};
use fastrak_api::balancer::Mode;
use fastrak_api::names::{self, kubernetes};
use fastrak_api::node::NodeName;
use k8s_openapi::api::storage::v1::StorageClass;
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::sync::Arc;

/// The settings of a webhook without flags.
pub const SETTINGS: Settings =
    Settings { balancer: Mode::Inlets, alternative: Mode::None, addresses: false, dry_run: false };

/// Classes: `local-storage` and `waits` (ours, wait), `now` (ours, immediate), `east` (ours, zone
/// east only), `foreign`. None is marked as the default.
pub fn snapshot(nodes: &[Value]) -> Snapshot {
    let class = |name: &str, provisioner: &str, mode: &str| {
        json!({
            "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "provisioner": provisioner,
            "volumeBindingMode": mode,
        })
    };
    let mut east = class("east", names::PROVISIONER, "WaitForFirstConsumer");
    east["allowedTopologies"] =
        json!([{"matchLabelExpressions": [{"key": "zone", "values": ["east"]}]}]);
    with_classes(
        &[
            class(names::CLASS_DEFAULT, names::PROVISIONER, "WaitForFirstConsumer"),
            class("waits", names::PROVISIONER, "WaitForFirstConsumer"),
            class("now", names::PROVISIONER, "Immediate"),
            east,
            class("foreign", "example.com/other", "Immediate"),
        ],
        nodes,
    )
}

/// Returns a snapshot with these StorageClasses and Nodes.
pub fn with_classes(classes: &[Value], nodes: &[Value]) -> Snapshot {
    let class = |value: &Value| {
        let object: StorageClass = serde_json::from_value(value.clone()).unwrap();
        (object.metadata.name.clone().unwrap(), ClassInfo::read(&object))
    };
    let node = |value: &Value| {
        let object: PartialNode = serde_json::from_value(value.clone()).unwrap();
        let name = NodeName::parse(object.metadata.name.as_deref().unwrap()).unwrap();
        (name, NodeInfo::read(&object))
    };
    Snapshot {
        classes: Arc::new(classes.iter().map(class).collect()),
        nodes: Arc::new(nodes.iter().map(node).collect()),
        agents: None,
        inlets_operator: None,
        volumes: Some(Arc::default()),
        namespaces: Arc::default(),
        namespace: names::NAMESPACE.to_owned(),
    }
}

/// Returns the snapshot with this metadata of the namespace `shop`.
pub fn with_namespace(snapshot: &Snapshot, metadata: &Value) -> Snapshot {
    let metadata = serde_json::from_value(metadata.clone()).unwrap();
    let info = NamespaceInfo::read(&metadata).unwrap();
    let namespaces = Arc::new([("shop".to_owned(), info)].into());
    Snapshot { namespaces, ..snapshot.clone() }
}

/// Returns the snapshot with these volumes.
pub fn with_volumes(snapshot: &Snapshot, volumes: &[Value]) -> Snapshot {
    let volume = |object: &Value| {
        let text = object.to_string();
        let shape: PartialVolume<'_> = serde_json::from_str(&text).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        shape.info().map(|info| (name, Arc::new(info)))
    };
    let volumes = volumes.iter().filter_map(volume).collect();
    Snapshot { volumes: Some(Arc::new(volumes)), ..snapshot.clone() }
}

/// A free volume of 1Gi of a class on a node.
pub fn volume(name: &str, class: &str, node: &str) -> Value {
    let on = json!({"key": kubernetes::HOSTNAME, "operator": "In", "values": [node]});
    json!({
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on]}]}},
            "storageClassName": class,
        },
        "status": {"phase": "Available"},
    })
}

/// Returns the volume, reserved for a claim in the namespace `shop`.
pub fn reserved(volume: &Value, claim: &str, uid: Option<&str>) -> Value {
    let mut volume = volume.clone();
    volume["spec"]["claimRef"] = json!({"namespace": "shop", "name": claim, "uid": uid});
    volume
}

/// Returns the snapshot with a class marked as the default.
pub fn marked(snapshot: &Snapshot, name: &str, created: &str) -> Snapshot {
    let mut classes = (*snapshot.classes).clone();
    let info = classes.get_mut(name).unwrap();
    info.class.is_default = true;
    info.created = Some(created.parse().unwrap());
    Snapshot { classes: Arc::new(classes), ..snapshot.clone() }
}

/// A node that is Ready and runs Linux.
pub fn node(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/os": "linux"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    })
}

/// Returns a Node with one more label.
pub fn labelled(name: &str, key: &str, value: &str) -> Value {
    let mut node = node(name);
    node["metadata"]["labels"][key] = json!(value);
    node
}

/// A claim of a class in the namespace `shop`.
pub fn claim(class: Option<&str>) -> Value {
    let mut claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "shop"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    if let Some(class) = class {
        claim["spec"]["storageClassName"] = json!(class);
    }
    claim
}

/// Returns the object with these annotations too.
pub fn annotated(object: &Value, annotations: &[(&str, &str)]) -> Value {
    with(object, "annotations", annotations)
}

/// Returns the object with these labels.
pub fn with_labels(object: &Value, labels: &[(&str, &str)]) -> Value {
    with(object, "labels", labels)
}

fn with(object: &Value, map: &str, entries: &[(&str, &str)]) -> Value {
    let mut object = object.clone();
    for (key, value) in entries {
        object["metadata"][map][*key] = json!(value);
    }
    object
}

/// Returns the object after a verdict, as the API server has it.
pub fn after(object: &Value, verdict: &Verdict) -> Value {
    let mut changed = object.clone();
    if let Outcome::Patched(edits) = &verdict.outcome {
        let operations = Received::deserialize(object).unwrap().patch(edits).unwrap();
        assert!(!operations.is_empty(), "a patch that changes nothing: {edits:?}");
        json_patch::patch(&mut changed, &operations).unwrap();
    }
    changed
}

/// Returns the value of an annotation.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"].get(key)?.as_str()
}

/// Returns the value of a label.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["labels"].get(key)?.as_str()
}

/// Returns the message of a denial.
pub fn denial(verdict: &Verdict) -> &str {
    match &verdict.outcome {
        Outcome::Denied(message) => message,
        other => panic!("no denial: {other:?}"),
    }
}

/// Returns the warnings that the requester gets.
pub fn warned(verdict: &Verdict) -> Vec<String> {
    verdict.warnings(false).map(|warning| warning.to_string()).collect()
}

/// Asserts that nothing is done for this reason, without a warning.
#[track_caller]
pub fn is_silent(verdict: &Verdict, reason: Reason) {
    let found = (verdict.reason, &verdict.outcome, warned(verdict));
    assert_eq!(found, (reason, &Outcome::Untouched, Vec::new()));
}
