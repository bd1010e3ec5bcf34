//! Decides about the size of a claim that has a volume. Pure. The store checks whether there is
//! space.

use crate::snapshot::growth::Growth;
use crate::snapshot::volume::{Phase, Volume};
use fastrak_api::claim::Claim;
use fastrak_api::size::Bytes;

/// What to do about a claim's size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Nothing,
    /// Resize the volume and publish the new size.
    Grow {
        bytes: u64,
        /// The size as the claim has it.
        size: String,
    },
    /// Update the claim's status: an earlier resize was interrupted before this.
    UpdateStatus {
        /// The size as the volume has it.
        size: String,
    },
}

/// Decides about a claim and the volume that it is bound to.
pub(crate) fn plan(claim: &Claim, growth: &Growth, volume: &Volume) -> Step {
    let is_bound_to_it = volume.claim.as_ref().is_some_and(|owner| owner.uid == claim.uid)
        && claim.volume_name.as_ref() == Some(&volume.name)
        && claim.uid.is_some();
    let is_settled = claim.phase.as_deref() == Some("Bound") && volume.phase == Phase::Bound;
    if !is_bound_to_it || !is_settled || claim.deleting || volume.deleting || !volume.is_ours() {
        return Step::Nothing;
    }
    let read = |size: &Option<String>| size.as_deref().and_then(|text| Bytes::parse(text).ok());
    let (Some(requested), Some(has)) = (read(&claim.storage), read(&volume.capacity)) else {
        return Step::Nothing;
    };
    match (&claim.storage, &volume.capacity) {
        (Some(size), _) if requested > has => Step::Grow { bytes: requested.0, size: size.clone() },
        // An empty capacity is not updated: the controller manager sets it when it binds the claim.
        (_, Some(size)) if read(&growth.capacity).is_some_and(|capacity| capacity < has) => {
            Step::UpdateStatus { size: size.clone() }
        }
        (_, Some(size)) if growth.unsettled => Step::UpdateStatus { size: size.clone() },
        _ => Step::Nothing,
    }
}

/// Whether a size is promised in a claim's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// The claim has the size.
    Kept,
    /// The size is promised.
    Made,
    /// The size is not promised, or was refused.
    ToMake,
}

/// Returns whether a claim's status promises `size`.
pub(crate) fn promised(growth: &Growth, size: &str) -> Promise {
    let bytes = |text: &str| Bytes::parse(text).ok();
    let is = |text: &Option<String>| text.as_deref().and_then(bytes);
    if !growth.unsettled && is(&growth.capacity) >= bytes(size) {
        Promise::Kept
    } else if growth.unsettled && growth.error.is_none() && is(&growth.allocated) == bytes(size) {
        Promise::Made
    } else {
        Promise::ToMake
    }
}

#[cfg(test)]
mod tests;
