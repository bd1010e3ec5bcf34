//! The removals of trashed volumes that are under way, one in each pool, kept between their steps so
//! that none begins anew each time: a large folder that is read again from its start for every few
//! hundred names costs as many times more as it is larger.
//!
//! Which volume is to be removed is decided elsewhere, and nobody may bring one back whose removal has
//! begun: what is open is emptied wherever it is.

use crate::host::reap::{Budget, Notes, Progress, Removal};
use crate::host::{Dir, HostError};
use crate::volumes::layout;
use fastrak_api::pool::PoolName;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// After so many steps of one removal, in a row, others have their turn: a volume to which someone still
/// writes is never done.
const TURN: u32 = 1_000;

/// The removals that are under way. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Removals {
    by_pool: Arc<Mutex<BTreeMap<PoolName, UnderWay>>>,
    listings: Arc<Mutex<BTreeMap<PoolName, Listing>>>,
}

/// What is in a pool's trash. It is read once for many steps: a step takes some milliseconds, and so may
/// the reading of a trash with many volumes.
#[derive(Clone, Debug)]
pub struct Listing {
    /// How many volumes, also those that can be had back.
    pub entries: usize,
    // Those that are to be removed.
    names: BTreeSet<OsString>,
    // For how many steps it was used.
    steps: u32,
}

#[derive(Debug)]
struct UnderWay {
    removal: Removal,
    steps: u32,
}

/// What a step has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How the removal stands.
    pub progress: Progress,
    /// How many files and folders this step has removed.
    pub removed: u64,
}

impl Removals {
    /// Which of the names in a pool's trash is to be removed now, and is not one of `skipped`: the one that
    /// is under way, or the next when it has had its turn.
    pub fn choose(
        &self,
        pool: &PoolName,
        listing: &Listing,
        skipped: &BTreeSet<OsString>,
    ) -> Option<OsString> {
        let removals = self.lock();
        let Some(UnderWay { removal, steps }) = removals.get(pool) else {
            return listing.after(None, skipped);
        };
        let last = removal.name();
        if *steps < TURN && listing.names.contains(last) && !skipped.contains(last) {
            return Some(last.to_owned());
        }
        listing.after(Some(last), skipped).or_else(|| listing.after(None, skipped))
    }

    /// What was in a pool's trash when it was read for an earlier step, if that is not too long ago.
    pub fn take_listing(&self, pool: &PoolName) -> Option<Listing> {
        self.listings().remove(pool)
    }

    /// Keeps it for the next step.
    pub fn keep_listing(&self, pool: &PoolName, mut listing: Listing) {
        listing.steps += 1;
        if listing.steps < TURN {
            self.listings().insert(pool.clone(), listing);
        }
    }

    /// Removes a part of `name` in a pool's trash. The removal is begun if it was not, with `notes`.
    pub fn step(
        &self,
        pool: &PoolName,
        (trash, name): (&Dir, &OsStr),
        notes: impl FnOnce() -> Notes,
        budget: Budget,
    ) -> Step {
        // Taken out and not held: the disk may take its time.
        let known = self.lock().remove(pool).filter(|known| known.removal.name() == name);
        let new = || UnderWay { removal: Removal::new(name, notes()), steps: 0 };
        let UnderWay { mut removal, steps } = known.unwrap_or_else(new);
        let before = removal.removed();
        let progress = removal.step(trash, budget);
        let removed = removal.removed().saturating_sub(before);
        if progress == Progress::More {
            // Of the only one there is, the turn begins anew.
            let steps = if steps < TURN { steps + 1 } else { 0 };
            self.lock().insert(pool.clone(), UnderWay { removal, steps });
        }
        Step { progress, removed }
    }

    /// Forgets those in other pools: what they have open would keep a disk from being taken away.
    pub fn retain(&self, pools: &[PoolName]) {
        self.lock().retain(|pool, _| pools.contains(pool));
        self.listings().retain(|pool, _| pools.contains(pool));
    }

    fn listings(&self) -> MutexGuard<'_, BTreeMap<PoolName, Listing>> {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PoolName, UnderWay>> {
        self.by_pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listing {
    /// What is in the trash now.
    pub fn read(trash: &Dir) -> Result<Self, HostError> {
        let names = trash.names(usize::MAX)?;
        let entries = names.len();
        // What can be had back is given up first, in `sort.rs`.
        let goes = names.into_iter().filter(|name| layout::restorable(name).is_none());
        Ok(Self { entries, names: goes.collect(), steps: 0 })
    }

    /// A name is gone from the trash.
    pub fn remove(&mut self, name: &OsStr) {
        self.entries -= usize::from(self.names.remove(name));
    }

    /// How many of `skipped` are in it.
    #[must_use]
    pub fn count(&self, skipped: &BTreeSet<OsString>) -> usize {
        skipped.iter().filter(|name| self.names.contains(*name)).count()
    }

    /// The first name to be removed after `last` that is not one of `skipped`.
    #[must_use]
    pub fn after(&self, last: Option<&OsStr>, skipped: &BTreeSet<OsString>) -> Option<OsString> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut following = self.names.range::<OsStr, _>((from, Bound::Unbounded));
        following.find(|name| !skipped.contains(*name)).cloned()
    }
}
