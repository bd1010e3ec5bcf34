//! PersistentVolumeClaims as fastrak reads them.
//!
//! Whoever may write a claim may write all of its annotations and labels: what is read here is data
//! with a closed grammar, never authorisation.

mod read;
mod shape;
mod unservable;
mod wish;

pub use self::shape::{ClaimShape, ClaimSpec, DataSource, Selector};
pub use self::unservable::Unservable;
pub use self::wish::{Wish, WishError};

use crate::names::{self, kubernetes};
use crate::node::{NodeName, NodeNameError};
use crate::object::{Mapping, Metadata, OwnedFields, clipped, owned};
use crate::size::{Bytes, SizeError};
use std::fmt;

/// How many access modes are read: there are four.
const MODES: usize = 8;

/// A claim, reduced to what fastrak decides by. No text in it is longer than
/// [`crate::object::LONGEST`]. What says that [`Claim::read`] alone reads it has no part in a decision
/// at admission, where each copy is a part of what a review costs.
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
    /// Its uid. Read by [`Claim::read`] alone.
    pub uid: Option<String>,
    /// Its version. Read by [`Claim::read`] alone.
    pub resource_version: Option<String>,
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
    /// Its phase. Read by [`Claim::read`] alone.
    pub phase: Option<String>,
    /// How it is to be mounted.
    pub access_modes: Vec<String>,
    /// Whether a controller other than those of Kubernetes has put a finalizer on it.
    pub has_foreign_finalizer: bool,
    /// Whether it asks for a raw block device.
    pub block: bool,
    /// Whether it selects its volume by label. An empty selector does not.
    pub has_selector: bool,
    /// What it is to be filled from, as `kind/name`.
    pub data_source: Option<String>,
    /// The VolumeAttributesClass it asks for.
    pub attributes_class: Option<String>,
    /// The size it asks for, unread; see [`Claim::request`].
    /// Read by [`Claim::read`] alone.
    pub storage: Option<String>,
    /// Whether its label says that it only asks whether the webhook is there.
    pub probes: bool,
    /// What it has been answered.
    pub probe_answer: Option<String>,
    /// When it was made, in seconds since 1970. Read by [`Claim::read`] alone.
    pub created: Option<i64>,
    /// What it wants in place of a new volume. Read by [`Claim::read`] alone.
    pub wish: Option<Result<Wish, WishError>>,
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
    /// Reads as much of a claim as is decided by at admission.
    #[must_use]
    pub fn of(claim: &ClaimShape<'_>) -> Self {
        let mut this = Self::default();
        if let Some(Mapping(metadata)) = &claim.metadata {
            this.take_metadata(metadata);
        }
        if let Some(Mapping(spec)) = &claim.spec {
            this.take_spec(spec);
        }
        this
    }

    fn take_metadata(&mut self, metadata: &Metadata<'_>) {
        let annotation = |key: &str| metadata.annotation(key).map(clipped);
        let owner = metadata.owner_references.iter().flatten().find(|owner| {
            owner.controller == Some(true)
                && owner.kind.as_deref() == Some("Pod")
                && owner.api_version.as_deref() == Some("v1")
        });
        self.namespace = owned(metadata.namespace.as_ref()).unwrap_or_default();
        self.name = owned(metadata.name.as_ref()).unwrap_or_default();
        self.generate_name = owned(metadata.generate_name.as_ref()).unwrap_or_default();
        self.deleting = metadata.deletion_timestamp.is_some();
        let mut finalizers = metadata.finalizers.iter().flatten();
        self.has_foreign_finalizer = finalizers
            .any(|finalizer| !finalizer.as_str().starts_with(kubernetes::FINALIZER_PREFIX));
        self.owner_pod = owner.map(|owner| owned(owner.uid.as_ref()).unwrap_or_default());
        self.pin = annotation(names::NODE);
        self.pinned_by = annotation(names::PINNED_BY);
        self.node_label = metadata.label(names::NODE).map(clipped);
        self.selected_node = annotation(kubernetes::SELECTED_NODE);
        self.storage_provisioner = (
            annotation(kubernetes::STORAGE_PROVISIONER),
            annotation(kubernetes::STORAGE_PROVISIONER_BETA),
        );
        self.opted_out = metadata.label(names::ADMISSION) == Some(names::ADMISSION_DISABLED);
        self.class = annotation(kubernetes::STORAGE_CLASS_BETA)
            .map_or(ClassChoice::Unset, ClassChoice::Beta);
        self.class_unowned = is_class_unowned(metadata);
        self.probes = metadata.label(names::PROBE) == Some(names::PROBE_ASKS);
        self.probe_answer = annotation(names::PROBE);
    }

    fn take_spec(&mut self, spec: &ClaimSpec<'_>) {
        if self.class == ClassChoice::Unset {
            self.class = match spec.storage_class_name.as_deref() {
                None => ClassChoice::Unset,
                Some("") => ClassChoice::Empty,
                Some(name) => ClassChoice::Named(clipped(name)),
            };
        }
        self.volume_name = owned(spec.volume_name.as_ref()).filter(|name| !name.is_empty());
        let modes = spec.access_modes.iter().flatten().take(MODES);
        self.access_modes = modes.map(|mode| clipped(mode)).collect();
        self.block = spec.volume_mode.as_deref() == Some("Block");
        self.has_selector = spec.selector.as_ref().is_some_and(|selector| !selector.0.is_empty());
        let attributes = owned(spec.volume_attributes_class_name.as_ref());
        self.attributes_class = attributes.filter(|name| !name.is_empty());
        // The API server keeps both in step, save where the reference is to another namespace.
        let source = spec.data_source_ref.as_ref().or(spec.data_source.as_ref());
        self.data_source = source.map(|source| clipped(&source.0.to_string()));
    }

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

/// Without a record of owners, or with one that cannot be read, a class counts as owned.
fn is_class_unowned(metadata: &Metadata<'_>) -> bool {
    let owners = metadata.managed_fields.as_deref().unwrap_or_default();
    !owners.is_empty() && owners.iter().all(|owner| owner.fields_v1 == Some(OwnedFields::Others))
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
