//! What is measured of the certificates, and the labels of it. It is filled by `controller.rs` and
//! `mounted.rs`.

use super::state::Phase;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::fmt;

/// Everything that is measured of the certificates.
#[derive(Clone, Debug, Default)]
pub struct RotationMetrics {
    /// When the certificate that is served ends.
    pub certificate_expiry: Gauge,
    /// When the authority that signs ends.
    pub authority_expiry: Gauge,
    /// Whether the registration has the bundle that it should.
    pub bundle_match: Gauge,
    /// How far a rotation is.
    pub phase: Family<PhaseLabel, Gauge>,
    /// Turns that came to nothing.
    pub failures: Family<CauseLabel, Counter>,
    /// Certificates that this replica has made.
    pub issued: Family<KindLabel, Counter>,
}

/// The label of a phase.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PhaseLabel {
    /// Which.
    pub phase: Phase,
}

/// The label of a failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CauseLabel {
    /// What failed.
    pub cause: Cause,
}

/// The label of a certificate that was made.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// What it is.
    pub kind: Kind,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// There is no registration of ours.
    Unregistered,
    /// The registration could not be read.
    ReadRegistration,
    /// The bundle could not be published.
    Publish,
    /// The Secret could not be read.
    ReadSecret,
    /// The Secret could not be written.
    WriteSecret,
    /// A certificate could not be made.
    Make,
    /// A certificate could not be served.
    Serve,
    /// Others change everything all the time.
    Contention,
    /// The operator's own certificate cannot be used.
    Mounted,
}

/// What kind a certificate is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An authority.
    Authority,
    /// One that is served.
    Leaf,
}

impl RotationMetrics {
    /// Registers the metrics.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When the served certificate ends",
            this.certificate_expiry.clone(),
        );
        registry.register(
            "ca_expiry_timestamp_seconds",
            "When the authority that signs ends",
            this.authority_expiry.clone(),
        );
        registry.register(
            "bundle_match",
            "Whether the registration has the bundle that it should have",
            this.bundle_match.clone(),
        );
        registry.register("rotation_phase", "How far a rotation is", this.phase.clone());
        registry.register(
            "rotation_failures",
            "Looks at the certificates that came to nothing",
            this.failures.clone(),
        );
        registry.register(
            "certificates_issued",
            "Certificates that this replica has made",
            this.issued.clone(),
        );
        this
    }

    /// Shows how far a rotation is.
    pub fn show(&self, now: Phase) {
        for phase in Phase::ALL {
            self.phase.get_or_create(&PhaseLabel { phase }).set(i64::from(phase == now));
        }
    }

    /// Counts a failure.
    pub fn fail(&self, cause: Cause) {
        self.failures.get_or_create(&CauseLabel { cause }).inc();
    }

    /// Counts a certificate that was made.
    pub fn issue(&self, kind: Kind) {
        self.issued.get_or_create(&KindLabel { kind }).inc();
    }
}

impl EncodeLabelValue for Phase {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let text = match self {
            Self::Missing => "missing",
            Self::Publishing => "publishing",
            Self::Settling => "settling",
            Self::Overlapping => "overlapping",
            Self::Settled => "settled",
            Self::Mounted => "mounted",
        };
        text.encode(encoder)
    }
}

impl EncodeLabelValue for Cause {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let text = match self {
            Self::Unregistered => "unregistered",
            Self::ReadRegistration => "read-registration",
            Self::Publish => "publish",
            Self::ReadSecret => "read-secret",
            Self::WriteSecret => "write-secret",
            Self::Make => "make",
            Self::Serve => "serve",
            Self::Contention => "contention",
            Self::Mounted => "mounted",
        };
        text.encode(encoder)
    }
}

impl EncodeLabelValue for Kind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let text = match self {
            Self::Authority => "ca",
            Self::Leaf => "leaf",
        };
        text.encode(encoder)
    }
}
