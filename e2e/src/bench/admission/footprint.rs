//! Measures the memory of an idle webhook, and with many open connections.

use super::AREA;
use super::cluster::BenchCluster;
use super::connection::{Connection, Target};
use super::review::Review;
use crate::bench::Figure;
use crate::bench::resources::resident_mib;
use crate::install::Binaries;
use anyhow::{Context as _, Result};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::time::Duration;

const CONNECTIONS: usize = 2000;
/// The time until first lists and the allocator have settled.
const SETTLE: Duration = Duration::from_secs(5);
/// The timeout of a connection and its first response.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Measures a replica without other clients.
pub(crate) async fn measure(cluster: &BenchCluster, binaries: &Binaries) -> Result<Vec<Figure>> {
    let mut replica = cluster.replica(&binaries.webhook, "footprint", &["--drain=0s"]).await?;
    replica.start().await?;
    tokio::time::sleep(SETTLE).await;
    let idle = resident_mib(replica.pid()?)?;
    lift_limit()?;
    let kept = keep(&cluster.target(&replica).await?).await;
    let full = resident_mib(replica.pid()?)?;
    let figures = vec![
        Figure::at_most(AREA, "resident, idle", idle, "MiB", 12.0),
        Figure::at_least(AREA, "connections kept alive", kept.len() as f64, "", CONNECTIONS as f64),
        Figure::at_most(AREA, "resident, with these connections", full, "MiB", 64.0),
    ];
    drop(kept);
    replica.stop()?;
    Ok(figures)
}

/// Opens connections that were each answered once. Returns those that are still open.
async fn keep(target: &Target) -> Vec<Connection> {
    let (mut kept, mut review) = (Vec::new(), Review::of_a_claim());
    while kept.len() < CONNECTIONS {
        let number = kept.len() as u64;
        let one = async {
            let mut connection = Connection::open(target).await?;
            connection.call(&mut review, number).await?;
            anyhow::Ok(connection)
        };
        let Ok(Ok(connection)) = tokio::time::timeout(TIMEOUT, one).await else { break };
        kept.push(connection);
    }
    let mut open = Vec::new();
    for mut connection in kept {
        if connection.is_open().await {
            open.push(connection);
        }
    }
    open
}

/// Raises the limit of open files to its maximum, because each connection is one.
fn lift_limit() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("raise the limit of open files")
}
