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

/// Why a Service was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// It has no cluster address to forward to.
    Headless,
    /// It names a load balancer class.
    ForeignClass,
    /// Another load balancer has given it an address.
    ForeignAddress,
    /// It has annotations, labels or finalizers of another load balancer.
    ForeignMark,
    /// Its user has set the annotations of the inlets operator.
    UserManaged,
    /// It names a mode that this version does not have.
    UnsupportedMode,
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
            Self::Skipped(reason) => write!(f, "{SKIPPED}{}", reason.as_str()),
        }
    }
}

impl SkipReason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Headless,
        Self::ForeignClass,
        Self::ForeignAddress,
        Self::ForeignMark,
        Self::UserManaged,
        Self::UnsupportedMode,
    ];

    /// Returns the reason in its recorded form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Headless => "headless",
            Self::ForeignClass => "foreign-class",
            Self::ForeignAddress => "foreign-address",
            Self::ForeignMark => "foreign-mark",
            Self::UserManaged => "user-managed",
            Self::UnsupportedMode => "unsupported-mode",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}
