//! Evicts volumes from the trash to make room for a claim.
//!
//! Which ones is decided in `plan.rs`, from what the last look through the trash has found: many claims
//! may wait for room, and each of them would otherwise read every record in the trash.

use crate::host::{Dir, HostError};
use crate::pools::OpenPool;
use crate::volumes::trash::plan::{self, Entry};
use crate::volumes::trash::sort::{self, Examined, Lost, Opened};
use crate::volumes::{Store, VolumeError, layout};
use fastrak_api::pool::PoolName;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What can be had back from the trash of each pool, as the last look has found it.
#[derive(Debug, Default)]
pub(crate) struct Listings {
    by_pool: Mutex<BTreeMap<PoolName, Listing>>,
}

#[derive(Debug)]
struct Listing {
    entries: Vec<Entry>,
    // What could be evicted of them, added up.
    evictable: u64,
}

impl Store {
    /// Evicts volumes from a pool's trash so that a claim in the namespace `requester` gets `bytes`. None
    /// are if all that may be evicted would not do.
    pub fn give_way(
        &self,
        pool: &PoolName,
        (bytes, requester): (u64, &str),
        now: i64,
    ) -> Result<Vec<Lost>, VolumeError> {
        let listings = &self.haste.listings;
        if !listings.may_do(pool, bytes) {
            return Ok(Vec::new());
        }
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        let lost = evict(listings, &pool, (bytes, requester), now).map_err(VolumeError::Sort)?;
        if !lost.is_empty() {
            self.haste.wanted.store(true, Ordering::Relaxed);
        }
        Ok(lost)
    }
}

fn evict(
    listings: &Listings,
    pool: &OpenPool<'_>,
    (bytes, requester): (u64, &str),
    now: i64,
) -> Result<Vec<Lost>, HostError> {
    let name = &pool.config.name;
    let (trash, entries) = match listings.take(name) {
        Some(entries) => (pool.dir.open_if_there(OsStr::new(layout::TRASH))?, entries),
        None => sort::open(pool, now)?.map_or((None, Vec::new()), |opened| {
            let Opened { trash, entries, .. } = opened;
            (Some(trash), entries)
        }),
    };
    let Some(trash) = trash else { return Ok(Vec::new()) };
    let leaving = plan::leave(&entries, bytes, requester);
    let leaving: Vec<_> = leaving.iter().filter_map(|at| entries.get(*at)).collect();
    let lost: Vec<_> = leaving.iter().filter_map(|entry| part_with(&trash, entry, now)).collect();
    if !leaving.is_empty() {
        trash.sync()?;
        // The next look lists what is left.
        return Ok(lost);
    }
    listings.set(name, entries);
    Ok(lost)
}

/// Gives up a volume, unless it was undeleted since it was listed, and maybe deleted again.
fn part_with(trash: &Dir, listed: &Entry, now: i64) -> Option<Lost> {
    let Ok(Examined::Restorable(entry)) = sort::examine(trash, &listed.id, now) else {
        return None;
    };
    if entry.may_be_evicted() { sort::part_with(trash, &entry) } else { None }
}

impl Listings {
    pub(crate) fn set(&self, pool: &PoolName, entries: Vec<Entry>) {
        let evictable = plan::evictable(&entries);
        self.lock().insert(pool.clone(), Listing { entries, evictable });
    }

    pub(crate) fn forget(&self, pool: &PoolName) {
        self.lock().remove(pool);
    }

    fn take(&self, pool: &PoolName) -> Option<Vec<Entry>> {
        self.lock().remove(pool).map(|listing| listing.entries)
    }

    /// Whether so many bytes may be found in a pool's trash, by what is known of it.
    fn may_do(&self, pool: &PoolName, bytes: u64) -> bool {
        self.lock().get(pool).is_none_or(|listing| listing.evictable >= bytes)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PoolName, Listing>> {
        self.by_pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
