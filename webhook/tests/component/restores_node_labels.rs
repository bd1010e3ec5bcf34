//! A bound claim that lost the label or the annotation of its node gets both from its volume. No
//! other claim does.

use crate::test_cluster::{SOON, TestCluster, annotation, label};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::names::kubernetes::{PROVISIONED_BY, STORAGE_PROVISIONER};
use fastrak_api::names::{self, ADMISSION, ADMISSION_DISABLED, CLASS_DEFAULT, NODE, PINNED_BY};
use fastrak_testkit::objects::{Claim, claim, local_volume, storage_class};
use fastrak_testkit::{Options, eventually, or_skip};
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const FOREIGN: &str = "foreign";

/// Returns the name of the volume with this number.
fn volume_name(number: u8) -> String {
    format!("{}0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a{number:02}", names::VOLUME_NAME_PREFIX)
}

/// Creates a claim bound to the volume with this number on node-a, whose claimRef has `uid`.
async fn bind(cluster: &TestCluster, object: Claim, number: u8, uid: Option<&str>) -> Result<()> {
    let name = volume_name(number);
    let mut object = object.build("default");
    object.spec.get_or_insert_default().volume_name = Some(name.clone());
    let made = cluster.claim(&object).await?;
    let (claim_name, own_uid) = (made.metadata.name.context("a name")?, made.metadata.uid);
    let claim_ref = ObjectReference {
        kind: Some("PersistentVolumeClaim".to_owned()),
        namespace: Some("default".to_owned()),
        name: Some(claim_name.clone()),
        uid: uid.map(str::to_owned).or(own_uid),
        ..ObjectReference::default()
    };
    let is_foreign =
        object.spec.and_then(|spec| spec.storage_class_name).as_deref() == Some(FOREIGN);
    let by = if is_foreign { "example.com/other" } else { names::PROVISIONER };
    let volume = local_volume(&name, CLASS_DEFAULT, "node-a", "/pool/data")
        .annotate(PROVISIONED_BY, by)
        .annotate(NODE, "node-a")
        .with_spec(|spec| spec.claim_ref = Some(claim_ref))
        .build();
    let volumes: Api<PersistentVolume> = Api::all(cluster.client.clone());
    volumes.create(&PostParams::default(), &volume).await?;
    let bound = Patch::Merge(json!({ "status": { "phase": "Bound" } }));
    claims(cluster).patch_status(&claim_name, &PatchParams::default(), &bound).await?;
    Ok(())
}

fn claims(cluster: &TestCluster) -> Api<PersistentVolumeClaim> {
    cluster.api("default")
}

async fn patch(cluster: &TestCluster, name: &str, metadata: Value) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": metadata }));
    claims(cluster).patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Waits until label and annotation of a claim name node-a.
async fn is_restored(cluster: &TestCluster, name: &str) -> Result<PersistentVolumeClaim> {
    eventually(SOON, format!("claim {name} names its node"), || async {
        let found = claims(cluster).get(name).await?;
        let metadata = &found.metadata;
        let named = (label(metadata, NODE), annotation(metadata, NODE));
        ensure!(named == (Some("node-a".into()), Some("node-a".into())), "{metadata:?}");
        Ok(found)
    })
    .await
}

#[tokio::test]
async fn a_bound_claim_gets_its_node_label_back_and_another_provisioners_does_not() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let classes: Api<StorageClass> = Api::all(cluster.client.clone());
    let foreign = storage_class(FOREIGN, "example.com/other").build();
    classes.create(&PostParams::default(), &foreign).await?;
    let webhook = cluster.run(&[]).await?;
    let ours = |name: &str| claim(name).class(CLASS_DEFAULT);
    let marked = |claim: Claim| claim.annotate(STORAGE_PROVISIONER, names::PROVISIONER);

    // First those that must stay unchanged, because one task handles claims in order.
    let other_uid = "1b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a00";
    bind(&cluster, marked(ours("forged")), 1, Some(other_uid)).await?;
    bind(&cluster, claim("other").class(FOREIGN), 2, None).await?;
    bind(&cluster, marked(claim("posing").class(FOREIGN)), 3, None).await?;
    bind(&cluster, ours("out").label(ADMISSION, ADMISSION_DISABLED), 4, None).await?;
    bind(&cluster, ours("bare"), 5, None).await?;
    bind(&cluster, ours("moved").annotate(NODE, "node-b").label(NODE, "node-b"), 6, None).await?;
    patch(&cluster, "moved", json!({ "labels": { NODE: "node-c" } })).await?;
    is_restored(&cluster, "moved").await?;

    let bare = is_restored(&cluster, "bare").await?;
    assert_eq!(annotation(&bare.metadata, PINNED_BY).as_deref(), Some("scheduler"));
    cluster
        .has_event("NodeLabelRestored", "bare", "restored label and annotation fastrak.io/node")
        .await?;
    let whole = ours("stripped").annotate(NODE, "node-a").annotate(PINNED_BY, "user");
    bind(&cluster, whole.label(NODE, "node-a"), 7, None).await?;
    patch(&cluster, "stripped", json!({ "labels": null })).await?;
    let stripped = is_restored(&cluster, "stripped").await?;
    assert_eq!(annotation(&stripped.metadata, PINNED_BY).as_deref(), Some("user"));
    cluster
        .has_event("NodeLabelRestored", "stripped", "restored label fastrak.io/node of the claim")
        .await?;

    for name in ["forged", "other", "posing", "out"] {
        let found = claims(&cluster).get(name).await?;
        assert_eq!(label(&found.metadata, NODE), None, "{name}");
        assert_eq!(annotation(&found.metadata, NODE), None, "{name}");
    }
    let line =
        r#"fastrak_webhook_repairs_total{resource="persistentvolumeclaims",outcome="repaired"} 3"#;
    webhook.shows(&[line]).await?;
    webhook.stop().await
}
