//! The agent of a node: makes directories for the claims that are pinned to the node, publishes them
//! as volumes, and takes them away when their claims are gone.
//!
//! It does not choose nodes, bind claims or change claims. It acts for its own node alone, and on
//! the disk only on what is proven to be its own. How the parts hang together:
//!
//! ```text
//! facts/ (watches) ── queue ── worker ──┬── provision/   claim  → directory, then object
//!                                       ├── restore/     claim  → directory that was there, then object
//!                                       └── reclaim/     object → trash, then nothing
//! upkeep/ (pools, scan, trash)          all through the crate fastrak-store
//! ```

pub mod clock;
pub mod cluster;
pub mod config;
pub mod context;
pub mod events;
pub mod expand;
pub mod facts;
pub mod metrics;
pub mod pace;
pub mod provision;
pub mod queue;
pub mod reclaim;
pub mod restore;
pub mod run;
pub mod unmounts;
pub mod upkeep;
pub mod worker;

pub use config::Config;
pub use run::{RunError, run};
