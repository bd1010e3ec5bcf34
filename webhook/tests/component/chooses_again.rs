//! If a node that fastrak or the scheduler chose is deleted, the choice is made again: at admission
//! of a restored claim, or by the leader for a claim that waits.

use crate::test_cluster::{SOON, TestCluster, annotation, label};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::names::kubernetes::SELECTED_NODE;
use fastrak_api::names::{NODE, PINNED_BY};
use fastrak_testkit::objects::{claim, pod};
use fastrak_testkit::{Options, eventually, fake_node, or_skip};
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use kube::Api;
use kube::api::{DeleteParams, PostParams};

async fn scheduled(cluster: &TestCluster, name: &str, but: &str) -> Result<String> {
    let claims: Api<PersistentVolumeClaim> = cluster.api("default");
    eventually(SOON, "the scheduler has chosen", || async {
        let metadata = claims.get(name).await?.metadata;
        let node = annotation(&metadata, SELECTED_NODE).context("it has not")?;
        ensure!(node != but, "it is still {node}");
        ensure!(annotation(&metadata, PINNED_BY).as_deref() == Some("scheduler"), "{metadata:?}");
        ensure!(annotation(&metadata, NODE).as_ref() == Some(&node), "{metadata:?}");
        ensure!(label(&metadata, NODE).as_ref() == Some(&node), "{metadata:?}");
        Ok(node)
    })
    .await
}

#[tokio::test]
async fn the_choice_of_a_deleted_node_is_withdrawn_and_the_scheduler_chooses_again() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::full()).await, Ok(()));
    for name in ["node-a", "node-b", "node-c"] {
        fake_node(&cluster.client, name).await?;
    }
    let webhook = cluster.webhook(&["--repair-delay=0.2"]).await?;
    cluster.claim(&claim("data").build("default")).await?;
    let pods: Api<Pod> = cluster.api("default");
    pods.create(&PostParams::default(), &pod("user").mounts("data").build("default")).await?;
    let first = scheduled(&cluster, "data", "").await?;

    // A user who writes another node gets a warning that says how to move the claim.
    let other = if first == "node-a" { "node-b" } else { "node-a" };
    let pin = format!("{NODE}={other}");
    let annotate = ["annotate", "--overwrite", "pvc", "data", pin.as_str()];
    let warning = cluster.plane.kubectl_command().args(annotate).run().await?.stderr;
    let way = format!(
        "Warning: fastrak: it stays on node {first}; to move it, delete it and create it again with {NODE}"
    );
    ensure!(warning.contains(&way), "{warning}");
    assert_eq!(scheduled(&cluster, "data", "").await?, first);

    let nodes: Api<Node> = Api::all(cluster.client.clone());
    nodes.delete(&first, &DeleteParams::default()).await?;
    scheduled(&cluster, "data", &first).await?;
    cluster.has_event("SelectedNodeRemoved", "data", &first).await?;
    webhook.stop().await
}

#[tokio::test]
async fn a_claim_from_a_backup_is_admitted_although_its_recorded_node_is_gone() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    for name in ["node-a", "node-b"] {
        fake_node(&cluster.client, name).await?;
    }
    let webhook = cluster.webhook(&["--repair-delay=3600"]).await?;
    let restored = |name: &str, by: &str| {
        claim(name)
            .annotate(NODE, "gone")
            .annotate(PINNED_BY, by)
            .annotate(SELECTED_NODE, "gone")
            .label(NODE, "gone")
            .build("default")
    };
    for by in ["only-node", "policy", "sibling", "scheduler"] {
        let made = cluster.claim(&restored(by, by)).await?.metadata;
        assert_eq!((annotation(&made, NODE), annotation(&made, SELECTED_NODE)), (None, None));
        assert_eq!((annotation(&made, PINNED_BY), label(&made, NODE)), (None, None), "{by}");
    }
    let refused =
        cluster.claim(&restored("mine", "user")).await.err().context("it was admitted")?;
    let message = format!("{refused:#}");
    ensure!(message.contains("node gone does not exist"), "{message}");
    webhook.stop().await
}
