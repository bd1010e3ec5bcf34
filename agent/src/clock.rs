//! The clock as a trait, for tests. [`SystemClock`] is the implementation that ships.

use fastrak_runtime::clock;
use jiff::Timestamp;
use std::fmt::Debug;
use std::time::Instant;

/// A clock.
pub trait Clock: Debug + Send + Sync {
    /// Returns the time of the wall clock.
    fn now(&self) -> Timestamp;

    /// Returns the time of the monotonic clock.
    fn instant(&self) -> Instant;
}

/// The clocks of the system.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}
