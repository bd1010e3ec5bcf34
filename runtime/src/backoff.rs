//! How long a client waits before it tries again. Reads no clock.
//!
//! All clients of an API server lose it at the same moment, and all of them come back at the same
//! moment. Each wait is therefore random, and doubles until it is long.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// The first wait of a client that has not reached the server yet. Doubled, four tries fit into two
/// seconds: a server that starts at the same time as its client is reached soon.
const EAGER: Duration = Duration::from_millis(100);
/// The first wait of a client that had reached the server. All the others lost it too.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait, before it is made random.
const LONGEST: Duration = Duration::from_secs(30);
/// After this time without a failure the waits begin with the first again.
const QUIET: Duration = Duration::from_secs(120);

/// Waits that double, each between a half and one and a half of its nominal length.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    failures: u32,
    last: Option<Instant>,
    random: u64,
}

impl Backoff {
    /// Returns the backoff of a client that has reached nothing yet.
    #[must_use]
    pub fn new() -> Self {
        // A hasher of std is keyed at random, which is all the randomness that is needed here.
        Self::seeded(RandomState::new().hash_one(0))
    }

    fn seeded(seed: u64) -> Self {
        Self { first: EAGER, failures: 0, last: None, random: seed }
    }

    /// Records that the server has answered.
    pub fn succeeded(&mut self) {
        self.first = FIRST;
    }

    /// Records a failure at `now`. Returns how long to wait, which is at least `asked`: what the
    /// server itself has asked for.
    pub fn failed(&mut self, now: Instant, asked: Option<Duration>) -> Duration {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) > QUIET) {
            self.failures = 0;
        }
        let nominal = self.first.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let wait = nominal.mul_f64(0.5 + self.fraction()) + asked.unwrap_or_default();
        self.last = now.checked_add(wait);
        wait
    }

    /// Returns a random number from 0 to 1, by SplitMix64.
    pub(crate) fn fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // 32 bits are exact in a f64, and fine enough.
        let bits = u32::try_from(mixed >> 32).unwrap_or_default();
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

    /// The moments, in milliseconds, at which a client tries in vain within a minute.
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
    fn a_thousand_agents_do_not_storm_a_server_that_is_down() {
        let all: Vec<_> = (0..CLIENTS).map(|seed| tries(Backoff::seeded(seed))).collect();
        let most = all.iter().map(Vec::len).max().unwrap();
        assert!(most <= 13, "{most} tries of one client in a minute");
        assert!(all.iter().all(|tries| tries[4] < 2300), "a late server is reached soon");
        let (soon, later) = (peak(&all, 2000, 1000), peak(&all, 30_000, 1000));
        assert!(soon <= 4000, "{soon} tries in a second after the first two");
        assert!(later <= 400, "{later} tries in a second after half a minute");
    }

    #[test]
    fn clients_that_lose_a_server_do_not_come_back_at_once() {
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
    fn a_server_that_asks_for_time_is_given_it() {
        let asked = Duration::from_secs(7);
        let wait = Backoff::seeded(1).failed(Instant::now(), Some(asked));
        assert!(wait > asked && wait < asked + FIRST, "{wait:?}");
    }

    #[test]
    fn waits_begin_anew_after_a_quiet_time_and_are_never_longer_than_the_longest() {
        let (mut backoff, mut now) = (Backoff::seeded(1), Instant::now());
        for _ in 0..100 {
            let wait = backoff.failed(now, None);
            assert!(wait <= LONGEST.mul_f64(1.5), "{wait:?}");
            now += wait;
        }
        backoff.succeeded();
        let wait = backoff.failed(now + QUIET + Duration::from_secs(1), None);
        assert!(wait <= FIRST.mul_f64(1.5), "{wait:?}");
    }
}
