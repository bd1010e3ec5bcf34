//! The only place that reads the wall clock. It does not measure durations: for
//! those, `Instant` is right and needs no door.
#![expect(clippy::disallowed_methods, reason = "the one door to the clock")]

use jiff::Timestamp;
use time::OffsetDateTime;

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
}
