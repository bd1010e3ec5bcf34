//! The snapshot of the cluster that reviews are decided by, kept up to date by watches.
//!
//! What a snapshot holds is `fastrak_admission::snapshot`'s to say.

mod agent_pods;
pub mod agents;
pub mod defaults;
mod looks;
pub mod metrics;
pub mod watcher;
