//! Reviews the volumes in the trash, and marks expired and evicted ones for removal.
//!
//! Marking renames a volume, and the rename is on the disk before any content is removed. A restorable
//! volume is therefore always complete. `plan.rs` decides.

use crate::host::{Dir, HostError};
use crate::pools::OpenPool;
use crate::volumes::records::identity::{self, Record};
use crate::volumes::records::owner::{self, OwnerRecord};
use crate::volumes::trash::discard::mark_for_removal;
use crate::volumes::trash::evict::Listings;
use crate::volumes::trash::plan::{self, Entry, Fate};
use crate::volumes::trash::trashed::Trashed;
use crate::volumes::{Store, layout};
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, VolumeId};
use fastrak_runtime::chain::Chain;
use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The result of a review of one pool's trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrashReview {
    /// The pool.
    pub pool: PoolName,
    /// The number of restorable volumes.
    pub volumes: usize,
    /// The sum of their granted sizes.
    pub bytes: u64,
    /// The expired volumes.
    pub expired: Vec<PurgedVolume>,
    /// The evicted volumes.
    pub evicted: Vec<PurgedVolume>,
    /// The number of volumes with an unreadable record, which stay regardless of their age.
    pub unreadable: usize,
}

/// A volume that can no longer be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgedVolume {
    /// The volume.
    pub id: VolumeId,
    /// The last owner.
    pub owner: ClaimRef,
    /// The granted size.
    pub bytes: u64,
}

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

    /// Reviews the trash of every usable pool. Restorable volumes may hold `percent` of a pool's capacity.
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
    let name = pool.config.name.clone();
    let mut reviewed = TrashReview {
        pool: name,
        volumes: 0,
        bytes: 0,
        expired: Vec::new(),
        evicted: Vec::new(),
        unreadable: 0,
    };
    let Some(opened) = open(pool, now)? else { return Ok((reviewed, Vec::new())) };
    let Opened { trash, entries, unreadable } = opened;
    reviewed.unreadable = unreadable;
    let most = pool.config.terms.total(pool.statfs.total) / 100 * u64::from(percent);
    let (fates, mut stay) = (plan::decide(&entries, Some(most)), Vec::new());
    for (entry, fate) in entries.into_iter().zip(fates) {
        match fate {
            Fate::Keep => {
                reviewed.volumes += 1;
                reviewed.bytes = reviewed.bytes.saturating_add(entry.bytes);
                stay.push(entry);
            }
            Fate::Expire => reviewed.expired.extend(purge(&trash, &entry)),
            Fate::Evict => reviewed.evicted.extend(purge(&trash, &entry)),
        }
    }
    // Before any content is removed. This includes volumes that an earlier review has marked and not
    // synced.
    trash.sync()?;
    Ok((reviewed, stay))
}

/// The open trash of a pool.
pub(crate) struct Opened {
    pub(crate) trash: Dir,
    /// The restorable volumes.
    pub(crate) entries: Vec<Entry>,
    /// The number of unreadable records.
    unreadable: usize,
}

/// The records of a volume in the trash.
pub(crate) enum Examined {
    /// It can be restored.
    Restorable(Entry),
    /// It has no retention and could never be restored.
    Final,
    /// The records cannot be read; with the reason.
    Unreadable(String),
}

/// Opens the trash of a pool. Marks volumes without retention for removal. A volume stays if its record
/// is damaged or has another format.
pub(crate) fn open(pool: &OpenPool<'_>, now: i64) -> Result<Option<Opened>, HostError> {
    let Some(trash) = pool.dir.open_if_there(OsStr::new(layout::TRASH))? else { return Ok(None) };
    let names = trash.names(usize::MAX)?;
    let (mut entries, mut unreadable) = (Vec::new(), 0);
    for id in names.iter().filter_map(|name| layout::restorable(name)) {
        match examine(&trash, &id, now) {
            Ok(Examined::Restorable(entry)) => entries.push(entry),
            Ok(Examined::Final) => mark_for_removal(&trash, &trash, &id)?,
            Ok(Examined::Unreadable(why)) => {
                tracing::debug!(pool = %pool.config.name, volume = %id, why, "could not read a trash record");
                unreadable += 1;
            }
            // It has just been restored.
            Err(error) if error.is_missing() => {}
            Err(error) => {
                warn(&pool.config.name, &error);
                unreadable += 1;
            }
        }
    }
    Ok(Some(Opened { trash, entries, unreadable }))
}

pub(crate) fn examine(trash: &Dir, id: &VolumeId, now: i64) -> Result<Examined, HostError> {
    let dir = trash.open(OsStr::new(id.as_str()))?;
    let identity = match identity::read(&dir, id)? {
        Record::Verified(identity) => identity,
        Record::Unverified(why) => return Ok(Examined::Unreadable(why)),
    };
    let Some(ttl) = identity.trash_seconds else { return Ok(Examined::Final) };
    let (owner, since, spent) = time(&dir, &identity, now, ttl)?;
    let entry = Entry { id: id.clone(), owner, bytes: identity.bytes, ttl, spent, since };
    Ok(Examined::Restorable(entry))
}

/// Counts the time of a volume in the trash, and records it when due.
fn time(
    dir: &Dir,
    identity: &Identity,
    now: i64,
    ttl: u64,
) -> Result<(ClaimRef, i64, u64), HostError> {
    let record =
        owner::read(dir)?.unwrap_or_else(|| OwnerRecord::new(ClaimRef::original(identity)));
    // A volume without a recorded time starts now.
    let (due, spent) = match record.trashed {
        Some(trashed) => (trashed.due(now, ttl), trashed.spent(now, ttl)),
        None => (Some(Trashed::begin(now)), 0),
    };
    let since = record.trashed.map_or(now, |trashed| trashed.since);
    if due.is_some()
        && let Err(error) = owner::write(dir, &OwnerRecord { trashed: due, ..record.clone() })
    {
        // On a full disk the time still counts, up to the part that needs no record.
        tracing::warn!(volume = %identity.volume, error = %Chain(&error), "could not record the time in the trash");
    }
    Ok((record.owner, since, spent))
}

pub(crate) fn purge(trash: &Dir, entry: &Entry) -> Option<PurgedVolume> {
    match mark_for_removal(trash, trash, &entry.id) {
        Ok(()) => {
            let (id, owner, bytes) = (entry.id.clone(), entry.owner.clone(), entry.bytes);
            Some(PurgedVolume { id, owner, bytes })
        }
        Err(error) => {
            tracing::warn!(volume = %entry.id, error = %Chain(&error), "could not mark a volume for removal");
            None
        }
    }
}

fn warn(pool: &PoolName, error: &HostError) {
    tracing::warn!(%pool, error = %Chain(error), "could not review the trash");
}
