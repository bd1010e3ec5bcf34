//! The metrics of the webhook configuration.

use super::plan::{Drift, Field};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use std::collections::BTreeSet;

crate::metrics::metric_table! {
    /// The metrics of the webhook configuration.
    pub struct DriftMetrics {
        drift: Family<DriftLabel, Gauge>, "configuration_drift",
            "Whether a field of the webhook configuration differs from the shipped one";
    }
}

/// The label of a field.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DriftLabel {
    /// The field.
    pub field: Field,
}

impl DriftMetrics {
    /// Shows which fields differ.
    pub fn show(&self, drift: &BTreeSet<Drift>) {
        for field in Field::ALL {
            let is_drifted = drift.iter().any(|drift| drift.field == field);
            let label = DriftLabel { field };
            self.drift.get_or_create(&label).set(i64::from(is_drifted));
        }
    }
}
