//! Orphans: directories of volumes without a PersistentVolume and without a claim.
//!
//! The scan (`upkeep/scan.rs`) finds them, `found.rs` keeps the findings and the safety stop, `plan.rs`
//! decides, `controller.rs` moves them into the trash. A directory with data is never removed only because
//! the API server does not know it: a new cluster, a restored etcd backup and a wrong kubeconfig look the
//! same.

pub mod controller;
mod found;
pub mod plan;

pub use found::{Orphans, Scanned};
