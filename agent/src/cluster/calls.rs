//! The calls of the API server that the agent makes besides watching, one method each, as a trait.
//!
//! This is the seam between the controllers and the cluster: an implementation sees every call, in
//! order, and may refuse it or lose its answer. [`super::KubeCluster`] is the one that ships.

use super::identity::NamespaceView;
use super::{Changed, ClaimState, ClusterError, KubeCluster, Stand};
use crate::facts::growth::Growth;
use crate::facts::volume::{ClaimRef, Volume};
use fastrak_api::claim::Claim;
use fastrak_api::node::NodeName;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::PersistentVolume;
use serde_json::Value;

/// The answer to a call, when it comes.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, ClusterError>>;

/// The API server.
pub trait Cluster: Send + Sync {
    /// Creates a volume. Returns `false` if a volume of that name exists.
    fn create<'a>(&'a self, volume: &'a PersistentVolume) -> Answer<'a, bool>;

    /// Reads the volume of this name.
    fn volume<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Volume>>;

    /// Reads the volume of this name as an object, whoever made it.
    fn object<'a>(&'a self, name: &'a str) -> Answer<'a, Option<PersistentVolume>>;

    /// Calls `each` with every volume of the cluster, labelled or not.
    fn each_volume<'a>(&'a self, each: &'a mut (dyn FnMut(&Volume) + Send)) -> Answer<'a, ()>;

    /// Reads the state of a claim.
    fn claim<'a>(&'a self, claim: &'a ClaimRef) -> Answer<'a, ClaimState>;

    /// Reads the claim that a volume is for, as the watch would show it. Returns `None` if it is gone.
    fn owner<'a>(&'a self, claim: &'a ClaimRef) -> Answer<'a, Option<(Claim, Growth)>>;

    /// Deletes a volume if it is still exactly the one that was decided upon. Our finalizer keeps the
    /// object until [`Cluster::finalize`].
    fn delete<'a>(&'a self, volume: &'a Volume) -> Answer<'a, Changed>;

    /// Removes our finalizer from a volume, and nothing else.
    fn finalize<'a>(&'a self, volume: &'a Volume) -> Answer<'a, Changed>;

    /// Reads the uid of the namespace `kube-system`, which identifies the cluster.
    fn id(&self) -> Answer<'_, Option<String>>;

    /// Reads the namespace of this name.
    fn namespace<'a>(&'a self, name: &'a str) -> Answer<'a, Option<NamespaceView>>;

    /// Reads the names of nodes that have this hostname label, two at most.
    fn nodes_with_hostname<'a>(&'a self, hostname: &'a str) -> Answer<'a, Vec<String>>;

    /// Removes an annotation by which an administrator has confirmed something from a node, if it still
    /// has this value.
    fn consume<'a>(
        &'a self,
        node: &'a NodeName,
        annotation: &'a str,
        value: &'a str,
    ) -> Answer<'a, ()>;

    /// Points a volume to `claim` if it is still exactly the one that was decided upon.
    fn repoint<'a>(&'a self, volume: &'a Volume, claim: &'a Claim) -> Answer<'a, Changed>;

    /// Writes the capacity of a volume if it still has the one that was decided upon.
    fn resize<'a>(&'a self, volume: &'a Volume, size: &'a str) -> Answer<'a, Changed>;

    /// Reads what the status of a claim can be written upon. Returns `None` if that claim is gone.
    fn stand<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Option<Stand>>;

    /// Writes into the status of a claim. Returns `false` if the claim has changed since the patch was
    /// made.
    fn write_status<'a>(&'a self, claim: &'a Claim, patch: &'a Value) -> Answer<'a, bool>;

    /// Writes one condition of a node.
    fn set_condition<'a>(&'a self, node: &'a NodeName, patch: &'a Value) -> Answer<'a, ()>;
}

impl Cluster for KubeCluster {
    fn create<'a>(&'a self, volume: &'a PersistentVolume) -> Answer<'a, bool> {
        Box::pin(Self::create(self, volume))
    }

    fn volume<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Volume>> {
        Box::pin(Self::volume(self, name))
    }

    fn object<'a>(&'a self, name: &'a str) -> Answer<'a, Option<PersistentVolume>> {
        Box::pin(Self::object(self, name))
    }

    fn each_volume<'a>(&'a self, each: &'a mut (dyn FnMut(&Volume) + Send)) -> Answer<'a, ()> {
        Box::pin(Self::each_volume(self, each))
    }

    fn claim<'a>(&'a self, claim: &'a ClaimRef) -> Answer<'a, ClaimState> {
        Box::pin(Self::claim(self, claim))
    }

    fn owner<'a>(&'a self, claim: &'a ClaimRef) -> Answer<'a, Option<(Claim, Growth)>> {
        Box::pin(Self::owner(self, claim))
    }

    fn delete<'a>(&'a self, volume: &'a Volume) -> Answer<'a, Changed> {
        Box::pin(Self::delete(self, volume))
    }

    fn finalize<'a>(&'a self, volume: &'a Volume) -> Answer<'a, Changed> {
        Box::pin(Self::finalize(self, volume))
    }

    fn id(&self) -> Answer<'_, Option<String>> {
        Box::pin(Self::id(self))
    }

    fn namespace<'a>(&'a self, name: &'a str) -> Answer<'a, Option<NamespaceView>> {
        Box::pin(Self::namespace(self, name))
    }

    fn nodes_with_hostname<'a>(&'a self, hostname: &'a str) -> Answer<'a, Vec<String>> {
        Box::pin(Self::nodes_with_hostname(self, hostname))
    }

    fn consume<'a>(
        &'a self,
        node: &'a NodeName,
        annotation: &'a str,
        value: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(Self::consume(self, node, annotation, value))
    }

    fn repoint<'a>(&'a self, volume: &'a Volume, claim: &'a Claim) -> Answer<'a, Changed> {
        Box::pin(Self::repoint(self, volume, claim))
    }

    fn resize<'a>(&'a self, volume: &'a Volume, size: &'a str) -> Answer<'a, Changed> {
        Box::pin(Self::resize(self, volume, size))
    }

    fn stand<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Option<Stand>> {
        Box::pin(Self::stand(self, claim))
    }

    fn write_status<'a>(&'a self, claim: &'a Claim, patch: &'a Value) -> Answer<'a, bool> {
        Box::pin(Self::write_status(self, claim, patch))
    }

    fn set_condition<'a>(&'a self, node: &'a NodeName, patch: &'a Value) -> Answer<'a, ()> {
        Box::pin(Self::set_condition(self, node, patch))
    }
}
