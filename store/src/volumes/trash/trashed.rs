//! Counts how long a volume has been in the trash. Pure.
//!
//! Time is counted in intervals and not computed from timestamps. Each reading of the clock counts
//! for a fraction of the retention only, so a wrong or jumping clock expires no volume at once.

use serde::{Deserialize, Serialize};

/// The recorded time of a volume in the trash, in seconds. Clock readings are since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Trashed {
    /// When the volume was deleted, for people.
    pub(crate) since: i64,
    /// The time counted so far.
    pub(crate) spent: u64,
    /// The clock reading of the latest count.
    pub(crate) counted: i64,
}

/// The upper bound of the interval between two reviews.
const REVIEW_INTERVAL: u64 = 120;
/// An interval without a review counts for at most this fraction of the retention...
const MAX_FRACTION: u64 = 4;
/// ...and is recorded once it reaches half of that.
const RECORD_FRACTION: u64 = 2 * MAX_FRACTION;

impl Trashed {
    /// Starts the count.
    pub(crate) const fn begin(now: i64) -> Self {
        Self { since: now, spent: 0, counted: now }
    }

    /// Returns the time counted up to now, for a retention of `ttl` seconds.
    pub(crate) fn spent(&self, now: i64, ttl: u64) -> u64 {
        let gap = u64::try_from(now.saturating_sub(self.counted)).unwrap_or(0);
        self.spent.saturating_add(gap.min((ttl / MAX_FRACTION).max(REVIEW_INTERVAL)))
    }

    /// Returns the record to write, if one is due.
    pub(crate) fn due(&self, now: i64, ttl: u64) -> Option<Self> {
        let gap = now.saturating_sub(self.counted);
        let long = u64::try_from(gap)
            .is_ok_and(|gap| gap >= (ttl / RECORD_FRACTION).max(REVIEW_INTERVAL / 2));
        // A clock that was set back counts on from its new reading.
        let back = gap < 0;
        (long || back).then(|| Self { spent: self.spent(now, ttl), counted: now, ..*self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: u64 = 24 * 60 * 60;
    const NOW: i64 = 1_800_000_000;

    /// Reviews every minute, as the agent does, and keeps what is due.
    fn review_each_minute(
        mut trashed: Trashed,
        from: i64,
        minutes: i64,
        ttl: u64,
    ) -> (Trashed, u64) {
        let mut records = 0;
        for minute in 1..=minutes {
            if let Some(due) = trashed.due(from + 60 * minute, ttl) {
                trashed = due;
                records += 1;
            }
        }
        (trashed, records)
    }

    #[test]
    fn regular_reviews_count_the_whole_time_with_few_writes() {
        for ttl in [90, 600, DAY, 7 * DAY] {
            let minutes = i64::try_from(ttl / 60).unwrap();
            let (trashed, records) = review_each_minute(Trashed::begin(NOW), NOW, minutes, ttl);
            assert_eq!(trashed.spent(NOW + 60 * minutes, ttl), ttl / 60 * 60);
            assert!(records <= 10, "{records}");
            assert!(trashed.spent(NOW + 60 * (minutes + 1), ttl) >= ttl);
        }
    }

    #[test]
    fn no_clock_step_expires_a_volume_at_once() {
        for wrong in [-NOW, -3600, 3600, 10 * 365 * 24 * 3600, i64::MAX] {
            let trashed = Trashed::begin(NOW);
            let at = NOW.saturating_add(wrong);
            assert!(trashed.spent(at, DAY) <= DAY / 4, "{wrong}");
            // The wrong reading is recorded, and the count continues once the clock is correct.
            let trashed = trashed.due(at, DAY).unwrap_or(trashed);
            assert!(trashed.spent(NOW, DAY) <= DAY / 2, "{wrong}");
            let (trashed, _) = review_each_minute(trashed, NOW, 24 * 60, DAY);
            assert!(trashed.spent(NOW + 86_400, DAY) >= DAY, "{wrong}: {trashed:?}");
        }
    }

    proptest! {
        #[test]
        fn no_record_causes_a_panic(since: i64, spent: u64, counted: i64, now: i64, ttl: u64) {
            let trashed = Trashed { since, spent, counted };
            let _answers = (trashed.spent(now, ttl), trashed.due(now, ttl));
        }
    }
}
