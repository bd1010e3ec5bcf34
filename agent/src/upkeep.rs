//! Periodic work: checks the pools, compares them with the cluster, empties the trash, measures
//! usage.
//!
//! It decides nothing about a volume: the workers reconcile what it finds.

pub(crate) mod blocked;
pub mod condition;
pub mod pools;
pub mod scan;
pub mod trash;
pub mod unmounts;
pub(crate) mod unwatched;
pub(crate) mod usage;

use fastrak_api::duration::parse_positive;
use fastrak_runtime::shutdown::Shutdown;
use std::convert::Infallible;
use std::time::Duration;

/// The flags of the periodic work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct UpkeepArgs {
    /// The interval of the scan for directories without a PersistentVolume and without a claim, and
    /// for bound claims without their node label.
    #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = parse_positive)]
    pub orphan_scan: Duration,
    /// Percentage of a pool's size that restorable deleted volumes may hold, by their granted sizes.
    /// Above it, volumes of the namespace with the largest share are evicted, the oldest first.
    #[arg(long, default_value = "25", value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub trash_max_percent: u8,
    /// The interval of the usage measurement.
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = parse_positive)]
    pub usage_interval: Duration,
}

/// Runs `then` after `first`, unless shutdown is requested earlier.
pub(crate) async fn after(
    first: impl Future<Output = ()>,
    shutdown: Shutdown,
    then: impl Future<Output = Result<(), Infallible>>,
) -> Result<(), Infallible> {
    match unless(&shutdown, first).await {
        Some(()) => then.await,
        None => Ok(()),
    }
}

/// Returns the result of `work`, or `None` if shutdown is requested earlier.
pub(crate) async fn unless<T>(shutdown: &Shutdown, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = shutdown.requested() => None,
        done = work => Some(done),
    }
}
