//! What to do about a volume whose claim may be gone. Pure.
//!
//! Data is taken away only where nothing speaks against it; on any doubt the answer is to wait and
//! to say why.

use crate::cluster::ClaimState;
use crate::snapshot::volume::{Phase, Volume};
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::node::NodeName;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use fastrak_store::volumes::{Location, layout};

/// Whether a volume is to be looked at more closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Not this agent's.
    NotOurs,
    /// In use, or about to be.
    InUse,
    /// To be kept whatever becomes of its objects.
    Keep,
    /// It may be at its end.
    Ending,
}

/// What was found out about a volume that may be at its end, all of it just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The claim that its PersistentVolume names.
    pub claim: ClaimState,
    /// Whether its directory is known to hold nothing.
    pub is_empty: bool,
    /// Another claim that is recorded beside the data and still exists, by namespace and name. Whoever may
    /// write PersistentVolumes can have one name any claim.
    pub recorded: Option<String>,
    /// Whether something has it mounted; `None` where that cannot be told.
    pub mounted: Option<bool>,
    /// Where its data is.
    pub data: Location,
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet.
    Wait(Reason),
    /// Take the data away, then the object.
    Trash(PoolName),
    /// Record that the data is to be kept, then let the object go.
    Keep(PoolName),
    /// Let the object go: there is no data here to care for any more.
    Finish,
    /// The same, and say that the data was not there.
    FinishMissing,
    /// Let the object go and leave the data: its claim waits, and gets an object anew.
    LetGo,
}

/// Why a volume must wait for its end, in words for an administrator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Its claim lives.
    #[error("its claim is there still")]
    ClaimExists,
    /// Its claim lives and uses another volume.
    #[error(
        "its claim uses volume {volume} and this volume holds data, or was made for another claim; \
         nothing was touched. Remove its files if they may go, or set its policy to Retain and delete \
         it to keep them"
    )]
    UsedElsewhere {
        /// The volume that the claim uses.
        volume: String,
    },
    /// The claim whose data it holds lives, and its object names another one.
    #[error(
        "its data belongs to claim {claim}, which still exists, but its claimRef names another claim; \
         nothing was touched. Delete that claim if its data may go, or restore the claimRef"
    )]
    RecordedClaimExists {
        /// The claim.
        claim: String,
    },
    /// Something has it mounted.
    #[error("a pod on this node has it mounted still; its data is taken away when that has ended")]
    Mounted,
    /// Nobody knows.
    #[error("it cannot be told whether a pod on this node has it mounted")]
    MountsUnknown,
    /// Its object names a path that none of our volumes has.
    #[error(
        "it names the path {path:?}, which is not this volume's; nothing was touched. If its data \
         is of no value, remove the finalizer"
    )]
    ForeignPath {
        /// The path.
        path: String,
    },
    /// What has its name on the disk is not proven to be it.
    #[error(
        "the directory in pool {pool} is not proven to be this volume's ({why}); nothing was touched"
    )]
    Unverified {
        /// The pool.
        pool: PoolName,
        /// Why.
        why: String,
    },
    /// Its pool cannot be used.
    #[error("{why}")]
    PoolUnusable {
        /// Why.
        why: String,
    },
}

/// Whether `volume` concerns the agent of this node, and how.
#[must_use]
pub fn interest(volume: &Volume, node: &NodeName) -> Interest {
    // Policies hold other agents to the annotation. The label may be a hash, which they cannot compute.
    let mine = volume.node_label.as_deref() == Some(node.key().as_str())
        && volume.node.as_deref().is_none_or(|name| name == node.as_str());
    if !mine || !volume.is_ours() || volume.finalizer().is_none() || volume.id().is_none() {
        return Interest::NotOurs;
    }
    let released = matches!(volume.phase, Phase::Released | Phase::Failed);
    match volume.policy {
        _ if volume.deleting => Interest::Ending,
        ReclaimPolicy::Delete if released => Interest::Ending,
        ReclaimPolicy::Delete => Interest::InUse,
        ReclaimPolicy::Retain => Interest::Keep,
    }
}

/// Decides about a volume that may be at its end.
#[must_use]
pub fn decide(volume: &Volume, id: &VolumeId, evidence: &Evidence) -> Step {
    if let Some(claim) = &evidence.recorded {
        return Step::Wait(Reason::RecordedClaimExists { claim: claim.clone() });
    }
    match &evidence.claim {
        ClaimState::Bound(other) if *other != volume.name && volume.phase != Phase::Bound => {
            unused(volume, id, evidence, other)
        }
        ClaimState::Bound(_) | ClaimState::HasVolume(_) => Step::Wait(Reason::ClaimExists),
        // Deleted by hand before it was bound: the binder will not take it any more.
        ClaimState::Waiting if volume.deleting && volume.phase != Phase::Bound => Step::LetGo,
        ClaimState::Waiting => Step::Wait(Reason::ClaimExists),
        ClaimState::Gone => match volume.policy {
            ReclaimPolicy::Retain => keep(evidence),
            ReclaimPolicy::Delete => take_away(volume, id, evidence),
        },
    }
}

/// Its claim is bound to another volume, for good, and so never had this one: a volume that was made
/// while the claim was bound elsewhere. Data that is in it all the same was imported, or was another
/// claim's before, and stays.
fn unused(volume: &Volume, id: &VolumeId, evidence: &Evidence, other: &str) -> Step {
    let of = volume.claim.as_ref().and_then(|claim| claim.uid.as_deref());
    if volume.policy == ReclaimPolicy::Retain {
        return keep(evidence);
    }
    match take_away(volume, id, evidence) {
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
        // Its record may say that it goes with its claim, and could not be changed.
        Location::Unknown(why) => Step::Wait(Reason::PoolUnusable { why: why.clone() }),
    }
}

fn take_away(volume: &Volume, id: &VolumeId, evidence: &Evidence) -> Step {
    // The path is never followed. But an object with another one was not written by us, whatever
    // else it says of itself.
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
