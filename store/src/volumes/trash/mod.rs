//! The trash and what unfinished work has left: seeing to it that it stays away, and emptying it in
//! steps short enough to pause between.
//!
//! It removes nothing that has not been moved into the trash or the staging folder before, and nothing
//! there that can be had back: that has to be given up first, in `sort.rs`.

pub mod discard;
mod evict;
pub mod plan;
pub mod removals;
pub mod restore;
pub mod sort;
pub mod trashed;

use crate::host::reap::{self, Budget, Obstacle, Progress};
use crate::host::{Dir, HostError, Verb};
use crate::pools::OpenPool;
use crate::volumes::quota::groups;
use crate::volumes::trash::discard::settle;
use crate::volumes::trash::removals::Listing;
use crate::volumes::{Store, VolumeError, layout};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

/// How one pool's trash stands after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrashState {
    /// The pool.
    pub pool: PoolName,
    /// Whether a further step can remove more.
    pub more: bool,
    /// How many volumes are still in it.
    pub entries: usize,
    /// How many files and folders this step has removed.
    pub removed: u64,
    /// How many of them were skipped.
    pub skipped: usize,
    /// Those that cannot be removed now, each with what is in the way.
    pub stuck: Vec<(OsString, Obstacle)>,
}

impl Store {
    /// Makes sure that what is gone stays gone: the try that moved a volume into the trash may have been
    /// cut off before that was on the disk, and then a power cut brings the volume back, also when the
    /// trash has been emptied since.
    pub fn settle(&self) -> Result<(), VolumeError> {
        for pool in self.pools.open_all() {
            let pool = pool.map_err(VolumeError::Pool)?;
            sync_trash(&pool.dir).map_err(VolumeError::Discard)?;
        }
        Ok(())
    }

    /// Removes as much as `budget` allows from the trash of every pool that can be used. Entries in
    /// `skipped` are left for later.
    pub fn empty_trash(
        &self,
        budget: impl Into<Budget>,
        skipped: &BTreeSet<OsString>,
    ) -> Vec<TrashState> {
        let budget = budget.into();
        let pools: Vec<_> = self.pools.open_all().flatten().collect();
        let names: Vec<_> = pools.iter().map(|pool| pool.config.name.clone()).collect();
        self.removals.retain(&names);
        let emptied = pools.iter().filter_map(|pool| match self.empty_one(pool, budget, skipped) {
            Ok(state) => Some(state),
            Err(error) => {
                let error = fastrak_runtime::chain::Chain(&error).to_string();
                tracing::warn!(pool = %pool.config.name, error, "could not look into the trash");
                None
            }
        });
        emptied.collect()
    }

    fn empty_one(
        &self,
        pool: &OpenPool<'_>,
        budget: Budget,
        skipped: &BTreeSet<OsString>,
    ) -> Result<TrashState, HostError> {
        let mut state = TrashState {
            pool: pool.config.name.clone(),
            more: false,
            entries: 0,
            removed: 0,
            skipped: 0,
            stuck: Vec::new(),
        };
        let Some(trash) = pool.dir.open_if_there(OsStr::new(layout::TRASH))? else {
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
        let notes = || groups::notes(&pool.dir);
        let step = self.removals.step(&pool.config.name, (&trash, &name), notes, budget);
        state.removed = step.removed;
        match step.progress {
            Progress::Gone => {
                listing.remove(&name);
                if listing.after(None, skipped).is_none() {
                    // More may have come meanwhile.
                    listing = Listing::read(&trash)?;
                }
                state.more = listing.after(None, skipped).is_some();
            }
            Progress::More => state.more = true,
            Progress::Stuck(obstacle) => {
                state.stuck.push((name, obstacle));
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

fn sync_trash(pool: &Dir) -> Result<(), HostError> {
    match pool.open_if_there(OsStr::new(layout::TRASH))? {
        Some(trash) => settle(pool, &trash),
        None => Ok(()),
    }
}

/// Whether the volume is in the pool's trash, to be had back or being removed.
pub(crate) fn has(pool: &OpenPool<'_>, id: &VolumeId) -> Result<bool, HostError> {
    let Some(trash) = pool.dir.open_if_there(OsStr::new(layout::TRASH))? else { return Ok(false) };
    for n in 0..2 {
        if trash.kind_of(&layout::trash_name(id, n))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes something small in a directory of a pool at once.
pub(crate) fn remove_now(pool: &Dir, dir: &Dir, name: &OsStr) -> Result<(), HostError> {
    // Most often there is nothing, and nothing more has to be asked.
    if dir.kind_of(name)?.is_none() {
        return Ok(());
    }
    reap::remove(dir, name, groups::notes(pool)).map_err(|Obstacle { path, errno }| HostError {
        verb: Verb::Remove,
        what: path.display().to_string(),
        errno,
    })
}
