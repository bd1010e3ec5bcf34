//! Deletes the Tunnels that the inlets operator leaves behind. Runs only on the leader.
//!
//! The operator ignores every change of a Service that is not of type LoadBalancer (seen with 0.17.12).
//! If the type of a Service changes, its Tunnel stays, and with it a machine that costs money.
//!
//! Nothing is stored to know which Tunnels fastrak has caused: admission and repairs remove what
//! fastrak wrote from such a Service and leave what its user wrote. `plan.rs` decides by what is left.

pub(crate) mod controller;
mod metrics;
mod plan;
mod service;
mod tunnel;

pub(crate) use self::metrics::TunnelMetrics;
