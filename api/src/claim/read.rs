//! Reads a claim.

use super::{Claim, ClaimSpec, ClassChoice, PartialClaim, RestoreRequest};
use crate::names::{self, kubernetes};
use crate::object::{Mapping, Metadata, OwnedFields, clipped, owned, short};
use k8s_openapi::jiff::Timestamp;

/// How many access modes are read: there are four.
const MODES: usize = 8;

impl Claim {
    /// Parses a claim.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text).map(|claim| Self::of(&claim))
    }

    /// Reads a claim by its parts.
    #[must_use]
    pub fn of(claim: &PartialClaim<'_>) -> Self {
        let mut this = Self::default();
        if let Some(Mapping(metadata)) = &claim.metadata {
            this.take_metadata(metadata);
        }
        if let Some(Mapping(spec)) = &claim.spec {
            this.take_spec(spec);
        }
        let phase = claim.status.as_ref().and_then(|Mapping(status)| status.phase.as_ref());
        this.phase = phase.map(|phase| short(phase));
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
        self.uid = owned(metadata.uid.as_ref()).filter(|uid| !uid.is_empty());
        self.resource_version = metadata.resource_version.as_ref().map(|version| short(version));
        self.created = metadata.creation_timestamp.as_deref().and_then(seconds);
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
        self.probes = metadata.label(names::PROBE) == Some(names::PROBE_REQUESTED);
        self.probe_answer = annotation(names::PROBE);
        self.restore_request = RestoreRequest::read(|key| metadata.annotation(key));
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
        let selector = spec.selector.as_ref().filter(|selector| !selector.0.is_empty());
        self.has_selector = selector.is_some();
        self.selector = selector.and_then(|selector| selector.0.requirements());
        let storage = spec.resources.as_ref().and_then(|resources| resources.0.storage());
        self.storage = storage.map(clipped);
        let attributes = owned(spec.volume_attributes_class_name.as_ref());
        self.attributes_class = attributes.filter(|name| !name.is_empty());
        // The API server keeps both equal, except if the reference is to another namespace.
        let source = spec.data_source_ref.as_ref().or(spec.data_source.as_ref());
        self.data_source = source.map(|source| clipped(&source.0.to_string()));
    }
}

fn seconds(time: &str) -> Option<i64> {
    time.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// Without a record of owners, or with one that cannot be read, a class counts as owned.
fn is_class_unowned(metadata: &Metadata<'_>) -> bool {
    let owners = metadata.managed_fields.as_deref().unwrap_or_default();
    !owners.is_empty() && owners.iter().all(|owner| owner.fields_v1 == Some(OwnedFields::Others))
}
