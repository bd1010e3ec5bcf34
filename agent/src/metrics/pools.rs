//! Metrics of every pool.

use fastrak_api::pool::PoolName;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The gauges of every pool. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct PoolGauges {
    pub(crate) volumes: PoolGauge,
    pub(crate) up: PoolGauge,
    pub(crate) orphans: PoolGauge,
    pub(crate) missing: PoolGauge,
    pub(crate) unlimited: PoolGauge,
    pub(crate) trash: PoolGauge,
    pub(crate) trash_bytes: PoolGauge,
    pub(crate) blocked: PoolGauge,
    pub(crate) unreadable: PoolGauge,
}

/// A gauge with one series for each pool.
#[derive(Clone, Debug)]
pub(crate) struct PoolGauge(Family<PoolLabel, Gauge>);

/// The label of a series of a pool.
pub(super) type PoolLabel = [(&'static str, String); 1];

pub(super) fn label(pool: &PoolName) -> PoolLabel {
    [("pool", pool.to_string())]
}

impl PoolGauge {
    pub(crate) fn set(&self, pool: &PoolName, value: impl TryInto<i64>) {
        self.0.get_or_create(&label(pool)).set(value.try_into().unwrap_or(i64::MAX));
    }

    pub(crate) fn add(&self, pool: &PoolName, difference: i64) {
        self.0.get_or_create(&label(pool)).inc_by(difference);
    }

    pub(super) fn register(registry: &mut Registry, name: &str, help: &str) -> Self {
        let gauge = Self(Family::default());
        registry.register(name, help, gauge.0.clone());
        gauge
    }
}

impl PoolGauges {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let mut gauge = |name, help| PoolGauge::register(registry, name, help);
        Self {
            volumes: gauge("fastrak_agent_volumes", "Directories of volumes in a pool"),
            up: gauge("fastrak_agent_pool_up", "Whether a pool can be used (1) or not (0)"),
            orphans: gauge(
                "fastrak_agent_orphans",
                "Directories of volumes in a pool that no PersistentVolume and no claim owns",
            ),
            missing: gauge(
                "fastrak_agent_volumes_missing",
                "Bound volumes whose directory is not in their pool",
            ),
            unlimited: gauge(
                "fastrak_agent_volumes_unlimited",
                "Volumes whose quota is not enforced or cannot be read",
            ),
            trash: gauge("fastrak_agent_trash_entries", "Volumes in a pool's trash"),
            trash_bytes: gauge(
                "fastrak_agent_trash_bytes",
                "Sum of the granted sizes of restorable volumes in a pool's trash",
            ),
            blocked: gauge(
                "fastrak_agent_trash_removal_blocked",
                "Volumes in a pool's trash whose removal is blocked",
            ),
            unreadable: gauge(
                "fastrak_agent_trash_unreadable",
                "Volumes in a pool's trash whose records cannot be read; they are never removed",
            ),
        }
    }
}
