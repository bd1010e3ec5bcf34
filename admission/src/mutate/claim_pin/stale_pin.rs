//! A chosen node that cannot serve its claim, and the choice that replaces it.

use super::{explicit, open, recorded};
use crate::mutate::{ClaimRequest, Operation};
use crate::patch::{Edit, Field};
use crate::snapshot::{Ineligible, Snapshot};
use crate::verdict::{Outcome, Reason, Verdict};
use fastrak_api::claim::PinnedBy;
use fastrak_api::class::Class;
use fastrak_api::names::kubernetes;
use fastrak_api::node::NodeName;

/// Returns whether the claim's node was chosen by fastrak or the scheduler and cannot serve it: the
/// claim comes from a backup, or the node has gone since. A node that exists stays the choice once
/// it is the selected node: the scheduler would choose it again. Updates are left out, because the
/// scheduler may know of a node that has just joined before it is known here.
pub(super) fn has_stale_pin(
    request: &ClaimRequest<'_>,
    class: &Class,
    snapshot: &Snapshot,
) -> bool {
    let claim = request.claim;
    let by = recorded(request);
    let (pin, selected) = (claim.pin().ok().flatten(), claim.selected_node().ok().flatten());
    match (request.operation, selected, pin) {
        (Operation::Update, _, _) => false,
        (Operation::Create, selected, Some(pin)) => {
            let agrees = claim.selected_node.is_none() || selected.as_ref() == Some(&pin);
            agrees && by.is_some_and(is_choice) && !can_serve(&pin, class, snapshot)
        }
        (Operation::Repair, Some(node), pin) => {
            let by_user = by == Some(PinnedBy::User) && pin.as_ref() == Some(&node);
            !by_user && snapshot.eligibility(&node, class) == Err(Ineligible::Unknown)
        }
        (Operation::Repair, None, Some(pin)) => {
            claim.selected_node.is_none()
                && by.is_some_and(is_choice)
                && !can_serve(&pin, class, snapshot)
        }
        (Operation::Create | Operation::Repair, _, None) => false,
    }
}

fn can_serve(node: &NodeName, class: &Class, snapshot: &Snapshot) -> bool {
    snapshot.eligibility(node, class).is_ok() && snapshot.runs_agent(node)
}

const fn is_choice(by: PinnedBy) -> bool {
    !matches!(by, PinnedBy::User)
}

/// Chooses again if a choice is stale. The selected node is removed with it.
pub(super) fn chosen_again(
    request: &ClaimRequest<'_>,
    class: &Class,
    snapshot: &Snapshot,
) -> Verdict {
    let claim = request.claim;
    if let Ok(Some(pin)) = claim.pin()
        && !recorded(request).is_some_and(is_choice)
        && can_serve(&pin, class, snapshot)
    {
        return explicit(request, class, snapshot);
    }
    let stale = claim.selected_node.as_deref().or(claim.pin.as_deref()).unwrap_or_default();
    let mut verdict = open(request, class, snapshot, Reason::StalePin);
    if let Outcome::Patched(edits) = &mut verdict.outcome {
        let selects = Field::Annotation(kubernetes::SELECTED_NODE);
        if !edits.iter().any(|edit| edit.field == selects) {
            edits.push(Edit::remove(selects));
        }
    }
    if verdict.reason == Reason::StalePin { verdict.about(stale) } else { verdict }
}
