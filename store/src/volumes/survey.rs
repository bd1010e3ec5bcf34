//! Lists the volume directories of all pools, removes leftovers and sets lost quotas again.
//!
//! The survey does not know which directories have an owner.

use crate::host::{Dir, HostError};
use crate::pools::OpenPool;
use crate::volumes::trash::remove_now;
use crate::volumes::{Store, VolumeError, grow, import, layout};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::chain::Chain;
use std::collections::HashSet;
use std::ffi::OsStr;

/// The content of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The pool.
    pub pool: PoolName,
    /// The volumes that its directories are named after.
    pub volumes: HashSet<VolumeId>,
    /// The number of volumes whose kernel limit was set again.
    pub corrected: usize,
    /// The number of volumes whose kernel limit could not be checked or set.
    pub unlimited: usize,
}

impl Store {
    /// Surveys every pool that can be used and read.
    #[must_use]
    pub fn survey(&self) -> Vec<Content> {
        let read = self.pools.open_all().flatten().filter_map(|pool| {
            // A leftover that cannot be removed must not hide the volumes.
            if let Err(error) = self.clear_staging(&pool) {
                warn(&pool, &error);
            }
            self.sweep_projects(&pool);
            self.sweep_groups(&pool);
            self.list(&pool).inspect_err(|error| warn(&pool, error)).ok()
        });
        read.collect()
    }

    fn list(&self, pool: &OpenPool<'_>) -> Result<Content, VolumeError> {
        let volumes = self.reconcile(pool)?;
        let (mut corrected, mut unlimited) = (0, 0);
        for id in &volumes {
            match grow::reapply_limit(pool, id) {
                Ok(was_set) => corrected += usize::from(was_set),
                Err(error) => {
                    unlimited += 1;
                    let volume = id.volume_name();
                    tracing::warn!(volume, error = %Chain(&error), "could not enforce the volume's quota");
                }
            }
        }
        Ok(Content { pool: pool.config.name.clone(), volumes, corrected, unlimited })
    }

    /// Removes the leftovers of earlier processes and failed attempts. Continues after a failure.
    fn clear_staging(&self, pool: &OpenPool<'_>) -> Result<(), VolumeError> {
        let staging = pool.dir.open_if_exists(layout::STAGING);
        let Some(staging) = staging.map_err(VolumeError::Read)? else { return Ok(()) };
        let mut outcome = Ok(());
        for name in staging.names(usize::MAX).map_err(VolumeError::Read)? {
            // Locked during the removal: a creation under the same name waits.
            let creating = self.creating.lock();
            if !creating.contains(&name)
                && let Err(error) = clear(&pool.dir, &staging, &name)
            {
                outcome = Err(VolumeError::Discard(error));
            }
        }
        outcome
    }
}

/// Removes a leftover. One with imported data is moved to its path instead.
fn clear(pool: &Dir, staging: &Dir, name: &OsStr) -> Result<(), HostError> {
    if import::finish(pool, staging, name)? { Ok(()) } else { remove_now(pool, staging, name) }
}

fn warn(pool: &OpenPool<'_>, error: &VolumeError) {
    let pool = &pool.config.name;
    tracing::warn!(%pool, error = %Chain(error), "could not survey the whole pool");
}
