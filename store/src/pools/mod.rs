//! The pools of this node: the configured directories in which volumes are made.
//!
//! Nothing is done in a directory that has not just proved to be the pool it should be. One that
//! has not is refused alone; it comes back by itself when it is put right. It does not know what a
//! volume is.

pub mod check;
pub mod error;
mod lock;
pub mod marker;
mod probe;

pub use error::{PoolError, Problem};
pub use lock::HOLDER;
pub use probe::{PROBE, PROBED};

use crate::host::Dir;
use crate::host::calls::{Machine, Room};
use crate::host::machine::process_name;
use check::{Opened, Place};
use fastrak_api::capacity::Terms;
use fastrak_api::node::NodeName;
use fastrak_api::pool::PoolName;
use fastrak_runtime::chain::Chain;
use lock::Lock;
use marker::Expected;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A pool as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Its name.
    pub name: PoolName,
    /// Its directory, the same on the host and here.
    pub path: PathBuf,
    /// Whether something must be mounted there.
    pub require_mount: bool,
    /// How much of it may be given away.
    pub terms: Terms,
}

/// All pools of this node.
#[derive(Debug)]
pub struct Pools {
    machine: Arc<dyn Machine>,
    node: NodeName,
    pools: Vec<Pool>,
    holder: String,
    // What the cluster says of the pools. Kept here so that every opening can ask.
    seen: Mutex<Arc<Seen>>,
}

/// What the cluster says of the pools of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The cluster's id: the uid of its namespace `kube-system`. Without it no pool is opened.
    pub cluster: String,
    /// The pools in which the cluster has volumes.
    pub in_use: BTreeSet<String>,
    /// The pool that an administrator lets this cluster adopt.
    pub adopt: Option<String>,
}

/// A pool that has just proved to be the right one.
#[derive(Debug)]
pub struct OpenPool<'a> {
    /// Its configuration.
    pub config: &'a PoolConfig,
    /// Its directory.
    pub dir: Dir,
    /// What room its filesystem has.
    pub room: Room,
}

/// A pool that has begun or ceased to work, or was adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The pool.
    pub pool: PoolName,
    /// Why it does not work; `None` when it does.
    pub problem: Option<String>,
    /// Whether nothing was known of it before.
    pub is_first: bool,
    /// Whether it became this cluster's.
    pub adopted: bool,
    /// Whether all that is in it is gone when the machine starts again.
    pub is_volatile: bool,
}

#[derive(Debug)]
struct Pool {
    config: PoolConfig,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    id: Option<String>,
    lock: Option<Lock>,
    // Whether its filesystem is known to rename without replacing. Once in the life of a process.
    probed: bool,
    // Whether it was adopted since the last look.
    adopted: bool,
    // The problem, or none.
    last_reported: Option<Option<String>>,
}

impl Pools {
    /// The pools of `node`, which is `machine`. None can be opened before [`Pools::set_seen`].
    #[must_use]
    pub fn new(machine: Arc<dyn Machine>, node: NodeName, configs: Vec<PoolConfig>) -> Self {
        let pools = configs.into_iter().map(|config| Pool { config, memory: Mutex::default() });
        let holder = process_name();
        Self { machine, node, pools: pools.collect(), holder, seen: Mutex::default() }
    }

    /// The machine that they are on.
    #[must_use]
    pub fn machine(&self) -> &dyn Machine {
        &*self.machine
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &PoolName> {
        self.pools.iter().map(|pool| &pool.config.name)
    }

    /// Sets what the cluster says of the pools.
    pub fn set_seen(&self, seen: Seen) {
        *lock(&self.seen) = Arc::new(seen);
    }

    /// Opens one pool, if it is what it should be at this moment.
    pub fn open(&self, name: &PoolName) -> Result<OpenPool<'_>, PoolError> {
        match self.pools.iter().find(|pool| pool.config.name == *name) {
            Some(pool) => self.open_one(pool),
            None => Err(self.unknown(name)),
        }
    }

    /// What is to be said of a pool that is none of these.
    #[must_use]
    pub fn unknown(&self, name: &PoolName) -> PoolError {
        PoolError::Unknown { pool: name.clone(), known: self.known() }
    }

    /// Opens all of them.
    pub fn open_all(&self) -> impl Iterator<Item = Result<OpenPool<'_>, PoolError>> {
        self.pools.iter().map(|pool| self.open_one(pool))
    }

    /// Looks at all of them; returns those that have begun or ceased to work, fail for another reason
    /// now, or were adopted, since the last look.
    pub fn look(&self) -> Vec<Change> {
        self.pools.iter().filter_map(|pool| self.look_at(pool)).collect()
    }

    /// The names, for people.
    #[must_use]
    pub fn known(&self) -> String {
        let names: Vec<_> = self.names().map(PoolName::as_str).collect();
        names.join(", ")
    }

    fn look_at(&self, pool: &Pool) -> Option<Change> {
        let opened = self.open_one(pool);
        let is_volatile = opened.as_ref().is_ok_and(|opened| opened.room.is_in_memory());
        let problem = opened.err().map(|error| Chain(&error).to_string());
        let mut memory = lock(&pool.memory);
        let adopted = std::mem::take(&mut memory.adopted);
        if !adopted && memory.last_reported.as_ref() == Some(&problem) {
            return None;
        }
        let is_first = memory.last_reported.replace(problem.clone()).is_none();
        let name = pool.config.name.clone();
        Some(Change { pool: name, problem, is_first, adopted, is_volatile })
    }

    fn open_one<'a>(&self, pool: &'a Pool) -> Result<OpenPool<'a>, PoolError> {
        let config = &pool.config;
        // Held while the directory is looked at: two first starts at once would both write a marker.
        let mut memory = lock(&pool.memory);
        let opened = self.check(config, &memory).map_err(|problem| PoolError::Unusable {
            pool: config.name.clone(),
            path: config.path.clone(),
            problem,
        })?;
        memory.id = Some(opened.id);
        memory.adopted |= opened.adopted;
        memory.probed = opened.probed;
        if opened.lock.is_some() {
            memory.lock = opened.lock;
        }
        Ok(OpenPool { config, dir: opened.dir, room: opened.room })
    }

    fn check(&self, config: &PoolConfig, memory: &Memory) -> Result<Opened, Problem> {
        let seen = Arc::clone(&lock(&self.seen));
        let expected = Expected {
            pool: &config.name,
            node: &self.node,
            id: memory.id.as_deref(),
            cluster: &seen.cluster,
            has_volumes: seen.in_use.contains(config.name.as_str()),
            adopt: seen.adopt.as_deref() == Some(config.name.as_str()),
        };
        let neighbours = self.neighbours(&config.path);
        let place = Place {
            machine: self.machine(),
            path: &config.path,
            require_mount: config.require_mount,
            neighbours: &neighbours,
            lock: memory.lock.as_ref(),
            is_probed: memory.probed,
            holder: &self.holder,
        };
        check::open(&place, &expected)
    }

    fn neighbours(&self, path: &Path) -> Vec<PathBuf> {
        let paths = self.pools.iter().map(|pool| &pool.config.path);
        paths.filter(|other| *other != path).cloned().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
