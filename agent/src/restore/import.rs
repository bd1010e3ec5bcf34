//! Imports a volume of another provisioner of local volumes. An administrator enables it for
//! certain directories by a flag of the agent. `plan.rs` decides, `controller.rs` acts.

pub(crate) mod controller;
pub(crate) mod plan;
pub(crate) mod source;
