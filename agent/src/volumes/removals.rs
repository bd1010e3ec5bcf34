//! The removals of trashed volumes that are under way, one in each pool, kept between their steps so
//! that none begins anew each time: a large folder that is read again from its start for every few
//! hundred names costs as many times more as it is larger.
//!
//! Which volume is to be removed is decided elsewhere, and nobody may bring one back whose removal has
//! begun: what is open is emptied wherever it is.

use crate::host::Dir;
use crate::host::reap::{Budget, Notes, Progress, Removal};
use fastrak_api::pool::PoolName;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// After so many steps of one removal, in a row, others have their turn: a volume to which someone still
/// writes is never done.
const TURN: u32 = 1_000;

/// The removals that are under way. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Removals {
    by_pool: Arc<Mutex<BTreeMap<PoolName, UnderWay>>>,
}

#[derive(Debug)]
struct UnderWay {
    removal: Removal,
    steps: u32,
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
    /// Which of `names` in a pool's trash is to be removed now: the one that is under way, or the next
    /// when it has had its turn.
    pub fn choose<'a>(
        &self,
        pool: &PoolName,
        names: impl Iterator<Item = &'a OsString> + Clone,
    ) -> Option<&'a OsString> {
        let removals = self.lock();
        let Some(UnderWay { removal, steps }) = removals.get(pool) else {
            return names.min();
        };
        let of_this = names.clone().find(|name| *name == removal.name());
        match of_this {
            Some(name) if *steps < TURN => Some(name),
            _ => names.clone().filter(|name| *name > removal.name()).min().or(names.min()),
        }
    }

    /// Removes a part of `name` in a pool's trash. The removal is begun if it was not, with `notes`.
    pub fn step(
        &self,
        pool: &PoolName,
        (trash, name): (&Dir, &OsStr),
        notes: impl FnOnce() -> Notes,
        budget: Budget,
    ) -> Step {
        // Taken out and not held: the disk may take its time.
        let known = self.lock().remove(pool).filter(|known| known.removal.name() == name);
        let new = || UnderWay { removal: Removal::new(name, notes()), steps: 0 };
        let UnderWay { mut removal, steps } = known.unwrap_or_else(new);
        let before = removal.removed();
        let progress = removal.step(trash, budget);
        let removed = removal.removed().saturating_sub(before);
        if progress == Progress::More {
            // Of the only one there is, the turn begins anew.
            let steps = if steps < TURN { steps + 1 } else { 0 };
            self.lock().insert(pool.clone(), UnderWay { removal, steps });
        }
        Step { progress, removed }
    }

    /// Forgets those in other pools: what they have open would keep a disk from being taken away.
    pub fn retain(&self, pools: &[PoolName]) {
        self.lock().retain(|pool, _| pools.contains(pool));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PoolName, UnderWay>> {
        self.by_pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
