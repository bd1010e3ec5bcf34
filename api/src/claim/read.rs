//! A claim that a client has read: all of it that fastrak decides by, also what nobody asks about at
//! admission.

use super::{Claim, PartialClaim, RestoreRequest};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

impl Claim {
    /// Reads a claim, all of it.
    #[must_use]
    pub fn read(claim: &PersistentVolumeClaim) -> Self {
        let metadata = &claim.metadata;
        let mut this = Self::of(&PartialClaim::of(claim));
        this.resource_version.clone_from(&metadata.resource_version);
        this.created = metadata.creation_timestamp.as_ref().map(|time| time.0.as_second());
        this.phase = claim.status.as_ref().and_then(|status| status.phase.clone());
        this.restore_request = RestoreRequest::read(claim);
        this
    }
}
