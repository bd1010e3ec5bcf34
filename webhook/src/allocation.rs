//! Gives addresses of AddressPools and of nodes to Services. Runs only on the leader.
//!
//! An assignment is a Lease that is named by its address ([`fastrak_api::assignment`]) or, for the
//! address of a node, by address, protocol and port ([`fastrak_api::frontend`]). So the API server
//! refuses to assign one twice, and a leader that stops halfway leaves nothing to
//! repair: the next one continues from the Leases and the status of Services. `plan.rs` compares
//! the actual state with the desired one, and `controller.rs` makes the changes.

pub mod controller;
mod endpoints;
mod frontend_lease;
mod heartbeats;
mod host_ports;
mod lease;
mod metrics;
mod on_demand;
mod plan;
mod pools;
mod report;
pub mod reserved_ports;
mod service;
mod state;
mod status;
mod writes;

pub use self::metrics::AllocationMetrics;
