//! Measures how fast the leader gives addresses to many Services, beside a bare client that makes
//! the same writes. The bench accepts the addresses in place of the speakers.

use super::AREA;
use super::setup::{self, services};
use crate::bench::Figure;
use crate::bench::resources::resident_mib;
use crate::install::Binaries;
use anyhow::{Context, Result, ensure};
use fastrak_api::assignment::lease_name;
use fastrak_api::names;
use fastrak_testkit::{ControlPlane, Options, eventually};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::time::{Duration, Instant};

const SERVICES: u16 = 1000;
const SOON: Duration = Duration::from_secs(120);
/// A class of which fastrak serves no Service.
const BARE_CLASS: &str = "example.com/bare";

/// Measures the allocation with the webhook as a process.
pub(super) async fn measure(binaries: &Binaries) -> Result<Vec<Figure>> {
    let plane = ControlPlane::start(Options::api_only()).await?;
    let client = plane.client().await?;
    setup::install(&plane, &client).await?;
    for name in ["node-a", "node-b", "node-c"] {
        setup::node_with_speaker(&client, name).await?;
    }
    let speakers = tokio::spawn(accept(leases(&client)));
    let mut webhook = setup::webhook(&plane, &client, binaries).await?;
    setup::create_services(&client, "bare", 0..SERVICES, Some(BARE_CLASS)).await?;
    setup::create_services(&client, "ours", 0..SERVICES, None).await?;
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

fn leases(client: &Client) -> Api<Lease> {
    Api::namespaced(client.clone(), names::ADDRESS_NAMESPACE)
}

/// Accepts every address that is proposed. The API server ends the watch of a client that is slow, so
/// the watch is repeated.
async fn accept(leases: Api<Lease>) {
    let events = watcher(leases.clone(), watcher::Config::default()).default_backoff();
    let mut changed = pin!(events.applied_objects());
    while let Some(event) = changed.next().await {
        let is_proposed = |lease: &Lease| {
            lease.annotations().get(names::ADDRESS_STATE).is_some_and(|state| state == "proposed")
        };
        if let Some(lease) = event.ok().filter(is_proposed) {
            tokio::spawn(accept_one(leases.clone(), lease.name_any()));
        }
    }
}

async fn accept_one(leases: Api<Lease>, name: String) -> kube::Result<Lease> {
    let annotations = json!({ names::ADDRESS_STATE: "accepted" });
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    leases.patch(&name, &PatchParams::default(), &patch).await
}

/// Makes the same writes as fastrak: a Lease and a status for each Service. The Leases are accepted too.
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
                    names::SERVICE_NAMESPACE: setup::NAMESPACE, names::SERVICE_NAME: format!("bare-{number}"),
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
    let written = stream::iter(0..SERVICES).map(one).buffer_unordered(setup::CONCURRENT);
    written
        .try_for_each(|()| std::future::ready(Ok(())))
        .await
        .context("write as a bare client")?;
    Ok(started.elapsed())
}

/// Waits until all Services have an address. The API server ends a watch that is too slow, so the watch
/// is repeated.
async fn all_have_addresses(services: Api<Service>) {
    let has_address = |service: &Service| {
        let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        status.is_some_and(|balancer| balancer.ingress.is_some())
            && service.name_any().starts_with("ours-")
    };
    let events = watcher(services, watcher::Config::default()).default_backoff();
    let mut changed = pin!(events.applied_objects());
    let mut names = BTreeSet::new();
    while names.len() < usize::from(SERVICES) {
        let Some(event) = changed.next().await else { return };
        names.extend(event.ok().filter(has_address).map(|service| service.name_any()));
    }
}

/// Creates a pool and waits until all Services have an address of it.
async fn ours(client: &Client) -> Result<Duration> {
    let services = services(client);
    let started = Instant::now();
    let pools = setup::create_large_pool(client).await?;
    tokio::time::timeout(SOON, all_have_addresses(services))
        .await
        .context("not all Services have an address")?;
    let elapsed = started.elapsed();
    eventually(SOON, "the pool shows all addresses as allocated", || async {
        let status = pools.get(setup::POOL).await?.status.unwrap_or_default();
        ensure!(status.allocated == u64::from(SERVICES), "{status:?}");
        Ok(())
    })
    .await?;
    Ok(elapsed)
}
