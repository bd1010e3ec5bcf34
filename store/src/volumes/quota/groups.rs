//! Quota groups of btrfs whose subvolumes were removed from a pool: noted before, and removed after.
//!
//! The kernel keeps the group of a subvolume until its last byte is given back, which takes a while,
//! and lets nobody remove it before; older kernels then keep it for good, each at a little cost for
//! every transaction. Only groups that are noted are touched: others on the filesystem are not ours.

use crate::host::quota::{self, Subvolume, Support};
use crate::host::reap::Notes;
use crate::host::{Dir, HostError};
use crate::pools::OpenPool;
use crate::volumes::{Store, layout};
use fastrak_api::pool::PoolName;
use fastrak_runtime::chain::Chain;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::{Arc, Mutex, PoisonError};

/// As many notes are looked at by one scan. Each takes two or three calls of some microseconds.
const MOST: usize = 4096;

/// The note at which the last scan of each pool has ended, so that groups that are never let go keep none
/// of the others waiting. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    by_pool: Arc<Mutex<BTreeMap<PoolName, Subvolume>>>,
    // The project at which the next scan begins.
    projects: Arc<Mutex<BTreeMap<PoolName, u32>>>,
}

/// Where subvolumes are to be noted that are removed from this pool.
pub(crate) fn notes(pool: &Dir) -> Notes {
    let notes = quota::support(pool).and_then(|support| match support {
        Support::Subvolumes { .. } => pool.open_or_make(OsStr::new(layout::GROUPS)).map(Notes::In),
        Support::Projects | Support::None(_) => Ok(Notes::Needless),
    });
    notes.unwrap_or_else(|error| Notes::Impossible(error.errno))
}

impl Store {
    /// Removes the groups of subvolumes that have gone from the pool.
    pub(crate) fn sweep_groups(&self, pool: &OpenPool<'_>) {
        let name = &pool.config.name;
        match self.try_sweep_groups(pool) {
            Ok(0) => {}
            Ok(swept) => tracing::debug!(pool = %name, swept, "quota groups of volumes are gone"),
            Err(error) => {
                tracing::warn!(pool = %name, error = %Chain(&error), "could not remove quota groups of volumes that are gone");
            }
        }
    }

    fn try_sweep_groups(&self, pool: &OpenPool<'_>) -> Result<usize, HostError> {
        let Some(folder) = pool.dir.open_if_there(OsStr::new(layout::GROUPS))? else {
            return Ok(0);
        };
        let names = folder.names(usize::MAX)?;
        let mut noted: Vec<_> = names.iter().filter_map(|name| Subvolume::of_note(name)).collect();
        // While quotas are off there are no groups, and nothing to ask.
        if noted.is_empty() || !matches!(quota::support(&pool.dir)?, Support::Subvolumes { .. }) {
            return Ok(0);
        }
        self.turns.choose(&pool.config.name, &mut noted);
        let mut swept = 0;
        for subvolume in noted {
            if is_over(&folder, &subvolume)? {
                folder.remove_file(&subvolume.note())?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

/// Whether nothing is left to be done about a subvolume that was noted.
fn is_over(folder: &Dir, subvolume: &Subvolume) -> Result<bool, HostError> {
    match quota::subvolume_uuid(folder, subvolume.number)? {
        // It is yet to be removed, or the kernel has not done with it.
        Some(uuid) if uuid == subvolume.uuid => Ok(false),
        // Another has the number now, and the group.
        Some(_) => Ok(true),
        None => quota::remove_groups(folder, subvolume.number),
    }
}

impl Turns {
    /// The project at which the sweep of a pool begins.
    pub(crate) fn project(&self, pool: &PoolName) -> Option<u32> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner).get(pool).copied()
    }

    /// Lets the next sweep of a pool begin at this project.
    pub(crate) fn set_project(&self, pool: &PoolName, from: u32) {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner).insert(pool.clone(), from);
    }

    /// Leaves of what is noted as much as this scan may look at, beginning where the last one ended.
    fn choose(&self, pool: &PoolName, noted: &mut Vec<Subvolume>) {
        let mut turns = self.by_pool.lock().unwrap_or_else(PoisonError::into_inner);
        noted.sort_unstable();
        if let Some(last) = turns.get(pool) {
            let next = noted.partition_point(|subvolume| subvolume <= last);
            noted.rotate_left(next);
        }
        noted.truncate(MOST);
        if let Some(last) = noted.last() {
            turns.insert(pool.clone(), *last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn whatever_stays_noted_every_note_has_its_turn() {
        let (turns, pool) = (Turns::default(), PoolName::default());
        let all: Vec<_> =
            (0..10_000).map(|at| Subvolume { number: 256 + at, uuid: [0; 16] }).collect();
        let mut seen = BTreeSet::new();
        for _ in 0..3 {
            let mut noted = all.clone();
            turns.choose(&pool, &mut noted);
            assert_eq!(noted.len(), MOST);
            seen.extend(noted);
        }
        assert_eq!(seen.len(), all.len());
        let mut few = all[..3].to_vec();
        turns.choose(&pool, &mut few);
        assert_eq!(few.len(), 3);
    }
}
