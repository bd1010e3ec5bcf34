//! Evicts volumes from the trash to free space for a claim.
//!
//! `plan.rs` decides, based on the latest review: many claims may wait for space, and each would
//! otherwise read every record in the trash.

use crate::host::{Dir, HostError};
use crate::pools::OpenPool;
use crate::volumes::trash::plan::{self, Entry};
use crate::volumes::trash::review::{self, Examined, Opened, PurgedVolume};
use crate::volumes::{Store, VolumeError, layout};
use fastrak_api::pool::PoolName;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The restorable volumes of each pool at the latest review.
#[derive(Debug, Default)]
pub(crate) struct Listings {
    by_pool: Mutex<BTreeMap<PoolName, Listing>>,
}

#[derive(Debug)]
struct Listing {
    entries: Vec<Entry>,
    // The sum of the evictable bytes.
    evictable: u64,
}

impl Store {
    /// Evicts volumes from a pool's trash so that a claim in namespace `requester` gets `bytes`. Evicts
    /// none if all evictable volumes together are too small.
    pub fn evict_trash(
        &self,
        pool: &PoolName,
        (bytes, requester): (u64, &str),
        now: i64,
    ) -> Result<Vec<PurgedVolume>, VolumeError> {
        let listings = &self.signals.listings;
        if !listings.may_suffice(pool, bytes) {
            return Ok(Vec::new());
        }
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        let lost = evict(listings, &pool, (bytes, requester), now).map_err(VolumeError::Sort)?;
        if !lost.is_empty() {
            self.signals.evicting.store(true, Ordering::Relaxed);
        }
        Ok(lost)
    }
}

fn evict(
    listings: &Listings,
    pool: &OpenPool<'_>,
    (bytes, requester): (u64, &str),
    now: i64,
) -> Result<Vec<PurgedVolume>, HostError> {
    let name = &pool.config.name;
    let (trash, entries) = match listings.take(name) {
        Some(entries) => (pool.dir.open_if_there(OsStr::new(layout::TRASH))?, entries),
        None => review::open(pool, now)?.map_or((None, Vec::new()), |opened| {
            let Opened { trash, entries, .. } = opened;
            (Some(trash), entries)
        }),
    };
    let Some(trash) = trash else { return Ok(Vec::new()) };
    let leaving = plan::choose_evictions(&entries, bytes, requester);
    let leaving: Vec<_> = leaving.iter().filter_map(|at| entries.get(*at)).collect();
    let lost: Vec<_> = leaving.iter().filter_map(|entry| purge(&trash, entry, now)).collect();
    if !leaving.is_empty() {
        trash.sync()?;
        // The next review lists the rest.
        return Ok(lost);
    }
    listings.set(name, entries);
    Ok(lost)
}

/// Marks a volume for removal unless it was restored since the listing, and possibly deleted again.
fn purge(trash: &Dir, listed: &Entry, now: i64) -> Option<PurgedVolume> {
    let Ok(Examined::Restorable(entry)) = review::examine(trash, &listed.id, now) else {
        return None;
    };
    if entry.may_be_evicted() { review::purge(trash, &entry) } else { None }
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

    /// Returns whether the known evictable bytes suffice. An unreviewed trash may suffice.
    fn may_suffice(&self, pool: &PoolName, bytes: u64) -> bool {
        self.lock().get(pool).is_none_or(|listing| listing.evictable >= bytes)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PoolName, Listing>> {
        self.by_pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
