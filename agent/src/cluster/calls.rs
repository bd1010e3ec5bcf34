//! The requests of the agent to the API server as a trait, one method for each.
//!
//! Tests implement it to observe every request in order, to fail it, or to lose its response.
//! [`super::KubeCluster`] is the implementation that ships.

use super::{Changed, ClaimState, ClaimStatus, ClusterError, NamespaceView};
use crate::snapshot::growth::Growth;
use crate::snapshot::volume::Volume;
use fastrak_api::claim::Claim;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::node::NodeName;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::PersistentVolume;
use serde_json::Value;

/// The response to a request.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, ClusterError>>;

/// The API server.
pub trait Cluster: Send + Sync {
    /// Creates a volume. Returns `false` if a volume of that name exists.
    fn create<'a>(&'a self, volume: &'a PersistentVolume) -> Answer<'a, bool>;

    /// Reads the volume of this name.
    fn volume<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Volume>>;

    /// Reads the volume with this name as an object, from any provisioner.
    fn object<'a>(&'a self, name: &'a str) -> Answer<'a, Option<PersistentVolume>>;

    /// Calls `each` with every volume of the cluster, with and without labels.
    fn each_volume<'a>(&'a self, each: &'a mut (dyn FnMut(&Volume) + Send)) -> Answer<'a, ()>;

    /// Reads the state of a claim.
    fn claim<'a>(&'a self, claim: &'a ClaimRef) -> Answer<'a, ClaimState>;

    /// Reads a volume's claim as the watch would return it. Returns `None` if it is gone.
    fn owner<'a>(&'a self, claim: &'a ClaimRef) -> Answer<'a, Option<(Claim, Growth)>>;

    /// Deletes a volume if it is unchanged since the decision. The finalizer keeps the object until
    /// [`Cluster::finalize`].
    fn delete<'a>(&'a self, volume: &'a Volume) -> Answer<'a, Changed>;

    /// Removes the agent's finalizer from a volume, and nothing else.
    fn finalize<'a>(&'a self, volume: &'a Volume) -> Answer<'a, Changed>;

    /// Reads the UID of the namespace `kube-system`, which is the cluster ID and never changes.
    fn id(&self) -> Answer<'_, Option<String>>;

    /// Reads the namespace of this name.
    fn namespace<'a>(&'a self, name: &'a str) -> Answer<'a, Option<NamespaceView>>;

    /// Reads the names of at most two nodes with this hostname label.
    fn nodes_with_hostname<'a>(&'a self, hostname: &'a str) -> Answer<'a, Vec<String>>;

    /// Removes a confirmation annotation of an administrator from a node if it still has this
    /// value, so that it counts once.
    fn consume<'a>(
        &'a self,
        node: &'a NodeName,
        annotation: &'a str,
        value: &'a str,
    ) -> Answer<'a, ()>;

    /// Points a volume to `claim` if the volume is unchanged since the decision.
    fn repoint<'a>(&'a self, volume: &'a Volume, claim: &'a Claim) -> Answer<'a, Changed>;

    /// Sets the capacity of a volume if it is unchanged since the decision.
    fn resize<'a>(&'a self, volume: &'a Volume, size: &'a str) -> Answer<'a, Changed>;

    /// Reads the part of a claim's status that concerns its size. Returns `None` if the claim is
    /// gone.
    fn claim_status<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Option<ClaimStatus>>;

    /// Patches the status of a claim. Returns `false` if the claim has changed since it was read.
    fn write_status<'a>(&'a self, claim: &'a Claim, patch: &'a Value) -> Answer<'a, bool>;

    /// Sets one condition of a node.
    fn set_condition<'a>(&'a self, node: &'a NodeName, patch: &'a Value) -> Answer<'a, ()>;
}
