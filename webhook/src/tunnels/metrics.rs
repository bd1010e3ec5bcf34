//! The metrics of Tunnels.

use crate::metrics::Labels;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

crate::metrics::metric_table! {
    /// The metrics of Tunnels.
    pub struct TunnelMetrics {
        deletions: Family<Labels<1>, Counter>, "tunnel_deletions",
            "Deletions of Tunnels of Services that are no longer of type LoadBalancer, by outcome";
    }
}

fastrak_api::text_enum! {
    /// The outcome of a deletion.
    pub enum TunnelOutcome {
        /// The Tunnel was deleted.
        Deleted = "deleted",
        /// The Tunnel or its Service has changed meanwhile.
        Superseded = "superseded",
        /// The API server rejected a request or did not respond.
        Failed = "failed",
    }
}

impl TunnelMetrics {
    /// Counts a deletion.
    pub(super) fn count(&self, outcome: TunnelOutcome) {
        self.deletions.get_or_create(&[("outcome", outcome.as_str())]).inc();
    }
}
