//! The claims whose label was restored lately. Pure: `now` is passed in.
//!
//! A client that removes the label each time would otherwise be answered each time, for ever: each
//! restoration of the same claim waits twice as long as the one before.

use super::kind::Key;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The time between the first restoration of a claim and the second.
const FIRST: Duration = Duration::from_secs(30);
/// The longest time between two.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// After this time without one, a claim is forgotten.
const QUIET: Duration = Duration::from_secs(2 * 60 * 60);

/// How often each claim was restored, and when last.
#[derive(Debug, Default)]
pub(super) struct Restorations(BTreeMap<Key, (u32, Instant)>);

impl Restorations {
    /// Returns when a claim may be restored again; none if it was not restored lately.
    pub(super) fn not_before(&self, key: &Key) -> Option<Instant> {
        let (times, last) = self.0.get(key)?;
        let doubled = FIRST.saturating_mul(1 << times.saturating_sub(1).min(16));
        Some(*last + doubled.min(LONGEST))
    }

    /// Records that a claim was restored at `now`.
    pub(super) fn add(&mut self, key: &Key, now: Instant) {
        self.0.retain(|_, (_, last)| now < *last + QUIET);
        let (times, last) = self.0.entry(key.clone()).or_insert((0, now));
        *times = times.saturating_add(1);
        *last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_restoration_of_a_claim_waits_twice_as_long_until_it_was_quiet() {
        let key = |name: &str| ("shop".to_owned(), name.to_owned());
        let (mut restored, start) = (Restorations::default(), Instant::now());
        assert_eq!(restored.not_before(&key("a")), None);
        for pause in [30, 60, 120, 240] {
            restored.add(&key("a"), start);
            let again = start + Duration::from_secs(pause);
            assert_eq!(restored.not_before(&key("a")), Some(again));
        }
        assert_eq!(restored.not_before(&key("b")), None, "others do not wait");
        for _ in 0..40 {
            restored.add(&key("a"), start);
        }
        assert_eq!(restored.not_before(&key("a")), Some(start + LONGEST));
        restored.add(&key("b"), start + QUIET);
        assert_eq!(restored.not_before(&key("a")), None, "it was quiet and is forgotten");
    }
}
