//! Builds the PersistentVolume of an existing volume for another claim. Pure.

use crate::claims::plan::Plan;
use crate::claims::pv;
use crate::cluster::repoint;
use fastrak_api::claim::Claim;
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::size::Bytes;
use fastrak_api::volume::Identity;
use fastrak_store::volumes::ProvisionedVolume;
use fastrak_store::volumes::trash::restore::FoundVolume;
use k8s_openapi::api::core::v1::PersistentVolume;

/// Returns the PersistentVolume that gives the existing volume `known` to `claim`. `plan` is the
/// plan of a new volume for the claim.
#[must_use]
pub fn object(
    plan: &Plan,
    known: &FoundVolume,
    made: &ProvisionedVolume,
    claim: &Claim,
) -> PersistentVolume {
    let (new, old) = (&plan.spec.identity, &known.identity);
    let reclaim_policy = match (old.reclaim_policy, new.reclaim_policy) {
        (ReclaimPolicy::Delete, ReclaimPolicy::Delete) => ReclaimPolicy::Delete,
        // The owner who retained the data may be another one than the owner of this claim.
        _ => ReclaimPolicy::Retain,
    };
    let identity = Identity { class: new.class.clone(), reclaim_policy, ..old.clone() };
    let mut plan = plan.clone();
    plan.size = Bytes(old.bytes).to_string();
    plan.spec.identity = identity;
    let mut object = pv::object(&plan, made);
    if let Some(spec) = &mut object.spec {
        spec.claim_ref = Some(repoint::reference(claim));
    }
    object
}
