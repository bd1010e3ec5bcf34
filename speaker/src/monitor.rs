//! Decides when the standby of an address takes it over from its holder.
//!
//! Two independent proofs are needed at the same time: the holder leaves three probes on the link
//! unanswered, and its heartbeat in the API server does not change. The first alone may be a cut between
//! two nodes, the second alone an API server that the holder cannot reach. Reads no clock.

use std::time::{Duration, Instant};

/// The time between two probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// How long an answer to a probe may take. On one segment it takes less than a millisecond.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(200);
/// The age of an unanswered probe at which the heartbeat is observed too. The second proof takes longer
/// than the first, so it must not wait for the first to begin: a failover would take longer.
const SUSPECT_AFTER: Duration = Duration::from_millis(40);
/// The number of unanswered probes that prove a failure.
const FAILURE_THRESHOLD: u32 = 3;
/// The age of the last probe at which unanswered probes prove nothing any more: no probe was sent for a
/// time, so the holder may be back.
const MAX_PROBE_AGE: Duration = Duration::from_secs(1);

/// The probes that a standby has sent to the holder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Monitor {
    sent: Option<Instant>,
    is_pending: bool,
    unanswered: u32,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Wait,
    /// Send a probe.
    Probe,
    /// Take the address over.
    TakeOver,
}

impl Monitor {
    /// Returns what to do at `now`. A probe counts as sent when it is returned. `stopped`: the heartbeat
    /// of the holder has stopped.
    pub fn step(&mut self, now: Instant, stopped: bool) -> Step {
        let age = self.sent.map(|sent| now.saturating_duration_since(sent));
        if age.is_some_and(|age| age > MAX_PROBE_AGE) {
            *self = Self { sent: self.sent, ..Self::default() };
        }
        if self.is_pending && age.is_some_and(|age| age >= ANSWER_TIMEOUT) {
            self.is_pending = false;
            self.unanswered = self.unanswered.saturating_add(1);
        }
        if age.is_none_or(|age| age >= PROBE_INTERVAL) {
            (self.sent, self.is_pending) = (Some(now), true);
            return Step::Probe;
        }
        if stopped && self.unanswered >= FAILURE_THRESHOLD { Step::TakeOver } else { Step::Wait }
    }

    /// Returns whether the holder leaves probes unanswered at `now`.
    #[must_use]
    pub fn is_silent(&self, now: Instant) -> bool {
        let pending = self.sent.filter(|_| self.is_pending);
        let is_late = |sent| now.saturating_duration_since(sent) >= SUSPECT_AFTER;
        self.unanswered > 0 || pending.is_some_and(is_late)
    }

    /// Records that the holder has answered.
    pub fn answered(&mut self) {
        *self = Self { sent: self.sent, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    /// Returns when the standby takes over within a minute, in steps of 50 ms, if the holder answers
    /// until one time and its heartbeat is known to have stopped from another.
    fn taken_over(answers_until: u64, stopped_from: u64) -> Option<u64> {
        let (start, mut monitor) = (Instant::now(), Monitor::default());
        (0..60_000).step_by(50).find(|&now| {
            let step = monitor.step(at(start, now), now >= stopped_from);
            if step == Step::Probe && now < answers_until {
                monitor.answered();
            }
            step == Step::TakeOver
        })
    }

    #[test]
    fn a_failed_holder_is_replaced_after_three_probes() {
        for failure in (10_000..10_500).step_by(50) {
            let taken = taken_over(failure, failure).expect("it is replaced") - failure;
            assert!((1200..=1750).contains(&taken), "{failure}: {taken}");
        }
    }

    #[test]
    fn one_proof_is_not_enough() {
        assert_eq!(taken_over(u64::MAX, 0), None, "it answers");
        assert_eq!(taken_over(0, u64::MAX), None, "it has a heartbeat");
    }

    #[test]
    fn one_answer_makes_all_observations_void() {
        let (start, mut monitor) = (Instant::now(), Monitor::default());
        for now in (0..3000).step_by(50) {
            let _step = monitor.step(at(start, now), false);
        }
        assert!(monitor.is_silent(at(start, 3000)));
        monitor.answered();
        assert!(!monitor.is_silent(at(start, 3000)));
    }

    #[test]
    fn a_standby_that_was_stopped_starts_again() {
        let (start, mut monitor) = (Instant::now(), Monitor::default());
        for now in (0..1500).step_by(50) {
            let _step = monitor.step(at(start, now), false);
        }
        assert!(monitor.is_silent(at(start, 1500)));
        assert_eq!(monitor.step(at(start, 60_000), true), Step::Probe);
        assert!(!monitor.is_silent(at(start, 60_000)));
    }

    #[test]
    fn a_holder_is_silent_as_soon_as_an_answer_is_late() {
        let (start, mut monitor) = (Instant::now(), Monitor::default());
        assert_eq!(monitor.step(start, false), Step::Probe);
        assert!(!monitor.is_silent(at(start, 10)));
        assert!(monitor.is_silent(at(start, 50)));
        monitor.answered();
        assert!(!monitor.is_silent(at(start, 60)));
    }
}
