//! The removals of trashed volumes that are under way, one in each pool, kept between their steps so
//! that none begins anew each time: a large folder that is read again from its start for every few
//! hundred names costs as many times more as it is larger.
//!
//! Which volume is to be removed is decided elsewhere.

use super::layout;
use crate::host::reap::{Budget, Progress, Removal};
use crate::host::{Dir, HostError};
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
    /// The name that the entry has now.
    pub name: OsString,
    /// How the removal stands.
    pub progress: Progress,
    /// How many files and folders this step has removed.
    pub removed: u64,
}

impl Removals {
    /// Removes a part of the entry `name` of a pool's trash. The removal is begun if it was not.
    pub fn step(
        &self,
        pool: &PoolName,
        (trash, name): (&Dir, &OsStr),
        budget: Budget,
    ) -> Result<Step, HostError> {
        // Taken out and not held: the disk may take its time.
        let under_way = self.lock().remove(pool).filter(|removal| removal.name() == name);
        let mut removal = match under_way {
            Some(removal) => removal,
            None => Removal::new(&condemn(trash, name)?),
        };
        let before = removal.removed();
        let progress = removal.step(trash, budget);
        let removed = removal.removed().saturating_sub(before);
        let name = removal.name().to_owned();
        if progress == Progress::More {
            self.lock().insert(pool.clone(), removal);
        }
        Ok(Step { name, progress, removed })
    }

    /// Forgets those in other pools: what they have open would keep a disk from being taken away.
    pub fn retain(&self, pools: &[PoolName]) {
        self.lock().retain(|pool, _| pools.contains(pool));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PoolName, Removal>> {
        self.by_pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives `name` the name of what is being removed, before anything in it is: so that no part of a
/// volume is ever taken for the whole, also after a kill or a power cut.
fn condemn(trash: &Dir, name: &OsStr) -> Result<OsString, HostError> {
    if layout::is_condemned(name) {
        return Ok(name.to_owned());
    }
    let mut n = 0;
    loop {
        let condemned = layout::condemned_name(name, n);
        match trash.rename(name, trash, &condemned) {
            Ok(()) => {
                trash.sync()?;
                return Ok(condemned);
            }
            Err(error) if error.is_taken() => n += 1,
            Err(error) => return Err(error),
        }
    }
}
