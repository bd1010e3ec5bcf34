//! The scrape counter of the metrics port.

use super::access::Denied;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// The number of scrapes of the metrics port, by outcome. The program chooses the metric name.
pub type ScrapeMetrics = Family<[(&'static str, &'static str); 1], Counter>;

/// Returns the outcome of a scrape.
pub(super) const fn outcome(checked: &Result<(), Denied>) -> &'static str {
    match checked {
        Ok(()) => "allowed",
        Err(Denied::NoToken | Denied::Unauthenticated) => "unauthenticated",
        Err(Denied::Forbidden { .. }) => "forbidden",
        Err(Denied::MayNotReview(_) | Denied::Unavailable(_) | Denied::Late) => "undecided",
    }
}
