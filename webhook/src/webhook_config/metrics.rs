//! The metrics of the webhook configuration.

use super::plan::{Drift, Field};
use crate::metrics::Labels;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use std::collections::BTreeSet;

crate::metrics::metric_table! {
    /// The metrics of the webhook configuration.
    pub struct DriftMetrics {
        drift: Family<Labels<1>, Gauge>, "configuration_drift",
            "Whether a field of the webhook configuration differs from the shipped one";
    }
}

impl DriftMetrics {
    /// Shows which fields differ.
    pub fn show(&self, drift: &BTreeSet<Drift>) {
        for field in Field::ALL {
            let is_drifted = drift.iter().any(|drift| drift.field == field);
            let gauge = self.drift.get_or_create_owned(&[("field", field.as_str())]);
            gauge.set(i64::from(is_drifted));
        }
    }
}
