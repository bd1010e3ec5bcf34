//! Exponential backoff with jitter. Reads no clock.
//!
//! All clients of an API server lose it at the same moment. Without jitter they would reconnect at
//! the same moment too.

use crate::retry;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, RandomState};
use std::time::{Duration, Instant};

/// The first delay of a client that has not reached the server yet. Four attempts fit into two
/// seconds, so a client soon reaches a server that starts at the same time.
const FIRST_BEFORE_CONTACT: Duration = Duration::from_millis(100);
/// The first delay of a client that has reached the server: other clients lost it too.
const FIRST: Duration = Duration::from_secs(1);
/// The longest delay before jitter.
const MAX_DELAY: Duration = Duration::from_secs(30);
/// The time without a failure after which the backoff starts from the first delay again.
const RESET_AFTER: Duration = Duration::from_secs(120);

/// An exponential backoff. Each delay is between 0.5 and 1.5 times its nominal length.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    failures: u32,
    last: Option<Instant>,
    random: u64,
}

impl Backoff {
    /// Returns the backoff of a client that has not reached the server yet.
    #[must_use]
    pub fn new() -> Self {
        // std keys its hashers at random.
        Self::seeded(RandomState::new().hash_one(0))
    }

    fn seeded(seed: u64) -> Self {
        Self { first: FIRST_BEFORE_CONTACT, failures: 0, last: None, random: seed }
    }

    /// Records a response of the server.
    pub fn succeeded(&mut self) {
        self.first = FIRST;
    }

    /// Records a failure at `now` and returns the delay before the next attempt. The delay is at
    /// least `retry_after`, which the server requested.
    pub fn failed(&mut self, now: Instant, retry_after: Option<Duration>) -> Duration {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) > RESET_AFTER) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let nominal = retry::delay(self.failures, self.first, MAX_DELAY);
        let wait = nominal.mul_f64(0.5 + self.fraction()) + retry_after.unwrap_or_default();
        self.last = now.checked_add(wait);
        wait
    }

    /// Returns a random number from 0 to 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        self.random = BuildHasherDefault::<DefaultHasher>::default().hash_one(self.random);
        // A f64 represents 32 bits exactly.
        let bits = u32::try_from(self.random >> 32).unwrap_or_default();
        f64::from(bits) / f64::from(u32::MAX)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand nodes with four watches each.
    const CLIENTS: u64 = 4000;

    /// Returns the times, in milliseconds, of the failed attempts of a client within a minute.
    fn tries(mut backoff: Backoff) -> Vec<u128> {
        let start = Instant::now();
        let (mut now, mut tries) = (start, Vec::new());
        while now < start + Duration::from_secs(60) {
            tries.push((now - start).as_millis());
            now += backoff.failed(now, None);
        }
        tries
    }

    /// The most tries of all clients within any part of `window` milliseconds after `from`.
    fn peak(all: &[Vec<u128>], from: u128, window: u128) -> usize {
        let late = all.iter().flatten().filter(|at| **at >= from);
        let mut parts = std::collections::BTreeMap::new();
        late.for_each(|at| *parts.entry(at / window).or_insert(0) += 1);
        parts.into_values().max().unwrap_or_default()
    }

    #[test]
    fn a_thousand_clients_do_not_overload_a_server_that_is_down() {
        let all: Vec<_> = (0..CLIENTS).map(|seed| tries(Backoff::seeded(seed))).collect();
        let most = all.iter().map(Vec::len).max().unwrap();
        assert!(most <= 13, "{most} tries of one client in a minute");
        assert!(all.iter().all(|tries| tries[4] < 2300), "a late server is reached soon");
        let (soon, later) = (peak(&all, 2000, 1000), peak(&all, 30_000, 1000));
        assert!(soon <= 4000, "{soon} tries in a second after the first two");
        assert!(later <= 400, "{later} tries in a second after half a minute");
    }

    #[test]
    fn clients_that_lose_a_server_do_not_reconnect_at_once() {
        let patient = |seed| {
            let mut backoff = Backoff::seeded(seed);
            backoff.succeeded();
            tries(backoff)[1..].to_vec()
        };
        let all: Vec<_> = (0..CLIENTS).map(patient).collect();
        let burst = peak(&all, 0, 100);
        assert!(burst <= 480, "{burst} tries in a tenth of a second");
    }

    #[test]
    fn a_delay_is_at_least_the_requested_one() {
        let asked = Duration::from_secs(7);
        let wait = Backoff::seeded(1).failed(Instant::now(), Some(asked));
        assert!(wait > asked && wait < asked + FIRST, "{wait:?}");
    }

    #[test]
    fn delays_have_a_maximum_and_reset_after_a_time_without_failures() {
        let (mut backoff, mut now) = (Backoff::seeded(1), Instant::now());
        for _ in 0..100 {
            let wait = backoff.failed(now, None);
            assert!(wait <= MAX_DELAY.mul_f64(1.5), "{wait:?}");
            now += wait;
        }
        backoff.succeeded();
        let wait = backoff.failed(now + RESET_AFTER + Duration::from_secs(1), None);
        assert!(wait <= FIRST.mul_f64(1.5), "{wait:?}");
    }
}
