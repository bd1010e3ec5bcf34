//! Claims are pinned by their users, because of a single node, by their class or by the scheduler.

use crate::test_cluster::{SOON, TestCluster, annotation, label};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::names::kubernetes::{
    SELECTED_NODE, STORAGE_PROVISIONER, STORAGE_PROVISIONER_BETA,
};
use fastrak_api::names::{self, NODE, PINNED_BY};
use fastrak_testkit::objects::{claim, node, pod, storage_class};
use fastrak_testkit::{Options, eventually, fake_node, fake_node_from, or_skip};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

/// Node, reason and label.
fn pin(claim: &PersistentVolumeClaim) -> (Option<String>, Option<String>, Option<String>) {
    let metadata = &claim.metadata;
    (annotation(metadata, NODE), annotation(metadata, PINNED_BY), label(metadata, NODE))
}

fn pinned(node: &str, by: &str, key: &str) -> (Option<String>, Option<String>, Option<String>) {
    (Some(node.to_owned()), Some(by.to_owned()), Some(key.to_owned()))
}

/// Returns the owner of an annotation, if it has one.
fn writer(claim: &PersistentVolumeClaim, key: &str) -> Option<String> {
    let entries = claim.metadata.managed_fields.iter().flatten();
    let mut owners = entries.filter(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0["f:metadata"]);
        fields.is_some_and(|fields| !fields["f:annotations"][format!("f:{key}")].is_null())
    });
    owners.next()?.manager.clone()
}

async fn denial(cluster: &TestCluster, claim: &PersistentVolumeClaim) -> Result<String> {
    match cluster.claim(claim).await {
        Ok(_) => anyhow::bail!("it was admitted"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// Waits until the webhook has a node in its snapshot.
async fn is_known(cluster: &TestCluster, node: &str) -> Result<()> {
    let claims: Api<PersistentVolumeClaim> = cluster.api("default");
    let probe = claim("probe").annotate(NODE, node).build("default");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    eventually(SOON, format!("the webhook knows of {node}"), || async {
        claims.create(&dry, &probe).await
    })
    .await
    .map(drop)
}

#[tokio::test]
async fn a_claim_is_pinned_by_its_user_its_class_or_a_single_node() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let classes: Api<StorageClass> = Api::all(cluster.client.clone());
    let at_once = storage_class("at-once", names::PROVISIONER).immediate().build();
    classes.create(&PostParams::default(), &at_once).await?;
    let webhook = cluster.webhook(&[]).await?;

    fake_node(&cluster.client, "node-a").await?;
    fake_node_from(&cluster.client, node("window").label("kubernetes.io/os", "windows")).await?;
    is_known(&cluster, "node-a").await?;
    let only = cluster.claim(&claim("only").build("default")).await?;
    assert_eq!(pin(&only), pinned("node-a", "only-node", "node-a"));
    for (key, value) in [
        (SELECTED_NODE, "node-a"),
        (STORAGE_PROVISIONER, names::PROVISIONER),
        (STORAGE_PROVISIONER_BETA, names::PROVISIONER),
    ] {
        assert_eq!(annotation(&only.metadata, key).as_deref(), Some(value), "{key}");
    }

    let long = format!("node-{}.example.com", "long".repeat(20));
    fake_node(&cluster.client, "node-b").await?;
    fake_node_from(&cluster.client, node(&long).label("kubernetes.io/hostname", "long")).await?;
    is_known(&cluster, "node-b").await?;
    is_known(&cluster, &long).await?;
    let open = cluster.claim(&claim("open").build("default")).await?;
    assert_eq!(pin(&open), (None, None, None), "the scheduler chooses");
    let mine = cluster.claim(&claim("mine").annotate(NODE, "node-b").build("default")).await?;
    assert_eq!(pin(&mine), pinned("node-b", "user", "node-b"));
    let far = cluster.claim(&claim("far").annotate(NODE, long.as_str()).build("default")).await?;
    let key = label(&far.metadata, NODE).context("a long name has a key")?;
    ensure!(key.len() == 63 && annotation(&far.metadata, NODE).as_deref() == Some(&long), "{key}");

    let forged = cluster.claim(&claim("forged").label(NODE, "node-b").build("default")).await?;
    assert_eq!(pin(&forged), (None, None, None), "a label alone is no pin");

    for (name, says) in [
        ("nowhere", "node nowhere does not exist"),
        ("window", "node window does not run Linux"),
        ("Not A Node", "a node name consists of"),
    ] {
        let message = denial(&cluster, &claim("x").annotate(NODE, name).build("default")).await?;
        ensure!(message.contains(says) && message.contains("node-a, node-b"), "{message}");
        ensure!(message.contains("admission webhook \"claims.fastrak.io\" denied"), "{message}");
    }

    let mut homes = Vec::new();
    for template in ["data", "log"] {
        let name = format!("{template}-web-0");
        let made = cluster.claim(&claim(&name).class("at-once").build("default")).await?;
        assert_eq!(pin(&made).1.as_deref(), Some("sibling"));
        homes.push(pin(&made).0);
    }
    ensure!(homes[0].is_some() && homes[0] == homes[1], "{homes:?}");
    let alone = cluster.claim(&claim("alone").class("at-once").build("default")).await?;
    assert_eq!(pin(&alone).1.as_deref(), Some("policy"));
    webhook.stop().await
}

#[tokio::test]
async fn the_choice_of_the_scheduler_is_mirrored_and_withdrawn_with_it() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::full()).await, Ok(()));
    for name in ["node-a", "node-b"] {
        fake_node(&cluster.client, name).await?;
    }
    let webhook = cluster.webhook(&["--repair-delay=3600"]).await?;
    let claims: Api<PersistentVolumeClaim> = cluster.api("default");
    let pods: Api<Pod> = cluster.api("default");
    let made = cluster.claim(&claim("data").build("default")).await?;
    assert_eq!(pin(&made), (None, None, None));
    pods.create(&PostParams::default(), &pod("user").mounts("data").build("default")).await?;
    let chosen = eventually(SOON, "the scheduler has chosen", || async {
        let found = claims.get("data").await?;
        annotation(&found.metadata, SELECTED_NODE).context("it has not")?;
        anyhow::Ok(found)
    })
    .await?;
    let node = annotation(&chosen.metadata, SELECTED_NODE).context("a node was chosen")?;
    assert_eq!(pin(&chosen), pinned(&node, "scheduler", &node));
    for key in [STORAGE_PROVISIONER, STORAGE_PROVISIONER_BETA] {
        assert_eq!(annotation(&chosen.metadata, key).as_deref(), Some(names::PROVISIONER));
        // The fields that a webhook adds have no owner; those of the controller manager have one.
        assert_eq!(writer(&chosen, key), None, "{key}");
    }

    // A provisioner that cannot serve the claim there withdraws the choice.
    let take_back = json!({"metadata": {"annotations": {SELECTED_NODE: null}}});
    let params = PatchParams::default();
    let freed = claims.patch("data", &params, &Patch::Merge(take_back)).await?;
    assert_eq!(pin(&freed), (None, None, None));
    webhook.stop().await
}
