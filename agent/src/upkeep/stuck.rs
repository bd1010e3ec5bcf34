//! What of the trash cannot be removed as things are, and when it is tried again: ever later, since
//! most often someone has to do something first, and each try works through all that is left.
//!
//! It forgets with the process. A start tries everything.

use crate::pace::Pace;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// What was not found stuck again for so long after it was due is gone.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// What cannot be removed.
#[derive(Debug, Default)]
pub struct Stuck {
    entries: BTreeMap<OsString, Entry>,
}

#[derive(Debug)]
struct Entry {
    times: u32,
    due: Instant,
}

impl Stuck {
    /// Notes that an entry of the trash could not be removed.
    pub fn note(&mut self, name: OsString, now: Instant) {
        let entry = self.entries.entry(name).or_insert(Entry { times: 0, due: now });
        entry.times = entry.times.saturating_add(1);
        entry.due = now + Pace::Refused.delay(entry.times);
    }

    /// What is not to be tried now.
    pub fn skipped(&mut self, now: Instant) -> BTreeSet<OsString> {
        self.entries.retain(|_, entry| now < entry.due + FORGOTTEN);
        let waiting = self.entries.iter().filter(|(_, entry)| now < entry.due);
        waiting.map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stuck_is_tried_again_ever_later_and_forgotten_when_it_is_not() {
        let (mut stuck, start) = (Stuck::default(), Instant::now());
        let (name, after) =
            (OsString::from("volume"), |seconds| start + Duration::from_secs(seconds));
        assert!(stuck.skipped(start).is_empty());
        stuck.note(name.clone(), start);
        assert_eq!(stuck.skipped(after(59)), BTreeSet::from([name.clone()]));
        assert!(stuck.skipped(after(60)).is_empty());
        stuck.note(name.clone(), after(60));
        assert_eq!(stuck.skipped(after(179)), BTreeSet::from([name.clone()]));
        assert!(stuck.skipped(after(180)).is_empty());
        assert!(stuck.skipped(after(180 + 3600)).is_empty());
        stuck.note(name.clone(), after(4000));
        assert_eq!(stuck.skipped(after(4059)), BTreeSet::from([name]));
        assert!(stuck.skipped(after(4060)).is_empty());
    }
}
