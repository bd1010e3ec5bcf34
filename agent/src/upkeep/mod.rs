//! What is done at intervals: looking after the pools, comparing them with the cluster, emptying the
//! trash, finding out what volumes hold.
//!
//! It decides nothing about a volume: what it finds is handed to the workers.

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

/// How the pools are looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upkeep {
    /// How often to look for directories that belong to nobody.
    pub orphan_scan: Duration,
    /// How much of a pool deleted volumes may take that can be had back, in percent.
    pub trash_percent: u8,
    /// How often to find out what volumes hold.
    pub usage: Duration,
}

/// Does the one when the other is done, unless shutdown is requested before.
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
