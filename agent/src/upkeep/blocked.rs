//! Trash that cannot be removed at present, and when to retry: with a growing delay, because
//! usually an administrator has to act first and each attempt walks through the rest. Also decides
//! when to report it.
//!
//! The state is in memory. A restart retries everything.

use crate::backoff::Backoff;
use crate::repeats::LastReport;
use fastrak_api::node::NodeName;
use fastrak_api::pool::PoolName;
use fastrak_runtime::retry::KeyedBackoff;
use fastrak_store::host::removal::Obstacle;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// An entry that was not found blocked again for this long after its retry is gone.
const FORGET_AFTER: Duration = Duration::from_secs(3600);
/// The length of each end of a path in a message, in bytes: an event holds a thousand bytes, and a
/// tenant may nest directories to four thousand.
const END: usize = 224;

/// The entries of the trash that cannot be removed.
#[derive(Debug)]
pub(crate) struct BlockedEntries {
    backoff: KeyedBackoff<OsString>,
    reported: BTreeMap<OsString, LastReport<Obstacle>>,
}

impl BlockedEntries {
    /// Records that an entry could not be removed. Returns whether to report it: the obstacle is
    /// new, or the API server has deleted the earlier event.
    pub(crate) fn record(&mut self, name: OsString, obstacle: Obstacle, now: Instant) -> bool {
        self.backoff.record(name.clone(), now);
        self.reported.retain(|known, _| self.backoff.due(known).is_some());
        self.reported.entry(name).or_default().is_due(obstacle, now)
    }

    /// Returns whether an entry waits for its retry.
    pub(crate) fn is_waiting(&self, now: Instant) -> bool {
        self.backoff.waiting(now).next().is_some()
    }

    /// Returns the entries that are not due.
    pub(crate) fn skipped(&self, now: Instant) -> BTreeSet<OsString> {
        self.backoff.waiting(now).cloned().collect()
    }
}

impl Default for BlockedEntries {
    fn default() -> Self {
        let (first, longest) = Backoff::Refused.limits();
        let backoff = KeyedBackoff::new(first, longest, FORGET_AFTER);
        Self { backoff, reported: BTreeMap::new() }
    }
}

/// Returns the message of an event about an entry that cannot be removed. Tenants choose the names
/// in the path: control characters are replaced.
pub(crate) fn text(pool: &PoolName, node: &NodeName, obstacle: &Obstacle) -> String {
    let Obstacle { path, errno } = obstacle;
    let advice = obstacle.advice().map_or(String::new(), |advice| format!(" ({advice})"));
    let path = path.display().to_string().replace(char::is_control, "\u{fffd}");
    let path = match path.len() {
        length if length <= 2 * END => path,
        length => {
            let (head, tail) =
                (path.floor_char_boundary(END), path.ceil_char_boundary(length - END));
            format!("{}[...]{}", &path[..head], &path[tail..])
        }
    };
    format!(
        "an entry in the trash of pool {pool} on node {node} cannot be removed: {errno}{advice}; \
         everything else is removed, and the agent retries: {path}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustix::io::Errno;
    use std::os::unix::ffi::OsStrExt as _;

    fn obstacle(path: &[u8], errno: Errno) -> Obstacle {
        Obstacle { path: std::ffi::OsStr::from_bytes(path).into(), errno }
    }

    fn message(obstacle: &Obstacle) -> String {
        text(&PoolName::default(), &NodeName::parse(&"n".repeat(253)).unwrap(), obstacle)
    }

    #[test]
    fn each_obstacle_is_reported_once_and_again_before_its_event_is_deleted() {
        let (mut blocked, start) = (BlockedEntries::default(), Instant::now());
        let mut record = |name: &str, path: &[u8], minutes: u64| {
            let now = start + Duration::from_secs(60 * minutes);
            blocked.record(name.into(), obstacle(path, Errno::PERM), now)
        };
        assert!(record("volume", b"/a", 0));
        assert!(!record("volume", b"/a", 1));
        assert!(record("other", b"/a", 1));
        assert!(record("volume", b"/b", 2), "another obstacle");
        assert!(!record("volume", b"/b", 31));
        assert!(record("volume", b"/b", 32));
        assert!(!record("volume", b"/b", 33));
    }

    #[test]
    fn an_event_names_the_path_the_reason_and_the_remedy() {
        let text = message(&obstacle(b"/pool/.trash/x/data/locked", Errno::PERM));
        for part in ["pool default", "node n", "not permitted", "chattr -R -ia", "/x/data/locked"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!message(&obstacle(b"/x", Errno::IO)).contains("()"));
    }

    proptest! {
        #[test]
        fn a_path_of_any_length_and_content_fits_into_an_event_without_control_characters(
            start in proptest::collection::vec(any::<u8>(), 0..4096),
            errno in prop_oneof![Just(Errno::PERM), Just(Errno::ROFS), Just(Errno::IO)],
        ) {
            let text = message(&obstacle(&[start.as_slice(), b"/end"].concat(), errno));
            prop_assert!(text.len() <= 1024, "{}", text.len());
            prop_assert!(text.ends_with("/end") && !text.contains(char::is_control), "{text:?}");
        }
    }

    #[test]
    fn a_blocked_entry_is_retried_with_growing_delays_and_forgotten_after_an_hour() {
        let (mut blocked, start) = (BlockedEntries::default(), Instant::now());
        let (name, after) =
            (OsString::from("volume"), |seconds| start + Duration::from_secs(seconds));
        let why = obstacle(b"/volume", Errno::PERM);
        assert!(blocked.skipped(start).is_empty());
        blocked.record(name.clone(), why.clone(), start);
        assert_eq!(blocked.skipped(after(59)), BTreeSet::from([name.clone()]));
        assert!(blocked.skipped(after(60)).is_empty());
        blocked.record(name.clone(), why.clone(), after(60));
        assert_eq!(blocked.skipped(after(179)), BTreeSet::from([name.clone()]));
        assert!(blocked.skipped(after(180)).is_empty());
        assert!(blocked.skipped(after(180 + 3600)).is_empty());
        blocked.record(name.clone(), why.clone(), after(4000));
        assert_eq!(blocked.skipped(after(4059)), BTreeSet::from([name]));
        assert!(blocked.skipped(after(4060)).is_empty());
    }
}
