//! The leader deletes the Tunnel that the inlets operator leaves behind when a Service is no longer of
//! type LoadBalancer, and no other. The operator is testkit's stand-in.

use crate::test_cluster::{SOON, TestCluster};
use anyhow::{Result, ensure};
use fastrak_api::names;
use fastrak_api::names::inlets::MANAGE;
use fastrak_api::tunnel::Tunnel;
use fastrak_testkit::inlets::{Cloud, Operator, Scope, install_crd};
use fastrak_testkit::objects::{ServiceBuilder, service};
use fastrak_testkit::{Options, apply_manifests, eventually, or_skip};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::path::Path;

const FLAGS: [&str; 1] = ["--tunnel-cleanup-after=0"];

/// A cluster with the component, and an operator of one namespace.
struct Setup {
    cluster: TestCluster,
    cloud: Cloud,
    _operator: Operator,
}

impl Setup {
    async fn start() -> Result<Option<Self>> {
        let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(None));
        let component = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/inlets");
        apply_manifests(&cluster.plane, &component.join("webhook.yaml")).await?;
        install_crd(&cluster.client).await?;
        let cloud = Cloud::default();
        let operator = Operator::start(&cluster.client, "default", Scope::Annotated, &cloud);
        Ok(Some(Self { cluster, cloud, _operator: operator }))
    }

    fn services(&self) -> Api<Service> {
        self.cluster.api("default")
    }

    fn tunnels(&self) -> Api<Tunnel> {
        self.cluster.api("default")
    }

    /// Creates a Service and waits until it has a Tunnel with a recorded machine.
    async fn served(&self, builder: ServiceBuilder) -> Result<()> {
        let object = builder.load_balancer().port(80).build("default");
        let name = object.metadata.name.clone().unwrap_or_default();
        self.services().create(&PostParams::default(), &object).await?;
        self.has_machine(&name).await
    }

    async fn has_machine(&self, name: &str) -> Result<()> {
        eventually(SOON, format!("{name} has a machine"), || async {
            let status = self.tunnels().get(&format!("{name}-tunnel")).await?.status;
            ensure!(status.is_some_and(|status| !status.host_id.is_empty()), "not yet");
            Ok(())
        })
        .await
    }

    async fn change(&self, name: &str, patch: Value) -> Result<()> {
        let params = PatchParams::default();
        self.services().patch(name, &params, &Patch::Merge(patch)).await?;
        Ok(())
    }

    async fn becomes_cluster_ip(&self, name: &str) -> Result<()> {
        self.change(name, json!({"spec": {"type": "ClusterIP"}})).await
    }

    async fn exists(&self, name: &str) -> Result<bool> {
        Ok(self.tunnels().get_opt(&format!("{name}-tunnel")).await?.is_some())
    }

    async fn is_deleted(&self, name: &str) -> Result<()> {
        eventually(SOON, format!("the Tunnel of {name} is deleted"), || async {
            ensure!(!self.exists(name).await?, "it exists");
            Ok(())
        })
        .await
    }
}

#[tokio::test]
async fn a_service_that_is_no_longer_a_load_balancer_loses_its_tunnel() -> Result<()> {
    let Some(setup) = Setup::start().await? else { return Ok(()) };
    let webhook = setup.cluster.webhook(&FLAGS).await?;
    setup.served(service("web")).await?;
    setup.served(service("stays")).await?;
    setup.becomes_cluster_ip("web").await?;
    setup.is_deleted("web").await?;
    setup.cluster.has_event("TunnelDeleted", "web", "deletes machine machine-1").await?;
    webhook.shows(&[r#"fastrak_webhook_tunnel_deletions_total{outcome="deleted"} 1"#]).await?;
    // The operator deletes the machine, and its address from the Service.
    eventually(SOON, "the machine and its address are gone", || async {
        let spec = setup.services().get("web").await?.spec.unwrap_or_default();
        ensure!(spec.external_ips.unwrap_or_default().is_empty(), "the address is there");
        ensure!(setup.cloud.machines().len() == 1, "{:?}", setup.cloud.machines());
        Ok(())
    })
    .await?;
    assert!(setup.exists("stays").await?);
    // The Service can become a LoadBalancer again.
    setup.change("web", json!({"spec": {"type": "LoadBalancer"}})).await?;
    setup.has_machine("web").await?;
    webhook.stop().await
}

#[tokio::test]
async fn the_tunnels_of_users_and_of_services_that_opt_out_stay() -> Result<()> {
    let Some(setup) = Setup::start().await? else { return Ok(()) };
    let webhook = setup.cluster.webhook(&FLAGS).await?;
    setup.served(service("managed").annotate(MANAGE, "1")).await?;
    setup
        .served(
            service("out").label(names::ADMISSION, names::ADMISSION_DISABLED).annotate(MANAGE, "1"),
        )
        .await?;
    setup.served(service("later-out")).await?;
    setup.served(service("ours")).await?;
    setup.becomes_cluster_ip("managed").await?;
    setup.becomes_cluster_ip("out").await?;
    // A Service that opts out with the annotations of fastrak keeps them, and its Tunnel.
    let label = json!({names::ADMISSION: names::ADMISSION_DISABLED});
    let flip = json!({"metadata": {"labels": label}, "spec": {"type": "ClusterIP"}});
    setup.change("later-out", flip).await?;
    setup.becomes_cluster_ip("ours").await?;
    // The leader handles all of them at once, and decides about the first three before.
    setup.is_deleted("ours").await?;
    for name in ["managed", "out", "later-out"] {
        assert!(setup.exists(name).await?, "{name}");
    }
    // The user of the first one removes the annotation.
    setup.change("managed", json!({"metadata": {"annotations": {MANAGE: null}}})).await?;
    setup.is_deleted("managed").await?;
    webhook.shows(&[r#"fastrak_webhook_tunnel_deletions_total{outcome="deleted"} 2"#]).await?;
    webhook.stop().await
}

#[tokio::test]
async fn a_change_that_admission_missed_is_repaired_and_the_tunnel_is_deleted() -> Result<()> {
    let Some(setup) = Setup::start().await? else { return Ok(()) };
    let webhook = setup.cluster.webhook(&FLAGS).await?;
    setup.served(service("web")).await?;
    webhook.stop().await?;
    setup.becomes_cluster_ip("web").await?;
    // Without the flag nothing is deleted, and the repair removes the record.
    let webhook = setup.cluster.webhook(&[]).await?;
    eventually(SOON, "the record is removed", || async {
        let annotations = setup.services().get("web").await?.metadata.annotations;
        ensure!(annotations.unwrap_or_default().is_empty(), "it is there");
        Ok(())
    })
    .await?;
    webhook.stop().await?;
    assert!(setup.exists("web").await?);
    let webhook = setup.cluster.webhook(&FLAGS).await?;
    setup.is_deleted("web").await?;
    webhook.stop().await
}

#[tokio::test]
async fn a_tunnel_whose_machine_is_being_created_stays() -> Result<()> {
    let Some(setup) = Setup::start().await? else { return Ok(()) };
    let webhook = setup.cluster.webhook(&FLAGS).await?;
    setup.served(service("ours")).await?;
    setup.cloud.set_reachable(false);
    let young = service("young").load_balancer().port(80).build("default");
    setup.services().create(&PostParams::default(), &young).await?;
    eventually(SOON, "it has a Tunnel", || async {
        setup.exists("young").await.ok().filter(|exists| *exists)
    })
    .await?;
    setup.becomes_cluster_ip("young").await?;
    setup.becomes_cluster_ip("ours").await?;
    setup.is_deleted("ours").await?;
    assert!(setup.exists("young").await?);
    // Once the machine is recorded, the operator can delete it.
    setup.cloud.set_reachable(true);
    setup.is_deleted("young").await?;
    eventually(SOON, "no machine is left", || async { setup.cloud.machines().is_empty() }).await?;
    webhook.stop().await
}

#[tokio::test]
async fn the_leader_waits_for_the_operator_to_be_installed() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let component = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/inlets");
    apply_manifests(&cluster.plane, &component.join("webhook.yaml")).await?;
    let webhook = cluster.webhook(&FLAGS).await?;
    install_crd(&cluster.client).await?;
    let cloud = Cloud::default();
    let operator = Operator::start(&cluster.client, "default", Scope::Annotated, &cloud);
    let setup = Setup { cluster, cloud, _operator: operator };
    setup.served(service("web")).await?;
    setup.becomes_cluster_ip("web").await?;
    setup.is_deleted("web").await?;
    webhook.stop().await
}
