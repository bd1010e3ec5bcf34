//! The pools of this node: the configured directories in which volumes are created.
//!
//! [`Pools::open`] checks each time that a directory is the expected pool. A failed check blocks
//! only that pool, until a later check succeeds. The module does not handle volumes.

mod check;
pub mod error;
mod lock;
pub mod marker;
mod probe;

pub use error::{PoolError, Problem};
pub use lock::HOLDER;
pub use probe::{PROBE, PROBED};

use crate::host::Dir;
use crate::host::calls::{Machine, Statfs};
use crate::host::machine::process_name;
use fastrak_api::capacity::CapacityLimits;
use fastrak_api::node::NodeName;
use fastrak_api::pool::PoolName;
use fastrak_runtime::chain::Chain;
use lock::Lock;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// The configuration of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// The name.
    pub name: PoolName,
    /// The directory, with the same path on the host and in the container.
    pub path: PathBuf,
    /// Whether the directory must be a mount point.
    pub require_mount: bool,
    /// How much of the pool may be granted.
    pub limits: CapacityLimits,
}

/// The pools of this node.
#[derive(Debug)]
pub struct Pools {
    machine: Arc<dyn Machine>,
    node: NodeName,
    pools: Vec<Pool>,
    holder: String,
    // The cluster's view is kept here because every opening depends on it.
    cluster_view: Mutex<Arc<ClusterView>>,
}

/// What the cluster's API objects say about the pools of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// The cluster ID: the UID of namespace `kube-system`. No pool is opened without it.
    pub cluster: String,
    /// The pools that contain volumes of this cluster.
    pub in_use: BTreeSet<String>,
    /// The pool that an administrator allows this cluster to adopt.
    pub adopt: Option<String>,
}

/// A pool that has passed its check.
#[derive(Debug)]
pub struct OpenPool<'a> {
    /// The configuration.
    pub config: &'a PoolConfig,
    /// The directory.
    pub dir: Dir,
    /// The type and the capacity of the filesystem.
    pub statfs: Statfs,
}

/// A change of a pool's state since the previous check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The pool.
    pub pool: PoolName,
    /// Why the pool is unusable; `None` if it is usable.
    pub problem: Option<String>,
    /// Whether this was the first check.
    pub is_first: bool,
    /// Whether this cluster has adopted the pool.
    pub adopted: bool,
    /// Whether the pool is in memory and loses its content at a reboot.
    pub is_volatile: bool,
}

#[derive(Debug)]
struct Pool {
    config: PoolConfig,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    // The ID in its marker.
    id: Option<String>,
    lock: Option<Lock>,
    // Whether the filesystem was seen to support renames without replacing.
    probed: bool,
    // Whether the pool was adopted since the previous check.
    adopted: bool,
    // The problem that was reported last.
    last_reported: Option<Option<String>>,
}

impl Pools {
    /// Creates the pools of `node`. No pool can be opened before [`Pools::set_cluster_view`].
    #[must_use]
    pub fn new(machine: Arc<dyn Machine>, node: NodeName, configs: Vec<PoolConfig>) -> Self {
        let pools = configs.into_iter().map(|config| Pool { config, state: Mutex::default() });
        let holder = process_name();
        Self { machine, node, pools: pools.collect(), holder, cluster_view: Mutex::default() }
    }

    /// Returns the machine of the pools.
    #[must_use]
    pub fn machine(&self) -> &dyn Machine {
        &*self.machine
    }

    /// Returns the names of the pools.
    pub fn names(&self) -> impl Iterator<Item = &PoolName> {
        self.pools.iter().map(|pool| &pool.config.name)
    }

    /// Updates what the cluster says about the pools.
    pub fn set_cluster_view(&self, view: ClusterView) {
        *self.cluster_view.lock() = Arc::new(view);
    }

    /// Checks and opens one pool.
    pub fn open(&self, name: &PoolName) -> Result<OpenPool<'_>, PoolError> {
        match self.pools.iter().find(|pool| pool.config.name == *name) {
            Some(pool) => self.open_one(pool),
            None => Err(self.unknown(name)),
        }
    }

    /// Returns the error for a pool that this node does not have.
    #[must_use]
    pub fn unknown(&self, name: &PoolName) -> PoolError {
        let known: Vec<_> = self.names().map(PoolName::as_str).collect();
        PoolError::Unknown { pool: name.clone(), known: known.join(", ") }
    }

    /// Checks and opens all pools.
    pub fn open_all(&self) -> impl Iterator<Item = Result<OpenPool<'_>, PoolError>> {
        self.pools.iter().map(|pool| self.open_one(pool))
    }

    /// Checks all pools. Returns those that have become usable, have become unusable, fail for
    /// another reason or were adopted since the previous check.
    pub fn changes(&self) -> Vec<Change> {
        self.pools.iter().filter_map(|pool| self.change_of(pool)).collect()
    }

    fn change_of(&self, pool: &Pool) -> Option<Change> {
        let opened = self.open_one(pool);
        let is_volatile = opened.as_ref().is_ok_and(|opened| opened.statfs.is_in_memory());
        let problem = opened.err().map(|error| Chain(&error).to_string());
        let mut state = pool.state.lock();
        let adopted = std::mem::take(&mut state.adopted);
        if !adopted && state.last_reported.as_ref() == Some(&problem) {
            return None;
        }
        let is_first = state.last_reported.replace(problem.clone()).is_none();
        let name = pool.config.name.clone();
        Some(Change { pool: name, problem, is_first, adopted, is_volatile })
    }

    fn open_one<'a>(&self, pool: &'a Pool) -> Result<OpenPool<'a>, PoolError> {
        let config = &pool.config;
        // Held during the check: two concurrent first starts would both write a marker.
        let mut state = pool.state.lock();
        self.check(config, &mut state).map_err(|problem| PoolError::Unusable {
            pool: config.name.clone(),
            path: config.path.clone(),
            problem,
        })
    }
}

#[cfg(test)]
mod tests;
