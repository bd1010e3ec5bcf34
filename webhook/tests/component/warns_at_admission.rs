//! What no volume of fastrak's can be is told by a warning when the claim is made, and not again.

use crate::agents::runs_agent;
use crate::rig::Rig;
use anyhow::{Result, ensure};
use fastrak_api::names::{self, NODE};
use fastrak_testkit::assets::Assets;
use fastrak_testkit::objects::{claim, storage_class};
use fastrak_testkit::{Options, fake_node, or_skip};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::PostParams;

/// Applies a claim with kubectl. Returns what it prints beside the result.
async fn apply(rig: &Rig, claim: &PersistentVolumeClaim) -> Result<String> {
    let text = serde_json::to_string(claim)?;
    let command = rig.plane.kubectl_command().args(["apply", "-f", "-"]).stdin(text);
    Ok(command.run().await?.stderr)
}

#[tokio::test]
async fn what_cannot_be_served_is_told_to_whoever_applies_the_claim_once() -> Result<()> {
    or_skip!(Assets::find().await, Ok(()));
    let rig = Rig::start(Options::api_only()).await?;
    let classes: Api<StorageClass> = Api::all(rig.client.clone());
    let odd = storage_class("odd", names::PROVISIONER).parameter("qouta", "off").immediate();
    classes.create(&PostParams::default(), &odd.build()).await?;
    for name in ["node-a", "node-b"] {
        fake_node(&rig.client, name).await?;
    }
    runs_agent(&rig, "node-a").await?;
    let webhook = rig.webhook(&["--repair-delay=3600", "--agent-grace=0"]).await?;
    let both = claim("both").class("odd").access("ReadWriteMany");
    let bare = claim("bare").annotate(NODE, "node-b");
    for (claim, warnings) in [
        (claim("many").access("ReadWriteMany"), vec!["access mode ReadWriteMany is not served"]),
        (claim("raw").block(), vec!["volumeMode Block is not served"]),
        (both, vec!["access mode ReadWriteMany", "unknown parameter \"qouta\""]),
        (bare, vec!["node node-b has no Ready agent now; the claim waits until it has"]),
    ] {
        let told = apply(&rig, &claim.clone().build("default")).await?;
        for warning in warnings {
            ensure!(told.contains(warning), "{warning}: {told}");
        }
        // kubectl has its own word about an object that it did not create.
        let told = apply(&rig, &claim.label("other", "change").build("default")).await?;
        ensure!(!told.contains("fastrak:"), "{told}");
    }
    webhook.stop().await
}
