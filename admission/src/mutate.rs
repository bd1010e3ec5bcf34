//! The decisions about claims and Services, as pure functions of the object, the snapshot and the
//! settings. Nothing here awaits, asks the time, or knows of HTTP.
//!
//! Every decision is idempotent: decided again over its own result, it changes nothing. The API
//! server may ask twice (`reinvocationPolicy: IfNeeded`), and so does the repair task.

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

/// What is happening to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is being made.
    Create,
    /// It is being changed. Its spec is its user's.
    Update,
    /// It is there, and nobody may have looked at it when it was made.
    Repair,
}

/// A claim, and what is happening to it.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRequest<'a> {
    /// The claim as it is to be.
    pub claim: &'a Claim,
    /// The claim as it was before an update.
    pub old: Option<&'a Claim>,
    /// What is happening to it.
    pub operation: Operation,
    /// The uid of the request.
    pub request: &'a str,
}

/// Decides about a claim.
#[must_use]
pub fn claim(ask: &ClaimRequest<'_>, snapshot: &Snapshot) -> Verdict {
    let claim = ask.claim;
    if is_probe(ask) {
        let seen = Edit::set(PROBE, names::PROBE_SEEN);
        return without_idle_edits(claim, Verdict::patched(Reason::Probe, vec![seen]));
    }
    if let Some((reason, about)) = beyond_scope(claim, snapshot) {
        return with_news(ask, Verdict::untouched(reason).about(about));
    }
    let about = claim.class_name().unwrap_or_default();
    let verdict = match claim_default::class_of(ask, snapshot) {
        ClassOf::Neither(reason) => with_news(ask, Verdict::untouched(reason).about(about)),
        ClassOf::Named(class) => served(ask, class, snapshot),
        ClassOf::Default(class, reason) => {
            let edits = vec![Edit::set(Field::ClassName, class.name.clone())];
            let given = Verdict::patched(reason, edits).about(class.name.as_str()).with_warning();
            if class.is_ours() { both(given, served(ask, class, snapshot)) } else { given }
        }
    };
    match claim_default::remark(ask, snapshot) {
        Some(text) => verdict.remark(text),
        None => verdict,
    }
}

/// Returns whether somebody only asks whether the webhook is there. Nothing is made of such a
/// claim.
fn is_probe(ask: &ClaimRequest<'_>) -> bool {
    let here = ask.claim.namespace == names::PROBE_NAMESPACE;
    here && ask.claim.probes && ask.operation == Operation::Create
}

/// A claim of one of fastrak's classes: its node, and what it asks for in vain.
fn served(ask: &ClaimRequest<'_>, class: &Class, snapshot: &Snapshot) -> Verdict {
    let verdict = pinned(ask, class, snapshot);
    // An existing volume may be what no new one can be.
    if matches!(verdict.outcome, Outcome::Denied(_)) || verdict.reason == Reason::ExistingVolume {
        return verdict;
    }
    claim_demands::remarks(ask, class).into_iter().fold(verdict, Verdict::remark)
}

fn pinned(ask: &ClaimRequest<'_>, class: &Class, snapshot: &Snapshot) -> Verdict {
    let mut verdict = without_idle_edits(ask.claim, claim_pin::pin(ask, class, snapshot));
    let changed = matches!(verdict.outcome, Outcome::Patched(_));
    if changed && verdict.reason == Reason::WaitsForPod {
        verdict.reason = Reason::PinWithdrawn;
    }
    if verdict.reason == Reason::PinWithdrawn {
        verdict.about = names::NODE.into();
    }
    with_news(ask, verdict)
}

/// Adds the warning of a change, and of an object left alone if the request changed what decides it.
fn with_news(ask: &ClaimRequest<'_>, verdict: Verdict) -> Verdict {
    let news = match (ask.operation, ask.old) {
        (Operation::Create, _) => true,
        (Operation::Repair, _) => false,
        (Operation::Update, old) => old.is_none_or(|old| decisive(old) != decisive(ask.claim)),
    };
    let changed = matches!(verdict.outcome, Outcome::Patched(_));
    if news || changed { verdict.with_warning() } else { verdict }
}

/// What of a claim its user decides by.
fn decisive(claim: &Claim) -> (Option<&str>, Option<&str>, Option<&str>) {
    (claim.class_name(), claim.pin.as_deref(), claim.selected_node.as_deref())
}

fn beyond_scope<'a>(claim: &'a Claim, snapshot: &Snapshot) -> Option<(Reason, &'a str)> {
    let class = match &claim.class {
        ClassChoice::Empty => Some((Reason::ClassRefused, "")),
        // It cannot be changed and wins over the field, so a patch of the field would be a lie.
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

/// The class is given and the node is decided, both by one patch. The node's reason is the one that
/// counts, unless nothing was done about it.
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
