//! Reclaims volumes whose claims are deleted: `evidence.rs` reads the facts, `plan.rs` decides,
//! `controller.rs` acts. `retain.rs` records that a volume is kept.

pub mod controller;
mod evidence;
pub mod plan;
pub mod retain;

use std::path::Path;

/// Logs a warning if the mounts of pods cannot be seen.
pub fn warn_without(pods_dir: &Path) {
    if !pods_dir.is_dir() {
        let path = pods_dir.display();
        tracing::warn!(%path, "could not find the kubelet's pod directory, mounts of pods may be missed");
    }
}
