//! PersistentVolumes as the agent reads them. Pure.
//!
//! The fields of an object prove nothing about its origin; the record on the disk decides.

use super::growth::STORAGE;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::names::{self, kubernetes};
use fastrak_api::volume::VolumeId;
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::ResourceExt as _;

/// A PersistentVolume, reduced to the fields that decisions use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// The name.
    pub name: String,
    /// The UID.
    pub uid: String,
    /// The resource version.
    pub resource_version: String,
    /// The node in the annotation.
    pub node: Option<String>,
    /// The node label, which the watch selects by.
    pub node_label: Option<String>,
    /// The pool label.
    pub pool_label: Option<String>,
    /// The provisioner.
    pub provisioned_by: Option<String>,
    /// The finalizers, in their order.
    pub finalizers: Vec<String>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// The phase.
    pub phase: Phase,
    /// The reclaim policy.
    pub policy: ReclaimPolicy,
    /// The claim reference.
    pub claim: Option<ClaimRef>,
    /// The path of the local volume.
    pub path: Option<String>,
    /// The capacity.
    pub capacity: Option<String>,
}

/// The phase of a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not set yet, or unknown to this version.
    #[default]
    Unknown,
    /// Not processed by the controller yet.
    Pending,
    /// Available to any claim.
    Available,
    /// Bound to a claim.
    Bound,
    /// Released: the claim is deleted.
    Released,
    /// Released, and its automatic reclamation has failed.
    Failed,
}

impl Volume {
    /// Reads a volume.
    #[must_use]
    pub fn read(object: &PersistentVolume) -> Self {
        let label = |key: &str| object.labels().get(key).cloned();
        let annotation = |key: &str| object.annotations().get(key).cloned();
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
            name: object.metadata.name.clone().unwrap_or_default(),
            uid: object.uid().unwrap_or_default(),
            resource_version: object.resource_version().unwrap_or_default(),
            node: annotation(names::NODE),
            node_label: label(names::NODE),
            pool_label: label(names::POOL),
            provisioned_by: annotation(kubernetes::PROVISIONED_BY),
            finalizers: object.finalizers().to_vec(),
            deleting: object.metadata.deletion_timestamp.is_some(),
            phase: Phase::read(phase),
            policy: ReclaimPolicy::of_volume(policy),
            claim,
            path: local.map(|local| local.path.clone()),
            capacity: spec
                .and_then(|spec| spec.capacity.as_ref()?.get(STORAGE))
                .map(|quantity| quantity.0.clone()),
        }
    }

    /// Returns the volume ID in the name, if the name is one of fastrak's.
    #[must_use]
    pub fn id(&self) -> Option<VolumeId> {
        VolumeId::from_volume_name(&self.name)
    }

    /// Returns the claim reference if it has a UID.
    #[must_use]
    pub fn owner(&self) -> Option<&ClaimRef> {
        self.claim.as_ref().filter(|claim| claim.uid.is_some())
    }

    /// Returns whether the provisioner annotation names fastrak.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.provisioned_by.as_deref() == Some(names::PROVISIONER)
    }

    /// Returns the index of the agent's finalizer.
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
    fn an_empty_object_belongs_to_nobody_and_is_retained() {
        let volume = Volume::read(&PersistentVolume::default());
        assert_eq!(volume, Volume::default());
        assert_eq!(
            (volume.id(), volume.finalizer(), volume.policy),
            (None, None, ReclaimPolicy::Retain)
        );
        assert!(!volume.is_ours());
    }
}
