//! All metrics of the webhook. Each module defines and registers its own. Label values are texts of
//! enums, so no text of a tenant becomes a label.

use crate::allocation::AllocationMetrics;
use crate::probe::metrics::ProbeMetrics;
use crate::repair::metrics::RepairMetrics;
use crate::rotation::metrics::RotationMetrics;
use crate::serve::metrics::ServeMetrics;
use crate::snapshot::metrics::SnapshotMetrics;
use crate::tunnels::TunnelMetrics;
use crate::webhook_config::metrics::DriftMetrics;
use fastrak_runtime::admin::ScrapeMetrics;
use prometheus_client::registry::Registry;

/// The names of labels with their values.
pub type Labels<const N: usize> = [(&'static str, &'static str); N];

/// All metrics of the webhook. Clones share the values.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The metrics of the server.
    pub serving: ServeMetrics,
    /// The metrics of the snapshot.
    pub snapshot: SnapshotMetrics,
    /// The metrics of the certificates.
    pub rotation: RotationMetrics,
    /// The metrics of the webhook configuration.
    pub webhook_config: DriftMetrics,
    /// The metrics of repairs.
    pub repair: RepairMetrics,
    /// The metrics of probes.
    pub probe: ProbeMetrics,
    /// The metrics of addresses.
    pub allocation: AllocationMetrics,
    /// The metrics of Tunnels.
    pub tunnels: TunnelMetrics,
    /// The number of scrapes of the metrics port.
    pub scrapes: ScrapeMetrics,
}

impl Metrics {
    /// Registers all metrics.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("fastrak_webhook");
        let this = Self {
            serving: ServeMetrics::register(registry),
            snapshot: SnapshotMetrics::register(registry),
            rotation: RotationMetrics::register(registry),
            webhook_config: DriftMetrics::register(registry),
            repair: RepairMetrics::register(registry),
            probe: ProbeMetrics::register(registry),
            allocation: AllocationMetrics::register(registry),
            tunnels: TunnelMetrics::register(registry),
            scrapes: ScrapeMetrics::default(),
        };
        registry.register("metrics_scrapes", "Scrapes of the metrics port", this.scrapes.clone());
        this
    }
}

/// Defines the metrics of a module, a row each: the field, the type, a constructor unless it is the
/// default, the name and the help. Clones share the values.
macro_rules! metric_table {
    (
        $(#[$meta:meta])*
        pub struct $struct:ident {
            $($(#[$doc:meta])* $field:ident: $type:ty $(= $new:expr)?, $name:literal, $help:literal;)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $struct {
            $(#[doc = concat!(" ", $help, ".")] $(#[$doc])* pub $field: $type,)+
        }

        impl $struct {
            /// Registers the metrics.
            #[must_use]
            pub fn register(registry: &mut prometheus_client::registry::Registry) -> Self {
                $(let $field: $type = $crate::metrics::metric_table!(@new $type $(, $new)?);
                registry.register($name, $help, <$type>::clone(&$field));)+
                Self { $($field),+ }
            }
        }
    };
    (@new $type:ty) => { <$type>::default() };
    (@new $type:ty, $new:expr) => { $new };
}
pub(crate) use metric_table;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::cause::Cause as ProbeFailure;
    use crate::repair::metrics::RepairOutcome;
    use crate::serve::metrics::{ClientCertificate, HandshakeFailure};
    use fastrak_admission::review::{Effect, Subject};
    use fastrak_admission::verdict::Reason;
    use prometheus_client::encoding::text::encode;

    #[test]
    fn each_metric_has_its_name_and_labels() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.serving.count_review(Subject::Claims, Effect::Patched, Reason::OnlyNode);
        metrics.serving.count_failure(HandshakeFailure::Timeout);
        metrics.serving.count_client(ClientCertificate::Trusted);
        drop(metrics.serving.start_review(Subject::Services));
        metrics.repair.count(Subject::Services, RepairOutcome::Repaired);
        drop(metrics.repair.backlog(Subject::Services));
        metrics.probe.count_failure(ProbeFailure::Dns);
        metrics.probe.show(false);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            r#"fastrak_webhook_reviews_total{resource="persistentvolumeclaims",outcome="patched",reason="only_node"} 1"#,
            r#"fastrak_webhook_repairs_total{resource="services",outcome="repaired"} 1"#,
            r#"fastrak_webhook_repair_backlog{resource="services"} 0"#,
            r#"fastrak_webhook_review_duration_seconds_count{resource="services"} 1"#,
            r#"fastrak_webhook_handshake_failures_total{cause="timeout"} 1"#,
            r#"fastrak_webhook_client_certificates_total{outcome="trusted"} 1"#,
            r#"fastrak_webhook_probe_failures_total{cause="dns"} 1"#,
            "fastrak_webhook_probe_success{} 0",
            "fastrak_webhook_reviews_in_flight 0",
            "fastrak_webhook_reviews_shed_total 0",
            "fastrak_webhook_connections 0",
            "fastrak_webhook_connections_evicted_total 0",
            "fastrak_webhook_default_classes 0",
            "fastrak_webhook_certificate_expiry_timestamp_seconds 0",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in:\n{text}");
        }
    }
}
