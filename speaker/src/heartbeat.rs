//! Shows in the API server that this node answers for its addresses. Nodes that answer for none write
//! nothing.

use crate::leases::Leases;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// The time between two heartbeats.
const INTERVAL: Duration = Duration::from_secs(1);

/// Writes heartbeats while `answers` is true, until shutdown is requested.
pub async fn run(
    leases: Leases,
    mut answers: watch::Receiver<bool>,
    shutdown: Shutdown,
) -> Result<(), Infallible> {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            Ok(_) = answers.wait_for(|answers| *answers) => {}
            else => return Ok(()),
        }
        ticks.tick().await;
        if let Err(error) = leases.beat().await {
            tracing::warn!(error = %Chain(&error), "could not write the heartbeat");
        }
    }
}
