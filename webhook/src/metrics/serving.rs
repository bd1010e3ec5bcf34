//! What the server counts: connections, handshakes, and reviews on their way.

use fastrak_runtime::admin::ScrapeMetrics;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use std::fmt;

/// What the server counts.
#[derive(Clone, Debug, Default)]
pub struct Serving {
    /// Reviews from their header to their answer.
    pub reviews_in_flight: Gauge,
    /// Reviews that were let through because there was no time for them.
    pub reviews_shed: Counter,
    /// Connections that are open.
    pub connections: Gauge,
    /// Established connections that were evicted for new ones.
    pub connections_evicted: Counter,
    /// Handshakes that came to nothing.
    pub handshake_failures: Family<HandshakeLabel, Counter>,
    /// Clients by the certificate that they showed.
    pub client_certificates: Family<ClientLabel, Counter>,
    /// Scrapes of the metrics port.
    pub scrapes: ScrapeMetrics,
}

/// The label of a handshake that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HandshakeLabel {
    /// Why.
    pub cause: HandshakeFailure,
}

/// The label of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClientLabel {
    /// What it showed.
    pub outcome: ClientCertificate,
}

/// Why a handshake came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeFailure {
    /// It took too long.
    Timeout,
    /// It had to go for a newer one.
    Evicted,
    /// There is no certificate to show yet.
    NoCertificate,
    /// The client has none that is trusted.
    ClientCertificate,
    /// The client refuses: most often it does not trust the certificate that it was shown.
    Alert,
    /// What was sent is not TLS, or not one that is spoken.
    Protocol,
    /// The connection broke.
    Io,
}

/// What a client showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientCertificate {
    /// Nothing.
    None,
    /// A certificate that is trusted.
    Trusted,
    /// Another one.
    Untrusted,
}

impl Serving {
    /// Counts a handshake that came to nothing.
    pub fn count_failure(&self, cause: HandshakeFailure) {
        self.handshake_failures.get_or_create(&HandshakeLabel { cause }).inc();
    }

    /// Counts a client.
    pub fn count_client(&self, outcome: ClientCertificate) {
        self.client_certificates.get_or_create(&ClientLabel { outcome }).inc();
    }
}

impl EncodeLabelValue for HandshakeFailure {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let text = match self {
            Self::Timeout => "timeout",
            Self::Evicted => "evicted",
            Self::NoCertificate => "no_certificate",
            Self::ClientCertificate => "client_certificate",
            Self::Alert => "alert",
            Self::Protocol => "protocol",
            Self::Io => "io",
        };
        text.encode(encoder)
    }
}

impl EncodeLabelValue for ClientCertificate {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let text = match self {
            Self::None => "none",
            Self::Trusted => "trusted",
            Self::Untrusted => "untrusted",
        };
        text.encode(encoder)
    }
}
