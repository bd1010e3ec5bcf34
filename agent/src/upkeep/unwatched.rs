//! Reads the claims of this node's bound volumes that the watch does not show, because their label
//! was removed. A claim belongs to the volume whose `claimRef` names it, independently of its
//! labels: it grows as if it were watched, or an event says why it cannot.
//!
//! As long as every bound claim has its label, no request is made.

use crate::cluster::ClusterError;
use crate::context::Context;
use crate::role::VolumeState;
use crate::snapshot::growth::Growth;
use crate::snapshot::volume::{Phase, Volume};
use fastrak_api::claim::Claim;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_api::reason::EventReason;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::chain::Chain;

/// How many claims are read in one scan. The next scan continues after them.
const READ_AT_ONCE: usize = 50;

/// Reads some of the claims that the watch lacks, and queues their volumes.
pub(crate) async fn read_claims(context: &Context) {
    let is_bound = |volume: &Volume| is_bound_here(volume, &context.node);
    for (id, owner) in context.snapshot.unwatched(is_bound, READ_AT_ONCE) {
        if let Err(error) = read(context, &id, &owner).await {
            let (namespace, claim) = (&owner.namespace, &owner.name);
            tracing::warn!(error = %Chain(&error), namespace, claim, "could not read a claim without label");
        }
    }
}

fn is_bound_here(volume: &Volume, node: &NodeName) -> bool {
    let state = VolumeState::of(volume, node);
    volume.phase == Phase::Bound && state.is_some_and(|state| state != VolumeState::Ending)
}

async fn read(context: &Context, id: &VolumeId, owner: &ClaimRef) -> Result<(), ClusterError> {
    let found = context.cluster.owner(owner).await?;
    let has_volume =
        |(claim, _): &(Claim, Growth)| claim.volume_name.as_ref() == Some(&id.volume_name());
    let Some(found) = found.filter(has_volume) else { return Ok(()) };
    let text = missing_text(&found.0, &context.node);
    let claim = found.0.clone();
    if context.snapshot.put_unwatched(owner, found)
        && let Some(text) = text
    {
        context.warn(&claim, EventReason::NodeLabelMissing, &text);
    }
    context.queue.add(id.clone());
    Ok(())
}

/// Returns what a claim on `node` lacks, what that means and what to do. Returns nothing if it
/// lacks nothing.
fn missing_text(claim: &Claim, node: &NodeName) -> Option<String> {
    let missing = claim.missing_marks(node)?;
    let effect = if missing.annotation() {
        "its volume does not grow"
    } else {
        "when it grows, its agent notices only at the next scan"
    };
    let kubectl = format!("kubectl --namespace {}", claim.namespace);
    let set = |verb: &str, value: &str| {
        format!("{kubectl} {verb} --overwrite pvc {} {}={value}", claim.name, names::NODE)
    };
    let label = missing.label().then(|| set("label", node.key().as_str()));
    let annotation = missing.annotation().then(|| set("annotate", node.as_str()));
    let commands: Vec<_> = [label, annotation].into_iter().flatten().collect();
    Some(format!(
        "the claim does not have {} {} of node {node}, where its volume is, and the webhook has not \
         restored it: {effect}. Run: {}",
        missing.as_str(),
        names::NODE,
        commands.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(label: Option<&str>, pin: Option<&str>) -> Claim {
        Claim {
            namespace: "shop".to_owned(),
            name: "data".to_owned(),
            node_label: label.map(str::to_owned),
            pin: pin.map(str::to_owned),
            ..Claim::default()
        }
    }

    #[test]
    fn the_event_names_what_is_missing_and_the_command() {
        let node = NodeName::parse("node-a").unwrap();
        let own = Some("node-a");
        let label = "kubectl --namespace shop label --overwrite pvc data fastrak.io/node=node-a";
        let pin = "kubectl --namespace shop annotate --overwrite pvc data fastrak.io/node=node-a";
        for (claim, lost, commands) in [
            (claim(None, own), "have label fastrak.io/node of", label.to_owned()),
            (claim(own, None), "have annotation fastrak.io/node of", pin.to_owned()),
            (claim(None, Some("node-b")), "have label and annotation", format!("{label}; {pin}")),
        ] {
            let text = missing_text(&claim, &node).unwrap();
            assert!(text.contains(lost) && text.ends_with(&commands), "{text}");
            assert_eq!(text.contains("does not grow"), claim.pin.as_deref() != own, "{text}");
        }
        assert_eq!(missing_text(&claim(own, own), &node), None);
    }

    #[test]
    fn only_claims_of_bound_volumes_of_this_node_are_read() {
        let node = NodeName::parse("node-a").unwrap();
        let bound = Volume {
            name: "pvc-0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59".to_owned(),
            node: Some("node-a".to_owned()),
            node_label: Some("node-a".to_owned()),
            provisioned_by: Some(names::PROVISIONER.to_owned()),
            finalizers: vec![names::VOLUME_FINALIZER.to_owned()],
            phase: Phase::Bound,
            ..Volume::default()
        };
        assert!(is_bound_here(&bound, &node));
        for other in [
            Volume { phase: Phase::Released, ..bound.clone() },
            Volume { phase: Phase::Available, ..bound.clone() },
            Volume { deleting: true, ..bound.clone() },
            Volume { node: Some("node-b".to_owned()), ..bound.clone() },
            Volume { provisioned_by: None, ..bound.clone() },
        ] {
            assert!(!is_bound_here(&other, &node), "{other:?}");
        }
    }
}
