//! The scrape counter of the metrics port.

use super::access::Denied;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::fmt;

/// The number of scrapes of the metrics port, by outcome. The program chooses the metric name.
pub type ScrapeMetrics = Family<ScrapeLabel, Counter>;

/// The label of a scrape.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ScrapeLabel {
    /// The outcome.
    pub outcome: Scrape,
}

/// The outcome of a scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scrape {
    /// The metrics were returned.
    Allowed,
    /// The request had no valid token.
    Unauthenticated,
    /// The user may not read the metrics.
    Forbidden,
    /// The API server did not review the request.
    Undecided,
}

impl Scrape {
    pub(super) const fn of(checked: &Result<(), Denied>) -> Self {
        match checked {
            Ok(()) => Self::Allowed,
            Err(Denied::NoToken | Denied::Unauthenticated) => Self::Unauthenticated,
            Err(Denied::Forbidden { .. }) => Self::Forbidden,
            Err(Denied::MayNotReview(_) | Denied::Unavailable(_) | Denied::Late) => Self::Undecided,
        }
    }
}

impl EncodeLabelValue for Scrape {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let text = match self {
            Self::Allowed => "allowed",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Undecided => "undecided",
        };
        text.encode(encoder)
    }
}
