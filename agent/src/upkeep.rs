//! Periodic work: checks the pools, compares them with the cluster, empties the trash, measures usage.
//!
//! It decides nothing about a volume: the workers reconcile what it finds.

pub mod blocked;
pub mod condition;
pub mod pools;
pub mod scan;
pub mod trash;
pub mod unmounts;
pub mod unwatched;
pub mod usage;

use fastrak_runtime::shutdown::Shutdown;
use std::convert::Infallible;
use std::time::Duration;

/// The settings of the periodic work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upkeep {
    /// The interval of the orphan scan.
    pub orphan_scan: Duration,
    /// How much of a pool restorable volumes may hold, in percent.
    pub trash_percent: u8,
    /// The interval of the usage measurement.
    pub usage: Duration,
}

/// Runs `then` after `first`, unless shutdown is requested earlier.
pub async fn after(
    first: impl Future<Output = ()>,
    shutdown: Shutdown,
    then: impl Future<Output = Result<(), Infallible>>,
) -> Result<(), Infallible> {
    tokio::select! {
        biased;
        () = shutdown.requested() => Ok(()),
        () = first => then.await,
    }
}
