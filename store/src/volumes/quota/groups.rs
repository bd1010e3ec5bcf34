//! Removes the btrfs quota groups of removed subvolumes. The subvolumes are recorded before their
//! removal.
//!
//! The kernel keeps the group of a subvolume until its last byte is freed and refuses to remove it
//! earlier. Older kernels then keep it forever, at a small cost for every transaction. Only
//! recorded groups are removed: others on the filesystem do not belong to fastrak.

use crate::host::quota::{self, Subvolume, Support};
use crate::host::removal::SubvolumeRecords;
use crate::host::{Dir, HostError};
use crate::pools::OpenPool;
use crate::volumes::{Store, layout};
use fastrak_api::pool::PoolName;
use fastrak_runtime::chain::Chain;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The number of records that one scan checks. Each takes two or three calls of some microseconds.
const MAX_PER_SCAN: usize = 4096;

/// Where the next scan of each pool starts, so that groups that cannot be removed do not starve the
/// others. Clones share their state.
#[derive(Clone, Debug, Default)]
pub(crate) struct SweepCursors {
    by_pool: Arc<Mutex<BTreeMap<PoolName, Subvolume>>>,
    /// The first project of the next scan.
    pub(super) projects: Arc<Mutex<BTreeMap<PoolName, u32>>>,
}

/// Returns where subvolumes removed from this pool are recorded.
pub(crate) fn subvolume_records(pool: &Dir) -> SubvolumeRecords {
    let records = quota::support(pool).and_then(|support| match support {
        Support::Subvolumes { .. } => {
            pool.open_or_make(layout::GROUPS).map(SubvolumeRecords::Directory)
        }
        Support::Projects | Support::None(_) => Ok(SubvolumeRecords::NotNeeded),
    });
    records.unwrap_or_else(|error| SubvolumeRecords::Unavailable(error.errno))
}

impl Store {
    /// Removes the quota groups of subvolumes that are gone from the pool.
    pub(crate) fn sweep_groups(&self, pool: &OpenPool<'_>) {
        let name = &pool.config.name;
        match self.try_sweep_groups(pool) {
            Ok(0) => {}
            Ok(swept) => {
                tracing::debug!(pool = %name, swept, "removed quota groups of removed volumes")
            }
            Err(error) => {
                tracing::warn!(pool = %name, error = %Chain(&error), "could not remove quota groups of removed volumes");
            }
        }
    }

    fn try_sweep_groups(&self, pool: &OpenPool<'_>) -> Result<usize, HostError> {
        let Some(directory) = pool.dir.open_if_exists(layout::GROUPS)? else {
            return Ok(0);
        };
        let names = directory.names(usize::MAX)?;
        let mut recorded: Vec<_> =
            names.iter().filter_map(|name| Subvolume::from_record_name(name)).collect();
        // While quotas are off there are no groups.
        if recorded.is_empty() || !matches!(quota::support(&pool.dir)?, Support::Subvolumes { .. })
        {
            return Ok(0);
        }
        self.cursors.choose(&pool.config.name, &mut recorded);
        let mut swept = 0;
        for subvolume in recorded {
            if is_finished(&directory, &subvolume)? {
                directory.remove_file(&subvolume.record_name())?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

/// Returns whether a recorded subvolume needs no further work.
fn is_finished(directory: &Dir, subvolume: &Subvolume) -> Result<bool, HostError> {
    match quota::subvolume_uuid(directory, subvolume.number)? {
        // The subvolume still exists, or the kernel is still removing it.
        Some(uuid) if uuid == subvolume.uuid => Ok(false),
        // Another subvolume has the ID and the group now.
        Some(_) => Ok(true),
        None => quota::remove_groups(directory, subvolume.number),
    }
}

impl SweepCursors {
    /// Reduces the records to those of this scan, starting after the end of the previous one.
    fn choose(&self, pool: &PoolName, recorded: &mut Vec<Subvolume>) {
        let mut cursors = self.by_pool.lock();
        recorded.sort_unstable();
        if let Some(last) = cursors.get(pool) {
            let next = recorded.partition_point(|subvolume| subvolume <= last);
            recorded.rotate_left(next);
        }
        recorded.truncate(MAX_PER_SCAN);
        if let Some(last) = recorded.last() {
            cursors.insert(pool.clone(), *last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_record_is_checked_even_if_none_can_be_removed() {
        let (cursors, pool) = (SweepCursors::default(), PoolName::default());
        let all: Vec<_> =
            (0..10_000).map(|at| Subvolume { number: 256 + at, uuid: [0; 16] }).collect();
        let mut seen = BTreeSet::new();
        for _ in 0..3 {
            let mut recorded = all.clone();
            cursors.choose(&pool, &mut recorded);
            assert_eq!(recorded.len(), MAX_PER_SCAN);
            seen.extend(recorded);
        }
        assert_eq!(seen.len(), all.len());
        let mut few = all[..3].to_vec();
        cursors.choose(&pool, &mut few);
        assert_eq!(few.len(), 3);
    }
}
