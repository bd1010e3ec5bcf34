//! Installs fastrak as pods on real nodes.

use super::{Binaries, base, overlay};
use anyhow::Result;
use fastrak_api::names;
use fastrak_testkit::apply_manifests;
use fastrak_testkit::{Cluster, ControlPlane, Image};
use std::path::Path;

/// Installs fastrak on a cluster and waits until it is ready.
pub async fn install(cluster: &Cluster, binaries: &Binaries) -> Result<()> {
    let agent = Image::of_binary(&binaries.agent, &tag(names::AGENT))?;
    install_with(cluster, binaries, &agent).await
}

/// Installs fastrak with another image of the agent, which must have its [`tag`].
pub async fn install_with(cluster: &Cluster, binaries: &Binaries, agent: &Image) -> Result<()> {
    roll_out(cluster, binaries, agent, &base()).await
}

/// Installs fastrak from another kustomization than the base.
pub async fn install_overlay(cluster: &Cluster, binaries: &Binaries, overlay: &Path) -> Result<()> {
    let agent = Image::of_binary(&binaries.agent, &tag(names::AGENT))?;
    roll_out(cluster, binaries, &agent, overlay).await
}

/// Installs fastrak with the component that gives Services addresses.
pub async fn install_addresses(cluster: &Cluster, binaries: &Binaries) -> Result<()> {
    cluster.load_image(&Image::of_binary(&binaries.speaker, &tag(names::SPEAKER))?).await?;
    let plane = cluster.plane();
    install_overlay(cluster, binaries, &overlay(plane, &["addresses"])?).await?;
    rolled_out(plane, &format!("daemonset/{}", names::SPEAKER)).await
}

async fn roll_out(
    cluster: &Cluster,
    binaries: &Binaries,
    agent: &Image,
    manifests: &Path,
) -> Result<()> {
    cluster.load_image(&Image::of_binary(&binaries.webhook, &tag(names::WEBHOOK))?).await?;
    cluster.load_image(agent).await?;
    let plane = cluster.plane();
    apply_manifests(plane, manifests).await?;
    for workload in
        [format!("deployment/{}", names::WEBHOOK), format!("daemonset/{}", names::AGENT)]
    {
        rolled_out(plane, &workload).await?;
    }
    Ok(())
}

async fn rolled_out(plane: &ControlPlane, workload: &str) -> Result<()> {
    let args = ["-n", names::NAMESPACE, "rollout", "status", workload, "--timeout=50s"];
    plane.kubectl(&args).await.map(drop)
}

/// Returns the image name of a program in the manifests.
#[must_use]
pub fn tag(name: &str) -> String {
    format!("{name}:dev")
}
