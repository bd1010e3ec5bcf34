//! Answers ARP and NDP for the addresses of LoadBalancer Services, and checks whether Services can
//! have ports of the node's own addresses.
//!
//! No interface gets the address: kube-proxy translates packets for a Service's address before the
//! kernel routes them, so the node only needs to receive them. When a speaker exits, it no longer
//! answers, and there is nothing to clean up.

pub mod announcer;
pub mod assignments;
pub mod config;
pub mod controller;
pub mod frame;
pub mod frontends;
pub mod heartbeat;
pub mod host;
pub mod interface;
pub mod leases;
pub mod metrics;
pub mod monitor;
pub mod network;
pub mod responder;
pub mod run;
pub mod verification;
