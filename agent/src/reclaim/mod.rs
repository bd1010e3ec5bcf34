//! Removing volumes whose claims are gone: decided in `plan.rs` and done in `controller.rs` for those that
//! have a PersistentVolume, and in `orphans/` for directories without one.

pub mod controller;
pub mod orphans;
mod owners;
pub mod plan;

use std::path::Path;

/// Says so where the mounts of pods cannot be seen.
pub fn warn_without(pods_dir: &Path) {
    if !pods_dir.is_dir() {
        let path = pods_dir.display();
        tracing::warn!(%path, "the kubelet's folder of pods is not here: their mounts may not be seen");
    }
}
