//! Trash that cannot be removed at present, and when to retry: with a growing delay, because usually an
//! administrator has to act first and each attempt walks through the rest. Also decides when to report it.
//!
//! The state is in memory. A restart retries everything.

use crate::backoff::Backoff;
use crate::context::REPORT_INTERVAL;
use fastrak_api::node::NodeName;
use fastrak_api::pool::PoolName;
use fastrak_store::host::removal::Obstacle;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// An entry that was not found blocked again for this long after its retry is gone.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// The length of each end of a path in a message, in bytes: an event holds a thousand bytes, and a tenant
/// may nest directories to four thousand.
const END: usize = 224;

/// The entries of the trash that cannot be removed.
#[derive(Debug, Default)]
pub struct BlockedEntries {
    entries: BTreeMap<OsString, Entry>,
}

#[derive(Debug)]
struct Entry {
    times: u32,
    due: Instant,
    // The reported obstacle, and when it was reported.
    reported: Option<(Obstacle, Instant)>,
}

impl BlockedEntries {
    /// Records that an entry could not be removed. Returns whether to report it: the obstacle is new, or the
    /// API server has deleted the earlier event.
    pub fn note(&mut self, name: OsString, obstacle: Obstacle, now: Instant) -> bool {
        let entry =
            self.entries.entry(name).or_insert(Entry { times: 0, due: now, reported: None });
        entry.times = entry.times.saturating_add(1);
        entry.due = now + Backoff::Refused.delay(entry.times);
        let is_new = entry
            .reported
            .as_ref()
            .is_none_or(|(of, at)| *of != obstacle || now >= *at + REPORT_INTERVAL);
        if is_new {
            entry.reported = Some((obstacle, now));
        }
        is_new
    }

    /// Returns whether an entry waits for its retry.
    #[must_use]
    pub fn is_waiting(&self, now: Instant) -> bool {
        self.entries.values().any(|entry| now < entry.due)
    }

    /// Returns the entries that are not due.
    pub fn skipped(&mut self, now: Instant) -> BTreeSet<OsString> {
        self.entries.retain(|_, entry| now < entry.due + FORGOTTEN);
        let waiting = self.entries.iter().filter(|(_, entry)| now < entry.due);
        waiting.map(|(name, _)| name.clone()).collect()
    }
}

/// Returns the message of an event about an entry that cannot be removed. Tenants choose the names in the
/// path: control characters are replaced.
#[must_use]
pub fn text(pool: &PoolName, node: &NodeName, obstacle: &Obstacle) -> String {
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

    fn reported(obstacle: &Obstacle) -> String {
        text(&PoolName::default(), &NodeName::parse(&"n".repeat(253)).unwrap(), obstacle)
    }

    #[test]
    fn people_are_reported_once_of_each_thing_and_again_before_the_cluster_forgets() {
        let (mut blocked, start) = (BlockedEntries::default(), Instant::now());
        let mut note = |name: &str, path: &[u8], minutes: u64| {
            let now = start + Duration::from_secs(60 * minutes);
            blocked.note(name.into(), obstacle(path, Errno::PERM), now)
        };
        assert!(note("volume", b"/a", 0));
        assert!(!note("volume", b"/a", 1));
        assert!(note("other", b"/a", 1));
        assert!(note("volume", b"/b", 2), "something else is in its way");
        assert!(!note("volume", b"/b", 31));
        assert!(note("volume", b"/b", 32));
        assert!(!note("volume", b"/b", 33));
    }

    #[test]
    fn an_event_says_where_it_is_why_and_what_to_do() {
        let said = reported(&obstacle(b"/pool/.trash/x/data/locked", Errno::PERM));
        for part in ["pool default", "node n", "not permitted", "chattr -R -ia", "/x/data/locked"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!reported(&obstacle(b"/x", Errno::IO)).contains("()"));
    }

    proptest! {
        #[test]
        fn whatever_a_tenant_calls_his_files_all_of_it_fits_and_nothing_moves_the_cursor(
            start in proptest::collection::vec(any::<u8>(), 0..4096),
            errno in prop_oneof![Just(Errno::PERM), Just(Errno::ROFS), Just(Errno::IO)],
        ) {
            let said = reported(&obstacle(&[start.as_slice(), b"/end"].concat(), errno));
            prop_assert!(said.len() <= 1024, "{}", said.len());
            prop_assert!(said.ends_with("/end") && !said.contains(char::is_control), "{said:?}");
        }
    }

    #[test]
    fn what_is_stuck_is_tried_again_ever_later_and_forgotten_when_it_is_not() {
        let (mut blocked, start) = (BlockedEntries::default(), Instant::now());
        let (name, after) =
            (OsString::from("volume"), |seconds| start + Duration::from_secs(seconds));
        let why = obstacle(b"/volume", Errno::PERM);
        assert!(blocked.skipped(start).is_empty());
        blocked.note(name.clone(), why.clone(), start);
        assert_eq!(blocked.skipped(after(59)), BTreeSet::from([name.clone()]));
        assert!(blocked.skipped(after(60)).is_empty());
        blocked.note(name.clone(), why.clone(), after(60));
        assert_eq!(blocked.skipped(after(179)), BTreeSet::from([name.clone()]));
        assert!(blocked.skipped(after(180)).is_empty());
        assert!(blocked.skipped(after(180 + 3600)).is_empty());
        blocked.note(name.clone(), why.clone(), after(4000));
        assert_eq!(blocked.skipped(after(4059)), BTreeSet::from([name]));
        assert!(blocked.skipped(after(4060)).is_empty());
    }
}
