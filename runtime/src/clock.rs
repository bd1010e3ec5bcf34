//! The only place that reads the wall clock. It does not measure durations: for
//! those, `Instant` is right and needs no door.
#![expect(clippy::disallowed_methods, reason = "the one door to the clock")]

use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use time::{Duration, OffsetDateTime};

/// The wall clock as one process sees it. Clones are the same clock: whoever steps one steps all.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    ahead: Arc<AtomicI64>,
}

impl Clock {
    /// The time now, in the type that X.509 libraries speak.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        let ahead = Duration::seconds(self.ahead.load(Ordering::Relaxed));
        offset_now().saturating_add(ahead)
    }

    /// Steps the clock by this many seconds, as an administrator or a time server may.
    pub fn step(&self, seconds: i64) {
        self.ahead.fetch_add(seconds, Ordering::Relaxed);
    }
}

/// The time now.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The time now, in the type that X.509 libraries speak.
#[must_use]
pub fn offset_now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_types_tell_the_same_time() {
        let before = now().as_second();
        let between = offset_now().unix_timestamp();
        let after = now().as_second();
        assert!(before <= between && between <= after, "{before} {between} {after}");
    }

    #[test]
    fn a_clock_that_is_stepped_is_stepped_for_all_who_have_it() {
        let clock = Clock::default();
        let other = clock.clone();
        let before = offset_now();
        assert!(other.now() >= before && other.now() < before + Duration::HOUR);
        clock.step(86_400);
        assert!(other.now() >= before + Duration::DAY);
        other.step(-172_800);
        assert!(clock.now() < before);
    }
}
