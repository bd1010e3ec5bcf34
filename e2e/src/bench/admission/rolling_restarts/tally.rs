//! The results of calls.

use anyhow::Error;
use std::time::Duration;

/// The number of failures of which the message is kept.
const KEPT: usize = 10;

/// The result of one call.
pub(crate) type Outcome = Result<bool, Error>;

/// The results of all calls of a kind.
#[derive(Debug, Default)]
pub struct Tally {
    /// The number of calls.
    pub calls: usize,
    /// The number of calls that were answered without a patch.
    pub unpatched: usize,
    /// The messages of the first failures.
    pub failures: Vec<String>,
    failed: usize,
    times: Vec<Duration>,
}

impl Tally {
    /// Counts a call by its result.
    pub fn count(&mut self, took: Duration, outcome: Outcome) {
        self.calls += 1;
        match outcome {
            Ok(patched) => {
                self.unpatched += usize::from(!patched);
                self.times.push(took);
            }
            Err(error) => {
                self.failed += 1;
                self.keep(format!("{error:#}"));
            }
        }
    }

    /// Adds the results of another tally.
    pub fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.unpatched += other.unpatched;
        self.failed += other.failed;
        self.times.extend(other.times);
        for failure in other.failures {
            self.keep(failure);
        }
    }

    /// Returns the number of calls without a valid answer.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// Returns a percentile of the response times in milliseconds.
    #[must_use]
    pub fn percentile(&self, part: f64) -> f64 {
        let mut times = self.times.clone();
        times.sort_unstable();
        let at = (times.len() as f64 * part) as usize;
        times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }

    fn keep(&mut self, failure: String) {
        if self.failures.len() < KEPT {
            self.failures.push(failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_counted_by_its_result() {
        let mut tally = Tally::default();
        for millis in 1..=100 {
            tally.count(Duration::from_millis(millis), Ok(millis > 2));
        }
        let mut other = Tally::default();
        for _ in 0..20 {
            other.count(Duration::ZERO, Err(Error::msg("refused").context("connect")));
        }
        tally.add(other);
        assert_eq!((tally.calls, tally.unpatched, tally.failed()), (120, 2, 20));
        assert_eq!((tally.failures.len(), tally.failures[0].as_str()), (KEPT, "connect: refused"));
        assert!((tally.percentile(0.5) - 51.0).abs() < f64::EPSILON);
        assert!((tally.percentile(0.99) - 100.0).abs() < f64::EPSILON);
        assert!(Tally::default().percentile(0.5).is_nan());
    }
}
