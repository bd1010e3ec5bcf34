//! The volumes in this node's pools: creates, finds, resizes, trashes and restores them.
//!
//! Every method of [`Store`] can be repeated. A kill between any two steps leaves nothing, or a
//! state that the next call completes. The module has no Kubernetes client and does not decide who
//! may have a volume.

mod create;
mod error;
mod grow;
pub mod import;
pub mod layout;
pub mod ledger;
pub mod orphan;
mod pool_choice;
pub mod quota;
mod records;
pub mod survey;
pub mod trash;
pub mod usage;

pub use error::VolumeError;

use crate::host::mounts::{self, Mount};
use crate::host::{Dir, HostError, Kind};
use crate::pools::{OpenPool, Pools};
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::class::{Mode, PoolPolicy, Quota};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, QuotaGroup, VolumeId};
use fastrak_runtime::chain::Chain;
use ledger::Ledger;
use parking_lot::Mutex;
use quota::groups;
use records::identity::{self, Record};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use trash::{removals, signals};

/// A volume to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSpec {
    /// The record of the volume.
    pub identity: Identity,
    /// The pools in which it may be created.
    pub pools: Vec<PoolName>,
    /// How one of the pools is chosen.
    pub policy: PoolPolicy,
    /// The permissions of the volume's root.
    pub mode: Mode,
    /// Whether the kernel must enforce the size. The kind of quota depends on the chosen pool.
    pub quota: Quota,
}

/// A volume that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvisionedVolume {
    /// The pool of the volume.
    pub pool: PoolName,
    /// The path of its data on the host.
    pub path: PathBuf,
    /// The quota group that enforces its size.
    pub limit: Option<QuotaGroup>,
}

/// Where the directory of a volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In this pool, with a valid record.
    InPool(PoolName, Box<Identity>),
    /// In this pool, without a valid record; with the reason.
    Unverified(PoolName, String),
    /// In the trash.
    Trashed,
    /// Unknown because a pool cannot be used; with the reason.
    Unknown(String),
    /// In none of the pools.
    Absent,
}

/// The volumes in the pools of this node. Its methods, by the life of a volume:
///
/// | method | effect | file |
/// |---|---|---|
/// | [`ensure`](Self::ensure) | creates a volume unless it exists | `create.rs`, `pool_choice.rs` |
/// | [`imported`](Self::imported), [`import`](Self::import) | moves another provisioner's data into a volume | `import.rs` |
/// | [`find`](Self::find) | returns the location of a volume | here |
/// | [`is_mounted`](Self::is_mounted), [`mounts`](Self::mounts) | reads the mounts | here |
/// | [`grow`](Self::grow) | raises the size of a volume | `grow.rs` |
/// | [`keep`](Self::keep) | records that a volume is retained | here |
/// | [`owner`](Self::owner), [`record_owner`](Self::record_owner), [`knows_namespace_of`](Self::knows_namespace_of) | reads and records the last owner | `trash/restore.rs` |
/// | [`discard`](Self::discard), [`sync_trash`](Self::sync_trash) | moves a volume into the trash | `trash/discard.rs`, `trash.rs` |
/// | [`content`](Self::content), [`contents`](Self::contents), [`discard_orphan`](Self::discard_orphan) | examines and discards orphans | `orphan.rs` |
/// | [`search`](Self::search), [`restore`](Self::restore) | finds a volume anywhere and gives it to an owner | `trash/restore.rs` |
/// | [`review_trash`](Self::review_trash), [`take_unreviewed`](Self::take_unreviewed) | expires volumes in the trash | `trash/review.rs` |
/// | [`evict_trash`](Self::evict_trash), [`has_pending_evictions`](Self::has_pending_evictions), [`clear_pending_evictions`](Self::clear_pending_evictions) | evicts volumes for a claim | `trash/evict.rs`, `trash/review.rs` |
/// | [`empty_trash`](Self::empty_trash) | removes data in small steps | `trash.rs` |
/// | [`survey`](Self::survey) | lists the volumes, and restores lost limits | `survey.rs` |
/// | [`available`](Self::available), [`grants`](Self::grants) | returns the free space and the grants of a pool | `ledger.rs` |
/// | [`pool_usages`](Self::pool_usages), [`measure_each`](Self::measure_each), [`record_usage`](Self::record_usage) | measures usage | `usage.rs` |
#[derive(Clone, Debug)]
pub struct Store {
    pools: Arc<Pools>,
    // The volumes that are being created, so that their staging directories are not leftovers.
    // Locked while a leftover is removed.
    creating: Arc<Mutex<HashSet<OsString>>>,
    signals: Arc<signals::TrashSignals>,
    ledger: Arc<Ledger>,
    removals: removals::Removals,
    cursors: groups::SweepCursors,
}

impl Store {
    /// Creates the store for `pools`.
    #[must_use]
    pub fn new(pools: Arc<Pools>) -> Self {
        let (creating, signals) = (Arc::default(), Arc::default());
        let ledger = Arc::new(Ledger::new(pools.names()));
        let (removals, cursors) = (removals::Removals::default(), groups::SweepCursors::default());
        Self { pools, creating, signals, ledger, removals, cursors }
    }

    /// Returns the pools.
    #[must_use]
    pub fn pools(&self) -> &Pools {
        &self.pools
    }

    /// Creates the volume unless it exists. Returns it, and whether it is new.
    pub fn ensure(&self, spec: &VolumeSpec) -> Result<(ProvisionedVolume, bool), VolumeError> {
        let id = &spec.identity.volume;
        let mut opened = Vec::new();
        for pool in self.pools.open_all() {
            if let Ok(pool) = &pool
                && let Some(made) = existing(pool, id)?
            {
                return Ok((made, false));
            }
            opened.push(pool);
        }
        self.make_in_one(opened, spec).map(|made| (made, true))
    }

    /// Returns the location of the volume's directory.
    pub fn find(&self, id: &VolumeId) -> Result<Location, VolumeError> {
        let (pools, unknown) = self.usable_pools();
        let (mut here, mut trashed) = (None, false);
        for pool in pools {
            let name = pool.config.name.clone();
            match read_record(&pool, id).map_err(VolumeError::Read)? {
                Some(Record::Verified(identity)) => match &here {
                    None => here = Some((name, identity)),
                    // The class was recreated for another pool while this pool was unusable. The
                    // store cannot decide which of them has the data.
                    Some((other, _)) => {
                        let why = format!("pool {other} also has the volume");
                        return Ok(Location::Unverified(name, why));
                    }
                },
                Some(Record::Unverified(why)) => return Ok(Location::Unverified(name, why)),
                None => trashed |= trash::has(&pool, id).map_err(VolumeError::Read)?,
            }
        }
        if let Some((name, identity)) = here {
            return Ok(Location::InPool(name, identity));
        }
        Ok(match (trashed, unknown) {
            (true, _) => Location::Trashed,
            (false, Some(why)) => Location::Unknown(why),
            (false, None) => Location::Absent,
        })
    }

    /// Records that the volume must be kept after its API objects are deleted.
    pub fn keep(&self, pool: &PoolName, id: &VolumeId) -> Result<(), VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        let dir = pool.dir.open(id.as_str()).map_err(VolumeError::WriteRecord)?;
        let retain = |identity: &mut Identity| identity.reclaim_policy = ReclaimPolicy::Retain;
        identity::update(&dir, id, retain).map_err(VolumeError::WriteRecord)
    }

    /// Returns whether the volume is mounted, or `None` if the mounts cannot be read.
    #[must_use]
    pub fn is_mounted(&self, id: &VolumeId) -> Option<bool> {
        Some(self.mounts()?.iter().any(|mount| layout::is_mount_of(mount, id)))
    }

    /// Returns the visible mounts, or `None` if they cannot be read.
    #[must_use]
    pub fn mounts(&self) -> Option<Vec<Mount>> {
        let mounts = mounts::all(self.pools.machine()).inspect_err(|error| {
            tracing::warn!(error = %Chain(error), "could not read the mounts");
        });
        mounts.ok()
    }

    /// Returns the usable pools, and why the first unusable one cannot be used.
    fn usable_pools(&self) -> (Vec<OpenPool<'_>>, Option<String>) {
        let (mut usable, mut problem) = (Vec::new(), None);
        for pool in self.pools.open_all() {
            match pool {
                Ok(pool) => usable.push(pool),
                Err(error) => drop(problem.get_or_insert(Chain(&error).to_string())),
            }
        }
        (usable, problem)
    }
}

fn made(pool: &OpenPool<'_>, id: &VolumeId, limit: Option<QuotaGroup>) -> ProvisionedVolume {
    let path = layout::data_path(&pool.config.path, id);
    ProvisionedVolume { pool: pool.config.name.clone(), path, limit }
}

/// Returns the volume if an earlier attempt has created it in the pool.
fn existing(pool: &OpenPool<'_>, id: &VolumeId) -> Result<Option<ProvisionedVolume>, VolumeError> {
    let Some(identity) = verified(pool, id)? else { return Ok(None) };
    // The earlier attempt may have been interrupted between the last two steps of `build`.
    pool.dir.sync().map_err(VolumeError::Create)?;
    Ok(Some(made(pool, id, identity.limit)))
}

/// Returns the record of the volume at its path in the pool. Fails if the path is occupied by
/// something else.
fn verified(pool: &OpenPool<'_>, id: &VolumeId) -> Result<Option<Box<Identity>>, VolumeError> {
    match read_record(pool, id).map_err(VolumeError::Read)? {
        None => Ok(None),
        Some(Record::Verified(identity)) => Ok(Some(identity)),
        Some(Record::Unverified(why)) => {
            Err(VolumeError::Occupied { path: pool.dir.path().join(id.as_str()), why })
        }
    }
}

/// Opens the volume's directory in a pool or in its trash. Returns `None` if it is missing or has
/// no valid record.
fn open_verified(parent: &Dir, id: &VolumeId) -> Result<Option<(Dir, Box<Identity>)>, HostError> {
    let Some(dir) = parent.open_if_exists(id.as_str())? else { return Ok(None) };
    Ok(match identity::read(&dir, id)? {
        Record::Verified(identity) => Some((dir, identity)),
        Record::Unverified(_) => None,
    })
}

/// Reads the record at the volume's path in the pool.
fn read_record(pool: &OpenPool<'_>, id: &VolumeId) -> Result<Option<Record>, HostError> {
    let name = OsStr::new(id.as_str());
    match pool.dir.kind_of(name)? {
        None => Ok(None),
        Some(Kind::Directory) => identity::read(&pool.dir.open(name)?, id).map(Some),
        Some(Kind::File | Kind::Symlink | Kind::Other) => {
            Ok(Some(Record::Unverified("it is not a directory".to_owned())))
        }
    }
}

#[cfg(test)]
mod tests;
