//! The metrics of repairs.

use crate::metrics::Labels;
use fastrak_admission::review::Subject;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

crate::metrics::metric_table! {
    /// The metrics of repairs.
    pub struct RepairMetrics {
        repairs: Family<Labels<2>, Counter>, "repairs", "Repairs, by outcome";
        backlog: Family<Labels<1>, Gauge>, "repair_backlog",
            "Objects that are queued for a repair";
    }
}

fastrak_api::text_enum! {
    /// The outcome of a repair.
    pub enum RepairOutcome {
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
    pub fn count(&self, subject: Subject, outcome: RepairOutcome) {
        let labels = [("resource", subject.as_str()), ("outcome", outcome.as_str())];
        self.repairs.get_or_create(&labels).inc();
    }

    /// Returns the backlog of one kind of object.
    #[must_use]
    pub fn backlog(&self, subject: Subject) -> Backlog {
        Backlog(self.backlog.get_or_create_owned(&[("resource", subject.as_str())]))
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
