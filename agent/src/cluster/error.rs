//! Failed requests to the API server.

/// A request to the API server that has failed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Creating a volume.
    #[error("could not create the PersistentVolume")]
    Create(#[source] kube::Error),
    /// Reading a volume.
    #[error("could not read the PersistentVolume")]
    ReadVolume(#[source] kube::Error),
    /// Listing the volumes.
    #[error("could not list the PersistentVolumes")]
    ListVolumes(#[source] kube::Error),
    /// Reading a claim.
    #[error("could not read the claim")]
    ReadClaim(#[source] kube::Error),
    /// Deleting a volume.
    #[error("could not delete the PersistentVolume")]
    Delete(#[source] kube::Error),
    /// Reading a namespace.
    #[error("could not read the namespace")]
    ReadNamespace(#[source] kube::Error),
    /// Listing nodes.
    #[error("could not list the nodes that have this node's hostname label")]
    ListNodes(#[source] kube::Error),
    /// Pointing a volume to another claim.
    #[error("could not point the PersistentVolume to the claim")]
    Repoint(#[source] kube::Error),
    /// Changing the capacity of a volume.
    #[error("could not write the size of the PersistentVolume")]
    Resize(#[source] kube::Error),
    /// Patching the status of a claim.
    #[error("could not write the status of the claim")]
    Status(#[source] kube::Error),
    /// Setting a condition of a node.
    #[error("could not write the condition of the node")]
    Condition(#[source] kube::Error),
    /// Removing a confirmation.
    #[error("could not remove the confirmation from the node")]
    Confirmation(#[source] kube::Error),
    /// Removing the finalizer.
    #[error("could not remove the finalizer from the PersistentVolume")]
    Finalize(#[source] kube::Error),
}
