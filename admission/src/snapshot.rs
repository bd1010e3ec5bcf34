//! The cluster's state that decisions read: classes, nodes, free volumes and settings of
//! namespaces, reduced, in memory. The webhook's watches keep it up to date.

pub mod agent;
pub mod namespace;
pub mod node;
pub mod volume;

use self::agent::Agent;
use self::namespace::NamespaceInfo;
use self::node::{Condition, PartialNode, Taint};
use self::volume::VolumeInfo;
use fastrak_api::address_range::AddressRange;
use fastrak_api::class::Class;
use fastrak_api::names::kubernetes;
use fastrak_api::node::NodeName;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::jiff::Timestamp;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A snapshot of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The StorageClasses by name.
    pub classes: Arc<BTreeMap<String, ClassInfo>>,
    /// The nodes.
    pub nodes: Arc<BTreeMap<NodeName, NodeInfo>>,
    /// The agent of each node. None if unknown: the pods of fastrak's namespace have not been
    /// listed, or must not be, or agents do not run in pods.
    pub agents: Option<Arc<BTreeMap<NodeName, Agent>>>,
    /// True if an inlets-operator of 0.17 or later is installed: its CustomResourceDefinition
    /// exists. None if unknown: it has not been listed, or must not be.
    pub inlets_operator: Option<bool>,
    /// The volumes that a claim can still get, by name. None until they have been listed, or until
    /// the webhook has given up listing them.
    pub volumes: Option<Arc<BTreeMap<String, Arc<VolumeInfo>>>>,
    /// The namespaces with settings for fastrak. Others are not kept: a cluster may have very many.
    pub namespaces: Arc<BTreeMap<String, NamespaceInfo>>,
    /// The namespace that fastrak itself is in.
    pub namespace: String,
}

/// A StorageClass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassInfo {
    /// The class.
    pub class: Class,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Its uid.
    pub uid: String,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Why it can never hold a volume, if so.
    pub ineligible: Option<Ineligible>,
    /// The pods that it takes now.
    pub availability: Availability,
    /// True if its kubelet reports that it is Ready.
    pub is_ready: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Those of its addresses that the other nodes reach it by.
    pub internal_addresses: Vec<IpAddr>,
    /// The networks of its pods.
    pub pod_networks: Vec<AddressRange>,
}

/// The pods that a node takes now, the best value last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Availability {
    /// None until its state changes: it is cordoned, not ready, or short of something.
    #[default]
    Unavailable,
    /// Those that tolerate a taint of an administrator.
    Tainted,
    /// Any.
    Open,
}

/// Why a node can never hold a volume of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ineligible {
    /// There is no such node.
    Unknown,
    /// It runs another system.
    NotLinux,
    /// It is being deleted.
    Deleting,
    /// The class does not allow its labels.
    NotAllowed,
}

impl Snapshot {
    /// Returns whether objects of a namespace are never touched.
    #[must_use]
    pub fn is_system(&self, namespace: &str) -> bool {
        namespace == self.namespace || kubernetes::SYSTEM_NAMESPACES.contains(&namespace)
    }

    /// Returns whether a namespace opts out. The API server sends no reviews of its objects, but
    /// repairs and offline commands see them.
    #[must_use]
    pub fn is_opted_out(&self, namespace: &str) -> bool {
        self.namespaces.get(namespace).is_some_and(|info| info.opted_out)
    }

    /// Returns the settings of a namespace, if it has any.
    #[must_use]
    pub fn of_namespace(&self, namespace: &str) -> Option<&NamespaceInfo> {
        self.namespaces.get(namespace)
    }

    /// Returns a class by name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.classes.get(name).map(|info| &info.class)
    }

    /// Returns the classes that are marked as the default, the winner first: the newest, then the
    /// first by name, as the API server's own plugin chooses.
    #[must_use]
    pub fn defaults(&self) -> Vec<&ClassInfo> {
        let mut found: Vec<_> =
            self.classes.values().filter(|info| info.class.is_default).collect();
        found.sort_by_key(|info| (Reverse(info.created), &info.class.name));
        found
    }

    /// Returns the eligible nodes of a class by name: those that can hold its volumes. Taints and
    /// readiness do not count: they change, and a volume stays.
    pub fn eligible<'a>(
        &'a self,
        class: &'a Class,
    ) -> impl Iterator<Item = (&'a NodeName, &'a NodeInfo)> {
        self.nodes.iter().filter(|(_, node)| node.eligibility(class).is_ok())
    }

    /// Returns the eligible nodes that run an agent. If agents are unknown, all eligible ones.
    pub fn with_agent<'a>(
        &'a self,
        class: &'a Class,
    ) -> impl Iterator<Item = (&'a NodeName, &'a NodeInfo)> {
        self.eligible(class).filter(|(name, _)| self.runs_agent(name))
    }

    /// Returns whether a node runs an agent. An agent that is starting counts, and an unknown one.
    #[must_use]
    pub fn runs_agent(&self, node: &NodeName) -> bool {
        !matches!(self.agent(node), Some(Agent::Down { .. }))
    }

    /// Returns the agent of a node, if its state is known.
    #[must_use]
    pub fn agent(&self, node: &NodeName) -> Option<&Agent> {
        self.agents.as_ref()?.get(node)
    }

    /// Checks whether a node can hold a volume of a class.
    pub fn eligibility(&self, node: &NodeName, class: &Class) -> Result<(), Ineligible> {
        self.nodes.get(node).ok_or(Ineligible::Unknown)?.eligibility(class)
    }
}

impl ClassInfo {
    /// Reads a StorageClass.
    #[must_use]
    pub fn read(class: &StorageClass) -> Self {
        Self {
            class: Class::read(class),
            created: class.metadata.creation_timestamp.as_ref().map(|time| time.0),
            uid: class.metadata.uid.clone().unwrap_or_default(),
        }
    }
}

impl NodeInfo {
    /// Reads a Node.
    #[must_use]
    pub fn read(node: &PartialNode) -> Self {
        let labels = node.metadata.labels.clone().unwrap_or_default();
        let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
        let os = labels.get(kubernetes::OS).map(String::as_str);
        let os = os.or(info.map(|info| info.operating_system.as_str()));
        let spec = node.spec.as_ref();
        let cordoned = spec.and_then(|spec| spec.unschedulable) == Some(true);
        let taints = spec.and_then(|spec| spec.taints.as_ref()).into_iter().flatten();
        let networks = spec.and_then(|spec| spec.pod_cidrs.as_ref()).into_iter().flatten();
        let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
        let internal = addresses.clone().filter(|one| one.type_ == "InternalIP");
        let taints: Vec<_> = taints.filter(|taint| repels(taint)).collect();
        let ready = node
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten())
            .any(Condition::is_ready);
        Self {
            // A node has no operating system until its kubelet has reported.
            ineligible: match os {
                _ if node.metadata.deletion_timestamp.is_some() => Some(Ineligible::Deleting),
                Some("linux" | "") | None => None,
                Some(_) => Some(Ineligible::NotLinux),
            },
            availability: match taints.as_slice() {
                _ if cordoned || !ready => Availability::Unavailable,
                taints if taints.iter().any(|taint| is_transient(taint)) => {
                    Availability::Unavailable
                }
                [] => Availability::Open,
                [..] => Availability::Tainted,
            },
            is_ready: ready,
            addresses: addresses.filter_map(|one| one.address.parse().ok()).collect(),
            internal_addresses: internal.filter_map(|one| one.address.parse().ok()).collect(),
            pod_networks: networks.filter_map(|network| network.parse().ok()).collect(),
            labels,
        }
    }

    fn eligibility(&self, class: &Class) -> Result<(), Ineligible> {
        match self.ineligible {
            Some(ineligible) => Err(ineligible),
            None if class.allows(&self.labels) => Ok(()),
            None => Err(Ineligible::NotAllowed),
        }
    }
}

fn repels(taint: &Taint) -> bool {
    matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
}

fn is_transient(taint: &Taint) -> bool {
    kubernetes::TRANSIENT_TAINTS.iter().any(|prefix| taint.key.starts_with(prefix))
}

#[cfg(test)]
mod tests;
