//! Tests on real segments and a real API server, one behaviour each.

mod answers;
mod failover;
mod link;
mod rig;
mod segment;
mod twins;
