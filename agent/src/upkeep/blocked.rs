//! What of the trash cannot be removed as things are, and when it is tried again: ever later, since
//! most often someone has to do something first, and each try works through all that is left. And when,
//! and in which words, people are told of it.
//!
//! It forgets with the process. A start tries everything. It tells nobody itself.

use crate::backoff::Backoff;
use crate::context::REPORT_INTERVAL;
use fastrak_api::node::NodeName;
use fastrak_api::pool::PoolName;
use fastrak_store::host::removal::Obstacle;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// What was not found blocked again for so long after it was due is gone.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// As much of a path is told from either of its ends, in bytes: an event has room for a thousand, and a
/// tenant may nest his folders until a path has four.
const END: usize = 224;

/// What cannot be removed.
#[derive(Debug, Default)]
pub struct BlockedEntries {
    entries: BTreeMap<OsString, Entry>,
}

#[derive(Debug)]
struct Entry {
    times: u32,
    due: Instant,
    // What people were told is in the way, and when.
    told: Option<(Obstacle, Instant)>,
}

impl BlockedEntries {
    /// Notes that an entry of the trash could not be removed; whether people are to be told, as they were
    /// not of just this, or so long ago that the cluster has forgotten it.
    pub fn note(&mut self, name: OsString, obstacle: Obstacle, now: Instant) -> bool {
        let entry = self.entries.entry(name).or_insert(Entry { times: 0, due: now, told: None });
        entry.times = entry.times.saturating_add(1);
        entry.due = now + Backoff::Refused.delay(entry.times);
        let is_new = entry
            .told
            .as_ref()
            .is_none_or(|(of, at)| *of != obstacle || now >= *at + REPORT_INTERVAL);
        if is_new {
            entry.told = Some((obstacle, now));
        }
        is_new
    }

    /// Returns whether anything waits for its next try.
    #[must_use]
    pub fn is_waiting(&self, now: Instant) -> bool {
        self.entries.values().any(|entry| now < entry.due)
    }

    /// What is not to be tried now.
    pub fn skipped(&mut self, now: Instant) -> BTreeSet<OsString> {
        self.entries.retain(|_, entry| now < entry.due + FORGOTTEN);
        let waiting = self.entries.iter().filter(|(_, entry)| now < entry.due);
        waiting.map(|(name, _)| name.clone()).collect()
    }
}

/// What an event says of something that cannot be removed. Names in the path are a tenant's: what would
/// not be shown as it is, or would do something to a terminal, is replaced.
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
        "in the trash of pool {pool} of node {node} something cannot be removed: {errno}{advice}; \
         all else goes, and it is tried again by itself: {path}"
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

    fn told(obstacle: &Obstacle) -> String {
        text(&PoolName::default(), &NodeName::parse(&"n".repeat(253)).unwrap(), obstacle)
    }

    #[test]
    fn people_are_told_once_of_each_thing_and_again_before_the_cluster_forgets() {
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
        let said = told(&obstacle(b"/pool/.trash/x/data/locked", Errno::PERM));
        for part in ["pool default", "node n", "not permitted", "chattr -R -ia", "/x/data/locked"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!told(&obstacle(b"/x", Errno::IO)).contains("()"));
    }

    proptest! {
        #[test]
        fn whatever_a_tenant_calls_his_files_all_of_it_fits_and_nothing_moves_the_cursor(
            start in proptest::collection::vec(any::<u8>(), 0..4096),
            errno in prop_oneof![Just(Errno::PERM), Just(Errno::ROFS), Just(Errno::IO)],
        ) {
            let said = told(&obstacle(&[start.as_slice(), b"/end"].concat(), errno));
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
