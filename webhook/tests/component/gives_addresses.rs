//! Services get addresses of AddressPools, and lose them with their mode, type or object.

use crate::addresses::{Addresses, FLAGS};
use crate::agents::set_ready;
use crate::test_cluster::{SOON, TestCluster};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::assignment::heartbeat_name;
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_testkit::objects::service;
use fastrak_testkit::{Options, eventually, or_skip};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

#[tokio::test]
async fn a_service_gets_an_address_and_loses_it_with_its_object() -> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    addresses.pool("lan", &["192.0.2.40/30"]).await?;
    let webhook = addresses.cluster.webhook(&FLAGS).await?;
    let created = addresses.create("web").await?;
    let class = created.spec.as_ref().and_then(|spec| spec.load_balancer_class.clone());
    assert_eq!(class.as_deref(), Some(names::ADDRESS_CLASS));
    addresses.has("web", &["192.0.2.40"]).await?;
    addresses
        .cluster
        .has_event("AddressAssigned", "web", "assigned 192.0.2.40 (node node-")
        .await?;
    addresses.create("other").await?;
    addresses.has("other", &["192.0.2.41"]).await?;
    webhook
        .shows(&[
            "fastrak_webhook_addresses{state=\"accepted\"} 2",
            "fastrak_webhook_services_without_address 0",
        ])
        .await?;
    allocated(&addresses, "lan", 2).await?;

    // Another leader finds everything as it is.
    webhook.kill().await;
    let webhook = addresses.cluster.webhook(&FLAGS).await?;
    addresses.services().delete("web", &DeleteParams::default()).await?;
    addresses.leases(&["192.0.2.41"]).await?;
    addresses.has("other", &["192.0.2.41"]).await?;
    allocated(&addresses, "lan", 1).await?;
    webhook.stop().await
}

#[tokio::test]
async fn a_published_address_that_its_only_node_refuses_is_proposed_to_it_again() -> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    addresses.pool("lan", &["192.0.2.40/30"]).await?;
    let webhook = addresses.cluster.webhook(&FLAGS).await?;
    addresses.pods_on("web", "node-b").await?;
    let object = service("web").load_balancer().port(80).local().build("default");
    addresses.services().create(&PostParams::default(), &object).await?;
    addresses.has("web", &["192.0.2.40"]).await?;

    let leases: Api<Lease> = addresses.cluster.api(names::ADDRESS_NAMESPACE);
    let refused = json!({
        "metadata": {"annotations": {
            names::ADDRESS_STATE: "refused", names::ADDRESS_CONFLICT: "02:00:00:00:00:99",
        }},
        "spec": {"acquireTime": "2020-01-01T00:00:00.000000Z"},
    });
    let params = PatchParams::default();
    let before = leases.patch("192.0.2.40", &params, &Patch::Merge(refused)).await?;
    eventually(SOON, "the node accepts the address", || async {
        let lease = leases.get("192.0.2.40").await?;
        let state = lease.annotations().get(names::ADDRESS_STATE).cloned();
        ensure!(state.as_deref() == Some("accepted"), "{state:?}");
        let (before, spec) = (before.spec.clone(), lease.spec.unwrap_or_default());
        ensure!(spec.holder_identity.as_deref() == Some("node-b"), "{spec:?}");
        ensure!(before.and_then(|spec| spec.acquire_time) != spec.acquire_time, "{spec:?}");
        Ok(())
    })
    .await?;
    addresses.has("web", &["192.0.2.40"]).await?;
    webhook.stop().await
}

#[tokio::test]
async fn only_heartbeats_of_removed_nodes_are_deleted() -> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    let leases: Api<Lease> = addresses.cluster.api(names::ADDRESS_NAMESPACE);
    let of = |node: &str| heartbeat_name(&NodeName::parse(node).expect("a name"));
    let gone: Vec<_> = ["node-x", "node-y"].map(of).into();
    let kept = vec!["another".to_owned(), of("node-a")];
    for name in gone.iter().chain(&kept) {
        let lease = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        leases.create(&PostParams::default(), &lease).await?;
    }
    let webhook = addresses.cluster.webhook(&FLAGS).await?;
    eventually(SOON, "two heartbeats are deleted", || async {
        let left = leases.list(&ListParams::default()).await?;
        let left: Vec<_> = left.iter().map(ResourceExt::name_any).collect();
        ensure!(left == kept, "{left:?}");
        Ok(())
    })
    .await?;
    webhook.stop().await
}

#[tokio::test]
async fn the_address_of_a_local_service_follows_its_pods() -> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    addresses.pool("lan", &["192.0.2.40/30"]).await?;
    let webhook = addresses.cluster.webhook(&FLAGS).await?;
    addresses.pods_on("web", "node-b").await?;
    for (name, balancer) in [("web", "address-pool"), ("nodes", "node-ip")] {
        let object = service(name).load_balancer().port(80).local();
        let object = object.annotate(names::BALANCER, balancer).build("default");
        addresses.services().create(&PostParams::default(), &object).await?;
    }
    addresses.has("web", &["192.0.2.40"]).await?;
    addresses.held_by("192.0.2.40", "node-b").await?;
    addresses.has("nodes", &[]).await?;

    addresses.pods_on("web", "node-a").await?;
    addresses.held_by("192.0.2.40", "node-a").await?;
    addresses.has("web", &["192.0.2.40"]).await?;
    for (node, address) in [("node-b", "192.0.2.2"), ("node-a", "192.0.2.1")] {
        addresses.pods_on("nodes", node).await?;
        addresses.has("nodes", &[address]).await?;
        addresses.leases(&[&format!("{address}.tcp.80"), "192.0.2.40"]).await?;
    }
    addresses.pods_on("web", "node-c").await?;
    let text = "node node-a answers for 192.0.2.40 and runs no ready pod of the Service";
    addresses.cluster.has_event("AddressUnreachable", "web", text).await?;
    webhook.stop().await
}

async fn allocated(addresses: &Addresses, pool: &str, count: u64) -> Result<()> {
    eventually(SOON, format!("{count} addresses of {pool} are allocated"), || async {
        let status = addresses.pools().get(pool).await?.status.context("no status")?;
        ensure!(status.allocated == count && status.total == 4, "{status:?}");
        ensure!(status.conditions[0].status == "True", "{status:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_service_that_stops_asking_releases_its_address() -> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    addresses.pool("lan", &["192.0.2.40/30"]).await?;
    let webhook = addresses.cluster.webhook(&FLAGS).await?;
    for (name, address) in
        [("inner", "192.0.2.40"), ("none", "192.0.2.41"), ("moves", "192.0.2.42")]
    {
        addresses.create(name).await?;
        addresses.has(name, &[address]).await?;
    }
    addresses.change("inner", json!({"spec": {"type": "ClusterIP"}})).await?;
    let annotations = |value: &str| json!({"metadata": {"annotations": {names::BALANCER: value}}});
    addresses.change("none", annotations("none")).await?;
    let request = json!({"metadata": {"annotations": {names::LOAD_BALANCER_IPS: "192.0.2.43"}}});
    addresses.change("moves", request).await?;
    addresses.has("inner", &[]).await?;
    addresses.has("none", &[]).await?;
    addresses.has("moves", &["192.0.2.43"]).await?;
    addresses.leases(&["192.0.2.43"]).await?;
    // The class of the Service is still there, and the mode is chosen again.
    addresses.change("none", annotations("address-pool")).await?;
    addresses.has("none", &["192.0.2.40"]).await?;
    webhook.stop().await
}

#[tokio::test]
async fn an_address_that_another_station_uses_is_reported_and_replaced() -> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    addresses.pool("lan", &["192.0.2.66-192.0.2.67"]).await?;
    let webhook = addresses.cluster.webhook(&FLAGS).await?;
    addresses.create("web").await?;
    addresses.has("web", &["192.0.2.67"]).await?;
    let says = "a device with MAC address 02:00:00:00:00:99 uses address 192.0.2.66";
    addresses.cluster.has_event("AddressInUse", "web", says).await?;
    // The refused address stays assigned, so nobody else gets it.
    addresses.leases(&["192.0.2.66", "192.0.2.67"]).await?;
    webhook.stop().await
}

#[tokio::test]
async fn a_pool_that_cannot_be_used_says_why() -> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    addresses.pool("lan", &["192.0.2.0/28"]).await?;
    let webhook = addresses.cluster.webhook(&FLAGS).await?;
    addresses.create("web").await?;
    let says = "AddressPool lan cannot be used: contains 192.0.2.1, an address of node node-a";
    addresses.cluster.has_event("AddressNotAssigned", "web", says).await?;
    eventually(SOON, "the pool says why", || async {
        let status = addresses.pools().get("lan").await?.status.context("no status")?;
        let condition = status.conditions.first().context("no condition")?;
        ensure!(condition.status == "False", "{condition:?}");
        ensure!(condition.message.contains("an address of node node-a"), "{condition:?}");
        Ok(())
    })
    .await?;
    // The network of cluster IPs is known, too.
    let spec = addresses.services().get("kubernetes").await?.spec.unwrap_or_default();
    addresses.pool("lan", &[&spec.cluster_ip.context("it has a cluster IP")?]).await?;
    eventually(SOON, "the pool overlaps the network of Services", || async {
        let status = addresses.pools().get("lan").await?.status.context("no status")?;
        ensure!(status.conditions[0].message.contains("network of cluster IPs"), "{status:?}");
        Ok(())
    })
    .await?;
    addresses.pool("lan", &["192.0.2.40"]).await?;
    addresses.has("web", &["192.0.2.40"]).await?;
    for wrong in ["web", "192.0.2.1-", "192.0.2.1/24", "192.0.2.1-192.0.2.2-192.0.2.3"] {
        let error = addresses.pool("wrong", &[wrong]).await.unwrap_err().to_string();
        assert!(error.contains("must be"), "{wrong}: {error}");
    }
    webhook.stop().await
}

#[tokio::test]
async fn an_address_moves_from_nodes_whose_speakers_are_down() -> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    addresses.pool("lan", &["192.0.2.40"]).await?;
    set_ready(&addresses.cluster, names::SPEAKER, "node-b", false).await?;
    let webhook = addresses.cluster.webhook(&[&FLAGS[..], &["--agent-grace=0"]].concat()).await?;
    addresses.create("web").await?;
    addresses.has("web", &["192.0.2.40"]).await?;
    addresses.held_by("192.0.2.40", "node-a").await?;
    set_ready(&addresses.cluster, names::SPEAKER, "node-a", false).await?;
    set_ready(&addresses.cluster, names::SPEAKER, "node-b", true).await?;
    addresses.held_by("192.0.2.40", "node-b").await?;
    addresses.has("web", &["192.0.2.40"]).await?;
    webhook.stop().await
}

#[tokio::test]
async fn without_the_component_the_mode_is_refused_with_a_warning() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let webhook = cluster.webhook(&[]).await?;
    let services: Api<Service> = cluster.api("default");
    let object = service("web").load_balancer().port(80).annotate(names::BALANCER, "address-pool");
    let created = services.create(&PostParams::default(), &object.build("default")).await?;
    assert_eq!(created.annotations()[names::BALANCER_DECISION], "skipped:unsupported-mode");
    assert_eq!(created.spec.and_then(|spec| spec.load_balancer_class), None);
    webhook.stop().await
}
