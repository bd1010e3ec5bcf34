//! The count of scrapes of the metrics port, by what came of them.

use super::access::Denied;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::fmt;

/// Scrapes of the metrics port. The program registers it under a name of its own.
pub type ScrapeMetrics = Family<ScrapeLabel, Counter>;

/// The label of a scrape.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ScrapeLabel {
    /// What came of it.
    pub outcome: Scrape,
}

/// What came of a scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scrape {
    /// It was answered.
    Allowed,
    /// It had no token that the API server accepts.
    Unauthenticated,
    /// Its user may not read the metrics.
    Forbidden,
    /// The API server did not decide.
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
