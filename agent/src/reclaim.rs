//! Reclaims volumes whose claims are deleted: `plan.rs` decides and `controller.rs` acts for volumes with a
//! PersistentVolume, `orphans/` handles directories without one.

pub mod controller;
pub mod orphans;
mod owners;
pub mod plan;

use std::path::Path;

/// Logs a warning if the mounts of pods cannot be seen.
pub fn warn_without(pods_dir: &Path) {
    if !pods_dir.is_dir() {
        let path = pods_dir.display();
        tracing::warn!(%path, "cannot see the kubelet's pod directory: mounts of pods may be missed");
    }
}
