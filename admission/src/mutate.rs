//! The decisions about claims and Services, as pure functions of the object, the snapshot and the
//! settings.
//!
//! Every decision is idempotent: decided again over its own result, it changes nothing. The API
//! server may send a review twice (`reinvocationPolicy: IfNeeded`), and repairs decide again too.

pub mod claim_default;
pub mod claim_demands;
pub mod claim_pin;
mod fields;
pub mod service;

pub use self::fields::{DECLARED, PROBE};

use self::fields::without_idle_edits;
use crate::patch::{Edit, Field};
use crate::snapshot::Snapshot;
use crate::verdict::{Outcome, Reason, Verdict};
use claim_default::ClassOf;
use fastrak_api::claim::{Claim, ClassChoice};
use fastrak_api::class::Class;
use fastrak_api::names;

/// The operation on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is being created.
    Create,
    /// It is being updated. Its spec is its user's.
    Update,
    /// It exists, and perhaps no review decided about it.
    Repair,
}

/// A request that creates or changes a claim.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRequest<'a> {
    /// The claim of the request.
    pub claim: &'a Claim,
    /// The claim before an update.
    pub old: Option<&'a Claim>,
    /// The operation.
    pub operation: Operation,
    /// The uid of the request.
    pub uid: &'a str,
}

/// Decides about a claim.
#[must_use]
pub fn claim(request: &ClaimRequest<'_>, snapshot: &Snapshot) -> Verdict {
    let claim = request.claim;
    if is_probe(request) {
        let seen = Edit::set(PROBE, names::PROBE_ANSWERED);
        return without_idle_edits(claim, Verdict::patched(Reason::Probe, vec![seen]));
    }
    if let Some((reason, about)) = out_of_scope(claim, snapshot) {
        return with_warning_if_new(request, Verdict::untouched(reason).about(about));
    }
    let about = claim.class_name().unwrap_or_default();
    let verdict = match claim_default::class_of(request, snapshot) {
        ClassOf::OutOfScope(reason) => {
            with_warning_if_new(request, Verdict::untouched(reason).about(about))
        }
        ClassOf::Named(class) => served(request, class, snapshot),
        ClassOf::Default(class, reason) => {
            let edits = vec![Edit::set(Field::ClassName, class.name.clone())];
            let given = Verdict::patched(reason, edits).about(class.name.as_str()).with_warning();
            if class.is_ours() { both(given, served(request, class, snapshot)) } else { given }
        }
    };
    match claim_default::remark(request, snapshot) {
        Some(text) => verdict.remark(text),
        None => verdict,
    }
}

/// Returns whether the claim is a probe of the webhook, which is never stored.
fn is_probe(request: &ClaimRequest<'_>) -> bool {
    let here = request.claim.namespace == names::PROBE_NAMESPACE;
    here && request.claim.probes && request.operation == Operation::Create
}

/// Decides about a claim of one of fastrak's classes: its node, and warnings about what cannot be
/// served.
fn served(request: &ClaimRequest<'_>, class: &Class, snapshot: &Snapshot) -> Verdict {
    let verdict = pinned(request, class, snapshot);
    // An existing volume may serve what no new one can.
    if matches!(verdict.outcome, Outcome::Denied(_)) || verdict.reason == Reason::ExistingVolume {
        return verdict;
    }
    claim_demands::remarks(request, class).into_iter().fold(verdict, Verdict::remark)
}

fn pinned(request: &ClaimRequest<'_>, class: &Class, snapshot: &Snapshot) -> Verdict {
    let mut verdict = without_idle_edits(request.claim, claim_pin::pin(request, class, snapshot));
    let changed = matches!(verdict.outcome, Outcome::Patched(_));
    if changed && verdict.reason == Reason::WaitsForPod {
        verdict.reason = Reason::PinWithdrawn;
    }
    if verdict.reason == Reason::PinWithdrawn {
        verdict.about = names::NODE.into();
    }
    with_warning_if_new(request, verdict)
}

/// Adds the warning about a change, or about an unchanged object if the request changed a field
/// that the decision depends on.
fn with_warning_if_new(request: &ClaimRequest<'_>, verdict: Verdict) -> Verdict {
    let is_new = match (request.operation, request.old) {
        (Operation::Create, _) => true,
        (Operation::Repair, _) => false,
        (Operation::Update, old) => old.is_none_or(|old| decisive(old) != decisive(request.claim)),
    };
    let changed = matches!(verdict.outcome, Outcome::Patched(_));
    if is_new || changed { verdict.with_warning() } else { verdict }
}

/// Returns the fields by which a user chooses class and node.
fn decisive(claim: &Claim) -> (Option<&str>, Option<&str>, Option<&str>) {
    (claim.class_name(), claim.pin.as_deref(), claim.selected_node.as_deref())
}

fn out_of_scope<'a>(claim: &'a Claim, snapshot: &Snapshot) -> Option<(Reason, &'a str)> {
    let class = match &claim.class {
        ClassChoice::Empty => Some((Reason::EmptyClass, "")),
        // It cannot be changed and wins over the field, so a patch of the field would have no
        // effect.
        ClassChoice::Beta(name) if snapshot.class(name).is_some_and(Class::is_ours) => {
            Some((Reason::BetaClass, name.as_str()))
        }
        ClassChoice::Beta(_) | ClassChoice::Unset | ClassChoice::Named(_) => None,
    };
    let namespace = claim.namespace.as_str();
    let rest = [
        (claim.opted_out || snapshot.is_opted_out(namespace), Reason::OptedOut, ""),
        (snapshot.is_system(namespace), Reason::SystemNamespace, namespace),
        (claim.deleting, Reason::Deleting, ""),
    ];
    let volume = claim.volume_name.as_deref().map(|name| (Reason::VolumeNamed, name));
    let rest = rest.into_iter().find_map(|(holds, reason, about)| holds.then_some((reason, about)));
    rest.or(volume).or(class)
}

/// Joins the verdicts on class and node into one patch. The node's reason counts if its outcome is
/// a change.
fn both(given: Verdict, pin: Verdict) -> Verdict {
    let messages = given.messages.into_iter().chain(pin.messages).collect();
    match (given.outcome, pin.outcome) {
        (_, denied @ Outcome::Denied(_)) => {
            Verdict { outcome: denied, messages: Vec::new(), ..pin }
        }
        (Outcome::Patched(class), Outcome::Patched(mut edits)) => {
            edits.extend(class);
            Verdict { outcome: Outcome::Patched(edits), messages, ..pin }
        }
        (outcome, _) => Verdict { reason: given.reason, about: given.about, outcome, messages },
    }
}

#[cfg(test)]
mod tests;
