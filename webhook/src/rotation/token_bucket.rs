//! How often a bundle that another hand keeps changing is repaired: at once, and in a fight with
//! another writer seldom enough that the API server does not notice. It reads no clock.

use std::time::{Duration, Instant};

/// How many times in a row it is repaired at once.
const BURST: u32 = 3;
/// How long until it may be repaired once more.
const EACH: Duration = Duration::from_secs(5);

/// How many times something may still be repaired at once.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    left: u32,
    since: Instant,
}

impl TokenBucket {
    /// One that was never used.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { left: BURST, since: now }
    }

    /// Takes one turn, or says how long to wait for the next.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        while self.left < BURST && now.saturating_duration_since(self.since) >= EACH {
            self.left += 1;
            self.since += EACH;
        }
        if self.left == BURST {
            self.since = now;
        }
        let wait = EACH.saturating_sub(now.saturating_duration_since(self.since));
        self.left = self.left.checked_sub(1).ok_or(wait)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_go_at_once_and_then_one_in_a_while() {
        let start = Instant::now();
        let mut pace = TokenBucket::new(start);
        let mut taken = Vec::new();
        for tenths in 0..600 {
            let now = start + Duration::from_millis(tenths * 100);
            if pace.take(now).is_ok() {
                taken.push(tenths);
            }
        }
        assert_eq!(taken[..6], [0, 1, 2, 50, 100, 150]);
        assert_eq!(taken.len(), 14);
        // After a rest, at once again.
        let later = start + Duration::from_secs(600);
        for _ in 0..BURST {
            assert_eq!(pace.take(later), Ok(()));
        }
        assert_eq!(pace.take(later), Err(EACH));
    }
}
