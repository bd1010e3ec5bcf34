//! Keeps the snapshot of the cluster up to date from watches, and reports problems that it shows.
//!
//! `fastrak_admission::snapshot` defines the snapshot.

pub(crate) mod agent_pods;
mod agents;
mod defaults;
pub(crate) mod metrics;
pub(crate) mod reporter;
pub(crate) mod watcher;
