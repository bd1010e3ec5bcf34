//! What the webhook knows of the cluster when it decides: classes, nodes, free volumes and what
//! namespaces say, reduced, in memory.
//! A snapshot; it asks the API server nothing. What keeps it up to date is `snapshot/feed.rs`.

pub mod agent;
pub mod namespace;
pub mod node;
pub mod volume;

use self::agent::Agent;
use self::namespace::NamespaceInfo;
use self::node::{Condition, NodeShape, Taint};
use self::volume::VolumeInfo;
use fastrak_api::class::Class;
use fastrak_api::names::kubernetes;
use fastrak_api::node::NodeName;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::jiff::Timestamp;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A snapshot of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The StorageClasses by name.
    pub classes: Arc<BTreeMap<String, ClassInfo>>,
    /// The nodes.
    pub nodes: Arc<BTreeMap<NodeName, NodeInfo>>,
    /// The agent of each node. None if that is not known: the pods of fastrak's namespace have not been
    /// listed yet or may not be, or agents do not run in pods.
    pub agents: Option<Arc<BTreeMap<NodeName, Agent>>>,
    /// Whether an inlets-operator of 0.17 or later is installed: its CustomResourceDefinition exists.
    /// None if that is not known: it has not been listed yet, or may not be.
    pub inlets_operator: Option<bool>,
    /// The volumes that a claim could still get, by name. None until they have been listed; where they
    /// cannot be listed, there are none after a while.
    pub volumes: Option<Arc<BTreeMap<String, Arc<VolumeInfo>>>>,
    /// The namespaces that have something to say to fastrak. Others are not kept: a cluster may
    /// have very many.
    pub namespaces: Arc<BTreeMap<String, NamespaceInfo>>,
    /// The namespace that fastrak itself is in.
    pub namespace: String,
}

/// A StorageClass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassInfo {
    /// What it says.
    pub class: Class,
    /// When it was made.
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
    pub unfit: Option<Unfit>,
    /// Which pods can be put on it now.
    pub availability: Availability,
}

/// Which pods can be put on a node now, the best last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Availability {
    /// None until its state changes: it is cordoned, not ready, or short of something.
    #[default]
    Unavailable,
    /// Those that tolerate a taint which an administrator put on it.
    Tainted,
    /// Any.
    Open,
}

/// Why a node can never hold a volume of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// There is no such node.
    Unknown,
    /// It runs another system.
    NotLinux,
    /// It is on its way out.
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

    /// Returns whether a namespace opts out. Reviews of its objects are kept away by the API server
    /// itself; repairs and answers offline are not.
    #[must_use]
    pub fn is_opted_out(&self, namespace: &str) -> bool {
        self.namespaces.get(namespace).is_some_and(|fact| fact.opted_out)
    }

    /// What a namespace says, if anything.
    #[must_use]
    pub fn of_namespace(&self, namespace: &str) -> Option<&NamespaceInfo> {
        self.namespaces.get(namespace)
    }

    /// A class by name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.classes.get(name).map(|fact| &fact.class)
    }

    /// The classes marked as the default, the one that wins first: the newest, and of those that
    /// are equally new the first by name. It is how the API server's own plugin chooses.
    #[must_use]
    pub fn defaults(&self) -> Vec<&ClassInfo> {
        let mut found: Vec<_> =
            self.classes.values().filter(|fact| fact.class.is_default).collect();
        found.sort_by_key(|fact| (Reverse(fact.created), &fact.class.name));
        found
    }

    /// The nodes that could hold a volume of a class, in the order of their names. Taints and
    /// readiness do not count: they come and go, and a volume stays.
    pub fn able<'a>(
        &'a self,
        class: &'a Class,
    ) -> impl Iterator<Item = (&'a NodeName, &'a NodeInfo)> {
        self.nodes.iter().filter(|(_, node)| node.fitness(class).is_ok())
    }

    /// The nodes that could hold a volume of a class and run an agent that would make it. All that
    /// could hold one if it is not known which nodes run an agent.
    pub fn eligible<'a>(
        &'a self,
        class: &'a Class,
    ) -> impl Iterator<Item = (&'a NodeName, &'a NodeInfo)> {
        self.able(class).filter(|(name, _)| self.runs_agent(name))
    }

    /// Returns whether a node runs an agent, as far as that is known. One that is starting counts.
    #[must_use]
    pub fn runs_agent(&self, node: &NodeName) -> bool {
        !matches!(self.agent(node), Some(Agent::Down { .. }))
    }

    /// The agent of a node, if its state is known.
    #[must_use]
    pub fn agent(&self, node: &NodeName) -> Option<&Agent> {
        self.agents.as_ref()?.get(node)
    }

    /// Returns whether a node could hold a volume of a class.
    pub fn fitness(&self, node: &NodeName, class: &Class) -> Result<(), Unfit> {
        self.nodes.get(node).ok_or(Unfit::Unknown)?.fitness(class)
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
    pub fn read(node: &Node) -> Self {
        Self::of(&node.into())
    }

    /// Reads a Node by its parts.
    #[must_use]
    pub fn of(node: &NodeShape) -> Self {
        let labels = node.metadata.labels.clone().unwrap_or_default();
        let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
        let os = labels.get(kubernetes::OS).map(String::as_str);
        let os = os.or(info.map(|info| info.operating_system.as_str()));
        let spec = node.spec.as_ref();
        let cordoned = spec.and_then(|spec| spec.unschedulable) == Some(true);
        let taints = spec.and_then(|spec| spec.taints.as_ref()).into_iter().flatten();
        let taints: Vec<_> = taints.filter(|taint| repels(taint)).collect();
        let ready = node
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten())
            .any(Condition::is_ready);
        Self {
            // Before its kubelet has reported, a node has no system; it is not another one.
            unfit: match os {
                _ if node.metadata.deletion_timestamp.is_some() => Some(Unfit::Deleting),
                Some("linux" | "") | None => None,
                Some(_) => Some(Unfit::NotLinux),
            },
            availability: match taints.as_slice() {
                _ if cordoned || !ready => Availability::Unavailable,
                taints if taints.iter().any(|taint| is_transient(taint)) => {
                    Availability::Unavailable
                }
                [] => Availability::Open,
                [..] => Availability::Tainted,
            },
            labels,
        }
    }

    fn fitness(&self, class: &Class) -> Result<(), Unfit> {
        match self.unfit {
            Some(unfit) => Err(unfit),
            None if class.allows(&self.labels) => Ok(()),
            None => Err(Unfit::NotAllowed),
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
