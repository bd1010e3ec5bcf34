//! The fault matrix: every single fault at every call of the kernel and of the API server, and long
//! random sequences of faults.
//!
//! The agent's own code runs, with all controllers, over a simulated machine and a simulated
//! cluster. Each of their calls can fail, and the disk loses what was not synced. `agent.rs` says
//! which parts of the agent do not run, `disk.rs` what the disk guarantees, `cluster.rs` what the
//! cluster does. Everything runs in one thread: other tests cover races, and kills of the real
//! program.
#![cfg(test)]

mod agent;
mod api;
mod clock;
mod cluster;
mod disk;
mod durability;
mod faults;
mod groups;
mod growth;
mod machine;
mod projects;
mod renames;
mod requests;
mod sequences;
mod single;
mod world;
