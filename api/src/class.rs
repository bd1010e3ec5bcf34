//! StorageClasses as fastrak reads them, and the parameters of its own.
//!
//! Whether a node has the pool that a class names is the agent's to find out.

use crate::names::{self, kubernetes};
use crate::pool::{PoolName, PoolNameError};
use k8s_openapi::api::storage::v1::StorageClass;
use std::collections::BTreeMap;

/// A StorageClass, reduced to what fastrak decides by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Whose volumes it gives.
    pub provisioner: String,
    /// Whether it is marked as the default of the cluster.
    pub is_default: bool,
    /// When a claim gets its volume.
    pub binding: Binding,
    /// What becomes of a volume when its claim is gone.
    pub reclaim: ReclaimPolicy,
    /// Mount options that its volumes are to carry.
    pub mount_options: Vec<String>,
    /// Parameters, unread; see [`Class::params`].
    pub parameters: BTreeMap<String, String>,
    /// The nodes it allows: any of these terms, each of which demands all of its labels. Empty
    /// allows every node.
    pub topologies: Vec<Topology>,
}

/// Labels with the values that each may have.
pub type Topology = Vec<(String, Vec<String>)>;

/// When a claim gets its volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// At once.
    Immediate,
    /// When the scheduler has found a node for the first pod that uses it.
    WaitForFirstConsumer,
}

/// What becomes of a volume when its claim is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReclaimPolicy {
    /// It is taken away.
    Delete,
    /// It is kept until someone decides.
    Retain,
}

/// The parameters of one of fastrak's own classes, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassParams {
    /// The pool in which its volumes are made.
    pub pool: PoolName,
    /// The permissions that a new volume's root has.
    pub mode: Mode,
}

/// Permission bits of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

/// A parameter that cannot be what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// A parameter that no class of fastrak's has.
    #[error("class {class} has an unknown parameter {key:?}; known are: pool, mode")]
    Unknown {
        /// The class.
        class: String,
        /// The parameter.
        key: String,
    },
    /// A mode that is not octal, or more than permissions.
    #[error("class {class} has mode {value:?}; write permissions in octal, such as \"0770\"")]
    Mode {
        /// The class.
        class: String,
        /// What it says.
        value: String,
    },
    /// A pool that cannot be named so.
    #[error("class {class} has pool {value:?}; {problem}")]
    Pool {
        /// The class.
        class: String,
        /// What it says.
        value: String,
        /// What is wrong with it.
        problem: PoolNameError,
    },
}

const PARAM_POOL: &str = "pool";
const PARAM_MODE: &str = "mode";

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

    /// Whether its volumes are fastrak's.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.provisioner == names::PROVISIONER
    }

    /// Whether it allows a node with these labels.
    #[must_use]
    pub fn allows(&self, labels: &BTreeMap<String, String>) -> bool {
        let holds = |(key, values): &(String, Vec<String>)| {
            labels.get(key).is_some_and(|value| values.contains(value))
        };
        self.topologies.is_empty() || self.topologies.iter().any(|term| term.iter().all(holds))
    }

    /// Reads the parameters. One that is not known is an error and not passed over: a misspelt
    /// one would otherwise give a volume that is not what was asked for.
    pub fn params(&self) -> Result<ClassParams, ParamError> {
        let mut params = ClassParams { pool: PoolName::default(), mode: Mode::default() };
        for (key, value) in &self.parameters {
            let class = || self.name.clone();
            match key.as_str() {
                PARAM_POOL => {
                    params.pool = PoolName::parse(value).map_err(|problem| ParamError::Pool {
                        class: class(),
                        value: value.clone(),
                        problem,
                    })?;
                }
                PARAM_MODE => {
                    params.mode = Mode::parse(value)
                        .ok_or_else(|| ParamError::Mode { class: class(), value: value.clone() })?;
                }
                _ => return Err(ParamError::Unknown { class: class(), key: key.clone() }),
            }
        }
        Ok(params)
    }
}

impl ReclaimPolicy {
    /// The policy as Kubernetes spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "Delete",
            Self::Retain => "Retain",
        }
    }
}

impl Mode {
    /// Reads permissions in octal, with or without leading zeros.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let octal = (1..=5).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
        let bits = u32::from_str_radix(text, 8).ok().filter(|_| octal)?;
        (bits <= 0o7777).then_some(Self(bits))
    }
}

impl Default for Mode {
    /// Everyone may write: the kubelet changes a volume's owner only for pods that set an fsGroup, and
    /// a container that runs as an ordinary user could otherwise write nothing. Others on the node are kept out one level up.
    fn default() -> Self {
        Self(0o777)
    }
}

#[cfg(test)]
mod tests;
