//! The role of a volume ID on this node, which decides the controller that reconciles it. Pure.

use crate::snapshot::VolumeView;
use crate::snapshot::volume::{Phase, Volume};
use fastrak_api::claim::{Claim, RestoreRequest, RestoreRequestError};
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::node::NodeName;

/// What the objects with a volume's ID require of this agent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role<'a> {
    /// A claim without a volume.
    Provision(&'a Claim),
    /// A claim that requests an existing volume.
    Restore(&'a Claim, &'a Result<RestoreRequest, RestoreRequestError>),
    /// A volume of this agent.
    Volume(VolumeState, &'a Volume),
    /// A directory, if there is one, without a claim and without a volume of this agent.
    Orphan,
    /// A claim whose volume was published just now.
    Published,
}

/// The state of a volume of this agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VolumeState {
    /// It is in use or will be.
    InUse,
    /// Its data is kept after its claim is deleted.
    Retained,
    /// It may have to be deleted.
    Ending,
}

impl<'a> Role<'a> {
    /// Returns the role of an ID on this node.
    pub(crate) fn of(view: &'a VolumeView, node: &NodeName) -> Self {
        if let Some(volume) = &view.volume
            && let Some(state) = VolumeState::of(volume, node)
        {
            return Self::Volume(state, volume);
        }
        match &view.claim {
            None => Self::Orphan,
            Some(_) if view.is_published => Self::Published,
            // A claim that requests an existing volume never gets an empty one.
            Some(claim) => match &claim.restore_request {
                Some(request) => Self::Restore(claim, request),
                None => Self::Provision(claim),
            },
        }
    }
}

impl VolumeState {
    /// Returns the state of a volume, or `None` if it belongs to another agent or provisioner.
    pub(crate) fn of(volume: &Volume, node: &NodeName) -> Option<Self> {
        // Admission policies restrict agents by the annotation. The label may be a hash, which
        // policies cannot compute.
        let is_here = volume.node_label.as_deref() == Some(node.key().as_str())
            && volume.node.as_deref().is_none_or(|name| name == node.as_str());
        if !is_here || !volume.is_ours() || volume.finalizer().is_none() || volume.id().is_none() {
            return None;
        }
        let is_released = matches!(volume.phase, Phase::Released | Phase::Failed);
        Some(match volume.policy {
            _ if volume.deleting => Self::Ending,
            ReclaimPolicy::Delete if is_released => Self::Ending,
            ReclaimPolicy::Delete => Self::InUse,
            ReclaimPolicy::Retain => Self::Retained,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrak_api::names;

    fn node() -> NodeName {
        NodeName::parse("node-a").unwrap()
    }

    fn volume() -> Volume {
        Volume {
            name: "pvc-0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59".to_owned(),
            node_label: Some("node-a".to_owned()),
            provisioned_by: Some(names::PROVISIONER.to_owned()),
            finalizers: vec![names::VOLUME_FINALIZER.to_owned()],
            phase: Phase::Released,
            policy: ReclaimPolicy::Delete,
            ..Volume::default()
        }
    }

    fn state(volume: &Volume) -> Option<VolumeState> {
        VolumeState::of(volume, &node())
    }

    #[test]
    fn a_volume_without_every_mark_belongs_to_another() {
        for other in [
            Volume { node_label: Some("node-b".to_owned()), ..volume() },
            Volume { node_label: None, ..volume() },
            // Policies restrict other agents by the annotation, and cannot compute a label that is
            // a hash.
            Volume { node: Some("node-b".to_owned()), ..volume() },
            Volume { provisioned_by: Some("rancher.io/local-path".to_owned()), ..volume() },
            Volume { provisioned_by: None, ..volume() },
            Volume { finalizers: Vec::new(), ..volume() },
            Volume { name: "data".to_owned(), ..volume() },
            Volume { name: "pvc-../../../etc".to_owned(), ..volume() },
        ] {
            assert_eq!(state(&other), None, "{other:?}");
        }
    }

    #[test]
    fn phase_policy_and_deletion_decide_the_state_of_a_volume() {
        for phase in [Phase::Unknown, Phase::Pending, Phase::Available, Phase::Bound] {
            let volume = Volume { phase, ..volume() };
            assert_eq!(state(&volume), Some(VolumeState::InUse), "{phase:?}");
        }
        for phase in [Phase::Released, Phase::Failed] {
            assert_eq!(state(&Volume { phase, ..volume() }), Some(VolumeState::Ending));
        }
        for phase in [Phase::Unknown, Phase::Available, Phase::Bound, Phase::Released] {
            let retained = Volume { phase, policy: ReclaimPolicy::Retain, ..volume() };
            assert_eq!(state(&retained), Some(VolumeState::Retained), "{phase:?}");
            let deleting = Volume { deleting: true, ..retained };
            assert_eq!(state(&deleting), Some(VolumeState::Ending), "{phase:?}");
        }
    }

    #[test]
    fn a_volume_comes_before_its_claim_and_a_restore_before_a_new_volume() {
        let role = |view: &VolumeView| format!("{:?}", Role::of(view, &node()));
        let request = Some(Ok(RestoreRequest::Import("pv-1".to_owned())));
        let claim = Some(Claim::default());
        let restored = Some(Claim { restore_request: request, ..Claim::default() });
        let foreign = Some(Volume { provisioned_by: None, ..volume() });
        let view = |claim: &Option<Claim>, volume: Option<Volume>| VolumeView {
            claim: claim.clone(),
            volume,
            ..VolumeView::default()
        };
        for (view, start) in [
            (view(&claim, Some(volume())), "Volume(Ending, "),
            (view(&claim, foreign.clone()), "Provision("),
            (view(&claim, None), "Provision("),
            (view(&restored, None), "Restore("),
            (VolumeView { is_published: true, ..view(&restored, None) }, "Published"),
            (view(&None, foreign), "Orphan"),
            (view(&None, None), "Orphan"),
        ] {
            assert!(role(&view).starts_with(start), "{view:?}");
        }
    }
}
