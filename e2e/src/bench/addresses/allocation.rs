//! Measures how fast the leader gives addresses to many Services, beside a bare client that makes
//! the same writes. The bench accepts the addresses in place of the speakers.

use super::AREA;
use super::setup::{self, services};
use crate::bench::resources::{cpu_time, resident_mib};
use crate::bench::{Figure, median};
use crate::install::Binaries;
use anyhow::{Context, Result, ensure};
use fastrak_api::address_pool::AddressPool;
use fastrak_api::assignment::lease_name;
use fastrak_api::names;
use fastrak_runtime::clock;
use fastrak_testkit::{ControlPlane, Options, eventually};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
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
/// The prefixes of the Services' names.
const OURS: &str = "ours";
const BARE: &str = "bare";

/// The number of rounds. fastrak and the bare client alternate and are compared in pairs, so that a
/// change of the machine's speed affects both.
const ROUNDS: usize = 3;

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
    let (mut ours, mut bare, mut processor) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        setup::create_services(&client, BARE, 0..SERVICES, Some(BARE_CLASS)).await?;
        setup::create_services(&client, OURS, 0..SERVICES, None).await?;
        bare.push(rate(&client, BARE, write_as_bare_client(&client)).await?);
        let before = cpu_time(webhook.pid()?)?;
        ours.push(rate(&client, OURS, setup::create_large_pool(&client)).await?);
        processor.push((cpu_time(webhook.pid()?)? - before).as_secs_f64() * 1e3);
        expect_allocated(&client, SERVICES).await?;
        clean_up(&client).await?;
    }
    let resident = resident_mib(webhook.pid()?)?;
    webhook.stop()?;
    speakers.abort();
    let ratios = ours.iter().zip(&bare).map(|(ours, bare)| ours / bare);
    let ratio = median(&ratios.collect::<Vec<_>>());
    let plain = |name, value, unit| Figure::plain(AREA, name, value, unit);
    Ok(vec![
        plain("Services at once", f64::from(SERVICES), ""),
        plain("addresses a second: fastrak", median(&ours), "/s"),
        plain("addresses a second: bare client", median(&bare), "/s"),
        Figure::at_least(AREA, "addresses a second: ratio", ratio, "x", 0.7),
        plain("webhook: processor time for all", median(&processor), "ms"),
        plain("webhook: resident after that", resident, "MiB"),
    ])
}

fn leases(client: &Client) -> Api<Lease> {
    Api::namespaced(client.clone(), names::ADDRESS_NAMESPACE)
}

fn events(client: &Client) -> Api<Event> {
    Api::namespaced(client.clone(), setup::NAMESPACE)
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

/// Makes the same writes as fastrak for each Service: a Lease, which is accepted too, the status, and
/// an event.
async fn write_as_bare_client(client: &Client) -> Result<()> {
    let written = stream::iter(0..SERVICES)
        .map(|number| write_one(client, number))
        .buffer_unordered(setup::CONCURRENT);
    let written = written.try_for_each(|()| std::future::ready(Ok(())));
    written.await.context("write as a bare client")
}

async fn write_one(client: &Client, number: u16) -> Result<()> {
    let [high, low] = number.to_be_bytes();
    let address: IpAddr = Ipv4Addr::new(198, 18, high, low).into();
    let name = format!("{BARE}-{number}");
    let lease: Lease = serde_json::from_value(json!({
        "metadata": {
            "name": lease_name(address),
            "annotations": {
                names::ADDRESS_STATE: "proposed", names::STANDBY: "node-b",
                names::SERVICE_NAMESPACE: setup::NAMESPACE, names::SERVICE_NAME: name,
            },
        },
        "spec": { "holderIdentity": "node-a" },
    }))?;
    leases(client).create(&PostParams::default(), &lease).await?;
    let status = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "status": { "loadBalancer": { "ingress": [{ "ip": address, "ipMode": "VIP" }] } },
    });
    let params = PatchParams::apply(BARE);
    services(client).patch_status(&name, &params, &Patch::Apply(&status)).await?;
    let event: Event = serde_json::from_value(json!({
        "metadata": { "generateName": name },
        "regarding": { "kind": "Service", "namespace": setup::NAMESPACE, "name": name },
        "type": "Normal", "reason": "AddressAssigned", "action": "Assigning",
        "note": format!("assigned {address} (node node-a)"),
        "reportingController": BARE, "reportingInstance": BARE,
        "eventTime": MicroTime(clock::now()),
    }))?;
    events(client).create(&PostParams::default(), &event).await?;
    Ok(())
}

/// Returns how many Services a second get an address from the beginning of `act`.
async fn rate(client: &Client, prefix: &str, act: impl Future<Output = Result<()>>) -> Result<f64> {
    // The API server ends a watch that is too slow, so the watch is repeated.
    let events = watcher(services(client), watcher::Config::default()).default_backoff();
    let mut events = pin!(events);
    while !matches!(events.next().await, Some(Ok(watcher::Event::InitDone)) | None) {}
    let has_address = |service: &Service| {
        let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        status.is_some_and(|balancer| balancer.ingress.is_some())
            && service.name_any().starts_with(prefix)
    };
    let mut changed = pin!(events.applied_objects());
    let mut names = BTreeSet::new();
    let all_have_addresses = async {
        while names.len() < usize::from(SERVICES) {
            let Some(event) = changed.next().await else { break };
            names.extend(event.ok().filter(has_address).map(|service| service.name_any()));
        }
    };
    let started = Instant::now();
    let all_have_addresses = async {
        let result = tokio::time::timeout(SOON, all_have_addresses).await;
        result.context("not all Services have an address").map(|()| started.elapsed())
    };
    let (elapsed, ()) = tokio::try_join!(all_have_addresses, act)?;
    Ok(f64::from(SERVICES) / elapsed.as_secs_f64())
}

/// Waits until the pool shows this number of addresses as allocated.
async fn expect_allocated(client: &Client, count: u16) -> Result<()> {
    let pools: Api<AddressPool> = Api::all(client.clone());
    eventually(SOON, format!("the pool shows {count} allocated addresses"), || async {
        let status = pools.get(setup::POOL).await?.status.unwrap_or_default();
        ensure!(status.allocated == u64::from(count), "{status:?}");
        Ok(())
    })
    .await
}

/// Deletes what a round has created.
async fn clean_up(client: &Client) -> Result<()> {
    let services = &services(client);
    let (params, all) = (DeleteParams::default(), ListParams::default());
    let names = (0..SERVICES).flat_map(|number| [OURS, BARE].map(|of| format!("{of}-{number}")));
    let delete = |name: String| async move {
        services.delete(&name, &DeleteParams::default()).await.map(drop)
    };
    let deleted = stream::iter(names).map(delete).buffer_unordered(setup::CONCURRENT);
    deleted.try_for_each(|()| std::future::ready(Ok(()))).await.context("delete Services")?;
    expect_allocated(client, 0).await?;
    let pools: Api<AddressPool> = Api::all(client.clone());
    pools.delete(setup::POOL, &params).await?;
    leases(client).delete_collection(&params, &all).await?;
    events(client).delete_collection(&params, &all).await?;
    Ok(())
}
