//! One of two replicas repairs objects. If it is killed, the other takes over and nothing is lost.
//! If it stops in order, the other starts at once.

use crate::test_cluster::{Running, SOON, TestCluster, annotation};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::names::{self, BALANCER_DECISION};
use fastrak_testkit::objects::service;
use fastrak_testkit::{Component, Options, eventually, or_skip};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, PostParams};
use std::collections::BTreeMap;
use std::time::Instant;

/// More objects than the leader repairs before it is killed, at one repair in 0.1 s.
const MISSED: usize = 40;

async fn create_missed(services: &Api<Service>, names: impl Iterator<Item = String>) -> Result<()> {
    for name in names {
        let missed = service(&name).load_balancer().port(80).build("default");
        let made = services.create(&PostParams::default(), &missed).await?;
        ensure!(annotation(&made.metadata, BALANCER_DECISION).is_none(), "it was not missed");
    }
    Ok(())
}

async fn repaired(services: &Api<Service>) -> Result<usize> {
    let all = services.list(&ListParams::default()).await?.items.into_iter();
    Ok(all.filter(|service| annotation(&service.metadata, BALANCER_DECISION).is_some()).count())
}

async fn holder(cluster: &TestCluster) -> Result<String> {
    let leases: Api<Lease> = cluster.api(names::NAMESPACE);
    eventually(SOON, "a replica leads", || async {
        leases.get(names::WEBHOOK_LEASE).await.ok()?.spec?.holder_identity
    })
    .await
}

async fn repairs(replica: &Running) -> Result<usize> {
    let start = r#"fastrak_webhook_repairs_total{resource="services",outcome="repaired"} "#;
    let metrics = replica.metrics().await?;
    let count = metrics.lines().find_map(|line| line.strip_prefix(start));
    Ok(count.map_or(Ok(0), str::parse)?)
}

#[tokio::test]
async fn the_other_replica_takes_over_if_the_leader_is_killed() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let services: Api<Service> = cluster.api("default");
    create_missed(&services, (0..MISSED).map(|at| format!("missed-{at}"))).await?;

    let flags = ["--lease-duration=4", "--repair-interval=0.3"];
    let first = cluster.run(&[&flags[..], &["--pod-name=first"]].concat()).await?;
    ensure!(holder(&cluster).await?.starts_with("first_"));
    let second = cluster.run(&[&flags[..], &["--pod-name=second"]].concat()).await?;
    second.is_ready().await?;
    eventually(SOON, "the leader repairs", || async {
        let done = repaired(&services).await?;
        ensure!(done >= 5, "{done}");
        Ok(())
    })
    .await?;
    ensure!(repairs(&second).await? == 0, "only the leader repairs");
    first.kill().await;
    let left = MISSED - repaired(&services).await?;
    ensure!(left > 0, "it was done before it was killed");

    eventually(2 * SOON, "the other has repaired the rest", || async {
        let done = repaired(&services).await?;
        ensure!(done == MISSED, "{done}");
        Ok(())
    })
    .await?;
    ensure!(holder(&cluster).await?.starts_with("second_"));
    // The last repair of the first may have been stored after it was killed.
    eventually(SOON, "the second has counted its repairs", || async {
        let by_second = repairs(&second).await?;
        ensure!((left - 1..=left).contains(&by_second), "{by_second} of {left}");
        Ok(())
    })
    .await?;

    // Each was repaired once: every repair has an event.
    let events: Api<Event> = cluster.api("default");
    eventually(SOON, "every repair has an event", || async {
        let all = events.list(&ListParams::default()).await?.items.into_iter();
        let mut printed = BTreeMap::<_, usize>::new();
        for event in all.filter(|event| event.reason.as_deref() == Some("BalancerRepaired")) {
            *printed.entry(event.regarding.and_then(|on| on.name)).or_default() += 1;
        }
        ensure!(printed.values().all(|count| *count == 1), "{printed:?}");
        // Those of the repairs during which the first was killed may be missing.
        ensure!(printed.len() + 2 >= MISSED, "{} events", printed.len());
        Ok(())
    })
    .await?;
    second.stop().await
}

#[tokio::test]
async fn a_leader_that_stops_in_order_hands_over_at_once() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    // Too long for a takeover by waiting.
    let lasts = "--lease-duration=60";
    let first = cluster.run(&[lasts, "--pod-name=first"]).await?;
    ensure!(holder(&cluster).await?.starts_with("first_"));
    let second = cluster.run(&[lasts, "--pod-name=second"]).await?;
    second.is_ready().await?;
    first.stop().await?;
    let start = Instant::now();
    eventually(SOON, "the other leads", || async {
        let leader = holder(&cluster).await?;
        leader.starts_with("second_").then_some(()).context(leader)
    })
    .await?;
    ensure!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    second.stop().await
}

#[tokio::test]
async fn a_leader_repairs_again_after_an_outage_of_the_api_server() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let services: Api<Service> = cluster.api("default");
    let webhook = cluster.run(&["--lease-duration=1", "--pod-name=first"]).await?;
    let first = holder(&cluster).await?;
    webhook.is_ready().await?;
    cluster.plane.stop_component(Component::ApiServer)?;
    cluster.plane.start_component(Component::ApiServer).await?;

    create_missed(&services, ["missed".to_owned()].into_iter()).await?;
    eventually(SOON, "the missed object is repaired", || async {
        let done = repaired(&services).await?;
        ensure!(done == 1, "{done}");
        Ok(())
    })
    .await?;
    ensure!(holder(&cluster).await? == first);
    webhook.stop().await
}
