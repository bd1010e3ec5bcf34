//! The delay until the next reconciliation. Pure.

use fastrak_runtime::retry;
use std::time::Duration;

/// Why a reconciliation is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backoff {
    /// An operation has failed that may succeed later.
    Failed,
    /// A resource is in use and will be free soon.
    Busy,
    /// The request cannot be fulfilled at present. A watch reports most changes; the retry covers
    /// others.
    Refused,
}

impl Backoff {
    /// Returns the delay after `times` consecutive results of this kind, at least one.
    pub(crate) fn delay(self, times: u32) -> Duration {
        let (first, longest) = self.limits();
        retry::delay(times, first, longest)
    }

    /// Returns the first and the longest delay.
    pub(crate) const fn limits(self) -> (Duration, Duration) {
        match self {
            Self::Failed => (Duration::from_millis(250), Duration::from_secs(60)),
            Self::Busy => (Duration::from_secs(2), Duration::from_secs(10)),
            Self::Refused => (Duration::from_secs(60), Duration::from_secs(300)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_limit() {
        for (backoff, millis) in [
            (Backoff::Failed, [250, 500, 60_000]),
            (Backoff::Busy, [2_000, 4_000, 10_000]),
            (Backoff::Refused, [60_000, 120_000, 300_000]),
        ] {
            let delays = [1, 2, u32::MAX].map(|times| backoff.delay(times).as_millis());
            assert_eq!(delays, millis, "{backoff:?}");
        }
    }
}
