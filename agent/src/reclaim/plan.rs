//! Decides about a volume whose claim may be deleted. Pure.
//!
//! Data is deleted only without any doubt; otherwise the volume waits and the reason is reported.

use crate::cluster::ClaimState;
use crate::snapshot::volume::{Phase, Volume};
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::names;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use fastrak_store::volumes::{Location, layout};

/// What was just read about a volume that may have to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// The claim in its PersistentVolume.
    pub(crate) claim: ClaimState,
    /// Whether its directory is known to be empty.
    pub(crate) is_empty: bool,
    /// Another claim in the records on the disk that still exists, as namespace and name. Everyone
    /// who may write PersistentVolumes can make one name any claim.
    pub(crate) recorded: Option<String>,
    /// Whether it is mounted; `None` if that is unknown.
    pub(crate) mounted: Option<bool>,
    pub(crate) data: Location,
}

/// What to do about the volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Wait(Reason),
    /// Delete the object and move the data into the trash.
    Trash(PoolName),
    /// Record that the data is retained, then release the object.
    Keep(PoolName),
    /// Release the object: there is no data to delete.
    Finish,
    /// Release the object and report that its data was missing.
    FinishMissing,
    /// Release the object and leave the data: its claim waits, and a new object is created for it.
    Release,
}

/// Why a volume cannot be deleted yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reason {
    #[error("its claim still exists")]
    ClaimExists,
    #[error(
        "its claim uses volume {volume}, and this volume contains data or was created for another \
         claim; nothing was changed; remove its files to delete it, or set its reclaim policy to \
         Retain to keep them"
    )]
    UsedElsewhere { volume: String },
    #[error(
        "its data belongs to claim {claim}, which still exists, but its claimRef names another \
         claim; nothing was changed; delete that claim to delete its data, or restore the claimRef"
    )]
    RecordedClaimExists { claim: String },
    #[error(
        "a pod on its node still mounts it; delete the pod: the data is deleted after the unmount"
    )]
    Mounted,
    #[error(
        "the agent cannot read the mounts of its node, and a pod may still mount it; the agent retries"
    )]
    MountsUnknown,
    #[error(
        "its path {path:?} is not its data path in a pool; nothing was changed; remove the finalizer \
         {finalizer} if its data is not needed",
        finalizer = names::VOLUME_FINALIZER
    )]
    ForeignPath { path: String },
    #[error(
        "the directory in pool {pool} has no valid record of this volume ({why}); nothing was \
         changed; restore the record from a backup, or move the directory away"
    )]
    Unverified { pool: PoolName, why: String },
    #[error("{why}")]
    PoolUnusable { why: String },
}

/// Decides about a volume that may have to be deleted.
pub(crate) fn decide(volume: &Volume, id: &VolumeId, evidence: &Evidence) -> Step {
    if let Some(claim) = &evidence.recorded {
        return Step::Wait(Reason::RecordedClaimExists { claim: claim.clone() });
    }
    match &evidence.claim {
        ClaimState::Bound(other) if *other != volume.name && volume.phase != Phase::Bound => {
            unused(volume, id, evidence, other)
        }
        ClaimState::Bound(_) | ClaimState::HasVolume(_) => Step::Wait(Reason::ClaimExists),
        // Deleted by hand before it was bound: the binder no longer binds it.
        ClaimState::Waiting if volume.deleting && volume.phase != Phase::Bound => Step::Release,
        ClaimState::Waiting => Step::Wait(Reason::ClaimExists),
        ClaimState::Gone => match volume.policy {
            ReclaimPolicy::Retain => keep(evidence),
            ReclaimPolicy::Delete => delete(volume, id, evidence),
        },
    }
}

/// Decides about a volume whose claim is bound to another one for its lifetime. This volume was
/// created while the claim was bound elsewhere, so it should be empty. Data in it was imported or
/// belonged to another claim, and stays.
fn unused(volume: &Volume, id: &VolumeId, evidence: &Evidence, other: &str) -> Step {
    let of = volume.claim.as_ref().and_then(|claim| claim.uid.as_deref());
    if volume.policy == ReclaimPolicy::Retain {
        return keep(evidence);
    }
    match delete(volume, id, evidence) {
        Step::Trash(_) if of != Some(id.as_str()) || !evidence.is_empty => {
            Step::Wait(Reason::UsedElsewhere { volume: other.to_owned() })
        }
        step => step,
    }
}

fn keep(evidence: &Evidence) -> Step {
    match &evidence.data {
        Location::InPool(pool, _) => Step::Keep(pool.clone()),
        Location::Unverified(..) => Step::Finish,
        Location::Trashed | Location::Absent => Step::FinishMissing,
        // Its record may say Delete, and it cannot be changed now.
        Location::Unknown(why) => Step::Wait(Reason::PoolUnusable { why: why.clone() }),
    }
}

fn delete(volume: &Volume, id: &VolumeId, evidence: &Evidence) -> Step {
    // The path is never followed. An object with another path was not written by this agent,
    // despite its other fields.
    let path = volume.path.as_deref().unwrap_or_default();
    if !layout::is_data_path(path.as_bytes(), id) {
        return Step::Wait(Reason::ForeignPath { path: path.to_owned() });
    }
    match (&evidence.data, evidence.mounted) {
        (Location::Unverified(pool, why), _) => {
            Step::Wait(Reason::Unverified { pool: pool.clone(), why: why.clone() })
        }
        (Location::Unknown(why), _) => Step::Wait(Reason::PoolUnusable { why: why.clone() }),
        (Location::Trashed, _) => Step::Finish,
        (Location::Absent, _) => Step::FinishMissing,
        (Location::InPool(..), None) => Step::Wait(Reason::MountsUnknown),
        (Location::InPool(..), Some(true)) => Step::Wait(Reason::Mounted),
        (Location::InPool(pool, _), Some(false)) => Step::Trash(pool.clone()),
    }
}

#[cfg(test)]
mod tests;
