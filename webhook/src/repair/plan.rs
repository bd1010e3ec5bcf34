//! What is to be done about a claim that is there: the very decision that the webhook would have
//! made, had it seen the claim. Pure.

use crate::facts::Facts;
use crate::mutate::{ClaimAsk, Operation, claim};
use crate::patch::Edit;
use crate::verdict::{Outcome, Reason};
use fastrak_api::claim::Claim;

/// What is to be done about a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing.
    Nothing,
    /// These changes, and why.
    Change(Vec<Edit>, Reason),
}

/// Whether a claim waits for its volume. Others need nothing any more.
#[must_use]
pub fn waits(claim: &Claim) -> bool {
    claim.volume_name.is_none()
        && !claim.deleting
        && matches!(claim.phase.as_deref(), None | Some("Pending"))
}

/// Decides about a claim.
#[must_use]
pub fn plan(claim_view: &Claim, facts: &Facts) -> Repair {
    if !waits(claim_view) {
        return Repair::Nothing;
    }
    let ask = ClaimAsk {
        claim: claim_view,
        old: None,
        operation: Operation::Repair,
        // The claim has a name of its own by now, so nothing depends on a request.
        request: "",
    };
    let verdict = claim(&ask, facts);
    match verdict.outcome {
        Outcome::Patched(edits) => Repair::Change(edits, verdict.reason),
        Outcome::Untouched | Outcome::Denied(_) => Repair::Nothing,
    }
}

#[cfg(test)]
mod tests;
