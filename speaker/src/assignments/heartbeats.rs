//! The observed heartbeats of holders: one observation for all addresses of a holder.

use fastrak_api::node::NodeName;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The time over which an unchanged heartbeat proves a failure. Heartbeats are one second apart.
const STOPPED_AFTER: Duration = Duration::from_millis(1500);
/// The time between two reads.
const INTERVAL: Duration = Duration::from_millis(250);
/// The age at which an observation is void.
const MAX_AGE: Duration = Duration::from_secs(1);

/// The heartbeats of the holders that leave probes unanswered.
#[derive(Debug, Default)]
pub(super) struct Heartbeats(BTreeMap<NodeName, Heartbeat>);

#[derive(Debug)]
struct Heartbeat {
    requested_at: Instant,
    is_reading: bool,
    observed: Option<Observed>,
}

/// A version of a heartbeat, `None` if there is none.
#[derive(Debug)]
struct Observed {
    version: Option<String>,
    /// When the first response with this version was received.
    first: Instant,
    /// When the last read with this version was requested: the response may have been late.
    last: Instant,
}

impl Heartbeats {
    /// Returns the holders to read now, and forgets all others.
    pub(super) fn due(&mut self, silent: BTreeSet<NodeName>, now: Instant) -> Vec<NodeName> {
        self.0.retain(|node, heartbeat| heartbeat.is_reading || silent.contains(node));
        let mut due = Vec::new();
        for node in silent {
            let known = self.0.get(&node);
            let waits = known.is_some_and(|known| known.is_reading || now < known.next());
            if !waits {
                let observed = self.0.remove(&node).and_then(|known| known.observed);
                let heartbeat = Heartbeat { requested_at: now, is_reading: true, observed };
                self.0.insert(node.clone(), heartbeat);
                due.push(node);
            }
        }
        due
    }

    /// Records the response to a read, or its failure.
    pub(super) fn read(&mut self, node: &NodeName, version: Option<Option<String>>, now: Instant) {
        let Some(heartbeat) = self.0.get_mut(node) else { return };
        heartbeat.is_reading = false;
        let Some(version) = version else { return };
        match &mut heartbeat.observed {
            Some(observed) if observed.version == version => observed.last = heartbeat.requested_at,
            changed => {
                *changed = Some(Observed { version, first: now, last: heartbeat.requested_at });
            }
        }
    }

    /// Returns whether the heartbeat of `node` has stopped.
    pub(super) fn stopped(&self, node: &NodeName, now: Instant) -> bool {
        let observed = self.0.get(node).and_then(|heartbeat| heartbeat.observed.as_ref());
        observed.is_some_and(|observed| {
            observed.last.saturating_duration_since(observed.first) >= STOPPED_AFTER
                && now.saturating_duration_since(observed.last) <= MAX_AGE
        })
    }
}

impl Heartbeat {
    /// Returns when it is read again. The read that can prove a failure is not delayed.
    fn next(&self) -> Instant {
        let next = self.requested_at + INTERVAL;
        let proof = self.observed.as_ref().map(|observed| observed.first + STOPPED_AFTER);
        proof.filter(|proof| *proof > self.requested_at).map_or(next, |proof| proof.min(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeName {
        NodeName::parse("a").unwrap()
    }

    /// Reads the heartbeat in steps of 10 ms, with this latency. Returns when it has stopped.
    fn stops(latency: u64, version: impl Fn(u64) -> Option<String>) -> Option<u64> {
        let (mut heartbeats, start) = (Heartbeats::default(), Instant::now());
        let (at, mut reading) = (|millis| start + Duration::from_millis(millis), None);
        (0..1000).map(|step| step * 10).find(|&now| {
            if let Some(requested) = reading.take_if(|requested| *requested + latency <= now) {
                heartbeats.read(&node(), Some(version(requested)), at(now));
            }
            if !heartbeats.due(BTreeSet::from([node()]), at(now)).is_empty() {
                reading = Some(now);
            }
            heartbeats.stopped(&node(), at(now))
        })
    }

    #[test]
    fn an_unchanged_heartbeat_has_stopped() {
        for latency in [10, 50, 200] {
            let stops = stops(latency, |_| Some("1".to_owned()));
            assert_eq!(stops, Some(1500 + 2 * latency), "the first read and the last one");
        }
        assert!(stops(10, |_| None).is_some(), "a deleted heartbeat");
    }

    #[test]
    fn a_changing_heartbeat_has_not_stopped() {
        assert_eq!(stops(10, |now| Some((now / 1000).to_string())), None);
    }

    #[test]
    fn a_late_response_counts_from_its_request() {
        let (mut heartbeats, start) = (Heartbeats::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let silent = || BTreeSet::from([node()]);
        let version = || Some(Some("1".to_owned()));
        assert_eq!(heartbeats.due(silent(), at(0)), [node()]);
        heartbeats.read(&node(), version(), at(10));
        assert_eq!(heartbeats.due(silent(), at(260)), [node()]);
        assert_eq!(heartbeats.due(silent(), at(600)), [], "one read at a time");
        heartbeats.read(&node(), version(), at(1700));
        assert!(!heartbeats.stopped(&node(), at(1700)));
    }

    #[test]
    fn an_old_observation_is_void() {
        let (mut heartbeats, start) = (Heartbeats::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        for step in 0..8 {
            let _due = heartbeats.due(BTreeSet::from([node()]), at(step * 250));
            heartbeats.read(&node(), Some(Some("1".to_owned())), at(step * 250));
        }
        assert!(heartbeats.stopped(&node(), at(1800)));
        assert!(!heartbeats.stopped(&node(), at(4000)));
    }
}
