//! Finds volumes that may get another owner, and restores them from the trash.
//!
//! The caller decides who may have them.

use crate::host::{Dir, HostError};
use crate::pools::OpenPool;
use crate::volumes::records::identity::{self, Record};
use crate::volumes::records::owner::{self, OwnerRecord};
use crate::volumes::trash::discard::sync_both;
use crate::volumes::{
    ProvisionedVolume, Store, VolumeError, grow, layout, made, read_record, verified,
};
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, VolumeId};
use std::ffi::OsStr;

/// A volume at its path or in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundVolume {
    /// The pool of the volume.
    pub pool: PoolName,
    /// The identity of the volume.
    pub identity: Identity,
    /// The last owner.
    pub owner: ClaimRef,
    /// The UID of the owner's namespace, if it is recorded.
    pub namespace_uid: Option<String>,
    /// Whether it is in the trash.
    pub trashed: bool,
}

/// The result of [`Store::search`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchResult {
    /// The volume.
    Found(Box<FoundVolume>),
    /// A directory without a valid record; with the reason.
    Unverified(String),
    /// Unknown because a pool cannot be used; with the reason.
    Unknown(String),
    /// No volume that could be restored.
    Absent,
}

impl Store {
    /// Looks for a volume at its path and in the trash.
    pub fn search(&self, id: &VolumeId) -> Result<SearchResult, VolumeError> {
        let (pools, unknown) = self.usable_pools();
        let mut known = None;
        for pool in pools {
            match search(&pool, id).map_err(VolumeError::Read)? {
                SearchResult::Found(_) if known.is_some() => return Ok(duplicate()),
                SearchResult::Found(found) => known = Some(found),
                SearchResult::Absent => {}
                other => return Ok(other),
            }
        }
        // An unusable pool may contain a second one.
        Ok(match (known, unknown) {
            (_, Some(why)) => SearchResult::Unknown(why),
            (Some(known), None) => SearchResult::Found(known),
            (None, None) => SearchResult::Absent,
        })
    }

    /// Moves the volume from the trash to its path if necessary, records its owner and flushes the
    /// change to the disk. Skips the steps that an earlier attempt has completed.
    pub fn restore(
        &self,
        pool: &PoolName,
        id: &VolumeId,
        owner: &ClaimRef,
    ) -> Result<ProvisionedVolume, VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        self.grant_again(&pool, id)?;
        move_from_trash(&pool.dir, id).map_err(VolumeError::Restore)?;
        let missing = || VolumeError::Missing(pool.config.name.clone());
        let identity = verified(&pool, id)?.ok_or_else(missing)?;
        let dir = pool.dir.open(id.as_str()).map_err(VolumeError::Restore)?;
        let record = OwnerRecord::new(owner.clone());
        owner::write(&dir, &record).map_err(VolumeError::Restore)?;
        // An administrator may have changed the limit in the meantime.
        grow::reapply_limit(&pool, id).map_err(VolumeError::Restore)?;
        Ok(made(&pool, id, identity.limit))
    }

    /// Grants the volume again: a volume in the trash has no grant.
    fn grant_again(&self, pool: &OpenPool<'_>, id: &VolumeId) -> Result<(), VolumeError> {
        let SearchResult::Found(known) = in_trash(pool, id).map_err(VolumeError::Read)? else {
            return Ok(());
        };
        self.grant_written(pool, &known.identity)?;
        self.ledger.set_usage(&pool.config.name, id, None);
        Ok(())
    }

    /// Returns the claim that last had the volume, if it is not the original one.
    pub fn owner(&self, pool: &PoolName, id: &VolumeId) -> Result<Option<ClaimRef>, VolumeError> {
        let record = self.owner_record(pool, id)?;
        Ok(record.map(|record| record.owner).filter(|owner| !owner.is(id.as_str())))
    }

    /// Returns whether the namespace UID of `owner`, who has the volume, is recorded.
    pub fn knows_namespace_of(
        &self,
        pool: &PoolName,
        id: &VolumeId,
        owner: &ClaimRef,
    ) -> Result<bool, VolumeError> {
        let record = self.owner_record(pool, id)?;
        Ok(record.is_some_and(|record| record.owner == *owner && record.namespace_uid.is_some()))
    }

    fn owner_record(
        &self,
        pool: &PoolName,
        id: &VolumeId,
    ) -> Result<Option<OwnerRecord>, VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        let dir = pool.dir.open(id.as_str()).map_err(VolumeError::Read)?;
        owner::read(&dir).map_err(VolumeError::Read)
    }

    /// Records the owner of the volume, and the UID of its namespace if it is known.
    pub fn record_owner(
        &self,
        pool: &PoolName,
        id: &VolumeId,
        owner: &ClaimRef,
        namespace_uid: Option<&str>,
    ) -> Result<(), VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        let dir = pool.dir.open(id.as_str()).map_err(VolumeError::WriteRecord)?;
        let known = owner::read(&dir).map_err(VolumeError::WriteRecord)?;
        let known = known.filter(|record| record.owner == *owner);
        let recorded = known.as_ref().and_then(|record| record.namespace_uid.clone());
        let namespace_uid = namespace_uid.map(str::to_owned).or(recorded);
        let record = OwnerRecord { namespace_uid, ..OwnerRecord::new(owner.clone()) };
        if known.as_ref() == Some(&record) {
            return Ok(());
        }
        owner::write(&dir, &record).map_err(VolumeError::WriteRecord)
    }
}

fn search(pool: &OpenPool<'_>, id: &VolumeId) -> Result<SearchResult, HostError> {
    Ok(match (in_place(pool, id)?, in_trash(pool, id)?) {
        (found, SearchResult::Absent) | (SearchResult::Absent, found) => found,
        (SearchResult::Found(_), SearchResult::Found(_)) => duplicate(),
        (unverified, SearchResult::Found(_)) | (SearchResult::Found(_), unverified) => unverified,
        (unverified, _) => unverified,
    })
}

fn duplicate() -> SearchResult {
    SearchResult::Unverified("it exists in two places".to_owned())
}

fn in_place(pool: &OpenPool<'_>, id: &VolumeId) -> Result<SearchResult, HostError> {
    match read_record(pool, id)? {
        None => Ok(SearchResult::Absent),
        Some(Record::Unverified(why)) => Ok(SearchResult::Unverified(why)),
        Some(Record::Verified(identity)) => {
            let dir = pool.dir.open(id.as_str())?;
            known(pool, &dir, *identity, false)
        }
    }
}

fn in_trash(pool: &OpenPool<'_>, id: &VolumeId) -> Result<SearchResult, HostError> {
    let Some(trash) = pool.dir.open_if_exists(layout::TRASH)? else {
        return Ok(SearchResult::Absent);
    };
    let Some(dir) = trash.open_if_exists(id.as_str())? else {
        return Ok(SearchResult::Absent);
    };
    match identity::read(&dir, id)? {
        Record::Unverified(why) => Ok(SearchResult::Unverified(why)),
        // The volume is being removed and may be incomplete.
        Record::Verified(identity) if identity.trash_seconds.is_none() => Ok(SearchResult::Absent),
        Record::Verified(identity) => known(pool, &dir, *identity, true),
    }
}

fn known(
    pool: &OpenPool<'_>,
    dir: &Dir,
    identity: Identity,
    trashed: bool,
) -> Result<SearchResult, HostError> {
    let OwnerRecord { owner, namespace_uid, .. } = owner::read_or_original(dir, &identity)?;
    let pool = pool.config.name.clone();
    Ok(SearchResult::Found(Box::new(FoundVolume { pool, identity, owner, namespace_uid, trashed })))
}

fn move_from_trash(pool: &Dir, id: &VolumeId) -> Result<(), HostError> {
    let name = OsStr::new(id.as_str());
    let trash = pool.open_or_make(layout::TRASH)?;
    match trash.rename(name, pool, name) {
        // An earlier attempt may have been interrupted before its sync.
        Err(error) if error.is_missing() => {}
        other => other?,
    }
    sync_both(pool, &trash)
}
