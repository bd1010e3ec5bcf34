//! Measures the time of one claim from `apply` to Bound, the start of the programs, their memory,
//! and their requests to the API server.
//!
//! A claim is compared with one whose volume a client creates at once: the rest of the time is the
//! controller manager's.

use super::bound::Bound;
use super::resources::resident_mib;
use super::{Figure, median};
use crate::install::{Binaries, Processes};
use anyhow::{Context, Result};
use fastrak_api::names;
use fastrak_testkit::{ControlPlane, Options};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{Api, DeleteParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use std::time::{Duration, Instant};

const AREA: &str = "main";
const NODE: &str = "bench-node";
const NAMESPACE: &str = "default";
const CLAIMS: usize = 150;
const STARTS: usize = 7;
/// The time until first lists, caches and the allocator have settled.
const SETTLE: Duration = Duration::from_secs(10);

/// Measures everything on a new control plane.
pub async fn measure(binaries: &Binaries) -> Result<Vec<Figure>> {
    let control_plane = ControlPlane::start(Options::full()).await?;
    let client = control_plane.client().await?;
    fastrak_testkit::fake_node(&client, NODE).await?;
    let mut figures = Vec::new();
    let mut processes = Processes::install(&control_plane, binaries, &[NODE]).await?;
    let (webhook, agent) = starts(&mut processes).await?;
    figures.push(Figure::at_most(AREA, "webhook: start to ready", webhook, "ms", 200.0));
    figures.push(Figure::at_most(AREA, "agent: start to ready", agent, "ms", 200.0));
    tokio::time::sleep(SETTLE).await;
    let mut weigh = |state: &str, limit: Option<f64>| -> Result<()> {
        for (name, pid) in
            [("webhook", processes.webhook_pid()?), ("agent", processes.agent_pid(0)?)]
        {
            let (what, mib) = (format!("{name}: resident, {state}"), resident_mib(pid)?);
            figures.push(match limit {
                Some(limit) => Figure::at_most(AREA, &what, mib, "MiB", limit),
                None => Figure::plain(AREA, &what, mib, "MiB"),
            });
        }
        Ok(())
    };
    weigh("idle", Some(20.0))?;
    let (ours, bare, ratio) = claims(&client).await?;
    let provision = processes.agent_mean_ms(0, "fastrak_agent_provision_duration_seconds")?;
    weigh(&format!("after {CLAIMS} claims"), None)?;
    let plain = |name: &str, ms: f64| Figure::plain(AREA, name, ms, "ms");
    figures.push(plain("claim apply, answered: fastrak", ours.answered * 1e3));
    figures.push(plain("claim apply, answered: bare client", bare.answered * 1e3));
    figures.push(plain("agent: directory and volume object", provision));
    figures.push(plain("claim apply to Bound: fastrak", ours.bound * 1e3));
    figures.push(plain("claim apply to Bound: bare client", bare.bound * 1e3));
    figures.push(Figure::at_most(AREA, "claim apply to Bound: ratio", ratio, "x", 1.3));
    drop((processes, control_plane));
    figures.extend(super::requests::measure(AREA, binaries).await?);
    figures.extend(super::unmount::measure(AREA, binaries).await?);
    Ok(figures)
}

/// Returns the medians of the times from start to ready, in milliseconds.
async fn starts(processes: &mut Processes) -> Result<(f64, f64)> {
    let (mut webhook, mut agent) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        webhook.push(processes.restart_webhook().await?.as_secs_f64() * 1e3);
        agent.push(processes.restart_agent(0).await?.as_secs_f64() * 1e3);
    }
    Ok((median(&webhook), median(&agent)))
}

/// The times of one claim, in seconds from its apply.
#[derive(Clone, Copy, Debug)]
struct Took {
    /// Until the answer of the API server.
    answered: f64,
    /// Until the claim was Bound.
    bound: f64,
}

/// Returns the medians with fastrak and with the bare client, and the median of their ratios. They
/// alternate and are compared in pairs, so that a change of the machine's speed affects both.
async fn claims(client: &Client) -> Result<(Took, Took, f64)> {
    let mut bound = Bound::watch(client, NAMESPACE).await?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..CLAIMS {
        ours.push(by_fastrak(client, &mut bound, &format!("ours-{round}")).await?);
        bare.push(by_bare_client(client, &mut bound, &format!("bare-{round}")).await?);
    }
    let ratios = ours.iter().zip(&bare).map(|(ours, bare)| ours.bound / bare.bound);
    let ratio = median(&ratios.collect::<Vec<_>>());
    Ok((Took::median(&ours), Took::median(&bare), ratio))
}

impl Took {
    fn median(all: &[Self]) -> Self {
        let of = |part: fn(&Self) -> f64| median(&all.iter().map(part).collect::<Vec<_>>());
        Self { answered: of(|took| took.answered), bound: of(|took| took.bound) }
    }
}

async fn by_fastrak(client: &Client, bound: &mut Bound, name: &str) -> Result<Took> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), NAMESPACE);
    let started = Instant::now();
    claims
        .create(&PostParams::default(), &claim(name, &json!({}))?)
        .await
        .context("create a claim")?;
    let answered = started.elapsed().as_secs_f64();
    bound.wait_for(name).await?;
    let took = Took { answered, bound: started.elapsed().as_secs_f64() };
    claims.delete(name, &DeleteParams::default()).await.context("delete a claim")?;
    Ok(took)
}

/// Measures a claim that opts out of fastrak, with a volume of a bare client.
async fn by_bare_client(client: &Client, bound: &mut Bound, name: &str) -> Result<Took> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), NAMESPACE);
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let opt_out = json!({names::ADMISSION: names::ADMISSION_DISABLED});
    let started = Instant::now();
    let made = claims.create(&PostParams::default(), &claim(name, &opt_out)?).await;
    let answered = started.elapsed().as_secs_f64();
    let volume = bare_volume(&made.context("create a claim")?)?;
    volumes.create(&PostParams::default(), &volume).await.context("create a volume")?;
    bound.wait_for(name).await?;
    let took = Took { answered, bound: started.elapsed().as_secs_f64() };
    claims.delete(name, &DeleteParams::default()).await.context("delete a claim")?;
    volumes
        .delete(&volume.name_any(), &DeleteParams::default())
        .await
        .context("delete a volume")?;
    Ok(took)
}

fn claim(name: &str, labels: &serde_json::Value) -> Result<PersistentVolumeClaim> {
    let claim = json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "storageClassName": names::CLASS_DEFAULT, "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}}}});
    serde_json::from_value(claim).context("make a claim")
}

fn bare_volume(claim: &PersistentVolumeClaim) -> Result<PersistentVolume> {
    let volume = json!({
        "metadata": {"name": format!("bare-{}", claim.name_any())},
        "spec": {
            "capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"],
            "storageClassName": names::CLASS_DEFAULT, "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": "/nowhere"},
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": NAMESPACE,
                "name": claim.name_any(), "uid": claim.uid(), "resourceVersion": claim.resource_version()},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}]}}}});
    serde_json::from_value(volume).context("make a volume")
}
