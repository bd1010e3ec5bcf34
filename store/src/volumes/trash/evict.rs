//! Evicts volumes from the trash to free space for a claim.
//!
//! `plan.rs` decides, based on the latest review: many claims may wait for space, and each would
//! otherwise read every record in the trash.

use crate::host::{Dir, HostError};
use crate::pools::OpenPool;
use crate::volumes::trash::contents::{self, Examined, Opened};
use crate::volumes::trash::plan::{self, Entry};
use crate::volumes::trash::signals::Listings;
use crate::volumes::{Store, VolumeError, layout};
use fastrak_api::pool::PoolName;
use std::sync::atomic::Ordering;

impl Store {
    /// Evicts volumes from a pool's trash so that a claim in namespace `requester` gets `bytes`.
    /// Evicts none if all evictable volumes together are too small.
    pub fn evict_trash(
        &self,
        pool: &PoolName,
        (bytes, requester): (u64, &str),
        now: i64,
    ) -> Result<Vec<Entry>, VolumeError> {
        let listings = &self.signals.listings;
        if !listings.may_suffice(pool, bytes) {
            return Ok(Vec::new());
        }
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        let evicted =
            evict(listings, &pool, (bytes, requester), now).map_err(VolumeError::ReadTrash)?;
        if !evicted.is_empty() {
            self.signals.evicting.store(true, Ordering::Relaxed);
        }
        Ok(evicted)
    }
}

fn evict(
    listings: &Listings,
    pool: &OpenPool<'_>,
    (bytes, requester): (u64, &str),
    now: i64,
) -> Result<Vec<Entry>, HostError> {
    let name = &pool.config.name;
    let (trash, entries) = match listings.take(name) {
        Some(entries) => (pool.dir.open_if_exists(layout::TRASH)?, entries),
        None => contents::open(pool, now)?.map_or((None, Vec::new()), |opened| {
            let Opened { trash, entries, .. } = opened;
            (Some(trash), entries)
        }),
    };
    let Some(trash) = trash else { return Ok(Vec::new()) };
    let chosen = plan::choose_evictions(&entries, bytes, requester);
    let chosen: Vec<_> = chosen.iter().filter_map(|at| entries.get(*at)).collect();
    let evicted: Vec<_> = chosen.iter().filter_map(|entry| purge(&trash, entry, now)).collect();
    if !chosen.is_empty() {
        trash.sync()?;
        // The next review lists the rest.
        return Ok(evicted);
    }
    listings.set(name, entries);
    Ok(evicted)
}

/// Marks a volume for removal unless it was restored since the listing, and possibly deleted again.
fn purge(trash: &Dir, listed: &Entry, now: i64) -> Option<Entry> {
    match contents::examine(trash, &listed.id, now) {
        Ok(Examined::Restorable(entry)) if entry.may_be_evicted() => contents::purge(trash, entry),
        _ => None,
    }
}
