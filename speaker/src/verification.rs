//! Checks that no other station uses an address before it is announced (RFC 5227 §2.1, RFC 4862
//! §5.4).
//!
//! The RFCs probe over seconds because a host may just have been plugged into a switch that does not
//! forward yet. A node has been on its segment for a long time, so less is enough. Reads no
//! clock.

use crate::frame::Mac;
use std::time::{Duration, Instant};

/// The number of probes.
const PROBES: u32 = 3;
/// The time before the first probe. The node that had the address before may have to be silent first.
const DELAY: Duration = Duration::from_millis(200);
/// The time between two probes.
const INTERVAL: Duration = Duration::from_millis(100);
/// The time after the last probe in which an answer still counts.
const WAIT: Duration = Duration::from_millis(300);

/// The time after which a station that uses the address counts as foreign. Until then it may be the node
/// that had the address before, and has not heard of the change.
const FOREIGN_AFTER: Duration = Duration::from_secs(3);

/// The check of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    next: Instant,
    sent: u32,
    in_use_by: Option<Mac>,
    refuse_after: Instant,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Wait,
    /// Send a probe.
    Probe,
    /// No station uses the address.
    Accept,
    /// This station uses the address.
    Refuse(Mac),
}

impl Verification {
    /// Returns a check that starts at `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { next: now + DELAY, sent: 0, in_use_by: None, refuse_after: now + FOREIGN_AFTER }
    }

    /// Returns what to do at `now`. A probe counts as sent when it is returned.
    pub fn step(&mut self, now: Instant) -> Step {
        match self.in_use_by {
            Some(mac) if now >= self.refuse_after => Step::Refuse(mac),
            Some(_) => {
                (self.next, self.sent, self.in_use_by) = (now + DELAY, 0, None);
                Step::Wait
            }
            None if now < self.next => Step::Wait,
            None if self.sent < PROBES => {
                self.sent += 1;
                self.next = now + if self.sent < PROBES { INTERVAL } else { WAIT };
                Step::Probe
            }
            None => Step::Accept,
        }
    }

    /// Records that a station uses the address. What it sent before the first probe says nothing.
    pub fn seen(&mut self, mac: Mac) {
        if self.sent > 0 {
            self.in_use_by.get_or_insert(mac);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);

    fn steps(verification: &mut Verification, start: Instant) -> Vec<(u64, Step)> {
        let at = |millis| start + Duration::from_millis(millis);
        let steps = (0..=800).step_by(50).map(|millis| (millis, verification.step(at(millis))));
        steps.filter(|(_, step)| *step != Step::Wait).collect()
    }

    #[test]
    fn an_address_is_accepted_after_three_unanswered_probes() {
        let start = Instant::now();
        let steps = steps(&mut Verification::new(start), start);
        let probes = [200, 300, 400].map(|millis| (millis, Step::Probe));
        assert_eq!(steps[..3], probes);
        assert_eq!(steps[3], (700, Step::Accept));
    }

    #[test]
    fn an_address_in_use_is_refused_with_the_first_station_that_was_seen() {
        let start = Instant::now();
        let mut verification = Verification::new(start);
        verification.seen(Mac([2, 0, 0, 0, 0, 7]));
        assert_eq!(verification.step(start), Step::Wait, "before the first probe");
        let mut refused = None;
        for millis in (0..4000).step_by(50) {
            match verification.step(start + Duration::from_millis(millis)) {
                Step::Probe => {
                    verification.seen(MAC);
                    verification.seen(Mac([2, 0, 0, 0, 0, 8]));
                }
                Step::Refuse(mac) => refused = refused.or(Some((millis, mac))),
                Step::Wait => {}
                Step::Accept => panic!("accepted after {millis} ms"),
            }
        }
        let (after, mac) = refused.unwrap();
        assert_eq!(mac, MAC);
        assert!((3000..3300).contains(&after), "{after}");
    }

    #[test]
    fn an_address_is_accepted_once_the_node_that_had_it_is_silent() {
        let start = Instant::now();
        let mut verification = Verification::new(start);
        let mut accepted = None;
        for millis in (0..4000).step_by(50) {
            match verification.step(start + Duration::from_millis(millis)) {
                Step::Probe if millis < 1000 => verification.seen(MAC),
                Step::Refuse(_) => panic!("refused after {millis} ms"),
                Step::Accept => accepted = accepted.or(Some(millis)),
                Step::Probe | Step::Wait => {}
            }
        }
        assert!((1300..2000).contains(&accepted.unwrap()), "{accepted:?}");
    }
}
