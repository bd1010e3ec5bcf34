//! `deploy/base` on a real API server: it is taken whole, again and again, and gives each program
//! what it needs and no more.
//!
//! That the programs can live with these rights is shown by their own tests, which run as these
//! ServiceAccounts.
#![cfg(test)]

use anyhow::{Context, Result};
use fastrak_api::names::{self, kubernetes};
use fastrak_e2e::install::{overlay, overlay_with};
use fastrak_testkit::{ControlPlane, Identity, Options, assets, eventually, or_skip, shared};
use k8s_openapi::api::flowcontrol::v1::FlowSchema;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::sync::OnceCell;

fn base() -> String {
    assets::repository().join("deploy/base").to_string_lossy().into_owned()
}

/// A control plane with `deploy/base` on it, installed once for all tests here.
async fn installed() -> Result<&'static ControlPlane> {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let plane = shared(Options::api_only()).await?;
    let install = || async { plane.kubectl(&["apply", "-k", &base()]).await.map(drop) };
    INSTALLED.get_or_try_init(install).await?;
    Ok(plane)
}

async fn get(plane: &ControlPlane, args: &[&str]) -> Value {
    let text = plane.kubectl(&[&["get", "-o", "json"], args].concat()).await.unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The version of every object installed, by kind and name.
async fn versions(plane: &ControlPlane) -> BTreeMap<String, Value> {
    let objects = get(plane, &["-k", &base()]).await;
    let objects = objects["items"].as_array().unwrap().iter();
    let named = objects.map(|object| {
        let (kind, metadata) = (&object["kind"], &object["metadata"]);
        (format!("{kind} {}", metadata["name"]), metadata["resourceVersion"].clone())
    });
    // Another test writes to the registration, as the webhook would.
    named.filter(|(name, _)| !name.contains("MutatingWebhookConfiguration")).collect()
}

#[tokio::test]
async fn applying_it_again_changes_nothing() {
    let plane = or_skip!(installed().await);
    let before = versions(plane).await;
    assert!(before.len() >= 15, "{before:#?}");
    plane.kubectl(&["apply", "-k", &base()]).await.unwrap();
    assert_eq!(before, versions(plane).await);
}

#[tokio::test]
async fn it_can_be_applied_on_the_server_too() {
    let plane = or_skip!(installed().await);
    let apply = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k"];
    let applied = plane.kubectl(&[&apply[..], &[&base()]].concat()).await.unwrap();
    assert!(applied.lines().all(|line| line.contains(" serverside-applied")), "{applied}");
}

#[tokio::test]
async fn what_the_webhook_wrote_into_its_registration_survives_the_next_apply() {
    let plane = or_skip!(installed().await);
    let authority = plane.kubectl_command().args([
        "create",
        "secret",
        "generic",
        "x",
        "--dry-run=client",
        "-o",
        "jsonpath={.data.ca}",
        &format!("--from-literal=ca={}", plane.authority_pem()),
    ]);
    let authority = authority.run().await.unwrap().stdout;
    let op = |at| json!({"op": "add", "path": format!("/webhooks/{at}/clientConfig/caBundle"), "value": authority});
    let patch = json!([op(0), op(1), op(2)]).to_string();
    let manager = format!("--field-manager={}", names::MANAGER_CA_BUNDLE);
    let kind = ["mutatingwebhookconfiguration", names::WEBHOOK_CONFIGURATION];
    let patched = [&["patch"], &kind[..], &["--type=json", &manager, "--patch", &patch]].concat();
    plane.kubectl(&patched).await.unwrap();

    for how in [&["apply", "-k"][..], &["apply", "--server-side", "--force-conflicts", "-k"]] {
        plane.kubectl(&[how, &[&base()]].concat()).await.unwrap();
        let configuration = get(plane, &kind).await;
        for hook in configuration["webhooks"].as_array().unwrap() {
            assert_eq!(hook["clientConfig"]["caBundle"], json!(authority), "after {how:?}");
        }
    }
}

/// Whether a ServiceAccount may do something; asked of the authorizer itself.
async fn may(plane: &ControlPlane, account: &str, request: &str) -> Result<bool> {
    let user = format!("--as=system:serviceaccount:{}:{account}", names::NAMESPACE);
    let mut command = plane.kubectl_command().args(["auth", "can-i", &user]);
    command = command.args(request.split_whitespace());
    match command.run().await {
        Ok(_) => Ok(true),
        Err(error) if format!("{error:#}").contains("exit status: 1\nno\n") => Ok(false),
        Err(error) => Err(error).context(request.to_owned()),
    }
}

/// Requests, whether the webhook may make them, and whether the agent may.
const RIGHTS: &[(&str, bool, bool)] = &[
    ("watch persistentvolumeclaims -A", true, true),
    ("patch persistentvolumeclaims -n default", true, false),
    ("create persistentvolumes", false, true),
    ("delete persistentvolumes", false, true),
    ("watch storageclasses", true, true),
    ("watch nodes", true, true),
    ("list namespaces", true, false),
    ("watch namespaces", true, false),
    ("create events.events.k8s.io -n default", true, true),
    ("get secrets -n default", false, false),
    ("create secrets -n default", false, false),
    ("patch mutatingwebhookconfigurations/other", false, false),
    ("create mutatingwebhookconfigurations", false, false),
    ("delete mutatingwebhookconfigurations/fastrak", false, false),
    ("create persistentvolumeclaims -n default", false, false),
    ("delete persistentvolumeclaims -n default", false, false),
    ("patch persistentvolumeclaims --subresource=status -n default", false, true),
    ("patch services -n default", true, false),
    ("watch services -A", true, false),
    ("patch services --subresource=status -n default", false, false),
    ("delete services -n default", false, false),
    ("patch leases/other -n fastrak-system", false, false),
    ("patch leases/fastrak-webhook -n default", false, false),
    ("delete leases -n fastrak-system", false, false),
    ("create persistentvolumeclaims -n fastrak-probe", true, false),
    ("delete persistentvolumeclaims -n fastrak-probe", false, false),
    ("get pods -n default", false, false),
    ("create pods -n fastrak-system", false, false),
    ("create pods --subresource=exec -n default", false, false),
    ("patch nodes", false, false),
    ("patch nodes --subresource=status", false, true),
    ("get namespaces", false, true),
    ("patch namespaces", false, false),
    ("delete nodes", false, false),
    ("create storageclasses", false, false),
    ("create clusterrolebindings", false, false),
    ("escalate clusterroles", false, false),
    ("impersonate users", false, false),
    ("create serviceaccounts --subresource=token -n fastrak-system", false, false),
    ("create tokenreviews.authentication.k8s.io", false, false),
    ("create subjectaccessreviews.authorization.k8s.io", false, false),
];

#[tokio::test]
async fn nobody_may_more_than_its_work_takes() {
    let plane = or_skip!(installed().await);
    let own_secret = format!("get secrets/{} -n {}", names::WEBHOOK_SECRET, names::NAMESPACE);
    let delete_secret = own_secret.replace("get", "delete");
    let other_secret = format!("get secrets/other -n {}", names::NAMESPACE);
    let list_secrets = format!("list secrets -n {}", names::NAMESPACE);
    let own_lease = format!("patch leases/{} -n {}", names::WEBHOOK_LEASE, names::NAMESPACE);
    let own_registration =
        format!("patch mutatingwebhookconfigurations/{}", names::WEBHOOK_CONFIGURATION);
    let by_name = [
        (own_secret.as_str(), true, false),
        (own_registration.as_str(), true, false),
        (delete_secret.as_str(), false, false),
        (other_secret.as_str(), false, false),
        (list_secrets.as_str(), false, false),
        (own_lease.as_str(), true, false),
    ];
    let mut wrong = Vec::new();
    for (request, webhook, agent) in by_name.iter().chain(RIGHTS) {
        for (account, expected) in [(names::WEBHOOK, *webhook), (names::AGENT, *agent)] {
            let found = may(plane, account, request).await.unwrap();
            wrong.extend((found != expected).then(|| format!("{account}: {request}: {found}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What the pod security of a level says to a pod made from a template, in a namespace of its own.
async fn security(
    plane: &ControlPlane,
    level: &str,
    template: &Value,
    account: &str,
) -> Result<()> {
    let namespace = format!("{level}-{account}");
    let enforce = format!("pod-security.kubernetes.io/enforce={level}");
    plane.kubectl(&["create", "namespace", &namespace]).await?;
    plane.kubectl(&["label", "namespace", &namespace, &enforce]).await?;
    plane.kubectl(&["create", "serviceaccount", account, "-n", &namespace]).await?;
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod", "namespace": namespace},
        "spec": template["spec"],
    });
    let create = plane.kubectl_command().args(["create", "--dry-run=server", "-f", "-"]);
    create.stdin(pod.to_string()).run().await.map(drop)
}

#[tokio::test]
async fn the_webhook_would_pass_in_the_strictest_namespace() {
    let plane = or_skip!(installed().await);
    let webhook = get(plane, &["deployment", names::WEBHOOK, "-n", names::NAMESPACE]).await;
    let template = &webhook["spec"]["template"];
    security(plane, "restricted", template, names::WEBHOOK).await.unwrap();
}

#[tokio::test]
async fn the_agent_asks_for_its_two_folders_and_nothing_else_beyond_the_baseline() {
    let plane = or_skip!(installed().await);
    let agent = get(plane, &["daemonset", names::AGENT, "-n", names::NAMESPACE]).await;
    let template = &agent["spec"]["template"];
    let refused = security(plane, "baseline", template, names::AGENT).await.unwrap_err();
    let refused = format!("{refused:#}");
    let only =
        r#"violates PodSecurity "baseline:latest": hostPath volumes (volumes "pools", "pods")"#;
    assert!(refused.trim_end().ends_with(only), "{refused}");
}

/// The objects that a kustomization of `deploy/` makes, by kind and name.
async fn rendered(plane: &ControlPlane, folder: &str) -> BTreeMap<String, Value> {
    let path = assets::repository().join("deploy").join(folder);
    kustomize(plane, &path).await
}

/// The objects that the base with a component of `deploy/` makes, by kind and name.
async fn rendered_with(plane: &ControlPlane, component: &str) -> BTreeMap<String, Value> {
    kustomize(plane, &overlay(plane, &[component]).unwrap()).await
}

/// The objects that a kustomization makes, by kind and name.
async fn kustomize(plane: &ControlPlane, path: &Path) -> BTreeMap<String, Value> {
    let text = plane.kubectl(&["kustomize", &path.to_string_lossy()]).await.unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let named =
        |object: Value| (format!("{} {}", object["kind"], object["metadata"]["name"]), object);
    objects.into_iter().map(named).collect()
}

#[tokio::test]
async fn with_quotas_the_agent_has_one_right_more_and_nothing_else_differs() {
    let plane = or_skip!(installed().await);
    let (mut base, quotas) = (rendered(plane, "base").await, rendered_with(plane, "quotas").await);
    let agent = base.get_mut("\"DaemonSet\" \"fastrak-agent\"").unwrap();
    let pointer = "/spec/template/spec/containers/0/securityContext/capabilities/add";
    let rights = agent.pointer_mut(pointer).and_then(Value::as_array_mut).unwrap();
    rights.push(json!("SYS_ADMIN"));
    assert_eq!(base, quotas);
}

#[tokio::test]
async fn with_imports_the_agent_has_one_mount_more_and_nothing_else_differs() {
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
async fn with_metrics_auth_both_programs_ask_who_may_scrape_and_nothing_else_differs() {
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

/// Every component but the two that say who makes certificates or does without.
const COMPONENTS: [&str; 6] =
    ["quotas", "imports", "metrics-auth", "cert-manager", "not-default", "class-names"];

#[tokio::test]
async fn components_compose_and_keep_the_images_of_the_overlay() {
    let plane = or_skip!(installed().await);
    let image = |name: &str| format!("registry.example/{name}:v1");
    let images = [names::WEBHOOK, names::AGENT].map(|name| {
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
    let names_of = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    // Of each component what it adds.
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
async fn an_upgrade_with_not_default_does_not_bring_the_mark_back() {
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

/// What the documentation has an administrator write for another namespace.
const NAMESPACE: &str = "apiVersion: v1
kind: ConfigMap
metadata:
  name: fastrak-namespace
  annotations: { config.kubernetes.io/local-config: \"true\" }
data: { namespace: storage }
";

/// The kustomization of an overlay, with that file among its resources.
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
async fn another_namespace_takes_one_line_with_every_component() {
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
    // The namespaces come last in the list, and what is in them is refused until then.
    for attempt in 0..2 {
        let applied = plane.kubectl_command().args(apply).stdin(list.as_str()).run().await;
        assert!(applied.is_ok() || attempt == 0, "{applied:?}");
    }
    let pods =
        ["auth", "can-i", "watch", "nodes", "--as=system:serviceaccount:storage:fastrak-agent"];
    assert_eq!(plane.kubectl(&pods).await.unwrap().trim(), "yes");
}

#[tokio::test]
async fn a_class_of_another_provisioner_with_our_name_is_left_alone_and_names_of_ours_are_free() {
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
async fn the_documented_policy_for_a_collector_is_accepted() {
    let plane = or_skip!(installed().await);
    let operations = assets::repository().join("docs/operations.md");
    let operations = std::fs::read_to_string(operations).unwrap();
    let blocks =
        operations.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let policy = blocks.into_iter().find(|block| block.contains("kind: NetworkPolicy")).unwrap();
    let apply = ["apply", "--dry-run=server", "-f", "-"];
    plane.kubectl_command().args(apply).stdin(policy).run().await.unwrap();
}

#[tokio::test]
async fn with_cert_manager_the_webhook_has_no_right_to_secrets_and_none_to_be_called_elsewhere() {
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

/// The FlowSchema by which the API server has queued a request of this account.
async fn schema_of(plane: &ControlPlane, account: &str, path: &str) -> Result<String> {
    let client = Identity::of(plane, names::NAMESPACE, account).await?.client().await?;
    let request = http::Request::get(path).body(kube::client::Body::empty())?;
    let answer = client.send(request).await?;
    let schema =
        answer.headers().get("X-Kubernetes-PF-FlowSchema-UID").context("no such header")?;
    Ok(schema.to_str()?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_the_programs_have_a_priority_level_of_their_own() {
    let plane = or_skip!(installed().await);
    let schemas: Api<FlowSchema> = Api::all(plane.client().await.unwrap());
    for (account, path) in [
        (names::AGENT, "/api/v1/persistentvolumes"),
        (names::AGENT, "/api/v1/namespaces/default/persistentvolumeclaims"),
        (names::WEBHOOK, "/api/v1/nodes"),
        (names::WEBHOOK, "/api/v1/namespaces/default/services"),
    ] {
        let own = schemas.get(account).await.unwrap();
        assert_eq!(own.spec.priority_level_configuration.name, names::PRIORITY_LEVEL);
        let own = own.uid().unwrap();
        // The API server takes a moment to take up a schema that it has just been given.
        eventually(Duration::from_secs(30), format!("{path} is {account}'s"), || async {
            let found = schema_of(plane, account, path).await?;
            anyhow::ensure!(found == own, "{found}");
            Ok(())
        })
        .await
        .unwrap();
    }
    for account in [names::AGENT, names::WEBHOOK] {
        let taken = get(plane, &["flowschema", account]).await;
        let conditions = taken["status"]["conditions"].as_array().unwrap().clone();
        let dangling = conditions.iter().find(|condition| condition["type"] == "Dangling");
        assert_eq!(dangling.unwrap()["status"], "False", "{conditions:?}");
    }
}
