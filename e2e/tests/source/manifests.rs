//! The manifests of `deploy/base` and `deploy/addresses` as texts: the types, fields and names of all
//! objects.
//!
//! `e2e/tests/install` and `e2e/tests/policies` apply them to a real API server.

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
const FOLDERS: [&str; 2] = ["deploy/base", "deploy/addresses"];

/// Returns the objects of `deploy/base` and `deploy/addresses` with their files.
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

/// The objects of `deploy/base` and `deploy/addresses`.
const OBJECTS: [(&str, &str); 56] = [
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

#[test]
fn the_webhook_configuration_names_the_service_and_has_no_ca_bundle() {
    let paths = [
        (names::CLAIMS_HOOK, names::CLAIMS_PATH),
        (names::SERVICES_HOOK, names::SERVICES_PATH),
        (names::PROBE_HOOK, names::CLAIMS_PATH),
    ];
    let configuration: MutatingWebhookConfiguration = one("MutatingWebhookConfiguration");
    assert_eq!(configuration.webhooks.unwrap().len(), paths.len());
    for (name, path) in paths {
        let config = hook(name).client_config;
        assert!(config.ca_bundle.is_none() && config.url.is_none(), "{name}");
        let service = config.service.unwrap();
        assert_eq!(
            (service.namespace.as_str(), service.name.as_str()),
            (names::NAMESPACE, names::WEBHOOK)
        );
        assert_eq!(service.path.as_deref(), Some(path));
        let served: Service = one("Service");
        let port = &served.spec.unwrap().ports.unwrap()[0];
        assert_eq!(service.port, Some(port.port), "{name}");
    }
}

#[test]
fn the_webhook_fails_open_within_two_seconds() {
    for (name, resource) in
        [(names::CLAIMS_HOOK, "persistentvolumeclaims"), (names::SERVICES_HOOK, "services")]
    {
        let hook = hook(name);
        assert_eq!(hook.failure_policy.as_deref(), Some("Ignore"), "{name}");
        assert!(hook.timeout_seconds.is_some_and(|seconds| seconds <= 2), "{name}");
        assert_eq!(hook.side_effects, "None", "{name}");
        assert_eq!(hook.match_policy.as_deref(), Some("Equivalent"), "{name}");
        assert_eq!(hook.reinvocation_policy.as_deref(), Some("IfNeeded"), "{name}");
        assert_eq!(hook.admission_review_versions, ["v1"], "{name}");
        let rules = hook.rules.unwrap();
        assert_eq!(rules.len(), 1, "{name}");
        assert_eq!(rules[0].resources.as_deref(), Some(&[resource.to_owned()][..]), "{name}");
        assert_eq!(rules[0].api_groups.as_deref(), Some(&[String::new()][..]), "{name}");
        let operations = rules[0].operations.as_ref().unwrap();
        assert_eq!(operations, &["CREATE".to_owned(), "UPDATE".to_owned()], "{name}");
    }
}

#[test]
fn only_the_probe_fails_closed_and_only_in_its_own_namespace() {
    let hook = hook(names::PROBE_HOOK);
    assert_eq!(hook.failure_policy.as_deref(), Some("Fail"));
    assert!(hook.timeout_seconds.is_some_and(|seconds| seconds <= 2));
    assert_eq!(hook.side_effects, "None");
    let labels = |selector: Option<LabelSelector>| {
        let selector = selector.unwrap();
        assert!(selector.match_expressions.is_none());
        selector.match_labels.unwrap()
    };
    let one = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let namespace = one("kubernetes.io/metadata.name", names::PROBE_NAMESPACE);
    assert_eq!(labels(hook.namespace_selector), namespace);
    assert_eq!(labels(hook.object_selector), one(names::PROBE, names::PROBE_REQUESTED));
    let rules = hook.rules.unwrap();
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].operations.as_deref(), Some(&["CREATE".to_owned()][..]));
    assert_eq!(rules[0].resources.as_deref(), Some(&["persistentvolumeclaims".to_owned()][..]));
    let conditions = hook.match_conditions.unwrap();
    let account = format!("'system:serviceaccount:{}:{}'", names::NAMESPACE, names::WEBHOOK);
    assert!(conditions.iter().any(|c| c.expression.contains("request.dryRun")));
    assert!(conditions.iter().any(|c| c.expression.contains(&account)));

    // Only the webhook may create claims there.
    let role: Role = all("Role")
        .into_iter()
        .find(|role: &Role| role.metadata.namespace.as_deref() == Some(names::PROBE_NAMESPACE))
        .unwrap();
    let rules = role.rules.unwrap();
    assert_eq!((rules.len(), &rules[0].verbs), (1, &vec!["create".to_owned()]));
    assert_eq!(rules[0].resources.as_deref(), Some(&["persistentvolumeclaims".to_owned()][..]));
}

/// Returns the keys and values that a selector excludes.
fn excluded(selector: Option<LabelSelector>) -> BTreeMap<String, BTreeSet<String>> {
    let selector = selector.unwrap();
    assert!(selector.match_labels.is_none());
    let expressions = selector.match_expressions.unwrap().into_iter().map(|expression| {
        assert_eq!(expression.operator, "NotIn", "{}", expression.key);
        (expression.key, expression.values.unwrap().into_iter().collect())
    });
    expressions.collect()
}

#[test]
fn system_namespaces_and_objects_that_opt_out_are_excluded() {
    let opted_out =
        (names::ADMISSION.to_owned(), BTreeSet::from([names::ADMISSION_DISABLED.to_owned()]));
    let system = kubernetes::SYSTEM_NAMESPACES.into_iter().chain([names::NAMESPACE]);
    let system = ("kubernetes.io/metadata.name".to_owned(), system.map(str::to_owned).collect());
    for name in [names::CLAIMS_HOOK, names::SERVICES_HOOK] {
        let hook = hook(name);
        let namespaces = BTreeMap::from([opted_out.clone(), system.clone()]);
        assert_eq!(excluded(hook.namespace_selector), namespaces, "{name}");
        assert_eq!(excluded(hook.object_selector), BTreeMap::from([opted_out.clone()]), "{name}");
    }
}

#[test]
fn a_rollout_keeps_both_replicas_of_the_webhook() {
    let spec = one::<Deployment>("Deployment").spec;
    assert_eq!(spec.replicas, Some(2));
    let rolling = spec.strategy.unwrap().rolling_update.unwrap();
    assert_eq!(rolling.max_unavailable, Some(IntOrString::Int(0)));
    assert_eq!(rolling.max_surge, Some(IntOrString::Int(1)));

    // No PodDisruptionBudget: without the webhook objects are stored unchanged, and a budget would
    // block the drain of the last schedulable node.
    assert!(all::<Value>("PodDisruptionBudget").is_empty());
    let labels = spec.selector.match_labels.unwrap();
    let selects = |selector: Option<BTreeMap<_, _>>| assert_eq!(selector.as_ref(), Some(&labels));
    selects(spec.template.metadata.unwrap().labels);
    let service: Service = one("Service");
    selects(service.spec.unwrap().selector);

    let spread = &spec.template.spec.unwrap().topology_spread_constraints.unwrap()[0];
    // Both can run on a cluster of one node.
    assert_eq!(spread.when_unsatisfiable, "ScheduleAnyway");
    assert_eq!(spread.topology_key, kubernetes::HOSTNAME);
    selects(spread.label_selector.clone().unwrap().match_labels);
}

#[test]
fn the_webhook_does_not_depend_on_itself() {
    let pod = webhook_pod();
    assert!(pod.volumes.is_none(), "a claim of its own would be reviewed by itself");
    assert_eq!(pod.priority_class_name.as_deref(), Some("system-cluster-critical"));
    let tolerated = pod.tolerations.unwrap();
    for taint in ["node-role.kubernetes.io/control-plane", "node.kubernetes.io/not-ready"] {
        assert!(tolerated.iter().any(|t| t.key.as_deref() == Some(taint)), "{taint}");
    }
}

#[test]
fn the_webhook_has_no_privileges() {
    let pod = webhook_pod();
    let security = pod.security_context.clone().unwrap();
    assert_eq!((security.run_as_non_root, security.run_as_user), (Some(true), Some(65532)));
    is_confined(&pod, None);
}

#[test]
fn the_agent_mounts_only_two_folders_of_the_host() {
    let pod = agent_pod();
    is_confined(&pod, Some(&["DAC_OVERRIDE", "FOWNER"]));
    let container = only_container(&pod);
    let mounts = container.volume_mounts.clone().unwrap();
    let volumes = pod.volumes.clone().unwrap();
    let mut there = Vec::new();
    for mount in &mounts {
        let volume = volumes.iter().find(|volume| volume.name == mount.name).unwrap();
        let path = &volume.host_path.as_ref().unwrap().path;
        assert_eq!(path, &mount.mount_path, "volumes name paths of the host");
        assert_eq!(mount.mount_propagation.as_deref(), Some("HostToContainer"), "{path}");
        there.push((path.as_str(), mount.read_only == Some(true)));
    }
    assert_eq!(there, [("/var/lib/fastrak", false), ("/var/lib/kubelet/pods", true)]);
    assert_eq!(volumes.len(), 2);

    let node = container.env.as_ref().unwrap().iter().find(|env| env.name == "NODE_NAME");
    let source = node.unwrap().value_from.as_ref().unwrap().field_ref.as_ref().unwrap();
    assert_eq!(source.field_path, "spec.nodeName");
}

#[test]
fn the_agent_runs_on_every_linux_node() {
    let spec = daemon_set(names::AGENT).spec;
    let update = spec.update_strategy.unwrap().rolling_update.unwrap();
    assert_eq!(update.max_unavailable, Some(IntOrString::String("10%".to_owned())));
    let pod = agent_pod();
    let selector = pod.node_selector.unwrap();
    assert_eq!(selector, BTreeMap::from([(kubernetes::OS.to_owned(), "linux".to_owned())]));
    let tolerated = pod.tolerations.unwrap();
    assert!(
        tolerated.iter().any(|t| t.key.is_none()
            && t.effect.is_none()
            && t.operator.as_deref() == Some("Exists"))
    );
    assert_eq!(pod.priority_class_name.as_deref(), Some("system-node-critical"));
}

/// Checks the security context of a pod. `added` are its capabilities.
fn is_confined(pod: &PodSpec, added: Option<&[&str]>) {
    assert_eq!((pod.host_pid, pod.host_network, pod.host_ipc), (None, None, None));
    let profile = pod.security_context.as_ref().unwrap().seccomp_profile.as_ref().unwrap();
    assert_eq!(profile.type_, "RuntimeDefault");
    let container = only_container(pod);
    let security = container.security_context.as_ref().unwrap();
    assert!(security.privileged.is_none());
    assert_eq!(security.allow_privilege_escalation, Some(false));
    assert_eq!(security.read_only_root_filesystem, Some(true));
    let capabilities = security.capabilities.as_ref().unwrap();
    assert_eq!(capabilities.drop.as_deref(), Some(&["ALL".to_owned()][..]));
    let wanted = added.map(|names| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
    assert_eq!(capabilities.add, wanted);
    assert!(container.resources.as_ref().unwrap().limits.as_ref().unwrap().contains_key("memory"));
}

#[test]
fn probes_use_the_admin_port() {
    for pod in [webhook_pod(), agent_pod()] {
        let container = only_container(&pod);
        let admin = container
            .ports
            .as_ref()
            .unwrap()
            .iter()
            .find(|port| port.name.as_deref() == Some("admin"));
        assert_eq!(admin.unwrap().container_port, 8080);
        let asks = |probe: &Option<Probe>, path: &str| {
            let get = probe.as_ref().unwrap().http_get.as_ref().unwrap();
            assert_eq!(get.path.as_deref(), Some(path));
            assert_eq!(get.port, IntOrString::String("admin".to_owned()));
        };
        asks(&container.readiness_probe, "/readyz");
        asks(&container.liveness_probe, "/livez");
    }
}

#[test]
fn other_pods_reach_only_the_review_port() {
    let port_of = |pod: &PodSpec, name: &str| {
        let ports = only_container(pod).ports.clone().unwrap();
        ports.into_iter().find(|port| port.name.as_deref() == Some(name)).unwrap().container_port
    };
    let policies: Vec<NetworkPolicy> = all("NetworkPolicy");
    for (name, labels, open) in [
        (
            names::WEBHOOK,
            one::<Deployment>("Deployment").spec.template.metadata.unwrap().labels,
            vec![port_of(&webhook_pod(), "https")],
        ),
        (names::AGENT, daemon_set(names::AGENT).spec.template.metadata.unwrap().labels, vec![]),
    ] {
        let policy = policies.iter().find(|policy| policy.metadata.name.as_deref() == Some(name));
        let spec = policy.unwrap().spec.clone().unwrap();
        assert_eq!(spec.pod_selector.unwrap().match_labels, labels, "{name}");
        assert_eq!(spec.policy_types.as_deref(), Some(&["Ingress".to_owned()][..]), "{name}");
        let rules = spec.ingress.unwrap_or_default();
        // An API server is not a pod, so no selector can name it.
        assert!(rules.iter().all(|rule| rule.from.is_none()), "{name}");
        let ports = rules.into_iter().flat_map(|rule| rule.ports.unwrap());
        let ports: Vec<_> = ports.map(|port| port.port.unwrap()).collect();
        assert_eq!(ports, open.into_iter().map(IntOrString::Int).collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn images_are_those_of_the_dockerfile() {
    let dockerfile = tree::read("deploy/Dockerfile");
    for (pod, name, target) in [
        (webhook_pod(), names::WEBHOOK, "webhook"),
        (agent_pod(), names::AGENT, "agent"),
        (speaker_pod(), names::SPEAKER, "speaker"),
    ] {
        let container = only_container(&pod);
        assert_eq!(container.image.as_deref(), Some(format!("{name}:dev").as_str()));
        assert_eq!(container.image_pull_policy.as_deref(), Some("IfNotPresent"));
        assert!(dockerfile.contains(&format!("FROM scratch AS {target}\nCOPY {name} /{name}\n")));
        assert!(dockerfile.contains(&format!("ENTRYPOINT [\"/{name}\"]")));
    }
    let user = webhook_pod().security_context.unwrap().run_as_user.unwrap();
    assert!(dockerfile.contains(&format!("USER {user}:{user}")));
}

#[test]
fn no_rule_has_a_wildcard_and_single_objects_are_named() {
    for (file, object) in objects() {
        for rule in object["rules"].as_array().into_iter().flatten() {
            let all = [&rule["verbs"], &rule["resources"], &rule["apiGroups"]];
            let starred = all.iter().any(|list| list.as_array().unwrap().contains(&json!("*")));
            assert!(!starred, "{file}: {rule}");
            // Rights to a single object are limited to its name.
            // The Leases of addresses are all objects of their namespace.
            let tied = ["secrets", "mutatingwebhookconfigurations", "leases"];
            if object["metadata"]["namespace"] == names::ADDRESS_NAMESPACE {
                continue;
            }
            let named = rule["resources"]
                .as_array()
                .unwrap()
                .iter()
                .any(|r| tied.contains(&r.as_str().unwrap()));
            let creates = rule["verbs"] == json!(["create"]);
            assert!(!named || creates || rule["resourceNames"].is_array(), "{file}: {rule}");
        }
    }
}

/// Returns the list in a variable of a policy.
fn variable(policy: &str, name: &str) -> BTreeSet<String> {
    let policies: Vec<ValidatingAdmissionPolicy> = all("ValidatingAdmissionPolicy");
    let found = policies.into_iter().find(|known| known.metadata.name.as_deref() == Some(policy));
    let variables = found.unwrap().spec.unwrap().variables.unwrap();
    let found = variables.into_iter().find(|variable| variable.name == name).unwrap();
    let texts: Vec<String> = serde_saphyr::from_str(&found.expression).unwrap();
    texts.into_iter().collect()
}

#[test]
fn the_policies_of_the_webhook_name_the_fields_that_it_declares() {
    let (claims, services) = (names::WEBHOOK_CLAIMS_POLICY, names::WEBHOOK_SERVICES_POLICY);
    let mut annotations = variable(claims, "annotationKeys");
    annotations.extend(variable(services, "annotationKeys"));
    let declared = |pick: fn(&Field) -> Option<&'static str>| {
        // The answer to a probe is never stored.
        let stored = DECLARED.iter().filter(|field| **field != PROBE);
        stored.filter_map(pick).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let annotation = |field: &Field| match field {
        Field::Annotation(key) => Some(*key),
        Field::Label(_) | Field::ClassName | Field::BalancerClass => None,
    };
    let label = |field: &Field| match field {
        Field::Label(key) => Some(*key),
        Field::Annotation(_) | Field::ClassName | Field::BalancerClass => None,
    };
    assert_eq!(annotations, declared(annotation));
    assert_eq!(variable(claims, "labelKeys"), declared(label));
}

#[test]
fn the_policy_of_volumes_names_the_default_pool_of_the_agent() {
    let mounts = only_container(&agent_pod()).volume_mounts.clone().unwrap();
    let pools: BTreeSet<_> = mounts
        .into_iter()
        .filter(|mount| mount.read_only != Some(true))
        .map(|mount| mount.mount_path)
        .collect();
    assert_eq!(variable(names::AGENT_VOLUMES_POLICY, "pools"), pools);
}

#[test]
fn every_policy_denies_with_a_403_and_applies_to_one_account() {
    let policies: Vec<ValidatingAdmissionPolicy> = all("ValidatingAdmissionPolicy");
    for policy in policies {
        let (name, spec) = (policy.metadata.name.unwrap(), policy.spec.unwrap());
        assert_eq!(spec.failure_policy.as_deref(), Some("Fail"), "{name}");
        // A missing parameter would refuse the requests of all users.
        assert!(spec.param_kind.is_none(), "{name}");
        for validation in spec.validations.unwrap() {
            assert_eq!(validation.reason.as_deref(), Some("Forbidden"), "{name}");
        }
        let conditions = spec.match_conditions.unwrap();
        let accounts = [names::AGENT, names::SPEAKER, names::WEBHOOK];
        let account = accounts.into_iter().find(|account| name.starts_with(account)).unwrap();
        let user = format!("system:serviceaccount:{}:{account}", names::NAMESPACE);
        let expected = format!("request.userInfo.username == '{user}'");
        // deploy/namespace changes the first one.
        assert_eq!(conditions[0].expression, expected, "{name}");
        let more: Vec<_> = conditions[1..].iter().map(|one| one.expression.as_str()).collect();
        let heartbeat = "object.metadata.name.startsWith('node.')";
        let frontend = "object.metadata.name.matches('[.](tcp|udp|sctp)[.][0-9]+$')";
        let not = |condition: &str| format!("!{condition}");
        // Each Lease of a speaker has exactly one policy.
        match name.as_str() {
            names::SPEAKER_HEARTBEATS_POLICY => assert_eq!(more, [heartbeat]),
            names::SPEAKER_FRONTENDS_POLICY => {
                assert_eq!(more, [&not(heartbeat), frontend]);
            }
            names::SPEAKER_ADDRESSES_POLICY => assert_eq!(more, [not(heartbeat), not(frontend)]),
            _ => assert!(more.is_empty(), "{name}"),
        }
    }
}

#[test]
fn the_names_of_heartbeats_are_those_that_the_policy_expects() {
    let name = |node: &str| heartbeat_name(&NodeName::parse(node).unwrap());
    assert_eq!(name("node-a"), "node.node-a");
    let long = ["x".repeat(60), "example".to_owned()].join(".");
    let hash = name(&long).split_off(format!("node.{}-", &long[..46]).len());
    assert_eq!(hash.len(), 16);
    assert!(hash.bytes().all(|digit| digit.is_ascii_hexdigit() && !digit.is_ascii_uppercase()));
    assert!(name(&long).starts_with(&format!("node.{}-", &long[..46])));
}

#[test]
fn the_speaker_has_the_network_of_its_node_and_one_capability() {
    let mut pod = speaker_pod();
    assert_eq!(pod.host_network.take(), Some(true));
    is_confined(&pod, Some(&["NET_RAW"]));
    assert!(pod.volumes.is_none() && only_container(&pod).volume_mounts.is_none());
    assert_eq!(pod.priority_class_name.as_deref(), Some("system-node-critical"));
    let node = only_container(&pod).env.as_ref().unwrap().iter();
    let node = node.filter_map(|env| env.value_from.as_ref()?.field_ref.as_ref());
    assert_eq!(
        node.map(|source| source.field_path.as_str()).collect::<Vec<_>>(),
        ["spec.nodeName"]
    );
    let tolerated = pod.tolerations.unwrap();
    assert!(tolerated.iter().any(|one| one.key.is_none() && one.effect.is_none()));
    // A speaker hands its addresses over to others, which must run meanwhile.
    let update = daemon_set(names::SPEAKER).spec.update_strategy.unwrap().rolling_update.unwrap();
    assert_eq!((update.max_unavailable, update.max_surge), (Some(IntOrString::Int(1)), None));
    let grace = u64::try_from(pod.termination_grace_period_seconds.unwrap()).unwrap();
    assert!(grace > fastrak_speaker::run::GRACE.as_secs() + 1);
}

#[test]
fn only_the_node_itself_reaches_the_admin_port_of_the_speaker() {
    let args = ["fastrak-speaker", "--node=node-a"];
    let address = fastrak_speaker::config::Args::try_parse_from(args).unwrap().admin.admin_addr;
    assert!(address.ip().is_loopback());
    let container = only_container(&speaker_pod()).clone();
    assert_eq!((container.ports, container.args), (None, None));
    for (probe, path) in
        [(container.readiness_probe, "/readyz"), (container.liveness_probe, "/livez")]
    {
        let get = probe.unwrap().http_get.unwrap();
        assert_eq!(get.path.as_deref(), Some(path));
        assert_eq!(get.host, Some(address.ip().to_string()));
        assert_eq!(get.port, IntOrString::Int(address.port().into()));
    }
}

#[test]
fn the_webhook_prefers_nodes_of_the_control_plane_and_needs_none() {
    let affinity = webhook_pod().affinity.unwrap().node_affinity.unwrap();
    assert!(affinity.required_during_scheduling_ignored_during_execution.is_none());
    let preferred = affinity.preferred_during_scheduling_ignored_during_execution.unwrap();
    let keys: Vec<_> = preferred
        .iter()
        .flat_map(|term| term.preference.match_expressions.iter().flatten())
        .map(|expression| (expression.key.as_str(), expression.operator.as_str()))
        .collect();
    assert_eq!(keys, [("node-role.kubernetes.io/control-plane", "Exists")]);
}
