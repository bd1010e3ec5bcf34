//! The wall clock. No other module reads it. Durations are measured with `Instant`.
#![expect(clippy::disallowed_methods, reason = "the only module that reads the wall clock")]

use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use time::{Duration, OffsetDateTime};

/// The wall clock of a process, which tests can step. Clones share the offset.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    ahead: Arc<AtomicI64>,
}

impl Clock {
    /// Returns the current time in the type of X.509 libraries.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        let ahead = Duration::seconds(self.ahead.load(Ordering::Relaxed));
        offset_now().saturating_add(ahead)
    }

    /// Steps the clock by a number of seconds.
    pub fn step(&self, seconds: i64) {
        self.ahead.fetch_add(seconds, Ordering::Relaxed);
    }
}

/// Returns the current time.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Returns the current time in the type of X.509 libraries.
#[must_use]
pub fn offset_now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_types_have_the_same_time() {
        let before = now().as_second();
        let between = offset_now().unix_timestamp();
        let after = now().as_second();
        assert!(before <= between && between <= after, "{before} {between} {after}");
    }

    #[test]
    fn a_step_applies_to_every_clone_of_a_clock() {
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
