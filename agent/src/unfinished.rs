//! The state of keys whose reconciliation is not complete: since when, how often it was attempted,
//! and what was reported.

use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::repeats::LastReport;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The result of a reconciliation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing to do until something changes.
    Done,
    /// Reconcile again with a backoff.
    Requeue(Backoff),
    /// The directory seems to be an orphan: reconcile again after this time.
    RequeueOrphan(Duration),
}

/// The keys whose reconciliation is not complete.
#[derive(Debug)]
pub struct Unfinished<K> {
    keys: Mutex<HashMap<K, State>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct State {
    since: Instant,
    orphan_since: Option<Instant>,
    attempts: Option<(Backoff, u32)>,
    reported: LastReport<String>,
}

impl<K: Clone + Eq + Hash> Unfinished<K> {
    /// Creates an empty state that measures time by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { keys: Mutex::default(), clock }
    }

    /// Returns the time since the first incomplete reconciliation, or zero if there was none.
    pub(crate) fn waited(&self, key: &K) -> Duration {
        self.keys.lock().get(key).map(|state| self.elapsed(state.since)).unwrap_or_default()
    }

    /// Returns whether a reconciliation of `key` was incomplete.
    pub(crate) fn contains(&self, key: &K) -> bool {
        self.keys.lock().contains_key(key)
    }

    /// Returns the time since the key was first found to be an orphan, or `None` if it was not.
    /// Work while it had an owner does not count.
    #[must_use]
    pub fn orphan_since(&self, key: &K) -> Option<Duration> {
        self.keys.lock().get(key)?.orphan_since.map(|since| self.elapsed(since))
    }

    /// Returns whether to report `text` about this key, or whether it was reported recently.
    pub(crate) fn should_report(&self, key: &K, text: &str) -> bool {
        let (mut keys, now) = (self.keys.lock(), self.clock.instant());
        let state = keys.entry(key.clone()).or_insert_with(|| State::new(now));
        state.reported.is_due(text.to_owned(), now)
    }

    /// Records the outcome. Returns the delay until the next reconciliation, if there is one.
    pub(crate) fn settle(&self, key: &K, outcome: Outcome) -> Option<Duration> {
        let (mut keys, now) = (self.keys.lock(), self.clock.instant());
        if outcome == Outcome::Done {
            keys.remove(key);
            return None;
        }
        let state = keys.entry(key.clone()).or_insert_with(|| State::new(now));
        match outcome {
            Outcome::Done => None,
            Outcome::RequeueOrphan(delay) => {
                state.orphan_since.get_or_insert(now);
                Some(delay)
            }
            Outcome::Requeue(backoff) => {
                let number = match state.attempts {
                    Some((last, number)) if last == backoff => number.saturating_add(1),
                    _ => 1,
                };
                state.attempts = Some((backoff, number));
                Some(backoff.delay(number))
            }
        }
    }

    fn elapsed(&self, since: Instant) -> Duration {
        self.clock.instant().saturating_duration_since(since)
    }
}

impl State {
    fn new(now: Instant) -> Self {
        Self { since: now, orphan_since: None, attempts: None, reported: LastReport::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn unfinished_work_is_retried_with_a_backoff_and_forgotten_when_done() {
        let unfinished = Unfinished::new(Arc::new(SystemClock));
        assert!(!unfinished.contains(&1));
        let again = Outcome::Requeue(Backoff::Refused);
        assert_eq!(unfinished.settle(&1, again), Some(Duration::from_secs(60)));
        assert_eq!(unfinished.settle(&1, again), Some(Duration::from_secs(120)));
        let busy = Outcome::Requeue(Backoff::Busy);
        assert_eq!(unfinished.settle(&1, busy), Some(Duration::from_secs(2)));
        assert!(unfinished.contains(&1) && !unfinished.contains(&2));
        assert_eq!(unfinished.settle(&1, Outcome::Done), None);
        assert!(!unfinished.contains(&1));
        assert_eq!(unfinished.waited(&1), Duration::ZERO);
    }

    #[test]
    fn only_the_time_without_an_owner_counts_as_orphaned() {
        let unfinished = Unfinished::new(Arc::new(SystemClock));
        let _delay = unfinished.settle(&1, Outcome::Requeue(Backoff::Refused));
        assert_eq!(unfinished.orphan_since(&1), None);
        let _delay = unfinished.settle(&1, Outcome::RequeueOrphan(Duration::from_secs(1)));
        assert!(unfinished.orphan_since(&1).is_some());
        let _delay = unfinished.settle(&1, Outcome::Done);
        assert_eq!(unfinished.orphan_since(&1), None);
    }

    #[test]
    fn a_message_that_was_reported_is_due_again_once_the_work_was_done() {
        let unfinished = Unfinished::new(Arc::new(SystemClock));
        assert!(unfinished.should_report(&1, "no") && !unfinished.should_report(&1, "no"));
        let _delay = unfinished.settle(&1, Outcome::Done);
        assert!(unfinished.should_report(&1, "no"));
    }
}
