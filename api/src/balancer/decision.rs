//! The decision about a Service, as it is recorded on the Service.

use super::Mode;
use std::fmt;

/// The decision about a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// A mode serves it.
    Served(Mode),
    /// It was not changed.
    Skipped(SkipReason),
}

crate::text_enum! {
    /// Why a Service was not changed, in its recorded form.
    pub enum SkipReason {
        /// It has no cluster address to forward to.
        Headless = "headless",
        /// It names a load balancer class.
        ForeignClass = "foreign-class",
        /// Another load balancer has given it an address.
        ForeignAddress = "foreign-address",
        /// It has annotations, labels or finalizers of another load balancer.
        ForeignMark = "foreign-mark",
        /// Its user has set the annotations of the inlets operator.
        UserManaged = "user-managed",
        /// It names a mode that is unknown or not installed.
        UnsupportedMode = "unsupported-mode",
    }
}

const SKIPPED: &str = "skipped:";

impl Decision {
    /// Parses the annotation `fastrak.io/balancer-decision`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix(SKIPPED) {
            Some(reason) => SkipReason::parse(reason).map(Self::Skipped),
            None => Mode::parse(text).map(Self::Served),
        }
    }

    /// Returns the mode that serves the Service, if any does.
    #[must_use]
    pub fn mode(self) -> Option<Mode> {
        match self {
            Self::Served(mode) => Some(mode),
            Self::Skipped(_) => None,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Served(mode) => f.write_str(mode.as_str()),
            Self::Skipped(reason) => write!(f, "{SKIPPED}{reason}"),
        }
    }
}
