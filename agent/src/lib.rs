//! The agent of a node: creates directories for the claims that are pinned to the node, publishes
//! them as PersistentVolumes, and removes them after their claims are deleted.
//!
//! It does not choose nodes, bind claims or change their specs. It acts for its own node alone, and
//! changes only directories with a valid record. The parts:
//!
//! ```text
//! snapshot/ (watches) ── queue ── worker ── role ─┬─ provision/  claim → new directory ─┬─ claims/
//!                                                 ├─ restore/    claim → existing one ──┘  (the plan)
//!                                                 ├─ expand/     volume in use → its size
//!                                                 ├─ reclaim/    volume → kept, or trash, then deleted
//!                                                 └─ orphans/    directory without owner → trash
//! upkeep/ (pools, scan, trash)                    all through the crate fastrak-store
//! ```
//!
//! `failure.rs` maps each error to its retry and its event; `Context::report` writes both log and
//! event.

mod backoff;
mod claims;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod context;
pub mod events;
pub mod eviction;
mod expand;
mod failure;
pub mod metrics;
pub mod orphans;
mod owners;
mod provision;
mod reclaim;
mod repeats;
mod restore;
mod role;
pub mod run;
pub mod snapshot;
pub mod unfinished;
pub mod unmounts;
pub mod upkeep;
pub mod worker;

pub use config::Config;
pub use run::{RunError, run};
