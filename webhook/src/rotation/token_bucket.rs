//! A rate limit for repairs of `caBundle`: immediate at first, and rare if another client keeps
//! changing it. Reads no clock.

use std::time::{Duration, Instant};

/// The number of immediate repairs.
const BURST: u32 = 3;
/// The time after which another repair is allowed.
const EACH: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(super) struct TokenBucket {
    left: u32,
    since: Instant,
}

impl TokenBucket {
    #[must_use]
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, since: now }
    }

    /// Takes a token. Returns the time until the next token if there is none.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
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
    fn a_burst_is_immediate_and_then_tokens_are_rate_limited() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(start);
        let mut taken = Vec::new();
        for tenths in 0..600 {
            let now = start + Duration::from_millis(tenths * 100);
            if bucket.take(now).is_ok() {
                taken.push(tenths);
            }
        }
        assert_eq!(taken[..6], [0, 1, 2, 50, 100, 150]);
        assert_eq!(taken.len(), 14);
        // After a pause, the bucket is full again.
        let later = start + Duration::from_secs(600);
        for _ in 0..BURST {
            assert_eq!(bucket.take(later), Ok(()));
        }
        assert_eq!(bucket.take(later), Err(EACH));
    }
}
