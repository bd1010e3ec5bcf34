//! For how long this replica has seen each CA in `caBundle` without interruption. It is measured by
//! the monotonic clock and not stored: a replica that restarts waits again.

use super::state::Id;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The time since which each CA is trusted.
#[derive(Clone, Debug, Default)]
pub(super) struct TrustTimes {
    since: BTreeMap<Id, Instant>,
}

impl TrustTimes {
    /// Updates the trusted CAs. Returns for how long each has been trusted.
    pub(super) fn update(&mut self, trusted: &BTreeSet<Id>, now: Instant) -> Vec<(Id, Duration)> {
        self.since.retain(|id, _| trusted.contains(id));
        for id in trusted {
            self.since.entry(*id).or_insert(now);
        }
        let each = self.since.iter();
        each.map(|(id, since)| (*id, now.saturating_duration_since(*since))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_that_was_removed_for_a_moment_starts_at_zero() {
        let (start, mut trust_times) = (Instant::now(), TrustTimes::default());
        let (one, two) = (Id([1; 32]), Id([2; 32]));
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut update =
            |ids: &[Id], seconds| trust_times.update(&ids.iter().copied().collect(), at(seconds));
        assert_eq!(update(&[one], 0), [(one, Duration::ZERO)]);
        let both = update(&[one, two], 5);
        assert_eq!(both, [(one, Duration::from_secs(5)), (two, Duration::ZERO)]);
        assert_eq!(update(&[two], 7), [(two, Duration::from_secs(2))]);
        let again = update(&[one, two], 9);
        assert_eq!(again, [(one, Duration::ZERO), (two, Duration::from_secs(4))]);
    }
}
