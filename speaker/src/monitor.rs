//! Decides when the standby of an address takes over from the holder.
//!
//! Two independent conditions must hold: the holder has not answered three probes on the link, and
//! its heartbeat in the API server has not changed for some time. The first one alone may be caused
//! by a broken link between two nodes, the second one alone by an API server that the holder cannot
//! reach. Reads no clock.

use std::time::{Duration, Instant};

/// The time between two probes.
pub const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// How long an answer to a probe may take. On one segment it takes less than a millisecond.
pub const ANSWER_TIMEOUT: Duration = Duration::from_millis(200);
/// The number of unanswered probes after which the holder counts as failed.
const UNANSWERED: u32 = 3;
/// The time after which a holder with an unchanged heartbeat counts as failed. Heartbeats are one
/// second apart.
const UNCHANGED: Duration = Duration::from_millis(1500);
/// The time between two reads of the heartbeat while probes are unanswered.
const READ_INTERVAL: Duration = Duration::from_millis(250);

/// What the standby has observed of the holder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Monitor {
    sent: Option<Instant>,
    is_pending: bool,
    unanswered: u32,
    heartbeat: Option<Heartbeat>,
    read: Option<Instant>,
}

/// An observed heartbeat: its version, when it was first read and when it was last read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Heartbeat {
    version: Option<String>,
    first: Instant,
    last: Instant,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Wait,
    /// Send a probe.
    Probe,
    /// Read the heartbeat of the holder.
    ReadHeartbeat,
    /// Take the address over.
    TakeOver,
}

impl Monitor {
    /// Returns what to do at `now`. A step counts as done when it is returned.
    pub fn step(&mut self, now: Instant) -> Step {
        let since_sent = self.sent.map(|sent| now.saturating_duration_since(sent));
        if self.is_pending && since_sent.is_some_and(|since| since >= ANSWER_TIMEOUT) {
            self.is_pending = false;
            self.unanswered = self.unanswered.saturating_add(1);
        }
        if self.unanswered >= UNANSWERED && self.heartbeat_has_stopped() {
            return Step::TakeOver;
        }
        if since_sent.is_none_or(|since| since >= PROBE_INTERVAL) {
            (self.sent, self.is_pending) = (Some(now), true);
            return Step::Probe;
        }
        let is_due = |read| now.saturating_duration_since(read) >= READ_INTERVAL;
        if self.unanswered > 0 && self.read.is_none_or(is_due) {
            self.read = Some(now);
            return Step::ReadHeartbeat;
        }
        Step::Wait
    }

    /// Records that the holder has answered.
    pub fn answered(&mut self) {
        *self = Self { sent: self.sent, ..Self::default() };
    }

    /// Records the heartbeat that was read at `now`: the version of its object, or `None` if there
    /// is no such object.
    pub fn heartbeat(&mut self, version: Option<String>, now: Instant) {
        match &mut self.heartbeat {
            Some(known) if known.version == version => known.last = now,
            changed => *changed = Some(Heartbeat { version, first: now, last: now }),
        }
    }

    fn heartbeat_has_stopped(&self) -> bool {
        self.heartbeat.as_ref().is_some_and(|heartbeat| {
            heartbeat.last.saturating_duration_since(heartbeat.first) >= UNCHANGED
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A holder that fails at a time after its standby began to observe it.
    struct Holder {
        answers_until: Duration,
        beats_until: Duration,
    }

    /// Returns when the standby takes over within a minute, in steps of 50 ms.
    fn taken_over(holder: &Holder) -> Option<Duration> {
        let (start, mut monitor) = (Instant::now(), Monitor::default());
        for step in 0..1200 {
            let after = Duration::from_millis(50) * step;
            match monitor.step(start + after) {
                Step::Wait => {}
                Step::Probe if after < holder.answers_until => monitor.answered(),
                Step::Probe => {}
                Step::ReadHeartbeat => {
                    let beat = after.min(holder.beats_until).as_secs();
                    monitor.heartbeat(Some(beat.to_string()), start + after);
                }
                Step::TakeOver => return Some(after),
            }
        }
        None
    }

    #[test]
    fn a_failed_holder_is_replaced_soon() {
        for millis in (10_000..11_000).step_by(50) {
            let failure = Duration::from_millis(millis);
            let holder = Holder { answers_until: failure, beats_until: failure };
            let taken = taken_over(&holder).expect("it is replaced") - failure;
            assert!(taken <= Duration::from_millis(2300), "{millis}: {taken:?}");
            assert!(taken >= UNCHANGED, "{millis}: {taken:?}");
        }
    }

    #[test]
    fn a_holder_that_answers_keeps_its_address_without_a_heartbeat() {
        let holder = Holder { answers_until: Duration::MAX, beats_until: Duration::ZERO };
        assert_eq!(taken_over(&holder), None);
    }

    #[test]
    fn a_holder_with_a_heartbeat_keeps_its_address_without_an_answer() {
        let holder = Holder { answers_until: Duration::ZERO, beats_until: Duration::MAX };
        assert_eq!(taken_over(&holder), None);
    }

    #[test]
    fn without_the_api_server_nothing_is_taken_over() {
        let (start, mut monitor) = (Instant::now(), Monitor::default());
        let steps = (0..1200).map(|step| monitor.step(start + Duration::from_millis(50) * step));
        assert!(!steps.collect::<Vec<_>>().contains(&Step::TakeOver));
    }

    #[test]
    fn one_answer_makes_all_observations_void() {
        let (start, mut monitor) = (Instant::now(), Monitor::default());
        for step in 0..60 {
            let now = start + Duration::from_millis(50) * step;
            monitor.heartbeat(Some("1".to_owned()), now);
            monitor.step(now);
        }
        monitor.answered();
        assert_eq!(monitor, Monitor { sent: monitor.sent, ..Monitor::default() });
    }

    #[test]
    fn a_deleted_heartbeat_is_an_unchanged_one() {
        let (start, mut monitor) = (Instant::now(), Monitor::default());
        let found = (0..1200).find(|step| {
            let now = start + Duration::from_millis(50) * *step;
            match monitor.step(now) {
                Step::ReadHeartbeat => monitor.heartbeat(None, now),
                Step::TakeOver => return true,
                Step::Wait | Step::Probe => {}
            }
            false
        });
        assert!(found.is_some());
    }
}
