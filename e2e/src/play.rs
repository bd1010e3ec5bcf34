//! The play behind `make demo`: what a user does on the first day, with plain kubectl, each step
//! checked.
//!
//! It knows nothing of how the cluster was made. Whatever is not as a user would expect it is an
//! error that says what was there instead.

pub mod pools;
mod stage;

pub use self::stage::Stage;

use anyhow::{Context, Result, ensure};
use fastrak_api::names;

/// Plays all of it and leaves the cluster as it was.
pub async fn perform(stage: &Stage<'_>) -> Result<()> {
    a_claim_and_nothing_else(stage).await?;
    a_deployment_with_a_claim(stage).await?;
    a_stateful_set(stage).await?;
    a_service(stage).await?;
    stage.show("what the user can see", &["get", "pvc,pv"]).await?;
    stage
        .show(
            "and read",
            &["get", "events", "--field-selector", "involvedObject.kind=PersistentVolumeClaim"],
        )
        .await?;
    everything_goes(stage).await
}

async fn a_claim_and_nothing_else(stage: &Stage<'_>) -> Result<()> {
    stage.heading("A claim that names no class and no node");
    stage.apply("claim.yaml").await?;
    let class = stage.read("pvc", "notes", ".spec.storageClassName").await?;
    ensure!(class == names::CLASS_DEFAULT, "the claim got the class {class:?}");
    if stage.has_one_node() {
        stage.say("There is one node, so there is nothing to wait for:");
        stage.until("the claim is Bound", "pvc", "notes", (".status.phase", "Bound")).await?;
    } else {
        stage.say(
            "There are several nodes, so it waits until the scheduler sees a pod that uses it:",
        );
    }
    stage.show_only(&["get", "pvc", "notes"]).await
}

async fn a_deployment_with_a_claim(stage: &Stage<'_>) -> Result<()> {
    stage.heading("A Deployment with a claim; its pod runs as an ordinary user and writes a file");
    stage.apply("deployment.yaml").await?;
    if !stage.runs_pods() {
        return stage.say_skipped("nothing runs pods here, so no pod can write");
    }
    stage.rollout("deployment/web").await?;
    stage.show_only(&["get", "pods", "-o", "wide", "-l", "app=web"]).await?;
    let node = stage.read_selected("pod", "app=web", ".spec.nodeName").await?;
    let pin = stage.read("pvc", "web-data", ".metadata.annotations.fastrak\\.io/node").await?;
    ensure!(pin == node, "the pod runs on {node:?}, its claim is pinned to {pin:?}");
    let uid = stage.read("pvc", "web-data", ".metadata.uid").await?;
    let text = pools::read(stage.pool_of(&node)?, &uid, "hello")?;
    ensure!(text == format!("hello from {node}\n"), "the pod's file reads {text:?}");
    stage.say(&format!("In the pool of {node}, where the pod runs: {uid}/data/hello: {text:?}"));
    Ok(())
}

async fn a_stateful_set(stage: &Stage<'_>) -> Result<()> {
    stage.heading("A StatefulSet of three replicas with two volumes each");
    stage.apply("statefulset.yaml").await?;
    if !stage.runs_pods() {
        return stage.say_skipped("nothing runs pods here, so the replicas wait");
    }
    stage.rollout("statefulset/db").await?;
    for replica in ["db-0", "db-1", "db-2"] {
        let node = stage.read("pod", replica, ".spec.nodeName").await?;
        for template in ["data", "log"] {
            let claim = format!("{template}-{replica}");
            let uid = stage.read("pvc", &claim, ".metadata.uid").await?;
            let owner = pools::read(stage.pool_of(&node)?, &uid, "owner")?;
            ensure!(owner.trim() == replica, "{claim} holds the file of {owner:?}");
        }
    }
    stage.say("Each replica has found its own two volumes on the node it runs on:");
    stage.show_only(&["get", "pods", "-o", "wide", "-l", "app=db"]).await
}

async fn a_service(stage: &Stage<'_>) -> Result<()> {
    stage.heading("A Service of type LoadBalancer");
    stage.apply("service.yaml").await?;
    let manage = ".metadata.annotations.operator\\.inlets\\.dev/manage";
    let manage = stage.read("svc", "web", manage).await?;
    ensure!(manage == "1", "the inlets operator is told {manage:?}");
    let decision = stage.read("svc", "web", ".metadata.annotations.fastrak\\.io/balancer-decision");
    let decision = decision.await?;
    ensure!(decision == "inlets", "the decision that is recorded reads {decision:?}");
    stage.say("It is now the inlets operator's, which gives it a machine with a public address:");
    stage.show_only(&["get", "svc", "web", "-o", "jsonpath={.metadata.annotations}"]).await
}

async fn everything_goes(stage: &Stage<'_>) -> Result<()> {
    stage.heading("kubectl delete, and nothing is left");
    for file in ["service.yaml", "statefulset.yaml", "deployment.yaml", "claim.yaml"] {
        stage.delete(file).await?;
    }
    // Where no pod runs, the set's own claims have no pod to go with and are taken by name.
    stage.kubectl(&["delete", "pvc", "--all", "--wait=false"]).await?;
    stage.until_none("no claim is left", &["get", "pvc", "-o", "name"]).await?;
    stage.until_none("no volume is left", &["get", "pv", "-o", "name"]).await?;
    stage.until_pools_are_empty().await.context("look for what is left in the pools")?;
    stage.show_only(&["get", "pvc,pv,svc,pods"]).await
}
