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
