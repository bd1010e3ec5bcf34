//! The metrics of probes.

use super::cause::Cause;
use crate::metrics::Labels;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

crate::metrics::metric_table! {
    /// The metrics of probes.
    pub struct ProbeMetrics {
        /// Absent on a replica that does not probe.
        success: Family<Labels<0>, Gauge>, "probe_success",
            "Whether the API server reaches the webhook; only the leader probes";
        failures: Family<Labels<1>, Counter>, "probe_failures", "Failed probes, by cause";
    }
}

impl ProbeMetrics {
    /// Shows whether the API server reaches the webhook.
    pub fn show(&self, is_reached: bool) {
        self.success.get_or_create(&[]).set(i64::from(is_reached));
    }

    pub fn count_failure(&self, cause: Cause) {
        self.failures.get_or_create(&[("cause", cause.as_str())]).inc();
    }
}
