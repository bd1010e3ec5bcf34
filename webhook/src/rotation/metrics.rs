//! The metrics of the rotation.

use super::state::Phase;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

crate::metrics::metric_table! {
    /// The metrics of the rotation.
    pub struct RotationMetrics {
        certificate_expiry: Gauge, "certificate_expiry_timestamp_seconds",
            "Time at which the served certificate expires";
        ca_expiry: Gauge, "ca_expiry_timestamp_seconds", "Time at which the current CA expires";
        bundle_match: Gauge, "bundle_match", "Whether caBundle is as it should be";
        phase: Family<PhaseLabel, Gauge>, "rotation_phase", "Phase of the certificate rotation";
        failures: Family<CauseLabel, Counter>, "rotation_failures",
            "Failures of the certificate rotation, by cause";
        issued: Family<KindLabel, Counter>, "certificates_issued",
            "Certificates that this replica has created";
    }
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
        NoConfiguration = "no_configuration",
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
