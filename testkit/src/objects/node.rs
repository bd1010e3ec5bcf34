//! Node objects.

use k8s_openapi::api::core::v1::{Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, Taint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{metadata_methods, named};

/// Builds a Node object.
#[derive(Debug, Clone)]
pub struct NodeBuilder {
    object: Node,
    status: NodeStatus,
}

metadata_methods!(NodeBuilder);

/// Returns a builder of a Ready node with the labels of its hostname and OS, for 110 pods.
#[must_use]
pub fn node(name: &str) -> NodeBuilder {
    let object = Node { metadata: named(name), ..Node::default() };
    let room = [("cpu", "16"), ("memory", "64Gi"), ("pods", "110"), ("ephemeral-storage", "100Gi")];
    let room = room.map(|(key, size)| (key.to_owned(), Quantity(size.to_owned())));
    let status = NodeStatus {
        allocatable: Some(room.clone().into()),
        capacity: Some(room.into()),
        ..NodeStatus::default()
    };
    NodeBuilder { object, status }
        .ready(true)
        .label("kubernetes.io/hostname", name)
        .label("kubernetes.io/os", "linux")
}

impl NodeBuilder {
    /// Sets the condition Ready.
    #[must_use]
    pub fn ready(mut self, ready: bool) -> Self {
        let condition = NodeCondition {
            type_: "Ready".to_owned(),
            status: if ready { "True" } else { "False" }.to_owned(),
            reason: Some("Testbed".to_owned()),
            ..NodeCondition::default()
        };
        self.status.conditions = Some(vec![condition]);
        self
    }

    /// Adds an address, of type `InternalIP` or `ExternalIP`.
    #[must_use]
    pub fn address(mut self, type_: &str, address: &str) -> Self {
        let entry = NodeAddress { type_: type_.to_owned(), address: address.to_owned() };
        self.status.addresses.get_or_insert_default().push(entry);
        self
    }

    /// Marks the node unschedulable.
    #[must_use]
    pub fn cordoned(mut self) -> Self {
        self.spec().unschedulable = Some(true);
        self
    }

    /// Adds a taint.
    #[must_use]
    pub fn taint(mut self, key: &str, effect: &str) -> Self {
        let taint = Taint { key: key.to_owned(), effect: effect.to_owned(), ..Taint::default() };
        self.spec().taints.get_or_insert_default().push(taint);
        self
    }

    /// Returns the node. The API server drops the status on creation; it must be written
    /// afterwards.
    #[must_use]
    pub fn build(self) -> Node {
        Node { status: Some(self.status), ..self.object }
    }

    fn spec(&mut self) -> &mut NodeSpec {
        self.object.spec.get_or_insert_default()
    }
}
