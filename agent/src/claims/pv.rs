//! Builds the PersistentVolume of a volume, and recognizes it. Pure.

use super::plan::Plan;
use crate::snapshot::volume::Volume;
use fastrak_api::names::{self, kubernetes};
use fastrak_store::volumes::ProvisionedVolume;
use k8s_openapi::api::core::v1::{
    LocalVolumeSource, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PersistentVolume,
    PersistentVolumeSpec, VolumeNodeAffinity,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::ObjectMeta;
use std::collections::BTreeMap;

/// Returns the PersistentVolume of a volume that exists on the disk.
pub(crate) fn object(plan: &Plan, made: &ProvisionedVolume) -> PersistentVolume {
    let labels = [
        (names::NODE.to_owned(), plan.node.key().as_str().to_owned()),
        (names::POOL.to_owned(), made.pool.to_string()),
    ];
    let annotations = [
        // Policies restrict an agent to its node by this annotation: a label may be too short for
        // the name.
        (names::NODE.to_owned(), plan.node.to_string()),
        // Without it the controller manager runs its own deleter, which fails.
        (kubernetes::PROVISIONED_BY.to_owned(), names::PROVISIONER.to_owned()),
    ];
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(plan.spec.identity.volume.volume_name()),
            labels: Some(labels.into()),
            annotations: Some(annotations.into()),
            finalizers: Some(vec![names::VOLUME_FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: Some(spec(plan, made)),
        status: None,
    }
}

fn spec(plan: &Plan, made: &ProvisionedVolume) -> PersistentVolumeSpec {
    let identity = &plan.spec.identity;
    let policy = identity.reclaim_policy.as_str();
    PersistentVolumeSpec {
        access_modes: Some(plan.access_modes.clone()),
        // As the claim has it: the same number in another unit would look like another size.
        capacity: Some(BTreeMap::from([("storage".to_owned(), Quantity(plan.size.clone()))])),
        // With the UID the binder binds the claim at once; without it, at its next resync.
        claim_ref: Some(plan.claim.clone()),
        local: Some(LocalVolumeSource {
            path: made.path.display().to_string(),
            ..LocalVolumeSource::default()
        }),
        mount_options: Some(plan.mount_options.clone()).filter(|options| !options.is_empty()),
        node_affinity: Some(affinity(&plan.hostname)),
        persistent_volume_reclaim_policy: Some(policy.to_owned()),
        storage_class_name: Some(identity.class.clone()),
        volume_mode: Some("Filesystem".to_owned()),
        ..PersistentVolumeSpec::default()
    }
}

/// Returns the affinity to a node by its hostname label. The scheduler compares labels, not names.
fn affinity(hostname: &str) -> VolumeNodeAffinity {
    let requirement = NodeSelectorRequirement {
        key: kubernetes::HOSTNAME.to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![hostname.to_owned()]),
    };
    let term = NodeSelectorTerm {
        match_expressions: Some(vec![requirement]),
        ..NodeSelectorTerm::default()
    };
    VolumeNodeAffinity { required: Some(NodeSelector { node_selector_terms: vec![term] }) }
}

/// Returns whether an existing PersistentVolume with our name is the one to create.
pub(crate) fn is_the_same(existing: &Volume, plan: &Plan, made: &ProvisionedVolume) -> bool {
    let identity = &plan.spec.identity;
    let claim = existing.claim.as_ref().and_then(|claim| claim.uid.as_deref());
    existing.is_ours()
        && existing.node_label.as_deref() == Some(plan.node.key().as_str())
        && claim == Some(identity.volume.as_str())
        && existing.path.as_deref().map(std::path::Path::new) == Some(made.path.as_path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::claim_reference;
    use fastrak_api::claim::Claim;
    use fastrak_api::claim_ref::ClaimRef;
    use fastrak_api::class::{Mode, PoolPolicy, Quota};
    use fastrak_api::node::NodeName;
    use fastrak_api::pool::PoolName;
    use fastrak_api::volume::{Identity, VolumeId};
    use fastrak_store::volumes::VolumeSpec;
    use fastrak_testkit::fixtures;

    fn plan() -> Plan {
        let volume = VolumeId::parse("0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59").unwrap();
        let claim = Claim {
            namespace: "shop".to_owned(),
            name: "data".to_owned(),
            uid: Some(volume.to_string()),
            resource_version: Some("7".into()),
            ..Claim::default()
        };
        let identity = Identity { bytes: 1_500_000_000, ..fixtures::identity(volume) };
        Plan {
            spec: VolumeSpec {
                identity,
                pools: vec![PoolName::default()],
                policy: PoolPolicy::default(),
                mode: Mode::default(),
                quota: Quota::default(),
            },
            claim: claim_reference(&claim),
            size: "1.5G".to_owned(),
            access_modes: vec!["ReadWriteOnce".to_owned()],
            mount_options: Vec::new(),
            hostname: "host-a".to_owned(),
            node: NodeName::parse("node-a").unwrap(),
        }
    }

    fn made() -> ProvisionedVolume {
        let id = plan().spec.identity.volume;
        let path = fastrak_store::volumes::layout::data_path(std::path::Path::new("/pool"), &id);
        ProvisionedVolume { pool: PoolName::default(), path, limit: None }
    }

    #[test]
    fn the_object_has_all_fields_for_the_binder_and_the_kubelet() {
        let written = serde_json::to_value(object(&plan(), &made())).unwrap();
        let wanted = serde_json::json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {
                "name": "pvc-0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59",
                "labels": { "fastrak.io/node": "node-a", "fastrak.io/pool": "default" },
                "annotations": {
                    "fastrak.io/node": "node-a",
                    "pv.kubernetes.io/provisioned-by": "local.fastrak.io",
                },
                "finalizers": ["fastrak.io/volume"],
            },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": { "storage": "1.5G" },
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": "shop",
                    "name": "data",
                    "uid": "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59",
                    "resourceVersion": "7",
                },
                "local": { "path": "/pool/0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59/data" },
                "nodeAffinity": { "required": { "nodeSelectorTerms": [{
                    "matchExpressions": [{
                        "key": "kubernetes.io/hostname", "operator": "In", "values": ["host-a"],
                    }],
                }] } },
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": "local-storage",
                "volumeMode": "Filesystem",
            },
        });
        assert_eq!(written, wanted);
    }

    #[test]
    fn mount_options_are_written_if_the_class_has_any() {
        let plan = Plan { mount_options: vec!["noatime".to_owned()], ..plan() };
        let spec = object(&plan, &made()).spec.unwrap();
        assert_eq!(spec.mount_options.unwrap(), ["noatime"]);
    }

    #[test]
    fn a_volume_is_recognized_by_all_fields_that_tie_it_to_its_claim() {
        let same = Volume::read(&object(&plan(), &made()));
        assert!(is_the_same(&same, &plan(), &made()));
        let claim =
            same.claim.clone().map(|claim| ClaimRef { uid: Some("another".to_owned()), ..claim });
        for other in [
            Volume { claim: None, ..same.clone() },
            Volume { claim, ..same.clone() },
            Volume { path: Some("/etc".to_owned()), ..same.clone() },
            Volume { path: None, ..same.clone() },
            Volume { node_label: Some("node-b".to_owned()), ..same.clone() },
            Volume { provisioned_by: None, ..same.clone() },
        ] {
            assert!(!is_the_same(&other, &plan(), &made()), "{other:?}");
        }
    }
}
