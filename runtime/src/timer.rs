//! Timers.

use tokio::time::Instant;

/// Waits until `due`, or for ever if nothing is due.
pub async fn reached(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
