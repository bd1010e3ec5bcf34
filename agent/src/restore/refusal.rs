//! Why a claim does not get the volume that it names, in words for its user.

use fastrak_api::names;
use fastrak_api::pool::PoolName;
use fastrak_api::size::Bytes;
use fastrak_api::volume::VolumeId;

/// Why a claim has to wait, in words for its user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wait {
    /// The volume is being taken away.
    #[error("volume {0} is still being taken away")]
    Leaving(String),
    /// Something has it mounted.
    #[error("a pod on this node has the volume mounted still")]
    Mounted,
    /// Nobody knows.
    #[error("it cannot be told whether a pod on this node has the volume mounted")]
    MountsUnknown,
    /// A pool cannot be used.
    #[error("{0}")]
    Pool(String),
    /// Work on the volume is under way.
    #[error("the volume is being worked on")]
    Busy,
}

/// Why a claim cannot have the volume, in words for its user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none, or it is not for this claim. One text, so that nobody learns of others' volumes.
    #[error(
        "node {node} has no volume {id} that a claim of this namespace may have. It is on one node \
         only, which the claim has to name ({pin}); the trash keeps it for a time only; and it goes to \
         the namespace in which its claim was, not to a later one of the same name, unless an \
         administrator annotates that namespace with {inherit}={yes}",
        pin = names::NODE,
        inherit = names::INHERIT_VOLUMES,
        yes = names::INHERIT_VOLUMES_YES
    )]
    NotHere {
        /// This node.
        node: String,
        /// The volume.
        id: VolumeId,
    },
    /// It is this claim's own uid.
    #[error("the claim names itself; name the volume that it is to have")]
    Itself,
    /// What is on the disk is not proven to be it.
    #[error("the directory of the volume is not proven to be it ({0}); nothing was touched")]
    Unverified(String),
    /// It is somebody's.
    #[error("volume {0} is in use by another claim")]
    InUse(String),
    /// Its claim is there still.
    #[error("the claim that volume {0} was of is there still; delete that first, or use it")]
    ClaimExists(String),
    /// It is not in the trash but kept.
    #[error("volume {0} is not in the trash but kept; write {adopt} in place of {undelete}", adopt = names::ADOPT, undelete = names::UNDELETE)]
    Kept(String),
    /// It is not kept but in the trash.
    #[error("volume {0} is in the trash; write {undelete} in place of {adopt}", adopt = names::ADOPT, undelete = names::UNDELETE)]
    Trashed(String),
    /// The class makes its volumes elsewhere.
    #[error(
        "the volume is in pool {has}, and class {class} is for pool {wanted}; use a class for {has}"
    )]
    OtherPool {
        /// Where it is.
        has: PoolName,
        /// The class.
        class: String,
        /// Where the class has its volumes.
        wanted: String,
    },
    /// The class promises what the volume does not keep.
    #[error(
        "nothing holds volume {volume} to its size, and class {class} requires a quota; use a class that \
         does not"
    )]
    NoQuota {
        /// The volume.
        volume: String,
        /// The class.
        class: String,
    },
    /// It is too small.
    #[error("the claim asks for {asked}, and the volume has {has}; ask for {has} or less")]
    TooLarge {
        /// What is asked for.
        asked: Bytes,
        /// What it has.
        has: Bytes,
    },
}
