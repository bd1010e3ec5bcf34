//! A claim that has grown: the volume may hold more, and then all who look at it are told.
//!
//! A volume is never made smaller: Kubernetes does not let a claim ask for less than it has.

pub mod controller;
pub mod plan;
pub mod status;
