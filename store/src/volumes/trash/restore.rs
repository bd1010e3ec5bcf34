//! Volumes that may get another owner: what is recorded of them, and bringing them out of the trash.
//!
//! It does not decide who may have them.

use crate::host::{Dir, HostError};
use crate::pools::OpenPool;
use crate::volumes::records::identity::{self, Record};
use crate::volumes::records::owner::{self, Owner, OwnerRecord};
use crate::volumes::trash::discard::settle;
use crate::volumes::{Made, Store, VolumeError, layout, look, made, proven};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, VolumeId};
use fastrak_runtime::chain::Chain;
use std::ffi::OsStr;

/// A volume that is there, in its place or in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The pool it is in.
    pub pool: PoolName,
    /// What is recorded of it.
    pub identity: Identity,
    /// Whose it was last.
    pub owner: Owner,
    /// The uid of that one's namespace, if it is recorded.
    pub namespace_uid: Option<String>,
    /// Whether it is in the trash.
    pub trashed: bool,
}

/// What there is of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The volume.
    Known(Box<Known>),
    /// Something that is not proven to be it; why.
    Doubtful(String),
    /// It cannot be known, since a pool cannot be used; why.
    Unknown(String),
    /// Nothing that could be had back.
    Nothing,
}

impl Store {
    /// Looks for a volume in its place and in the trash.
    pub fn search(&self, id: &VolumeId) -> Result<Found, VolumeError> {
        let (mut known, mut unknown) = (None, None);
        for pool in self.pools.open_all() {
            let pool = match pool {
                Ok(pool) => pool,
                Err(error) => {
                    unknown.get_or_insert(Chain(&error).to_string());
                    continue;
                }
            };
            match search(&pool, id).map_err(VolumeError::Look)? {
                Found::Known(_) if known.is_some() => return Ok(twice()),
                Found::Known(found) => known = Some(found),
                Found::Nothing => {}
                other => return Ok(other),
            }
        }
        // In a pool that is away there may be a second one.
        Ok(match (known, unknown) {
            (_, Some(why)) => Found::Unknown(why),
            (Some(known), None) => Found::Known(known),
            (None, None) => Found::Nothing,
        })
    }

    /// Brings the volume to its place if it is in the trash, records whose it is from now on, and
    /// returns when that is on the disk. What an earlier try has done is not done again.
    pub fn bring_back(
        &self,
        pool: &PoolName,
        id: &VolumeId,
        owner: &Owner,
    ) -> Result<Made, VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        self.book_again(&pool, id)?;
        bring_back(&pool.dir, id).map_err(VolumeError::Restore)?;
        let missing = || VolumeError::Missing(pool.config.name.clone());
        let identity = proven(&pool, id)?.ok_or_else(missing)?;
        let dir = pool.dir.open(OsStr::new(id.as_str())).map_err(VolumeError::Restore)?;
        let record = OwnerRecord::new(owner.clone());
        owner::write(&dir, &record).map_err(VolumeError::Restore)?;
        // A limit may have been taken away or raised meanwhile by whoever runs the node.
        self.hold(&pool, id).map_err(VolumeError::Restore)?;
        Ok(made(&pool, id, identity.limit))
    }

    /// What is in the trash is granted to nobody.
    fn book_again(&self, pool: &OpenPool<'_>, id: &VolumeId) -> Result<(), VolumeError> {
        let Found::Known(known) = in_trash(pool, id).map_err(VolumeError::Look)? else {
            return Ok(());
        };
        self.book_written(pool, &known.identity)?;
        self.ledger.note(&pool.config.name, id, None);
        Ok(())
    }

    /// The claim that had the volume last, if it is another than the one that it was made for.
    pub fn owner(&self, pool: &PoolName, id: &VolumeId) -> Result<Option<Owner>, VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        let dir = pool.dir.open(OsStr::new(id.as_str())).map_err(VolumeError::Look)?;
        let record = owner::read(&dir).map_err(VolumeError::Look)?;
        Ok(record.map(|record| record.owner).filter(|owner| owner.uid != id.as_str()))
    }

    /// Whether the uid of the namespace of `owner`, who has the volume, is recorded.
    pub fn knows_namespace_of(
        &self,
        pool: &PoolName,
        id: &VolumeId,
        owner: &Owner,
    ) -> Result<bool, VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        let dir = pool.dir.open(OsStr::new(id.as_str())).map_err(VolumeError::Look)?;
        let record = owner::read(&dir).map_err(VolumeError::Look)?;
        Ok(record.is_some_and(|record| record.owner == *owner && record.namespace_uid.is_some()))
    }

    /// Records whose the volume is, and the uid of that claim's namespace if it is known.
    pub fn note_owner(
        &self,
        pool: &PoolName,
        id: &VolumeId,
        owner: &Owner,
        namespace_uid: Option<&str>,
    ) -> Result<(), VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        let dir = pool.dir.open(OsStr::new(id.as_str())).map_err(VolumeError::Keep)?;
        let known = owner::read(&dir).map_err(VolumeError::Keep)?;
        let known = known.filter(|record| record.owner == *owner);
        let recorded = known.as_ref().and_then(|record| record.namespace_uid.clone());
        let namespace_uid = namespace_uid.map(str::to_owned).or(recorded);
        let record = OwnerRecord { namespace_uid, ..OwnerRecord::new(owner.clone()) };
        if known.as_ref() == Some(&record) {
            return Ok(());
        }
        owner::write(&dir, &record).map_err(VolumeError::Keep)
    }
}

fn search(pool: &OpenPool<'_>, id: &VolumeId) -> Result<Found, HostError> {
    Ok(match (in_place(pool, id)?, in_trash(pool, id)?) {
        (found, Found::Nothing) | (Found::Nothing, found) => found,
        (Found::Known(_), Found::Known(_)) => twice(),
        (doubtful, Found::Known(_)) | (Found::Known(_), doubtful) => doubtful,
        (doubtful, _) => doubtful,
    })
}

fn twice() -> Found {
    Found::Doubtful("it is there twice".to_owned())
}

fn in_place(pool: &OpenPool<'_>, id: &VolumeId) -> Result<Found, HostError> {
    match look(pool, id)? {
        None => Ok(Found::Nothing),
        Some(Record::Doubtful(why)) => Ok(Found::Doubtful(why)),
        Some(Record::Proven(identity)) => {
            let dir = pool.dir.open(OsStr::new(id.as_str()))?;
            known(pool, &dir, *identity, false)
        }
    }
}

fn in_trash(pool: &OpenPool<'_>, id: &VolumeId) -> Result<Found, HostError> {
    let Some(trash) = pool.dir.open_if_there(OsStr::new(layout::TRASH))? else {
        return Ok(Found::Nothing);
    };
    let Some(dir) = trash.open_if_there(OsStr::new(id.as_str()))? else {
        return Ok(Found::Nothing);
    };
    match identity::read(&dir, id)? {
        Record::Doubtful(why) => Ok(Found::Doubtful(why)),
        // It is on its way out, and may be half removed by whoever came before us.
        Record::Proven(identity) if identity.trash_seconds.is_none() => Ok(Found::Nothing),
        Record::Proven(identity) => known(pool, &dir, *identity, true),
    }
}

fn known(
    pool: &OpenPool<'_>,
    dir: &Dir,
    identity: Identity,
    trashed: bool,
) -> Result<Found, HostError> {
    let record = owner::read(dir)?.unwrap_or_else(|| OwnerRecord::new(Owner::first(&identity)));
    let OwnerRecord { owner, namespace_uid, .. } = record;
    let pool = pool.config.name.clone();
    Ok(Found::Known(Box::new(Known { pool, identity, owner, namespace_uid, trashed })))
}

fn bring_back(pool: &Dir, id: &VolumeId) -> Result<(), HostError> {
    let name = OsStr::new(id.as_str());
    let trash = pool.open_or_make(OsStr::new(layout::TRASH))?;
    match trash.rename(name, pool, name) {
        // An earlier try may have been cut off before it was on the disk.
        Err(error) if error.is_missing() => {}
        other => other?,
    }
    settle(pool, &trash)
}
