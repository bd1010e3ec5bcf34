//! Measures how fast the leader gives addresses to many Services, beside a bare client that makes
//! the same writes. The bench accepts the addresses in place of the speakers.

use super::Figure;
use super::resources::resident_mib;
use crate::install::{Binaries, Program, free_port, overlay, remove_workloads};
use anyhow::{Context, Result, ensure};
use fastrak_api::address_pool::AddressPool;
use fastrak_api::assignment::lease_name;
use fastrak_api::names::{self, kubernetes};
use fastrak_testkit::objects::{node, pod, service};
use fastrak_testkit::webhook_configuration::set_urls;
use fastrak_testkit::{
    ControlPlane, Identity, Options, apply_manifests, eventually, fake_node_from,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const AREA: &str = "addresses";
const NAMESPACE: &str = "default";
const SERVICES: u16 = 1000;
const CONCURRENT: usize = 64;
const SOON: Duration = Duration::from_secs(120);
/// A class of which fastrak serves no Service.
const BARE_CLASS: &str = "example.com/bare";

/// Measures the area.
pub async fn measure(binaries: &Binaries) -> Result<Vec<Figure>> {
    let plane = ControlPlane::start(Options::api_only()).await?;
    let client = plane.client().await?;
    apply_manifests(&plane, &overlay(&plane, &["addresses"])?).await?;
    let sets: Api<DaemonSet> = Api::namespaced(client.clone(), names::NAMESPACE);
    sets.delete(names::SPEAKER, &DeleteParams::background()).await.context("delete a DaemonSet")?;
    remove_workloads(&client).await?;
    for name in ["node-a", "node-b", "node-c"] {
        fake_node_from(&client, node(name)).await?;
        ready_speaker(&client, name).await?;
    }
    let speakers = accept(&client).await?;

    let port = free_port()?;
    let identity = Identity::of(&plane, names::NAMESPACE, names::WEBHOOK).await?;
    let listen = format!("--listen=127.0.0.1:{port}");
    let args = [&listen, "--tls-name=127.0.0.1", "--addresses", "--balancer=address-pool"];
    let mut webhook =
        Program::of(&plane, names::WEBHOOK, &binaries.webhook, &identity)?.with(&args);
    webhook.start().await?;
    set_urls(&client, (Ipv4Addr::LOCALHOST, port).into()).await?;

    create(&client, "bare", Some(BARE_CLASS)).await?;
    create(&client, "ours", None).await?;
    let (bare, ours) = (bare(&client).await?, ours(&client).await?);
    let resident = resident_mib(webhook.pid()?)?;
    webhook.stop()?;
    speakers.abort();
    let rate = |time: Duration| f64::from(SERVICES) / time.as_secs_f64();
    Ok(vec![
        Figure::plain(AREA, "Services at once", f64::from(SERVICES), ""),
        Figure::plain(AREA, "addresses a second: fastrak", rate(ours), "/s"),
        Figure::plain(AREA, "addresses a second: bare client", rate(bare), "/s"),
        Figure::at_least(AREA, "addresses a second: ratio", rate(ours) / rate(bare), "x", 0.7),
        Figure::plain(AREA, "webhook: resident after that", resident, "MiB"),
    ])
}

/// Creates a pod of the speaker that is Ready.
async fn ready_speaker(client: &Client, node: &str) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), names::NAMESPACE);
    let name = format!("{}-{node}", names::SPEAKER);
    let speaker = pod(&name)
        .label(kubernetes::APP_NAME, names::SPEAKER)
        .service_account(names::SPEAKER)
        .on_node(node);
    pods.create(&PostParams::default(), &speaker.build(names::NAMESPACE)).await?;
    let status = json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
    pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}

fn leases(client: &Client) -> Api<Lease> {
    Api::namespaced(client.clone(), names::ADDRESS_NAMESPACE)
}

fn services(client: &Client) -> Api<Service> {
    Api::namespaced(client.clone(), NAMESPACE)
}

/// Accepts every address that is proposed.
async fn accept(client: &Client) -> Result<JoinHandle<()>> {
    let leases = leases(client);
    let version = leases.list(&ListParams::default()).await?.metadata.resource_version;
    let events = leases.watch(&WatchParams::default(), &version.unwrap_or_default()).await?;
    let mut events = events.boxed();
    Ok(tokio::spawn(async move {
        while let Some(Ok(event)) = events.next().await {
            if let WatchEvent::Added(lease) = event {
                tokio::spawn(accept_one(leases.clone(), lease.name_any()));
            }
        }
    }))
}

async fn accept_one(leases: Api<Lease>, name: String) -> kube::Result<Lease> {
    let annotations = json!({ names::ADDRESS_STATE: "accepted" });
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    leases.patch(&name, &PatchParams::default(), &patch).await
}

async fn create(client: &Client, prefix: &str, class: Option<&str>) -> Result<()> {
    let services = services(client);
    let one = |number: u16| {
        let object = service(&format!("{prefix}-{number}")).load_balancer().port(80);
        let object = class.map_or(object.clone(), |class| object.class(class)).build(NAMESPACE);
        let services = services.clone();
        async move { services.create(&PostParams::default(), &object).await }
    };
    let created = stream::iter(0..SERVICES).map(one).buffer_unordered(CONCURRENT);
    created.try_for_each(|_| std::future::ready(Ok(()))).await.context("create Services")
}

/// Makes the same writes as fastrak: a Lease and a status for each Service.
async fn bare(client: &Client) -> Result<Duration> {
    let started = Instant::now();
    let one = |number: u16| async move {
        let [high, low] = number.to_be_bytes();
        let address: IpAddr = Ipv4Addr::new(198, 18, high, low).into();
        let lease: Lease = serde_json::from_value(json!({
            "metadata": {
                "name": lease_name(address),
                "annotations": {
                    names::ADDRESS_STATE: "proposed", names::STANDBY: "node-b",
                    names::SERVICE_NAMESPACE: NAMESPACE, names::SERVICE_NAME: format!("bare-{number}"),
                },
            },
            "spec": { "holderIdentity": "node-a" },
        }))?;
        leases(client).create(&PostParams::default(), &lease).await?;
        let name = format!("bare-{number}");
        let status = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
            "status": { "loadBalancer": { "ingress": [{ "ip": address, "ipMode": "VIP" }] } },
        });
        let params = PatchParams::apply("bare");
        services(client).patch_status(&name, &params, &Patch::Apply(&status)).await?;
        anyhow::Ok(())
    };
    let written = stream::iter(0..SERVICES).map(one).buffer_unordered(CONCURRENT);
    written
        .try_for_each(|()| std::future::ready(Ok(())))
        .await
        .context("write as a bare client")?;
    Ok(started.elapsed())
}

/// Creates a pool and waits until all Services have an address of it.
async fn ours(client: &Client) -> Result<Duration> {
    let services = services(client);
    let version = services.list(&ListParams::default()).await?.metadata.resource_version;
    let events = services.watch(&WatchParams::default(), &version.unwrap_or_default()).await?;
    let pool: AddressPool = serde_json::from_value(json!({
        "metadata": { "name": "bench" }, "spec": { "addresses": ["198.19.0.0/16"] },
    }))?;
    let started = Instant::now();
    let pools: Api<AddressPool> = Api::all(client.clone());
    pools.create(&PostParams::default(), &pool).await.context("create a pool")?;
    let has_address = |event: kube::Result<WatchEvent<Service>>| {
        let Ok(WatchEvent::Modified(service)) = event else { return std::future::ready(None) };
        let status = service.status.and_then(|status| status.load_balancer);
        let has_any = status.and_then(|balancer| balancer.ingress).is_some();
        std::future::ready(has_any.then_some(()))
    };
    let all = events.filter_map(has_address).take(usize::from(SERVICES)).count();
    let count =
        tokio::time::timeout(SOON, all).await.context("not all Services have an address")?;
    ensure!(count == usize::from(SERVICES), "the watch ended after {count} Services");
    let elapsed = started.elapsed();
    eventually(SOON, "the pool shows all addresses as allocated", || async {
        let status = pools.get("bench").await?.status.unwrap_or_default();
        ensure!(status.allocated == u64::from(SERVICES), "{status:?}");
        Ok(())
    })
    .await?;
    Ok(elapsed)
}
