//! The metrics of repairs.

use fastrak_admission::review::Subject;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

crate::metrics::metric_table! {
    /// The metrics of repairs.
    pub struct RepairMetrics {
        repairs: Family<RepairLabel, Counter>, "repairs", "Repairs, by outcome";
        backlog: Family<BacklogLabel, Gauge>, "repair_backlog",
            "Objects that are queued for a repair";
    }
}

/// The labels of a repair.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RepairLabel {
    /// The kind of object.
    pub resource: &'static str,
    /// The outcome.
    pub outcome: RepairOutcome,
}

/// The label of a backlog.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BacklogLabel {
    /// The kind of object.
    pub resource: &'static str,
}

fastrak_api::text_enum! {
    /// The outcome of a repair.
    pub enum RepairOutcome {
        /// The object was repaired.
        Repaired = "repaired",
        /// Another client changed the object first.
        Superseded = "superseded",
        /// The API server rejected the change or did not respond.
        Failed = "failed",
    }
}

/// The backlog of a running queue. It is reset to 0 when this is dropped.
#[derive(Debug)]
pub struct Backlog(Gauge);

impl RepairMetrics {
    /// Counts a repair.
    pub fn count(&self, subject: Subject, outcome: RepairOutcome) {
        let label = RepairLabel { resource: subject.as_str(), outcome };
        self.repairs.get_or_create(&label).inc();
    }

    /// Returns the backlog of one kind of object.
    #[must_use]
    pub fn backlog(&self, subject: Subject) -> Backlog {
        let label = BacklogLabel { resource: subject.as_str() };
        Backlog(self.backlog.get_or_create_owned(&label))
    }
}

impl Backlog {
    /// Sets the number of queued objects.
    pub fn set(&self, count: usize) {
        self.0.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.0.set(0);
    }
}
