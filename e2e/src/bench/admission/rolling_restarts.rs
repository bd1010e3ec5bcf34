//! Calls that must not fail while both replicas restart repeatedly and their CA changes: through a
//! real API server by dry runs, and by clients that call the webhook directly and trust the
//! published bundle.
//!
//! The failure policy is Fail, so that a failed call of the API server is an error. The rate of
//! calls is limited, so this is not a load test.

mod callers;
mod tally;

pub use self::tally::Tally;

use self::callers::Callers;
use super::balancer::{Backend, Balancer};
use super::cluster::{BenchCluster, Replica};
use super::published_bundle::Published;
use crate::install::free_port;
use anyhow::Result;
use fastrak_testkit::eventually;
use fastrak_testkit::webhook_configuration::fail_closed;
use std::path::Path;
use std::time::{Duration, Instant};

/// The timeout until a replica is called again.
const SOON: Duration = Duration::from_secs(30);
/// Longer than the delay of the balancer.
const DRAIN: &str = "--drain=2s";

/// The planned numbers of calls and changes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Writes through the API server.
    pub through_api: usize,
    /// Direct calls.
    pub direct: usize,
    /// Restarts, of both replicas in turn.
    pub restarts: usize,
    /// New CAs of which a certificate is served.
    pub rotations: usize,
    /// The lifetime of a CA, which is replaced after two thirds of it.
    pub ca_lifetime: Duration,
    /// The time over which the calls are spread. They continue until everything else has happened.
    pub spread: Duration,
    /// The time after which no further restart begins.
    pub limit: Duration,
}

/// The results.
#[derive(Debug)]
pub struct Report {
    /// Writes through the API server.
    pub through_api: Tally,
    /// Direct calls.
    pub direct: Tally,
    /// Restarts.
    pub restarts: usize,
    /// New CAs of which a certificate was served.
    pub rotations: usize,
    /// The duration.
    pub took: Duration,
}

impl Plan {
    /// Returns the plan whose figures are published.
    #[must_use]
    pub fn full() -> Self {
        Self {
            through_api: 20_000,
            direct: 80_000,
            restarts: 20,
            rotations: 3,
            ca_lifetime: Duration::from_secs(60),
            spread: Duration::from_secs(120),
            limit: Duration::from_secs(300),
        }
    }

    /// Returns a small plan for a test.
    #[must_use]
    pub fn small() -> Self {
        Self {
            through_api: 500,
            direct: 1_500,
            restarts: 4,
            rotations: 1,
            // A certificate is renewed 10 s before it expires. A replica that restarts in between begins
            // to wait again, and on a busy machine each start takes seconds.
            ca_lifetime: Duration::from_secs(60),
            spread: Duration::from_secs(15),
            limit: Duration::from_secs(300),
        }
    }
}

fn rotation_flags(plan: &Plan) -> Vec<String> {
    let seconds = plan.ca_lifetime.as_secs();
    vec![
        format!("--ca-lifetime={seconds}s"),
        format!("--certificate-lifetime={}s", seconds / 2),
        "--bundle-settle=3s".to_owned(),
        "--certificate-poll=1".to_owned(),
    ]
}

/// Runs the plan with two replicas of this program.
pub async fn run(binary: &Path, plan: &Plan) -> Result<Report> {
    let port = free_port()?;
    let cluster = BenchCluster::start(port).await?;
    let outcome = on(&cluster, port, binary, plan).await;
    outcome.inspect_err(|_| drop(cluster.keep_logs()))
}

async fn on(cluster: &BenchCluster, port: u16, binary: &Path, plan: &Plan) -> Result<Report> {
    fail_closed(cluster.client()).await?;
    let flags = rotation_flags(plan);
    let flags: Vec<_> = flags.iter().map(String::as_str).chain([DRAIN]).collect();
    let mut replicas = [
        cluster.replica(binary, "one", &flags).await?,
        cluster.replica(binary, "two", &flags).await?,
    ];
    let backends = replicas
        .each_ref()
        .map(|replica| Backend { address: replica.address(), admin: replica.admin() });
    let balancer = Balancer::start(port, &backends).await?;
    for replica in &mut replicas {
        replica.start().await?;
    }
    eventually(SOON, "both replicas are called", async || balancer.all_in()).await?;

    let started = Instant::now();
    let published = Published::follow(cluster.client().clone()).await?;
    let callers = Callers::start(cluster.client(), published, plan, balancer.address());
    let mut restarts = 0;
    while started.elapsed() < plan.limit && !is_enough(plan, &callers, restarts) {
        roll(&mut replicas[restarts % 2], &balancer).await?;
        restarts += 1;
    }
    let took = started.elapsed();
    let rotations = callers.published().rotations();
    let (through_api, direct) = callers.end().await?;
    Ok(Report { through_api, direct, restarts, rotations, took })
}

fn is_enough(plan: &Plan, callers: &Callers, restarts: usize) -> bool {
    let (through_api, direct) = callers.made();
    let rotated = callers.published().rotations() >= plan.rotations;
    through_api >= plan.through_api && direct >= plan.direct && restarts >= plan.restarts && rotated
}

/// Restarts one replica like a rollout: the other one is called meanwhile, and the next restart
/// waits until this one is called again.
async fn roll(replica: &mut Replica, balancer: &Balancer) -> Result<()> {
    replica.stop()?;
    replica.start().await?;
    eventually(SOON, "both replicas are called", async || balancer.all_in()).await
}
