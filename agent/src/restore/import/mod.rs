//! Taking over a volume of another provisioner of local volumes: an administrator's act, who says by a
//! flag of the agent from which folders. Decided in `plan.rs`, done in `controller.rs`.

pub mod controller;
pub mod plan;
pub mod source;
