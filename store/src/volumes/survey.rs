//! What is in the pools: the directories of volumes. What unfinished work has left is removed on the
//! way.
//!
//! It does not know which of them have an owner.

use crate::host::{Dir, HostError};
use crate::pools::OpenPool;
use crate::volumes::trash::remove_now;
use crate::volumes::{Store, VolumeError, import, layout};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::chain::Chain;
use std::collections::HashSet;
use std::ffi::OsStr;

/// What is in one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The pool.
    pub pool: PoolName,
    /// The identities in the names of its directories.
    pub volumes: HashSet<VolumeId>,
    /// How many volumes the kernel had to be told the size of once more.
    pub corrected: usize,
    /// How many it should hold to their size, and does not.
    pub unlimited: usize,
}

impl Store {
    /// What is in every pool that can be used and read.
    #[must_use]
    pub fn survey(&self) -> Vec<Content> {
        let read = self.pools.open_all().flatten().filter_map(|pool| {
            // Its own trouble: a leftover that cannot be removed now hides no volume.
            if let Err(error) = self.clear_staging(&pool) {
                warn(&pool, &error);
            }
            self.sweep_projects(&pool);
            self.sweep_groups(&pool);
            match self.list(&pool) {
                Ok(content) => Some(content),
                Err(error) => {
                    warn(&pool, &error);
                    None
                }
            }
        });
        read.collect()
    }

    fn list(&self, pool: &OpenPool<'_>) -> Result<Content, VolumeError> {
        let mut volumes = HashSet::new();
        for name in self.reconcile(pool)? {
            if let layout::Entry::Volume(id) = layout::entry(&name) {
                volumes.insert(id);
            }
        }
        let (mut corrected, mut unlimited) = (0, 0);
        for id in &volumes {
            match self.hold(pool, id) {
                Ok(told) => corrected += usize::from(told),
                Err(error) => {
                    unlimited += 1;
                    let volume = id.volume_name();
                    tracing::warn!(volume, error = %Chain(&error), "cannot see to it that a volume is held to its size");
                }
            }
        }
        Ok(Content { pool: pool.config.name.clone(), volumes, corrected, unlimited })
    }

    /// Removes what an earlier process, or a try that failed, has left half made. Goes on past what
    /// cannot be removed.
    fn clear_staging(&self, pool: &OpenPool<'_>) -> Result<(), VolumeError> {
        let staging = pool.dir.open_if_there(OsStr::new(layout::STAGING));
        let Some(staging) = staging.map_err(VolumeError::Look)? else { return Ok(()) };
        let mut outcome = Ok(());
        for name in staging.names(usize::MAX).map_err(VolumeError::Look)? {
            // Held over the removal: a volume that is begun meanwhile under this name waits.
            let making = self.making();
            if !making.contains(&name)
                && let Err(error) = clear(&pool.dir, &staging, &name)
            {
                outcome = Err(VolumeError::Discard(error));
            }
        }
        outcome
    }
}

/// A leftover that holds imported data is a volume but for its place.
fn clear(pool: &Dir, staging: &Dir, name: &OsStr) -> Result<(), HostError> {
    if import::finish(pool, staging, name)? { Ok(()) } else { remove_now(pool, staging, name) }
}

fn warn(pool: &OpenPool<'_>, error: &VolumeError) {
    let pool = &pool.config.name;
    tracing::warn!(%pool, error = %Chain(error), "could not read all of the pool");
}
