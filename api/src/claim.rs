//! PersistentVolumeClaims as fastrak reads them.
//!
//! An author of a claim can write all of its annotations and labels. They are data with a closed
//! grammar, never authorization.

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

/// A claim, reduced to what fastrak decides by. No text in it is longer than
/// [`crate::object::MAX_TEXT`].
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of the object, and independent of the rest"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Its namespace.
    pub namespace: String,
    /// Its name. Empty at admission if the API server generates it.
    pub name: String,
    /// The prefix of a generated name.
    pub generate_name: String,
    /// Its uid. A claim that is being created has none at admission.
    pub uid: Option<String>,
    /// Its version.
    pub resource_version: Option<SmolStr>,
    /// True if it is being deleted.
    pub deleting: bool,
    /// The uid of the pod that it is a generic ephemeral volume of.
    pub owner_pod: Option<String>,
    /// The annotation that pins it, unparsed; see [`Claim::pin`].
    pub pin: Option<String>,
    /// The annotation that records why, unparsed.
    pub pinned_by: Option<String>,
    /// The label by which an agent sees it.
    pub node_label: Option<String>,
    /// The node selected for provisioning, unparsed; see [`Claim::selected_node`].
    pub selected_node: Option<String>,
    /// The annotations that name the provisioner: the current spelling, and the older one.
    pub storage_provisioner: (Option<String>, Option<String>),
    /// True if its labels opt out of fastrak.
    pub opted_out: bool,
    /// Its class.
    pub class: ClassChoice,
    /// True if no field manager owns its class. The API server records owners before its plugins
    /// fill in the class, so this shows a filled-in class at creation.
    pub class_unowned: bool,
    /// The volume that it is bound to, or requests by name.
    pub volume_name: Option<String>,
    /// Its phase.
    pub phase: Option<SmolStr>,
    /// Its access modes.
    pub access_modes: Vec<String>,
    /// True if it has a finalizer of a controller other than those of Kubernetes.
    pub has_foreign_finalizer: bool,
    /// True if it requests a raw block device.
    pub block: bool,
    /// True if it selects its volume by label. An empty selector does not.
    pub has_selector: bool,
    /// The labels that it requires of its volume. None also if its selector is too large to keep.
    pub selector: Option<Box<[Requirement]>>,
    /// Its data source, as `kind/name`.
    pub data_source: Option<String>,
    /// Its VolumeAttributesClass.
    pub attributes_class: Option<String>,
    /// The size that it requests, unparsed; see [`Claim::request`].
    pub storage: Option<String>,
    /// True if its label marks it as a probe of the webhook.
    pub probes: bool,
    /// The answer to that probe.
    pub probe_answer: Option<String>,
    /// When it was created, in seconds since 1970.
    pub created: Option<i64>,
    /// The existing data that it requests instead of a new volume.
    pub restore_request: Option<Result<RestoreRequest, RestoreRequestError>>,
}

/// How a claim names its class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClassChoice {
    /// Not at all: it gets a default.
    #[default]
    Unset,
    /// `""`: it opts out of dynamic provisioning.
    Empty,
    /// By the annotation from before the field existed.
    Beta(String),
    /// By the field.
    Named(String),
}

crate::text_enum! {
    /// The reason of a pin: the value of the annotation `fastrak.io/pinned-by`.
    pub enum PinnedBy {
        /// Its user wrote the node.
        User = "user",
        /// No other node can hold it.
        OnlyNode = "only-node",
        /// Its class binds immediately, so fastrak chose.
        Policy = "policy",
        /// It follows the claims of the same pod.
        Sibling = "sibling",
        /// The scheduler chose, with the pod in view.
        Scheduler = "scheduler",
    }
}

/// An annotation with an invalid value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("annotation {key} is {value:?}: {problem}")]
pub struct AnnotationError {
    /// The annotation.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What is wrong with it.
    pub problem: NodeNameError,
}

/// A claim whose size cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It requests no size.
    #[error("the claim requests no size; set spec.resources.requests.storage, such as 1Gi")]
    Missing,
    /// It requests a size of zero.
    #[error("the claim requests a size of 0; request at least 1 byte, such as 1Gi")]
    Zero,
    /// The requested size is invalid.
    #[error("the claim's spec.resources.requests.storage {0}")]
    Size(SizeError),
}

impl Claim {
    /// Returns the class that the claim names, by annotation or field.
    #[must_use]
    pub fn class_name(&self) -> Option<&str> {
        match &self.class {
            ClassChoice::Unset | ClassChoice::Empty => None,
            ClassChoice::Beta(name) | ClassChoice::Named(name) => Some(name),
        }
    }

    /// Parses the node that the claim is pinned to.
    pub fn pin(&self) -> Result<Option<NodeName>, AnnotationError> {
        read_node(names::NODE, self.pin.as_deref())
    }

    /// Parses the node selected for provisioning.
    pub fn selected_node(&self) -> Result<Option<NodeName>, AnnotationError> {
        read_node(kubernetes::SELECTED_NODE, self.selected_node.as_deref())
    }

    /// Returns the node whose agent serves the claim: the selected node, else the pin. A tenant can
    /// write both, and can only move or prevent an empty volume by that. An agent watches by the
    /// label, so without it no agent sees the claim.
    #[must_use]
    pub fn served_by(&self) -> Option<NodeName> {
        let chosen = match &self.selected_node {
            Some(_) => self.selected_node().ok().flatten(),
            None => self.pin().ok().flatten(),
        };
        chosen.filter(|node| self.node_label.as_deref() == Some(node.key().as_str()))
    }

    /// Parses the size that the claim requests.
    pub fn request(&self) -> Result<Bytes, RequestError> {
        let text = self.storage.as_deref().ok_or(RequestError::Missing)?;
        match Bytes::parse(text).map_err(RequestError::Size)? {
            Bytes(0) => Err(RequestError::Zero),
            size => Ok(size),
        }
    }
}

fn read_node(key: &'static str, value: Option<&str>) -> Result<Option<NodeName>, AnnotationError> {
    let Some(value) = value else { return Ok(None) };
    let named = NodeName::parse(value);
    named.map(Some).map_err(|problem| AnnotationError { key, value: value.to_owned(), problem })
}

#[cfg(test)]
mod tests;
