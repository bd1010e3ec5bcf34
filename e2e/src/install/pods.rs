//! fastrak as pods on real nodes: its images, its manifests, and a wait for the rollout.

use super::{Binaries, base};
use anyhow::Result;
use fastrak_api::names;
use fastrak_testkit::apply_manifests;
use fastrak_testkit::{Cluster, Image};

/// Installs fastrak on a cluster and waits until all of it is ready.
pub async fn install(cluster: &Cluster, binaries: &Binaries) -> Result<()> {
    for (name, path) in [(names::WEBHOOK, &binaries.webhook), (names::AGENT, &binaries.agent)] {
        cluster.load_image(&Image::of_binary(path, &format!("{name}:dev"))?).await?;
    }
    let plane = cluster.plane();
    apply_manifests(plane, &base()).await?;
    for workload in
        [format!("deployment/{}", names::WEBHOOK), format!("daemonset/{}", names::AGENT)]
    {
        plane
            .kubectl(&["-n", names::NAMESPACE, "rollout", "status", &workload, "--timeout=50s"])
            .await?;
    }
    Ok(())
}
