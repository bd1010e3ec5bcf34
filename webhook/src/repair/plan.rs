//! Decides about a repair: the same decision that the webhook would have made at admission. Pure.

use super::bound;
use super::report::{self, Report};
use fastrak_admission::mutate::service::{ServiceRequest, Settings};
use fastrak_admission::mutate::{self, ClaimRequest, Operation};
use fastrak_admission::patch::{Edit, Field};
use fastrak_admission::snapshot::Snapshot;
use fastrak_admission::verdict::{Outcome, Reason, Verdict};
use fastrak_api::balancer::ServiceView;
use fastrak_api::claim::Claim;
use fastrak_api::names::kubernetes;

/// The decision about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    Nothing,
    /// Make these changes, for this reason.
    Change(Vec<Edit>, Reason),
    /// Record an event: no agent can serve the object.
    Report(Report),
    /// Read the volume of this name and restore what the claim has lost.
    ReadVolume(String),
}

/// Returns whether a claim waits for its volume.
#[must_use]
pub(crate) fn is_pending(claim: &Claim) -> bool {
    claim.volume_name.is_none()
        && !claim.deleting
        && matches!(claim.phase.as_deref(), None | Some("Pending"))
}

/// Returns whether a Service needs an address, or still has the decision of a time when it did.
#[must_use]
pub(crate) fn needs_decision(service: &ServiceView) -> bool {
    !service.deleting && (service.is_load_balancer || service.decision.is_some())
}

/// Decides about a claim.
#[must_use]
pub(crate) fn claim(claim: &Claim, snapshot: &Snapshot) -> Repair {
    if let Some(volume) = bound::volume_to_read(claim, snapshot) {
        return if is_excluded(claim, snapshot) {
            Repair::Nothing
        } else {
            Repair::ReadVolume(volume.to_owned())
        };
    }
    if !is_pending(claim) {
        return Repair::Nothing;
    }
    let request = ClaimRequest {
        claim,
        old: None,
        operation: Operation::Repair,
        // The claim has a name of its own by now, so nothing depends on a request.
        uid: "",
    };
    let verdict = mutate::claim(&request, snapshot);
    // One of the volumes may fit, and they are still being listed.
    if snapshot.volumes.is_none() && selects(&verdict) {
        return Repair::Nothing;
    }
    let report = report::claim(claim, &verdict, snapshot);
    match (repair(verdict), report) {
        (Repair::Nothing, Some(report)) => Repair::Report(report),
        (repair, _) => repair,
    }
}

/// Returns whether a claim opts out or is in a system namespace.
fn is_excluded(claim: &Claim, snapshot: &Snapshot) -> bool {
    let namespace = &claim.namespace;
    claim.opted_out || snapshot.is_opted_out(namespace) || snapshot.is_system(namespace)
}

/// Returns whether a verdict selects a node, which starts the provisioning of a new volume.
fn selects(verdict: &Verdict) -> bool {
    let selected = Field::Annotation(kubernetes::SELECTED_NODE);
    let Outcome::Patched(edits) = &verdict.outcome else { return false };
    edits.iter().any(|edit| edit.field == selected && edit.value.is_some())
}

/// Decides about a Service. There is no old object, so a recorded decision stands even if the
/// configuration has changed: a restart must not remove a machine that is in use.
#[must_use]
pub(crate) fn service(service: &ServiceView, snapshot: &Snapshot, settings: Settings) -> Repair {
    if !needs_decision(service) {
        return Repair::Nothing;
    }
    let request = ServiceRequest { service, old: None, operation: Operation::Repair };
    repair(mutate::service::service(&request, snapshot, settings))
}

fn repair(verdict: Verdict) -> Repair {
    match verdict.outcome {
        Outcome::Patched(edits) => Repair::Change(edits, verdict.reason),
        Outcome::Untouched | Outcome::Denied(_) => Repair::Nothing,
    }
}

#[cfg(test)]
mod tests;
