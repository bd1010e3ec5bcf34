//! Taking volumes away whose claims are gone: decided in `plan.rs` and `orphans.rs`, done in
//! `controller.rs` for those that have an object and in `stray.rs` for directories without one.

pub mod controller;
pub mod orphans;
pub mod plan;
pub mod stray;

use crate::host::mounts;
use crate::volumes::layout;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::chain::Chain;
use std::path::Path;

/// Says so where the mounts of pods cannot be seen.
pub fn warn_without(pods_dir: &Path) {
    if !pods_dir.is_dir() {
        let path = pods_dir.display();
        tracing::warn!(%path, "the kubelet's folder of pods is not here: their mounts may not be seen");
    }
}

/// Whether something has the volume mounted; `None` where that cannot be told.
fn is_mounted(id: &VolumeId) -> Option<bool> {
    match mounts::all() {
        Ok(mounts) => Some(mounts.iter().any(|mount| layout::is_mount_of(mount, id))),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "mounts cannot be seen");
            None
        }
    }
}
