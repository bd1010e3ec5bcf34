//! The requests of the agent to the API server, apart from watches.
//!
//! Each write is conditional on the object that the decision was based on, or changes only fields
//! that the agent owns. The module decides nothing.

mod calls;
mod error;
mod patches;
mod requests;

pub use calls::{Answer, Cluster};
pub use error::ClusterError;
pub(crate) use requests::KubeCluster;

use crate::snapshot::growth::Growth;
use crate::snapshot::volume::Volume;

/// The result of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It succeeded; with the new object.
    Done(Box<Volume>),
    /// The object has changed since the decision.
    Conflict,
    /// The object no longer exists.
    Gone,
}

/// The current state of a volume's claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimState {
    /// No claim has this UID.
    Gone,
    /// The claim exists and names no volume.
    Waiting,
    /// The claim names a volume that it requests, is bound to, or has lost.
    HasVolume(String),
    /// The claim is bound to this volume for its lifetime: the API server never allows a change of
    /// the name.
    Bound(String),
}

/// The part of a claim's status that concerns its size, and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimStatus {
    /// The UID.
    pub uid: String,
    /// The resource version.
    pub version: String,
    /// The size in the status.
    pub growth: Growth,
}

/// A namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceView {
    /// Its UID.
    pub uid: String,
    /// Its creation time by the clock of the API server, in seconds since 1970.
    pub created: Option<i64>,
    /// Whether an administrator lets it have the volumes of an earlier namespace with its name.
    pub inherits: bool,
}
