//! How long a volume has been in the trash. Pure. It does not decide what becomes of it.
//!
//! Time is counted, not compared: what a clock says is believed for a part of a volume's time only, so
//! that one that was set wrong, or that jumps, costs nobody his data at once.

use serde::{Deserialize, Serialize};

/// The time that a volume has spent in the trash, as it is recorded. All in seconds; those of the
/// clock are since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trashed {
    /// When it was put there, for people who read it.
    pub since: i64,
    /// The time that was counted so far.
    pub spent: u64,
    /// Up to when.
    pub counted: i64,
}

/// Between two looks at the trash lies less.
const LOOKS: u64 = 120;
/// A stretch during which nobody looked counts for at most this part of a volume's time...
const LONGEST: u64 = 4;
/// ...and so is written down when it has become half of that.
const WRITTEN: u64 = 2 * LONGEST;

impl Trashed {
    /// A volume that is put there now.
    #[must_use]
    pub const fn begin(now: i64) -> Self {
        Self { since: now, spent: 0, counted: now }
    }

    /// The time spent by now, for a volume that may spend `ttl` seconds.
    #[must_use]
    pub fn spent(&self, now: i64, ttl: u64) -> u64 {
        let gap = u64::try_from(now.saturating_sub(self.counted)).unwrap_or(0);
        self.spent.saturating_add(gap.min((ttl / LONGEST).max(LOOKS)))
    }

    /// What is to be recorded, if that is due.
    #[must_use]
    pub fn due(&self, now: i64, ttl: u64) -> Option<Self> {
        let gap = now.saturating_sub(self.counted);
        let long = u64::try_from(gap).is_ok_and(|gap| gap >= (ttl / WRITTEN).max(LOOKS / 2));
        // A clock that was set back counts on from where it is.
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

    /// Looks every minute, as the agent does, and records what is due.
    fn look_on(mut trashed: Trashed, from: i64, minutes: i64, ttl: u64) -> (Trashed, u64) {
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
    fn an_agent_that_looks_on_counts_all_of_the_time_and_writes_little() {
        for ttl in [90, 600, DAY, 7 * DAY] {
            let minutes = i64::try_from(ttl / 60).unwrap();
            let (trashed, records) = look_on(Trashed::begin(NOW), NOW, minutes, ttl);
            assert_eq!(trashed.spent(NOW + 60 * minutes, ttl), ttl / 60 * 60);
            assert!(records <= 10, "{records}");
            assert!(trashed.spent(NOW + 60 * (minutes + 1), ttl) >= ttl);
        }
    }

    #[test]
    fn no_step_of_the_clock_ends_a_volumes_time_at_once() {
        for wrong in [-NOW, -3600, 3600, 10 * 365 * 24 * 3600, i64::MAX] {
            let trashed = Trashed::begin(NOW);
            let at = NOW.saturating_add(wrong);
            assert!(trashed.spent(at, DAY) <= DAY / 4, "{wrong}");
            // It is recorded by the wrong clock, and counted on when that is put right.
            let trashed = trashed.due(at, DAY).unwrap_or(trashed);
            assert!(trashed.spent(NOW, DAY) <= DAY / 2, "{wrong}");
            let (trashed, _) = look_on(trashed, NOW, 24 * 60, DAY);
            assert!(trashed.spent(NOW + 86_400, DAY) >= DAY, "{wrong}: {trashed:?}");
        }
    }

    proptest! {
        #[test]
        fn no_record_makes_it_panic(since: i64, spent: u64, counted: i64, now: i64, ttl: u64) {
            let trashed = Trashed { since, spent, counted };
            let _answers = (trashed.spent(now, ttl), trashed.due(now, ttl));
        }
    }
}
