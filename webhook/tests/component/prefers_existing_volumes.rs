//! An existing volume that fits a claim is preferred to a new one, which would be empty. The real
//! controller manager and scheduler bind it.

use crate::test_cluster::{SOON, TestCluster, annotation, label};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::names::kubernetes::SELECTED_NODE;
use fastrak_api::names::{self, NODE, PINNED_BY};
use fastrak_testkit::objects::{claim, local_volume, pod, storage_class};
use fastrak_testkit::{Options, eventually, fake_node, or_skip};
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt as _};

const RESERVED: usize = 20;
const AT_ONCE: &str = "at-once";

/// A cluster with one node, and a class that binds at once.
async fn one_node() -> Result<TestCluster> {
    let cluster = TestCluster::start(Options::full()).await?;
    fake_node(&cluster.client, "node-a").await?;
    let classes: Api<StorageClass> = Api::all(cluster.client.clone());
    let at_once = storage_class(AT_ONCE, names::PROVISIONER).immediate().build();
    classes.create(&PostParams::default(), &at_once).await?;
    Ok(cluster)
}

fn volumes(cluster: &TestCluster) -> Api<PersistentVolume> {
    Api::all(cluster.client.clone())
}

/// Creates a volume on the node, reserved for the named claim if there is one, and waits until it
/// is Available or Bound.
async fn has_volume(
    cluster: &TestCluster,
    name: &str,
    class: &str,
    reserved: Option<&str>,
) -> Result<()> {
    let object = local_volume(name, class, "node-a", "/kept").with_spec(|spec| {
        spec.claim_ref = reserved.map(|claim| ObjectReference {
            namespace: Some("default".to_owned()),
            name: Some(claim.to_owned()),
            ..ObjectReference::default()
        });
    });
    volumes(cluster).create(&PostParams::default(), &object.build()).await?;
    eventually(SOON, format!("volume {name} is Available"), || async {
        let phase = volumes(cluster).get(name).await?.status.unwrap_or_default().phase;
        ensure!(matches!(phase.as_deref(), Some("Available" | "Bound")), "{phase:?}");
        Ok(())
    })
    .await
}

/// Waits until a claim is left to an existing volume, which the webhook's watch reports a moment
/// after it was created. Creates it then, and returns its pin and the reason.
async fn left_to_volume(
    cluster: &TestCluster,
    object: &PersistentVolumeClaim,
) -> Result<(Option<String>, Option<String>)> {
    let claims: Api<PersistentVolumeClaim> = cluster.api("default");
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    eventually(SOON, "the webhook leaves the claim to the volume", || async {
        is_left(&claims.create(&dry_run, object).await?)
    })
    .await?;
    let made = cluster.claim(object).await?;
    is_left(&made)?;
    Ok((annotation(&made.metadata, NODE), annotation(&made.metadata, PINNED_BY)))
}

fn is_left(claim: &PersistentVolumeClaim) -> Result<()> {
    let made = &claim.metadata;
    ensure!(annotation(made, SELECTED_NODE).is_none(), "it is provisioned: {made:?}");
    ensure!(label(made, NODE).is_none(), "an agent sees it: {made:?}");
    Ok(())
}

/// Waits until a claim is bound to this volume.
async fn is_bound(cluster: &TestCluster, name: &str, volume: &str) -> Result<()> {
    eventually(SOON, format!("claim {name} is bound to {volume}"), || async {
        let found = cluster.api::<PersistentVolumeClaim>("default").get(name).await?;
        let phase = found.status.as_ref().and_then(|status| status.phase.as_deref());
        ensure!(phase == Some("Bound"), "{phase:?}: {:?}", found.metadata);
        let has = found.spec.and_then(|spec| spec.volume_name);
        ensure!(has.as_deref() == Some(volume), "{has:?}");
        Ok(())
    })
    .await
}

async fn create_user(cluster: &TestCluster, name: &str) -> Result<()> {
    let user = pod(&format!("uses-{name}")).mounts(name).build("default");
    let pods: Api<Pod> = cluster.api("default");
    Ok(pods.create(&PostParams::default(), &user).await.map(drop)?)
}

#[tokio::test]
async fn claims_with_a_reserved_volume_get_it_and_no_agent_sees_them() -> Result<()> {
    let cluster = or_skip!(one_node().await, Ok(()));
    let webhook = cluster.webhook(&[]).await?;
    for number in 0..RESERVED {
        let claim = format!("data-{number}");
        has_volume(&cluster, &format!("kept-{number}"), names::CLASS_RETAIN, Some(&claim)).await?;
    }
    for number in 0..RESERVED {
        // A reserved volume is bound to its claim regardless of the class.
        let class = if number % 2 == 0 { names::CLASS_RETAIN } else { AT_ONCE };
        let object = claim(&format!("data-{number}")).class(class).build("default");
        assert_eq!(left_to_volume(&cluster, &object).await?, (None, None));
    }
    for number in 0..RESERVED {
        is_bound(&cluster, &format!("data-{number}"), &format!("kept-{number}")).await?;
    }
    let claims: Api<PersistentVolumeClaim> = cluster.api("default");
    for found in claims.list(&ListParams::default()).await? {
        let seen = (found.labels().get(NODE), found.annotations().get(SELECTED_NODE));
        assert_eq!(seen, (None, None), "{}", found.name_any());
    }
    webhook.stop().await
}

#[tokio::test]
async fn a_free_volume_that_fits_is_bound_and_without_one_the_claim_is_pinned() -> Result<()> {
    let cluster = or_skip!(one_node().await, Ok(()));
    let webhook = cluster.webhook(&[]).await?;

    has_volume(&cluster, "first", names::CLASS_RETAIN, None).await?;
    let object = claim("waits").class(names::CLASS_RETAIN).build("default");
    assert_eq!(left_to_volume(&cluster, &object).await?, (None, None));
    create_user(&cluster, "waits").await?;
    is_bound(&cluster, "waits", "first").await?;

    has_volume(&cluster, "second", names::CLASS_RETAIN, None).await?;
    let mine = claim("mine").class(names::CLASS_RETAIN).annotate(NODE, "node-a");
    let pin = (Some("node-a".to_owned()), Some("user".to_owned()));
    assert_eq!(left_to_volume(&cluster, &mine.build("default")).await?, pin);
    create_user(&cluster, "mine").await?;
    is_bound(&cluster, "mine", "second").await?;

    has_volume(&cluster, "third", AT_ONCE, None).await?;
    let object = claim("at-once").class(AT_ONCE).build("default");
    assert_eq!(left_to_volume(&cluster, &object).await?, (None, None));
    is_bound(&cluster, "at-once", "third").await?;

    has_volume(&cluster, "fourth", names::CLASS_RETAIN, None).await?;
    let large = claim("large").class(names::CLASS_RETAIN).asks("2Gi").build("default");
    let large = cluster.claim(&large).await?;
    assert_eq!(annotation(&large.metadata, SELECTED_NODE).as_deref(), Some("node-a"));
    let late = claim("late").class(names::CLASS_RETAIN).build("default");
    assert_eq!(left_to_volume(&cluster, &late).await?, (None, None));
    volumes(&cluster).delete("fourth", &DeleteParams::default()).await?;
    eventually(SOON, "the claim is pinned after its volume is deleted", || async {
        let found = cluster.api::<PersistentVolumeClaim>("default").get("late").await?;
        let by = annotation(&found.metadata, PINNED_BY).context("not yet")?;
        ensure!(by == "only-node" && label(&found.metadata, NODE).is_some(), "{found:?}");
        Ok(())
    })
    .await?;
    webhook.stop().await
}

#[tokio::test]
async fn a_pod_is_moved_to_the_node_that_the_user_of_its_claim_wrote() -> Result<()> {
    let cluster = or_skip!(one_node().await, Ok(()));
    fake_node(&cluster.client, "node-b").await?;
    let webhook = cluster.webhook(&[]).await?;
    has_volume(&cluster, "free", names::CLASS_RETAIN, None).await?;
    let mine = claim("mine").class(names::CLASS_RETAIN).annotate(NODE, "node-a");
    left_to_volume(&cluster, &mine.build("default")).await?;

    cluster.plane.kubectl(&["cordon", "node-a"]).await?;
    create_user(&cluster, "mine").await?;
    eventually(SOON, "the user's node is selected in place of the scheduler's", || async {
        let found = cluster.api::<PersistentVolumeClaim>("default").get("mine").await?.metadata;
        let selected = annotation(&found, SELECTED_NODE).context("none is selected")?;
        ensure!(selected == "node-a", "{selected}");
        ensure!(label(&found, NODE).as_deref() == Some("node-a"), "{found:?}");
        Ok(())
    })
    .await?;

    cluster.plane.kubectl(&["uncordon", "node-a"]).await?;
    // In place of the agent of that node.
    has_volume(&cluster, "made", names::CLASS_RETAIN, Some("mine")).await?;
    is_bound(&cluster, "mine", "made").await?;
    eventually(SOON, "the pod is on that node", || async {
        let found = cluster.api::<Pod>("default").get("uses-mine").await?;
        let node = found.spec.and_then(|spec| spec.node_name).context("it is on none")?;
        ensure!(node == "node-a", "{node}");
        Ok(())
    })
    .await?;
    webhook.stop().await
}
