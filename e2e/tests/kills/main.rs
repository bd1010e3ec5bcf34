//! A StatefulSet writes while the agents are killed 200 times, claims are created and deleted, pods
//! restart, and the set is scaled: no byte is lost, nothing leaks, and no other file changes.
//!
//! `agent/tests/faults` simulates a kill at each call. Here pods, disks and kills are real.
#![cfg(test)]

mod agents;
mod extra_claims;
mod foreign_files;
mod random;
mod writers;

use anyhow::{Context, Result, ensure};
use extra_claims::{ExtraClaims, ExtraReport};
use fastrak_api::names;
use fastrak_e2e::demo::pools;
use fastrak_testkit::{Cluster, ClusterOptions, environment, eventually, or_skip, with_namespace};
use foreign_files::ForeignFiles;
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use writers::{Observer, Writers};

const NODES: u8 = 2;
const KILLS: u32 = 200;
pub(crate) const SOON: Duration = Duration::from_secs(90);

/// The results of the time in which the agents are killed.
#[derive(Debug)]
struct KillReport {
    scaled: usize,
    restarted: usize,
    observer: Observer,
    extra: ExtraReport,
}

async fn kill_phase(
    cluster: &Cluster,
    writers: &Writers,
    extra: ExtraClaims<'_>,
    seed: &Random,
) -> Result<KillReport> {
    let over = AtomicBool::new(false);
    let kills = async {
        kill(cluster, KILLS / u32::from(NODES) - 1, seed, 10).await?;
        over.store(true, Ordering::Relaxed);
        Ok(())
    };
    let ((), scaled, restarted, observer, report) = tokio::try_join!(
        kills,
        writers.scale(&over),
        writers.restart(seed.branch(1), &over),
        writers.watch(cluster, &over),
        extra.run(&over),
    )?;
    Ok(KillReport { scaled, restarted, observer, extra: report })
}

/// Kills the agent of every node this number of times.
async fn kill(cluster: &Cluster, times: u32, seed: &Random, branch: u64) -> Result<()> {
    let nodes = cluster.nodes().iter().zip(branch..);
    let each = nodes.map(|(node, at)| agents::kill(cluster, node, times, seed.branch(at)));
    futures::future::try_join_all(each).await.map(drop)
}

/// Waits until volumes and directories correspond to each other.
async fn nothing_leaks(cluster: &Cluster, client: &Client, volumes: usize) -> Result<()> {
    let objects: Api<PersistentVolume> = Api::all(client.clone());
    eventually(SOON, "volumes and directories are the same", || async {
        let mut wanted = BTreeMap::new();
        for volume in objects.list(&ListParams::default()).await?.items {
            let node = volume.labels().get(names::NODE).context("it has a node")?.clone();
            let uid = volume.name_any().trim_start_matches("pvc-").to_owned();
            wanted.entry(node).or_insert_with(BTreeSet::new).insert(uid);
        }
        let count: usize = wanted.values().map(BTreeSet::len).sum();
        ensure!(count == volumes, "{count} volumes, not {volumes}");
        for node in cluster.nodes() {
            // Volumes in staging and in the trash count too.
            let found = pools::volumes(&node.pool_dir())?;
            let found: Vec<_> = found
                .into_iter()
                .filter(|name| !foreign_files::IN_POOL.contains(&name.as_str()))
                .collect();
            let wanted = wanted.remove(node.name()).unwrap_or_default();
            let set: BTreeSet<_> = found.iter().cloned().collect();
            ensure!(set == wanted && found.len() == set.len(), "{found:?} and not {wanted:?}");
        }
        Ok(())
    })
    .await
}

async fn test(cluster: &Cluster, client: &Client, namespace: &str, seed: u64) -> Result<()> {
    let (started, seed) = (Instant::now(), Random::new(seed));
    let foreign = ForeignFiles::create(cluster)?;
    let writers = Writers::start(client, namespace).await?;
    let extra = ExtraClaims::start(cluster, client, namespace, seed.branch(2)).await?;
    let KillReport { scaled, restarted, observer, extra: report } =
        kill_phase(cluster, &writers, extra, &seed).await?;
    let kill_phase = started.elapsed();
    let written = writers.add_up(cluster, observer).await?;
    // A last kill, because an agent empties the trash at its start and then once a minute.
    kill(cluster, 1, &seed, 20).await?;
    eventually(SOON, "every exit of an agent was a kill", || async {
        let exits = agents::exits(cluster).await?;
        ensure!(exits == KILLS as usize, "{exits} exits of agents and {KILLS} kills");
        Ok(())
    })
    .await?;
    let kept = report.kept.len();
    nothing_leaks(cluster, client, 3 + kept).await?;
    writers.end().await?;
    nothing_leaks(cluster, client, kept).await?;
    report.check_kept()?;
    let untouched = foreign.check_unchanged(cluster)?;
    println!(
        "{KILLS} kills in {:.0} s; {} records in {} files, read back {} times; scaled {scaled} times, \
         {restarted} pods restarted; {} claims besides, {} of them deleted at once, {} grown, \
         {kept} kept; \
         {untouched} other files unchanged; {:.0} s",
        kill_phase.as_secs_f64(),
        written.records,
        written.files,
        written.read_back,
        report.claims,
        report.at_once,
        report.grown,
        started.elapsed().as_secs_f64(),
    );
    ensure!(scaled > 0 && restarted > 2 && written.read_back > 2, "too few changes");
    ensure!(report.claims > 20 && report.at_once > 2 && report.grown > 2 && kept > 1, "{report:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_is_lost_and_nothing_leaks_while_agents_are_killed() -> Result<()> {
    or_skip!(Cluster::supported(), Ok(()));
    let seed = environment::seed().unwrap_or_else(|| RandomState::new().hash_one(0));
    println!("seed {seed}");
    let started = Instant::now();
    let cluster =
        Cluster::start(ClusterOptions { nodes: NODES, ..ClusterOptions::default() }).await?;
    agents::install(&cluster).await?;
    println!("installed after {:.0} s", started.elapsed().as_secs_f64());
    let client = cluster.client().await?;
    with_namespace(&client, async |namespace| test(&cluster, &client, &namespace, seed).await).await
}
