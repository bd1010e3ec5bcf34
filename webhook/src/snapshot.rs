//! Keeps the snapshot of the cluster up to date from watches, and reports problems that it shows.
//!
//! `fastrak_admission::snapshot` defines the snapshot.

pub(crate) mod agent_pods;
mod agents;
mod defaults;
pub mod metrics;
pub mod reporter;
pub mod watcher;
