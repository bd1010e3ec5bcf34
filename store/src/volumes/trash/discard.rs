//! Moving a volume into the trash: the one way in which data is let go.
//!
//! It removes nothing. Where a volume can be had back, whose it was is recorded first, so that whatever
//! is in the trash under its own name has that record, whenever a kill comes.

use crate::host::{Dir, HostError};
use crate::volumes::records::owner::{self, Owner, OwnerRecord};
use crate::volumes::trash::trashed::Trashed;
use crate::volumes::{Store, VolumeError, layout, proven};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, VolumeId};
use std::ffi::OsStr;
use std::sync::atomic::Ordering;

/// What is known of a volume that is let go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parting {
    /// Whose it was last; without a name, whose the disk says that it is.
    pub owner: Option<Owner>,
    /// The uid of the owner's namespace, if it is known.
    pub namespace_uid: Option<String>,
    /// The time now, in seconds since 1970.
    pub now: i64,
}

impl Store {
    /// Moves the volume's directory into the trash; `false` where there is none in the pool.
    pub fn discard(
        &self,
        pool: &PoolName,
        id: &VolumeId,
        parting: &Parting,
    ) -> Result<bool, VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        let Some(identity) = proven(&pool, id)? else { return Ok(false) };
        let done = match identity.trash_seconds {
            None => away(&pool.dir, id),
            Some(_) => {
                self.haste.unsorted.store(true, Ordering::Relaxed);
                keep(&pool.dir, &identity, parting)
            }
        };
        done.map_err(VolumeError::Discard)?;
        // Also one that can be had back: it gives way to whoever needs the room.
        self.ledger.forget(&pool.config.name, id);
        Ok(true)
    }
}

/// Moves it to where it is removed.
fn away(pool: &Dir, id: &VolumeId) -> Result<(), HostError> {
    let trash = pool.open_or_make(OsStr::new(layout::TRASH))?;
    give_up(pool, &trash, id)?;
    settle(pool, &trash)
}

/// Moves it to where it can be had back.
fn keep(pool: &Dir, identity: &Identity, parting: &Parting) -> Result<(), HostError> {
    let id = &identity.volume;
    let name = OsStr::new(id.as_str());
    let dir = pool.open(name)?;
    let known = owner::read(&dir)?.unwrap_or_else(|| OwnerRecord::new(Owner::first(identity)));
    let owner = parting.owner.clone().unwrap_or_else(|| known.owner.clone());
    let same = owner == known.owner;
    let recorded = known.namespace_uid.filter(|_| same);
    let namespace_uid = parting.namespace_uid.clone().or(recorded);
    let trashed = Some(Trashed::begin(parting.now));
    owner::write(&dir, &OwnerRecord { namespace_uid, trashed, ..OwnerRecord::new(owner) })?;
    let trash = pool.open_or_make(OsStr::new(layout::TRASH))?;
    // A volume must not outlive a power cut in a folder that does not: it can be had back.
    pool.sync()?;
    while let Err(error) = pool.rename(name, &trash, name) {
        if !error.is_taken() {
            return Err(error);
        }
        // There is one of that name already, which was let go before this one.
        give_up(&trash, &trash, id)?;
    }
    settle(pool, &trash)
}

/// Renames the volume so that nobody can have it back and it is removed.
pub(crate) fn give_up(from: &Dir, trash: &Dir, id: &VolumeId) -> Result<(), HostError> {
    let mut n = 1;
    while let Err(error) = from.rename(OsStr::new(id.as_str()), trash, &layout::trash_name(id, n)) {
        if !error.is_taken() {
            return Err(error);
        }
        n += 1;
    }
    Ok(())
}

/// Both: a crash must bring back neither half of the move.
pub(crate) fn settle(pool: &Dir, trash: &Dir) -> Result<(), HostError> {
    trash.sync()?;
    pool.sync()
}
