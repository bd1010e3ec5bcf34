//! Making volumes for claims: decided in `plan.rs`, written down in `pv.rs`, done in
//! `controller.rs`.

pub mod controller;
pub mod hostname;
pub mod plan;
pub mod pv;
