//! The volumes in this node's pools: making them, finding them by identity, putting them away.
//!
//! Every verb can be repeated, and a kill between any two of its steps leaves nothing or something
//! that the next call finishes. It knows no API server and does not decide who may have what.

mod choose;
mod error;
pub mod grow;
pub mod import;
pub mod layout;
pub mod ledger;
mod make;
pub mod orphan;
pub mod quota;
pub mod records;
pub mod survey;
pub mod trash;
pub mod usage;

pub use error::VolumeError;

use crate::host::mounts::{self, Mount};
use crate::host::{HostError, Kind};
use crate::pools::{OpenPool, Pools};
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::class::{Mode, PoolPolicy, Quota};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, QuotaGroup, VolumeId};
use fastrak_runtime::chain::Chain;
use ledger::Ledger;
use quota::groups;
use records::identity::{self, Record};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use trash::{removals, sort};

/// A volume that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What is recorded of it.
    pub identity: Identity,
    /// The pools in which it may be made.
    pub pools: Vec<PoolName>,
    /// In which of them.
    pub policy: PoolPolicy,
    /// The permissions of its root.
    pub mode: Mode,
    /// Whether the kernel is to hold it to its size. How it does is found out when it is made.
    pub quota: Quota,
}

/// A volume that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The pool it is in.
    pub pool: PoolName,
    /// The path of its data, on the host.
    pub path: PathBuf,
    /// How the kernel holds it to its size.
    pub limit: Option<QuotaGroup>,
}

/// Where a volume's directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// In this pool, and it is proven to be the volume.
    Here(PoolName, Box<Identity>),
    /// In this pool, but it is not proven to be the volume; why.
    Doubtful(PoolName, String),
    /// In the trash already.
    Trashed,
    /// It cannot be known, since a pool cannot be used; why.
    Unknown(String),
    /// Nowhere.
    Nowhere,
}

/// The volumes in the pools of this node.
#[derive(Clone, Debug)]
pub struct Store {
    pools: Arc<Pools>,
    // What is being made now, and so is no leftover. Held while a leftover is removed.
    making: Arc<Mutex<HashSet<OsString>>>,
    haste: Arc<sort::Haste>,
    // What is granted in each pool.
    ledger: Arc<Ledger>,
    removals: removals::Removals,
    turns: groups::Turns,
}

impl Store {
    /// The volumes in `pools`.
    #[must_use]
    pub fn new(pools: Arc<Pools>) -> Self {
        let (making, haste) = (Arc::default(), Arc::default());
        let ledger = Arc::new(Ledger::new(pools.names()));
        let (removals, turns) = (removals::Removals::default(), groups::Turns::default());
        Self { pools, making, haste, ledger, removals, turns }
    }

    /// The pools.
    #[must_use]
    pub fn pools(&self) -> &Pools {
        &self.pools
    }

    /// Makes sure that the volume is there, and says whether it is new. One that an earlier try has
    /// made is used as it is.
    pub fn ensure(&self, order: &Order) -> Result<(Made, bool), VolumeError> {
        let id = &order.identity.volume;
        let mut opened = Vec::new();
        for pool in self.pools.open_all() {
            if let Ok(pool) = &pool
                && let Some(made) = existing(pool, id)?
            {
                return Ok((made, false));
            }
            opened.push(pool);
        }
        self.make_in_one(opened, order).map(|made| (made, true))
    }

    /// Where the volume's directory is.
    pub fn find(&self, id: &VolumeId) -> Result<Whereabouts, VolumeError> {
        let (mut here, mut trashed, mut unknown) = (None, false, None);
        for pool in self.pools.open_all() {
            let pool = match pool {
                Ok(pool) => pool,
                Err(error) => {
                    unknown.get_or_insert(Chain(&error).to_string());
                    continue;
                }
            };
            let name = pool.config.name.clone();
            match look(&pool, id).map_err(VolumeError::Look)? {
                Some(Record::Proven(identity)) => match &here {
                    None => here = Some((name, identity)),
                    // Its class was made anew for another pool while this one was away. Which of them
                    // has the data cannot be told here.
                    Some((other, _)) => {
                        let why = format!("pool {other} has it too");
                        return Ok(Whereabouts::Doubtful(name, why));
                    }
                },
                Some(Record::Doubtful(why)) => return Ok(Whereabouts::Doubtful(name, why)),
                None => trashed |= trash::has(&pool, id).map_err(VolumeError::Look)?,
            }
        }
        if let Some((name, identity)) = here {
            return Ok(Whereabouts::Here(name, identity));
        }
        Ok(match (trashed, unknown) {
            (true, _) => Whereabouts::Trashed,
            (false, Some(why)) => Whereabouts::Unknown(why),
            (false, None) => Whereabouts::Nowhere,
        })
    }

    /// Records that the volume is to be kept when nothing in the cluster speaks of it any more.
    pub fn keep(&self, pool: &PoolName, id: &VolumeId) -> Result<(), VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        let dir = pool.dir.open(OsStr::new(id.as_str())).map_err(VolumeError::Keep)?;
        let Record::Proven(mut identity) = identity::read(&dir, id).map_err(VolumeError::Keep)?
        else {
            return Ok(());
        };
        if identity.reclaim_policy != ReclaimPolicy::Retain {
            identity.reclaim_policy = ReclaimPolicy::Retain;
            identity::write(&dir, &identity).map_err(VolumeError::Keep)?;
        }
        // Also where it says so already: an earlier try may have been cut off here, and once the
        // object is gone a record that a power cut turns back would have the data taken for nobody's.
        dir.sync().map_err(VolumeError::Keep)
    }

    /// Whether something has the volume mounted; `None` where that cannot be told.
    #[must_use]
    pub fn is_mounted(&self, id: &VolumeId) -> Option<bool> {
        Some(self.mounts()?.iter().any(|mount| layout::is_mount_of(mount, id)))
    }

    /// The mounts that are visible now; `None` where they cannot be seen.
    #[must_use]
    pub fn mounts(&self) -> Option<Vec<Mount>> {
        match mounts::all(self.pools.machine()) {
            Ok(mounts) => Some(mounts),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "mounts cannot be seen");
                None
            }
        }
    }

    fn making(&self) -> MutexGuard<'_, HashSet<OsString>> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn made(pool: &OpenPool<'_>, id: &VolumeId, limit: Option<QuotaGroup>) -> Made {
    let path = layout::data_path(&pool.config.path, id);
    Made { pool: pool.config.name.clone(), path, limit }
}

/// The volume that an earlier try has made in the pool.
fn existing(pool: &OpenPool<'_>, id: &VolumeId) -> Result<Option<Made>, VolumeError> {
    let Some(identity) = proven(pool, id)? else { return Ok(None) };
    // That try may have been cut off between the last two steps of `make`.
    pool.dir.sync().map_err(VolumeError::Make)?;
    Ok(Some(made(pool, id, identity.limit)))
}

/// The volume that is in its place in the pool; an error where something else is.
fn proven(pool: &OpenPool<'_>, id: &VolumeId) -> Result<Option<Box<Identity>>, VolumeError> {
    match look(pool, id).map_err(VolumeError::Look)? {
        None => Ok(None),
        Some(Record::Proven(identity)) => Ok(Some(identity)),
        Some(Record::Doubtful(why)) => {
            Err(VolumeError::Taken { path: pool.dir.path().join(id.as_str()), why })
        }
    }
}

/// What the pool has under the volume's name.
fn look(pool: &OpenPool<'_>, id: &VolumeId) -> Result<Option<Record>, HostError> {
    let name = OsStr::new(id.as_str());
    match pool.dir.kind_of(name)? {
        None => Ok(None),
        Some(Kind::Directory) => identity::read(&pool.dir.open(name)?, id).map(Some),
        Some(Kind::File | Kind::Symlink | Kind::Other) => {
            Ok(Some(Record::Doubtful("it is not a directory".to_owned())))
        }
    }
}

#[cfg(test)]
mod tests;
