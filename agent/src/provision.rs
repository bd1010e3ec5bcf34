//! Provisions volumes for claims: `claims/` plans, `controller.rs` acts.

pub(crate) mod controller;
