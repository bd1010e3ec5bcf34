//! Measures how soon a volume is gone after its pod and its claim are deleted together, on a real
//! node.
//!
//! The kubelet stops the pod and unmounts the volume. Then Kubernetes deletes the pod and the claim
//! and marks the volume Released. Then the agent deletes the volume; only this part is fastrak's.

use super::{Figure, median};
use crate::install::{Binaries, pods};
use anyhow::{Context, Result, ensure};
use fastrak_testkit::objects::{claim, pod};
use fastrak_testkit::{Cluster, ClusterOptions, eventually};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use std::time::{Duration, Instant};

const ROUNDS: usize = 11;
const NAMESPACE: &str = "default";
const SOON: Duration = Duration::from_secs(60);
const OFTEN: Duration = Duration::from_millis(3);
/// The script of a pod that stops at once.
const SLEEPS: &str = "trap 'exit 0' TERM; while :; do sleep 0.1; done";

/// Measures the times. Returns no figures if the machine does not support real nodes.
pub(super) async fn measure(area: &'static str, binaries: &Binaries) -> Result<Vec<Figure>> {
    if Cluster::supported().is_err() {
        return Ok(Vec::new());
    }
    let cluster = Cluster::start(ClusterOptions { nodes: 1, ..ClusterOptions::default() }).await?;
    pods::install(&cluster, binaries).await?;
    let client = cluster.client().await?;
    let mut lives = Vec::new();
    for round in 0..ROUNDS {
        lives.push(life(&client, &format!("life-{round}")).await?);
    }
    let median_of = |part: fn(&Life) -> Duration| median(&milliseconds(&lives, part));
    let ours = milliseconds(&lives, |life| life.reclaim);
    let longest = ours.iter().copied().fold(0.0, f64::max);
    let (unmount, release) = (median_of(|life| life.unmount), median_of(|life| life.release));
    Ok(vec![
        Figure::plain(area, "pod deletion to unmount: the kubelet", unmount, "ms"),
        Figure::plain(area, "unmount to Released: Kubernetes", release, "ms"),
        Figure::at_most(area, "Released to volume gone: median", median(&ours), "ms", 200.0),
        Figure::plain(area, "Released to volume gone: longest", longest, "ms"),
    ])
}

/// The times of the parts of a volume's end.
#[derive(Clone, Copy, Debug)]
struct Life {
    /// From the deletion of the pod and its claim until the kubelet has unmounted the volume.
    unmount: Duration,
    /// From the unmount until the volume is Released.
    release: Duration,
    /// From then until the volume is gone.
    reclaim: Duration,
}

fn milliseconds(lives: &[Life], part: fn(&Life) -> Duration) -> Vec<f64> {
    lives.iter().map(|life| part(life).as_secs_f64() * 1e3).collect()
}

/// Creates one claim with its pod, deletes both and measures the times.
async fn life(client: &Client, name: &str) -> Result<Life> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), NAMESPACE);
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let asked = claim(name).asks("1Mi").build(NAMESPACE);
    let asked = claims.create(&PostParams::default(), &asked).await.context("create a claim")?;
    let uid = asked.metadata.uid.context("a claim has a uid")?;
    let user = pod(name).shell(SLEEPS).mounts(name).build(NAMESPACE);
    pods.create(&PostParams::default(), &user).await.context("create a pod")?;
    eventually(SOON, format!("{name} runs"), || async {
        let phase = pods.get(name).await?.status.unwrap_or_default().phase;
        ensure!(phase.as_deref() == Some("Running"), "{phase:?}");
        ensure!(is_mounted(&uid), "its volume is not mounted");
        Ok(())
    })
    .await?;
    let deleted = Instant::now();
    let params = DeleteParams::default();
    let both = tokio::try_join!(pods.delete(name, &params), claims.delete(name, &params));
    both.context("delete the pod and the claim")?;
    until("it is unmounted", async || Ok(!is_mounted(&uid))).await?;
    let unmounted = Instant::now();
    let volume = format!("pvc-{uid}");
    until("its volume is Released", async || Ok(is_released(volumes.get_opt(&volume).await?)))
        .await?;
    let released = Instant::now();
    until("its volume is gone", async || Ok(volumes.get_metadata_opt(&volume).await?.is_none()))
        .await?;
    let reclaim = released.elapsed();
    Ok(Life { unmount: unmounted - deleted, release: released - unmounted, reclaim })
}

/// Returns whether a volume is Released or gone.
fn is_released(volume: Option<PersistentVolume>) -> bool {
    volume.is_none_or(|volume| {
        volume.status.is_some_and(|status| status.phase.as_deref() == Some("Released"))
    })
}

async fn until(what: &str, is_so: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !is_so().await? {
        ensure!(started.elapsed() < SOON, "not within {SOON:?}: {what}");
        tokio::time::sleep(OFTEN).await;
    }
    Ok(())
}

/// Returns whether a kubelet of this machine has the volume of this claim mounted for a pod.
fn is_mounted(uid: &str) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let kubelets = processes.map(|process| process.path()).filter(|process| {
        std::fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim() == "kubelet")
    });
    let root = format!("/{uid}/data ");
    kubelets.into_iter().any(|process| {
        std::fs::read_to_string(process.join("mountinfo")).is_ok_and(|text| text.contains(&root))
    })
}
