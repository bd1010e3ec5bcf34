//! Why an operation on a volume has failed.

use crate::host::HostError;
use crate::host::quota::QuotaUnavailable;
use crate::pools::PoolError;
use fastrak_api::capacity::Shortage;
use fastrak_api::pool::PoolName;
use std::path::PathBuf;
use tokio::task::JoinError;

/// A failed operation on a volume.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The pool of the volume cannot be used.
    #[error("the volume's pool cannot be used")]
    Pool(#[source] PoolError),
    /// The path of the volume is occupied by something else, which is never changed.
    #[error("{path} exists and is not the volume of this claim ({why}); move it away", path = path.display())]
    Occupied {
        /// The path.
        path: PathBuf,
        /// Why it is not the volume.
        why: String,
    },
    /// The pool lacks space.
    #[error("{0}")]
    Full(Box<Shortage>),
    /// None of several pools can hold the volume.
    #[error("none of the pools can hold the volume: {why}")]
    NoPool {
        /// The reason of each pool.
        why: String,
        /// The shortages of the full pools.
        shortages: Vec<Shortage>,
    },
    /// The pool cannot enforce the required quota.
    #[error(
        "pool {pool} cannot enforce the quota that the class requires (quota: required): {reason}, or \
         use a class with quota: preferred"
    )]
    NoQuota {
        /// The pool.
        pool: PoolName,
        /// The reason.
        reason: QuotaUnavailable,
    },
    /// The directory could not be created.
    #[error("could not create the volume's directory")]
    Create(#[source] HostError),
    /// The directory could not be read.
    #[error("could not read the volume's directory")]
    Read(#[source] HostError),
    /// The trash could not be read.
    #[error("could not read the trash")]
    ReadTrash(#[source] HostError),
    /// The data of another provisioner could not be imported.
    #[error("could not import the data")]
    Import(#[source] HostError),
    /// The data to import is on another filesystem than the pools.
    #[error("{} is on another filesystem than the pools of the class; an import renames and never copies", .0.display())]
    OtherFilesystem(PathBuf),
    /// The volume could not be restored.
    #[error("could not restore the volume's directory")]
    Restore(#[source] HostError),
    /// The volume could not be moved into the trash.
    #[error("could not move the volume's directory into the trash")]
    Discard(#[source] HostError),
    /// The record could not be changed.
    #[error("could not update the volume's record")]
    WriteRecord(#[source] HostError),
    /// The directory is missing.
    #[error("the volume's directory is not in pool {0}")]
    Missing(PoolName),
    /// The volume could not be resized.
    #[error("could not raise the volume's quota")]
    SetQuota(#[source] HostError),
    /// The thread of the operation has exited.
    #[error("the operation was interrupted")]
    Interrupted(#[source] JoinError),
}

impl VolumeError {
    /// Returns the shortages that caused the error.
    #[must_use]
    pub fn shortages(&self) -> &[Shortage] {
        match self {
            Self::Full(shortage) => std::slice::from_ref(&**shortage),
            Self::NoPool { shortages, .. } => shortages,
            _ => &[],
        }
    }
}
