//! The metrics of the webhook configuration.

use super::plan::{Drift, Field};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;

/// The metrics of the webhook configuration. Clones share the values.
#[derive(Clone, Debug, Default)]
pub struct DriftMetrics {
    /// Whether a field differs from the shipped one.
    pub drift: Family<DriftLabel, Gauge>,
}

/// The label of a field.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DriftLabel {
    /// The field.
    pub field: Field,
}

impl DriftMetrics {
    /// Registers the metrics.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register(
            "configuration_drift",
            "Whether a field of the webhook configuration differs from the shipped one",
            this.drift.clone(),
        );
        this
    }

    /// Shows which fields differ.
    pub fn show(&self, drift: &BTreeSet<Drift>) {
        for field in Field::ALL {
            let is_drifted = drift.iter().any(|drift| drift.field == field);
            let label = DriftLabel { field };
            self.drift.get_or_create(&label).set(i64::from(is_drifted));
        }
    }
}
