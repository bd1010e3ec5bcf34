//! Metrics of every pool.

use fastrak_api::pool::PoolName;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The gauges of every pool. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct PoolGauges {
    /// Directories of volumes.
    pub volumes: PoolGauge,
    /// Whether it can be used.
    pub up: PoolGauge,
    /// Directories of volumes that no PersistentVolume and no claim owns.
    pub orphans: PoolGauge,
    /// Volumes whose directory is missing.
    pub missing: PoolGauge,
    /// Volumes whose quota may not be enforced.
    pub unlimited: PoolGauge,
    /// Volumes in the trash.
    pub trash: PoolGauge,
    /// Sizes granted to the volumes that can be restored.
    pub trash_bytes: PoolGauge,
    /// Volumes in the trash whose removal is blocked.
    pub blocked: PoolGauge,
    /// Volumes in the trash whose records cannot be read.
    pub unreadable: PoolGauge,
}

/// A gauge with one series for each pool.
#[derive(Clone, Debug, Default)]
pub struct PoolGauge(Family<PoolLabel, Gauge>);

/// The label of a series of a pool.
pub(super) type PoolLabel = [(&'static str, String); 1];

/// Returns the label of a pool.
pub(super) fn label(pool: &PoolName) -> PoolLabel {
    [("pool", pool.to_string())]
}

impl PoolGauge {
    /// Sets the gauge of a pool.
    pub fn set(&self, pool: &PoolName, value: impl TryInto<i64>) {
        self.0.get_or_create(&label(pool)).set(value.try_into().unwrap_or(i64::MAX));
    }

    /// Changes the gauge of a pool.
    pub fn add(&self, pool: &PoolName, difference: i64) {
        self.0.get_or_create(&label(pool)).inc_by(difference);
    }

    pub(super) fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.0.clone());
    }
}

impl PoolGauges {
    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, help, gauge) in [
            ("fastrak_agent_volumes", "Directories of volumes in a pool", &self.volumes),
            ("fastrak_agent_pool_up", "Whether a pool can be used (1) or not (0)", &self.up),
            (
                "fastrak_agent_orphans",
                "Directories of volumes in a pool that no PersistentVolume and no claim owns",
                &self.orphans,
            ),
            (
                "fastrak_agent_volumes_missing",
                "Bound volumes whose directory is not in their pool",
                &self.missing,
            ),
            (
                "fastrak_agent_volumes_unlimited",
                "Volumes whose quota is not enforced or cannot be read",
                &self.unlimited,
            ),
            ("fastrak_agent_trash_entries", "Volumes in a pool's trash", &self.trash),
            (
                "fastrak_agent_trash_bytes",
                "Sum of the granted sizes of restorable volumes in a pool's trash",
                &self.trash_bytes,
            ),
            (
                "fastrak_agent_trash_removal_blocked",
                "Volumes in a pool's trash whose removal is blocked",
                &self.blocked,
            ),
            (
                "fastrak_agent_trash_unreadable",
                "Volumes in a pool's trash whose records cannot be read; they are never removed",
                &self.unreadable,
            ),
        ] {
            gauge.register(registry, name, help);
        }
    }
}
