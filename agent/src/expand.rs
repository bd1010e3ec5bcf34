//! Resizes the volume of a claim that has grown, and updates the status of the claim.
//!
//! Volumes never shrink: Kubernetes does not let a claim request less than it has.

pub(crate) mod controller;
pub(crate) mod plan;
pub(crate) mod status;
