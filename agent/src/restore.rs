//! Gives a claim an existing volume instead of a new one: `plan.rs` decides, `controller.rs` acts.
//!
//! A claim that requests one never gets an empty volume: it waits, and an event says why.

pub mod controller;
pub mod import;
pub mod plan;
pub mod refusal;
