//! Finds the existing volume that a claim gets if no node is selected. It has priority over a new
//! one, which would be empty. A selected node or an agent's label would prevent Kubernetes from
//! binding the claim to it.
//!
//! The controller manager binds a volume that is reserved for the claim with any class, labels and
//! node. It binds a free volume only for a class that binds immediately, on any node. For a class
//! that waits for a pod, the scheduler looks for a free volume on each node that the pod can use,
//! but only while no node is selected.

use crate::mutate::ClaimRequest;
use crate::patch::{Edit, Field};
use crate::snapshot::volume::{AccessModes, VolumeInfo};
use crate::snapshot::{Ineligible, NodeInfo, Snapshot};
use crate::verdict::{Reason, Verdict};
use fastrak_api::claim::{Claim, PinnedBy};
use fastrak_api::class::{Binding, Class};
use fastrak_api::names::{self, kubernetes};
use fastrak_api::node::NodeName;
use fastrak_api::size::Bytes;

/// Returns the volume that a claim would get: on this node, if its user names one, and else on any.
pub(super) fn volume<'a>(
    request: &ClaimRequest<'_>,
    class: &Class,
    snapshot: &'a Snapshot,
    node: Option<&NodeName>,
) -> Option<&'a str> {
    let claim = request.claim;
    let is_free = |volume: &VolumeInfo| {
        volume.reservation.is_none()
            // The user requests certain data, which no other volume has.
            && claim.restore_request.is_none()
            && claim.data_source.is_none()
            && volume.class == class.name
            && volume.is_selected_by(claim)
            && (class.binding == Binding::Immediate || is_reached(volume, snapshot, node))
    };
    best(claim, snapshot, |volume| is_reserved(volume, claim) || is_free(volume))
}

/// Returns the volume that Kubernetes prefers: the smallest of those with the fewest access modes.
fn best<'a>(
    claim: &Claim,
    snapshot: &'a Snapshot,
    fits: impl Fn(&VolumeInfo) -> bool,
) -> Option<&'a str> {
    let volumes = snapshot.volumes.as_ref().filter(|volumes| !volumes.is_empty())?;
    let (size, modes) = (claim.request().ok()?, AccessModes::of_claim(claim)?);
    let fitting =
        volumes.iter().filter(|(_, volume)| suffices(volume, claim, size, modes) && fits(volume));
    let best = fitting.min_by_key(|(name, volume)| {
        (volume.reservation.is_none(), volume.modes.count(), volume.capacity, *name)
    });
    best.map(|(name, _)| name.as_str())
}

/// Checks what Kubernetes requires of every volume, also of a reserved one.
fn suffices(volume: &VolumeInfo, claim: &Claim, size: Bytes, modes: AccessModes) -> bool {
    volume.capacity >= size
        && volume.block == claim.block
        && volume.modes.include(modes)
        && volume.attributes_class.as_deref() == claim.attributes_class.as_deref()
}

fn is_reserved(volume: &VolumeInfo, claim: &Claim) -> bool {
    volume.reservation.as_ref().is_some_and(|reservation| reservation.is_for(claim))
}

/// Checks whether a pod on the node, or on any node if there is none, can reach the volume.
fn is_reached(volume: &VolumeInfo, snapshot: &Snapshot, node: Option<&NodeName>) -> bool {
    let stays = |info: &&NodeInfo| info.ineligible != Some(Ineligible::Deleting);
    match node {
        Some(node) => snapshot.nodes.get(node).is_some_and(|info| volume.allows(&info.labels)),
        None => snapshot.nodes.values().filter(stays).any(|info| volume.allows(&info.labels)),
    }
}

/// Leaves the claim to an existing volume. Removes the pin except for what the user wrote.
pub(super) fn left_to(volume: &str, pin: Option<&NodeName>) -> Verdict {
    let [annotation, why] = match pin {
        Some(node) => [
            Edit::set(Field::Annotation(names::NODE), node),
            Edit::set(Field::Annotation(names::PINNED_BY), PinnedBy::User.as_str()),
        ],
        None => [names::NODE, names::PINNED_BY].map(|key| Edit::remove(Field::Annotation(key))),
    };
    let label = Edit::remove(Field::Label(names::NODE));
    let selects = Edit::remove(Field::Annotation(kubernetes::SELECTED_NODE));
    let edits = vec![annotation, why, label, selects];
    Verdict::patched(Reason::ExistingVolume, edits).about(volume)
}
