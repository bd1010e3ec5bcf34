//! Imports a volume of another provisioner of local volumes. An administrator enables it for
//! certain directories by a flag of the agent. `plan.rs` decides, `controller.rs` acts.

pub mod controller;
pub mod plan;
pub mod source;
