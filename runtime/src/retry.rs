//! Delays that double with each attempt, per key. Pure: `now` is passed in.

use std::collections::BTreeMap;
use std::ops::Add;
use std::time::{Duration, Instant};

/// Returns the delay after this many consecutive attempts, at least one: `first`, doubled for each
/// further attempt, at most `longest`.
#[must_use]
pub fn delay(attempts: u32, first: Duration, longest: Duration) -> Duration {
    first.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(longest)
}

/// The attempts of each key, and when the next one is due. `I` is the type of instant: that of the
/// standard library or of tokio.
#[derive(Debug)]
pub struct KeyedBackoff<K, I = Instant> {
    first: Duration,
    longest: Duration,
    forget_after: Duration,
    keys: BTreeMap<K, Attempts<I>>,
}

#[derive(Debug)]
struct Attempts<I> {
    number: u32,
    due: I,
}

impl<K: Ord, I: Copy + Ord + Add<Duration, Output = I>> KeyedBackoff<K, I> {
    /// Creates an empty state. Delays double from `first` up to `longest`. A key is forgotten if no
    /// attempt was recorded for `forget_after` since it became due.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration, forget_after: Duration) -> Self {
        Self { first, longest, forget_after, keys: BTreeMap::new() }
    }

    /// Records an attempt at `now`. Returns when the next one is due.
    pub fn record(&mut self, key: K, now: I) -> I {
        self.forget_old(now);
        let known = self.keys.entry(key).or_insert(Attempts { number: 0, due: now });
        known.number = known.number.saturating_add(1);
        known.due = now + delay(known.number, self.first, self.longest);
        known.due
    }

    /// Returns when the next attempt of `key` is due. Returns `None` if no attempt was recorded or
    /// the key is forgotten.
    #[must_use]
    pub fn due(&self, key: &K) -> Option<I> {
        self.keys.get(key).map(|known| known.due)
    }

    /// Returns the keys whose next attempt is not due at `now`.
    pub fn waiting(&self, now: I) -> impl Iterator<Item = &K> {
        self.keys.iter().filter(move |(_, known)| now < known.due).map(|(key, _)| key)
    }

    fn forget_old(&mut self, now: I) {
        let forget_after = self.forget_after;
        self.keys.retain(|_, known| now < known.due + forget_after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(30);
    const MAX: Duration = Duration::from_secs(60 * 60);
    const FORGET_AFTER: Duration = Duration::from_secs(2 * 60 * 60);

    #[test]
    fn delays_double_up_to_a_limit() {
        let delays = [0, 1, 2, 3, u32::MAX].map(|attempts| delay(attempts, FIRST, MAX));
        assert_eq!(delays, [FIRST, FIRST, FIRST * 2, FIRST * 4, MAX]);
    }

    #[test]
    fn each_key_waits_for_its_own_attempts() {
        let (mut backoff, start) = (KeyedBackoff::new(FIRST, MAX, FORGET_AFTER), Instant::now());
        assert_eq!(backoff.due(&"a"), None);
        for factor in [1, 2, 4] {
            assert_eq!(backoff.record("a", start), start + FIRST * factor);
        }
        assert_eq!(backoff.record("b", start), start + FIRST);
        assert_eq!(backoff.waiting(start).collect::<Vec<_>>(), [&"a", &"b"]);
        assert_eq!(backoff.waiting(start + FIRST).collect::<Vec<_>>(), [&"a"]);
        assert_eq!(backoff.due(&"a"), Some(start + FIRST * 4));
    }

    #[test]
    fn a_key_without_attempts_for_a_time_starts_from_the_first_delay() {
        let (mut backoff, start) = (KeyedBackoff::new(FIRST, MAX, FORGET_AFTER), Instant::now());
        backoff.record("a", start);
        let due = backoff.record("a", start);
        let last = due + FORGET_AFTER - Duration::from_secs(1);
        assert_eq!(backoff.record("a", last), last + FIRST * 4);
        let later = last + FIRST * 4 + FORGET_AFTER;
        backoff.record("b", later);
        assert_eq!(backoff.due(&"a"), None);
    }
}
