//! Both programs together, on whole clusters.
//!
//! One test at a time: each starts a cluster of its own, and two of them on a machine with two
//! processors only slow each other down.
#![cfg(test)]

mod addresses;
mod documented_commands;
mod existing_volumes;
mod imports;
mod outage;
mod playground;
mod rolling_restarts;
mod whole_product;

use tokio::sync::{Mutex, MutexGuard};

/// Waits until no other test of this binary has a cluster. The turn ends on drop.
pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    static CLUSTER: Mutex<()> = Mutex::const_new(());
    CLUSTER.lock().await
}
