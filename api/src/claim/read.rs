//! A claim that a client has read: all of it that fastrak decides by, also what nobody asks about at
//! admission.

use super::{Claim, ClaimShape, MODES, Wish};
use crate::object::clipped;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

impl Claim {
    /// Reads a claim, all of it.
    #[must_use]
    pub fn read(claim: &PersistentVolumeClaim) -> Self {
        let metadata = &claim.metadata;
        let mut this = Self::of(&ClaimShape::of(claim));
        this.uid.clone_from(&metadata.uid);
        this.resource_version.clone_from(&metadata.resource_version);
        this.created = metadata.creation_timestamp.as_ref().map(|time| time.0.as_second());
        this.phase = claim.status.as_ref().and_then(|status| status.phase.clone());
        this.wish = Wish::read(claim);
        if let Some(spec) = &claim.spec {
            this.take_demands(spec);
        }
        this
    }

    fn take_demands(&mut self, spec: &PersistentVolumeClaimSpec) {
        let modes = spec.access_modes.iter().flatten().take(MODES);
        self.access_modes = modes.map(|mode| clipped(mode)).collect();
        self.block = spec.volume_mode.as_deref() == Some("Block");
        self.has_selector = spec.selector.as_ref().is_some_and(selects);
        let attributes = spec.volume_attributes_class_name.as_deref();
        self.attributes_class = attributes.filter(|name| !name.is_empty()).map(clipped);
        // The API server keeps both in step, save where the reference is to another namespace.
        let wide = spec.data_source_ref.as_ref().map(|source| (&source.kind, &source.name));
        let narrow = spec.data_source.as_ref().map(|source| (&source.kind, &source.name));
        self.data_source = wide.or(narrow).map(|(kind, name)| clipped(&format!("{kind}/{name}")));
        let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        self.storage = requests.and_then(|all| all.get("storage")).map(|size| clipped(&size.0));
    }
}

/// Whether a selector selects anything in particular. An empty one matches every volume, as the binder
/// of Kubernetes has it, and is the same as none.
fn selects(selector: &LabelSelector) -> bool {
    let LabelSelector { match_expressions, match_labels } = selector;
    match_expressions.as_ref().is_some_and(|all| !all.is_empty())
        || match_labels.as_ref().is_some_and(|all| !all.is_empty())
}
