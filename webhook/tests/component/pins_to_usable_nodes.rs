//! fastrak chooses only nodes that accept ordinary pods and run an agent.

use crate::agents::{runs_agent, set_ready};
use crate::test_cluster::{Running, SOON, TestCluster, annotation};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::names::kubernetes::SELECTED_NODE;
use fastrak_api::names::{self, NODE, PINNED_BY};
use fastrak_testkit::objects::{claim, node, pod, storage_class};
use fastrak_testkit::{Options, eventually, fake_node, fake_node_from, or_skip};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Toleration};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::PostParams;

const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// Returns the node and the reason of a claim's pin.
fn pin(claim: &PersistentVolumeClaim) -> (Option<String>, Option<String>) {
    (annotation(&claim.metadata, NODE), annotation(&claim.metadata, PINNED_BY))
}

fn pinned(node: &str, by: &str) -> (Option<String>, Option<String>) {
    (Some(node.to_owned()), Some(by.to_owned()))
}

async fn becomes(
    cluster: &TestCluster,
    name: &str,
    wanted: (Option<String>, Option<String>),
) -> Result<()> {
    let claims: Api<PersistentVolumeClaim> = cluster.api("default");
    eventually(SOON, format!("claim {name} has the pin {wanted:?}"), || async {
        let found = pin(&claims.get(name).await?);
        ensure!(found == wanted, "{found:?}");
        Ok(())
    })
    .await
}

/// Waits until this number of agents is in a state.
async fn counts(webhook: &Running, state: &str, count: u32) -> Result<()> {
    let line = format!("fastrak_webhook_agents{{state=\"{state}\"}} {count}");
    webhook.shows(&[&line]).await
}

async fn immediate(cluster: &TestCluster) -> Result<()> {
    let classes: Api<StorageClass> = Api::all(cluster.client.clone());
    let at_once = storage_class("at-once", names::PROVISIONER).immediate().build();
    classes.create(&PostParams::default(), &at_once).await?;
    Ok(())
}

/// The case of a one-node cluster of kubeadm.
#[tokio::test]
async fn on_a_tainted_node_a_claim_waits_for_a_pod_that_tolerates_it() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::full()).await, Ok(()));
    immediate(&cluster).await?;
    fake_node_from(&cluster.client, node("node-a").taint(CONTROL_PLANE, "NoSchedule")).await?;
    let webhook = cluster.webhook(&["--repair-delay=1"]).await?;
    let at_once = cluster.claim(&claim("at-once").class("at-once").build("default")).await?;
    assert_eq!(pin(&at_once), pinned("node-a", "only-node"), "the only node that there is");
    let waits = cluster.claim(&claim("data").build("default")).await?;
    assert_eq!((pin(&waits), annotation(&waits.metadata, SELECTED_NODE)), ((None, None), None));

    let pods: Api<Pod> = cluster.api("default");
    let tolerates = Toleration {
        key: Some(CONTROL_PLANE.to_owned()),
        operator: Some("Exists".to_owned()),
        ..Toleration::default()
    };
    let user = pod("user").mounts("data");
    let user = user.with_spec(|spec| spec.tolerations = Some(vec![tolerates]));
    pods.create(&PostParams::default(), &user.build("default")).await?;
    becomes(&cluster, "data", pinned("node-a", "scheduler")).await?;
    webhook.stop().await
}

#[tokio::test]
async fn a_class_that_binds_at_once_waits_until_a_cordoned_node_takes_pods() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    immediate(&cluster).await?;
    fake_node_from(&cluster.client, node("node-a").cordoned()).await?;
    let webhook = cluster.webhook(&["--repair-delay=0.2"]).await?;
    let made = cluster.claim(&claim("data").class("at-once").build("default")).await?;
    assert_eq!(pin(&made), (None, None));
    // A user's pin is kept.
    let mine = claim("mine").class("at-once").annotate(NODE, "node-a").build("default");
    assert_eq!(pin(&cluster.claim(&mine).await?), pinned("node-a", "user"));
    cluster.plane.kubectl(&["uncordon", "node-a"]).await?;
    becomes(&cluster, "data", pinned("node-a", "only-node")).await?;
    webhook.stop().await
}

#[tokio::test]
async fn a_claim_is_pinned_to_the_only_node_with_an_agent_and_to_none_without_one() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    immediate(&cluster).await?;
    for name in ["node-a", "node-b"] {
        fake_node(&cluster.client, name).await?;
    }
    runs_agent(&cluster, "node-b").await?;
    let webhook = cluster.webhook(&["--agent-grace=0", "--repair-delay=0.2"]).await?;
    counts(&webhook, "down", 1).await?;
    for class in [names::CLASS_DEFAULT, "at-once"] {
        let made =
            cluster.claim(&claim(&format!("of-{class}")).class(class).build("default")).await?;
        assert_eq!(pin(&made), pinned("node-b", "only-node"), "{class}");
    }
    set_ready(&cluster, names::AGENT, "node-b", false).await?;
    counts(&webhook, "down", 2).await?;
    let made = cluster.claim(&claim("late").class("at-once").build("default")).await?;
    assert_eq!(pin(&made), (None, None));
    set_ready(&cluster, names::AGENT, "node-b", true).await?;
    becomes(&cluster, "late", pinned("node-b", "only-node")).await?;
    let claims: Api<PersistentVolumeClaim> = cluster.api("default");
    let found = claims.get("late").await?;
    annotation(&found.metadata, SELECTED_NODE).context("provisioners see it")?;
    webhook.stop().await
}
