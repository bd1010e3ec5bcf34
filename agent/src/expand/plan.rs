//! What to do about the size of a claim that has a volume. Pure.
//!
//! Whether there is room is found out when the volume is to grow.

use crate::snapshot::growth::Growth;
use crate::snapshot::volume::{Phase, Volume};
use fastrak_api::claim::Claim;
use fastrak_api::size::Bytes;

/// What to do about a claim's size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// Let the volume hold so much, then tell everybody.
    Grow {
        /// So much.
        bytes: u64,
        /// As the claim writes it.
        size: String,
    },
    /// Tell the claim what its volume may hold: whoever let it grow was cut off before that.
    Tell {
        /// As the volume writes it.
        size: String,
    },
}

/// Decides about a claim and the volume that it is bound to.
#[must_use]
pub fn plan(claim: &Claim, growth: &Growth, volume: &Volume) -> Step {
    let is_its = volume.claim.as_ref().is_some_and(|owner| owner.uid == claim.uid)
        && claim.volume_name.as_ref() == Some(&volume.name)
        && claim.uid.is_some();
    let is_settled = claim.phase.as_deref() == Some("Bound") && volume.phase == Phase::Bound;
    if !is_its || !is_settled || claim.deleting || volume.deleting || !volume.is_ours() {
        return Step::Nothing;
    }
    let read = |size: &Option<String>| size.as_deref().and_then(|text| Bytes::parse(text).ok());
    let (Some(asked), Some(has)) = (read(&claim.storage), read(&volume.capacity)) else {
        return Step::Nothing;
    };
    match (&claim.storage, &volume.capacity) {
        (Some(size), _) if asked > has => Step::Grow { bytes: asked.0, size: size.clone() },
        // Nothing is shown before the controller manager has bound it: then it shows the right size.
        (_, Some(size)) if read(&growth.shown).is_some_and(|shown| shown < has) => {
            Step::Tell { size: size.clone() }
        }
        (_, Some(size)) if growth.unsettled => Step::Tell { size: size.clone() },
        _ => Step::Nothing,
    }
}

/// Whether a claim has been promised a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// It has the size.
    Kept,
    /// It waits for it.
    Made,
    /// It does not know of it, or was refused it.
    ToMake,
}

/// Reads from the status of a claim whether it has been promised `size`.
#[must_use]
pub fn promised(growth: &Growth, size: &str) -> Promise {
    let bytes = |text: &str| Bytes::parse(text).ok();
    let is = |shown: &Option<String>| shown.as_deref().and_then(bytes);
    if !growth.unsettled && is(&growth.shown) >= bytes(size) {
        Promise::Kept
    } else if growth.unsettled && growth.error.is_none() && is(&growth.allocated) == bytes(size) {
        Promise::Made
    } else {
        Promise::ToMake
    }
}

#[cfg(test)]
mod tests;
