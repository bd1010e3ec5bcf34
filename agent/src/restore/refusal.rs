//! Why a claim does not get the volume that it names.

use fastrak_api::names;
use fastrak_api::pool::PoolName;
use fastrak_api::size::Bytes;
use fastrak_api::volume::VolumeId;

/// Why a claim has to wait.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wait {
    #[error("volume {0} is still being deleted; the agent retries")]
    Deleting(String),
    #[error("a pod on the node of the volume still mounts it; delete the pod")]
    Mounted,
    #[error(
        "the agent cannot read the mounts of its node, and a pod may still mount the volume; the \
         agent retries"
    )]
    MountsUnknown,
    #[error("{0}")]
    Pool(String),
    #[error("another operation on the volume is in progress; the agent retries")]
    Busy,
}

/// Why a claim cannot have the volume.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The volume does not exist, or is not for this claim. One message for both keeps the volumes of
    /// others secret.
    #[error(
        "node {node} has no volume {id} that a claim in this namespace may restore; check that the \
         claim names the node of the volume ({pin}) and that the volume has not been in the trash for \
         longer than its retention. A namespace that was recreated cannot restore the volumes of the \
         earlier one until an administrator annotates it with {inherit}={yes}",
        pin = names::NODE,
        inherit = names::INHERIT_VOLUMES,
        yes = names::INHERIT_VOLUMES_ENABLED
    )]
    NotHere { node: String, id: VolumeId },
    #[error("the claim requests the volume of its own UID; request the volume to restore")]
    Itself,
    #[error(
        "the directory of the volume has no valid record ({0}); nothing was changed; restore the record \
         from a backup"
    )]
    Unverified(String),
    #[error("volume {0} is in use by another claim; request another volume")]
    InUse(String),
    #[error("volume {0} still belongs to a claim; delete that claim or use it")]
    ClaimExists(String),
    #[error(
        "volume {0} is retained and not in the trash; use the annotation {adopt} instead of {undelete}",
        adopt = names::ADOPT,
        undelete = names::UNDELETE
    )]
    Kept(String),
    #[error(
        "volume {0} is in the trash; use the annotation {undelete} instead of {adopt}",
        adopt = names::ADOPT,
        undelete = names::UNDELETE
    )]
    Trashed(String),
    #[error(
        "the volume is in pool {has}, and class {class} uses pool {wanted}; use a class of pool {has}"
    )]
    OtherPool { has: PoolName, class: String, wanted: String },
    #[error(
        "no quota enforces the size of volume {volume}, and class {class} requires one; use a class \
         without quota: required"
    )]
    NoQuota { volume: String, class: String },
    #[error("the claim requests {requested}, and the volume has {has}; request {has} or less")]
    TooLarge { requested: Bytes, has: Bytes },
}
