//! PersistentVolumes as the agent reads them.
//!
//! Pure. That a volume says it is ours is a claim of its writer's; what is on the disk decides.

use super::growth::STORAGE;
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::names::{self, kubernetes};
use fastrak_api::volume::VolumeId;
use fastrak_store::volumes::records::owner::Owner;
use k8s_openapi::api::core::v1::PersistentVolume;

/// A PersistentVolume, reduced to what the agent decides by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its own uid.
    pub uid: String,
    /// Its version.
    pub resource_version: String,
    /// The name of its node.
    pub node: Option<String>,
    /// The label by which its agent finds it.
    pub node_label: Option<String>,
    /// The label that says in which pool it is.
    pub pool_label: Option<String>,
    /// Who provisioned it.
    pub provisioned_by: Option<String>,
    /// Its finalizers, in their order.
    pub finalizers: Vec<String>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Its phase.
    pub phase: Phase,
    /// What becomes of it.
    pub policy: ReclaimPolicy,
    /// Whose claim it is for.
    pub claim: Option<ClaimRef>,
    /// The path it names.
    pub path: Option<String>,
    /// How much it says that it holds.
    pub capacity: Option<String>,
}

/// A volume's phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// None yet, or one that is not known here.
    #[default]
    Unknown,
    /// Waiting for its controller.
    Pending,
    /// Free for any claim.
    Available,
    /// A claim's.
    Bound,
    /// It was a claim's that is gone.
    Released,
    /// The same, and someone else has failed to take it away.
    Failed,
}

/// The claim that a volume is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid, where it is known.
    pub uid: Option<String>,
}

impl ClaimRef {
    /// Returns the uid of the claim, if it is known and is one.
    #[must_use]
    pub fn id(&self) -> Option<VolumeId> {
        self.uid.as_deref().and_then(|uid| VolumeId::parse(uid).ok())
    }

    /// The claim as it is recorded on the disk, where its uid is known.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        let (namespace, claim) = (self.namespace.clone(), self.name.clone());
        self.uid.clone().map(|uid| Owner { namespace, claim, uid })
    }
}

impl From<Owner> for ClaimRef {
    fn from(owner: Owner) -> Self {
        Self { namespace: owner.namespace, name: owner.claim, uid: Some(owner.uid) }
    }
}

impl Volume {
    /// Reads a volume.
    #[must_use]
    pub fn read(object: &PersistentVolume) -> Self {
        let metadata = &object.metadata;
        let label = |key: &str| metadata.labels.as_ref().and_then(|map| map.get(key)).cloned();
        let annotations = metadata.annotations.as_ref();
        let spec = object.spec.as_ref();
        let claim = spec.and_then(|spec| spec.claim_ref.as_ref()).map(|claim| ClaimRef {
            namespace: claim.namespace.clone().unwrap_or_default(),
            name: claim.name.clone().unwrap_or_default(),
            uid: claim.uid.clone().filter(|uid| !uid.is_empty()),
        });
        let policy = spec.and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
        let phase = object.status.as_ref().and_then(|status| status.phase.as_deref());
        let local = spec.and_then(|spec| spec.local.as_ref());
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            node: annotations.and_then(|map| map.get(names::NODE)).cloned(),
            node_label: label(names::NODE),
            pool_label: label(names::POOL),
            provisioned_by: annotations
                .and_then(|map| map.get(kubernetes::PROVISIONED_BY))
                .cloned(),
            finalizers: metadata.finalizers.clone().unwrap_or_default(),
            deleting: metadata.deletion_timestamp.is_some(),
            phase: Phase::read(phase),
            policy: ReclaimPolicy::of_volume(policy),
            claim,
            path: local.map(|local| local.path.clone()),
            capacity: spec
                .and_then(|spec| spec.capacity.as_ref()?.get(STORAGE))
                .map(|quantity| quantity.0.clone()),
        }
    }

    /// The identity in its name, where it is a name of ours.
    #[must_use]
    pub fn id(&self) -> Option<VolumeId> {
        VolumeId::from_volume_name(&self.name)
    }

    /// Whether it says that it is of our making.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.provisioned_by.as_deref() == Some(names::PROVISIONER)
    }

    /// Where our finalizer stands among its finalizers.
    #[must_use]
    pub fn finalizer(&self) -> Option<usize> {
        self.finalizers.iter().position(|finalizer| finalizer == names::VOLUME_FINALIZER)
    }
}

impl Phase {
    fn read(phase: Option<&str>) -> Self {
        match phase {
            Some("Pending") => Self::Pending,
            Some("Available") => Self::Available,
            Some("Bound") => Self::Bound,
            Some("Released") => Self::Released,
            Some("Failed") => Self::Failed,
            Some(_) | None => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_read_from_its_object() {
        let object: PersistentVolume = serde_json::from_value(serde_json::json!({
            "metadata": {
                "name": "pvc-0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59", "uid": "u", "resourceVersion": "7",
                "labels": { "fastrak.io/node": "node-a", "fastrak.io/pool": "default" },
                "annotations": { "pv.kubernetes.io/provisioned-by": "local.fastrak.io" },
                "finalizers": ["kubernetes.io/pv-protection", "fastrak.io/volume"],
                "deletionTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {
                "persistentVolumeReclaimPolicy": "Delete", "local": { "path": "/pool/x/data" },
                "capacity": { "storage": "1Gi" },
                "claimRef": { "namespace": "n", "name": "c", "uid": "0b0a" },
            },
            "status": { "phase": "Released" },
        }))
        .unwrap();
        let volume = Volume::read(&object);
        assert_eq!(volume.id().unwrap().as_str(), "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59");
        assert!(volume.is_ours() && volume.deleting);
        assert_eq!((volume.finalizer(), volume.capacity.as_deref()), (Some(1), Some("1Gi")));
        assert_eq!((volume.phase, volume.policy), (Phase::Released, ReclaimPolicy::Delete));
        assert_eq!(volume.claim.unwrap().uid.as_deref(), Some("0b0a"));
    }

    #[test]
    fn an_object_without_anything_is_nobodys_and_is_kept() {
        let volume = Volume::read(&PersistentVolume::default());
        assert_eq!(volume, Volume::default());
        assert_eq!(
            (volume.id(), volume.finalizer(), volume.policy),
            (None, None, ReclaimPolicy::Retain)
        );
        assert!(!volume.is_ours());
    }
}
