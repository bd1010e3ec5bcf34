//! Since when this replica has seen each authority to be trusted, without a break. It is measured
//! by a clock that nobody can set, and may be forgotten at any time: a replica that restarts waits
//! again.

use super::state::Id;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Since when each authority is trusted.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    since: BTreeMap<Id, Instant>,
}

impl Seen {
    /// Remembers who is trusted now; for how long each of them has been.
    pub fn see(&mut self, trusted: &BTreeSet<Id>, now: Instant) -> Vec<(Id, Duration)> {
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
    fn who_was_away_for_a_moment_begins_anew() {
        let (start, mut seen) = (Instant::now(), Seen::default());
        let (one, two) = (Id([1; 32]), Id([2; 32]));
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut see = |ids: &[Id], seconds| seen.see(&ids.iter().copied().collect(), at(seconds));
        assert_eq!(see(&[one], 0), [(one, Duration::ZERO)]);
        let both = see(&[one, two], 5);
        assert_eq!(both, [(one, Duration::from_secs(5)), (two, Duration::ZERO)]);
        assert_eq!(see(&[two], 7), [(two, Duration::from_secs(2))]);
        let again = see(&[one, two], 9);
        assert_eq!(again, [(one, Duration::ZERO), (two, Duration::from_secs(4))]);
    }
}
