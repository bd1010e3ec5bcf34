//! Directories of volumes that neither a PersistentVolume nor a claim owns.
//!
//! The scan (`upkeep/scan.rs`) finds them, `plan.rs` decides, `found.rs` remembers what was found and
//! holds the brake, `controller.rs` moves into the trash what may go. A directory that holds data is
//! never removed because the API server does not know it: a new cluster, a restored snapshot of etcd and
//! a wrong kubeconfig look exactly like that.

pub mod controller;
mod found;
pub mod plan;

pub use found::{Orphans, Scanned};
