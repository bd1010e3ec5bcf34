//! Tests on real segments and a real API server, one behaviour each.

mod answers;
mod duplicate_node_names;
mod failover;
mod link;
mod outage;
mod rig;
mod runs_as_a_program;
mod segment;
