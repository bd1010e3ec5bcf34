//! The metrics of probes.

use super::cause::Cause;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use std::fmt;

crate::metrics::metric_table! {
    /// The metrics of probes.
    pub struct ProbeMetrics {
        /// Absent on a replica that does not probe.
        success: Family<Unlabelled, Gauge>, "probe_success",
            "Whether the API server reaches the webhook; only the leader probes";
        failures: Family<CauseLabel, Counter>, "probe_failures", "Failed probes, by cause";
    }
}

/// The empty label set of a single value that can be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unlabelled;

/// The label of a failed probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CauseLabel {
    /// The cause.
    pub cause: Cause,
}

impl ProbeMetrics {
    /// Shows whether the API server reaches the webhook.
    pub fn show(&self, is_reached: bool) {
        self.success.get_or_create(&Unlabelled).set(i64::from(is_reached));
    }

    /// Counts a failed probe.
    pub fn count_failure(&self, cause: Cause) {
        self.failures.get_or_create(&CauseLabel { cause }).inc();
    }
}

impl EncodeLabelSet for Unlabelled {
    fn encode(&self, _encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        Ok(())
    }
}
