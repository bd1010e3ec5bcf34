//! Services get the addresses of nodes: `node-ip`, and `auto` without a pool.

use crate::addresses::Addresses;
use crate::test_cluster::SOON;
use anyhow::{Result, ensure};
use fastrak_api::names::{self, kubernetes};
use fastrak_testkit::eventually;
use fastrak_testkit::objects::service;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Service, ServiceAccount};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

#[tokio::test]
async fn without_a_pool_a_service_gets_the_addresses_of_the_nodes_whose_ports_are_free()
-> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    let webhook = addresses.cluster.webhook(&["--addresses", "--balancer=auto"]).await?;
    addresses.create("web").await?;
    addresses.has("web", &["192.0.2.1", "192.0.2.2"]).await?;
    addresses.leases(&["192.0.2.1.tcp.80", "192.0.2.2.tcp.80"]).await?;
    // The second Service with the port gets no node, and its event names the first.
    addresses.create("other").await?;
    let text = "80/TCP on node-a, node-b: Service default/web has it";
    addresses.cluster.has_event("AddressNotAssigned", "other", text).await?;
    webhook.shows(&["fastrak_webhook_services_without_address 1"]).await?;
    // A port that a process uses, and one that is reserved.
    for (name, port) in [("taken", 81), ("ssh", 22)] {
        let object = service(name).load_balancer().port(port).build("default");
        addresses.services().create(&PostParams::default(), &object).await?;
    }
    addresses.has("taken", &["192.0.2.2"]).await?;
    let text = "81/TCP on node-a: a process listens on it";
    addresses.cluster.has_event("AddressInUse", "taken", text).await?;
    let text = "22/TCP on node-a, node-b: it is reserved";
    addresses.cluster.has_event("AddressNotAssigned", "ssh", text).await?;
    // A pod with the host port takes its node from the Service.
    pod_with_host_port(&addresses, 80).await?;
    addresses.has("web", &["192.0.2.1"]).await?;

    // A pool does not change what a Service has; those without an address get one of it.
    addresses.pool("lan", &["192.0.2.40/30"]).await?;
    addresses.has("other", &["192.0.2.40"]).await?;
    addresses.has("ssh", &["192.0.2.41"]).await?;
    addresses.has("web", &["192.0.2.1"]).await?;
    addresses.services().delete("web", &DeleteParams::default()).await?;
    addresses.leases(&["192.0.2.1.tcp.81", "192.0.2.2.tcp.81", "192.0.2.40", "192.0.2.41"]).await?;
    webhook.stop().await
}

/// Runs a pod with a host port on node-b.
async fn pod_with_host_port(addresses: &Addresses, port: u16) -> Result<()> {
    let accounts: Api<ServiceAccount> = addresses.cluster.api("default");
    let metadata = ObjectMeta { name: Some("default".to_owned()), ..ObjectMeta::default() };
    let account = ServiceAccount { metadata, ..ServiceAccount::default() };
    accounts.create(&PostParams::default(), &account).await?;
    let pods: Api<Pod> = addresses.cluster.api("default");
    let ports = json!([{"containerPort": port, "hostPort": port}]);
    let pod = json!({
        "metadata": {"name": "ingress"},
        "spec": {"nodeName": "node-b", "containers": [{"name": "c", "image": "x", "ports": ports}]},
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    Ok(())
}

#[tokio::test]
async fn a_service_without_a_decision_that_opts_out_loses_the_nodes_that_cannot_serve_it()
-> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    let webhook = addresses.cluster.webhook(&["--addresses", "--balancer=auto"]).await?;
    addresses.create("web").await?;
    addresses.has("web", &["192.0.2.1", "192.0.2.2"]).await?;
    let labels = json!({names::ADMISSION: names::ADMISSION_DISABLED});
    addresses.change("web", json!({"metadata": {"labels": labels}})).await?;
    addresses.change("web", json!({"metadata": {"annotations": null}})).await?;
    pod_with_host_port(&addresses, 80).await?;
    addresses.has("web", &["192.0.2.1"]).await?;
    webhook.stop().await
}

/// Changes the versions of two Services.
async fn change_all_the_time(services: Api<Service>) {
    for (number, name) in ["web", "api"].into_iter().cycle().enumerate() {
        let annotations = json!({"example.com/number": number.to_string()});
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        drop(services.patch(name, &PatchParams::default(), &patch).await);
    }
}

#[tokio::test]
async fn a_tenant_who_removes_the_record_of_the_addresses_gets_no_reserved_port() -> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    let webhook = addresses.cluster.webhook(&["--addresses", "--balancer=auto"]).await?;
    for name in ["web", "api"] {
        let port = if name == "web" { 80 } else { 82 };
        let object = service(name).load_balancer().port(port).build("default");
        addresses.services().create(&PostParams::default(), &object).await?;
        addresses.has(name, &["192.0.2.1", "192.0.2.2"]).await?;
    }
    let churn = tokio::spawn(change_all_the_time(addresses.services()));
    let port = |port: u16| json!([{"port": port, "protocol": "TCP"}]);
    addresses.change("web", json!({"metadata": {"managedFields": [{}]}})).await?;
    addresses.change("web", json!({"spec": {"ports": port(22)}})).await?;
    addresses.has("web", &[]).await?;
    let text = "22/TCP on node-a, node-b: it is reserved";
    addresses.cluster.has_event("AddressNotAssigned", "web", text).await?;
    // One who claims that another client has written them.
    let forged = json!([{
        "manager": "other", "operation": "Update", "apiVersion": "v1", "subresource": "status",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {"f:loadBalancer": {"f:ingress": {}}}},
    }]);
    let change = json!({"metadata": {"managedFields": forged}, "spec": {"ports": port(22)}});
    addresses.change("api", change).await?;
    addresses.has("api", &[]).await?;
    addresses.leases(&[]).await?;
    churn.abort();
    webhook.stop().await
}

#[tokio::test]
async fn a_service_that_is_replaced_while_admission_is_away_keeps_its_addresses() -> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    let webhook = addresses.cluster.webhook(&["--addresses", "--balancer=none"]).await?;
    let object = service("web").load_balancer().port(80);
    let chosen = object.annotate(names::BALANCER, "node-ip").build("default");
    addresses.services().create(&PostParams::default(), &chosen).await?;
    addresses.has("web", &["192.0.2.1", "192.0.2.2"]).await?;
    let leases: Api<Lease> = addresses.cluster.api(names::ADDRESS_NAMESPACE);
    let lease = leases.get("192.0.2.1.tcp.80").await?;
    addresses.cluster.unregister().await?;
    addresses.change("web", json!({"metadata": {"annotations": null}})).await?;
    eventually(SOON, "the leader records the decision again", || async {
        let found = addresses.services().get("web").await?;
        let decision = found.annotations().get(names::BALANCER_DECISION);
        ensure!(decision.is_some_and(|decision| decision == "auto"), "{decision:?}");
        Ok(())
    })
    .await?;
    addresses.has("web", &["192.0.2.1", "192.0.2.2"]).await?;
    ensure!(leases.get("192.0.2.1.tcp.80").await?.uid() == lease.uid(), "it was given up");
    webhook.stop().await
}

#[tokio::test]
async fn a_service_that_moves_from_its_nodes_to_a_pool_leaves_no_lease() -> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    let webhook = addresses.cluster.webhook(&["--addresses", "--balancer=node-ip"]).await?;
    addresses.pool("lan", &["192.0.2.40/30"]).await?;
    addresses.create("web").await?;
    addresses.has("web", &["192.0.2.1", "192.0.2.2"]).await?;
    let choice = json!({"metadata": {"annotations": {names::BALANCER: "address-pool"}}});
    addresses.change("web", choice).await?;
    addresses.has("web", &["192.0.2.40"]).await?;
    addresses.leases(&["192.0.2.40"]).await?;
    webhook.stop().await
}

#[tokio::test]
async fn a_service_of_servicelb_gets_its_addresses_again_once_servicelb_is_gone() -> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    let mut object = service("web").load_balancer().port(80).build("default");
    let finalizer = kubernetes::SERVICE_FINALIZER.to_owned();
    object.metadata.finalizers = Some(vec![finalizer]);
    addresses.services().create(&PostParams::default(), &object).await?;
    let status = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}},
    });
    let (by, status) = (PatchParams::apply("k3s"), Patch::Apply(&status));
    addresses.services().patch_status("web", &by, &status).await?;
    let webhook = addresses.cluster.webhook(&["--addresses", "--balancer=auto"]).await?;
    let decision = |service: &Service| service.annotations().get(names::BALANCER_DECISION).cloned();
    eventually(SOON, "the Service is ServiceLB's", || async {
        let decision = decision(&addresses.services().get("web").await?);
        ensure!(decision.as_deref() == Some("skipped:foreign-address"), "{decision:?}");
        Ok(())
    })
    .await?;
    // The commands of docs/addresses.md.
    let removed = [kubernetes::SERVICE_FINALIZER];
    let removal = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": removed}});
    let removal = Patch::Strategic(removal);
    addresses.services().patch("web", &PatchParams::default(), &removal).await?;
    let removal = json!({"status": {"loadBalancer": {"ingress": null}}});
    let removal = Patch::Merge(&removal);
    addresses.services().patch_status("web", &PatchParams::default(), &removal).await?;
    addresses.has("web", &["192.0.2.1", "192.0.2.2"]).await?;
    webhook.stop().await
}
