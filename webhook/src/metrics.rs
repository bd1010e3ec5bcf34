//! What the webhook counts and measures. A struct that is passed in; there is no global. Labels are
//! enums, so that no tenant's text can ever become one.

mod agents;
mod backlog;
mod reviews;
mod serving;

pub use self::agents::{AgentLabel, AgentState};
pub use self::backlog::Backlog;
pub use self::reviews::{ReviewLabels, SubjectLabel};
pub use self::serving::{
    ClientCertificate, ClientLabel, HandshakeFailure, HandshakeLabel, Serving,
};

use crate::probe::cause::Cause;
use crate::rotation::metrics::RotationMetrics;
use crate::webhook_config::plan::Field;
use fastrak_admission::review::{Effect, Subject};
use fastrak_admission::verdict::Reason;
use prometheus_client::encoding::{
    EncodeLabelSet, EncodeLabelValue, LabelSetEncoder, LabelValueEncoder,
};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::fmt;
use std::time::Instant;

/// A review takes tens of microseconds; what takes longer than a tenth of a second waits for its
/// body.
const BUCKETS: [f64; 12] =
    [50e-6, 100e-6, 200e-6, 400e-6, 800e-6, 2e-3, 5e-3, 10e-3, 25e-3, 100e-3, 500e-3, 2.0];

/// Everything that is measured.
#[derive(Debug)]
pub struct Metrics {
    /// Reviews by what came of them.
    pub reviews: Family<ReviewLabels, Counter>,
    /// How long each took, from its header to its answer.
    pub review_duration: Family<SubjectLabel, Histogram, fn() -> Histogram>,
    /// What the server does.
    pub serving: Serving,
    /// StorageClasses that are marked as the default.
    pub default_classes: Gauge,
    /// Nodes by the state of their agent; absent while that is not known.
    pub agents: Family<AgentLabel, Gauge>,
    /// What is measured of the certificates.
    pub rotation: RotationMetrics,
    /// What became of what had been missed.
    pub repairs: Family<RepairLabel, Counter>,
    /// What is still to be looked at for a repair.
    pub repair_backlog: Family<SubjectLabel, Gauge>,
    /// What the registration should be and is not.
    pub registration_drift: Family<DriftLabel, Gauge>,
    /// Whether the API server reaches the webhook; absent where nobody asks.
    pub probe_success: Family<Unlabelled, Gauge>,
    /// Probes that failed.
    pub probe_failures: Family<CauseLabel, Counter>,
}

/// The label of a repair.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RepairLabel {
    /// What had been missed.
    pub resource: &'static str,
    /// What came of it.
    pub outcome: RepairOutcome,
}

/// The label of a part of the registration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DriftLabel {
    /// The part.
    pub field: Field,
}

/// No label: for what is one number, and absent at times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unlabelled;

/// The label of a probe that failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CauseLabel {
    /// Why it failed.
    pub cause: Cause,
}

/// What came of a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RepairOutcome {
    /// It was repaired.
    Repaired,
    /// Somebody else changed it first.
    Superseded,
    /// The API server would not have it, or did not answer.
    Failed,
}

/// A review that is being answered; its duration is recorded when it is dropped.
#[derive(Debug)]
pub struct Timed<'a> {
    metrics: &'a Metrics,
    subject: Subject,
    start: Instant,
}

impl Metrics {
    /// All of them, registered.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self {
            reviews: Family::default(),
            review_duration: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            serving: Serving::default(),
            default_classes: Gauge::default(),
            agents: Family::default(),
            rotation: RotationMetrics::default(),
            repairs: Family::default(),
            repair_backlog: Family::default(),
            registration_drift: Family::default(),
            probe_success: Family::default(),
            probe_failures: Family::default(),
        };
        let registry = registry.sub_registry_with_prefix("fastrak_webhook");
        registry.register("reviews", "Reviews by what came of them", this.reviews.clone());
        registry.register(
            "review_duration_seconds",
            "Time from a review's header to its answer",
            this.review_duration.clone(),
        );
        this.register_serving(registry);
        registry.register(
            "default_classes",
            "StorageClasses marked as the default; more than one is a mistake",
            this.default_classes.clone(),
        );
        registry.register("agents", "Nodes by the state of their agent", this.agents.clone());
        this.rotation.register(registry);
        registry.register("repairs", "Objects that had been missed", this.repairs.clone());
        this.register_watches(registry);
        this
    }

    fn register_serving(&self, registry: &mut Registry) {
        let Serving {
            reviews_in_flight,
            reviews_shed,
            connections,
            connections_evicted,
            handshake_failures,
            client_certificates,
            scrapes,
        } = self.serving.clone();
        registry.register(
            "reviews_in_flight",
            "Reviews from their header to their answer",
            reviews_in_flight,
        );
        registry.register("reviews_shed", "Reviews that there was no time for", reviews_shed);
        registry.register("connections", "Open connections", connections);
        registry.register("connections_evicted", "Evicted connections", connections_evicted);
        registry.register(
            "handshake_failures",
            "TLS handshakes that came to nothing, by cause",
            handshake_failures,
        );
        registry.register(
            "client_certificates",
            "Clients by the certificate that they showed",
            client_certificates,
        );
        registry.register("metrics_scrapes", "Scrapes of the metrics port", scrapes);
    }

    fn register_watches(&self, registry: &mut Registry) {
        registry.register(
            "repair_backlog",
            "Objects still to be looked at for a repair",
            self.repair_backlog.clone(),
        );
        registry.register(
            "registration_drift",
            "Whether a part of the registration is not as it should be",
            self.registration_drift.clone(),
        );
        registry.register(
            "probe_success",
            "Whether the API server reaches the webhook; only the leader asks",
            self.probe_success.clone(),
        );
        registry.register("probe_failures", "Probes that failed", self.probe_failures.clone());
    }

    /// Counts a review.
    pub fn count(&self, resource: Subject, outcome: Effect, reason: Reason) {
        self.reviews.get_or_create(&ReviewLabels::new(resource, outcome, reason)).inc();
    }

    /// Counts a repair.
    pub fn count_repair(&self, resource: Subject, outcome: RepairOutcome) {
        self.repairs.get_or_create(&RepairLabel { resource: resource.as_str(), outcome }).inc();
    }

    /// Returns the backlog of one kind of object. It is 0 again once this replica no longer leads.
    #[must_use]
    pub fn backlog(&self, resource: Subject) -> Backlog {
        Backlog { gauge: self.repair_backlog.get_or_create_owned(&SubjectLabel::new(resource)) }
    }

    /// Starts to measure a review.
    pub fn time(&self, subject: Subject) -> Timed<'_> {
        self.serving.reviews_in_flight.inc();
        Timed { metrics: self, subject, start: Instant::now() }
    }
}

impl Timed<'_> {
    /// When the review began.
    #[must_use]
    pub const fn start(&self) -> Instant {
        self.start
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.metrics.serving.reviews_in_flight.dec();
        let label = SubjectLabel::new(self.subject);
        let took = self.start.elapsed().as_secs_f64();
        self.metrics.review_duration.get_or_create(&label).observe(took);
    }
}

impl EncodeLabelSet for Unlabelled {
    fn encode(&self, _encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        Ok(())
    }
}

impl EncodeLabelValue for Field {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

impl EncodeLabelValue for Cause {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

impl EncodeLabelValue for RepairOutcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let text = match self {
            Self::Repaired => "repaired",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
        };
        text.encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    #[test]
    fn what_is_counted_can_be_read_by_its_name() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.count(Subject::Claims, Effect::Patched, Reason::OnlyNode);
        metrics.count_repair(Subject::Services, RepairOutcome::Repaired);
        drop(metrics.backlog(Subject::Services));
        metrics.serving.count_failure(HandshakeFailure::Timeout);
        metrics.serving.count_client(ClientCertificate::Trusted);
        drop(metrics.time(Subject::Services));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            r#"fastrak_webhook_reviews_total{resource="persistentvolumeclaims",outcome="patched",reason="only-node"} 1"#,
            r#"fastrak_webhook_repairs_total{resource="services",outcome="repaired"} 1"#,
            r#"fastrak_webhook_repair_backlog{resource="services"} 0"#,
            r#"fastrak_webhook_review_duration_seconds_count{resource="services"} 1"#,
            r#"fastrak_webhook_handshake_failures_total{cause="timeout"} 1"#,
            r#"fastrak_webhook_client_certificates_total{outcome="trusted"} 1"#,
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
