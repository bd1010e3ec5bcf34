//! Calls that must not fail, while both replicas are restarted over and over and the authority behind
//! their certificates changes: through a real API server, by writes that it does not store, and by a
//! client that calls the webhook directly and believes what is published at that moment.
//!
//! The registration is the one that ships but for its failure policy: here it is Fail, so that a
//! call that the API server could not make is seen. It makes no load: callers keep to a pace.

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

/// How long a replica may take to be called again.
const SOON: Duration = Duration::from_secs(30);
/// Longer than the balancer takes to send connections elsewhere.
const DRAIN: &str = "--drain=2s";

/// How much is to happen.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Writes through the API server.
    pub through_api: usize,
    /// Direct calls.
    pub direct: usize,
    /// Restarts, of both replicas in turn.
    pub restarts: usize,
    /// New authorities, each up to a certificate of it that is shown.
    pub rotations: usize,
    /// How long an authority lasts; another comes after two thirds of it.
    pub authority_lasts: Duration,
    /// The time over which the calls are spread. They go on until all else has happened.
    pub spread: Duration,
    /// After this no further restart begins, whatever is short of the plan.
    pub limit: Duration,
}

/// What happened.
#[derive(Debug)]
pub struct Report {
    /// Writes through the API server.
    pub through_api: Tally,
    /// Direct calls.
    pub direct: Tally,
    /// Restarts.
    pub restarts: usize,
    /// New authorities of which a certificate was shown.
    pub rotations: usize,
    /// The time it took.
    pub took: Duration,
}

impl Plan {
    /// The rolling_restarts whose figures are published.
    #[must_use]
    pub fn full() -> Self {
        Self {
            through_api: 20_000,
            direct: 80_000,
            restarts: 20,
            rotations: 3,
            authority_lasts: Duration::from_secs(60),
            spread: Duration::from_secs(120),
            limit: Duration::from_secs(300),
        }
    }

    /// A small one, for a test.
    #[must_use]
    pub fn small() -> Self {
        Self {
            through_api: 500,
            direct: 1_500,
            restarts: 4,
            rotations: 1,
            authority_lasts: Duration::from_secs(20),
            spread: Duration::from_secs(15),
            limit: Duration::from_secs(50),
        }
    }
}

fn rotation_flags(plan: &Plan) -> Vec<String> {
    let seconds = plan.authority_lasts.as_secs();
    vec![
        format!("--ca-lifetime={seconds}s"),
        format!("--certificate-lifetime={}s", seconds / 2),
        "--bundle-settle=3s".to_owned(),
        "--certificate-poll=1".to_owned(),
    ]
}

/// Runs it with two replicas of this program.
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

/// One replica goes and comes back, as a rollout has it: the other one is called meanwhile, and
/// the next does not go before this one is called again.
async fn roll(replica: &mut Replica, balancer: &Balancer) -> Result<()> {
    replica.stop()?;
    replica.start().await?;
    eventually(SOON, "both replicas are called", async || balancer.all_in()).await
}
