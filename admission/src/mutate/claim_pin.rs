//! The node of a claim: kept where it was chosen, chosen where nobody else can, else left to the
//! scheduler. It never looks at how full a node is.
//!
//! The pin is an annotation. The label beside it is how an agent sees the claim; the annotations of
//! Kubernetes' own tell the controller manager that the claim has its node and its provisioner.
//!
//! What the scheduler wrote is the truth: a pod that is bound to one node is of no use with a
//! volume on another. So no update is ever refused for what it did not itself bring.

mod existing;
mod refusal;
mod void;

pub use self::refusal::problem;

use self::refusal::{contradiction, refused, would_do};
use self::void::{chosen_again, is_void};
use super::{ClaimRequest, Operation};
use crate::patch::{Edit, Field};
use crate::placement::{self, Key};
use crate::snapshot::{Availability, Snapshot, Unfit};
use crate::verdict::{Reason, Verdict, clipped};
use fastrak_api::claim::{Claim, PinnedBy};
use fastrak_api::class::{Binding, Class};
use fastrak_api::names::{self, kubernetes};
use fastrak_api::node::{NodeKey, NodeName};

/// How much of a user's text a message repeats.
const QUOTED: usize = 80;

/// Decides the node of a claim of one of fastrak's classes.
#[must_use]
pub fn pin(ask: &ClaimRequest<'_>, class: &Class, snapshot: &Snapshot) -> Verdict {
    let claim = ask.claim;
    match (claim.pin.is_some(), claim.selected_node.is_some()) {
        _ if is_void(ask, class, snapshot) => chosen_again(ask, class, snapshot),
        (_, true) => with_selected_node(ask, class, snapshot),
        // It only repeats what the scheduler said and has since taken back.
        (true, false) if is_stale_mirror(ask) => open(ask, class, snapshot, Reason::PinWithdrawn),
        (true, false) => explicit(ask, class, snapshot),
        (false, false) => open(ask, class, snapshot, Reason::WaitsForPod),
    }
}

/// The claim has a selected node.
fn with_selected_node(ask: &ClaimRequest<'_>, class: &Class, snapshot: &Snapshot) -> Verdict {
    let node = match ask.claim.selected_node() {
        Ok(Some(node)) => node,
        Ok(None) => return Verdict::untouched(Reason::WaitsForPod),
        Err(_) => {
            return Verdict::untouched(Reason::MalformedSelectedNode)
                .about(kubernetes::SELECTED_NODE);
        }
    };
    let pin = ask.claim.pin.as_deref();
    let agrees = pin == Some(node.as_str());
    if let (Some(kept), false) = (kept_pin(ask, class, snapshot), agrees) {
        return pinned(&kept, PinnedBy::User, Reason::UserPin);
    }
    match ask.operation {
        Operation::Create if agrees => explicit(ask, class, snapshot),
        Operation::Create if pin.is_some() => contradiction(ask, &node, class, snapshot),
        Operation::Create => selected(ask, &node, class, snapshot),
        Operation::Update if !agrees && brings_pin(ask) && pin.is_some() => {
            moved(ask, &node, class, snapshot)
        }
        Operation::Update | Operation::Repair => {
            let by = recorded(ask).filter(|_| agrees).unwrap_or(PinnedBy::Scheduler);
            mirrored(ask, &node, by)
        }
    }
}

/// A new claim selects its node, which is as good as a pin.
fn selected(
    ask: &ClaimRequest<'_>,
    node: &NodeName,
    class: &Class,
    snapshot: &Snapshot,
) -> Verdict {
    let volume = existing::volume(ask, class, snapshot, Some(node));
    match (volume, snapshot.fitness(node, class)) {
        (Some(volume), fits) => existing::left_to(volume, fits.ok().map(|()| node)),
        (None, Ok(())) => pinned(node, PinnedBy::User, Reason::Mirrored),
        // As a restored backup may say; unlike our own annotation, it is not ours to judge.
        (None, Err(why)) => Verdict::untouched(Reason::StaleSelectedNode)
            .about(format!("{node}, which {}", problem(why))),
    }
}

/// Returns the user's pin that was kept without selecting the node, since an existing volume fitted
/// there. The scheduler has now chosen another node, to provision a volume there. The pod is not bound yet,
/// and goes to the node that is selected instead: the scheduler compares it before it binds the pod.
fn kept_pin(ask: &ClaimRequest<'_>, class: &Class, snapshot: &Snapshot) -> Option<NodeName> {
    let old = ask.old.filter(|old| old.selected_node.is_none() && old.node_label.is_none())?;
    let is_kept = ask.operation == Operation::Update
        && old.pin == ask.claim.pin
        && recorded(ask) == Some(PinnedBy::User);
    let node = ask.claim.pin().ok().flatten().filter(|_| is_kept)?;
    snapshot.fitness(&node, class).is_ok().then_some(node)
}

/// The user writes another node than the selected one. The agent of that one may be making the
/// volume at this moment, so the claim stays; only of a node that is gone nobody can be at work.
fn moved(ask: &ClaimRequest<'_>, node: &NodeName, class: &Class, snapshot: &Snapshot) -> Verdict {
    let brings_both = ask.old.is_none_or(|old| old.selected_node != ask.claim.selected_node);
    if !brings_both && snapshot.fitness(node, class) == Err(Unfit::Unknown) {
        return explicit(ask, class, snapshot);
    }
    mirrored(ask, node, PinnedBy::Scheduler).remark(format!(
        "it stays on node {node}; to move it, delete it and create it again with {}",
        names::NODE
    ))
}

/// The claim has a pin, and no other node is selected.
fn explicit(ask: &ClaimRequest<'_>, class: &Class, snapshot: &Snapshot) -> Verdict {
    let node = match ask.claim.pin() {
        Ok(Some(node)) => node,
        Ok(None) => return Verdict::untouched(Reason::WaitsForPod),
        Err(error) if brings_pin(ask) => {
            let value = clipped(&error.value, QUOTED);
            let message = format!(
                "annotation {} is {value:?}: {}; {}",
                error.key,
                error.problem,
                would_do(class, snapshot)
            );
            return Verdict::denied(Reason::MalformedPin, message);
        }
        Err(error) => return Verdict::untouched(Reason::MalformedPin).about(error.key),
    };
    if let (Err(why), true) = (snapshot.fitness(&node, class), brings_pin(ask)) {
        return refused(&node, why, class, snapshot);
    }
    let by = recorded(ask).unwrap_or(PinnedBy::User);
    let wish = (by == PinnedBy::User).then_some(&node);
    if let Some(volume) = existing::volume(ask, class, snapshot, wish).filter(|_| is_unserved(ask))
    {
        return existing::left_to(volume, wish);
    }
    // Whoever takes the node away from a claim means the claim to be looked at again, and a
    // hand that puts it back at once would make a loop of it.
    if ask.old.is_some_and(|old| old.selected_node.is_some()) && ask.claim.selected_node.is_none() {
        return Verdict::patched(Reason::UserPin, pin_edits(&node, by).into()).about(&node);
    }
    let verdict = pinned(&node, by, reason(by));
    if brings_pin(ask) && !snapshot.runs_agent(&node) {
        return verdict
            .remark(format!("node {node} has no Ready agent now; the claim waits until it has"));
    }
    verdict
}

/// Checks whether no agent can be making a volume for the claim: it sees the claim by its label.
fn is_unserved(ask: &ClaimRequest<'_>) -> bool {
    brings_pin(ask) || ask.claim.node_label.is_none()
}

/// Nobody has chosen a node, or the choice was taken back.
fn open(ask: &ClaimRequest<'_>, class: &Class, snapshot: &Snapshot, otherwise: Reason) -> Verdict {
    if let Some(volume) = existing::volume(ask, class, snapshot, None) {
        return existing::left_to(volume, None);
    }
    let mut eligible = snapshot.eligible(class);
    let Some((only, fact)) = eligible.next() else {
        let none = snapshot.able(class).next().is_none();
        let reason = if none { Reason::NoNodeAble } else { Reason::NoAgent };
        return cleaned(reason).about(class.name.as_str());
    };
    let others = eligible.next().is_some();
    match class.binding {
        // Only the scheduler knows what the pod tolerates, so it has the last word on every node that
        // not all pods can use. Of agents it knows nothing: what it could choose wrongly is left out.
        Binding::WaitForFirstConsumer if others || fact.availability != Availability::Open => {
            cleaned(otherwise)
        }
        Binding::Immediate if others || fact.availability == Availability::Unavailable => {
            chosen(ask, class, snapshot)
        }
        Binding::WaitForFirstConsumer | Binding::Immediate => {
            pinned(only, PinnedBy::OnlyNode, Reason::OnlyNode)
        }
    }
}

/// A class that binds at once leaves the scheduler no say.
fn chosen(ask: &ClaimRequest<'_>, class: &Class, snapshot: &Snapshot) -> Verdict {
    let key = Key::of(ask.claim, ask.request);
    let by = if key.shared { PinnedBy::Sibling } else { PinnedBy::Policy };
    match placement::choose(&key, snapshot.eligible(class)) {
        Some(node) => pinned(node, by, reason(by)),
        None => cleaned(Reason::NoNodeAvailable).about(class.name.as_str()),
    }
}

fn is_stale_mirror(ask: &ClaimRequest<'_>) -> bool {
    ask.operation != Operation::Create && recorded(ask) == Some(PinnedBy::Scheduler)
}

/// What is recorded about the pin. A pin that has just been brought is its user's, whatever was
/// recorded for the one before; only we write the label at the same time. A new claim has no pin before
/// it, and a tool that restores it may have left the label out.
fn recorded(ask: &ClaimRequest<'_>) -> Option<PinnedBy> {
    let claim = ask.claim;
    let key = claim.pin().ok().flatten().map(|node| node.key());
    let label = claim.node_label.as_deref();
    let restored = ask.operation == Operation::Create && label.is_none();
    let labelled = restored || label == key.as_ref().map(NodeKey::as_str);
    let text = claim.pinned_by.as_deref().filter(|_| labelled || !brings_pin(ask));
    text.and_then(PinnedBy::parse)
}

/// Returns whether it is this very request that brings the pin.
fn brings_pin(ask: &ClaimRequest<'_>) -> bool {
    match ask.operation {
        Operation::Create => true,
        Operation::Update => ask.old.is_none_or(|old| old.pin != ask.claim.pin),
        Operation::Repair => false,
    }
}

fn pinned(node: &NodeName, by: PinnedBy, reason: Reason) -> Verdict {
    let selected = Edit::set(Field::Annotation(kubernetes::SELECTED_NODE), node);
    let edits = pin_edits(node, by).into_iter().chain([selected]).chain(provisioner_edits());
    Verdict::patched(reason, edits.collect()).about(node)
}

fn mirrored(ask: &ClaimRequest<'_>, node: &NodeName, by: PinnedBy) -> Verdict {
    // With the scheduler's write these save one of the controller manager; alone they would be one more.
    let is_written = |old: &Claim| old.selected_node != ask.claim.selected_node;
    let extra = ask.old.is_some_and(is_written).then(provisioner_edits);
    let edits = pin_edits(node, by).into_iter().chain(extra.into_iter().flatten());
    Verdict::patched(Reason::Mirrored, edits.collect()).about(node)
}

/// What the controller manager writes once a node is selected, unless it is there already.
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

/// A claim without a pin bears no remains of one: its label would show it to an agent.
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
