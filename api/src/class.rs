//! StorageClasses as fastrak reads them.
//!
//! The parameters of fastrak's own classes are read in `params.rs`.

mod inodes;
mod mode;
mod params;

pub use inodes::BytesPerInode;
pub use mode::Mode;
pub use params::{
    ClassParams, OnDelete, ParamError, PoolChoice, PoolPolicy, Quota, parameter_names,
};

use crate::names::{self, kubernetes};
use k8s_openapi::api::storage::v1::StorageClass;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A StorageClass, reduced to what fastrak decides by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Its provisioner.
    pub provisioner: String,
    /// True if it is marked as the default of the cluster.
    pub is_default: bool,
    /// When a claim gets its volume.
    pub binding: Binding,
    /// What happens to a volume when its claim is deleted.
    pub reclaim: ReclaimPolicy,
    /// Mount options of its volumes.
    pub mount_options: Vec<String>,
    /// Parameters, unparsed; see [`Class::params`].
    pub parameters: BTreeMap<String, String>,
    /// The nodes that it allows: those with all labels of any of these terms. Without a term, all.
    pub topologies: Vec<Topology>,
}

/// Labels with the values that each can have.
pub type Topology = Vec<(String, Vec<String>)>;

/// When a claim gets its volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// At once.
    Immediate,
    /// When the scheduler has found a node for the first pod that uses it.
    WaitForFirstConsumer,
}

crate::text_enum! {
    /// What happens to a volume when its claim is deleted.
    #[derive(Default, Serialize, Deserialize)]
    pub enum ReclaimPolicy {
        /// The volume is deleted.
        Delete = "Delete",
        /// The volume is kept until an administrator deletes it.
        #[default]
        Retain = "Retain",
    }
}

impl ReclaimPolicy {
    /// Reads the policy of a PersistentVolume. An unknown one keeps the volume.
    #[must_use]
    pub fn of_volume(text: Option<&str>) -> Self {
        text.and_then(Self::parse).unwrap_or_default()
    }
}

impl Class {
    /// Reads a StorageClass.
    #[must_use]
    pub fn read(class: &StorageClass) -> Self {
        let annotations = class.metadata.annotations.as_ref();
        let marked = |key| annotations.and_then(|a| a.get(key)).is_some_and(|v| v == "true");
        Self {
            name: class.metadata.name.clone().unwrap_or_default(),
            provisioner: class.provisioner.clone(),
            is_default: marked(kubernetes::DEFAULT_CLASS) || marked(kubernetes::DEFAULT_CLASS_BETA),
            binding: match class.volume_binding_mode.as_deref() {
                Some("WaitForFirstConsumer") => Binding::WaitForFirstConsumer,
                _ => Binding::Immediate,
            },
            reclaim: match class.reclaim_policy.as_deref() {
                Some("Retain") => ReclaimPolicy::Retain,
                _ => ReclaimPolicy::Delete,
            },
            mount_options: class.mount_options.clone().unwrap_or_default(),
            parameters: class.parameters.clone().unwrap_or_default(),
            topologies: class
                .allowed_topologies
                .iter()
                .flatten()
                .map(|term| {
                    let labels = term.match_label_expressions.iter().flatten();
                    labels.map(|label| (label.key.clone(), label.values.clone())).collect()
                })
                .collect(),
        }
    }

    /// Returns whether its volumes are fastrak's.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.provisioner == names::PROVISIONER
    }

    /// Returns whether it allows a node with these labels.
    #[must_use]
    pub fn allows(&self, labels: &BTreeMap<String, String>) -> bool {
        let holds = |(key, values): &(String, Vec<String>)| {
            labels.get(key).is_some_and(|value| values.contains(value))
        };
        self.topologies.is_empty() || self.topologies.iter().any(|term| term.iter().all(holds))
    }
}

#[cfg(test)]
mod tests;
