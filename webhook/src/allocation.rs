//! Gives addresses of AddressPools to Services. Runs only on the leader.
//!
//! An assignment is a Lease that is named by its address ([`fastrak_api::assignment`]), so the API
//! server refuses to assign an address twice, and a leader that stops halfway leaves nothing to
//! repair: the next one continues from the Leases and the status of Services. `plan.rs` compares
//! the actual state with the desired one, and `controller.rs` makes the changes.

pub mod controller;
mod lease;
mod metrics;
mod plan;
mod pools;
mod report;
mod service;
mod state;
mod status;
mod writes;

pub use self::metrics::AllocationMetrics;
