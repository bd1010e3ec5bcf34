//! The metrics of the rotation.

use super::state::Phase;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The metrics of the rotation. Clones share the values.
#[derive(Clone, Debug, Default)]
pub struct RotationMetrics {
    /// The expiry time of the served certificate.
    pub certificate_expiry: Gauge,
    /// The expiry time of the current CA.
    pub ca_expiry: Gauge,
    /// Whether `caBundle` is as it should be.
    pub bundle_match: Gauge,
    /// The phase of the rotation.
    pub phase: Family<PhaseLabel, Gauge>,
    /// The number of failures, by cause.
    pub failures: Family<CauseLabel, Counter>,
    /// The number of certificates that this replica has created.
    pub issued: Family<KindLabel, Counter>,
}

/// The label of a phase.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PhaseLabel {
    /// The phase.
    pub phase: Phase,
}

/// The label of a failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CauseLabel {
    /// The cause.
    pub cause: Cause,
}

/// The label of a created certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// The kind.
    pub kind: Kind,
}

fastrak_api::text_enum! {
    /// The cause of a failure.
    pub enum Cause {
        /// There is no webhook configuration.
        NoConfiguration = "unregistered",
        /// The webhook configuration could not be read.
        ReadConfiguration = "read_configuration",
        /// The bundle could not be published.
        Publish = "publish",
        /// The Secret could not be read.
        ReadSecret = "read_secret",
        /// The Secret could not be written.
        WriteSecret = "write_secret",
        /// A certificate could not be created.
        Make = "make",
        /// A certificate could not be served.
        Serve = "serve",
        /// Other clients keep changing the objects.
        Contention = "contention",
        /// The mounted certificate is not usable.
        Mounted = "mounted",
    }
}

fastrak_api::text_enum! {
    /// The kind of a certificate.
    pub enum Kind {
        /// A CA certificate.
        Ca = "ca",
        /// A serving certificate.
        Leaf = "leaf",
    }
}

impl RotationMetrics {
    /// Registers the metrics.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "Time at which the served certificate expires",
            this.certificate_expiry.clone(),
        );
        registry.register(
            "ca_expiry_timestamp_seconds",
            "Time at which the current CA expires",
            this.ca_expiry.clone(),
        );
        registry.register(
            "bundle_match",
            "Whether caBundle is as it should be",
            this.bundle_match.clone(),
        );
        registry.register(
            "rotation_phase",
            "Phase of the certificate rotation",
            this.phase.clone(),
        );
        registry.register(
            "rotation_failures",
            "Failures of the certificate rotation, by cause",
            this.failures.clone(),
        );
        registry.register(
            "certificates_issued",
            "Certificates that this replica has created",
            this.issued.clone(),
        );
        this
    }

    /// Shows the phase.
    pub fn show(&self, now: Phase) {
        for phase in Phase::ALL {
            self.phase.get_or_create(&PhaseLabel { phase }).set(i64::from(phase == now));
        }
    }

    /// Counts a failure.
    pub fn fail(&self, cause: Cause) {
        self.failures.get_or_create(&CauseLabel { cause }).inc();
    }

    /// Counts a created certificate.
    pub fn issue(&self, kind: Kind) {
        self.issued.get_or_create(&KindLabel { kind }).inc();
    }
}
