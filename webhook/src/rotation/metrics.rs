//! The metrics of the rotation.

use super::state::Phase;
use crate::metrics::Labels;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

crate::metrics::metric_table! {
    /// The metrics of the rotation.
    pub struct RotationMetrics {
        certificate_expiry: Gauge, "certificate_expiry_timestamp_seconds",
            "Time at which the served certificate expires";
        ca_expiry: Gauge, "ca_expiry_timestamp_seconds", "Time at which the current CA expires";
        bundle_match: Gauge, "bundle_match",
            "Whether caBundle equals the bundle that this replica expects (1) or not (0)";
        phase: Family<Labels<1>, Gauge>, "rotation_phase", "Phase of the certificate rotation";
        failures: Family<Labels<1>, Counter>, "rotation_failures",
            "Failures of the certificate rotation, by cause";
        issued: Family<Labels<1>, Counter>, "certificates_issued",
            "Certificates that this replica has created";
    }
}

fastrak_api::text_enum! {
    /// The cause of a failure.
    pub enum Cause {
        NoConfiguration = "no_configuration",
        ReadConfiguration = "read_configuration",
        Publish = "publish",
        ReadSecret = "read_secret",
        WriteSecret = "write_secret",
        Make = "make",
        Serve = "serve",
        /// Other clients keep changing the objects.
        Contention = "contention",
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
    pub fn show(&self, now: Phase) {
        for phase in Phase::ALL {
            self.phase.get_or_create(&[("phase", phase.as_str())]).set(i64::from(phase == now));
        }
    }

    pub fn fail(&self, cause: Cause) {
        self.failures.get_or_create(&[("cause", cause.as_str())]).inc();
    }

    pub fn issue(&self, kind: Kind) {
        self.issued.get_or_create(&[("kind", kind.as_str())]).inc();
    }
}
