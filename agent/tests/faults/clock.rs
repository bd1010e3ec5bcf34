//! A clock that advances only on request.

use fastrak_agent::clock::Clock;
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The start of every test, in seconds since 1970.
const START: i64 = 1_800_000_000;

/// The clock. Clones are the same clock.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedClock {
    start: Instant,
    passed: Arc<AtomicU64>,
}

impl SimulatedClock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), passed: Arc::default() }
    }

    /// Advances the clock, in whole seconds.
    pub(crate) fn pass(&self, time: Duration) {
        self.passed.fetch_add(time.as_secs(), Ordering::Relaxed);
    }

    fn passed(&self) -> Duration {
        Duration::from_secs(self.passed.load(Ordering::Relaxed))
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(START).expect("a time") + self.passed()
    }

    fn instant(&self) -> Instant {
        self.start + self.passed()
    }
}
