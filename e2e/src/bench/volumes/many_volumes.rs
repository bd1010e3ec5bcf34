//! Measures the cost of a thousand volumes for an idle agent.

use super::AREA;
use super::cluster::BenchCluster;
use crate::bench::Figure;
use crate::bench::resources::{resident_mib, whole_cpu_time};
use anyhow::{Context, Result, ensure};
use fastrak_testkit::eventually;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::ListParams;
use std::time::{Duration, Instant};

const VOLUMES: usize = 1_000;
const AT_ONCE: usize = 8;
const TIMEOUT: Duration = Duration::from_secs(300);
/// The time until delayed events are recorded and the allocator has settled.
const SETTLE: Duration = Duration::from_secs(15);
/// Whole minutes, because the agent measures usage once a minute.
const IDLE: Duration = Duration::from_secs(120);

/// Measures the agent that has created the volumes, and then one that has found them at its start.
pub(super) async fn measure(cluster: &mut BenchCluster) -> Result<Vec<Figure>> {
    let started = Instant::now();
    let made = stream::iter(0..VOLUMES).map(Ok::<_, anyhow::Error>);
    let ask = |number| {
        let cluster = &*cluster;
        async move { cluster.claim(&format!("one-of-many-{number}")).await.map(drop) }
    };
    made.try_for_each_concurrent(AT_ONCE, ask).await?;
    eventually(TIMEOUT, "all are Bound", || async { all_bound(cluster).await }).await?;
    let took = started.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLE).await;
    let made = resident_mib(cluster.agent_pid()?)?;
    let busy = idle_share(cluster.agent_pid()?).await?;
    cluster.processes.restart_agent(0).await?;
    tokio::time::sleep(SETTLE).await;
    let found = resident_mib(cluster.agent_pid()?)?;
    let name = |what: &str| format!("agent of {VOLUMES} volumes: {what}");
    Ok(vec![
        Figure::plain(AREA, &name("claims to Bound, all"), took, "s"),
        Figure::at_most(AREA, &name("resident after it has made them"), made, "MiB", 20.0),
        Figure::at_most(AREA, &name("resident after a restart"), found, "MiB", 20.0),
        Figure::at_most(AREA, &name("idle, of one processor"), busy, "%", 0.5),
    ])
}

async fn all_bound(cluster: &BenchCluster) -> Result<()> {
    let claims = cluster.claims.list(&ListParams::default()).await.context("list claims")?.items;
    let phases = claims.iter().filter_map(|claim| claim.status.as_ref()?.phase.as_deref());
    let bound = phases.filter(|phase| *phase == "Bound").count();
    ensure!(bound >= VOLUMES, "{bound}");
    Ok(())
}

/// Returns the share of a processor that a process takes, in percent.
async fn idle_share(pid: u32) -> Result<f64> {
    let (before, started) = (whole_cpu_time(pid)?, Instant::now());
    tokio::time::sleep(IDLE).await;
    let taken = whole_cpu_time(pid)?.saturating_sub(before);
    Ok(taken.as_secs_f64() / started.elapsed().as_secs_f64() * 100.0)
}
