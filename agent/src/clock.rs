//! The time, behind a trait: an implementation decides what it is. [`SystemClock`] is the one that
//! ships.

use fastrak_runtime::clock;
use jiff::Timestamp;
use std::fmt::Debug;
use std::time::Instant;

/// Tells the time.
pub trait Clock: Debug + Send + Sync {
    /// Returns the time of the wall clock.
    fn now(&self) -> Timestamp;

    /// Returns the time by which durations are measured.
    fn instant(&self) -> Instant;
}

/// The clocks of the system.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}
