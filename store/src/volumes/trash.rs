//! The trash and the leftovers of interrupted work: removes them in small steps.
//!
//! It removes only what is in the trash or in the staging directory. A volume that can be restored
//! has to be marked for removal first (`review.rs`).

mod contents;
pub mod discard;
mod evict;
pub mod plan;
pub(crate) mod removals;
pub mod restore;
pub mod review;
pub(crate) mod signals;
pub(crate) mod trashed;

use crate::host::removal::{self, Budget, Obstacle, Progress};
use crate::host::{Dir, HostError, Operation};
use crate::pools::OpenPool;
use crate::volumes::quota::groups;
use crate::volumes::trash::discard::sync_both;
use crate::volumes::trash::removals::Listing;
use crate::volumes::{Store, VolumeError, layout};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::chain::Chain;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

/// The state of a pool's trash after a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrashState {
    /// The pool.
    pub pool: PoolName,
    /// Whether a further step can remove more.
    pub more: bool,
    /// The number of volumes in the trash.
    pub entries: usize,
    /// The number of files and directories that this step has removed.
    pub removed: u64,
    /// The number of volumes that were skipped.
    pub skipped: usize,
    /// The volumes that cannot be removed now, each with its obstacle.
    pub blocked: Vec<(OsString, Obstacle)>,
}

impl Store {
    /// Flushes the trash of every pool. The attempt that moved a volume into the trash may have
    /// been interrupted before its sync; a power failure would then bring the volume back, even
    /// after the trash was emptied.
    pub fn sync_trash(&self) -> Result<(), VolumeError> {
        for pool in self.pools.open_all() {
            let pool = pool.map_err(VolumeError::Pool)?;
            sync_pool_trash(&pool.dir).map_err(VolumeError::Discard)?;
        }
        Ok(())
    }

    /// Removes as much as `budget` allows from the trash of every usable pool, except `skipped`.
    pub fn empty_trash(
        &self,
        budget: impl Into<Budget>,
        skipped: &BTreeSet<OsString>,
    ) -> Vec<TrashState> {
        let budget = budget.into();
        let pools: Vec<_> = self.pools.open_all().flatten().collect();
        let names: Vec<_> = pools.iter().map(|pool| pool.config.name.clone()).collect();
        self.removals.retain(&names);
        let empty = |pool| {
            self.empty_one(pool, budget, skipped).inspect_err(|error| {
                let pool = &pool.config.name;
                tracing::warn!(%pool, error = %Chain(error), "could not read the trash");
            })
        };
        pools.iter().flat_map(empty).collect()
    }

    fn empty_one(
        &self,
        pool: &OpenPool<'_>,
        budget: Budget,
        skipped: &BTreeSet<OsString>,
    ) -> Result<TrashState, HostError> {
        let mut state = TrashState { pool: pool.config.name.clone(), ..TrashState::default() };
        let Some(trash) = pool.dir.open_if_exists(layout::TRASH)? else {
            return Ok(state);
        };
        let mut listing = match self.removals.take_listing(&pool.config.name) {
            Some(listing) => listing,
            None => Listing::read(&trash)?,
        };
        state.skipped = listing.count(skipped);
        state.entries = listing.entries;
        let Some(name) = self.removals.choose(&pool.config.name, &listing, skipped) else {
            return Ok(state);
        };
        let records = || groups::subvolume_records(&pool.dir);
        let (progress, removed) =
            self.removals.step(&pool.config.name, (&trash, &name), records, budget);
        state.removed = removed;
        match progress {
            Progress::Removed => {
                listing.remove(&name);
                if listing.after(None, skipped).is_none() {
                    // Volumes may have been added in the meantime.
                    listing = Listing::read(&trash)?;
                }
                state.more = listing.after(None, skipped).is_some();
            }
            Progress::More => state.more = true,
            Progress::Blocked(obstacle) => {
                state.blocked.push((name, obstacle));
                state.more = true;
            }
        }
        state.entries = listing.entries;
        if state.more {
            self.removals.keep_listing(&pool.config.name, listing);
        }
        Ok(state)
    }
}

fn sync_pool_trash(pool: &Dir) -> Result<(), HostError> {
    match pool.open_if_exists(layout::TRASH)? {
        Some(trash) => sync_both(pool, &trash),
        None => Ok(()),
    }
}

/// Returns whether the volume is in the pool's trash, restorable or being removed.
pub(crate) fn has(pool: &OpenPool<'_>, id: &VolumeId) -> Result<bool, HostError> {
    let Some(trash) = pool.dir.open_if_exists(layout::TRASH)? else { return Ok(false) };
    for n in 0..2 {
        if trash.kind_of(layout::trash_name(id, n))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes a small tree in a directory of a pool in one step.
pub(crate) fn remove_now(pool: &Dir, dir: &Dir, name: &OsStr) -> Result<(), HostError> {
    // Usually there is nothing, and the pool's quota support need not be read.
    if dir.kind_of(name)?.is_none() {
        return Ok(());
    }
    removal::remove(dir, name, groups::subvolume_records(pool)).map_err(
        |Obstacle { path, errno }| HostError {
            verb: Operation::Remove,
            what: path.display().to_string(),
            errno,
        },
    )
}
