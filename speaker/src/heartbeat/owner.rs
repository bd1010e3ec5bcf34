//! Decides whether this speaker is the only one of its node, by the heartbeat that all speakers of one
//! node share. Reads no clock.
//!
//! Two machines with one node name, such as a clone of a virtual machine, would both answer for the
//! addresses of that node. The heartbeat contains the MAC address of the speaker that writes it.

use crate::leases::heartbeat::Heartbeat;
use std::time::{Duration, Instant};

/// The time after which an unchanged heartbeat belongs to no running speaker. Heartbeats are one second
/// apart.
const ABANDONED_AFTER: Duration = Duration::from_secs(3);

/// What this speaker has seen of the heartbeat of another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owner {
    seen: Option<(String, Instant)>,
}

/// Whose heartbeat it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is none, or this speaker has written it.
    Own,
    /// The speaker that has written it has stopped.
    Abandoned,
    /// Another speaker may be writing it.
    Foreign,
}

impl Owner {
    /// Decides about the heartbeat as it was read at `now`. `own` is what this speaker writes.
    pub(super) fn look(&mut self, found: Option<&Heartbeat>, own: &str, now: Instant) -> Verdict {
        let Some(found) = found.filter(|found| found.mac.as_deref() != Some(own)) else {
            self.seen = None;
            return Verdict::Own;
        };
        match &self.seen {
            Some((version, first)) if *version == found.version => {
                let age = now.saturating_duration_since(*first);
                if age >= ABANDONED_AFTER { Verdict::Abandoned } else { Verdict::Foreign }
            }
            _ => {
                self.seen = Some((found.version.clone(), now));
                Verdict::Foreign
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat(mac: Option<&str>, version: u64) -> Heartbeat {
        Heartbeat { version: version.to_string(), mac: mac.map(str::to_owned) }
    }

    /// Looks each second. Returns the verdicts.
    fn verdicts(found: impl Fn(u64) -> Option<Heartbeat>) -> Vec<Verdict> {
        let (mut owner, start) = (Owner::default(), Instant::now());
        (0..6)
            .map(|second| {
                owner.look(found(second).as_ref(), "own", start + Duration::from_secs(second))
            })
            .collect()
    }

    #[test]
    fn a_missing_or_an_own_heartbeat_is_its_own_at_once() {
        assert_eq!(verdicts(|_| None)[0], Verdict::Own);
        assert_eq!(verdicts(|second| Some(heartbeat(Some("own"), second))), [Verdict::Own; 6]);
    }

    #[test]
    fn a_foreign_heartbeat_is_abandoned_after_three_seconds_without_a_change() {
        for mac in [Some("other"), None] {
            let verdicts = verdicts(|_| Some(heartbeat(mac, 1)));
            assert_eq!(verdicts[..3], [Verdict::Foreign; 3]);
            assert_eq!(verdicts[3], Verdict::Abandoned);
        }
    }

    #[test]
    fn a_foreign_heartbeat_that_changes_is_foreign() {
        let changing = verdicts(|second| Some(heartbeat(Some("other"), second / 2)));
        assert_eq!(changing, [Verdict::Foreign; 6]);
    }
}
