//! What the agent counts. Registered once, handed to whoever counts.
//!
//! Labels are enums and the configured pools, so their number is bounded.

mod restores;
pub mod room;

pub use restores::{Act, Restore};

use fastrak_api::pool::PoolName;
use fastrak_runtime::admin::ScrapeMetrics;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use restores::Restores;
use room::RoomGauges;
use std::time::Instant;

/// All counters. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    provisions: Family<ProvisionLabels, Counter>,
    provision_duration: Histogram,
    expansions: Family<ExpansionLabels, Counter>,
    deletes: Family<DeleteLabels, Counter>,
    delete_duration: Histogram,
    restores: Restores,
    pools: PoolGauges,
    /// The room in pools, and what volumes hold.
    pub room: RoomGauges,
    removed: Family<PoolLabels, Counter>,
    /// Scrapes of the metrics port.
    pub scrapes: ScrapeMetrics,
}

/// How a try to make a volume has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the values of the label")]
pub enum Provision {
    /// The volume has been made and published.
    made,
    /// The claim cannot be served.
    rejected,
    /// It could not be made this time.
    failed,
}

/// How a try to make a volume larger has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the values of the label")]
pub enum Expansion {
    /// It may hold more, and its claim says so.
    done,
    /// There is no room.
    refused,
    /// It could not be done this time.
    failed,
}

/// How a try to take a volume away has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the values of the label")]
pub enum Delete {
    /// Its data is in the trash.
    trashed,
    /// Its data was not there.
    missing,
    /// Its data has been kept.
    kept,
    /// A directory that belonged to nobody is in the trash.
    orphan,
    /// It must wait for something.
    waiting,
    /// It could not be taken away this time.
    failed,
}

/// What is measured of every pool.
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
    /// Volumes that the kernel should hold to their size, and may not.
    Unlimited,
    /// Volumes in the trash.
    Trash,
    /// Sizes granted to those that can be had back.
    TrashBytes,
    /// Volumes in the trash that cannot be removed as things are.
    Stuck,
    /// Volumes in the trash whose records cannot be read.
    Unreadable,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProvisionLabels {
    outcome: Provision,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExpansionLabels {
    outcome: Expansion,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeleteLabels {
    outcome: Delete,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: String,
}

#[derive(Clone, Debug, Default)]
struct PoolGauges {
    volumes: Family<PoolLabels, Gauge>,
    up: Family<PoolLabels, Gauge>,
    orphans: Family<PoolLabels, Gauge>,
    missing: Family<PoolLabels, Gauge>,
    unlimited: Family<PoolLabels, Gauge>,
    trash: Family<PoolLabels, Gauge>,
    trash_bytes: Family<PoolLabels, Gauge>,
    stuck: Family<PoolLabels, Gauge>,
    unreadable: Family<PoolLabels, Gauge>,
}

/// Measures until it is dropped.
#[derive(Debug)]
pub struct Timer {
    histogram: Histogram,
    start: Instant,
}

impl Metrics {
    /// Registers all of them.
    pub fn register(registry: &mut Registry) -> Self {
        let duration = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let this = Self {
            provisions: Family::default(),
            provision_duration: duration(),
            expansions: Family::default(),
            deletes: Family::default(),
            delete_duration: duration(),
            restores: Restores::default(),
            pools: PoolGauges::default(),
            room: RoomGauges::default(),
            removed: Family::default(),
            scrapes: ScrapeMetrics::default(),
        };
        registry.register(
            "fastrak_agent_provisions",
            "Tries to make a volume, by how they ended",
            this.provisions.clone(),
        );
        registry.register(
            "fastrak_agent_provision_duration_seconds",
            "From a claim's turn to its published PersistentVolume",
            this.provision_duration.clone(),
        );
        registry.register(
            "fastrak_agent_expansions",
            "Tries to make a volume larger, by how they ended",
            this.expansions.clone(),
        );
        registry.register(
            "fastrak_agent_deletes",
            "Tries to take a volume away, by how they ended",
            this.deletes.clone(),
        );
        registry.register(
            "fastrak_agent_delete_duration_seconds",
            "From a released volume's turn to its data in the trash and its object deleted",
            this.delete_duration.clone(),
        );
        this.restores.register(registry);
        this.pools.register(registry);
        this.room.register(registry);
        registry.register(
            "fastrak_agent_trash_removed",
            "Files and folders removed from a pool's trash",
            this.removed.clone(),
        );
        registry.register("fastrak_agent_metrics_scrapes", "TLS scrapes", this.scrapes.clone());
        this
    }

    /// Counts a try to make a volume.
    pub fn provision(&self, outcome: Provision) {
        self.provisions.get_or_create(&ProvisionLabels { outcome }).inc();
    }

    /// Counts a try to make a volume larger.
    pub fn expansion(&self, outcome: Expansion) {
        self.expansions.get_or_create(&ExpansionLabels { outcome }).inc();
    }

    /// Counts a try to take a volume away.
    pub fn delete(&self, outcome: Delete) {
        self.deletes.get_or_create(&DeleteLabels { outcome }).inc();
    }

    /// Counts a try to give a claim a volume that was there before.
    pub fn restore(&self, act: Act, outcome: Restore) {
        self.restores.count(act, outcome);
    }

    /// Counts files and folders that were removed from a pool's trash.
    pub fn removed(&self, pool: &PoolName, number: u64) {
        self.removed.get_or_create(&PoolLabels { pool: pool.to_string() }).inc_by(number);
    }

    /// Measures how long it takes to make a volume.
    #[must_use]
    pub fn time_provision(&self) -> Timer {
        Timer { histogram: self.provision_duration.clone(), start: Instant::now() }
    }

    /// Measures how long it takes to take a volume away.
    #[must_use]
    pub fn time_delete(&self) -> Timer {
        Timer { histogram: self.delete_duration.clone(), start: Instant::now() }
    }

    /// Sets what is measured of a pool.
    pub fn set(&self, what: OfPool, pool: &PoolName, value: usize) {
        self.gauge(what, pool).set(i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// Changes what is measured of a pool.
    pub fn add(&self, what: OfPool, pool: &PoolName, difference: i64) {
        self.gauge(what, pool).inc_by(difference);
    }

    fn gauge(&self, what: OfPool, pool: &PoolName) -> Gauge {
        let family = match what {
            OfPool::Volumes => &self.pools.volumes,
            OfPool::Up => &self.pools.up,
            OfPool::Orphans => &self.pools.orphans,
            OfPool::Missing => &self.pools.missing,
            OfPool::Unlimited => &self.pools.unlimited,
            OfPool::Trash => &self.pools.trash,
            OfPool::TrashBytes => &self.pools.trash_bytes,
            OfPool::Stuck => &self.pools.stuck,
            OfPool::Unreadable => &self.pools.unreadable,
        };
        family.get_or_create(&PoolLabels { pool: pool.to_string() }).clone()
    }
}

impl PoolGauges {
    fn register(&self, registry: &mut Registry) {
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
                "Volumes that the kernel should hold to their size, and does not or cannot be asked",
                &self.unlimited,
            ),
            ("fastrak_agent_trash_entries", "Volumes in a pool's trash", &self.trash),
            (
                "fastrak_agent_trash_bytes",
                "Sizes granted to the volumes in a pool's trash that can be had back",
                &self.trash_bytes,
            ),
            (
                "fastrak_agent_trash_removal_blocked",
                "Volumes in a pool's trash that cannot be removed as things are",
                &self.stuck,
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

impl Drop for Timer {
    fn drop(&mut self) {
        self.histogram.observe(self.start.elapsed().as_secs_f64());
    }
}
