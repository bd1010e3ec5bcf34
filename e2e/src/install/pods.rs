//! Installs fastrak as pods on real nodes.

use super::{Binaries, base, overlay};
use anyhow::Result;
use fastrak_api::names;
use fastrak_testkit::apply_manifests;
use fastrak_testkit::{Cluster, ControlPlane, Image};
use std::path::Path;
use std::time::Duration;

/// The timeout of a rollout on a busy machine.
const ROLLOUT: Duration = Duration::from_secs(180);

/// Installs fastrak on a cluster and waits until it is ready.
pub async fn install(cluster: &Cluster, binaries: &Binaries) -> Result<()> {
    let agent = Image::of_binary(&binaries.agent, &tag(names::AGENT))?;
    install_with(cluster, binaries, &agent, &base()).await
}

/// Installs fastrak from another kustomization than the base.
pub async fn install_overlay(cluster: &Cluster, binaries: &Binaries, overlay: &Path) -> Result<()> {
    let agent = Image::of_binary(&binaries.agent, &tag(names::AGENT))?;
    install_with(cluster, binaries, &agent, overlay).await
}

/// Installs fastrak with the component that gives Services addresses.
pub async fn install_addresses(cluster: &Cluster, binaries: &Binaries) -> Result<()> {
    cluster.load_image(&Image::of_binary(&binaries.speaker, &tag(names::SPEAKER))?).await?;
    let plane = cluster.plane();
    install_overlay(cluster, binaries, &overlay(plane, &["addresses"])?).await?;
    rolled_out(plane, &format!("daemonset/{}", names::SPEAKER)).await
}

/// Installs fastrak with another image of the agent, which must have its [`tag`].
pub async fn install_with(
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

/// Waits until a workload of fastrak is ready.
pub async fn rolled_out(plane: &ControlPlane, workload: &str) -> Result<()> {
    let timeout = format!("--timeout={}s", ROLLOUT.as_secs());
    let args = ["-n", names::NAMESPACE, "rollout", "status", workload, &timeout];
    let command = plane.kubectl_command().args(args).timeout(ROLLOUT + Duration::from_secs(10));
    command.run().await.map(drop)
}

/// Returns the image name of a program in the manifests.
#[must_use]
pub fn tag(name: &str) -> String {
    format!("{name}:dev")
}
