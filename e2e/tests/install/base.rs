//! `deploy/base` on a real API server: it can be applied repeatedly and gives each program only the
//! rights that it needs.

use anyhow::{Context, Result};
use fastrak_api::names;
use fastrak_testkit::{ControlPlane, Identity, Options, assets, eventually, or_skip, shared};
use k8s_openapi::api::flowcontrol::v1::FlowSchema;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::OnceCell;

pub(crate) fn base() -> String {
    assets::repository().join("deploy/base").to_string_lossy().into_owned()
}

/// Returns the shared control plane with `deploy/base`.
pub(crate) async fn installed() -> Result<&'static ControlPlane> {
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

/// Returns the version of every object, by kind and name. The API server writes the status of some, so
/// theirs is the generation, which only a change of the specification raises.
async fn versions(plane: &ControlPlane) -> BTreeMap<String, Value> {
    let objects = get(plane, &["-k", &base()]).await;
    let objects = objects["items"].as_array().unwrap().iter();
    let named = objects.map(|object| {
        let (kind, metadata) = (&object["kind"], &object["metadata"]);
        let has_status = kind == "FlowSchema" || kind == "PriorityLevelConfiguration";
        let version = if has_status { "generation" } else { "resourceVersion" };
        (format!("{kind} {}", metadata["name"]), metadata[version].clone())
    });
    // Another test changes the webhook configuration.
    named.filter(|(name, _)| !name.contains("MutatingWebhookConfiguration")).collect()
}

#[tokio::test]
async fn applying_the_base_again_changes_nothing() {
    let plane = or_skip!(installed().await);
    let before = versions(plane).await;
    assert!(before.len() >= 15 && before.values().all(|version| !version.is_null()), "{before:#?}");
    plane.kubectl(&["apply", "-k", &base()]).await.unwrap();
    assert_eq!(before, versions(plane).await);
}

#[tokio::test]
async fn the_base_can_be_applied_on_the_server_side() {
    let plane = or_skip!(installed().await);
    let apply = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k"];
    let applied = plane.kubectl(&[&apply[..], &[&base()]].concat()).await.unwrap();
    assert!(applied.lines().all(|line| line.contains(" serverside-applied")), "{applied}");
}

#[tokio::test]
async fn the_ca_bundle_of_the_webhook_survives_the_next_apply() {
    let plane = or_skip!(installed().await);
    let ca = plane.kubectl_command().args([
        "create",
        "secret",
        "generic",
        "x",
        "--dry-run=client",
        "-o",
        "jsonpath={.data.ca}",
        &format!("--from-literal=ca={}", plane.ca_pem()),
    ]);
    let ca = ca.run().await.unwrap().stdout;
    let op = |at| json!({"op": "add", "path": format!("/webhooks/{at}/clientConfig/caBundle"), "value": ca});
    let patch = json!([op(0), op(1), op(2)]).to_string();
    let manager = format!("--field-manager={}", names::MANAGER_CA_BUNDLE);
    let kind = ["mutatingwebhookconfiguration", names::WEBHOOK_CONFIGURATION];
    let patched = [&["patch"], &kind[..], &["--type=json", &manager, "--patch", &patch]].concat();
    plane.kubectl(&patched).await.unwrap();

    for how in [&["apply", "-k"][..], &["apply", "--server-side", "--force-conflicts", "-k"]] {
        plane.kubectl(&[how, &[&base()]].concat()).await.unwrap();
        let configuration = get(plane, &kind).await;
        for hook in configuration["webhooks"].as_array().unwrap() {
            assert_eq!(hook["clientConfig"]["caBundle"], json!(ca), "after {how:?}");
        }
    }
}

/// Returns whether a ServiceAccount may do something, by `kubectl auth can-i`.
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
async fn each_account_has_only_the_rights_it_needs() {
    let plane = or_skip!(installed().await);
    let own_secret = format!("get secrets/{} -n {}", names::WEBHOOK_SECRET, names::NAMESPACE);
    let delete_secret = own_secret.replace("get", "delete");
    let other_secret = format!("get secrets/other -n {}", names::NAMESPACE);
    let list_secrets = format!("list secrets -n {}", names::NAMESPACE);
    let own_lease = format!("patch leases/{} -n {}", names::WEBHOOK_LEASE, names::NAMESPACE);
    let own_configuration =
        format!("patch mutatingwebhookconfigurations/{}", names::WEBHOOK_CONFIGURATION);
    let by_name = [
        (own_secret.as_str(), true, false),
        (own_configuration.as_str(), true, false),
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

/// Creates a pod from a template by a dry run, in a new namespace with this pod security level.
pub(crate) async fn security(
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
async fn the_webhook_meets_the_restricted_pod_security_standard() {
    let plane = or_skip!(installed().await);
    let webhook = get(plane, &["deployment", names::WEBHOOK, "-n", names::NAMESPACE]).await;
    let template = &webhook["spec"]["template"];
    security(plane, "restricted", template, names::WEBHOOK).await.unwrap();
}

#[tokio::test]
async fn the_agent_exceeds_the_baseline_standard_by_its_two_folders_only() {
    let plane = or_skip!(installed().await);
    let agent = get(plane, &["daemonset", names::AGENT, "-n", names::NAMESPACE]).await;
    let template = &agent["spec"]["template"];
    let refused = security(plane, "baseline", template, names::AGENT).await.unwrap_err();
    let refused = format!("{refused:#}");
    let only =
        r#"violates PodSecurity "baseline:latest": hostPath volumes (volumes "pools", "pods")"#;
    assert!(refused.trim_end().ends_with(only), "{refused}");
}

#[tokio::test]
async fn the_documented_network_policy_for_a_collector_is_accepted() {
    let plane = or_skip!(installed().await);
    let operations = assets::repository().join("docs/operations.md");
    let operations = std::fs::read_to_string(operations).unwrap();
    let blocks =
        operations.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let policy = blocks.into_iter().find(|block| block.contains("kind: NetworkPolicy")).unwrap();
    let apply = ["apply", "--dry-run=server", "-f", "-"];
    plane.kubectl_command().args(apply).stdin(policy).run().await.unwrap();
}

/// Returns the FlowSchema that the API server used for a request of this account.
async fn schema_of(plane: &ControlPlane, account: &str, path: &str) -> Result<String> {
    let client = Identity::of(plane, names::NAMESPACE, account).await?.client().await?;
    let request = http::Request::get(path).body(kube::client::Body::empty())?;
    let answer = client.send(request).await?;
    let schema =
        answer.headers().get("X-Kubernetes-PF-FlowSchema-UID").context("no such header")?;
    Ok(schema.to_str()?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_the_programs_have_their_own_priority_level() {
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
        // The API server uses a new schema after a moment.
        eventually(Duration::from_secs(30), format!("{path} is {account}'s"), || async {
            let found = schema_of(plane, account, path).await?;
            anyhow::ensure!(found == own, "{found}");
            Ok(())
        })
        .await
        .unwrap();
    }
    for account in [names::AGENT, names::WEBHOOK] {
        let schema = format!("flowschema/{account}");
        plane.kubectl(&["wait", &schema, "--for=condition=Dangling=False"]).await.unwrap();
    }
}
