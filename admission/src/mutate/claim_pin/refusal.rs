//! The denial of a pin to a node that cannot hold the claim, with the nodes that can.

use super::QUOTED;
use crate::mutate::ClaimRequest;
use crate::snapshot::{Ineligible, Snapshot};
use crate::verdict::{Reason, Verdict, clipped};
use fastrak_api::class::Class;
use fastrak_api::names::{self, kubernetes};
use fastrak_api::node::NodeName;

/// How many nodes a message names.
const MAX_NAMED: usize = 10;

pub(super) fn refused(
    node: &NodeName,
    why: Ineligible,
    class: &Class,
    snapshot: &Snapshot,
) -> Verdict {
    let reason = match why {
        Ineligible::Unknown => Reason::UnknownNode,
        Ineligible::NotLinux | Ineligible::Deleting | Ineligible::NotAllowed => {
            Reason::ImpossibleNode
        }
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
        "annotation {} is {pin:?} but {} is {:?}: remove one of them; {}",
        names::NODE,
        kubernetes::SELECTED_NODE,
        node.as_str(),
        alternatives(class, snapshot)
    );
    Verdict::denied(Reason::ContradictoryPin, message)
}

/// Describes why a node cannot hold a claim.
pub const fn problem(why: Ineligible) -> &'static str {
    match why {
        Ineligible::Unknown => "does not exist",
        Ineligible::NotLinux => "does not run Linux",
        Ineligible::Deleting => "is being deleted",
        Ineligible::NotAllowed => "is not among those that the class allows",
    }
}

/// Lists the nodes that can hold the claim.
pub(super) fn alternatives(class: &Class, snapshot: &Snapshot) -> String {
    let eligible: Vec<_> = snapshot.with_agent(class).map(|(name, _)| name.as_str()).collect();
    let named = eligible.iter().take(MAX_NAMED).copied().collect::<Vec<_>>().join(", ");
    let of = format!("for class {}", class.name);
    match eligible.len() {
        0 => format!("no node is eligible {of}"),
        all if all > MAX_NAMED => {
            format!("eligible nodes {of}: {named} and {} more", all - MAX_NAMED)
        }
        _ => format!("eligible nodes {of}: {named}"),
    }
}
