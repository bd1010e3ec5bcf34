//! Resizes the volume of a claim that has grown, and updates the status of the claim.
//!
//! Volumes never shrink: Kubernetes does not let a claim request less than it has.

pub mod controller;
pub mod plan;
pub mod status;
