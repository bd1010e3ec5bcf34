//! Gives a claim an existing volume instead of a new one: `plan.rs` decides, `controller.rs` acts.
//!
//! A claim that requests one never gets an empty volume: it waits, and an event says why.

pub(crate) mod controller;
pub(crate) mod import;
pub(crate) mod plan;
pub(crate) mod refusal;
