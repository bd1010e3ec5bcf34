//! The removals in progress, one in each pool, kept between their steps. Restarting a removal for
//! each step would list a large directory again for every few hundred names.
//!
//! The caller decides what to remove. A volume whose removal has started cannot be restored: open
//! directories are emptied wherever they move.

use crate::host::removal::{Budget, Progress, Removal, SubvolumeRecords};
use crate::host::{Dir, HostError};
use crate::volumes::layout;
use fastrak_api::pool::PoolName;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::ops::Bound;
use std::sync::Arc;

/// The number of consecutive steps of one removal before another has its turn. A volume to which a
/// process still writes never finishes.
const TURN: u32 = 1_000;

/// The removals in progress. Clones share their state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Removals {
    by_pool: Arc<Mutex<BTreeMap<PoolName, ActiveRemoval>>>,
    listings: Arc<Mutex<BTreeMap<PoolName, Listing>>>,
}

/// The content of a pool's trash. It is read once for many steps: listing a large trash may take as
/// long as a step, some milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    /// The number of volumes, including restorable ones.
    pub(crate) entries: usize,
    // The names to remove.
    names: BTreeSet<OsString>,
    // The number of steps that used this listing.
    steps: u32,
}

#[derive(Debug)]
struct ActiveRemoval {
    removal: Removal,
    steps: u32,
}

impl Removals {
    /// Returns the name to remove now: the one in progress, or the next one after its turn. Never
    /// one of `skipped`.
    pub(crate) fn choose(
        &self,
        pool: &PoolName,
        listing: &Listing,
        skipped: &BTreeSet<OsString>,
    ) -> Option<OsString> {
        let removals = self.by_pool.lock();
        let Some(ActiveRemoval { removal, steps }) = removals.get(pool) else {
            return listing.after(None, skipped);
        };
        let last = removal.name();
        if *steps < TURN && listing.names.contains(last) && !skipped.contains(last) {
            return Some(last.to_owned());
        }
        listing.after(Some(last), skipped).or_else(|| listing.after(None, skipped))
    }

    /// Returns the listing of an earlier step if it is recent enough.
    pub(crate) fn take_listing(&self, pool: &PoolName) -> Option<Listing> {
        self.listings.lock().remove(pool)
    }

    /// Keeps the listing for the next step.
    pub(crate) fn keep_listing(&self, pool: &PoolName, mut listing: Listing) {
        listing.steps += 1;
        if listing.steps < TURN {
            self.listings.lock().insert(pool.clone(), listing);
        }
    }

    /// Removes a part of `name` in a pool's trash. Starts the removal with `records` if necessary.
    /// Returns the number of files and directories that this step has removed.
    pub(crate) fn step(
        &self,
        pool: &PoolName,
        (trash, name): (&Dir, &OsStr),
        records: impl FnOnce() -> SubvolumeRecords,
        budget: Budget,
    ) -> (Progress, u64) {
        // Removed from the map and not locked, because the disk may be slow.
        let known = self.by_pool.lock().remove(pool).filter(|known| known.removal.name() == name);
        let new = || ActiveRemoval { removal: Removal::new(name, records()), steps: 0 };
        let ActiveRemoval { mut removal, steps } = known.unwrap_or_else(new);
        let before = removal.removed();
        let progress = removal.step(trash, budget);
        let removed = removal.removed().saturating_sub(before);
        if progress == Progress::More {
            // The only removal starts another turn.
            let steps = if steps < TURN { steps + 1 } else { 0 };
            self.by_pool.lock().insert(pool.clone(), ActiveRemoval { removal, steps });
        }
        (progress, removed)
    }

    /// Drops the removals of other pools: their open directories would block an unmount.
    pub(crate) fn retain(&self, pools: &[PoolName]) {
        self.by_pool.lock().retain(|pool, _| pools.contains(pool));
        self.listings.lock().retain(|pool, _| pools.contains(pool));
    }
}

impl Listing {
    /// Reads the trash.
    pub(crate) fn read(trash: &Dir) -> Result<Self, HostError> {
        let names = trash.names(usize::MAX)?;
        let entries = names.len();
        // A restorable volume is marked for removal first (`review.rs`).
        let goes = names.into_iter().filter(|name| layout::volume(name).is_none());
        Ok(Self { entries, names: goes.collect(), steps: 0 })
    }

    /// Removes a name from the listing.
    pub(crate) fn remove(&mut self, name: &OsStr) {
        self.entries -= usize::from(self.names.remove(name));
    }

    /// Returns how many of `skipped` are in the listing.
    pub(crate) fn count(&self, skipped: &BTreeSet<OsString>) -> usize {
        skipped.iter().filter(|name| self.names.contains(*name)).count()
    }

    /// Returns the first name after `last` to remove that is not in `skipped`.
    pub(crate) fn after(
        &self,
        last: Option<&OsStr>,
        skipped: &BTreeSet<OsString>,
    ) -> Option<OsString> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut following = self.names.range::<OsStr, _>((from, Bound::Unbounded));
        following.find(|name| !skipped.contains(*name)).cloned()
    }
}
