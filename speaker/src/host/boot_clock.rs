//! The time since the machine was started, including the time in which it was suspended.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Returns the time since the machine was started. Unlike [`std::time::Instant`], it advances while
/// a virtual machine is suspended.
#[must_use]
pub fn now() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}
