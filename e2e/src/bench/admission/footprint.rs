//! What the webhook weighs when nobody calls it, and with many connections that are kept alive.

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
/// Long enough for first lists and the allocator to come to rest.
const SETTLE: Duration = Duration::from_secs(5);
/// A connection that is not answered by then is none that can be had.
const PATIENCE: Duration = Duration::from_secs(3);

/// Measures a replica that nobody else calls.
pub(crate) async fn measure(cluster: &BenchCluster, binaries: &Binaries) -> Result<Vec<Figure>> {
    let mut replica = cluster.replica(&binaries.webhook, "weighed", &["--drain=0s"]).await?;
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

/// Connections that were each answered once and are open still, as many as can be had.
async fn keep(target: &Target) -> Vec<Connection> {
    let (mut kept, mut review) = (Vec::new(), Review::of_a_claim());
    while kept.len() < CONNECTIONS {
        let number = kept.len() as u64;
        let one = async {
            let mut connection = Connection::open(target).await?;
            connection.call(&mut review, number).await?;
            anyhow::Ok(connection)
        };
        let Ok(Ok(connection)) = tokio::time::timeout(PATIENCE, one).await else { break };
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

/// As many files as this process may have: each connection is one.
fn lift_limit() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("have more files than usual")
}
