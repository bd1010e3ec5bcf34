//! Measures a review without the network: decode, decide, patch, encode.

use criterion::Criterion;
use fastrak_admission::mutate::service::Settings;
use fastrak_admission::review::{Effect, Subject, answer};
use fastrak_admission::snapshot::{Availability, ClassInfo, NodeInfo, Snapshot};
use fastrak_api::balancer::Mode;
use fastrak_api::names;
use fastrak_api::node::NodeName;
use serde_json::{Value, json};
use std::hint::black_box;
use std::sync::Arc;

const SETTINGS: Settings =
    Settings { balancer: Mode::Inlets, alternative: Mode::None, addresses: false, dry_run: false };

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let snapshot = snapshot();
    for (name, subject, effect, object) in [
        ("claim, pinned", Subject::Claims, Effect::Patched, claim(names::CLASS_DEFAULT)),
        ("claim, another's class", Subject::Claims, Effect::Untouched, claim("foreign")),
        ("service, decided", Subject::Services, Effect::Patched, service()),
    ] {
        let body = review(subject, &object).to_string().into_bytes();
        let answered =
            answer(&body, subject, Some(&snapshot), SETTINGS).map(|a| (a.effect, a.body));
        // A figure of a review that went wrong would be a fine one.
        assert!(matches!(&answered, Ok((got, _)) if *got == effect), "{name}: {answered:?}");
        criterion.bench_function(&format!("{name} ({} bytes)", body.len()), |bencher| {
            bencher.iter(|| answer(black_box(&body), subject, Some(&snapshot), SETTINGS));
        });
    }
    criterion.final_summary();
}

/// One node, which is what makes a claim to be pinned.
fn snapshot() -> Snapshot {
    let class = |name: &str, provisioner: &str| {
        let class = json!({
            "metadata": {"name": name, "uid": name},
            "provisioner": provisioner,
            "volumeBindingMode": "WaitForFirstConsumer",
        });
        serde_json::from_value(class).map(|class| (name.to_owned(), ClassInfo::read(&class)))
    };
    let classes =
        [class(names::CLASS_DEFAULT, names::PROVISIONER), class("foreign", "example.com/x")];
    let node = NodeName::parse("node-a")
        .map(|name| (name, NodeInfo { availability: Availability::Open, ..NodeInfo::default() }));
    Snapshot {
        classes: Arc::new(classes.into_iter().flatten().collect()),
        nodes: Arc::new(node.into_iter().collect()),
        agents: None,
        inlets_operator: None,
        volumes: None,
        namespaces: Arc::default(),
        namespace: names::NAMESPACE.to_owned(),
    }
}

fn review(subject: Subject, object: &Value) -> Value {
    let (resource, kind) = match subject {
        Subject::Claims => ("persistentvolumeclaims", "PersistentVolumeClaim"),
        Subject::Services => ("services", "Service"),
    };
    let of = json!({"group": "", "version": "v1", "kind": kind});
    let at = json!({"group": "", "version": "v1", "resource": resource});
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": of, "resource": at, "requestKind": of, "requestResource": at,
            "name": "data-shop-0",
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {
                "username": "system:serviceaccount:kube-system:statefulset-controller",
                "uid": "0b4f1a0e-4f0c-4a52-9a3e-1d2c3b4a5f60",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system",
                    "system:authenticated"],
            },
            "object": object,
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
}

fn metadata(labels: &Value) -> Value {
    json!({
        "name": "data-shop-0",
        "namespace": "shop",
        "uid": "6c8b1e8e-0d9b-4f3d-8a59-3f6d2d1b7c11",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": labels,
        "annotations": {
            "example.com/owner": "the people who look after the shop",
            "example.com/note": "restored from a \"backup\" of last week",
        },
        "managedFields": [{
            "manager": "kube-controller-manager",
            "operation": "Update",
            "apiVersion": "v1",
            "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {
                    "f:annotations": {".": {}, "f:example.com/owner": {}, "f:example.com/note": {}},
                    "f:labels": {
                        ".": {}, "f:app.kubernetes.io/name": {}, "f:app.kubernetes.io/instance": {},
                        "f:app.kubernetes.io/component": {}, "f:app.kubernetes.io/part-of": {},
                    },
                },
                "f:spec": {
                    "f:accessModes": {}, "f:resources": {"f:requests": {".": {}, "f:storage": {}}},
                    "f:storageClassName": {}, "f:volumeMode": {},
                },
            },
        }],
    })
}

fn labels() -> Value {
    json!({
        "app.kubernetes.io/name": "shop",
        "app.kubernetes.io/instance": "shop-production",
        "app.kubernetes.io/component": "database",
        "app.kubernetes.io/part-of": "the-shop",
    })
}

fn claim(class: &str) -> Value {
    json!({
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "metadata": metadata(&labels()),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "10Gi"}},
            "storageClassName": class,
            "volumeMode": "Filesystem",
        },
        "status": {"phase": "Pending"},
    })
}

fn service() -> Value {
    json!({
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": metadata(&labels()),
        "spec": {
            "type": "LoadBalancer",
            "selector": labels(),
            "clusterIP": "10.96.12.34",
            "clusterIPs": ["10.96.12.34"],
            "externalTrafficPolicy": "Cluster",
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [
                {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080, "nodePort": 30080},
                {"name": "https", "protocol": "TCP", "port": 443, "targetPort": 8443, "nodePort": 30443},
            ],
            "sessionAffinity": "None",
        },
        "status": {"loadBalancer": {}},
    })
}
