//! Why a volume could not be made, put away or brought back.

use crate::host::HostError;
use crate::host::quota::Lack;
use crate::pools::PoolError;
use fastrak_api::capacity::Shortage;
use fastrak_api::pool::PoolName;
use std::path::PathBuf;
use tokio::task::JoinError;

/// A volume could not be made or put away.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// Its pool cannot be used.
    #[error("the volume's pool cannot be used")]
    Pool(#[source] PoolError),
    /// Its place is taken by something that is not it. That is never touched.
    #[error("{path} is there already and is not this claim's volume ({why}); move it away", path = path.display())]
    Taken {
        /// The place.
        path: PathBuf,
        /// How it is known.
        why: String,
    },
    /// There is no room for it.
    #[error("{0}")]
    Full(Box<Shortage>),
    /// None of several pools can have it; why each cannot.
    #[error("none of the pools can have it: {why}")]
    NoPool {
        /// Why not.
        why: String,
        /// What those that are full have too little of.
        shortages: Vec<Shortage>,
    },
    /// It would not be held to its size.
    #[error(
        "the class wants quota: required, and pool {pool} cannot hold a volume to its size: {lack}; \
         or use a class with quota: preferred"
    )]
    NoQuota {
        /// The pool.
        pool: PoolName,
        /// What it lacks.
        lack: Lack,
    },
    /// It could not be made.
    #[error("could not make the volume's directory")]
    Make(#[source] HostError),
    /// It could not be looked at.
    #[error("could not look for the volume's directory")]
    Look(#[source] HostError),
    /// What is in the trash could not be sorted.
    #[error("could not look through the trash")]
    Sort(#[source] HostError),
    /// Data of another provisioner could not be taken over.
    #[error("could not take the data over")]
    Import(#[source] HostError),
    /// It is on another filesystem than the pool.
    #[error("{} is on another filesystem than the pools of the class, and so cannot be taken over by a rename", .0.display())]
    Elsewhere(PathBuf),
    /// It could not be brought back.
    #[error("could not bring the volume's directory back")]
    Restore(#[source] HostError),
    /// It could not be moved into the trash.
    #[error("could not move the volume's directory into the trash")]
    Discard(#[source] HostError),
    /// Its record could not be changed.
    #[error("could not record that the volume is to be kept")]
    Keep(#[source] HostError),
    /// It is not where it should be.
    #[error("the volume's directory is not in pool {0}")]
    Missing(PoolName),
    /// It could not be made larger.
    #[error("could not raise what the volume may hold")]
    Grow(#[source] HostError),
    /// The thread that did it has ended.
    #[error("the work on the disk was cut off")]
    CutOff(#[source] JoinError),
}

impl VolumeError {
    /// What there was too little of.
    #[must_use]
    pub fn shortages(&self) -> &[Shortage] {
        match self {
            Self::Full(shortage) => std::slice::from_ref(&**shortage),
            Self::NoPool { shortages, .. } => shortages,
            _ => &[],
        }
    }
}
