//! The agent of a node: creates directories for the claims that are pinned to the node, publishes them
//! as PersistentVolumes, and removes them after their claims are deleted.
//!
//! It does not choose nodes, bind claims or change their specs. It acts for its own node alone, and
//! changes only directories with a valid record. The parts:
//!
//! ```text
//! snapshot/ (watches) ── queue ── worker ─┬─ provision/  claim  → directory, then PersistentVolume
//!                                         ├─ restore/    claim  → existing directory, then PersistentVolume
//!                                         └─ reclaim/    PersistentVolume → trash, then deleted
//! upkeep/ (pools, scan, trash)            all through the crate fastrak-store
//! ```

pub mod backoff;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod context;
pub mod events;
pub mod expand;
pub mod metrics;
pub mod provision;
pub mod queue;
pub mod reclaim;
pub mod restore;
pub mod run;
pub mod snapshot;
pub mod unmounts;
pub mod upkeep;
pub mod worker;

pub use config::Config;
pub use run::{RunError, run};
