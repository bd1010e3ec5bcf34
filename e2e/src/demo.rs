//! The steps of `make demo`: what a user does on the first day, with plain kubectl. Each step is
//! checked, and its error says what was there instead of the expected result.

pub mod pools;
mod steps;

pub use self::steps::Demo;

use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use std::net::IpAddr;

/// Runs all steps and removes their objects.
pub async fn run(demo: &Demo<'_>) -> Result<()> {
    a_claim_and_nothing_else(demo).await?;
    a_deployment_with_a_claim(demo).await?;
    a_stateful_set(demo).await?;
    a_service(demo).await?;
    demo.show("what the user can see", &["get", "pvc,pv"]).await?;
    demo.show(
        "and read",
        &["get", "events", "--field-selector", "involvedObject.kind=PersistentVolumeClaim"],
    )
    .await?;
    everything_goes(demo).await
}

async fn a_claim_and_nothing_else(demo: &Demo<'_>) -> Result<()> {
    demo.heading("A claim that names no class and no node");
    demo.apply("claim.yaml").await?;
    let class = demo.read("pvc", "notes", ".spec.storageClassName").await?;
    ensure!(class == names::CLASS_DEFAULT, "the claim got the class {class:?}");
    if demo.has_one_node() {
        demo.say("There is one node, so there is nothing to wait for:");
        demo.until("the claim is Bound", "pvc", "notes", (".status.phase", "Bound")).await?;
    } else {
        demo.say(
            "There are several nodes, so it waits until the scheduler sees a pod that uses it:",
        );
    }
    demo.show_only(&["get", "pvc", "notes"]).await
}

async fn a_deployment_with_a_claim(demo: &Demo<'_>) -> Result<()> {
    demo.heading("A Deployment with a claim; its pod runs as an ordinary user and writes a file");
    demo.apply("deployment.yaml").await?;
    if !demo.runs_pods() {
        return demo.say_skipped("nothing runs pods here, so no pod can write");
    }
    demo.rollout("deployment/web").await?;
    demo.show_only(&["get", "pods", "-o", "wide", "-l", "app=web"]).await?;
    let node = demo.read_selected("pod", "app=web", ".spec.nodeName").await?;
    let pin = demo.read("pvc", "web-data", ".metadata.annotations.fastrak\\.io/node").await?;
    ensure!(pin == node, "the pod runs on {node:?}, its claim is pinned to {pin:?}");
    let uid = demo.read("pvc", "web-data", ".metadata.uid").await?;
    let text = format!("hello from {node}\n");
    demo.until_written(&node, &uid, ("hello", &text)).await?;
    demo.say(&format!("In the pool of {node}, where the pod runs: {uid}/data/hello: {text:?}"));
    Ok(())
}

async fn a_stateful_set(demo: &Demo<'_>) -> Result<()> {
    demo.heading("A StatefulSet of three replicas with two volumes each");
    demo.apply("statefulset.yaml").await?;
    if !demo.runs_pods() {
        return demo.say_skipped("nothing runs pods here, so the replicas wait");
    }
    demo.rollout("statefulset/db").await?;
    for replica in ["db-0", "db-1", "db-2"] {
        let node = demo.read("pod", replica, ".spec.nodeName").await?;
        for template in ["data", "log"] {
            let claim = format!("{template}-{replica}");
            let uid = demo.read("pvc", &claim, ".metadata.uid").await?;
            demo.until_written(&node, &uid, ("owner", &format!("{replica}\n"))).await?;
        }
    }
    demo.say("Each replica has found its own two volumes on the node it runs on:");
    demo.show_only(&["get", "pods", "-o", "wide", "-l", "app=db"]).await
}

async fn a_service(demo: &Demo<'_>) -> Result<()> {
    if demo.outsider.is_some() {
        a_service_on_the_nodes(demo).await?;
        return a_service_with_an_address(demo).await;
    }
    demo.heading("A Service of type LoadBalancer");
    demo.say_skipped("no real nodes, so no speaker can answer for an address of the network")?;
    demo.apply("service.yaml").await?;
    let manage = ".metadata.annotations.operator\\.inlets\\.dev/manage";
    let manage = demo.read("svc", "web", manage).await?;
    ensure!(manage == "1", "the annotation for the inlets operator is {manage:?}");
    let decision = demo.read("svc", "web", ".metadata.annotations.fastrak\\.io/balancer-decision");
    let decision = decision.await?;
    ensure!(decision == "inlets", "the decision that is recorded reads {decision:?}");
    demo.say("It is now the inlets operator's, which gives it a machine with a public address:");
    demo.show_only(&["get", "svc", "web", "-o", "jsonpath={.metadata.annotations}"]).await
}

async fn a_service_on_the_nodes(demo: &Demo<'_>) -> Result<()> {
    demo.heading(
        "A Service of type LoadBalancer and nothing else: it gets the nodes' own addresses",
    );
    demo.apply("service-on-nodes.yaml").await?;
    let addresses = demo.until_addresses("front", demo.pools.len()).await?;
    demo.show_only(&["get", "svc", "front"]).await?;
    demo.say("A host of the same network that is no node asks the Service:");
    for address in addresses {
        demo.get((address, 80).into(), "/hello", "hello from").await?;
    }
    Ok(())
}

async fn a_service_with_an_address(demo: &Demo<'_>) -> Result<()> {
    demo.heading("A Service of type LoadBalancer, and a pool of free addresses for it");
    demo.apply("addresspool.yaml").await?;
    demo.apply("service.yaml").await?;
    let (path, address) = (".status.loadBalancer.ingress[0].ip", "10.214.0.208");
    demo.until("the Service has the first address", "svc", "web", (path, address)).await?;
    demo.show_only(&["get", "svc", "web"]).await?;
    demo.show_only(&["get", "addresspools"]).await?;
    demo.say("A host of the same network that is no node asks the Service:");
    demo.get((address.parse::<IpAddr>()?, 80).into(), "/hello", "hello from").await
}

async fn everything_goes(demo: &Demo<'_>) -> Result<()> {
    demo.heading("kubectl delete, and nothing is left");
    for file in ["service.yaml", "statefulset.yaml", "deployment.yaml", "claim.yaml"] {
        demo.delete(file).await?;
    }
    if demo.outsider.is_some() {
        demo.delete("service-on-nodes.yaml").await?;
        demo.delete("addresspool.yaml").await?;
        for label in [names::ADDRESS, names::FRONTEND] {
            let leases =
                ["get", "leases", "-n", names::ADDRESS_NAMESPACE, "-o", "name", "-l", label];
            demo.until_none("no address is assigned", &leases).await?;
        }
    }
    // The StatefulSet's claims stay when it is deleted.
    demo.kubectl(&["delete", "pvc", "--all", "--wait=false"]).await?;
    demo.until_none("no claim is left", &["get", "pvc", "-o", "name"]).await?;
    demo.until_none("no volume is left", &["get", "pv", "-o", "name"]).await?;
    demo.until_pools_are_empty().await.context("look for what is left in the pools")?;
    demo.show_only(&["get", "pvc,pv,svc,pods"]).await
}
