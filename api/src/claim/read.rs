//! A claim that a client has read: all of it that fastrak decides by, also what nobody asks about at
//! admission.

use super::{Claim, ClaimShape, Wish};
use crate::object::clipped;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

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
        let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
        let requests = resources.and_then(|resources| resources.requests.as_ref());
        this.storage = requests.and_then(|all| all.get("storage")).map(|size| clipped(&size.0));
        this
    }
}
