//! What becomes of volumes when anything goes wrong at any moment: every single fault at every call
//! of the kernel and of the API server, and long random sequences of them.
//!
//! The agent's own code runs here, controllers and all, over a machine of which each call can be
//! refused, whose disk forgets what was not synced, and over a cluster whose calls go wrong in the same
//! way. `agent.rs` says what of the agent is not run, `disk.rs` what the disk promises, `cluster.rs` what
//! the cluster is. Nothing runs at the same time: what races do is tested elsewhere, and so is a real
//! kill of the real program.
#![cfg(test)]

mod agent;
mod api;
mod clock;
mod cluster;
mod disk;
mod faults;
mod forgetting;
mod groups;
mod growth;
mod machine;
mod projects;
mod renames;
mod requests;
mod sequences;
mod single;
mod world;
