//! A namespace has a default class for its claims and a default balancer for its Services. The
//! webhook recognizes by the managed fields whether a claim names a class, so each way of creating
//! a claim is tested.

use crate::test_cluster::{SOON, TestCluster, annotation};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::names::{self, BALANCER, BALANCER_DECISION, CLASS_DEFAULT, NAMESPACE_CLASS};
use fastrak_testkit::objects::{claim, service, storage_class};
use fastrak_testkit::{Options, eventually, or_skip};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Service};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const TEAM: &str = "team";

/// kubectl's ways to create an object.
const WAYS: [&[&str]; 3] = [&["create"], &["apply"], &["apply", "--server-side"]];

async fn start() -> Result<TestCluster> {
    let cluster = TestCluster::start(Options::api_only()).await?;
    let classes: Api<StorageClass> = Api::all(cluster.client.clone());
    for (name, provisioner) in [("fast", names::PROVISIONER), ("foreign", "example.com/other")] {
        let class = storage_class(name, provisioner).build();
        classes.create(&PostParams::default(), &class).await?;
    }
    cluster.plane.kubectl(&["create", "namespace", TEAM]).await?;
    Ok(cluster)
}

async fn annotate(cluster: &TestCluster, annotations: Value) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let patch = Patch::Merge(json!({"metadata": annotations}));
    namespaces.patch(TEAM, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Creates a claim with kubectl. Returns the stored claim and the printed warnings.
async fn made(
    cluster: &TestCluster,
    way: &[&str],
    name: &str,
    class: Option<&str>,
) -> Result<(Value, String)> {
    let mut object = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": TEAM},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    if let Some(class) = class {
        object["spec"]["storageClassName"] = json!(class);
    }
    let command = cluster.plane.kubectl_command().args(way).args(["-o", "json", "-f", "-"]);
    let output = command.stdin(object.to_string()).run().await?;
    Ok((serde_json::from_str(&output.stdout)?, output.stderr))
}

fn class_of(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.spec.as_ref()?.storage_class_name.as_deref()
}

/// Waits until a claim of the namespace gets this class.
async fn is_followed(cluster: &TestCluster, class: &str) -> Result<()> {
    let claims: Api<PersistentVolumeClaim> = cluster.api(TEAM);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    eventually(SOON, format!("claims get class {class}"), || async {
        let answer = claims.create(&dry, &claim("probe").build(TEAM)).await?;
        ensure!(class_of(&answer) == Some(class), "{:?}", class_of(&answer));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_claim_without_a_class_gets_the_default_of_its_namespace() -> Result<()> {
    let cluster = or_skip!(start().await, Ok(()));
    let webhook = cluster.webhook(&[]).await?;

    let before = cluster.claim(&claim("before").build(TEAM)).await?;
    assert_eq!(class_of(&before), Some(CLASS_DEFAULT), "the plugin has filled it in");
    annotate(&cluster, json!({"annotations": {NAMESPACE_CLASS: "fast"}})).await?;
    is_followed(&cluster, "fast").await?;
    for (at, way) in WAYS.into_iter().enumerate() {
        let (open, printed) = made(&cluster, way, &format!("open-{at}"), None).await?;
        assert_eq!(open["spec"]["storageClassName"], "fast", "{way:?}");
        ensure!(
            printed.contains("fastrak: set class fast, the default of its namespace"),
            "{printed}"
        );
        for class in [CLASS_DEFAULT, "foreign", ""] {
            let name = format!("chosen-{at}-{}", class.len());
            let (chosen, printed) = made(&cluster, way, &name, Some(class)).await?;
            assert_eq!(chosen["spec"]["storageClassName"], class, "{way:?}");
            ensure!(!printed.contains("the default of its namespace"), "{printed}");
        }
    }
    annotate(&cluster, json!({"annotations": {NAMESPACE_CLASS: "foreign"}})).await?;
    is_followed(&cluster, "foreign").await?;
    annotate(&cluster, json!({"annotations": {NAMESPACE_CLASS: "nobody"}})).await?;
    is_followed(&cluster, CLASS_DEFAULT).await?;
    let (_, printed) = made(&cluster, &["create"], "ignored", None).await?;
    ensure!(printed.contains("ignored: class \"nobody\" does not exist"), "{printed}");
    webhook.stop().await
}

#[tokio::test]
async fn a_service_without_a_balancer_gets_the_default_of_its_namespace() -> Result<()> {
    let cluster = or_skip!(start().await, Ok(()));
    let webhook = cluster.webhook(&[]).await?;
    let services: Api<Service> = cluster.api(TEAM);
    let decision = |name: String, params: PostParams| {
        let web = service(&name).load_balancer().port(80).build(TEAM);
        let services = services.clone();
        async move {
            let made = services.create(&params, &web).await?;
            annotation(&made.metadata, BALANCER_DECISION).context("nothing was decided")
        }
    };
    assert_eq!(decision("early".to_owned(), PostParams::default()).await?, "inlets");
    for (choice, wanted) in [("none", "none"), ("node-ip", "skipped:unsupported-mode")] {
        annotate(&cluster, json!({"annotations": {BALANCER: choice}})).await?;
        eventually(SOON, format!("{choice} is followed"), || async {
            let dry = PostParams { dry_run: true, ..PostParams::default() };
            let found = decision("probe".to_owned(), dry).await?;
            ensure!(found == wanted, "{found}");
            Ok(())
        })
        .await?;
    }
    let touch = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    let early = services.patch("early", &PatchParams::default(), &touch).await?;
    assert_eq!(annotation(&early.metadata, BALANCER_DECISION).as_deref(), Some("inlets"));
    webhook.stop().await
}
