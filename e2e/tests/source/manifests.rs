//! The manifests of `deploy/base`, `deploy/addresses` and `deploy/inlets` as texts: the types, fields
//! and names of all objects.
//!
//! `e2e/tests/install` and `e2e/tests/policies` apply them to a real API server.

mod pods;
mod policies;
mod webhook_configuration;

use crate::tree;
use clap::Parser as _;
use fastrak_admission::mutate::{DECLARED, PROBE};
use fastrak_admission::patch::Field;
use fastrak_api::assignment::heartbeat_name;
use fastrak_api::class::{Binding, Class, ReclaimPolicy};
use fastrak_api::names::{self, kubernetes};
use fastrak_api::node::NodeName;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Container, Namespace, PodSpec, Probe, Service, ServiceAccount};
use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The folders of the manifests.
const FOLDERS: [&str; 3] = ["deploy/base", "deploy/addresses", "deploy/inlets"];

/// Returns the objects of these folders with their files.
fn objects() -> Vec<(String, Value)> {
    let files = FOLDERS.into_iter().flat_map(tree::below);
    let files = files.filter(|file| !file.path.ends_with("kustomization.yaml"));
    let documents = files.flat_map(|file| {
        let parsed: Vec<Value> = serde_saphyr::from_multiple(&file.text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.path));
        parsed.into_iter().map(move |object| (file.path.clone(), object))
    });
    let documents: Vec<_> = documents.collect();
    assert!(documents.len() >= 12, "only {} objects found", documents.len());
    documents
}

/// Returns all objects of a kind.
fn all<T: DeserializeOwned>(kind: &str) -> Vec<T> {
    let objects = objects().into_iter().filter(|(_, object)| object["kind"] == kind);
    objects.map(|(_, object)| serde_json::from_value(object).unwrap()).collect()
}

/// Returns the only object of a kind.
fn one<T: DeserializeOwned>(kind: &str) -> T {
    let mut found = all(kind);
    assert_eq!(found.len(), 1, "{kind}");
    found.remove(0)
}

fn hook(name: &str) -> MutatingWebhook {
    let configuration: MutatingWebhookConfiguration = one("MutatingWebhookConfiguration");
    let mut hooks = configuration.webhooks.unwrap().into_iter();
    hooks.find(|hook| hook.name == name).unwrap()
}

fn webhook_pod() -> PodSpec {
    one::<Deployment>("Deployment").spec.template.spec.unwrap()
}

fn daemon_set(name: &str) -> DaemonSet {
    let mut sets = all::<DaemonSet>("DaemonSet").into_iter();
    sets.find(|set| set.metadata.name.as_deref() == Some(name)).unwrap()
}

fn agent_pod() -> PodSpec {
    daemon_set(names::AGENT).spec.template.spec.unwrap()
}

fn speaker_pod() -> PodSpec {
    daemon_set(names::SPEAKER).spec.template.spec.unwrap()
}

fn only_container(pod: &PodSpec) -> &Container {
    assert_eq!((pod.containers.len(), pod.init_containers.as_ref()), (1, None));
    &pod.containers[0]
}

/// Collects the fields of `written` that `read` lacks because the type does not have them.
fn lost(written: &Value, read: &Value, at: &str, missing: &mut Vec<String>) {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            for (key, value) in written {
                match read.get(key) {
                    Some(kept) => lost(value, kept, &format!("{at}.{key}"), missing),
                    None => missing.push(format!("{at}.{key}")),
                }
            }
        }
        (Value::Array(written), Value::Array(read)) if written.len() == read.len() => {
            for (index, (value, kept)) in written.iter().zip(read).enumerate() {
                lost(value, kept, &format!("{at}[{index}]"), missing);
            }
        }
        _ if written == read => {}
        _ => missing.push(at.to_owned()),
    }
}

fn is_whole<T: DeserializeOwned + Serialize>(file: &str, written: &Value) {
    let read: T = serde_json::from_value(written.clone())
        .unwrap_or_else(|error| panic!("{file}: {}: {error}", written["kind"]));
    let mut missing = Vec::new();
    lost(written, &serde_json::to_value(read).unwrap(), "", &mut missing);
    assert!(missing.is_empty(), "{file}: {} has no {missing:?}", written["kind"]);
}

#[test]
fn every_field_of_every_object_exists_in_its_kubernetes_type() {
    for (file, object) in objects() {
        let (version, kind) = (object["apiVersion"].as_str(), object["kind"].as_str());
        let check = match (version.unwrap(), kind.unwrap()) {
            ("v1", "Namespace") => is_whole::<Namespace>,
            ("v1", "Service") => is_whole::<Service>,
            ("v1", "ServiceAccount") => is_whole::<ServiceAccount>,
            ("apps/v1", "Deployment") => is_whole::<Deployment>,
            ("apps/v1", "DaemonSet") => is_whole::<DaemonSet>,
            ("networking.k8s.io/v1", "NetworkPolicy") => is_whole::<NetworkPolicy>,
            ("rbac.authorization.k8s.io/v1", "Role") => is_whole::<Role>,
            ("rbac.authorization.k8s.io/v1", "RoleBinding") => is_whole::<RoleBinding>,
            ("rbac.authorization.k8s.io/v1", "ClusterRole") => is_whole::<ClusterRole>,
            ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => {
                is_whole::<ClusterRoleBinding>
            }
            ("storage.k8s.io/v1", "StorageClass") => is_whole::<StorageClass>,
            ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration") => {
                is_whole::<MutatingWebhookConfiguration>
            }
            ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy") => {
                is_whole::<ValidatingAdmissionPolicy>
            }
            ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding") => {
                is_whole::<ValidatingAdmissionPolicyBinding>
            }
            ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema") => is_whole::<FlowSchema>,
            ("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration") => {
                is_whole::<PriorityLevelConfiguration>
            }
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition") => {
                is_whole::<CustomResourceDefinition>
            }
            unknown => panic!("{file}: {unknown:?} is not read by this test"),
        };
        check(&file, &object);
    }
}

#[test]
fn a_misspelt_field_is_noticed() {
    let (mut missing, written) = (Vec::new(), json!({"spec": {"replica": 2, "paused": true}}));
    lost(&written, &json!({"spec": {"paused": true}}), "", &mut missing);
    assert_eq!(missing, [".spec.replica"]);
}

#[test]
fn the_kustomization_lists_every_file() {
    let mut listed = BTreeSet::new();
    for folder in FOLDERS {
        let text = tree::read(&format!("{folder}/kustomization.yaml"));
        let kustomization: Value = serde_saphyr::from_str(&text).unwrap();
        let resources = kustomization["resources"].as_array().unwrap().iter();
        listed.extend(resources.map(|file| format!("{folder}/{}", file.as_str().unwrap())));
    }
    let there: BTreeSet<_> = objects().into_iter().map(|(file, _)| file).collect();
    assert_eq!(listed, there);
}

/// The objects of these folders.
const OBJECTS: [(&str, &str); 60] = [
    ("Namespace", names::NAMESPACE),
    ("Namespace", names::PROBE_NAMESPACE),
    ("StorageClass", names::CLASS_DEFAULT),
    ("StorageClass", names::CLASS_RETAIN),
    ("ServiceAccount", names::WEBHOOK),
    ("ServiceAccount", names::AGENT),
    ("Role", names::WEBHOOK),
    ("RoleBinding", names::WEBHOOK),
    ("Role", names::WEBHOOK_CERTIFICATES),
    ("RoleBinding", names::WEBHOOK_CERTIFICATES),
    ("ClusterRole", names::WEBHOOK_CA_BUNDLE),
    ("ClusterRoleBinding", names::WEBHOOK_CA_BUNDLE),
    ("Role", names::PROBE_NAMESPACE),
    ("RoleBinding", names::PROBE_NAMESPACE),
    ("ClusterRole", names::WEBHOOK),
    ("ClusterRole", names::AGENT),
    ("ClusterRoleBinding", names::WEBHOOK),
    ("ClusterRoleBinding", names::AGENT),
    ("Deployment", names::WEBHOOK),
    ("Service", names::WEBHOOK),
    ("DaemonSet", names::AGENT),
    ("NetworkPolicy", names::WEBHOOK),
    ("NetworkPolicy", names::AGENT),
    ("MutatingWebhookConfiguration", names::WEBHOOK_CONFIGURATION),
    ("ValidatingAdmissionPolicy", names::AGENT_NODES_POLICY),
    ("ValidatingAdmissionPolicyBinding", names::AGENT_NODES_POLICY),
    ("ValidatingAdmissionPolicy", names::AGENT_CLAIMS_POLICY),
    ("ValidatingAdmissionPolicyBinding", names::AGENT_CLAIMS_POLICY),
    ("ValidatingAdmissionPolicy", names::AGENT_VOLUMES_POLICY),
    ("ValidatingAdmissionPolicyBinding", names::AGENT_VOLUMES_POLICY),
    ("ValidatingAdmissionPolicy", names::WEBHOOK_CLAIMS_POLICY),
    ("ValidatingAdmissionPolicyBinding", names::WEBHOOK_CLAIMS_POLICY),
    ("ValidatingAdmissionPolicy", names::WEBHOOK_SERVICES_POLICY),
    ("ValidatingAdmissionPolicyBinding", names::WEBHOOK_SERVICES_POLICY),
    ("PriorityLevelConfiguration", names::PRIORITY_LEVEL),
    ("FlowSchema", names::WEBHOOK),
    ("FlowSchema", names::AGENT),
    ("Namespace", names::ADDRESS_NAMESPACE),
    ("ServiceAccount", names::SPEAKER),
    ("Role", names::SPEAKER),
    ("RoleBinding", names::SPEAKER),
    ("DaemonSet", names::SPEAKER),
    ("FlowSchema", names::SPEAKER),
    ("ValidatingAdmissionPolicy", names::SPEAKER_ADDRESSES_POLICY),
    ("ValidatingAdmissionPolicyBinding", names::SPEAKER_ADDRESSES_POLICY),
    ("ValidatingAdmissionPolicy", names::SPEAKER_FRONTENDS_POLICY),
    ("ValidatingAdmissionPolicyBinding", names::SPEAKER_FRONTENDS_POLICY),
    ("ValidatingAdmissionPolicy", names::SPEAKER_HEARTBEATS_POLICY),
    ("ValidatingAdmissionPolicyBinding", names::SPEAKER_HEARTBEATS_POLICY),
    ("CustomResourceDefinition", names::ADDRESS_POOLS),
    ("ClusterRole", names::WEBHOOK_ADDRESSES),
    ("ClusterRoleBinding", names::WEBHOOK_ADDRESSES),
    ("Role", names::WEBHOOK_ADDRESSES),
    ("RoleBinding", names::WEBHOOK_ADDRESSES),
    ("ValidatingAdmissionPolicy", names::WEBHOOK_SERVICE_STATUS_POLICY),
    ("ValidatingAdmissionPolicyBinding", names::WEBHOOK_SERVICE_STATUS_POLICY),
    ("ClusterRole", names::WEBHOOK_TUNNELS),
    ("ClusterRoleBinding", names::WEBHOOK_TUNNELS),
    ("ValidatingAdmissionPolicy", names::WEBHOOK_TUNNELS),
    ("ValidatingAdmissionPolicyBinding", names::WEBHOOK_TUNNELS),
];

#[test]
fn objects_have_the_names_that_the_programs_use() {
    let expected = OBJECTS.map(|(kind, name)| (kind.to_owned(), name.to_owned()));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let there = objects();
    let there: Vec<_> =
        there.iter().map(|(_, o)| (text(&o["kind"]), text(&o["metadata"]["name"]))).collect();
    assert_eq!(BTreeSet::from(expected), there.iter().cloned().collect());
    assert_eq!(there.len(), OBJECTS.len(), "an object exists twice");
}

#[test]
fn namespaced_objects_are_in_fastraks_namespace() {
    let cluster_wide = [
        "Namespace",
        "StorageClass",
        "ClusterRole",
        "ClusterRoleBinding",
        "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "PriorityLevelConfiguration",
        "FlowSchema",
        "CustomResourceDefinition",
    ];
    for (file, object) in objects() {
        let namespace = object["metadata"]["namespace"].as_str();
        let wide = cluster_wide.contains(&object["kind"].as_str().unwrap());
        // Only the probe's objects, and the rights to Leases of addresses, are in other namespaces.
        let (name, kind) = (&object["metadata"]["name"], object["kind"].as_str().unwrap());
        let expected = match kind {
            _ if name == names::PROBE_NAMESPACE => names::PROBE_NAMESPACE,
            "Role" | "RoleBinding"
                if name == names::SPEAKER || name == names::WEBHOOK_ADDRESSES =>
            {
                names::ADDRESS_NAMESPACE
            }
            _ => names::NAMESPACE,
        };
        assert_eq!(namespace, (!wide).then_some(expected), "{file}: {}", object["kind"]);
        for subject in object["subjects"].as_array().into_iter().flatten() {
            assert_eq!(subject["namespace"], names::NAMESPACE, "{file}");
        }
    }
}

#[test]
fn the_default_class_deletes_and_the_other_retains_volumes() {
    let classes: Vec<StorageClass> = all("StorageClass");
    let read = |name: &str| {
        let class = classes.iter().find(|class| class.metadata.name.as_deref() == Some(name));
        Class::read(class.unwrap())
    };
    let (default, retain) = (read(names::CLASS_DEFAULT), read(names::CLASS_RETAIN));
    for class in [&default, &retain] {
        assert!(class.is_ours(), "{}", class.name);
        assert_eq!(class.binding, Binding::WaitForFirstConsumer, "{}", class.name);
        class.params().unwrap();
    }
    assert!(default.is_default && !retain.is_default);
    assert_eq!((default.reclaim, retain.reclaim), (ReclaimPolicy::Delete, ReclaimPolicy::Retain));
    assert!(classes.iter().all(|class| class.allow_volume_expansion == Some(true)));
}
