//! While the webhook is down, objects are stored unchanged. When it is back, waiting claims are
//! repaired.

use crate::test_cluster::{SOON, TestCluster, annotation, label};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::names::kubernetes::{DEFAULT_CLASS, SELECTED_NODE};
use fastrak_api::names::{self, BALANCER_DECISION, NODE, PINNED_BY};
use fastrak_testkit::objects::{claim, service};
use fastrak_testkit::{Options, eventually, fake_node, or_skip};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use kube::Api;
use kube::api::PostParams;

fn class_of(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.spec.as_ref()?.storage_class_name.as_deref()
}

/// Starts a cluster without a marked class, with a namespace that opts out, and with a webhook that
/// is configured and down.
async fn without_webhook() -> Result<TestCluster> {
    let cluster = TestCluster::start(Options::with_controllers()).await?;
    let unmark = format!("{DEFAULT_CLASS}-");
    cluster.plane.kubectl(&["annotate", "storageclass", names::CLASS_DEFAULT, &unmark]).await?;
    cluster.plane.kubectl(&["create", "namespace", "opted-out"]).await?;
    let opt_out = format!("{}={}", names::ADMISSION, names::ADMISSION_DISABLED);
    cluster.plane.kubectl(&["label", "namespace", "opted-out", &opt_out]).await?;
    for name in ["node-a", "node-b"] {
        fake_node(&cluster.client, name).await?;
    }
    cluster.webhook(&[]).await?.stop().await?;
    let claims: Api<PersistentVolumeClaim> = cluster.api("default");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    eventually(SOON, "no class is the default for the API server", || async {
        let answer = claims.create(&dry, &claim("probe").build("default")).await?;
        ensure!(class_of(&answer).is_none(), "{:?}", class_of(&answer));
        Ok(())
    })
    .await?;
    Ok(cluster)
}

/// Waits until a claim has its class and this pin, for this reason.
async fn is_repaired(
    cluster: &TestCluster,
    name: &str,
    node: Option<&str>,
    by: Option<&str>,
) -> Result<()> {
    let claims: Api<PersistentVolumeClaim> = cluster.api("default");
    eventually(SOON, format!("claim {name} is repaired"), || async {
        let found = claims.get(name).await?;
        let (metadata, class) = (&found.metadata, class_of(&found));
        ensure!(class == Some(names::CLASS_DEFAULT), "class {class:?}");
        ensure!(annotation(metadata, NODE).as_deref() == node, "{metadata:?}");
        ensure!(annotation(metadata, PINNED_BY).as_deref() == by, "{metadata:?}");
        ensure!(label(metadata, NODE).as_deref() == node, "{metadata:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn claims_stored_while_the_webhook_was_down_are_repaired() -> Result<()> {
    let cluster = or_skip!(without_webhook().await, Ok(()));
    let ours = |name: &str| claim(name).class(names::CLASS_DEFAULT);
    let plain = cluster.claim(&claim("plain").build("default")).await?;
    assert_eq!(class_of(&plain), None);
    for (claim, namespace) in [
        (ours("scheduled").annotate(SELECTED_NODE, "node-b"), "default"),
        (ours("asked").annotate(NODE, "node-a"), "default"),
        (ours("out").annotate(SELECTED_NODE, "node-b"), "opted-out"),
    ] {
        let made = cluster.claim(&claim.build(namespace)).await?;
        assert_eq!(label(&made.metadata, NODE), None);
    }
    let services: Api<Service> = cluster.api("default");
    let web = service("web").load_balancer().port(80).build("default");
    let web = services.create(&PostParams::default(), &web).await?;
    assert_eq!(annotation(&web.metadata, BALANCER_DECISION), None);

    let webhook = cluster.run(&[]).await?;
    is_repaired(&cluster, "plain", None, None).await?;
    is_repaired(&cluster, "scheduled", Some("node-b"), Some("scheduler")).await?;
    is_repaired(&cluster, "asked", Some("node-a"), Some("user")).await?;
    cluster.has_event("PinRepaired", "scheduled", "node-b").await?;
    // A repair is counted after the change is visible.
    let line =
        r#"fastrak_webhook_repairs_total{resource="persistentvolumeclaims",outcome="repaired"} 3"#;
    webhook.shows(&[line]).await?;
    // One task handles claims in order: after the repair of a later claim, the one that opts out
    // was handled too.
    cluster.unregister().await?;
    cluster.claim(&ours("later").annotate(SELECTED_NODE, "node-a").build("default")).await?;
    eventually(SOON, "a later claim is repaired", || async {
        let found = cluster.api::<PersistentVolumeClaim>("default").get("later").await?;
        label(&found.metadata, NODE).context("not yet")
    })
    .await?;
    let out = cluster.api::<PersistentVolumeClaim>("opted-out").get("out").await?;
    assert_eq!(label(&out.metadata, NODE), None, "its namespace opts out");
    webhook.stop().await
}
