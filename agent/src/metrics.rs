//! The agent's metrics. The label values are enums and the configured pools, so their number is
//! bounded.

pub(crate) mod capacity;
mod pools;

pub(crate) use pools::{PoolGauge, PoolGauges};

use capacity::CapacityGauges;
use fastrak_api::pool::PoolName;
use fastrak_runtime::admin::ScrapeMetrics;
use pools::PoolLabel;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::time::Instant;

/// All metrics. Clones share their values.
#[derive(Clone, Debug)]
pub struct Metrics {
    provisions: ByOutcome<Provision>,
    pub(crate) provision_duration: Histogram,
    expansions: ByOutcome<Expansion>,
    deletes: ByOutcome<Delete>,
    pub(crate) delete_duration: Histogram,
    restores: Family<RestoreLabels, Counter>,
    pub(crate) pools: PoolGauges,
    pub(crate) capacity: CapacityGauges,
    removed: Family<PoolLabel, Counter>,
    pub(crate) scrapes: ScrapeMetrics,
}

/// A counter with one series for each outcome.
type ByOutcome<O> = Family<[(&'static str, O); 1], Counter>;

/// The outcome of an attempt to provision a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the values of the label")]
pub(crate) enum Provision {
    created,
    rejected,
    failed,
}

/// The outcome of an attempt to resize a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the values of the label")]
pub(crate) enum Expansion {
    done,
    /// The pool lacks space.
    refused,
    failed,
}

/// The outcome of an attempt to delete a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the values of the label")]
pub(crate) enum Delete {
    trashed,
    missing,
    kept,
    /// An orphan is in the trash.
    orphan,
    waiting,
    failed,
}

/// How a claim gets an existing volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the values of the label")]
pub(crate) enum RestoreKind {
    undelete,
    adopt,
    import,
}

/// The outcome of an attempt to give a claim an existing volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the values of the label")]
pub(crate) enum Restore {
    done,
    refused,
    waiting,
    failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RestoreLabels {
    kind: RestoreKind,
    outcome: Restore,
}

/// Measures a duration until it is dropped.
#[derive(Debug)]
pub(crate) struct Timer {
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
            restores: Family::default(),
            pools: PoolGauges::register(registry),
            capacity: CapacityGauges::register(registry),
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
        registry.register(
            "fastrak_agent_restores",
            "Attempts to give an existing volume to a claim, by kind and outcome",
            this.restores.clone(),
        );
        registry.register(
            "fastrak_agent_trash_removed",
            "Files and directories removed from a pool's trash",
            this.removed.clone(),
        );
        registry.register(
            "fastrak_agent_metrics_scrapes",
            "Scrapes of the metrics port",
            this.scrapes.clone(),
        );
        this
    }

    /// Counts an attempt to provision a volume.
    pub(crate) fn provision(&self, outcome: Provision) {
        self.provisions.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Counts an attempt to resize a volume.
    pub(crate) fn expansion(&self, outcome: Expansion) {
        self.expansions.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Counts an attempt to delete a volume.
    pub(crate) fn delete(&self, outcome: Delete) {
        self.deletes.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Counts an attempt to give a claim an existing volume.
    pub(crate) fn restore(&self, kind: RestoreKind, outcome: Restore) {
        self.restores.get_or_create(&RestoreLabels { kind, outcome }).inc();
    }

    /// Counts files and directories removed from a pool's trash.
    pub(crate) fn removed(&self, pool: &PoolName, number: u64) {
        self.removed.get_or_create(&pools::label(pool)).inc_by(number);
    }
}

impl Timer {
    pub(crate) fn start(histogram: &Histogram) -> Self {
        Self { histogram: histogram.clone(), start: Instant::now() }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.histogram.observe(self.start.elapsed().as_secs_f64());
    }
}
