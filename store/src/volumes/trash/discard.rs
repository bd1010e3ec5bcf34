//! Moves a volume into the trash, which is the only way to delete data.
//!
//! The owner of a restorable volume is recorded before the move, so that every restorable volume in
//! the trash has that record, even after a kill.

use crate::host::{Dir, HostError};
use crate::volumes::records::owner::{self, OwnerRecord};
use crate::volumes::trash::trashed::Trashed;
use crate::volumes::{Store, VolumeError, layout, verified};
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, VolumeId};
use std::ffi::OsStr;
use std::sync::atomic::Ordering;

/// What is recorded with a volume in the trash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrashMetadata {
    /// The last owner, or `None` to keep the recorded one.
    pub owner: Option<ClaimRef>,
    /// The UID of the owner's namespace, if it is known.
    pub namespace_uid: Option<String>,
    /// The current time in seconds since 1970.
    pub now: i64,
}

impl Store {
    /// Moves the volume's directory into the trash. Returns `false` if the pool does not have it.
    pub fn discard(
        &self,
        pool: &PoolName,
        id: &VolumeId,
        metadata: &TrashMetadata,
    ) -> Result<bool, VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        let Some(identity) = verified(&pool, id)? else { return Ok(false) };
        let done = match identity.trash_seconds {
            None => trash_for_removal(&pool.dir, id),
            Some(_) => {
                self.signals.unreviewed.store(true, Ordering::Relaxed);
                trash_with_retention(&pool.dir, &identity, metadata)
            }
        };
        done.map_err(VolumeError::Discard)?;
        // A restorable volume loses its grant too: it is evicted if its space is needed.
        self.ledger.forget(&pool.config.name, id);
        Ok(true)
    }
}

/// Moves a volume without retention to where it is removed.
fn trash_for_removal(pool: &Dir, id: &VolumeId) -> Result<(), HostError> {
    let trash = pool.open_or_make(layout::TRASH)?;
    mark_for_removal(pool, &trash, id)?;
    sync_both(pool, &trash)
}

/// Moves a volume with retention to where it can be restored.
fn trash_with_retention(
    pool: &Dir,
    identity: &Identity,
    metadata: &TrashMetadata,
) -> Result<(), HostError> {
    let id = &identity.volume;
    let name = OsStr::new(id.as_str());
    let dir = pool.open(name)?;
    let known = owner::read_or_original(&dir, identity)?;
    let owner = metadata.owner.clone().unwrap_or_else(|| known.owner.clone());
    let same = owner == known.owner;
    let recorded = known.namespace_uid.filter(|_| same);
    let namespace_uid = metadata.namespace_uid.clone().or(recorded);
    let trashed = Some(Trashed::begin(metadata.now));
    owner::write(&dir, &OwnerRecord { namespace_uid, trashed, ..OwnerRecord::new(owner) })?;
    let trash = pool.open_or_make(layout::TRASH)?;
    // The trash directory itself must survive a power failure, because the volume can be restored.
    pool.sync()?;
    while let Err(error) = pool.rename(name, &trash, name) {
        if !error.already_exists() {
            return Err(error);
        }
        // An older volume with the same ID is in the trash.
        mark_for_removal(&trash, &trash, id)?;
    }
    sync_both(pool, &trash)
}

/// Renames the volume so that it can no longer be restored and is removed.
pub(crate) fn mark_for_removal(from: &Dir, trash: &Dir, id: &VolumeId) -> Result<(), HostError> {
    let mut n = 1;
    while let Err(error) = from.rename(id.as_str(), trash, layout::trash_name(id, n)) {
        if !error.already_exists() {
            return Err(error);
        }
        n += 1;
    }
    Ok(())
}

/// Flushes both directories: a crash must not undo one half of the move.
pub(crate) fn sync_both(pool: &Dir, trash: &Dir) -> Result<(), HostError> {
    trash.sync()?;
    pool.sync()
}
