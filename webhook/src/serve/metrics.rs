//! The metrics of the server: reviews, connections, handshakes and client certificates.

use crate::metrics::Labels;
use fastrak_admission::review::{Effect, Subject};
use fastrak_admission::verdict::Reason;
use fastrak_runtime::connections::ConnectionMetrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::time::Instant;

/// The buckets of review durations. A review takes tens of microseconds; one that takes longer than
/// a tenth of a second waited for its body.
const BUCKETS: [f64; 12] =
    [50e-6, 100e-6, 200e-6, 400e-6, 800e-6, 2e-3, 5e-3, 10e-3, 25e-3, 100e-3, 500e-3, 2.0];

type Durations = Family<Labels<1>, Histogram, fn() -> Histogram>;

crate::metrics::metric_table! {
    /// The metrics of the server.
    pub struct ServeMetrics {
        reviews: Family<Labels<3>, Counter>, "reviews", "Reviews, by outcome and reason";
        review_duration: Durations = Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            "review_duration_seconds", "Time from the header of a review to its response";
        reviews_in_flight: Gauge, "reviews_in_flight", "Reviews in progress";
        reviews_shed: Counter, "reviews_shed",
            "Objects admitted unchanged because the deadline of their review had passed";
        connections: Gauge, "connections", "Open connections";
        connections_evicted: Counter, "connections_evicted", "Evicted connections";
        handshake_failures: Family<Labels<1>, Counter>, "handshake_failures",
            "Failed TLS handshakes";
        client_certificates: Family<Labels<1>, Counter>, "client_certificates",
            "TLS handshakes, by the certificate of the client";
    }
}

fastrak_api::text_enum! {
    /// Why a handshake failed.
    pub enum HandshakeFailure {
        /// The handshake timed out.
        Timeout = "timeout",
        /// The connection was evicted for a newer one.
        Evicted = "evicted",
        /// The server has no certificate yet.
        NoCertificate = "no_certificate",
        /// The client has no trusted certificate.
        ClientCertificate = "client_certificate",
        /// The client sent an alert. Usually it does not trust the certificate of the server.
        Alert = "alert",
        /// The client sent something other than TLS, or an unsupported version of it.
        Protocol = "protocol",
        /// The connection was interrupted.
        Io = "io",
    }
}

fastrak_api::text_enum! {
    /// The certificate of a client.
    pub enum ClientCertificate {
        /// The client sent no certificate.
        None = "none",
        /// The certificate is trusted.
        Trusted = "trusted",
        /// The certificate is not trusted.
        Untrusted = "untrusted",
    }
}

/// A review in progress. Its duration is recorded when it is dropped.
#[derive(Debug)]
pub struct ReviewTimer<'a> {
    metrics: &'a ServeMetrics,
    subject: Subject,
    start: Instant,
}

impl ServeMetrics {
    /// Returns the metrics of the connection table.
    #[must_use]
    pub fn of_connections(&self) -> ConnectionMetrics {
        ConnectionMetrics {
            open: self.connections.clone(),
            evicted: self.connections_evicted.clone(),
        }
    }

    /// Counts a review.
    pub fn count_review(&self, subject: Subject, effect: Effect, reason: Reason) {
        let labels = [
            ("resource", subject.as_str()),
            ("outcome", effect.as_str()),
            ("reason", reason.as_str()),
        ];
        self.reviews.get_or_create(&labels).inc();
    }

    /// Starts the timer of a review.
    pub fn start_review(&self, subject: Subject) -> ReviewTimer<'_> {
        self.reviews_in_flight.inc();
        ReviewTimer { metrics: self, subject, start: Instant::now() }
    }

    /// Counts a failed handshake.
    pub fn count_failure(&self, cause: HandshakeFailure) {
        self.handshake_failures.get_or_create(&[("cause", cause.as_str())]).inc();
    }

    /// Counts a client.
    pub fn count_client(&self, outcome: ClientCertificate) {
        self.client_certificates.get_or_create(&[("outcome", outcome.as_str())]).inc();
    }
}

impl ReviewTimer<'_> {
    /// Returns the time at which the review started.
    #[must_use]
    pub const fn start(&self) -> Instant {
        self.start
    }
}

impl Drop for ReviewTimer<'_> {
    fn drop(&mut self) {
        self.metrics.reviews_in_flight.dec();
        let label = [("resource", self.subject.as_str())];
        let seconds = self.start.elapsed().as_secs_f64();
        self.metrics.review_duration.get_or_create(&label).observe(seconds);
    }
}
