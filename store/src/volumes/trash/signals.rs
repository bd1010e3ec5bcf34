//! The state of the trash between calls: reasons to process it early, and the latest listings.

use crate::volumes::trash::plan::{self, Entry};
use fastrak_api::pool::PoolName;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

/// Reasons to process the trash before the next interval.
#[derive(Debug, Default)]
pub(crate) struct TrashSignals {
    // A restorable volume was added.
    pub(crate) unreviewed: AtomicBool,
    // A volume is being removed because its space is needed.
    pub(crate) evicting: AtomicBool,
    // The restorable volumes at the latest review.
    pub(crate) listings: Listings,
}

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

impl Listings {
    pub(crate) fn set(&self, pool: &PoolName, entries: Vec<Entry>) {
        let evictable = plan::evictable(&entries);
        self.by_pool.lock().insert(pool.clone(), Listing { entries, evictable });
    }

    pub(crate) fn forget(&self, pool: &PoolName) {
        self.by_pool.lock().remove(pool);
    }

    pub(crate) fn take(&self, pool: &PoolName) -> Option<Vec<Entry>> {
        self.by_pool.lock().remove(pool).map(|listing| listing.entries)
    }

    /// Returns whether the known evictable bytes suffice. An unreviewed trash may suffice.
    pub(crate) fn may_suffice(&self, pool: &PoolName, bytes: u64) -> bool {
        self.by_pool.lock().get(pool).is_none_or(|listing| listing.evictable >= bytes)
    }
}
