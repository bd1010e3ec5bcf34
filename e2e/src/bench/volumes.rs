//! Volumes: the speed of creation beside a bare directory and with many volumes, the cost of a
//! thousand volumes, the speed of growth, and the effect of the removal of very many files on new
//! claims.

mod cluster;
mod create;
mod growth;
mod many_volumes;
mod removal;
mod workload;

use super::Figure;
use crate::install::{Binaries, repository};
use anyhow::{Context, Result};
use cluster::BenchCluster;
use fastrak_testkit::disk::Disk;

const AREA: &str = "volumes";

/// Large enough for everything that is created on it.
const BTRFS_MIB: u64 = 4096;

/// Measures everything, on this machine's disk and on a new btrfs filesystem.
pub async fn measure(binaries: &Binaries, full: bool) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    {
        let directory = tempfile::tempdir_in(repository().join("target"));
        let directory = directory.context("make a directory on this machine's disk")?;
        figures.extend(create::rate("this machine's disk", directory.path())?);
        let disk = Disk::btrfs(BTRFS_MIB).await?;
        disk.enable_simple_quotas().await?;
        figures.extend(create::rate("btrfs on a loop device", disk.path())?);
        figures.extend(create::growth(disk.path())?);
    }
    let mut cluster = BenchCluster::start(binaries).await?;
    figures.extend(many_volumes::measure(&mut cluster).await?);
    figures.extend(growth::measure(&cluster).await?);
    figures.extend(removal::measure(&cluster, full).await?);
    Ok(figures)
}
