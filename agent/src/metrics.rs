//! The agent's metrics. The label values are enums and the configured pools, so their number is
//! bounded.

pub mod capacity;
mod pools;
mod restores;

pub use pools::OfPool;
pub use restores::{Restore, RestoreKind};

use capacity::CapacityGauges;
use fastrak_api::pool::PoolName;
use fastrak_runtime::admin::ScrapeMetrics;
use pools::{PoolGauges, PoolLabels};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use restores::Restores;
use std::time::Instant;

/// All metrics. Clones share their values.
#[derive(Clone, Debug)]
pub struct Metrics {
    provisions: Family<ProvisionLabels, Counter>,
    provision_duration: Histogram,
    expansions: Family<ExpansionLabels, Counter>,
    deletes: Family<DeleteLabels, Counter>,
    delete_duration: Histogram,
    restores: Restores,
    pools: PoolGauges,
    /// The capacity of pools and the usage of volumes.
    pub capacity: CapacityGauges,
    removed: Family<PoolLabels, Counter>,
    /// Scrapes of the metrics port.
    pub scrapes: ScrapeMetrics,
}

/// The outcome of an attempt to provision a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the values of the label")]
pub enum Provision {
    /// The volume was created and published.
    created,
    /// The claim cannot be served.
    rejected,
    /// The attempt failed and is retried.
    failed,
}

/// The outcome of an attempt to resize a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the values of the label")]
pub enum Expansion {
    /// The volume and its claim have the new size.
    done,
    /// The pool lacks space.
    refused,
    /// The attempt failed and is retried.
    failed,
}

/// The outcome of an attempt to delete a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the values of the label")]
pub enum Delete {
    /// Its data is in the trash.
    trashed,
    /// Its data was missing.
    missing,
    /// Its data was kept.
    kept,
    /// An orphan is in the trash.
    orphan,
    /// It waits for a condition.
    waiting,
    /// The attempt failed and is retried.
    failed,
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

/// Measures a duration until it is dropped.
#[derive(Debug)]
pub struct Timer {
    histogram: Histogram,
    start: Instant,
}

impl Metrics {
    /// Registers all metrics.
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
            capacity: CapacityGauges::default(),
            removed: Family::default(),
            scrapes: ScrapeMetrics::default(),
        };
        registry.register(
            "fastrak_agent_provisions",
            "Attempts to create a volume, by outcome",
            this.provisions.clone(),
        );
        registry.register(
            "fastrak_agent_provision_duration_seconds",
            "Time from the start of a reconciliation to the published PersistentVolume",
            this.provision_duration.clone(),
        );
        registry.register(
            "fastrak_agent_expansions",
            "Attempts to resize a volume, by outcome",
            this.expansions.clone(),
        );
        registry.register(
            "fastrak_agent_deletes",
            "Attempts to delete a volume, by outcome",
            this.deletes.clone(),
        );
        registry.register(
            "fastrak_agent_delete_duration_seconds",
            "Time from the start of a reconciliation to the deleted PersistentVolume",
            this.delete_duration.clone(),
        );
        this.restores.register(registry);
        this.pools.register(registry);
        this.capacity.register(registry);
        registry.register(
            "fastrak_agent_trash_removed",
            "Files and directories removed from a pool's trash",
            this.removed.clone(),
        );
        registry.register("fastrak_agent_metrics_scrapes", "TLS scrapes", this.scrapes.clone());
        this
    }

    /// Counts an attempt to provision a volume.
    pub fn provision(&self, outcome: Provision) {
        self.provisions.get_or_create(&ProvisionLabels { outcome }).inc();
    }

    /// Counts an attempt to resize a volume.
    pub fn expansion(&self, outcome: Expansion) {
        self.expansions.get_or_create(&ExpansionLabels { outcome }).inc();
    }

    /// Counts an attempt to delete a volume.
    pub fn delete(&self, outcome: Delete) {
        self.deletes.get_or_create(&DeleteLabels { outcome }).inc();
    }

    /// Counts an attempt to give a claim an existing volume.
    pub fn restore(&self, act: RestoreKind, outcome: Restore) {
        self.restores.count(act, outcome);
    }

    /// Counts files and directories removed from a pool's trash.
    pub fn removed(&self, pool: &PoolName, number: u64) {
        self.removed.get_or_create(&PoolLabels::of(pool)).inc_by(number);
    }

    /// Starts measuring a provisioning.
    #[must_use]
    pub fn time_provision(&self) -> Timer {
        Timer { histogram: self.provision_duration.clone(), start: Instant::now() }
    }

    /// Starts measuring a deletion.
    #[must_use]
    pub fn time_delete(&self) -> Timer {
        Timer { histogram: self.delete_duration.clone(), start: Instant::now() }
    }

    /// Sets a gauge of a pool.
    pub fn set(&self, what: OfPool, pool: &PoolName, value: usize) {
        self.pools.of(what, pool).set(i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// Changes a gauge of a pool.
    pub fn add(&self, what: OfPool, pool: &PoolName, difference: i64) {
        self.pools.of(what, pool).inc_by(difference);
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.histogram.observe(self.start.elapsed().as_secs_f64());
    }
}
