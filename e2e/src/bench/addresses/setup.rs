//! fastrak with addresses on a control plane without real nodes: the webhook is a process, and
//! the bench decides what runs as a speaker.

use crate::install::{Binaries, Program, free_port, overlay, remove_workloads};
use anyhow::{Context, Result};
use fastrak_api::address_pool::AddressPool;
use fastrak_api::names::{self, kubernetes};
use fastrak_testkit::objects::{node, pod, service};
use fastrak_testkit::webhook_configuration::set_urls;
use fastrak_testkit::{ControlPlane, Identity, apply_manifests, fake_node_from};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::ops::Range;

/// The namespace of the Services.
pub(super) const NAMESPACE: &str = "default";
/// The name of the pool.
pub(super) const POOL: &str = "bench";
/// The number of concurrent requests.
pub(super) const CONCURRENT: usize = 64;

/// Applies the manifests without their workloads.
pub(super) async fn install(plane: &ControlPlane, client: &Client) -> Result<()> {
    apply_manifests(plane, &overlay(plane, &["addresses"])?).await?;
    let sets: Api<DaemonSet> = Api::namespaced(client.clone(), names::NAMESPACE);
    sets.delete(names::SPEAKER, &DeleteParams::background()).await.context("delete a DaemonSet")?;
    remove_workloads(client).await
}

/// Starts the webhook, and makes the API server call it.
pub(super) async fn webhook(
    plane: &ControlPlane,
    client: &Client,
    binaries: &Binaries,
) -> Result<Program> {
    let port = free_port()?;
    let identity = Identity::of(plane, names::NAMESPACE, names::WEBHOOK).await?;
    let listen = format!("--listen=127.0.0.1:{port}");
    let args = [&listen, "--tls-name=127.0.0.1", "--addresses", "--balancer=address-pool"];
    let webhook = Program::of(plane, names::WEBHOOK, &binaries.webhook, &identity)?;
    let mut webhook = webhook.with(&args);
    webhook.start().await?;
    set_urls(client, (Ipv4Addr::LOCALHOST, port).into()).await?;
    Ok(webhook)
}

/// Creates a node, and a pod of the speaker on it that is Ready. Returns the pod.
pub(super) async fn node_with_speaker(client: &Client, name: &str) -> Result<Pod> {
    fake_node_from(client, node(name)).await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), names::NAMESPACE);
    let speaker = pod(&format!("{}-{name}", names::SPEAKER))
        .label(kubernetes::APP_NAME, names::SPEAKER)
        .service_account(names::SPEAKER)
        .on_node(name)
        .build(names::NAMESPACE);
    let created = pods.create(&PostParams::default(), &speaker).await?;
    let name = created.metadata.name.context("a pod has a name")?;
    let status = json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
    Ok(pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?)
}

/// Creates a pool with enough addresses for all Services.
pub(super) async fn create_large_pool(client: &Client) -> Result<()> {
    create_pool(client, &json!({ "addresses": ["198.19.0.0/16"] })).await
}

/// Creates the pool with this spec.
pub(super) async fn create_pool(client: &Client, spec: &Value) -> Result<()> {
    let pools: Api<AddressPool> = Api::all(client.clone());
    let pool = json!({
        "apiVersion": names::ADDRESS_POOL_VERSION, "kind": "AddressPool",
        "metadata": { "name": POOL }, "spec": spec,
    });
    let params = PatchParams::apply("bench");
    pools.patch(POOL, &params, &Patch::Apply(&pool)).await.context("create a pool")?;
    Ok(())
}

/// Returns the Services of the bench.
pub(super) fn services(client: &Client) -> Api<Service> {
    Api::namespaced(client.clone(), NAMESPACE)
}

/// Creates Services with these numbers.
pub(super) async fn create_services(
    client: &Client,
    prefix: &str,
    numbers: Range<u16>,
    class: Option<&str>,
) -> Result<()> {
    let services = services(client);
    let one = |number: u16| {
        let object = service(&format!("{prefix}-{number}")).load_balancer().port(80);
        let object = class.map_or(object.clone(), |class| object.class(class)).build(NAMESPACE);
        let services = services.clone();
        async move { services.create(&PostParams::default(), &object).await }
    };
    let created = stream::iter(numbers).map(one).buffer_unordered(CONCURRENT);
    created.try_for_each(|_| std::future::ready(Ok(()))).await.context("create Services")
}
