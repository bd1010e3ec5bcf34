//! Answers ARP and NDP for the addresses of LoadBalancer Services.
//!
//! No address is put on an interface: kube-proxy translates the packets that arrive for a Service's
//! address before the kernel routes them, so a node only has to attract them. A speaker that stops
//! stops answering, and nothing is left to remove.

pub mod announcer;
pub mod assignments;
pub mod controller;
pub mod frame;
pub mod heartbeat;
pub mod host;
pub mod leases;
pub mod monitor;
pub mod network;
pub mod responder;
pub mod run;
pub mod verification;
