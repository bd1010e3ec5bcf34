//! Provisions volumes for claims: `plan.rs` decides, `pv.rs` renders the PersistentVolume,
//! `controller.rs` acts.

pub mod controller;
pub mod hostname;
pub mod plan;
pub mod pv;
