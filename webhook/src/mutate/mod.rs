//! The decisions about claims and Services, as pure functions of the object, the facts and the
//! settings. Nothing here awaits, asks the time, or knows of HTTP.
//!
//! Every decision is idempotent: decided again over its own result, it changes nothing. The API
//! server may ask twice (`reinvocationPolicy: IfNeeded`), and so does the repair task.

pub mod claim_default;
pub mod claim_pin;
pub mod service;

use crate::facts::Facts;
use crate::patch::{Edit, Field};
use crate::verdict::{Outcome, Reason, Verdict};
use claim_default::ClassOf;
use fastrak_api::claim::{Claim, ClassChoice};
use fastrak_api::class::Class;
use fastrak_api::names::{self, kubernetes};

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
pub struct ClaimAsk<'a> {
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
pub fn claim(ask: &ClaimAsk<'_>, facts: &Facts) -> Verdict {
    let claim = ask.claim;
    if let Some(reason) = beyond_scope(claim, facts) {
        return Verdict::untouched(reason);
    }
    let verdict = match claim_default::class_of(ask, facts) {
        ClassOf::Neither(reason) => Verdict::untouched(reason),
        ClassOf::Named(class) => pinned(ask, class, facts),
        ClassOf::Default(class) => {
            let name = Edit::set(Field::ClassName, class.name.as_str());
            with_edit(pinned(ask, class, facts), name)
        }
    };
    match claim_default::warning_of_several(ask, facts) {
        Some(text) => verdict.warn(&text),
        None => verdict,
    }
}

fn pinned(ask: &ClaimAsk<'_>, class: &Class, facts: &Facts) -> Verdict {
    without_idle_edits(ask.claim, claim_pin::pin(ask, class, facts))
}

fn beyond_scope(claim: &Claim, facts: &Facts) -> Option<Reason> {
    let class = match &claim.class {
        ClassChoice::Empty => Some(Reason::ClassRefused),
        // It cannot be changed and wins over the field, so a patch of the field would be a lie.
        ClassChoice::Beta(_) => Some(Reason::BetaClass),
        ClassChoice::Unset | ClassChoice::Named(_) => None,
    };
    let rest = [
        (claim.opted_out, Reason::OptedOut),
        (facts.is_system(&claim.namespace), Reason::SystemNamespace),
        (claim.deleting, Reason::Deleting),
        (claim.volume_name.is_some(), Reason::VolumeNamed),
    ];
    rest.into_iter().find_map(|(holds, reason)| holds.then_some(reason)).or(class)
}

fn with_edit(mut verdict: Verdict, edit: Edit) -> Verdict {
    match &mut verdict.outcome {
        Outcome::Denied(_) => {}
        Outcome::Patched(edits) => edits.push(edit),
        Outcome::Untouched => {
            verdict.outcome = Outcome::Patched(vec![edit]);
            verdict.reason = Reason::DefaultClass;
        }
    }
    verdict
}

/// A verdict that changes only what is not so already.
fn without_idle_edits(claim: &Claim, mut verdict: Verdict) -> Verdict {
    if let Outcome::Patched(edits) = &mut verdict.outcome {
        edits.retain(|edit| edit.value.as_deref() != value(claim, edit.field));
        if edits.is_empty() {
            verdict.outcome = Outcome::Untouched;
        }
    }
    verdict
}

fn value(claim: &Claim, field: Field) -> Option<&str> {
    match field {
        Field::Annotation(names::NODE) => claim.pin.as_deref(),
        Field::Annotation(names::PINNED_BY) => claim.pinned_by.as_deref(),
        Field::Annotation(kubernetes::SELECTED_NODE) => claim.selected_node.as_deref(),
        Field::Annotation(kubernetes::STORAGE_PROVISIONER) => {
            claim.storage_provisioner.0.as_deref()
        }
        Field::Annotation(kubernetes::STORAGE_PROVISIONER_BETA) => {
            claim.storage_provisioner.1.as_deref()
        }
        Field::Label(names::NODE) => claim.node_label.as_deref(),
        Field::ClassName => claim.class_name(),
        Field::Annotation(_) | Field::Label(_) => None,
    }
}

#[cfg(test)]
mod tests;
