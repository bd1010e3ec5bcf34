//! Reclaims volumes whose claims are deleted: `evidence.rs` reads the facts, `plan.rs` decides,
//! `controller.rs` acts. `retain.rs` records that a volume is kept.

pub(crate) mod controller;
mod evidence;
pub(crate) mod plan;
pub(crate) mod retain;

use std::path::Path;

/// Logs a warning if the mounts of pods cannot be seen.
pub(crate) fn warn_without(pods_dir: &Path) {
    if !pods_dir.is_dir() {
        let path = pods_dir.display();
        tracing::warn!(%path, "could not find the kubelet's pod directory, so mounts of pods may be missed; check --pods-dir");
    }
}
