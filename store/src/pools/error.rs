//! Why a pool cannot be used. Each message says what to do about it: the events of waiting claims
//! show it.

use crate::host::HostError;
use fastrak_api::names;
use fastrak_api::pool::PoolName;
use std::path::PathBuf;

/// A pool that cannot be used. Other pools may be usable.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The node does not have the pool.
    #[error("this node has no pool {pool}; it has: {known}")]
    Unknown {
        /// The pool.
        pool: PoolName,
        /// The pools of the node.
        known: String,
    },
    /// The directory of the pool has failed its check.
    #[error("pool {pool} at {path} cannot be used", path = path.display())]
    Unusable {
        /// The pool.
        pool: PoolName,
        /// The directory.
        path: PathBuf,
        /// The problem.
        #[source]
        problem: Problem,
    },
}

/// A problem with the directory of a pool.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The directory does not exist.
    #[error("it does not exist; create the directory, or mount the pool's disk there")]
    Missing,
    /// The path is a symbolic link, which could be changed to point elsewhere.
    #[error("it is a symbolic link; configure the directory that it points to")]
    Symlink,
    /// The path is not a directory.
    #[error("it is not a directory; configure a directory")]
    NotADirectory,
    /// The directory must be a mount point and is not.
    #[error("it is not a mount point, which the pool requires (mount); mount its disk")]
    NotMounted,
    /// The filesystem is read-only.
    #[error("its filesystem is read-only; check the disk and mount it read-write")]
    ReadOnly,
    /// The filesystem cannot rename without replacing.
    #[error(
        "its filesystem cannot rename without replacing (renameat2 with RENAME_NOREPLACE), which \
         the agent needs to create and remove volumes; use a local filesystem such as ext4, XFS, btrfs, or ZFS 2.2 or \
         newer. NFS and 9p cannot be used"
    )]
    NoSafeRename,
    /// The directory has no marker and other content.
    #[error(
        "it is not empty (it contains {name:?}) and has no marker .fastrak-pool; configure an empty \
         directory, or create an empty file .fastrak-pool in it to use it anyway"
    )]
    NotEmpty {
        /// One of the entries.
        name: String,
    },
    /// The directory had a marker before.
    #[error(
        "its marker .fastrak-pool is missing, although the cluster has volumes in this pool; mount the \
         pool's disk. To move the pool to another disk, copy the whole old directory, .fastrak-pool \
         included, and mount the new disk at the same path. If the data is lost, create an \
         empty file .fastrak-pool there to start an empty pool"
    )]
    MarkerLost,
    /// The marker cannot be read.
    #[error("its marker .fastrak-pool cannot be read ({why}); restore it")]
    MarkerUnreadable {
        /// The reason.
        why: String,
    },
    /// The marker names another pool.
    #[error(
        "its marker names pool {pool:?}; configure another directory, or mount the disk of this pool"
    )]
    OtherPool {
        /// The other pool.
        pool: String,
    },
    /// The marker names another node.
    #[error(
        "its marker says that it belongs to node {node:?}; mount this node's own disk, or change the \
         marker if the node was renamed"
    )]
    OtherNode {
        /// The other node.
        node: String,
    },
    /// The marker names another cluster, or an earlier installation of this one.
    #[error(
        "its marker says that it belongs to {}; nothing in it was changed. To keep the data \
         and use it in this cluster, run: kubectl annotate node {node} {adopt}={pool}",
        cluster.as_ref().map_or_else(
            || "no known cluster, and this cluster has no volumes in it".to_owned(),
            |cluster| format!("another cluster (kube-system uid {cluster})"),
        ),
        adopt = names::ADOPT_POOL
    )]
    OtherCluster {
        /// The other cluster, if the marker names one.
        cluster: Option<String>,
        /// The pool.
        pool: String,
        /// This node.
        node: String,
    },
    /// The agent does not know its cluster yet.
    #[error(
        "the agent has not read the cluster ID (the uid of namespace kube-system) yet; it retries"
    )]
    ClusterUnknown,
    /// Another agent uses the directory.
    #[error(
        "it is in use by another agent ({holder}); two agents must not share a pool: stop that one, \
         or configure another directory"
    )]
    InUse {
        /// The other agent.
        holder: String,
    },
    /// The disk has been replaced since the agent started.
    #[error(
        "another disk was mounted there when the agent started; mount that one, or restart the agent"
    )]
    OtherDisk,
    /// A system call has failed.
    #[error("the agent cannot use the directory")]
    Host(#[source] HostError),
}

impl PoolError {
    /// Returns the pool.
    #[must_use]
    pub fn pool(&self) -> &PoolName {
        match self {
            Self::Unknown { pool, .. } | Self::Unusable { pool, .. } => pool,
        }
    }
}
