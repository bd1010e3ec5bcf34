//! Metrics of every pool.

use fastrak_api::pool::PoolName;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// A metric of every pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfPool {
    /// Directories of volumes.
    Volumes,
    /// Whether it can be used.
    Up,
    /// Directories of volumes that no PersistentVolume and no claim owns.
    Orphans,
    /// Volumes whose directory is missing.
    Missing,
    /// Volumes whose quota may not be enforced.
    Unlimited,
    /// Volumes in the trash.
    Trash,
    /// Sizes granted to the volumes that can be restored.
    TrashBytes,
    /// Volumes in the trash whose removal is blocked.
    Blocked,
    /// Volumes in the trash whose records cannot be read.
    Unreadable,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PoolLabels {
    pool: String,
}

#[derive(Clone, Debug, Default)]
pub(super) struct PoolGauges {
    volumes: Family<PoolLabels, Gauge>,
    up: Family<PoolLabels, Gauge>,
    orphans: Family<PoolLabels, Gauge>,
    missing: Family<PoolLabels, Gauge>,
    unlimited: Family<PoolLabels, Gauge>,
    trash: Family<PoolLabels, Gauge>,
    trash_bytes: Family<PoolLabels, Gauge>,
    blocked: Family<PoolLabels, Gauge>,
    unreadable: Family<PoolLabels, Gauge>,
}

impl PoolLabels {
    pub(super) fn of(pool: &PoolName) -> Self {
        Self { pool: pool.to_string() }
    }
}

impl PoolGauges {
    /// The gauge of one pool.
    pub(super) fn of(&self, what: OfPool, pool: &PoolName) -> Gauge {
        let family = match what {
            OfPool::Volumes => &self.volumes,
            OfPool::Up => &self.up,
            OfPool::Orphans => &self.orphans,
            OfPool::Missing => &self.missing,
            OfPool::Unlimited => &self.unlimited,
            OfPool::Trash => &self.trash,
            OfPool::TrashBytes => &self.trash_bytes,
            OfPool::Blocked => &self.blocked,
            OfPool::Unreadable => &self.unreadable,
        };
        family.get_or_create(&PoolLabels::of(pool)).clone()
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, help, family) in [
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
            registry.register(name, help, family.clone());
        }
    }
}
