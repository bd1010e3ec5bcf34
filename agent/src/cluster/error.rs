//! What of the API server did not come to pass.

/// The API server said no, or nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// To a new volume.
    #[error("could not create the PersistentVolume")]
    Create(#[source] kube::Error),
    /// To a look at a volume.
    #[error("could not read the PersistentVolume")]
    ReadVolume(#[source] kube::Error),
    /// To a look at all volumes.
    #[error("could not list the PersistentVolumes")]
    ListVolumes(#[source] kube::Error),
    /// To a look at a claim.
    #[error("could not read the claim")]
    ReadClaim(#[source] kube::Error),
    /// To the end of a volume.
    #[error("could not delete the PersistentVolume")]
    Delete(#[source] kube::Error),
    /// To a look at a namespace.
    #[error("could not read the namespace")]
    ReadNamespace(#[source] kube::Error),
    /// To a look at nodes.
    #[error("could not list the nodes that have this node's hostname label")]
    ListNodes(#[source] kube::Error),
    /// To giving a volume to another claim.
    #[error("could not point the PersistentVolume to the claim")]
    Repoint(#[source] kube::Error),
    /// To a volume's new size.
    #[error("could not write the size of the PersistentVolume")]
    Resize(#[source] kube::Error),
    /// To what a claim is to say of its size.
    #[error("could not write the status of the claim")]
    Status(#[source] kube::Error),
    /// To what a node is to say of its pools.
    #[error("could not write the condition of the node")]
    Condition(#[source] kube::Error),
    /// To the removal of an administrator's confirmation.
    #[error("could not remove the confirmation from the node")]
    Confirmation(#[source] kube::Error),
    /// To the removal of our finalizer.
    #[error("could not remove the finalizer from the PersistentVolume")]
    Finalize(#[source] kube::Error),
}
