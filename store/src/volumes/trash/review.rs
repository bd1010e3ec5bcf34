//! Reviews the volumes in the trash, and marks expired and evicted ones for removal.
//!
//! Marking renames a volume, and the rename is on the disk before any content is removed. A
//! restorable volume is therefore always complete. `plan.rs` decides.

use crate::host::HostError;
use crate::pools::OpenPool;
use crate::volumes::Store;
use crate::volumes::trash::contents::{self, Opened, purge, warn};
use crate::volumes::trash::plan::{self, Entry, TrashAction};
use fastrak_api::pool::PoolName;
use std::sync::atomic::Ordering;

/// The result of a review of one pool's trash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrashReview {
    /// The pool.
    pub pool: PoolName,
    /// The sum of the granted sizes of the restorable volumes.
    pub bytes: u64,
    /// The expired volumes.
    pub expired: Vec<Entry>,
    /// The evicted volumes.
    pub evicted: Vec<Entry>,
    /// The number of volumes with an unreadable record, which stay regardless of their age.
    pub unreadable: usize,
}

impl Store {
    /// Returns whether evicted volumes remain to be removed.
    #[must_use]
    pub fn has_pending_evictions(&self) -> bool {
        self.signals.evicting.load(Ordering::Relaxed)
    }

    /// Records that nothing in the trash can be removed now.
    pub fn clear_pending_evictions(&self) {
        self.signals.evicting.store(false, Ordering::Relaxed);
    }

    /// Returns whether a restorable volume was added to the trash since the previous call.
    #[must_use]
    pub fn take_unreviewed(&self) -> bool {
        self.signals.unreviewed.swap(false, Ordering::Relaxed)
    }

    /// Reviews the trash of every usable pool. Restorable volumes may hold `percent` of a pool's
    /// capacity.
    pub fn review_trash(&self, percent: u8, now: i64) -> Vec<TrashReview> {
        let pools = self.pools.open_all().flatten();
        let reviewed = pools.filter_map(|pool| match review(&pool, percent, now) {
            Ok((reviewed, stay)) => {
                self.signals.listings.set(&pool.config.name, stay);
                Some(reviewed)
            }
            Err(error) => {
                self.signals.listings.forget(&pool.config.name);
                warn(&pool.config.name, &error);
                None
            }
        });
        reviewed.collect()
    }
}

/// Returns the review, and the volumes that stay.
fn review(
    pool: &OpenPool<'_>,
    percent: u8,
    now: i64,
) -> Result<(TrashReview, Vec<Entry>), HostError> {
    let mut reviewed = TrashReview { pool: pool.config.name.clone(), ..TrashReview::default() };
    let Some(opened) = contents::open(pool, now)? else { return Ok((reviewed, Vec::new())) };
    let Opened { trash, entries, unreadable } = opened;
    reviewed.unreadable = unreadable;
    let most = pool.config.limits.total(pool.statfs.total) / 100 * u64::from(percent);
    let (actions, mut stay) = (plan::decide(&entries, Some(most)), Vec::new());
    for (entry, action) in entries.into_iter().zip(actions) {
        match action {
            TrashAction::Keep => {
                reviewed.bytes = reviewed.bytes.saturating_add(entry.bytes);
                stay.push(entry);
            }
            TrashAction::Expire => reviewed.expired.extend(purge(&trash, entry)),
            TrashAction::Evict => reviewed.evicted.extend(purge(&trash, entry)),
        }
    }
    // Before any content is removed. This includes volumes that an earlier review has marked and
    // not synced.
    trash.sync()?;
    Ok((reviewed, stay))
}
