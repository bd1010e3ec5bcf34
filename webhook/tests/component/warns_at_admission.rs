//! A claim that cannot be served causes a warning when it is created, and not again.

use crate::agents::runs_agent;
use crate::test_cluster::TestCluster;
use anyhow::{Result, ensure};
use fastrak_api::names::{self, BALANCER, NODE};
use fastrak_testkit::objects::{claim, service, storage_class};
use fastrak_testkit::{Options, eventually, fake_node, or_skip};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Applies an object with kubectl. Returns the printed warnings.
async fn apply(cluster: &TestCluster, object: &impl serde::Serialize) -> Result<String> {
    let text = serde_json::to_string(object)?;
    let command = cluster.plane.kubectl_command().args(["apply", "-f", "-"]).stdin(text);
    Ok(command.run().await?.stderr)
}

#[tokio::test]
async fn a_claim_that_cannot_be_served_causes_a_warning_once() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let classes: Api<StorageClass> = Api::all(cluster.client.clone());
    let odd = storage_class("odd", names::PROVISIONER).parameter("qouta", "off").immediate();
    classes.create(&PostParams::default(), &odd.build()).await?;
    for name in ["node-a", "node-b"] {
        fake_node(&cluster.client, name).await?;
    }
    runs_agent(&cluster, "node-a").await?;
    let webhook = cluster.webhook(&["--repair-delay=3600", "--agent-grace=0"]).await?;
    let both = claim("both").class("odd").access("ReadWriteMany");
    let bare = claim("bare").annotate(NODE, "node-b");
    for (claim, warnings) in [
        (claim("many").access("ReadWriteMany"), vec!["access mode ReadWriteMany is not served"]),
        (claim("raw").block(), vec!["volumeMode Block is not served"]),
        (both, vec!["access mode ReadWriteMany", "unknown parameter \"qouta\""]),
        (bare, vec!["node node-b has no Ready agent now; the claim waits until it has"]),
    ] {
        let printed = apply(&cluster, &claim.clone().build("default")).await?;
        for warning in warnings {
            ensure!(printed.contains(warning), "{warning}: {printed}");
        }
        // kubectl itself warns of an object that it did not create.
        let printed = apply(&cluster, &claim.label("other", "change").build("default")).await?;
        ensure!(!printed.contains("fastrak:"), "{printed}");
    }
    webhook.stop().await
}

/// Defines the Tunnels of inlets-operator as its installation does.
fn tunnels() -> serde_json::Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": names::inlets::TUNNELS},
        "spec": {
            "group": "operator.inlets.dev",
            "scope": "Namespaced",
            "names": {"plural": "tunnels", "singular": "tunnel", "kind": "Tunnel"},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    })
}

#[tokio::test]
async fn a_service_with_the_default_inlets_causes_a_warning_without_the_operator() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let webhook = cluster.webhook(&["--repair-delay=3600"]).await?;
    let absent = "fastrak: no inlets-operator (0.17 or later) is installed; install it or write";
    let printed_for = |name: String, choice: Option<&'static str>| {
        let web = service(&name).load_balancer().port(80);
        let web = choice.map_or(web.clone(), |choice| web.annotate(BALANCER, choice));
        let cluster = &cluster;
        async move { apply(cluster, &web.build("default")).await }
    };
    let made = AtomicU32::new(0);
    // Readiness does not wait for this watch.
    let soon = Duration::from_secs(30);
    eventually(soon, "the webhook notices that there is no operator", || async {
        let name = format!("a{}", made.fetch_add(1, Ordering::Relaxed));
        let printed = printed_for(name, None).await?;
        ensure!(printed.contains(absent), "{printed}");
        Ok(())
    })
    .await?;
    for (choice, done) in [("inlets", "delegated it"), ("none", "left it without an address")] {
        let printed = printed_for(format!("asks-{choice}"), Some(choice)).await?;
        ensure!(printed.contains(done) && !printed.contains(absent), "{printed}");
    }
    apply(&cluster, &tunnels()).await?;
    eventually(soon, "the webhook notices the operator", || async {
        let name = format!("b{}", made.fetch_add(1, Ordering::Relaxed));
        let printed = printed_for(name, None).await?;
        ensure!(printed.contains("delegated it to inlets-operator"), "{printed}");
        ensure!(!printed.contains(absent), "{printed}");
        Ok(())
    })
    .await?;
    let tunnels = format!("crd/{}", names::inlets::TUNNELS);
    cluster.plane.kubectl(&["delete", &tunnels]).await?;
    eventually(soon, "the webhook notices that the operator is gone", || async {
        let name = format!("c{}", made.fetch_add(1, Ordering::Relaxed));
        let printed = printed_for(name, None).await?;
        ensure!(printed.contains(absent), "{printed}");
        Ok(())
    })
    .await?;
    webhook.stop().await
}
