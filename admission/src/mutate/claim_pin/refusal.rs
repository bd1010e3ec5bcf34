//! The denial of a pin to a node that cannot hold the claim, with the nodes that can.

use super::QUOTED;
use crate::mutate::ClaimRequest;
use crate::snapshot::{Snapshot, Unfit};
use crate::verdict::{Reason, Verdict, clipped};
use fastrak_api::class::Class;
use fastrak_api::names::{self, kubernetes};
use fastrak_api::node::NodeName;

/// How many nodes a message names.
const NAMED: usize = 10;

pub(super) fn refused(node: &NodeName, why: Unfit, class: &Class, snapshot: &Snapshot) -> Verdict {
    let reason = match why {
        Unfit::Unknown => Reason::UnknownNode,
        Unfit::NotLinux | Unfit::Deleting | Unfit::NotAllowed => Reason::ImpossibleNode,
    };
    let problem = problem(why);
    let rest = alternatives(class, snapshot);
    let message = format!("annotation {}: node {node} {problem}; {rest}", names::NODE);
    Verdict::denied(reason, message).about(node)
}

pub(super) fn contradiction(
    request: &ClaimRequest<'_>,
    node: &NodeName,
    class: &Class,
    snapshot: &Snapshot,
) -> Verdict {
    let pin = clipped(request.claim.pin.as_deref().unwrap_or_default(), QUOTED);
    let message = format!(
        "annotation {} is {pin:?} but {} is {:?}: leave one of them out; {}",
        names::NODE,
        kubernetes::SELECTED_NODE,
        node.as_str(),
        alternatives(class, snapshot)
    );
    Verdict::denied(Reason::ContradictoryPin, message)
}

/// Describes why a node cannot hold a claim.
pub const fn problem(why: Unfit) -> &'static str {
    match why {
        Unfit::Unknown => "does not exist",
        Unfit::NotLinux => "does not run Linux",
        Unfit::Deleting => "is being deleted",
        Unfit::NotAllowed => "is not among those that the class allows",
    }
}

/// Lists the nodes that can hold the claim.
pub(super) fn alternatives(class: &Class, snapshot: &Snapshot) -> String {
    let able: Vec<_> = snapshot.eligible(class).map(|(name, _)| name.as_str()).collect();
    let named = able.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let of = format!("for class {}", class.name);
    match able.len() {
        0 => format!("no node would do {of}"),
        all if all > NAMED => {
            format!("nodes that would do {of}: {named} and {} more", all - NAMED)
        }
        _ => format!("nodes that would do {of}: {named}"),
    }
}
