//! Bound claims that lost the label or the annotation that names their node, and how both are
//! restored from the volume. Pure.
//!
//! An agent watches claims by the label, and a policy allows it to write the status of a claim by
//! the annotation. Tenants and operators may remove both. The content of a claim proves nothing: it
//! only decides whether the volume is read. The volume's `claimRef` decides whose claim it is.

use super::report::Report;
use fastrak_admission::patch::{Edit, Field};
use fastrak_admission::snapshot::Snapshot;
use fastrak_api::claim::{Claim, PinnedBy};
use fastrak_api::names::{self, kubernetes};
use fastrak_api::node::NodeName;
use fastrak_api::reason::EventReason;
use fastrak_api::volume::VolumeId;
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume};

/// The restored fields of a bound claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Restoration {
    pub edits: Vec<Edit>,
    /// The event on the claim.
    pub report: Report,
}

/// Returns the volume of a bound claim that may be fastrak's and does not name its node as it
/// should.
#[must_use]
pub(crate) fn volume_to_read<'a>(claim: &'a Claim, snapshot: &Snapshot) -> Option<&'a str> {
    let name = claim.volume_name.as_deref()?;
    let is_bound = claim.phase.as_deref() == Some("Bound") && !claim.deleting;
    let is_candidate = is_bound
        && VolumeId::from_volume_name(name).is_some()
        && !names_its_node(claim)
        && may_be_ours(claim, snapshot);
    is_candidate.then_some(name)
}

/// Returns whether label, annotation and the scheduler's choice agree on one node.
fn names_its_node(claim: &Claim) -> bool {
    let Ok(Some(pin)) = claim.pin() else { return false };
    let is_chosen = claim.selected_node.as_deref().is_none_or(|node| node == pin.as_str());
    is_chosen && claim.missing_marks(&pin).is_none()
}

/// Returns whether the class or the annotations of a claim name fastrak. A client that removes one
/// annotation removes others too, and a class can be deleted: without either, the volume is read.
fn may_be_ours(claim: &Claim, snapshot: &Snapshot) -> bool {
    let (current, beta) = &claim.storage_provisioner;
    let provisioner = current.as_deref().or(beta.as_deref());
    let class = claim.class_name().and_then(|name| snapshot.class(name));
    match (provisioner, class) {
        (Some(names::PROVISIONER), _) => true,
        (_, Some(class)) => class.is_ours(),
        (Some(_), None) => false,
        (None, None) => claim.class_name().is_some(),
    }
}

/// Returns what to restore on the claim with this UID, if `volume` is fastrak's and for this claim.
#[must_use]
pub(crate) fn restore(claim: &Claim, uid: &str, volume: &PersistentVolume) -> Option<Restoration> {
    let node = node_of(claim, uid, volume)?;
    let missing = claim.missing_marks(&node)?;
    let mut edits = Vec::new();
    if missing.label() {
        edits.push(Edit::set(Field::Label(names::NODE), node.key()));
    }
    if missing.annotation() {
        edits.push(Edit::set(Field::Annotation(names::NODE), node.as_str()));
        // Without it, the pin of a restored backup would count as a user's pin.
        if claim.pinned_by.is_none() {
            let by = PinnedBy::Scheduler.as_str();
            edits.push(Edit::set(Field::Annotation(names::PINNED_BY), by));
        }
    }
    let note = note(claim, missing.as_str(), &node);
    let report = Report { reason: EventReason::NodeLabelRestored, note };
    Some(Restoration { edits, report })
}

fn note(claim: &Claim, lost: &str, node: &NodeName) -> String {
    format!(
        "restored {lost} {key} of the claim from its volume on node {node}: it was missing or named \
         another node, and without it the volume does not grow. If this event repeats, a client removes \
         it: find that client with kubectl --namespace {namespace} get pvc {name} --output yaml \
         --show-managed-fields",
        key = names::NODE,
        namespace = claim.namespace,
        name = claim.name,
    )
}

/// Returns the node of a volume, if fastrak made it for this claim.
fn node_of(claim: &Claim, uid: &str, volume: &PersistentVolume) -> Option<NodeName> {
    let metadata = &volume.metadata;
    let annotation = |key: &str| metadata.annotations.as_ref()?.get(key).map(String::as_str);
    let claim_ref = volume.spec.as_ref()?.claim_ref.as_ref()?;
    let is_its = metadata.name == claim.volume_name && refers_to(claim_ref, claim, uid);
    let is_ours = annotation(kubernetes::PROVISIONED_BY) == Some(names::PROVISIONER);
    let node = annotation(names::NODE).and_then(|node| NodeName::parse(node).ok());
    node.filter(|_| is_its && is_ours)
}

fn refers_to(claim_ref: &ObjectReference, claim: &Claim, uid: &str) -> bool {
    !uid.is_empty()
        && claim_ref.uid.as_deref() == Some(uid)
        && claim_ref.namespace.as_ref() == Some(&claim.namespace)
        && claim_ref.name.as_ref() == Some(&claim.name)
}

#[cfg(test)]
mod tests;
