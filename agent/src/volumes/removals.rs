//! The removals of trashed volumes that are under way, one in each pool, kept between their steps so
//! that none begins anew each time: a large folder that is read again from its start for every few
//! hundred names costs as many times more as it is larger.
//!
//! Which volume is to be removed is decided elsewhere, and nobody may bring one back whose removal has
//! begun: what is open is emptied wherever it is.

use crate::host::Dir;
use crate::host::reap::{Budget, Progress, Removal};
use fastrak_api::pool::PoolName;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The removals that are under way. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Removals {
    by_pool: Arc<Mutex<BTreeMap<PoolName, Removal>>>,
}

/// What a step has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How the removal stands.
    pub progress: Progress,
    /// How many files and folders this step has removed.
    pub removed: u64,
}

impl Removals {
    /// Removes a part of `name` in a pool's trash. The removal is begun if it was not.
    pub fn step(&self, pool: &PoolName, (trash, name): (&Dir, &OsStr), budget: Budget) -> Step {
        // Taken out and not held: the disk may take its time.
        let under_way = self.lock().remove(pool).filter(|removal| removal.name() == name);
        let mut removal = under_way.unwrap_or_else(|| Removal::new(name));
        let before = removal.removed();
        let progress = removal.step(trash, budget);
        let removed = removal.removed().saturating_sub(before);
        if progress == Progress::More {
            self.lock().insert(pool.clone(), removal);
        }
        Step { progress, removed }
    }

    /// The name of what is being removed in a pool.
    pub fn under_way(&self, pool: &PoolName) -> Option<OsString> {
        self.lock().get(pool).map(|removal| removal.name().to_owned())
    }

    /// Forgets those in other pools: what they have open would keep a disk from being taken away.
    pub fn retain(&self, pools: &[PoolName]) {
        self.lock().retain(|pool, _| pools.contains(pool));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PoolName, Removal>> {
        self.by_pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
