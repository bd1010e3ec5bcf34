//! The ledger: the bytes granted in each pool. It is kept in memory and loaded from the records on
//! the disk when the process starts.
//!
//! `api::capacity` decides whether a volume fits. The ledger prevents two volumes that are created
//! concurrently from being granted the same space.

use crate::host::{Dir, HostError, quota};
use crate::pools::OpenPool;
use crate::volumes::{Store, VolumeError, layout, open_verified};
use fastrak_api::capacity::{Available, State};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, QuotaGroup, VolumeId};
use fastrak_runtime::chain::Chain;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;

/// The ledgers of all pools.
#[derive(Debug)]
pub(crate) struct Ledger {
    pools: BTreeMap<PoolName, Mutex<PoolLedger>>,
    // Held while a project ID is chosen and granted, and while unused IDs are released.
    numbering: Mutex<()>,
}

/// A volume's grant and its known usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The granted bytes.
    pub bytes: u64,
    /// The usage, if it is known.
    pub usage: Option<VolumeUsage>,
    /// The quota group that enforces the grant.
    pub limit: Option<QuotaGroup>,
}

/// The usage of a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VolumeUsage {
    /// Bytes.
    pub bytes: u64,
    /// Files and directories, if they are counted.
    pub inodes: Option<u64>,
}

/// The grants of one pool.
#[derive(Debug, Default)]
struct PoolLedger {
    is_loaded: bool,
    grants: HashMap<VolumeId, Grant>,
}

impl Ledger {
    /// Creates ledgers for these pools, not loaded yet.
    pub(super) fn new<'a>(pools: impl Iterator<Item = &'a PoolName>) -> Self {
        let pools = pools.map(|pool| (pool.clone(), Mutex::default())).collect();
        Self { pools, numbering: Mutex::default() }
    }

    /// Returns the lock for assigning and releasing project IDs.
    pub(super) fn numbering(&self) -> MutexGuard<'_, ()> {
        self.numbering.lock()
    }

    /// Returns whether a volume in a loaded ledger has this project.
    pub(super) fn has_project(&self, number: u32) -> bool {
        let limit = Some(QuotaGroup::Project(number));
        self.pools
            .keys()
            .filter_map(|pool| self.pool(pool))
            .any(|ledger| ledger.grants.values().any(|grant| grant.limit == limit))
    }

    /// Returns the projects of all volumes in the loaded ledgers.
    pub(super) fn projects(&self) -> BTreeSet<u32> {
        let mut projects = BTreeSet::new();
        for ledger in self.pools.keys().filter_map(|pool| self.pool(pool)) {
            projects.extend(ledger.grants.values().filter_map(|grant| match grant.limit {
                Some(QuotaGroup::Project(number)) => Some(number),
                None | Some(QuotaGroup::Subvolume) => None,
            }));
        }
        projects
    }

    /// Removes the grant of a volume.
    pub(super) fn forget(&self, pool: &PoolName, id: &VolumeId) {
        if let Some(mut ledger) = self.pool(pool) {
            ledger.grants.remove(id);
        }
    }

    /// Sets the known usage of a volume.
    pub(super) fn set_usage(&self, pool: &PoolName, id: &VolumeId, held: Option<VolumeUsage>) {
        if let Some(mut ledger) = self.pool(pool)
            && let Some(grant) = ledger.grants.get_mut(id)
        {
            grant.usage = held;
        }
    }

    fn pool(&self, pool: &PoolName) -> Option<MutexGuard<'_, PoolLedger>> {
        self.pools.get(pool).map(Mutex::lock)
    }
}

impl PoolLedger {
    fn usage(&self, id: &VolumeId) -> Option<VolumeUsage> {
        self.grants.get(id).and_then(|grant| grant.usage)
    }

    /// Sets the grant of a volume. Its known usage stays.
    fn set(&mut self, identity: &Identity) {
        let usage = self.usage(&identity.volume);
        let grant = Grant { bytes: identity.bytes, usage, limit: identity.limit };
        self.grants.insert(identity.volume.clone(), grant);
    }

    fn state(&self, pool: &OpenPool<'_>, besides: Option<&VolumeId>) -> State {
        let others = || {
            let others = self.grants.iter().filter(|(id, _)| Some(*id) != besides);
            others.map(|(_, grant)| grant)
        };
        let sum = |numbers: &mut dyn Iterator<Item = u64>| numbers.fold(0, u64::saturating_add);
        State {
            total: pool.statfs.total,
            free: pool.statfs.free,
            granted: sum(&mut others().map(|grant| grant.bytes)),
            unwritten: sum(&mut others().map(|grant| grant.unwritten())),
            inodes: pool.statfs.inodes,
            free_inodes: pool.statfs.free_inodes,
        }
    }
}

impl Grant {
    fn unwritten(&self) -> u64 {
        self.bytes.saturating_sub(self.usage.unwrap_or_default().bytes)
    }
}

impl Store {
    /// Grants a volume its bytes if the pool has space.
    pub(super) fn grant(
        &self,
        pool: &OpenPool<'_>,
        identity: &Identity,
    ) -> Result<(), VolumeError> {
        let mut ledger = self.pool_ledger(pool)?;
        // What the volume has written is no longer free, and must not be subtracted twice.
        let held = ledger.usage(&identity.volume).unwrap_or_default().bytes;
        let mut state = ledger.state(pool, Some(&identity.volume));
        state.free = state.free.saturating_add(held);
        let fits = pool.config.limits.check(&pool.config.name, state, identity.bytes);
        fits.map_err(|shortage| VolumeError::Full(Box::new(shortage)))?;
        ledger.set(identity);
        Ok(())
    }

    /// Sets the grant of an existing volume without a capacity check.
    pub(super) fn set_grant(&self, pool: &PoolName, identity: &Identity) {
        if let Some(mut ledger) = self.ledger.pool(pool) {
            ledger.set(identity);
        }
    }

    /// Grants a volume whose data is already on the disk. The data needs no free space, but the
    /// space promised to others must not be promised again.
    pub(super) fn grant_written(
        &self,
        pool: &OpenPool<'_>,
        identity: &Identity,
    ) -> Result<(), VolumeError> {
        let (name, id) = (&pool.config.name, &identity.volume);
        // Loaded first: a later load would replace the grant.
        drop(self.pool_ledger(pool)?);
        self.set_grant(name, identity);
        self.ledger.set_usage(name, id, Some(VolumeUsage { bytes: identity.bytes, inodes: None }));
        self.grant(pool, identity).inspect_err(|_| self.ledger.forget(name, id))
    }

    /// Returns the capacity of a pool that can still be granted.
    pub fn available(&self, pool: &OpenPool<'_>) -> Result<Available, VolumeError> {
        let state = self.pool_ledger(pool)?.state(pool, None);
        Ok(pool.config.limits.available(state))
    }

    /// Loads the ledgers of all usable pools.
    pub(super) fn load_ledgers(&self) {
        let is_loaded = |pool| self.ledger.pool(pool).is_none_or(|ledger| ledger.is_loaded);
        if self.pools.names().all(is_loaded) {
            return;
        }
        for pool in self.pools.open_all().flatten() {
            if let Err(error) = self.pool_ledger(&pool) {
                let pool = &pool.config.name;
                tracing::warn!(%pool, error = %Chain(&error), "could not load the ledger of the pool");
            }
        }
    }

    /// Returns the grants of a pool.
    pub fn grants(&self, pool: &OpenPool<'_>) -> Result<Vec<(VolumeId, Grant)>, VolumeError> {
        let ledger = self.pool_ledger(pool)?;
        Ok(ledger.grants.iter().map(|(id, grant)| (id.clone(), *grant)).collect())
    }

    /// Reconciles the ledger of a pool with the directories on the disk, which an administrator may
    /// have changed. Returns the volumes that they are named after.
    pub(super) fn reconcile(&self, pool: &OpenPool<'_>) -> Result<HashSet<VolumeId>, VolumeError> {
        // The order matters: a volume is listed as being created before its directory exists.
        let creating: HashSet<_> = self.creating.lock().clone();
        let mut ledger = self.pool_ledger(pool)?;
        let names = pool.dir.names(usize::MAX).map_err(VolumeError::Read)?;
        let there: HashSet<_> = names.iter().filter_map(|name| layout::volume(name)).collect();
        let is_made = |id: &VolumeId| !creating.contains(OsStr::new(id.as_str()));
        ledger.grants.retain(|id, _| there.contains(id) || !is_made(id));
        for id in there.iter().filter(|id| is_made(id)) {
            if !ledger.grants.contains_key(id)
                && let Some(grant) = read_grant(pool, id).map_err(VolumeError::Read)?
            {
                ledger.grants.insert(id.clone(), grant);
            }
        }
        Ok(there)
    }

    fn pool_ledger(&self, pool: &OpenPool<'_>) -> Result<MutexGuard<'_, PoolLedger>, VolumeError> {
        let name = &pool.config.name;
        let unknown = || VolumeError::Pool(self.pools.unknown(name));
        let mut ledger = self.ledger.pool(name).ok_or_else(unknown)?;
        if !ledger.is_loaded {
            ledger.grants = read_grants(pool).map_err(VolumeError::Read)?;
            ledger.is_loaded = true;
        }
        Ok(ledger)
    }
}

fn read_grants(pool: &OpenPool<'_>) -> Result<HashMap<VolumeId, Grant>, HostError> {
    let mut grants = HashMap::new();
    for name in pool.dir.names(usize::MAX)? {
        if let Some(id) = layout::volume(&name)
            && let Some(grant) = read_grant(pool, &id)?
        {
            grants.insert(id, grant);
        }
    }
    Ok(grants)
}

/// Returns the grant in a directory's record, or `None` if the record is missing or invalid.
fn read_grant(pool: &OpenPool<'_>, id: &VolumeId) -> Result<Option<Grant>, HostError> {
    let Some((dir, identity)) = open_verified(&pool.dir, id)? else { return Ok(None) };
    let usage = dir.open(layout::DATA).ok().and_then(|data| kernel_usage(&data, &identity));
    Ok(Some(Grant { bytes: identity.bytes, usage, limit: identity.limit }))
}

/// Returns the usage that the kernel reports, or `None` if it does not count it.
pub(super) fn kernel_usage(data: &Dir, identity: &Identity) -> Option<VolumeUsage> {
    let usage = quota::usage(data, identity.limit?).ok()?;
    Some(VolumeUsage { bytes: usage.used, inodes: usage.inodes })
}
