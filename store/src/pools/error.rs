//! Why a pool cannot be used, each in words that say what to do about it.
//!
//! These words reach users: they are what the events of the claims that wait for the pool say.

use crate::host::HostError;
use fastrak_api::names;
use fastrak_api::pool::PoolName;
use std::path::PathBuf;

/// A pool cannot be used. Others may.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// It is not one of this node's.
    #[error("this node has no pool {pool}; it has: {known}")]
    Unknown {
        /// The pool.
        pool: PoolName,
        /// The pools it has.
        known: String,
    },
    /// It is, and something is wrong with its directory.
    #[error("pool {pool} at {path} cannot be used", path = path.display())]
    Unusable {
        /// The pool.
        pool: PoolName,
        /// Its directory.
        path: PathBuf,
        /// What is wrong.
        #[source]
        problem: Problem,
    },
}

/// What is wrong with a pool's directory.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// There is none.
    #[error("it does not exist; create the directory, or mount the pool's disk there")]
    Missing,
    /// A link could be turned to point elsewhere.
    #[error("it is a symbolic link; name the directory that it points to instead")]
    Symlink,
    /// Something else is there.
    #[error("it is not a directory; name a directory")]
    NotADirectory,
    /// It is to be a mount point and is none.
    #[error("nothing is mounted there, and the pool is configured to be a mount; mount its disk")]
    NotMounted,
    /// Nothing can be written.
    #[error("its filesystem is read-only; check the disk and mount it read-write")]
    ReadOnly,
    /// Its filesystem lacks what volumes are made by.
    #[error(
        "its filesystem cannot rename without replacing (renameat2 with RENAME_NOREPLACE), by which \
         volumes are made and removed; use a local filesystem such as ext4, XFS, btrfs, or ZFS 2.2 or \
         newer. NFS and 9p cannot be used"
    )]
    NoSafeRename,
    /// It would become the pool, but has something else in it.
    #[error(
        "it is not empty (it has {name:?} in it) and has no pool's marker; name an empty \
         directory, or create an empty file .fastrak-pool in it to use it all the same"
    )]
    NotEmpty {
        /// One thing in it.
        name: String,
    },
    /// It has been the pool and is no more.
    #[error(
        "its marker .fastrak-pool is missing, though the cluster has volumes in this pool; mount the \
         pool's disk. To move the pool to another disk, copy all of the old directory, .fastrak-pool \
         included, and mount the new disk at the same path. If the data is lost for good, create an \
         empty file .fastrak-pool there to start afresh"
    )]
    MarkerLost,
    /// The marker cannot be read.
    #[error("its marker .fastrak-pool cannot be read ({why}); restore it")]
    MarkerUnreadable {
        /// Why not.
        why: String,
    },
    /// It is another pool.
    #[error(
        "its marker says that it is pool {pool:?}; name the right directory, or mount the right disk"
    )]
    OtherPool {
        /// Which.
        pool: String,
    },
    /// It belongs to another node.
    #[error(
        "its marker says that it belongs to node {node:?}; mount this node's own disk, or, if the \
         node was renamed, change the marker"
    )]
    OtherNode {
        /// Which.
        node: String,
    },
    /// It belongs to another cluster, or to an earlier installation of this one.
    #[error(
        "its marker says that it belongs to {}; nothing in it was touched. If the data is to stay \
         and this cluster is to use it from now on, run: kubectl annotate node {node} {adopt}={pool}",
        cluster.as_ref().map_or_else(
            || "no known cluster, and this cluster has no volumes in it".to_owned(),
            |cluster| format!("another cluster (kube-system uid {cluster})"),
        ),
        adopt = names::ADOPT_POOL
    )]
    OtherCluster {
        /// The cluster, if the marker names one.
        cluster: Option<String>,
        /// The name of the pool.
        pool: String,
        /// This node.
        node: String,
    },
    /// The agent has not learned yet which cluster it is in.
    #[error(
        "the agent could not read the uid of the namespace kube-system yet, which identifies the cluster"
    )]
    ClusterUnknown,
    /// Another agent works in it.
    #[error(
        "it is in use by another agent ({holder}); two agents must not share a pool: stop that one, \
         or configure another directory"
    )]
    InUse {
        /// Which agent.
        holder: String,
    },
    /// It was another disk a moment ago.
    #[error(
        "another disk was mounted there when the agent started; mount that one, or restart the agent"
    )]
    OtherDisk,
    /// The machine says no.
    #[error("the agent cannot use the directory")]
    Host(#[source] HostError),
}

impl PoolError {
    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &PoolName {
        match self {
            Self::Unknown { pool, .. } | Self::Unusable { pool, .. } => pool,
        }
    }
}

impl PartialEq for Problem {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}
