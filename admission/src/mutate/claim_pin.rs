//! Decides the node of a claim: keeps a chosen node, chooses one if no other component can, and
//! otherwise leaves the choice to the scheduler. The free space of nodes does not matter.
//!
//! The pin is an annotation. An agent watches claims by the label that is set with it. Kubernetes'
//! own annotations show the controller manager the node and the provisioner of the claim.
//!
//! The scheduler's choice has priority: a pod that is bound to one node cannot use a volume on
//! another. An update is therefore never refused because of a pin that it did not add.

mod existing;
mod refusal;
mod stale_pin;

pub use self::refusal::problem;

use self::refusal::{alternatives, contradiction, refused};
use self::stale_pin::{chosen_again, has_stale_pin};
use super::{ClaimRequest, Operation};
use crate::patch::{Edit, Field};
use crate::placement::{self, Key};
use crate::snapshot::{Availability, Ineligible, Snapshot};
use crate::verdict::{Reason, Verdict, clipped};
use fastrak_api::claim::{Claim, PinnedBy};
use fastrak_api::class::{Binding, Class};
use fastrak_api::names::{self, kubernetes};
use fastrak_api::node::{NodeKey, NodeName};

/// The maximum length of a user's text in a message.
const QUOTED: usize = 80;

/// Decides the node of a claim of one of fastrak's classes.
#[must_use]
pub fn pin(request: &ClaimRequest<'_>, class: &Class, snapshot: &Snapshot) -> Verdict {
    let claim = request.claim;
    match (claim.pin.is_some(), claim.selected_node.is_some()) {
        _ if has_stale_pin(request, class, snapshot) => chosen_again(request, class, snapshot),
        (_, true) => with_selected_node(request, class, snapshot),
        // The pin only repeats a choice that the scheduler has withdrawn.
        (true, false) if is_stale_mirror(request) => {
            open(request, class, snapshot, Reason::PinWithdrawn)
        }
        (true, false) => explicit(request, class, snapshot),
        (false, false) => open(request, class, snapshot, Reason::WaitsForPod),
    }
}

/// Decides about a claim with a selected node.
fn with_selected_node(request: &ClaimRequest<'_>, class: &Class, snapshot: &Snapshot) -> Verdict {
    let node = match request.claim.selected_node() {
        Ok(Some(node)) => node,
        Ok(None) => return Verdict::untouched(Reason::WaitsForPod),
        Err(_) => {
            return Verdict::untouched(Reason::MalformedSelectedNode)
                .about(kubernetes::SELECTED_NODE);
        }
    };
    let pin = request.claim.pin.as_deref();
    let agrees = pin == Some(node.as_str());
    if let (Some(kept), false) = (kept_pin(request, class, snapshot), agrees) {
        return pinned(&kept, PinnedBy::User, Reason::UserPin);
    }
    match request.operation {
        Operation::Create if agrees => explicit(request, class, snapshot),
        Operation::Create if pin.is_some() => contradiction(request, &node, class, snapshot),
        Operation::Create => selected(request, &node, class, snapshot),
        Operation::Update if !agrees && brings_pin(request) && pin.is_some() => {
            moved(request, &node, class, snapshot)
        }
        Operation::Update | Operation::Repair => {
            let by = recorded(request).filter(|_| agrees).unwrap_or(PinnedBy::Scheduler);
            mirrored(request, &node, by)
        }
    }
}

/// Decides about a new claim that selects its node, which counts as a pin.
fn selected(
    request: &ClaimRequest<'_>,
    node: &NodeName,
    class: &Class,
    snapshot: &Snapshot,
) -> Verdict {
    let volume = existing::volume(request, class, snapshot, Some(node));
    match (volume, snapshot.eligibility(node, class)) {
        (Some(volume), fits) => existing::left_to(volume, fits.ok().map(|()| node)),
        (None, Ok(())) => pinned(node, PinnedBy::User, Reason::Mirrored),
        // A restored backup may have it. Unlike fastrak's own annotation, it is not refused.
        (None, Err(why)) => Verdict::untouched(Reason::StaleSelectedNode)
            .about(format!("{node}, which {}", problem(why))),
    }
}

/// Returns the user's pin that was kept without selecting the node, because an existing volume
/// fitted there. The scheduler has now chosen another node, to provision a volume there. The pod is
/// not bound yet, and goes to the node that is selected instead: the scheduler compares it before
/// it binds the pod.
fn kept_pin(request: &ClaimRequest<'_>, class: &Class, snapshot: &Snapshot) -> Option<NodeName> {
    let old = request.old.filter(|old| old.selected_node.is_none() && old.node_label.is_none())?;
    let is_kept = request.operation == Operation::Update
        && old.pin == request.claim.pin
        && recorded(request) == Some(PinnedBy::User);
    let node = request.claim.pin().ok().flatten().filter(|_| is_kept)?;
    snapshot.eligibility(&node, class).is_ok().then_some(node)
}

/// Decides about a user's pin to another node than the selected one. The agent of the selected node
/// may be creating the volume now, so the claim stays unless that node is gone.
fn moved(
    request: &ClaimRequest<'_>,
    node: &NodeName,
    class: &Class,
    snapshot: &Snapshot,
) -> Verdict {
    let brings_both =
        request.old.is_none_or(|old| old.selected_node != request.claim.selected_node);
    if !brings_both && snapshot.eligibility(node, class) == Err(Ineligible::Unknown) {
        return explicit(request, class, snapshot);
    }
    mirrored(request, node, PinnedBy::Scheduler).remark(format!(
        "it stays on node {node}; to move it, delete it and create it again with {}",
        names::NODE
    ))
}

/// Decides about a claim with a pin and no other selected node.
fn explicit(request: &ClaimRequest<'_>, class: &Class, snapshot: &Snapshot) -> Verdict {
    let node = match request.claim.pin() {
        Ok(Some(node)) => node,
        Ok(None) => return Verdict::untouched(Reason::WaitsForPod),
        Err(error) if brings_pin(request) => {
            let value = clipped(&error.value, QUOTED);
            let message = format!(
                "annotation {} is {value:?}: {}; {}",
                error.key,
                error.problem,
                alternatives(class, snapshot)
            );
            return Verdict::denied(Reason::MalformedPin, message);
        }
        Err(error) => return Verdict::untouched(Reason::MalformedPin).about(error.key),
    };
    if let (Err(why), true) = (snapshot.eligibility(&node, class), brings_pin(request)) {
        return refused(&node, why, class, snapshot);
    }
    let by = recorded(request).unwrap_or(PinnedBy::User);
    let user = (by == PinnedBy::User).then_some(&node);
    if let Some(volume) =
        existing::volume(request, class, snapshot, user).filter(|_| is_unserved(request))
    {
        return existing::left_to(volume, user);
    }
    // A client that removes the selected node wants the claim to be scheduled again. Selecting it
    // again at once would loop.
    if request.old.is_some_and(|old| old.selected_node.is_some())
        && request.claim.selected_node.is_none()
    {
        return Verdict::patched(Reason::UserPin, pin_edits(&node, by).into()).about(&node);
    }
    let verdict = pinned(&node, by, reason(by));
    if brings_pin(request) && !snapshot.runs_agent(&node) {
        return verdict
            .remark(format!("node {node} has no Ready agent now; the claim waits until it has"));
    }
    verdict
}

/// Returns whether no agent can be creating a volume for the claim: it sees the claim by its label.
fn is_unserved(request: &ClaimRequest<'_>) -> bool {
    brings_pin(request) || request.claim.node_label.is_none()
}

/// Decides about a claim without a choice, or whose choice was withdrawn.
fn open(
    request: &ClaimRequest<'_>,
    class: &Class,
    snapshot: &Snapshot,
    otherwise: Reason,
) -> Verdict {
    if let Some(volume) = existing::volume(request, class, snapshot, None) {
        return existing::left_to(volume, None);
    }
    let mut eligible = snapshot.with_agent(class);
    let Some((only, info)) = eligible.next() else {
        let none = snapshot.eligible(class).next().is_none();
        let reason = if none { Reason::NoEligibleNode } else { Reason::NoAgent };
        return cleaned(reason).about(class.name.as_str());
    };
    let others = eligible.next().is_some();
    match class.binding {
        // Only the scheduler knows what the pod tolerates, so it chooses unless all pods can use
        // the only node. It does not know the agents, so nodes without one are excluded here.
        Binding::WaitForFirstConsumer if others || info.availability != Availability::Open => {
            cleaned(otherwise)
        }
        Binding::Immediate if others || info.availability == Availability::Unavailable => {
            chosen(request, class, snapshot)
        }
        Binding::WaitForFirstConsumer | Binding::Immediate => {
            pinned(only, PinnedBy::OnlyNode, Reason::OnlyNode)
        }
    }
}

/// Chooses a node for a claim of a class that binds immediately, without the scheduler.
fn chosen(request: &ClaimRequest<'_>, class: &Class, snapshot: &Snapshot) -> Verdict {
    let key = Key::of(request.claim, request.uid);
    let by = if key.shared { PinnedBy::Sibling } else { PinnedBy::Policy };
    match placement::choose(&key, snapshot.with_agent(class)) {
        Some(node) => pinned(node, by, reason(by)),
        None => cleaned(Reason::NoNodeAvailable).about(class.name.as_str()),
    }
}

fn is_stale_mirror(request: &ClaimRequest<'_>) -> bool {
    request.operation != Operation::Create && recorded(request) == Some(PinnedBy::Scheduler)
}

/// Returns the recorded reason of the pin. A pin that the request adds is its user's, because only
/// fastrak writes the label at the same time. A new claim has no earlier pin, and a tool that
/// restores it may have left the label out.
fn recorded(request: &ClaimRequest<'_>) -> Option<PinnedBy> {
    let claim = request.claim;
    let key = claim.pin().ok().flatten().map(|node| node.key());
    let label = claim.node_label.as_deref();
    let restored = request.operation == Operation::Create && label.is_none();
    let labelled = restored || label == key.as_ref().map(NodeKey::as_str);
    let text = claim.pinned_by.as_deref().filter(|_| labelled || !brings_pin(request));
    text.and_then(PinnedBy::parse)
}

/// Returns whether this request adds the pin.
fn brings_pin(request: &ClaimRequest<'_>) -> bool {
    match request.operation {
        Operation::Create => true,
        Operation::Update => request.old.is_none_or(|old| old.pin != request.claim.pin),
        Operation::Repair => false,
    }
}

fn pinned(node: &NodeName, by: PinnedBy, reason: Reason) -> Verdict {
    let selected = Edit::set(Field::Annotation(kubernetes::SELECTED_NODE), node);
    let edits = pin_edits(node, by).into_iter().chain([selected]).chain(provisioner_edits());
    Verdict::patched(reason, edits.collect()).about(node)
}

fn mirrored(request: &ClaimRequest<'_>, node: &NodeName, by: PinnedBy) -> Verdict {
    // Together with the scheduler's write these save one of the controller manager; alone they
    // would be one more.
    let is_written = |old: &Claim| old.selected_node != request.claim.selected_node;
    let extra = request.old.is_some_and(is_written).then(provisioner_edits);
    let edits = pin_edits(node, by).into_iter().chain(extra.into_iter().flatten());
    Verdict::patched(Reason::Mirrored, edits.collect()).about(node)
}

/// The annotations that the controller manager writes once a node is selected, if they are missing.
fn provisioner_edits() -> [Edit; 2] {
    [kubernetes::STORAGE_PROVISIONER, kubernetes::STORAGE_PROVISIONER_BETA]
        .map(|key| Edit::set(Field::Annotation(key), names::PROVISIONER))
}

fn pin_edits(node: &NodeName, by: PinnedBy) -> [Edit; 3] {
    [
        Edit::set(Field::Annotation(names::NODE), node),
        Edit::set(Field::Annotation(names::PINNED_BY), by.as_str()),
        label(node),
    ]
}

fn label(node: &NodeName) -> Edit {
    Edit::set(Field::Label(names::NODE), node.key())
}

/// Removes the rest of a pin: by the label, an agent would see the claim.
fn cleaned(reason: Reason) -> Verdict {
    let fields = [
        Field::Annotation(names::NODE),
        Field::Annotation(names::PINNED_BY),
        Field::Label(names::NODE),
    ];
    Verdict::patched(reason, fields.map(Edit::remove).to_vec())
}

const fn reason(by: PinnedBy) -> Reason {
    match by {
        PinnedBy::User => Reason::UserPin,
        PinnedBy::OnlyNode => Reason::OnlyNode,
        PinnedBy::Policy => Reason::Policy,
        PinnedBy::Sibling => Reason::Sibling,
        PinnedBy::Scheduler => Reason::Mirrored,
    }
}
