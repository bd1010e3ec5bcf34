//! Persistent volumes of type `local`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    LocalVolumeSource, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PersistentVolume,
    PersistentVolumeSpec, VolumeNodeAffinity,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{metadata_methods, named};

/// Builds a local volume.
#[derive(Debug, Clone)]
pub struct LocalVolume {
    object: PersistentVolume,
    spec: PersistentVolumeSpec,
}

metadata_methods!(LocalVolume);

/// Returns a builder of a volume of 1Gi in a directory of a node, with this class.
#[must_use]
pub fn local_volume(name: &str, class: &str, node: &str, path: &str) -> LocalVolume {
    let requirement = NodeSelectorRequirement {
        key: "kubernetes.io/hostname".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let term = NodeSelectorTerm {
        match_expressions: Some(vec![requirement]),
        ..NodeSelectorTerm::default()
    };
    let spec = PersistentVolumeSpec {
        access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
        capacity: Some(BTreeMap::from([("storage".to_owned(), Quantity("1Gi".to_owned()))])),
        local: Some(LocalVolumeSource { path: path.to_owned(), fs_type: None }),
        node_affinity: Some(VolumeNodeAffinity {
            required: Some(NodeSelector { node_selector_terms: vec![term] }),
        }),
        persistent_volume_reclaim_policy: Some("Retain".to_owned()),
        storage_class_name: Some(class.to_owned()),
        ..PersistentVolumeSpec::default()
    };
    let object = PersistentVolume { metadata: named(name), ..PersistentVolume::default() };
    LocalVolume { object, spec }
}

impl LocalVolume {
    /// Changes the spec.
    #[must_use]
    pub fn with_spec(mut self, change: impl FnOnce(&mut PersistentVolumeSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// Returns the volume.
    #[must_use]
    pub fn build(self) -> PersistentVolume {
        PersistentVolume { spec: Some(self.spec), ..self.object }
    }
}
