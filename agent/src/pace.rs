//! How long to wait before the next look at something. Pure.

use std::time::Duration;

/// Why a look has to be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Something failed that may work the next time.
    Failed,
    /// Something is in use and will not be for long.
    Busy,
    /// Something cannot be done as things are. A change is seen by a watch; this is in case of a
    /// change that none shows.
    Refused,
}

impl Pace {
    /// The wait before the look that follows `times` looks of this kind, at least one.
    #[must_use]
    pub fn delay(self, times: u32) -> Duration {
        let (first, longest) = match self {
            Self::Failed => (Duration::from_millis(250), Duration::from_secs(60)),
            Self::Busy => (Duration::from_secs(2), Duration::from_secs(10)),
            Self::Refused => (Duration::from_secs(60), Duration::from_secs(300)),
        };
        let doublings = times.saturating_sub(1).min(16);
        first.saturating_mul(1 << doublings).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_never_end() {
        for (pace, millis) in [
            (Pace::Failed, [250, 500, 60_000]),
            (Pace::Busy, [2_000, 4_000, 10_000]),
            (Pace::Refused, [60_000, 120_000, 300_000]),
        ] {
            let delays = [1, 2, u32::MAX].map(|times| pace.delay(times).as_millis());
            assert_eq!(delays, millis, "{pace:?}");
        }
    }
}
