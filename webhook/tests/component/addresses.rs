//! A cluster with `deploy/addresses` and two nodes. The tests answer for the speakers: they accept or
//! refuse what the leader proposes.

use crate::agents::runs;
use crate::test_cluster::{SOON, TestCluster};
use anyhow::{Result, ensure};
use fastrak_api::address_pool::AddressPool;
use fastrak_api::names::{self, kubernetes};
use fastrak_testkit::objects::{node, service};
use fastrak_testkit::{Options, apply_manifests, eventually, fake_node_from, or_skip};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinHandle;

/// The flags of a webhook that gives addresses of pools.
pub(crate) const FLAGS: [&str; 2] = ["--addresses", "--balancer=address-pool"];

/// A cluster with the component and two nodes that run speakers.
pub(crate) struct Addresses {
    pub(crate) cluster: TestCluster,
    speakers: JoinHandle<()>,
}

impl Drop for Addresses {
    fn drop(&mut self) {
        self.speakers.abort();
    }
}

impl Addresses {
    pub(crate) async fn start() -> Result<Option<Self>> {
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

    pub(crate) async fn pool(&self, name: &str, addresses: &[&str]) -> Result<()> {
        let pool = json!({
            "apiVersion": names::ADDRESS_POOL_VERSION, "kind": "AddressPool",
            "metadata": {"name": name}, "spec": {"addresses": addresses},
        });
        self.pools().patch(name, &PatchParams::apply("test"), &Patch::Apply(&pool)).await?;
        Ok(())
    }

    /// Runs the only ready pod of the Service on a node.
    pub(crate) async fn pods_on(&self, service: &str, node: &str) -> Result<()> {
        let slices: Api<EndpointSlice> = self.cluster.api("default");
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": service, "labels": {kubernetes::SERVICE_NAME: service}},
            "addressType": "IPv4", "ports": [],
            "endpoints": [{"addresses": ["10.9.0.1"], "nodeName": node}],
        });
        let params = PatchParams::apply("test").force();
        slices.patch(service, &params, &Patch::Apply(&slice)).await?;
        Ok(())
    }

    pub(crate) fn pools(&self) -> Api<AddressPool> {
        Api::all(self.cluster.client.clone())
    }

    pub(crate) fn services(&self) -> Api<Service> {
        self.cluster.api("default")
    }

    pub(crate) async fn create(&self, name: &str) -> Result<Service> {
        let object = service(name).load_balancer().port(80).build("default");
        Ok(self.services().create(&PostParams::default(), &object).await?)
    }

    pub(crate) async fn change(&self, name: &str, patch: Value) -> Result<()> {
        let params = PatchParams::default();
        self.services().patch(name, &params, &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Waits until the Service has exactly these addresses.
    pub(crate) async fn has(&self, name: &str, addresses: &[&str]) -> Result<()> {
        self.has_within(SOON, name, addresses).await
    }

    pub(crate) async fn has_within(
        &self,
        deadline: Duration,
        name: &str,
        addresses: &[&str],
    ) -> Result<()> {
        eventually(deadline, format!("{name} has {addresses:?}"), || async {
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
    pub(crate) async fn held_by(&self, address: &str, node: &str) -> Result<()> {
        let leases: Api<Lease> = self.cluster.api(names::ADDRESS_NAMESPACE);
        eventually(SOON, format!("{node} holds {address}"), || async {
            let spec = leases.get(address).await?.spec.unwrap_or_default();
            ensure!(spec.holder_identity.as_deref() == Some(node), "{spec:?}");
            Ok(())
        })
        .await
    }

    /// Waits until exactly these Leases exist.
    pub(crate) async fn leases(&self, names: &[&str]) -> Result<()> {
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
