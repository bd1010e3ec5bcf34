//! The parts of a Node that decide whether it can hold a volume. A whole Node lists every image on
//! its disk, and a watch would parse and hold all of that for a few fields.

use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// Labels of a Node.
pub type Labels = BTreeMap<String, String>;

/// The parts of a Node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PartialNode {
    /// Its metadata.
    pub metadata: Metadata,
    pub(super) spec: Option<Spec>,
    pub(super) status: Option<Status>,
}

/// The metadata of a Node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// The name of the node.
    pub name: Option<String>,
    pub(super) labels: Option<Labels>,
    pub(super) deletion_timestamp: Option<IgnoredAny>,
}

/// The spec of a Node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Spec {
    pub(super) unschedulable: Option<bool>,
    #[serde(rename = "podCIDRs")]
    pub(super) pod_cidrs: Option<Vec<String>>,
    pub(super) taints: Option<Vec<Taint>>,
}

/// A taint.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Taint {
    pub(super) key: String,
    pub(super) effect: String,
}

/// The status of a Node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    pub(super) addresses: Option<Vec<Address>>,
    pub(super) conditions: Option<Vec<Condition>>,
    pub(super) node_info: Option<Info>,
}

/// An address of a Node, or its name in DNS.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Address {
    #[serde(rename = "type")]
    pub(super) type_: String,
    pub(super) address: String,
}

/// A condition of a Node or of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Condition {
    #[serde(rename = "type")]
    pub(super) type_: String,
    pub(super) status: String,
}

impl Condition {
    /// Returns whether the Node or the pod is Ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.type_ == "Ready" && self.status == "True"
    }
}

/// The system of a Node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Info {
    pub(super) operating_system: String,
}
