//! Orphans: directories of volumes without a PersistentVolume and without a claim.
//!
//! The scan (`upkeep/scan.rs`) finds them, `found.rs` keeps the findings and the safety stop,
//! `plan.rs` decides, `controller.rs` moves them into the trash. A directory with data is never
//! removed only because the API server does not know it: a new cluster, a restored etcd backup and
//! a wrong kubeconfig look the same.

pub(crate) mod controller;
mod found;
pub(crate) mod plan;

pub use found::Orphans;
pub(crate) use found::Scanned;

use fastrak_api::duration::parse_positive;
use std::time::Duration;

/// The flags of orphans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct OrphanArgs {
    /// The time for which an orphan is kept before it is removed.
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = parse_positive)]
    pub orphan_grace: Duration,
    /// How long an orphan with data can be restored from the trash (12h, 7d). Without this flag
    /// orphans with data are never removed.
    #[arg(long, value_name = "DURATION", value_parser = parse_positive)]
    pub orphan_retention: Option<Duration>,
}
