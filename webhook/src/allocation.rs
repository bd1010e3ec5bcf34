//! Gives addresses of AddressPools to Services. Only the leader does.
//!
//! An assignment is a Lease that is named by its address ([`fastrak_api::assignment`]), so the API
//! server refuses to assign an address twice, and a leader that stops halfway leaves nothing to
//! repair: the next one continues from the Leases and the status of Services. `plan.rs` compares
//! what there is with what should be, and `controller.rs` carries out the difference.

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
