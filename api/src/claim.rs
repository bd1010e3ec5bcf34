//! PersistentVolumeClaims as fastrak reads them.
//!
//! Whoever may write a claim may write all of its annotations and labels: what is read here is data
//! with a closed grammar, never authorisation.

mod node_marks;
mod partial;
mod read;
mod restore_request;
mod unservable;

pub use self::node_marks::MissingMarks;
pub use self::partial::{
    ClaimSpec, ClaimStatus, DataSource, Expression, PartialClaim, Resources, Selector,
};
pub use self::restore_request::{RestoreRequest, RestoreRequestError};
pub use self::unservable::Unservable;

use crate::names::{self, kubernetes};
use crate::node::{NodeName, NodeNameError};
use crate::selector::Requirement;
use crate::size::{Bytes, SizeError};
use smol_str::SmolStr;
use std::fmt;

/// A claim, reduced to what fastrak decides by. No text in it is longer than
/// [`crate::object::LONGEST`].
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of the object, and independent of the rest"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Its namespace.
    pub namespace: String,
    /// Its name. Empty at admission where the API server is to generate it.
    pub name: String,
    /// The beginning of a name that is to be generated.
    pub generate_name: String,
    /// Its uid. A claim that is being created has none at admission.
    pub uid: Option<String>,
    /// Its version.
    pub resource_version: Option<SmolStr>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// The uid of the pod that it is a generic ephemeral volume of.
    pub owner_pod: Option<String>,
    /// The annotation that pins it, unread; see [`Claim::pin`].
    pub pin: Option<String>,
    /// The annotation that says why, unread.
    pub pinned_by: Option<String>,
    /// The label by which an agent sees it.
    pub node_label: Option<String>,
    /// The node that dynamic provisioning has been told, unread; see [`Claim::selected_node`].
    pub selected_node: Option<String>,
    /// The annotations that name the provisioner: the current spelling, and the older one.
    pub storage_provisioner: (Option<String>, Option<String>),
    /// Whether its labels opt out of fastrak.
    pub opted_out: bool,
    /// Its class.
    pub class: ClassChoice,
    /// Whether nobody owns the field of its class, as long as that can be told: the API server
    /// records owners before its plugins fill in what was left out.
    pub class_unowned: bool,
    /// The volume it is bound to, or asks for by name.
    pub volume_name: Option<String>,
    /// Its phase.
    pub phase: Option<SmolStr>,
    /// How it is to be mounted.
    pub access_modes: Vec<String>,
    /// Whether a controller other than those of Kubernetes has put a finalizer on it.
    pub has_foreign_finalizer: bool,
    /// Whether it asks for a raw block device.
    pub block: bool,
    /// Whether it selects its volume by label. An empty selector does not.
    pub has_selector: bool,
    /// What it requires of the labels of its volume. None also if its selector is too large to be kept.
    pub selector: Option<Box<[Requirement]>>,
    /// What it is to be filled from, as `kind/name`.
    pub data_source: Option<String>,
    /// The VolumeAttributesClass it asks for.
    pub attributes_class: Option<String>,
    /// The size it asks for, unread; see [`Claim::request`].
    pub storage: Option<String>,
    /// Whether its label says that it only asks whether the webhook is there.
    pub probes: bool,
    /// What it has been answered.
    pub probe_answer: Option<String>,
    /// When it was created, in seconds since 1970.
    pub created: Option<i64>,
    /// The existing data that it asks for instead of a new volume.
    pub restore_request: Option<Result<RestoreRequest, RestoreRequestError>>,
}

/// What a claim says of its class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClassChoice {
    /// Nothing: it gets a default.
    #[default]
    Unset,
    /// `""`: it wants no dynamic provisioning.
    Empty,
    /// The annotation from before the field existed.
    Beta(String),
    /// A class.
    Named(String),
}

/// Why a claim is pinned where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PinnedBy {
    /// Its user wrote the node.
    User,
    /// No other node can hold it.
    OnlyNode,
    /// Its class binds immediately, so fastrak chose.
    Policy,
    /// It follows the claims of the same pod.
    Sibling,
    /// The scheduler chose, with the pod in view.
    Scheduler,
}

/// An annotation whose value is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("annotation {key} is {value:?}: {problem}")]
pub struct AnnotationError<E: std::error::Error> {
    /// The annotation.
    pub key: &'static str,
    /// What it says.
    pub value: String,
    /// What is wrong with it.
    pub problem: E,
}

/// A claim whose size cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It asks for none.
    #[error("the claim asks for no size; set spec.resources.requests.storage, such as 1Gi")]
    Missing,
    /// It asks for nothing.
    #[error("the claim asks for a size of 0; ask for at least 1 byte, such as 1Gi")]
    Zero,
    /// It asks for what is no size.
    #[error("the claim's spec.resources.requests.storage {0}")]
    Size(SizeError),
}

impl Claim {
    /// The class that the claim names, by either way of naming it.
    #[must_use]
    pub fn class_name(&self) -> Option<&str> {
        match &self.class {
            ClassChoice::Unset | ClassChoice::Empty => None,
            ClassChoice::Beta(name) | ClassChoice::Named(name) => Some(name),
        }
    }

    /// The node that the claim's annotation pins it to.
    pub fn pin(&self) -> Result<Option<NodeName>, AnnotationError<NodeNameError>> {
        read_node(names::NODE, self.pin.as_deref())
    }

    /// The node that dynamic provisioning has been told.
    pub fn selected_node(&self) -> Result<Option<NodeName>, AnnotationError<NodeNameError>> {
        read_node(kubernetes::SELECTED_NODE, self.selected_node.as_deref())
    }

    /// The node whose agent serves the claim. The scheduler's word counts; the pin only where there is
    /// none. Both are the tenant's to write, who can so have an empty volume made on a node or not, and
    /// nothing else. An agent watches by the label, so without it no agent sees the claim.
    #[must_use]
    pub fn served_by(&self) -> Option<NodeName> {
        let chosen = match &self.selected_node {
            Some(_) => self.selected_node().ok().flatten(),
            None => self.pin().ok().flatten(),
        };
        chosen.filter(|node| self.node_label.as_deref() == Some(node.key().as_str()))
    }

    /// The size it asks for.
    pub fn request(&self) -> Result<Bytes, RequestError> {
        let text = self.storage.as_deref().ok_or(RequestError::Missing)?;
        match Bytes::parse(text).map_err(RequestError::Size)? {
            Bytes(0) => Err(RequestError::Zero),
            size => Ok(size),
        }
    }
}

impl PinnedBy {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::User, Self::OnlyNode, Self::Policy, Self::Sibling, Self::Scheduler];

    /// The value of the annotation `fastrak.io/pinned-by`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::OnlyNode => "only-node",
            Self::Policy => "policy",
            Self::Sibling => "sibling",
            Self::Scheduler => "scheduler",
        }
    }

    /// Reads the annotation; a text that is none of them is as good as none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == text)
    }
}

impl fmt::Display for PinnedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn read_node(
    key: &'static str,
    value: Option<&str>,
) -> Result<Option<NodeName>, AnnotationError<NodeNameError>> {
    let Some(value) = value else { return Ok(None) };
    let named = NodeName::parse(value);
    named.map(Some).map_err(|problem| AnnotationError { key, value: value.to_owned(), problem })
}

#[cfg(test)]
mod tests;
