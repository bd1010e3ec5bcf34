//! The components of `deploy/`: what each changes in the base, and that they can be combined.

use crate::base::{base, installed};
use fastrak_api::names::{self, kubernetes};
use fastrak_e2e::install::{overlay, overlay_with};
use fastrak_testkit::{ControlPlane, Options, assets, or_skip};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Returns the objects of a kustomization of `deploy/`, by kind and name.
async fn rendered(plane: &ControlPlane, folder: &str) -> BTreeMap<String, Value> {
    let path = assets::repository().join("deploy").join(folder);
    kustomize(plane, &path).await
}

/// Returns the objects of the base with a component, by kind and name.
async fn rendered_with(plane: &ControlPlane, component: &str) -> BTreeMap<String, Value> {
    kustomize(plane, &overlay(plane, &[component]).unwrap()).await
}

/// Returns the objects of a kustomization, by kind and name.
async fn kustomize(plane: &ControlPlane, path: &Path) -> BTreeMap<String, Value> {
    let text = plane.kubectl(&["kustomize", &path.to_string_lossy()]).await.unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let named =
        |object: Value| (format!("{} {}", object["kind"], object["metadata"]["name"]), object);
    objects.into_iter().map(named).collect()
}

#[tokio::test]
async fn quotas_adds_one_capability_to_the_agent() {
    let plane = or_skip!(installed().await);
    let (mut base, quotas) = (rendered(plane, "base").await, rendered_with(plane, "quotas").await);
    let agent = base.get_mut("\"DaemonSet\" \"fastrak-agent\"").unwrap();
    let pointer = "/spec/template/spec/containers/0/securityContext/capabilities/add";
    let rights = agent.pointer_mut(pointer).and_then(Value::as_array_mut).unwrap();
    rights.push(json!("SYS_ADMIN"));
    assert_eq!(base, quotas);
}

#[tokio::test]
async fn inlets_adds_a_flag_to_the_webhook_and_the_right_to_delete_tunnels() {
    let plane = or_skip!(installed().await);
    let mut base = rendered(plane, "base").await;
    let mut with = rendered_with(plane, "inlets").await;
    for kind in [
        "ClusterRole",
        "ClusterRoleBinding",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ] {
        with.remove(&format!("{kind:?} {:?}", names::WEBHOOK_TUNNELS)).unwrap();
    }
    let webhook = base.get_mut("\"Deployment\" \"fastrak-webhook\"").unwrap();
    let env = webhook.pointer_mut("/spec/template/spec/containers/0/env").unwrap();
    let flag = json!({"name": "FASTRAK_TUNNEL_CLEANUP_AFTER", "value": "60"});
    env.as_array_mut().unwrap().push(flag);
    assert_eq!(base, with);
}

#[tokio::test]
async fn imports_adds_one_mount_to_the_agent_and_a_class() {
    let plane = or_skip!(installed().await);
    let (mut base, mut imports) =
        (rendered(plane, "base").await, rendered_with(plane, "imports").await);
    let class = imports.remove("\"StorageClass\" \"local-storage-old\"").unwrap();
    assert_eq!(class["parameters"], json!({ "pool": "old" }));
    let name = "\"DaemonSet\" \"fastrak-agent\"";
    let (agent, other) = (base.get_mut(name).unwrap(), &imports[name]);
    let args = "/spec/template/spec/containers/0/args";
    agent["spec"]["template"]["spec"]["containers"][0]["args"] =
        other.pointer(args).unwrap().clone();
    let mount = json!({
        "name": "old", "mountPath": "/var/lib/rancher", "mountPropagation": "HostToContainer",
    });
    let volume =
        json!({ "name": "old", "hostPath": { "path": "/var/lib/rancher", "type": "Directory" } });
    for (list, more) in [("containers/0/volumeMounts", mount), ("volumes", volume)] {
        let list = agent.pointer_mut(&format!("/spec/template/spec/{list}")).unwrap();
        list.as_array_mut().unwrap().push(more);
    }
    let name = "\"ValidatingAdmissionPolicy\" \"fastrak-agent-volumes\"";
    let pools = base.get_mut(name).unwrap().pointer_mut("/spec/variables/0/expression").unwrap();
    *pools = json!("['/var/lib/fastrak', '/var/lib/rancher/fastrak']");
    assert_eq!(base, imports);
}

#[tokio::test]
async fn metrics_auth_adds_a_tls_port_and_its_rights_to_both_programs() {
    let plane = or_skip!(installed().await);
    let mut base = rendered(plane, "base").await;
    let mut with = rendered_with(plane, "metrics-auth").await;
    let mut added = Vec::new();
    for name in [
        "\"ClusterRole\" \"fastrak-metrics-auth\"",
        "\"ClusterRole\" \"fastrak-metrics-reader\"",
        "\"ClusterRoleBinding\" \"fastrak-metrics-auth\"",
        "\"NetworkPolicy\" \"fastrak-metrics\"",
    ] {
        added.push(with.remove(name).unwrap_or_else(|| panic!("no {name}")));
    }
    for name in ["\"Deployment\" \"fastrak-webhook\"", "\"DaemonSet\" \"fastrak-agent\""] {
        let pod = "/spec/template/spec";
        let pod = base.get_mut(name).unwrap().pointer_mut(pod).unwrap().as_object_mut().unwrap();
        let list = |pod: &mut Value, key: &str, more: &[Value]| {
            let pod = pod.as_object_mut().unwrap();
            let list = pod.entry(key).or_insert(json!([])).as_array_mut().unwrap();
            list.splice(0..0, more.iter().cloned());
        };
        let container = &mut pod["containers"][0];
        list(
            container,
            "env",
            &[
                json!({"name": "FASTRAK_METRICS_ADDR", "value": "[::]:8444"}),
                json!({"name": "FASTRAK_METRICS_TLS_DIR", "value": "/etc/fastrak/metrics-tls"}),
            ],
        );
        list(container, "ports", &[json!({"name": "metrics", "containerPort": 8444})]);
        let mount = json!({
            "name": "metrics-tls", "mountPath": "/etc/fastrak/metrics-tls", "readOnly": true,
        });
        list(container, "volumeMounts", &[mount]);
        let secret = json!({"secretName": "fastrak-metrics-tls", "optional": true});
        let volumes = pod.entry("volumes").or_insert(json!([])).as_array_mut().unwrap();
        volumes.insert(0, json!({"name": "metrics-tls", "secret": secret}));
        added.push(with[name].clone());
    }
    assert_eq!(base, with);

    let list = json!({"apiVersion": "v1", "kind": "List", "items": added}).to_string();
    let apply = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"];
    plane.kubectl_command().args(apply).stdin(list).run().await.unwrap();
}

/// The components that can be combined.
const COMPONENTS: [&str; 8] = [
    "quotas",
    "imports",
    "metrics-auth",
    "cert-manager",
    "not-default",
    "class-names",
    "addresses",
    "inlets",
];

#[tokio::test]
async fn components_can_be_combined_and_keep_the_images_of_the_overlay() {
    let plane = or_skip!(installed().await);
    let image = |name: &str| format!("registry.example/{name}:v1");
    let images = [names::WEBHOOK, names::AGENT, names::SPEAKER].map(|name| {
        json!({ "name": name, "newName": format!("registry.example/{name}"), "newTag": "v1" })
    });
    let overlay = overlay_with(plane, &COMPONENTS, &json!({ "images": images })).unwrap();
    let objects = kustomize(plane, &overlay).await;
    let container = |kind: &str, name: &str| {
        let object = &objects[&format!("{kind:?} {name:?}")];
        object["spec"]["template"]["spec"]["containers"][0].clone()
    };
    let (webhook, agent) =
        (container("Deployment", names::WEBHOOK), container("DaemonSet", names::AGENT));
    assert_eq!(webhook["image"], image(names::WEBHOOK));
    assert_eq!(agent["image"], image(names::AGENT));
    assert_eq!(container("DaemonSet", names::SPEAKER)["image"], image(names::SPEAKER));
    let names_of = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    // What each component adds.
    for mount in ["tls", "metrics-tls"] {
        assert!(names_of(&webhook["volumeMounts"]).contains(&mount.to_owned()), "{webhook}");
    }
    for mount in ["pools", "old", "metrics-tls"] {
        assert!(names_of(&agent["volumeMounts"]).contains(&mount.to_owned()), "{agent}");
    }
    let capabilities = agent["securityContext"]["capabilities"]["add"].as_array().unwrap();
    assert!(capabilities.contains(&json!("SYS_ADMIN")), "{agent}");
    let class = &objects["\"StorageClass\" \"fastrak\""];
    assert_eq!(class["metadata"]["annotations"][kubernetes::DEFAULT_CLASS], "false");
    assert!(objects.contains_key("\"StorageClass\" \"fastrak-retain\""));
}

#[tokio::test]
async fn an_upgrade_with_not_default_keeps_the_class_unmarked() {
    let plane = or_skip!(ControlPlane::start(Options::api_only()).await);
    let overlay = overlay(&plane, &["not-default"]).unwrap();
    let overlay = overlay.to_string_lossy();
    let mark = "jsonpath={.metadata.annotations.storageclass\\.kubernetes\\.io/is-default-class}";
    let marked = ["get", "storageclass", names::CLASS_DEFAULT, "-o", mark];
    plane.kubectl(&["apply", "-k", &base()]).await.unwrap();
    assert_eq!(plane.kubectl(&marked).await.unwrap(), "true");
    for how in [&["apply", "-k"][..], &["apply", "--server-side", "--force-conflicts", "-k"]] {
        plane.kubectl(&[how, &[&overlay]].concat()).await.unwrap();
        assert_eq!(plane.kubectl(&marked).await.unwrap(), "false", "{how:?}");
    }
}

/// The documented file for another namespace.
const NAMESPACE: &str = "apiVersion: v1
kind: ConfigMap
metadata:
  name: fastrak-namespace
  annotations: { config.kubernetes.io/local-config: \"true\" }
data: { namespace: storage }
";

/// Returns the objects of an overlay with that file.
async fn elsewhere(plane: &ControlPlane, components: &[&str]) -> BTreeMap<String, Value> {
    let components = [components, &["namespace"]].concat();
    let folder = overlay(plane, &components).unwrap();
    let path = folder.join("kustomization.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut kustomization: Value = serde_json::from_str(&text).unwrap();
    kustomization["resources"].as_array_mut().unwrap().push(json!("namespace.yaml"));
    std::fs::write(path, kustomization.to_string()).unwrap();
    std::fs::write(folder.join("namespace.yaml"), NAMESPACE).unwrap();
    kustomize(plane, &folder).await
}

#[tokio::test]
async fn another_namespace_works_with_every_component() {
    let plane = or_skip!(ControlPlane::start(Options::api_only()).await);
    for components in [&[][..], &COMPONENTS, &["webhookless"]] {
        let usual = kustomize(&plane, &overlay(&plane, components).unwrap()).await;
        let objects = elsewhere(&plane, components).await;
        let text = |objects: &BTreeMap<String, Value>| serde_json::to_string(objects).unwrap();
        assert_eq!(text(&usual).replace(names::NAMESPACE, "storage"), text(&objects));
    }
    let objects: Vec<_> = elsewhere(&plane, &[]).await.into_values().collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let apply = ["apply", "--server-side", "-f", "-"];
    // The namespaces are last in the list, and objects in them are refused before.
    for attempt in 0..2 {
        let applied = plane.kubectl_command().args(apply).stdin(list.as_str()).run().await;
        assert!(applied.is_ok() || attempt == 0, "{applied:?}");
    }
    let pods =
        ["auth", "can-i", "watch", "nodes", "--as=system:serviceaccount:storage:fastrak-agent"];
    assert_eq!(plane.kubectl(&pods).await.unwrap().trim(), "yes");
}

#[tokio::test]
async fn a_class_of_another_provisioner_is_kept_and_class_names_avoids_the_conflict() {
    let plane = or_skip!(ControlPlane::start(Options::api_only()).await);
    let other = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": { "name": names::CLASS_DEFAULT }, "provisioner": "example.com/other",
    });
    let create = ["create", "-f", "-"];
    plane.kubectl_command().args(create).stdin(other.to_string()).run().await.unwrap();
    let refused = plane.kubectl(&["apply", "-k", &base()]).await.unwrap_err();
    let refused = format!("{refused:#}");
    assert!(refused.contains("provisioner: Invalid value: null: field is immutable"), "{refused}");
    let overlay = overlay(&plane, &["class-names"]).unwrap();
    plane.kubectl(&["apply", "-k", &overlay.to_string_lossy()]).await.unwrap();
    let ours = ["get", "storageclass", "fastrak", "-o", "jsonpath={.provisioner}"];
    assert_eq!(plane.kubectl(&ours).await.unwrap(), names::PROVISIONER);
    let theirs = ["get", "storageclass", names::CLASS_DEFAULT, "-o", "jsonpath={.provisioner}"];
    assert_eq!(plane.kubectl(&theirs).await.unwrap(), "example.com/other");
}

#[tokio::test]
async fn with_cert_manager_the_webhook_may_not_read_secrets_or_write_its_configuration() {
    let plane = or_skip!(installed().await);
    let (mut base, mut other) =
        (rendered(plane, "base").await, rendered_with(plane, "cert-manager").await);
    other.retain(|_, object| object["apiVersion"] != "cert-manager.io/v1");
    for kind in ["Role", "RoleBinding"] {
        base.remove(&format!("{:?} {:?}", kind, names::WEBHOOK_CERTIFICATES)).unwrap();
        let kind = format!("Cluster{kind}");
        base.remove(&format!("{:?} {:?}", kind, names::WEBHOOK_CA_BUNDLE)).unwrap();
    }
    for object in other.values() {
        for rule in object["rules"].as_array().into_iter().flatten() {
            let about = |kind: &str| rule["resources"].as_array().unwrap().contains(&json!(kind));
            assert!(!about("secrets"), "{object}");
            let writes = ["create", "update", "patch", "delete"].map(|verb| json!(verb));
            let verbs = rule["verbs"].as_array().unwrap();
            let writes = verbs.iter().any(|verb| writes.contains(verb));
            assert!(!about("mutatingwebhookconfigurations") || !writes, "{object}");
        }
    }
    let configuration = "\"MutatingWebhookConfiguration\" \"fastrak\"";
    base.get_mut(configuration).unwrap()["metadata"]["annotations"] =
        json!({ "cert-manager.io/inject-ca-from": "fastrak-system/fastrak-webhook" });
    let webhook = "\"Deployment\" \"fastrak-webhook\"";
    let pod = base.get_mut(webhook).unwrap().pointer_mut("/spec/template/spec").unwrap();
    pod["volumes"] = json!([{ "name": "tls", "secret": {
        "secretName": "fastrak-webhook-tls",
        "items": [{ "key": "tls.crt", "path": "tls.crt" }, { "key": "tls.key", "path": "tls.key" }],
    } }]);
    let env = pod["containers"][0]["env"].as_array_mut().unwrap();
    env.insert(0, json!({ "name": "FASTRAK_TLS_DIR", "value": "/etc/fastrak/tls" }));
    pod["containers"][0]["volumeMounts"] =
        json!([{ "name": "tls", "mountPath": "/etc/fastrak/tls", "readOnly": true }]);
    assert_eq!(base, other);
}
