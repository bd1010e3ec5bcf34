//! Services get addresses of AddressPools, and lose them with their mode, type or object. The test
//! answers for the speakers: it accepts or refuses what the leader proposes.

use crate::agents::{runs, set_ready};
use crate::test_cluster::{SOON, TestCluster};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::address_pool::AddressPool;
use fastrak_api::names;
use fastrak_testkit::objects::{node, service};
use fastrak_testkit::{Options, apply_manifests, eventually, fake_node_from, or_skip};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Service, ServiceAccount};
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinHandle;

const FLAGS: [&str; 2] = ["--addresses", "--balancer=address-pool"];

/// A cluster with the component and two nodes that run speakers.
struct Addresses {
    cluster: TestCluster,
    speakers: JoinHandle<()>,
}

impl Drop for Addresses {
    fn drop(&mut self) {
        self.speakers.abort();
    }
}

impl Addresses {
    async fn start() -> Result<Option<Self>> {
        let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(None));
        let component = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/addresses");
        for file in ["namespace.yaml", "crd.yaml", "webhook.yaml"] {
            apply_manifests(&cluster.plane, &component.join(file)).await?;
        }
        for (name, address) in [("node-a", "192.0.2.1"), ("node-b", "192.0.2.2")] {
            fake_node_from(&cluster.client, node(name).address("InternalIP", address)).await?;
            runs(&cluster, names::SPEAKER, name).await?;
        }
        let leases: Api<Lease> = cluster.api(names::ADDRESS_NAMESPACE);
        let speakers = tokio::spawn(async move {
            loop {
                drop(answer(&leases).await);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Ok(Some(Self { cluster, speakers }))
    }

    async fn pool(&self, name: &str, addresses: &[&str]) -> Result<()> {
        let pool = json!({
            "apiVersion": names::ADDRESS_POOL_VERSION, "kind": "AddressPool",
            "metadata": {"name": name}, "spec": {"addresses": addresses},
        });
        self.pools().patch(name, &PatchParams::apply("test"), &Patch::Apply(&pool)).await?;
        Ok(())
    }

    fn pools(&self) -> Api<AddressPool> {
        Api::all(self.cluster.client.clone())
    }

    fn services(&self) -> Api<Service> {
        self.cluster.api("default")
    }

    async fn create(&self, name: &str) -> Result<Service> {
        let object = service(name).load_balancer().port(80).build("default");
        Ok(self.services().create(&PostParams::default(), &object).await?)
    }

    async fn change(&self, name: &str, patch: Value) -> Result<()> {
        let params = PatchParams::default();
        self.services().patch(name, &params, &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Waits until the Service has exactly these addresses.
    async fn has(&self, name: &str, addresses: &[&str]) -> Result<()> {
        eventually(SOON, format!("{name} has {addresses:?}"), || async {
            let service = self.services().get(name).await?;
            let ingress = ingress(&service);
            let has: Vec<_> = ingress.iter().filter_map(|one| one["ip"].as_str()).collect();
            ensure!(has == addresses, "{ingress:?}");
            ensure!(ingress.iter().all(|one| one["ipMode"] == "VIP"), "{ingress:?}");
            Ok(())
        })
        .await
    }

    /// Waits until the node holds the address.
    async fn held_by(&self, address: &str, node: &str) -> Result<()> {
        let leases: Api<Lease> = self.cluster.api(names::ADDRESS_NAMESPACE);
        eventually(SOON, format!("{node} holds {address}"), || async {
            let spec = leases.get(address).await?.spec.unwrap_or_default();
            ensure!(spec.holder_identity.as_deref() == Some(node), "{spec:?}");
            Ok(())
        })
        .await
    }

    /// Waits until exactly these Leases exist.
    async fn leases(&self, names: &[&str]) -> Result<()> {
        let leases: Api<Lease> = self.cluster.api(names::ADDRESS_NAMESPACE);
        eventually(SOON, format!("the Leases are {names:?}"), || async {
            let all = leases.list(&ListParams::default()).await?.items;
            let have: Vec<_> = all.iter().map(Lease::name_any).collect();
            ensure!(have == names, "{have:?}");
            Ok(())
        })
        .await
    }
}

/// Accepts what is proposed. 192.0.2.66 is in use by a station, and port 81 of node-a by a process.
async fn answer(leases: &Api<Lease>) -> Result<()> {
    for lease in leases.list(&ListParams::default()).await?.items {
        if lease.annotations().get(names::ADDRESS_STATE).map(String::as_str) != Some("proposed") {
            continue;
        }
        let mut annotations = json!({ names::ADDRESS_STATE: "accepted" });
        if lease.name_any() == "192.0.2.66" {
            annotations = json!({
                names::ADDRESS_STATE: "refused", names::ADDRESS_CONFLICT: "02:00:00:00:00:99",
            });
        }
        if lease.name_any() == "192.0.2.1.tcp.81" {
            annotations = json!({
                names::ADDRESS_STATE: "refused", names::FRONTEND_CONFLICT: "listening",
            });
        }
        let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
        leases.patch(&lease.name_any(), &PatchParams::default(), &patch).await?;
    }
    Ok(())
}

fn ingress(service: &Service) -> Vec<Value> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten();
    ingress.map(|one| json!(one)).collect()
}

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
    let accounts: Api<ServiceAccount> = addresses.cluster.api("default");
    let metadata = ObjectMeta { name: Some("default".to_owned()), ..ObjectMeta::default() };
    let account = ServiceAccount { metadata, ..ServiceAccount::default() };
    accounts.create(&PostParams::default(), &account).await?;
    let pods: Api<Pod> = addresses.cluster.api("default");
    let host =
        json!([{"name": "c", "image": "x", "ports": [{"containerPort": 80, "hostPort": 80}]}]);
    let pod = json!({
        "metadata": {"name": "ingress"}, "spec": {"nodeName": "node-b", "containers": host},
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
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
